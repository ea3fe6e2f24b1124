"""Items of STAC APIs and of files: the catalogues that people know by name, paging, retries, static catalogues."""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import shapely
from odc.geo.geobox import GeoBox
from pystac.utils import make_absolute_href

from . import access, degrees, facts, web
from .answers import Answers
from .errors import CatalogError, FaciesError, MetadataError


@dataclass(frozen=True)
class Catalog:
    """A STAC API that people know by name."""

    url: str
    collections: Mapping[str, tuple[str, ...]]
    """Collections by level."""
    remark: str
    """What the catalogue does not have, or what access needs."""


CATALOGS = {
    "landsatlook": Catalog(
        "https://landsatlook.usgs.gov/stac-server",
        {"TOA": ("landsat-c2l1",), "SR": ("landsat-c2l2-sr",)},
        "Landsat only; its files need AWS credentials (requester pays) or an EROS sign-in",
    ),
    "earth-search": Catalog(
        "https://earth-search.aws.element84.com/v1",
        {"TOA": ("sentinel-2-l1c",), "SR": ("sentinel-2-c1-l2a", "landsat-c2-l2")},
        "its Landsat is surface reflectance; its Sentinel-2 L1C files need AWS credentials (requester pays)",
    ),
    "cdse": Catalog(
        "https://stac.dataspace.copernicus.eu/v1",
        {"TOA": ("sentinel-2-l1c",), "SR": ("sentinel-2-l2a",)},
        "Sentinel-2 only; its files need free S3 keys",
    ),
    "planetary-computer": Catalog(
        "https://planetarycomputer.microsoft.com/api/stac/v1",
        {"TOA": (), "SR": ("sentinel-2-l2a", "landsat-c2-l2")},
        "surface reflectance only",
    ),
}

RETRIES, BACK_OFF, TIMEOUT = 5, 0.5, 60.0
"""Attempts of a request to a STAC API, first wait (doubled each time) and patience. [1, s, s]"""


MAX_PAGES = 10_000
"""Of an answer; a server that gives more has lost count. [1]"""


def from_api(url: str, queries: Iterable[Mapping[str, Any]], answers: Answers | None = None) -> Iterator[Any]:
    """Items that a STAC API gives, page by page; failures that may pass are tried again, with growing waits.

    Parameters
    ----------
    url : str
        Landing page.
    queries : iterable of mapping
        Arguments of ``pystac_client.Client.search``.
    answers : Answers, optional
        Where answers are kept, and looked for first.

    Returns
    -------
    iterator of dict, or of the :class:`MetadataError` of an item whose files could not be its own

    Raises
    ------
    CatalogError
        If the API does not answer, or its pages have no end.
    """
    from pystac_client.exceptions import APIError

    client = None
    try:
        for query in queries:
            items = None if answers is None else answers.get(url, query)
            if items is None:
                client = client or _client(url)
                items = list(_pages(client.search(**query).pages_as_dicts(), url))
                if answers is not None:
                    items = answers.put(url, query, items)
            for item in items:
                yield _checked(item, url)
    except (APIError, OSError) as error:
        if isinstance(error, FaciesError):
            raise
        raise CatalogError(f"the STAC API {access.shown(url)} does not answer: {access.reason(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, pystac.STACError) as error:
        if isinstance(error, FaciesError):
            raise
        raise CatalogError(f"{access.shown(url)} does not answer as a STAC API: {access.reason(error)}") from error


def _client(url: str) -> Any:
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        total=RETRIES, backoff_factor=BACK_OFF, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None
    )
    reader = StacApiIO(timeout=TIMEOUT)
    web.bind(reader.session, url, retry)
    return Client.open(url, stac_io=reader)


def _pages(pages: Iterable[Mapping[str, Any]], url: str) -> Iterator[Any]:
    """Items of all pages, which must not begin anew."""
    seen = set()
    for number, page in enumerate(pages):
        features = page["features"]
        content = hash(json.dumps(features, default=str))
        if content in seen or number >= MAX_PAGES:
            raise CatalogError(
                f"the STAC API {access.shown(url)} gives pages without end: page {number + 1} "
                f"{'repeats an earlier one' if content in seen else 'is one too many'}."
            )
        seen.add(content)
        yield from features


def from_file(path: str, root: str | None = None) -> Iterator[Any]:
    """Items of an items file, of a static catalogue, or of one item's file, with absolute hrefs.

    Nothing but the file, and the files that a static catalogue names in and below its folder, is read.

    Parameters
    ----------
    path : str
        File or URL.
    root : str, optional
        Folder that relative hrefs may not leave; by default the file's own.

    Returns
    -------
    iterator of dict, or of the :class:`MetadataError` of an item whose files lie elsewhere

    Raises
    ------
    CatalogError
        If a file cannot be read as STAC.
    """
    path = path if "://" in path else Path(path).absolute().as_posix()
    root = posixpath.dirname(path) if root is None else root if "://" in root else Path(root).absolute().as_posix()
    for item, base in _walk(path, root, set()):
        yield _checked(item, base, root)


def _walk(path: str, root: str, seen: set[str]) -> Iterator[tuple[Any, str]]:
    """Items in and below a file, each with the file it stands in."""
    seen.add(path)
    try:
        content = json.loads(access.read_text(path))
        kind = "FeatureCollection" if isinstance(content, list) else content.get("type")
        if kind == "FeatureCollection":
            features = content if isinstance(content, list) else content["features"]
            yield from ((item, path) for item in features)
        elif kind == "Feature":
            yield content, path
        elif kind in ("Catalog", "Collection"):
            for link in content["links"]:
                file = make_absolute_href(link["href"], path) if link["rel"] in ("child", "item") else path
                if file not in seen:
                    if not _is_within(file, root):
                        raise CatalogError(f"its {link['rel']} {access.shown(file)} lies outside of its folder {root}")
                    yield from _walk(file, root, seen)
        else:
            raise CatalogError(f"it is not a STAC catalogue, item or items file (type {kind!r})")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, OSError) as error:
        raise CatalogError(f"{access.shown(path)} cannot be read as STAC: {access.reason(error)}.") from error


def _checked(item: Any, base: str, root: str | None = None) -> Any:
    """The item with absolute hrefs, or what is wrong with them.

    Relative ones start beside the file they stand in and stay within ``root``, whatever links lie on their way.
    """
    if not isinstance(item, dict) or not isinstance(item.get("assets"), dict):
        return item
    for key, asset in item["assets"].items():
        if not isinstance(asset, dict) or not isinstance(relative := asset.get("href"), str):
            continue
        try:
            access.check_address(relative if "://" in relative else relative.replace("\\", "/"))
            asset["href"] = make_absolute_href(relative, base)
            access.check_address(asset["href"], base)
            if root is not None and asset["href"] != relative and not _is_within(asset["href"], root):
                raise MetadataError(
                    f"lies at {relative!r}, outside of the catalogue's folder {root}; pass root= with the folder "
                    "that holds both, if you trust this catalogue"
                )
        except (ValueError, OSError) as error:
            return MetadataError(f"item {access.shown(str(item.get('id')))}: asset {key} {access.reason(error)}.")
    return item


def _is_within(path: str, root: str) -> bool:
    """Whether a file lies in or below a folder; on disk, where links lead to."""
    if "://" in path or "://" in root:
        return posixpath.normpath(path).startswith(posixpath.normpath(root) + "/")
    return Path(path).resolve().is_relative_to(Path(root).resolve())


def as_item(content: Any) -> pystac.Item:
    """A ``pystac.Item`` of an item's JSON, of which nothing is kept as it was.

    Raises
    ------
    MetadataError
        If it is not an item.
    """
    if isinstance(content, MetadataError):
        raise content
    try:
        return pystac.Item.from_dict(content, preserve_dict=False)
    except Exception as error:  # pystac checks no types
        name = content.get("id") if isinstance(content, dict) else None
        raise MetadataError(f"item {facts.shown(name)} is no STAC item ({access.reason(error)}).") from error


# -- elevation --------------------------------------------------------------------------------------------------

DEM_COLLECTION = "cop-dem-glo-30"
DEM_CATALOGS = ("earth-search", "planetary-computer")


def dem_tiles(catalog: str, box: GeoBox, answers: Answers | None = None) -> list[str]:
    """Files of Copernicus GLO-30 that touch a grid, in the order of their names.

    Raises
    ------
    CatalogError
        If the catalogue has no elevation model, does not answer, or has none there.
    """
    if catalog not in DEM_CATALOGS:
        raise CatalogError(f"{catalog} has no elevation model; take one of {', '.join(DEM_CATALOGS)}.")
    query = {"collections": [DEM_COLLECTION], "intersects": shapely.geometry.mapping(degrees.of_grid(box))}
    items = sorted(map(as_item, from_api(CATALOGS[catalog].url, [query], answers)), key=lambda item: item.id)
    if not items:
        raise CatalogError(f"{catalog} has no tile of {DEM_COLLECTION} there; give the DEM as a file.")
    return [item.assets["data"].href for item in items]

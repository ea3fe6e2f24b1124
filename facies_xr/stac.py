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

from . import access, degrees
from .errors import CatalogError, MetadataError


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


def from_api(url: str, queries: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Items that a STAC API gives, page by page; failures that may pass are tried again, with growing waits.

    Parameters
    ----------
    url : str
        Landing page.
    queries : iterable of mapping
        Arguments of ``pystac_client.Client.search``.

    Raises
    ------
    CatalogError
        If the API does not answer.
    """
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        total=RETRIES, backoff_factor=BACK_OFF, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None
    )
    try:
        client = Client.open(url, stac_io=StacApiIO(max_retries=retry, timeout=TIMEOUT))
        for query in queries:
            yield from client.search(**query).items_as_dicts()
    except (APIError, OSError) as error:
        raise CatalogError(f"the STAC API {access.shown(url)} does not answer: {access.reason(error)}") from error


def from_file(path: str, root: str | None = None) -> Iterator[dict[str, Any]]:
    """Items of an items file, of a static catalogue, or of one item's file, with absolute hrefs.

    Parameters
    ----------
    path : str
        File or URL.
    root : str, optional
        Folder that relative hrefs may not leave; by default the file's own.

    Raises
    ------
    CatalogError
        If a file cannot be read as STAC, or an item's files lie outside of ``root``.
    """
    path = path if "://" in path else Path(path).absolute().as_posix()
    root = posixpath.dirname(path) if root is None else root if "://" in root else Path(root).absolute().as_posix()
    for item, base in _walk(path, set()):
        yield _anchored(item, base, root)


def _walk(path: str, seen: set[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Items in and below a file, each with the file it stands in."""
    seen.add(path)
    try:
        content = json.loads(access.read_text(path))
        kind = content.get("type")
        if kind == "FeatureCollection":
            yield from ((item, path) for item in content["features"])
        elif kind == "Feature":
            yield content, path
        elif kind in ("Catalog", "Collection"):
            for link in content["links"]:
                file = make_absolute_href(link["href"], path)
                if link["rel"] in ("child", "item") and file not in seen:
                    yield from _walk(file, seen)
        else:
            raise CatalogError(f"{path} is not a STAC catalogue, item or items file (type {kind!r}).")
    except (ValueError, KeyError, AttributeError, OSError) as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"{path} cannot be read as STAC: {access.reason(error)}") from error


def _anchored(item: dict[str, Any], base: str, root: str) -> dict[str, Any]:
    """The item with absolute hrefs; relative ones start beside the file they stand in and stay within ``root``."""
    for key, asset in (item.get("assets") or {}).items():
        relative = asset["href"]
        asset["href"] = make_absolute_href(relative, base)
        if asset["href"] != relative and not posixpath.normpath(asset["href"]).startswith(
            posixpath.normpath(root) + "/"
        ):
            raise CatalogError(
                f"item {item.get('id')}: asset {key} lies at {relative!r}, outside of the catalogue's folder {root}; "
                "pass root= with the folder that holds both, if you trust this catalogue."
            )
    return item


def as_item(content: dict[str, Any]) -> pystac.Item:
    """A ``pystac.Item`` of an item's JSON, of which nothing is kept as it was.

    Raises
    ------
    MetadataError
        If it is not an item.
    """
    try:
        return pystac.Item.from_dict(content, preserve_dict=False)
    except Exception as error:  # pystac checks no types
        name = content.get("id") if isinstance(content, Mapping) else None
        raise MetadataError(f"{name or '(no id)'}: not a STAC item ({access.reason(error)}).") from error


# -- elevation --------------------------------------------------------------------------------------------------

DEM_COLLECTION = "cop-dem-glo-30"
DEM_CATALOGS = ("earth-search", "planetary-computer")


def dem_tiles(catalog: str, box: GeoBox) -> list[str]:
    """Files of Copernicus GLO-30 that touch a grid, in the order of their names.

    Raises
    ------
    CatalogError
        If the catalogue has no elevation model, does not answer, or has none there.
    """
    if catalog not in DEM_CATALOGS:
        raise CatalogError(f"{catalog} has no elevation model; take one of {', '.join(DEM_CATALOGS)}.")
    query = {"collections": [DEM_COLLECTION], "intersects": shapely.geometry.mapping(degrees.of_grid(box))}
    items = sorted(from_api(CATALOGS[catalog].url, [query]), key=lambda item: item["id"])
    if not items:
        raise CatalogError(f"{catalog} has no tile of {DEM_COLLECTION} there; give the DEM as a file.")
    return [item["assets"]["data"]["href"] for item in items]

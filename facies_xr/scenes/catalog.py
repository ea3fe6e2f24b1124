"""Searching for scenes: STAC APIs by name or URL, static catalogues, items files, and folders of scenes."""

import json
import math
import posixpath
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from pystac.utils import make_absolute_href

from .. import access, degrees
from .. import outlines as _outlines
from ..errors import CatalogError, FaciesError, InputError
from ..seasons import Season, check_years
from . import sensors
from .selection import Scenes


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


def search(
    catalog: str | Path,
    area: Any,
    *,
    years: int | Iterable[int],
    season: Any = None,
    level: str = "TOA",
    sensor: str | Sequence[str] | None = None,
    max_cloud: float = 100.0,
    root: str | Path | None = None,
) -> Scenes:
    """Scenes of some glaciers at the end of the ablation season of some years.

    Parameters
    ----------
    catalog : str or Path
        Name of a known catalogue, URL of a STAC API, or a local catalogue or items file.
    area : outlines
        Path or GeoDataFrame, or (west, south, east, north) in degrees.
    years : int or iterable of int
        Balance years.
    season : (str, int), optional
        Centre as "MM-DD" and days on either side; by default 20 August +-20 days, 20 February in the south.
    level : {"TOA", "SR"}
        Top-of-atmosphere (Level-1) or surface reflectance (Level-2).
    sensor : str or sequence of str, optional
        For example "sentinel-2" or ("landsat-8", "landsat-9").
    max_cloud : float
        Largest cloud cover of a scene, by the provider's field; scenes without it are kept. [%]
    root : path, optional
        Folder that relative hrefs of a catalogue file may not leave; by default the file's own.

    Returns
    -------
    Scenes
        A pystac.ItemCollection, sorted by time, that shows as a table of what was found by year and sensor.

    Raises
    ------
    CatalogError
        If the catalogue is unknown or unreachable, or nothing was found.
    OutlineError
        If the area is unusable.
    """
    if level not in ("TOA", "SR"):
        raise InputError(f'level={level!r}: choose "TOA" or "SR".')
    region = _outlines.footprint(area).to_crs(4326).union_all()
    years = check_years(years)
    season = Season.parse(season) if season is not None else Season.at(region.centroid.y)
    wanted = None if sensor is None else {sensor} if isinstance(sensor, str) else set(sensor)
    if wanted is not None and (unknown := wanted - set(sensors.SENSORS)):
        raise InputError(f"unknown sensor {sorted(unknown)}; facies_xr knows {', '.join(sensors.SENSORS)}.")

    reasons: Counter[str] = Counter()
    found: dict[str, tuple[datetime, pystac.Item]] = {}
    for item in _candidates(str(catalog), region, years, season, level, None if root is None else str(root)):
        try:
            scene = sensors.resolve(item)
        except FaciesError as error:
            reasons["not usable scenes"] += 1
            last_error = str(error)
            continue
        day, year = scene.datetime.date(), int(season.balance_year(scene.datetime)[0])
        first, last = season.window(year)
        if not scene.footprint.intersects(region):
            reasons["elsewhere"] += 1
        elif year not in years or not first <= day <= last:
            reasons[f"outside the season {season} of the years"] += 1
        elif scene.level != level:
            reasons[f"of level {scene.level}"] += 1
        elif wanted is not None and scene.sensor not in wanted:
            reasons["of other sensors"] += 1
        elif scene.cloud_cover > max_cloud:
            reasons[f"cloudier than {max_cloud:g} %"] += 1
        else:
            found.setdefault(scene.id, (scene.datetime, item))  # catalogues repeat items across pages and collections
    if not found:
        left_out = ", ".join(f"{n} {why}" for why, n in reasons.items()) or "no item at all"
        hint = f" (first reason: {last_error})" if reasons["not usable scenes"] else ""
        raise CatalogError(
            f"{catalog}: no {level} scene of these glaciers in {_span(years)}, season {season}; found {left_out}{hint}."
            " Widen season=, years= or max_cloud=, or choose another catalogue or level."
        )
    items = [item for _, item in sorted(found.values(), key=lambda pair: pair[0])]
    return Scenes(items, season, years, reasons)


def _span(years: Sequence[int]) -> str:
    return str(years[0]) if len(years) == 1 else f"{years[0]}..{years[-1]}"


# -- where items come from --------------------------------------------------------------------------------------


def _candidates(catalog: str, region, years, season: Season, level: str, root: str | None) -> Iterator[pystac.Item]:
    if catalog in CATALOGS:
        known = CATALOGS[catalog]
        if not known.collections[level]:
            raise CatalogError(
                f"{catalog} has no {level} reflectance ({known.remark}); choose another catalogue or level."
            )
        warnings.warn(f"{catalog}: {known.remark}.", stacklevel=4)
        return _from_api(known.url, known.collections[level], region, years, season)
    if catalog.startswith(("http://", "https://")) and not catalog.endswith(".json"):
        return _from_api(catalog, None, region, years, season)
    return _from_file(catalog, root)


def _from_api(url: str, collections, region, years, season: Season) -> Iterator[pystac.Item]:
    area = shapely.geometry.mapping(degrees.hull(region))
    windows = (season.window(year) for year in years)
    queries = [{"collections": collections, "intersects": area, "datetime": f"{a}/{b}"} for a, b in windows]
    return _answer(url, queries)


def _answer(url: str, queries: Iterable[Mapping[str, Any]]) -> Iterator[pystac.Item]:
    """Items that a STAC API gives, page by page; failures that may pass are tried again, with growing waits."""
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
            yield from client.search(**query).items()
    except (APIError, OSError) as error:
        raise CatalogError(f"the STAC API {access.shown(url)} does not answer: {access.reason(error)}") from error


def _anchored(item: pystac.Item, base: str, root: str) -> pystac.Item:
    """The item with absolute hrefs; relative ones start beside the file they stand in and stay within ``root``."""
    for key, asset in item.assets.items():
        relative = asset.href
        asset.href = make_absolute_href(relative, base)
        if asset.href != relative and not posixpath.normpath(asset.href).startswith(posixpath.normpath(root) + "/"):
            raise CatalogError(
                f"item {item.id}: asset {key} lies at {relative!r}, outside of the catalogue's folder {root}; "
                "pass root= with the folder that holds both, if you trust this catalogue."
            )
    return item


def _from_file(catalog: str, root: str | None) -> Iterator[pystac.Item]:
    if "://" not in catalog and not Path(catalog).is_file():
        raise CatalogError(
            f"catalogue {catalog!r} is neither a file nor one of {', '.join(CATALOGS)}; "
            "make one from Landsat folders with: facies-xr catalog DIR -o catalog.json"
        )
    catalog = catalog if "://" in catalog else Path(catalog).absolute().as_posix()
    root = posixpath.dirname(catalog) if root is None else root if "://" in root else Path(root).absolute().as_posix()
    try:
        content = pystac.StacIO.default().read_json(catalog)
        if content.get("type") == "FeatureCollection":
            for feature in content["features"]:
                yield _anchored(pystac.Item.from_dict(feature, preserve_dict=False), catalog, root)
        elif content.get("type") in ("Catalog", "Collection"):
            for item in pystac.Catalog.from_file(catalog).get_items(recursive=True):
                yield _anchored(item, item.get_self_href() or catalog, root)
        elif content.get("type") == "Feature":
            yield _anchored(pystac.Item.from_dict(content), catalog, root)
        else:
            raise CatalogError(f"{catalog} is not a STAC catalogue, item or items file (type {content.get('type')!r}).")
    except (json.JSONDecodeError, pystac.STACError, KeyError, OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{catalog} cannot be read as STAC: {error}") from error


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
    items = sorted(_answer(CATALOGS[catalog].url, [query]), key=lambda item: item.id)
    if not items:
        raise CatalogError(f"{catalog} has no tile of {DEM_COLLECTION} there; give the DEM as a file.")
    return [item.assets["data"].href for item in items]


# -- a catalogue of folders -------------------------------------------------------------------------------------


def from_folders(folder: str | Path) -> pystac.ItemCollection:
    """STAC items of all Landsat folders (MTL and band files) and Sentinel-2 SAFE folders in and below a folder.

    Raises
    ------
    CatalogError
        If there is none.
    MetadataError
        If metadata are broken or a band file is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CatalogError(f"{folder} is not a folder.")
    landsat = {p.parent for p in folder.rglob("*") if p.name.upper().endswith(("_MTL.TXT", "_MTL.JSON", "_MTL.XML"))}
    sentinel = {p.parent for p in folder.rglob("MTD_MSIL*.xml")}
    if not landsat | sentinel:
        raise CatalogError(f"{folder} holds no scene: no *_MTL.txt and no MTD_MSIL1C.xml in it or below it.")
    scenes = [sensors.read_mtl(home) for home in landsat]
    scenes += [granule for home in sentinel for granule in sensors.read_safe(home)]
    return pystac.ItemCollection([_item(scene) for scene in sorted(scenes, key=lambda s: (s.datetime, s.id))])


_COMMON_NAMES = {"swir1": "swir16", "swir2": "swir22"}


def _item(scene: sensors.Scene) -> pystac.Item:
    """Item in the form of the providers' own, with the geometry of the files."""
    landsat = scene.sensor.startswith("landsat")
    assets = {}
    try:
        for name, band in scene.bands.items():
            with rasterio.open(band.href) as file:
                extra: dict[str, Any] = {"proj:shape": list(file.shape), "proj:transform": list(file.transform)[:6]}
                crs, bounds = file.crs, file.bounds
            if not landsat:
                extra["raster:bands"] = [{"nodata": band.nodata, "scale": band.scale, "offset": band.offset}]
            key = "nir08" if landsat and name == "nir" else _COMMON_NAMES.get(name, name)
            assets[key] = pystac.Asset(str(Path(band.href).resolve()), roles=["data"], extra_fields=extra)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise CatalogError(f"scene {scene.id}: {name} cannot be read: {error}") from error
    assert scene.metadata is not None
    key = f"MTL{Path(scene.metadata).suffix.lower()}" if landsat else "product_metadata"
    assets[key] = pystac.Asset(str(Path(scene.metadata).resolve()), roles=["metadata"])
    if scene.qa is not None:
        assets["qa_pixel" if landsat else "scl"] = pystac.Asset(str(Path(scene.qa).resolve()), roles=["cloud"])
    properties: dict[str, Any] = {
        "platform": scene.sensor,
        "instruments": [scene.instrument.name.lower()],
        "view:sun_azimuth": scene.sun_azimuth,
        "view:sun_elevation": scene.sun_elevation,
        "proj:code": f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else None,
    }
    if landsat:
        properties["landsat:wrs_path"] = f"{int(scene.datatake.split('/')[1]):03d}"
        properties["landsat:correction"] = "L1TP" if scene.level == "TOA" else "L2SP"
    else:
        properties["s2:datatake_id"] = scene.datatake
        properties["s2:product_type"] = "S2MSI1C" if scene.level == "TOA" else "S2MSI2A"
    if math.isfinite(scene.cloud_cover):
        properties["eo:cloud_cover"] = scene.cloud_cover
    outline = shapely.segmentize(shapely.box(*bounds), (bounds.right - bounds.left) / 8)
    ring = shapely.transform(outline, lambda xy: _to_degrees(crs, xy))
    item = pystac.Item(
        id=scene.id,
        geometry=shapely.geometry.mapping(ring),
        bbox=list(ring.bounds),
        datetime=scene.datetime.to_pydatetime(),
        properties=properties,
    )
    item.assets = assets
    return item


def _to_degrees(crs, xy):
    import numpy as np

    return np.column_stack(Transformer.from_crs(crs, 4326, always_xy=True).transform(*xy.T))

"""STAC items of local folders, as the missions' archives ship them."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import shapely
from pyproj import Transformer

from .. import access
from ..errors import CatalogError, FaciesError
from . import archives, missions
from .readers import driver
from .scene import Scene

METADATA = "*_MTL.txt, MTD_MSIL1C.xml or MTD_MSIL2A.xml"
"""What products are known by, as errors say that it is missing."""

RASTERS = {".tif", ".tiff", ".jp2"}
"""Ends of the names of bands' files."""


def from_folders(folder: str | Path) -> pystac.ItemCollection:
    """STAC items of all products of the known missions in and below a folder.

    Products that cannot be read, lie there twice, or are still packed are left out with a warning, and so are folders
    with rasters of no known product.

    Raises
    ------
    CatalogError
        If there is none, or a band's file of the only one is missing.
    MetadataError
        If the metadata of the only one are broken.
    """
    folder = Path(folder)
    archives.require_unpacked(folder)
    if not folder.is_dir():
        raise CatalogError(f"{folder} is not a folder.")
    items: dict[str, tuple[Scene, pystac.Item]] = {}
    errors: list[FaciesError] = []
    homes: set[Path] = set()
    for mission in missions.MISSIONS.values():
        for product in mission.products(folder):
            homes.add(product if product.is_dir() else product.parent)
            try:
                for scene in mission.read(product):
                    if scene.id in items:
                        errors.append(CatalogError(f"scene {scene.id} lies there twice, in {product} too."))
                    else:
                        items[scene.id] = scene, _item(scene)
            except FaciesError as error:
                errors.append(error)
    files = sorted(folder.rglob("*"))
    errors += [archives.unread(path) for path in files if archives.is_packed(path)]
    errors += [
        CatalogError(f"{stray} holds rasters, but no {METADATA}: if they are a scene, its metadata are missing.")
        for stray in _strays(folder, files, homes)
    ]
    if not items:
        raise (errors[0] if errors else CatalogError(f"{folder} holds no scene: no {METADATA} in it or below it."))
    for fault in errors:
        warnings.warn(f"left out: {fault}", stacklevel=2)
    return pystac.ItemCollection(
        [item for _, item in sorted(items.values(), key=lambda pair: (pair[0].datetime, pair[0].id))]
    )


def _strays(folder: Path, files: list[Path], homes: set[Path]) -> list[Path]:
    """Outermost folders below one that hold rasters, but no product and none in or above them."""
    outer = {above for home in homes for above in (home, *home.parents)}
    found: set[Path] = set()
    for path in files:
        if path.suffix.lower() in RASTERS and not path.name.startswith("._") and not homes & {*path.parents}:
            below = [above for above in path.parents if folder in above.parents and above not in outer]
            found |= set(below[-1:])
    return sorted(found)


def _item(scene: Scene) -> pystac.Item:
    """Item in the form of the providers' own, with the geometry of the files."""
    properties, described = missions.of(scene).describe(scene)
    assets = {
        key: pystac.Asset.from_dict({**asset, "href": str(Path(asset["href"]).resolve())})
        for key, asset in described.items()
    }
    names = {band.href: name for name, band in scene.bands.items()}
    for key, asset in described.items():
        if asset["href"] in names:
            try:
                with access.opened(asset["href"], driver(asset["href"])) as file:
                    assets[key].extra_fields |= {
                        "proj:shape": list(file.shape),
                        "proj:transform": list(file.transform)[:6],
                    }
                    crs, bounds = file.crs, file.bounds
            except (OSError, rasterio.errors.RasterioError) as error:
                raise CatalogError(f"scene {scene.id}: {names[asset['href']]} cannot be read: {error}") from error
    outline = shapely.segmentize(shapely.box(*bounds), (bounds.right - bounds.left) / 8)
    ring = shapely.transform(outline, lambda xy: _to_degrees(crs, xy))
    common: dict[str, Any] = {
        "platform": scene.sensor,
        "instruments": [scene.instrument.name.lower()],
        "view:sun_azimuth": scene.sun_azimuth,
        "view:sun_elevation": scene.sun_elevation,
        "proj:code": f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else None,
    }
    if math.isfinite(scene.cloud_cover):
        properties["eo:cloud_cover"] = scene.cloud_cover
    item = pystac.Item(
        id=scene.id,
        geometry=shapely.geometry.mapping(ring),
        bbox=list(ring.bounds),
        datetime=scene.datetime.to_pydatetime(),
        properties=common | properties,
    )
    item.assets = assets
    return item


def _to_degrees(crs, xy: np.ndarray) -> np.ndarray:
    return np.column_stack(Transformer.from_crs(crs, 4326, always_xy=True).transform(*xy.T))

"""What users get of a region: outlines, an elevation model with its errors, records, scenes and their catalogue."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import rasterio
import rasterio.shutil
import shapely
import zarr
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.features import shapes

from ..seasons import check_years
from . import observations, scenes, terrain
from .noise import fractal
from .setting import RESOLUTION, TILE, Setting, places

DEM_YEAR = 2013
DEM_NOISE = 3.0
"""Of the elevation model that users get. [m]"""


def write_products(setting: Setting, truth: zarr.Group, folder: Path) -> None:
    """Write all that users would have of a region."""
    _write_outlines(setting, folder)
    _write_dem(setting, folder)
    _write_observations(setting, folder)
    _write_scenes(setting, truth, folder)


def _write_outlines(setting: Setting, folder: Path) -> None:
    rows = []
    for name, glacier in zip(setting.ids, setting.landscape.glaciers, strict=True):
        k = setting.ids.index(name)
        box = _around(glacier, setting.box.crs)
        index = setting.landscape.glacier(*places(box, slice(0, box.height), slice(0, box.width)))
        parts = [
            shapely.geometry.shape(s) for s, v in shapes((index == k).astype("uint8"), transform=box.affine) if v == 1
        ]
        largest = max(parts, key=lambda p: p.area)
        rows.append(
            {
                "rgi_id": name,
                "glac_name": f"Synthetic {k + 1}",
                "src_date": date(DEM_YEAR, 8, 20).isoformat(),
                "geometry": largest.simplify(6.0),
            }
        )
    table = gpd.GeoDataFrame(rows, crs=setting.box.crs.to_wkt())
    table.to_file(folder / "outlines.gpkg", driver="GPKG")


def _around(glacier: terrain.Valley | terrain.IceCap, crs: CRS) -> GeoBox:
    if isinstance(glacier, terrain.Valley):
        low, high = glacier.line.min(0), glacier.line.max(0)
    else:
        low, high = (np.array(glacier.centre) + s * 1.6 * glacier.radius for s in (-1, 1))
    bounds = (*(low - 300), *(high + 300))
    return GeoBox.from_bbox(bounds, crs, resolution=RESOLUTION)


def _write_dem(setting: Setting, folder: Path) -> None:
    """One arc second, in degrees, with noise, and with a tongue that has thinned since."""
    step = 1 / 3600
    ring = setting.box.extent.to_crs("EPSG:4326", resolution=500).boundingbox
    west, south = (np.floor(v / step - 60) * step for v in (ring.left, ring.bottom))
    east, north = (np.ceil(v / step + 60) * step for v in (ring.right, ring.top))
    width, height = round((east - west) / step), round((north - south) / step)
    transform = Affine(step, 0, west, 0, -step, north)
    draft = folder / "dem.draft.tif"
    to_grid = Transformer.from_crs(4326, setting.box.crs.proj, always_xy=True)
    older = np.mean(check_years(setting.years)) - DEM_YEAR
    with rasterio.open(draft, "w", driver="GTiff", width=width, height=height, count=1, dtype="float32",
                       crs="EPSG:4326", transform=transform, tiled=True, nodata=-32767) as file:  # fmt: skip
        for r in range(0, height, TILE):
            n = min(TILE, height - r)
            lon, lat = transform * np.meshgrid(np.arange(width) + 0.5, np.arange(r, r + n) + 0.5)
            x, y = to_grid.transform(lon, lat)
            z, index = setting.landscape.shape(x, y)
            z = z + DEM_NOISE * fractal(x, y, setting.seed + 13, 130.0, 3)
            z += np.where(index >= 0, 1.5 * older * np.clip((z.mean() - z) / 400, 0, 1), 0)
            file.write(z.astype("float32"), 1, window=rasterio.windows.Window(0, r, width, n))
    rasterio.shutil.copy(draft, folder / "dem.tif", driver="COG", compress="deflate")
    draft.unlink()


def _write_observations(setting: Setting, folder: Path) -> None:
    table = pd.read_csv(folder / "truth_balance.csv")
    sizes = pd.read_csv(folder / "truth_glaciers.csv").set_index("glacier").pixels * RESOLUTION**2 / 1e6
    records = observations.balance_table(table, sizes.to_dict(), setting.seed)
    records.to_csv(folder / "balance.csv", index=False)


def _write_scenes(setting: Setting, truth: zarr.Group, folder: Path) -> None:
    items = []
    for t, plan in enumerate(setting.plans):
        reflectance = _Slice(truth["reflectance"], t)
        items.append(scenes.write(plan, reflectance, setting.box, folder, wedge=plan.seed % 5 == 0))
    pystac.ItemCollection(items).save_object(str(folder / "catalog.json"))


@dataclass(frozen=True)
class _Slice:
    """One date of a Zarr array, read window by window."""

    array: zarr.Array
    t: int

    def __getitem__(self, key):
        return self.array[(self.t, *key)]

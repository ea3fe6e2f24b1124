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
from pyproj import Transformer
from rasterio.features import shapes

from . import observations, scenes
from .noise import fractal
from .setting import RESOLUTION, TILE, Setting, places

DEM_YEAR = 2013
EDITIONS = (1990, 2003, DEM_YEAR, 2021)
"""Years of the outlines; users get those of :data:`DEM_YEAR`."""

DEM_NOISE = 3.0
"""Of the elevation model that users get. [m]"""


def write_products(setting: Setting, truth: zarr.Group, folder: Path) -> None:
    """Write all that users would have of a region."""
    _write_outlines(setting, folder)
    _write_dem(setting, folder)
    _write_observations(setting, folder)
    _write_scenes(setting, truth, folder)


def _write_outlines(setting: Setting, folder: Path) -> None:
    """The edition that users get, and all editions, in which glaciers shrink."""
    tables = {year: _outlines(setting, year) for year in EDITIONS}
    tables[DEM_YEAR].to_file(folder / "outlines.gpkg", driver="GPKG")
    pd.concat(tables.values(), ignore_index=True).to_file(folder / "outline_editions.gpkg", driver="GPKG")


def _outlines(setting: Setting, year: int) -> gpd.GeoDataFrame:
    box = setting.box
    index = np.full(box.shape, -1, "int16")
    for r in range(0, box.height, TILE):
        rows = slice(r, min(r + TILE, box.height))
        index[rows] = setting.landscape.places(*places(box, rows, slice(0, box.width))).glacier(year + 0.6)
    rows_ = []
    for k, name in enumerate(setting.ids):
        mine = shapes((index == k).astype("uint8"), mask=index == k, transform=box.affine)
        parts = [shapely.geometry.shape(s) for s, _ in mine]
        if parts:
            outline = max(parts, key=lambda p: p.area).simplify(6.0)
            row = {"rgi_id": name, "glac_name": f"Synthetic {k + 1}", "src_date": date(year, 8, 20).isoformat()}
            rows_.append({**row, "geometry": outline})
    return gpd.GeoDataFrame(rows_, crs=box.crs.to_wkt())


def _write_dem(setting: Setting, folder: Path) -> None:
    """One arc second, in degrees, with noise, and of a year of its own: tongues have thinned since."""
    step = 1 / 3600
    ring = setting.box.extent.to_crs("EPSG:4326", resolution=500).boundingbox
    west, south = (np.floor(v / step - 60) * step for v in (ring.left, ring.bottom))
    east, north = (np.ceil(v / step + 60) * step for v in (ring.right, ring.top))
    width, height = round((east - west) / step), round((north - south) / step)
    transform = Affine(step, 0, west, 0, -step, north)
    draft = folder / "dem.draft.tif"
    to_grid = Transformer.from_crs(4326, setting.box.crs.proj, always_xy=True)
    with rasterio.open(draft, "w", driver="GTiff", width=width, height=height, count=1, dtype="float32",
                       crs="EPSG:4326", transform=transform, tiled=True, nodata=-32767) as file:  # fmt: skip
        for r in range(0, height, TILE):
            n = min(TILE, height - r)
            lon, lat = transform * np.meshgrid(np.arange(width) + 0.5, np.arange(r, r + n) + 0.5)
            x, y = to_grid.transform(lon, lat)
            z = setting.landscape.places(x, y).elevation(DEM_YEAR)
            z = z + DEM_NOISE * fractal(x, y, setting.seed + 13, 130.0, 3)
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

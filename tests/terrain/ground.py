"""Ground and glaciers that the tests of the layers share."""

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from scipy.ndimage import gaussian_filter

from facies_xr import grids


def square(x, y, size, name):
    return {"glacier": name, "geometry": shapely.box(x, y, x + size, y + size)}


def synthetic_outlines():
    """Two touching squares, one with a nunatak, and one smaller than a pixel."""
    hole = shapely.box(600300, 5100300, 600400, 5100400)
    rows = [
        {"glacier": "left", "geometry": shapely.box(600000, 5100000, 600600, 5100600) - hole},
        square(600600, 5100000, 600, "right"),
        {"glacier": "speck", "geometry": shapely.box(601502, 5100502, 601504, 5100504)},
    ]
    return gpd.GeoDataFrame(rows, crs="EPSG:32632")


def rough_terrain(seed, shape=(640, 700)):
    """A grid of several tiles, its elevation with voids, and glaciers that overlap, touch and cross tiles."""
    rng = np.random.default_rng(seed)
    box = grids.GeoBox(shape, grids.Affine(10, 0, 600000, 0, -10, 5106400), "EPSG:32632")
    z = gaussian_filter(rng.standard_normal(shape), 9) * 2000 + 2500
    for r, c in rng.integers(0, 600, (6, 2)):
        z[r : r + rng.integers(1, 9), c : c + rng.integers(1, 9)] = np.nan
    dem = xr.DataArray(z, dims=("y", "x"), coords=grids.coords(box), name="rough")
    x, y = rng.uniform(600000, 607000, 25), rng.uniform(5100000, 5106400, 25)
    shapes = gpd.points_from_xy(x, y, crs=32632).buffer(rng.uniform(5, 500, 25))
    shapes[3] = shapely.box(604000, 5100900, 606400, 5101500)  # across the tiles' edges
    return box, dem, gpd.GeoDataFrame({"glacier": [f"g{k}" for k in range(25)]}, geometry=shapes, crs=32632)


ROUGH = rough_terrain(0)

"""Time of the survey of many glaciers: add_terrain before any pixel is asked for.

    python benchmarks/glaciers.py [SIZE]

Glaciers are random ellipses on a grid of SIZE x SIZE pixels of 10 m, their number in proportion to its area: 5000 on
20 000 x 20 000. The alternative takes a glacier at a time: burn its window, look up elevations, scipy's distance
transform; it runs on every tenth glacier.
"""

import resource
import sys
import time
import warnings

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt

import facies_xr as fx
from facies_xr import grids

LEFT, TOP, CRS = 400_000, 5_400_000, 32632


def outlines(size: int) -> gpd.GeoDataFrame:
    """Ellipses of 200 m to 6 km."""
    rng, n = np.random.default_rng(0), max(round(5000 * (size / 20_000) ** 2), 10)
    x, y = LEFT + rng.uniform(0, size * 10, n), TOP - rng.uniform(0, size * 10, n)
    long = 100 * np.exp(rng.uniform(0, np.log(30), n))
    turn = rng.uniform(0, 180, n)
    unit = shapely.Point(0, 0).buffer(1)
    shapes = [
        shapely.affinity.translate(shapely.affinity.rotate(shapely.affinity.scale(unit, a, a / 2.5), t), u, v)
        for a, t, u, v in zip(long, turn, x, y, strict=True)
    ]
    return gpd.GeoDataFrame({"glacier": [f"g{k}" for k in range(n)]}, geometry=shapes, crs=CRS)


def one_by_one(table: gpd.GeoDataFrame, dem: xr.DataArray, box: GeoBox) -> None:
    """Bounds of elevation and largest distance, a glacier at a time."""
    for geometry in table.geometry:
        west, south, east, north = geometry.bounds
        (left, top), (right, bottom) = ~box.affine * (west, north), ~box.affine * (east, south)
        rows, columns = (slice(int(a) - 1, int(b) + 2) for a, b in ((top, bottom), (left, right)))
        window = grids.window(box, rows, columns)
        inside = rasterize([geometry], out_shape=tuple(window.shape), transform=window.affine).astype(bool)
        if inside.any():
            x, y = window.affine * np.array([(c + 0.5, r + 0.5) for r, c in np.argwhere(inside)]).T
            z = dem.interp(x=("p", x), y=("p", y)).values
            _ = np.nanmin(z), np.nanmax(z), distance_transform_edt(inside).max()


def main() -> None:
    """Sizes up to the one asked for."""
    warnings.simplefilter("ignore")
    largest = int((sys.argv[1:] or ["20000"])[0])
    for size in (largest // 10, largest // 4, largest // 2, largest):
        box = GeoBox((size, size), Affine(10, 0, LEFT, 0, -10, TOP), f"EPSG:{CRS}")
        coarse = box.pad(400).zoom_out(40)
        z = np.random.default_rng(0).random(coarse.shape) * 300 + 2000
        dem = xr.DataArray(z, dims=("y", "x"), coords=grids.coords(coarse), name="coarse")
        table = outlines(size)
        start = time.perf_counter()
        fx.add_terrain(box, dem, table, sun_azimuth=150.0, sun_elevation=60.0)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        one_by_one(table.iloc[::10], dem, box)
        theirs = 10 * (time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(
            f"{size}^2, {len(table)} glaciers: {ours:.1f} s, one by one {theirs:.1f} s, peak {peak:.2f} GiB", flush=True
        )


if __name__ == "__main__":
    main()

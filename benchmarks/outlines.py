"""Growth of the time of add_terrain with the number of outlines, before any pixel is asked for.

    python benchmarks/outlines.py [OUTLINES] [PITCH]

Outlines of 40 vertices stand PITCH pixels of 10 m apart and overlap, on a grid that grows with their number: a tenth
of the number asked for, a third, and all. The processor's time is what the process used on all cores; it changes
little on a machine that others use, too.
"""

import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import facies_xr as fx
from facies_xr import grids

LEFT, TOP, CRS, PIXEL = 400_000, 5_400_000, 32632, 10


def outlines(count: int, side: int) -> gpd.GeoDataFrame:
    """Clovers on a square of ``side`` pixels."""
    rng, across = np.random.default_rng(0), int(np.ceil(np.sqrt(count)))
    step, k = side * PIXEL / across, np.arange(count)
    x = LEFT + (k % across + 0.5 + rng.uniform(-0.2, 0.2, count)) * step
    y = TOP - (k // across + 0.5) * step
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = step * rng.uniform(0.3, 0.6, count)[:, None] * (1 + 0.2 * np.sin(3 * angle))
    rings = np.stack([x[:, None] + radius * np.cos(angle), y[:, None] + radius * np.sin(angle)], -1)
    return gpd.GeoDataFrame({"glacier": [f"g{n}" for n in k]}, geometry=shapely.polygons(rings), crs=CRS)


def main() -> None:
    """A line for each number of outlines."""
    warnings.simplefilter("ignore")
    count, pitch = (int(v) for v in sys.argv[1:] + ["100000", "10"][len(sys.argv) - 1 :])
    for n in (count // 10, count // 3, count):
        side = round(np.sqrt(n) * pitch)
        box = GeoBox((side, side), Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP), f"EPSG:{CRS}")
        coarse = box.pad(400).zoom_out(40)
        z = np.random.default_rng(0).random(coarse.shape) * 300 + 2000
        dem = xr.DataArray(z, dims=("y", "x"), coords=grids.coords(coarse), name="coarse")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "outlines.gpkg"
            outlines(n, side).to_file(path)
            wall, used = time.perf_counter(), time.process_time()
            fx.add_terrain(box, dem, path, sun_azimuth=150.0, sun_elevation=60.0)
        wall, used = time.perf_counter() - wall, time.process_time() - used
        print(
            f"{n} outlines on {side}^2: {wall:.1f} s, processor {used:.1f} s, {1e3 * used / n:.2f} ms each", flush=True
        )


if __name__ == "__main__":
    main()

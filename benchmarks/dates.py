"""Memory and time to the first tile, by the number of dates.

    python benchmarks/dates.py [DATES ...]

Writes one synthetic Sentinel-2 scene of 6000 x 6000 pixels, an elevation model and six small glaciers to files, and
takes the scene for each of 1, 4, 20 dates: search results through load, add_terrain, classify, calibrate, write, with
two threads. Each number of dates has a process of its own, whose peak memory is printed, with the time from the call of
write to its first tile with ice, the time in all, and the tiles with ice.
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from load import EPSG, LEFT, TOP, scene
from rasterio.transform import from_origin

SIZE, DATES = 6000, (1, 4, 20)
CENTRES = ((900, 1100), (1600, 4800), (2700, 2300), (3500, 3900), (4700, 900), (5300, 5200))
"""Of the glaciers: row and column. [px]"""


def items(folder: Path, dates: int) -> list:
    """Items of one scene on several dates; its files are those of the first."""
    first, made = scene(folder, SIZE, 0), []
    for day in range(dates):
        item = scene(None, SIZE, day)
        for name, asset in item.assets.items():
            asset.href = first.assets[name].href
        made.append(item)
    return made


def dem(folder: Path, size: int = SIZE) -> Path:
    """Elevation model of 30 m with ridges, some way beyond the grid."""
    path, n, margin = folder / "dem.tif", size // 3 + 400, 6000
    y, x = np.mgrid[:n, :n] * 30.0
    z = 2000 + 400 * np.sin(x / 4000) * np.cos(y / 5000) + 150 * np.sin(x / 700 + y / 900)
    transform = from_origin(LEFT - margin, TOP + margin, 30, 30)
    with rasterio.open(path, "w", driver="GTiff", height=n, width=n, count=1, dtype="float32", tiled=True,
                       crs=f"EPSG:{EPSG}", transform=transform, nodata=-9999) as file:  # fmt: skip
        file.write(z.astype("float32"), 1)
    return path


def outlines(folder: Path) -> Path:
    """Six round glaciers with a radius of 600 m."""
    shapes = [shapely.Point(LEFT + 10 * c, TOP - 10 * r).buffer(600) for r, c in CENTRES]
    table = gpd.GeoDataFrame({"glac_id": [f"G{k}" for k in range(6)]}, geometry=shapes, crs=EPSG)
    table.to_crs(4326).to_file(folder / "outlines.gpkg")
    return folder / "outlines.gpkg"


def line(folder: Path, dates: int) -> None:
    """From items to the store, in this process."""
    import dask
    import torch
    from odc.geo.geobox import GeoBox

    import facies_xr as fx
    from facies_xr.demo import MODEL

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    box = GeoBox.from_bbox((LEFT, TOP - 10 * SIZE, LEFT + 10 * SIZE, TOP), f"EPSG:{EPSG}", resolution=10)
    out = folder / f"{dates}.zarr"
    first: list[float] = []

    def watch(start: float) -> None:
        while not first:
            if any((out / "facies_map" / "c").glob("*/*/*")):
                first.append(time.perf_counter() - start)
            time.sleep(0.05)

    with dask.config.set(num_workers=2):
        start = time.perf_counter()
        cube = fx.load(items(folder, dates), like=box)
        cube = fx.add_terrain(cube, folder / "dem.tif", folder / "outlines.gpkg")
        maps = cube.facies.classify(MODEL).facies.calibrate()
        built = time.perf_counter()
        threading.Thread(target=watch, args=(built,), daemon=True).start()
        maps = fx.write(maps, out, progress=False)
        end = time.perf_counter()
    ice = maps.glacier_index.values > 0
    tiles = sum(bool(ice[y : y + 512, x : x + 512].any()) for y in range(0, SIZE, 512) for x in range(0, SIZE, 512))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{dates:4} dates: peak {peak:5.2f} GiB, first tile after {first[0]:5.1f} s, built in {built - start:5.1f} s, "
        f"written in {end - built:6.1f} s (processor {time.process_time():.0f} s), {tiles} tiles with ice",
        flush=True,
    )


def main() -> None:
    """Each number of dates in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene(folder, SIZE, 0)
        dem(folder)
        outlines(folder)
        for dates in map(int, sys.argv[1:] or DATES):
            subprocess.run([sys.executable, __file__, "--line", str(folder), str(dates)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--line"]:
        line(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()

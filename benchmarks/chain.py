"""Where the time of a map goes, from store to store: reading, terrain, features, network, writing.

    python benchmarks/chain.py [SIZE] [MODEL ...]

A scene of SIZE x SIZE px (10 980 by default) in a Zarr store, an elevation model and round glaciers on 3 % and on 30 %
of it go through add_terrain, classify, calibrate and write, on one thread. Each cover has a process of its own, which
has run a small scene before. Prints seconds of the processor of each stage, its share, and its pixels a second: those
of the tiles that hold ice for what works on whole tiles, glacier pixels for features and network, those of the grid for
heights and outlines, which are stored everywhere.

MODEL is "synthetic-v1-dense" by default.
"""

import functools
import pkgutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask
import geopandas as gpd
import numpy as np
import rasterio
import shapely
import xarray as xr
from dates import dem
from load import EPSG, LEFT, TOP
from odc.geo.geobox import GeoBox
from tile import glaciers

import facies_xr as fx
from facies_xr import grids
from facies_xr.stations import BANDS

COVERS = (0.03, 0.3)
STAGES = {
    "survey": "facies_xr.terrain.layers.survey",
    "read": "xarray.backends.zarr.ZarrArrayWrapper.__getitem__",
    "heights, outlines": "facies_xr.lazy.windows._windows_block",
    "terrain": "facies_xr.lazy.placed._placed_block",
    "features": "facies_xr.lazy.overlap._tiles_block",
    "network": "facies_xr.nn.evaluate.together",
    "write": "facies_xr.store.writing.write_tile",
}
"""Functions that do all of a stage; the network is within the features."""


def scene(folder: Path, size: int) -> Path:
    """Reflectance of noise, in a store."""
    box = GeoBox.from_bbox((LEFT, TOP - 10 * size, LEFT + 10 * size, TOP), f"EPSG:{EPSG}", resolution=10)
    rng = np.random.default_rng(0)
    part = rng.random((1024, 1024), "float32")
    times = -(-size // 1024)
    bands = {
        name: (("time", "y", "x"), np.tile(np.roll(part, k), (times, times))[None, :size, :size])
        for k, name in enumerate(BANDS)
    }
    sun = {"sun_azimuth": ("time", [160.0]), "sun_elevation": ("time", [40.0])}
    coords = {**grids.coords(box), "time": [np.datetime64("2020-08-20", "ns")], **sun}
    xr.Dataset(bands, coords, {"level": "TOA"}).chunk(time=1, y=512, x=512).to_zarr(folder / "scene.zarr")
    return folder / "scene.zarr"


def outlines(folder: Path, size: int, cover: float) -> Path:
    """Round glaciers of 2 to 6 km on a share of the grid, as polygons."""
    labels = glaciers(size, cover)
    found = rasterio.features.shapes(labels, labels > 0, transform=rasterio.Affine(10, 0, LEFT, 0, -10, TOP))
    table = gpd.GeoDataFrame(geometry=[shapely.geometry.shape(shape) for shape, _ in found], crs=EPSG)
    table["glac_id"] = [f"G{k}" for k in range(len(table))]
    table.to_crs(4326).to_file(folder / f"{cover}.gpkg")
    return folder / f"{cover}.gpkg"


def chain(source: Path, heights: Path, table: Path, model: str, target: Path) -> xr.Dataset:
    """From store to store."""
    cube = xr.open_zarr(source, decode_coords="all")
    maps = fx.classify(fx.add_terrain(cube, str(heights), str(table)), model)
    return fx.write(fx.calibrate(maps), target, progress=False)


def timed(path: str, seconds: dict[str, float]) -> None:
    """Put a clock of the processor around a function, by the name under which it is called."""
    home, name = path.rsplit(".", 1)
    owner = pkgutil.resolve_name(home)
    function = getattr(owner, name)

    @functools.wraps(function)
    def around(*args, **kwargs):
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[path] += time.process_time() - start

    setattr(owner, name, around)


def measure(folder: Path, table: Path, model: str) -> None:
    """Print the figures of one cover."""
    seconds = dict.fromkeys(STAGES.values(), 0.0)
    for path in seconds:
        timed(path, seconds)
    target, start = folder / f"{table.stem}-{model}.zarr", time.process_time()
    with dask.config.set(scheduler="synchronous"):
        found = chain(folder / "scene.zarr", folder / "dem.tif", table, model, target)
    total = time.process_time() - start
    ice = found.glacier_index.values > 0
    tiles = sum(
        part.size
        for row in np.split(ice, range(512, ice.shape[0], 512))
        for part in np.split(row, range(512, ice.shape[1], 512), axis=1)
        if part.any()
    )
    took = {stage: seconds[path] for stage, path in STAGES.items()}
    took["features"] -= took["network"]
    took["all else"] = total - sum(took.values())
    pixels = {"features": ice.sum(), "network": ice.sum(), "heights, outlines": ice.size, "all else": ice.size}
    print(
        f"{ice.shape[0]}^2 px, {100 * ice.mean():.0f} % ice, {100 * tiles / ice.size:.0f} % in tiles with ice, {model}"
    )
    for stage, spent in took.items():
        rate = pixels.get(stage, tiles) / max(spent, 1e-9) / 1e6
        print(f"  {stage:17s} {spent:7.1f} s {100 * spent / total:4.0f} % {rate:8.2f} Mpx/s")
    print(f"  {'all':17s} {total:7.1f} s {'':6s} {ice.size / total / 1e6:8.2f} Mpx/s", flush=True)


def main() -> None:
    """Every cover in a process of its own."""
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["measure"]:
        folder, table, model = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
        with tempfile.TemporaryDirectory() as small:
            here = Path(small)
            chain(scene(here, 512), folder / "dem.tif", outlines(here, 512, 0.1), model, here / "maps.zarr")
        measure(folder, table, model)
        return
    size = int((sys.argv[1:] or ["10980"])[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene(folder, size)
        dem(folder, size)
        for cover in COVERS:
            table = outlines(folder, size, cover)
            for model in sys.argv[2:] or ["synthetic-v1-dense"]:
                subprocess.run([sys.executable, __file__, "measure", folder, table, model], check=True)


if __name__ == "__main__":
    main()

"""A whole Sentinel-2 tile from store to store: time, pixels classified, and peak memory.

    python benchmarks/tile.py [SIZE]
    python benchmarks/tile.py cluster

A cube of SIZE x SIZE px (10 980 by default) of six bands with glaciers on 3 % of it is written; then a process of its
own classifies it with synthetic-v1-bands and writes the maps. "cluster" compares one and two processes of a
LocalCluster with one thread each, on 64 x 128 x 128 px that are all classified.
"""

import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import facies_xr as fx
from facies_xr import grids
from facies_xr.stations import BANDS


def cube(size: int, dates: int) -> xr.Dataset:
    """Reflectance of noise."""
    box = GeoBox((size, size), Affine(10, 0, 600000, 0, -10, 5200000), "EPSG:32632")
    bands = {
        name: (
            ("time", "y", "x"),
            da.random.default_rng(k).random((dates, size, size), "float32", chunks=(1, 512, 512)),
        )
        for k, name in enumerate(BANDS)
    }
    times = np.datetime64("2020-08-01", "ns") + np.arange(dates) * np.timedelta64(16, "D")
    return xr.Dataset(bands, coords={**grids.coords(box), "time": times}, attrs={"level": "TOA"})


def glaciers(size: int, cover: float = 0.03) -> np.ndarray:
    """Round glaciers of 2 to 6 km on a share of a grid."""
    rng, out = np.random.default_rng(0), np.zeros((size, size), "int32")
    number = 0
    while (out > 0).mean() < cover:
        number += 1
        radius, (r, c) = int(rng.integers(100, 300)), rng.integers(0, size, 2)
        rows, columns = slice(max(r - radius, 0), r + radius), slice(max(c - radius, 0), c + radius)
        y, x = np.ogrid[rows.start : min(rows.stop, size), columns.start : min(columns.stop, size)]
        out[rows, columns][(y - r) ** 2 + (x - c) ** 2 < radius**2] = number
    return out


def classify(source: Path, target: Path) -> None:
    """From store to store; print the figures."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    maps = fx.classify(xr.open_zarr(source), "synthetic-v1-bands")
    found = fx.write(maps, target, progress=False)
    seconds = time.perf_counter() - start
    classified = int((found.facies_map != 255).sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{found.sizes['y']}^2, {classified} px classified in {seconds:.0f} s, peak {peak:.2f} GiB")


def warm() -> None:
    """Load the model and the compiled kernel in this process."""
    fx.classify(cube(64, 1), "synthetic-v1-bands").compute(scheduler="synchronous")


def cluster() -> None:
    """Two processes, and one."""
    from distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    maps = fx.classify(cube(128, 64), "synthetic-v1-bands")[["facies_map", "confidence"]]
    for processes in (2, 1):
        with (
            LocalCluster(n_workers=processes, threads_per_worker=1, dashboard_address=None) as here,
            Client(here) as client,
        ):
            client.run(warm)
            start = time.perf_counter()
            maps.compute()
            print(f"{processes} processes: {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    """Make the cube, then classify it in another process."""
    if sys.argv[1:] == ["cluster"]:
        cluster()
        return
    if len(sys.argv) > 2:
        classify(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    size = int((sys.argv[1:] or ["10980"])[0])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cube.zarr"
        data = cube(size, 1).assign(glacier_index=(("y", "x"), glaciers(size)))
        data.chunk(y=512, x=512).to_zarr(source)
        subprocess.run([sys.executable, __file__, source, Path(folder) / "maps.zarr"], check=True)


if __name__ == "__main__":
    main()

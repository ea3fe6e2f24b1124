"""What a calibrated cube costs beside the bare readers, on the same files.

    python benchmarks/load.py [SIZE] [SCENES]

Writes SCENES synthetic Sentinel-2 scenes of SIZE x SIZE pixels (COG, four bands of 10 m, two of 20 m), and reads them
at 10 m: with stackstac and with odc-stac alone (unscaled numbers), and with ``facies_xr.load`` on its own graph and
on either library's, with and without the saturation flag. Rounds are interleaved; medians are printed, with their
ratio to bare stackstac. Then the size of the graph of 60 full scenes and the median times to build and to optimise it,
and the peak memory of a process that reads as many scenes, or more.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import odc.stac
import pystac
import rasterio
import shapely
import stackstac
import xarray as xr
from rasterio.transform import from_origin

import facies_xr as fx
from facies_xr.scenes import readers
from facies_xr.scenes.cube import READERS
from facies_xr.scenes.sentinel2 import MSI
from facies_xr.stations import BANDS

LEFT, TOP, EPSG = 600_000, 5_200_000, 32632
ROUNDS, CHUNK = 5, 1024


def scene(folder: Path | None, size: int, day: int) -> pystac.Item:
    """An item, and its files if a folder is given."""
    rng = np.random.default_rng(day)
    bounds = (LEFT, TOP - 10 * size, LEFT + 10 * size, TOP)
    box = rasterio.warp.transform_bounds(f"EPSG:{EPSG}", 4326, *bounds)
    assets = {}
    for band, resolution in zip(BANDS, MSI.resolutions, strict=True):
        path = (folder or Path("/nowhere")) / f"{day}_{band}.tif"
        n = size * 10 // resolution
        transform = from_origin(LEFT, TOP, resolution, resolution)
        if folder is not None and not path.exists():
            smooth = np.add.outer(np.linspace(2000, 6000, n), np.linspace(0, 3000, n))
            pixels = (smooth + rng.normal(0, 150, (n, n))).clip(1, 65535).astype("uint16")
            with rasterio.open(path, "w", driver="COG", height=n, width=n, count=1, dtype="uint16", compress="deflate",
                               crs=f"EPSG:{EPSG}", transform=transform, nodata=0, blocksize=512) as file:  # fmt: skip
                file.write(pixels, 1)
        assets[MSI.numbers[band]] = {
            "href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"],
            "proj:shape": [n, n], "proj:transform": list(transform)[:6], "raster:bands": [
                {"scale": 1e-4, "offset": -0.1, "nodata": 0, "data_type": "uint16"}],
        }  # fmt: skip
    month, of_month = divmod(day, 28)
    return pystac.Item.from_dict({
        "type": "Feature", "stac_version": "1.0.0", "id": f"scene-{day:03d}", "bbox": list(box), "links": [],
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json",
                            "https://stac-extensions.github.io/raster/v1.1.0/schema.json"],
        "properties": {
            "datetime": f"20{10 + month:02d}-08-{of_month + 1:02d}T10:00:00Z",
            "platform": "sentinel-2a", "proj:epsg": EPSG,
            "s2:product_type": "S2MSI1C", "s2:datatake_id": f"t{day}", "view:sun_azimuth": 150,
            "view:sun_elevation": 40, "eo:cloud_cover": 1.0,
        },
        "assets": assets,
    })  # fmt: skip


def grid(size: int):
    """The scenes' own grid."""
    from odc.geo.geobox import GeoBox

    return GeoBox.from_bbox((LEFT, TOP - 10 * size, LEFT + 10 * size, TOP), f"EPSG:{EPSG}", resolution=10)


def ways(items: list[pystac.Item], size: int) -> dict:
    """What is timed: functions without arguments."""
    box, numbers = grid(size), list(MSI.numbers.values())
    bounds = (LEFT, TOP - 10 * size, LEFT + 10 * size, TOP)
    plain = [item.to_dict() for item in items]

    def cube(reader: Any):
        return fx.load(items, like=box, chunks=CHUNK, reader=reader)[list(BANDS)]

    def unflagged():
        flagged = readers.reflectances
        readers.reflectances = lambda scene: {  # type: ignore[assignment]
            name: replace(source, raster=replace(source.raster, saturated_from=None))
            for name, source in flagged(scene).items()
        }
        try:
            return cube("facies_xr")
        finally:
            readers.reflectances = flagged

    from rasterio.enums import Resampling

    return {
        "stackstac, bare": lambda: stackstac.stack(
            plain, numbers, epsg=EPSG, resolution=10, bounds=bounds, chunksize=CHUNK, rescale=False, xy_coords=False,
            dtype="uint16", fill_value=np.uint16(0), resampling=Resampling.bilinear,
        ),
        "odc-stac, bare": lambda: odc.stac.load(
            items, numbers, geobox=box, chunks={"x": CHUNK, "y": CHUNK}, resampling="bilinear"
        ),
        "facies_xr": lambda: cube("facies_xr"),
        "facies_xr, no flag": unflagged,
        "facies_xr on stackstac": lambda: cube("stackstac"),
        "facies_xr on odc-stac": lambda: cube("odc"),
    }  # fmt: skip


def read_all(lazy) -> None:
    """Compute every chunk and forget it."""
    arrays = [v.data for v in lazy.values()] if isinstance(lazy, xr.Dataset) else [lazy.data]
    dask.compute(*[array.sum(dtype="float64") for array in arrays])


def timed(size: int, scenes: int, folder: Path) -> None:
    """Medians of interleaved rounds."""
    items = [scene(folder, size, day) for day in range(scenes)]
    found = ways(items, size)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for k in range(ROUNDS + 1):
        for name, make in found.items():
            lazy = make()
            start = time.perf_counter()
            read_all(lazy)
            if k:  # the first round fills the caches of the system
                seconds[name].append(time.perf_counter() - start)
    first = statistics.median(seconds["stackstac, bare"])
    for name, values in seconds.items():
        median = statistics.median(values)
        pixels = scenes * 6 * size**2 / 1e6
        spread = f"{min(values):.2f}..{max(values):.2f}"
        print(f"{name:34s} {median:6.2f} s ({spread})  {median / first:5.2f} x  {pixels / median:6.1f} Mpx/s")


def graph() -> None:
    """Size of the graph of 60 full scenes, and medians of the times to build and to optimise it."""
    items = [scene(None, 10_980, day) for day in range(60)]
    seconds: dict[Any, list[tuple[float, float]]] = {reader: [] for reader in READERS}
    tasks = {}
    for _ in range(ROUNDS):
        for reader in seconds:
            start = time.perf_counter()
            cube = fx.load(items, like=grid(10_980), chunks=CHUNK, reader=reader)
            built = time.perf_counter()
            (optimised,) = dask.optimize(cube)
            seconds[reader].append((built - start, time.perf_counter() - built))
            tasks[reader] = len(optimised.__dask_graph__())
    for reader, rounds in seconds.items():
        build, optimise = (statistics.median(times) for times in zip(*rounds, strict=True))
        print(
            f"60 x 6 x 10980^2, {reader:9s}: {tasks[reader]:7d} tasks, built {build:.2f} s, optimised {optimise:.1f} s"
        )


def memory(size: int, scenes: int, folder: Path) -> None:
    """Peak memory of reading everything, in a process of its own. [MiB]"""
    items = [scene(folder, size, day) for day in range(scenes)]
    read_all(fx.load(items, like=grid(size), chunks=CHUNK)[list(BANDS)])
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Run everything, or one measurement of memory."""
    warnings.simplefilter("ignore")
    dask.config.set(scheduler="threads", num_workers=2)
    if sys.argv[1:2] == ["memory"]:
        memory(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        return
    size, scenes = int((sys.argv[1:2] or ["4096"])[0]), int((sys.argv[2:3] or ["4"])[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed(size, scenes, folder)
        graph()
        for factor in (1, 2, 4):
            run = [sys.executable, __file__, "memory", str(size), str(scenes * factor), name]
            for day in range(scenes * factor):
                scene(folder, size, day)
            peak = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
            print(f"peak memory of {scenes * factor:3d} scenes: {peak} MiB")


if __name__ == "__main__":
    main()

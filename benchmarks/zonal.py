"""Glacier statistics against the tools that could be used instead, and at scale.

    python benchmarks/zonal.py [SIZE GLACIERS]     # 20000 5000: time and peak memory, from a store
    python benchmarks/zonal.py compare             # needs: pip install rasterstats

"compare" times 1600 glaciers on 6000 x 6000 px. rasterstats, a glacier at a time: class areas, elevations and lowest
snow; and with the albedo, the edge of the snow and the bands that statistics() gives besides (edge and bands are made
beforehand, and not counted). xrspatial.zonal: stats of the elevation, crosstab of the classes. statistics(): all of it,
with one thread and with two. Interleaved, medians of three rounds, everything in memory.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import facies_xr as fx
from facies_xr import grids

RESOLUTION = 10.0


def maps(size: int, glaciers: int) -> xr.Dataset:
    """Maps of one date, lazily: round glaciers on a lattice on half of the ground, snow above a wavy line."""
    across = int(np.ceil(np.sqrt(glaciers)))
    pitch = size / across
    low = np.arange(glaciers) % 7 * 150.0 + 1500

    def block(kind: str):
        def make(info=None) -> np.ndarray:
            (_, rows, columns) = info[None]["array-location"] if len(info[None]["shape"]) == 3 else (
                None, *info[None]["array-location"])  # fmt: skip
            y, x = np.mgrid[slice(*rows), slice(*columns)]
            row, column = (y // pitch).astype(int), (x // pitch).astype(int)
            number = row * across + column
            dy, dx = y - (row + 0.5) * pitch, x - (column + 0.5) * pitch
            inside = (dx**2 + dy**2 < (0.4 * pitch) ** 2) & (number < glaciers)
            z = low[np.minimum(number, glaciers - 1)] + 4.0 * (dy + pitch / 2)
            if kind == "index":
                return np.where(inside, number + 1, 0).astype("int32")
            if kind == "elevation":
                return z.astype("float32")
            noise = ((x * 73_856_093) ^ (y * 19_349_663)) % 1000 / 1000
            snow = z + 60 * np.sin(x / 37) > low[np.minimum(number, glaciers - 1)] + 2 * pitch
            label = np.where(noise < 0.05, 2, np.where(noise < 0.1, 7, snow))
            if kind == "albedo":
                return np.where(inside, 0.3 + 0.4 * snow, np.nan).astype("float32")[None]
            return np.where(inside, label, 255).astype("uint8")[None]

        return make

    box = GeoBox((size, size), Affine(RESOLUTION, 0, 600000, 0, -RESOLUTION, 5200000), "EPSG:32632")
    flat = da.core.normalize_chunks((1024, 1024), (size, size))

    def lazily(kind: str, timed: bool, dtype: str) -> da.Array:
        chunks = ((1,), *flat) if timed else flat
        make = block(kind)
        return da.map_blocks(lambda block_info: make(block_info), chunks=chunks, dtype=dtype,
                             meta=np.empty((0,) * len(chunks), dtype))  # fmt: skip

    numbers = np.arange(1, glaciers + 1, dtype="int32")
    return xr.Dataset(
        {
            "facies_map": (("time", "y", "x"), lazily("map", True, "uint8")),
            "albedo": (("time", "y", "x"), lazily("albedo", True, "float32")),
            "glacier_index": (("y", "x"), lazily("index", False, "int32")),
            "elevation": (("y", "x"), lazily("elevation", False, "float32")),
            "glacier_elevation_min": ("glacier", (low + 0.1 * 4 * pitch).astype("float32")),
            "glacier_elevation_max": ("glacier", (low + 0.9 * 4 * pitch).astype("float32")),
        },
        coords={
            **grids.coords(box),
            "time": np.array(["2020-08-20"], "datetime64[ns]"),
            "glacier": numbers.astype(str),
            "glacier_number": ("glacier", numbers),
        },
    )


def run(source: Path) -> None:
    """From a store to a table; print time and peak memory."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    found = fx.statistics(xr.open_zarr(source, consolidated=False)).compute()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    known = int(found.accumulation_area_ratio.notnull().sum())
    print(f"{found.sizes['glacier']} glaciers, {known} with a ratio: {seconds:.1f} s, peak {peak:.2f} GiB")


def compare() -> None:
    """Print medians and ratios."""
    import geopandas as gpd
    import rasterstats
    import shapely
    from rasterio.features import shapes
    from xrspatial.zonal import crosstab
    from xrspatial.zonal import stats as zonal_stats

    warnings.simplefilter("ignore")
    data = maps(6000, 1600).compute()
    box = grids.geobox(data)
    index, label, z = data.glacier_index.values, data.facies_map.values[0], data.elevation.values
    parts = [(shapely.geometry.shape(s), int(v)) for s, v in shapes(index, index > 0, transform=box.affine)]
    table = gpd.GeoDataFrame({"number": [v for _, v in parts]}, geometry=[s for s, _ in parts]).dissolve("number")

    bands = (z // 20).astype("int16")
    edge = (label == 1) & (np.gradient((label == 1).astype("float32"))[0] != 0)
    albedo = np.nan_to_num(data.albedo.values[0], nan=-9999)

    def whole_by_rasterstats():
        found = by_rasterstats()
        for values in (bands, np.where(label == 1, bands, -1), np.where(label < 6, bands, -1)):
            rasterstats.zonal_stats(table.geometry, values, affine=box.affine, categorical=True, nodata=-1)
        rasterstats.zonal_stats(table.geometry, albedo, affine=box.affine, stats="mean", nodata=-9999)
        values = np.where(edge, z, -9999)
        rasterstats.zonal_stats(table.geometry, values, affine=box.affine, stats="median", nodata=-9999)
        return found

    def by_rasterstats():
        areas = rasterstats.zonal_stats(table.geometry, label, affine=box.affine, categorical=True, nodata=255)
        rasterstats.zonal_stats(table.geometry, z, affine=box.affine, stats="mean min max", nodata=-9999)
        snow = np.where(label == 1, z, -9999)
        rasterstats.zonal_stats(table.geometry, snow, affine=box.affine, stats="percentile_5", nodata=-9999)
        return sum(row.get(1, 0) for row in areas)

    def by_xrspatial():
        zones = data.glacier_index
        zonal_stats(zones, data.elevation, stats_funcs=["mean", "min", "max"])
        found = crosstab(zones, data.facies_map[0].astype("float32"))
        return int(found[found.zone > 0][1.0].sum())

    def with_two_threads():
        with dask.config.set(scheduler="threads", num_workers=2):
            return ours()

    def ours():
        found = fx.statistics(data).compute()
        return round(float(found.class_area.sel(facies_class="snow").sum()) * 1e6 / RESOLUTION**2)

    seconds: dict[str, list[float]] = {}
    with dask.config.set(scheduler="synchronous"):
        ours()
        for _ in range(3):
            for way in (by_rasterstats, whole_by_rasterstats, by_xrspatial, ours, with_two_threads):
                start = time.perf_counter()
                snow = way()
                seconds.setdefault(way.__name__, []).append(time.perf_counter() - start)
                print(f"{way.__name__:20s} {seconds[way.__name__][-1]:7.2f} s, {snow} px of snow", flush=True)
    medians = {name: statistics.median(v) for name, v in seconds.items()}
    for name, value in medians.items():
        print(f"{name:20s} {value:7.2f} s, {value / medians['ours']:6.1f} x")


def main() -> None:
    """As the arguments say."""
    if sys.argv[1:] == ["compare"]:
        compare()
        return
    if len(sys.argv) == 2:
        run(Path(sys.argv[1]))
        return
    size, glaciers = (int(v) for v in (sys.argv[1:] or ["20000", "5000"]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "maps.zarr"
        maps(size, glaciers).to_zarr(source, consolidated=False)
        subprocess.run([sys.executable, __file__, source], check=True)


if __name__ == "__main__":
    main()

"""Time and memory of the terrain layers of a large grid, from an elevation model on disk to Zarr.

    python benchmarks/terrain.py [SIZE ...]
    python benchmarks/terrain.py low [SIZE]
    python benchmarks/terrain.py layers [SIZE]

For each SIZE a fractal elevation model of SIZE x SIZE pixels of 10 m is written, its slope, hillshade and shadow mask
at a sun of 10 degrees are computed on the same grid and written, in a process of its own whose peak memory is shown.

"low" writes the shadow mask of suns at 6, 3 and 2 degrees by both plans: tiles with margins, and the grid in one piece.

"layers" computes one layer after the other, of a grid of 2048 px with a third of ice by default, on one thread and
without writing; what one has made of a tile serves the next. Prints the processor's time for a tile.
"""

import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.transform import from_origin
from scipy.ndimage import zoom

import facies_xr as fx

LEFT, TOP, CRS = 400_000, 5_400_000, 32632


def write_dem(path: Path, size: int) -> None:
    """A fractal of 2000 m relief, less where that would be too steep, written in bands of rows."""
    rng = np.random.default_rng(0)
    coarse = sum(
        zoom(rng.standard_normal((n + 1, n + 1)), 1024 / (n + 1), order=3)[:1024, :1024] * n**-1.1
        for n in (4, 8, 16, 32, 64, 128)
    )
    coarse = (coarse - coarse.min()) / np.ptp(coarse) * min(2000, size)
    at = np.linspace(0, 1023, size)
    left, right = at.astype(int), np.minimum(at.astype(int) + 1, 1023)
    part = (at - left).astype("float32")
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "float32", "crs": CRS}
    with rasterio.open(path, "w", transform=from_origin(LEFT, TOP, 10, 10), tiled=True, bigtiff="IF_SAFER",
                       **profile) as file:  # fmt: skip
        for top in range(0, size, 512):
            rows = slice(top, min(top + 512, size))
            band = coarse[left[rows]] * (1 - part[rows, None]) + coarse[right[rows]] * part[rows, None]
            band = band[:, left] * (1 - part) + band[:, right] * part
            band += rng.normal(0, 0.5, band.shape)
            file.write(band.astype("float32"), 1, window=rasterio.windows.Window(0, top, size, band.shape[0]))


def measure(dem: Path, size: int, out: Path) -> None:
    """Compute and write; print seconds and peak memory."""
    warnings.simplefilter("ignore")
    box = shapely.box(LEFT, TOP - 10 * size, LEFT + 10 * size, TOP)
    middle = gpd.GeoDataFrame({"glacier": ["G"]}, geometry=[box.centroid.buffer(2000)], crs=CRS)
    from odc.geo.geobox import GeoBox

    grid = GeoBox.from_bbox(box.bounds, f"EPSG:{CRS}", resolution=10)
    start, busy = time.perf_counter(), time.process_time()
    layers = fx.add_terrain(grid, str(dem), middle, sun_azimuth=160.0, sun_elevation=10.0)
    fx.write(layers[["elevation", "slope", "hillshade", "shadow_mask", "glacier_index"]], out, progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(
        f"{size:6d}^2: {seconds:6.1f} s, {size**2 / seconds / 1e6:5.1f} Mpx/s, {busy:6.1f} s of the processor,",
        f"{size**2 / busy / 1e6:5.1f} Mpx/s of a core, peak {peak:.2f} GiB",
    )


def low(dem: Path, size: int, folder: Path) -> None:
    """Shadow masks under low suns by both plans."""
    from odc.geo.geobox import GeoBox

    from facies_xr.terrain import light

    warnings.simplefilter("ignore")
    box = shapely.box(LEFT, TOP - 10 * size, LEFT + 10 * size, TOP)
    middle = gpd.GeoDataFrame({"glacier": ["G"]}, geometry=[box.centroid.buffer(2000)], crs=CRS)
    grid = GeoBox.from_bbox(box.bounds, f"EPSG:{CRS}", resolution=10)
    for elevation in (30.0, 6.0, 3.0, 2.0):  # the first compiles
        for plan, widest in (("tiles with margins", np.inf), ("one piece", 0.0)):
            light.WIDEST = widest
            start = time.perf_counter()
            layers = fx.add_terrain(grid, str(dem), middle, sun_azimuth=160.0, sun_elevation=elevation)
            fx.write(layers[["shadow_mask"]], folder / f"{plan}{elevation}.zarr", progress=False)
            print(f"{size}^2, {elevation:2.0f} degrees, {plan}: {time.perf_counter() - start:6.1f} s", flush=True)


def layers(dem: Path, size: int) -> None:
    """Processor time of each layer, after a small grid that compiles."""
    from odc.geo.geobox import GeoBox

    warnings.simplefilter("ignore")
    for edge in (600, size):
        box = shapely.box(LEFT, TOP - 10 * edge, LEFT + 10 * edge, TOP)
        grid = GeoBox.from_bbox(box.bounds, f"EPSG:{CRS}", resolution=10)
        x, y = (a.ravel() for a in np.mgrid[LEFT + 2000 : LEFT + 10 * edge : 4000, TOP - 10 * edge + 2000 : TOP : 4000])
        ice = gpd.GeoDataFrame({"glacier": [f"G{k}" for k in range(x.size)]},
                               geometry=gpd.points_from_xy(x, y).buffer(1300), crs=CRS)  # fmt: skip
        tiles, taken = edge**2 / 512**2, {}
        busy = time.process_time()
        found = fx.add_terrain(grid, str(dem), ice, sun_azimuth=160.0, sun_elevation=40.0)
        taken["add_terrain"] = time.process_time() - busy
        for name in ("elevation", "slope", "hillshade", "shadow_mask", "glacier_index", "proximity"):
            busy = time.process_time()
            found[name].compute(scheduler="synchronous")
            taken[name] = time.process_time() - busy
    for name, seconds in taken.items():
        print(f"{name:14s} {1e3 * seconds / tiles:6.2f} ms a tile")
    whole = sum(taken.values()) - taken["add_terrain"]
    print(f"{'the layers':14s} {1e3 * whole / tiles:6.2f} ms a tile, {size**2 / whole / 1e6:.1f} Mpx/s of a core")


def main() -> None:
    """All sizes, each in its own process."""
    if sys.argv[1:2] == ["low"]:
        with tempfile.TemporaryDirectory() as folder:
            dem, size = Path(folder) / "dem.tif", int((sys.argv[2:] or ["5000"])[0])
            write_dem(dem, size)
            low(dem, size, Path(folder))
        return
    if sys.argv[1:2] == ["layers"]:
        with tempfile.TemporaryDirectory() as folder:
            dem, size = Path(folder) / "dem.tif", int((sys.argv[2:] or ["2048"])[0])
            write_dem(dem, size)
            layers(dem, size)
        return
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        return
    for size in [int(v) for v in sys.argv[1:]] or [2500, 5000, 10_000, 20_000]:
        with tempfile.TemporaryDirectory() as folder:
            dem = Path(folder) / "dem.tif"
            write_dem(dem, size)
            subprocess.run([sys.executable, __file__, "measure", dem, str(size), Path(folder) / "t.zarr"], check=True)


if __name__ == "__main__":
    main()

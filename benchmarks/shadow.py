"""Cast shadow: the sweep against a straightforward ray march, in one run, on one core.

    python benchmarks/shadow.py [SIZE]

Fractal terrain of SIZE x SIZE pixels of 10 m with 2000 m of relief, suns at 10, 25 and 45 degrees. The march is a
compiled loop of steps of one pixel with bilinear heights that stops at the terrain's maximum; it runs on spread rows,
because a whole raster would take minutes. "lines" is the algorithm of Corripio (2003) that python-dem-shadows uses,
restated from its description and compiled: from each pixel of the sunward edges a line of nearest pixels, on which
the height over the light's slope is compared with the largest one passed. Rounds are interleaved; medians are printed.

A second table shades eight suns of one walking direction: one by one, and in blocks of rows that stay in the cache
while all suns pass.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numba
import numpy as np
from scipy.ndimage import zoom

from facies_xr.terrain.shadow import Front, Sweep, cast_shadow

ROUNDS = 7


def fractal(size: int) -> np.ndarray:
    """Terrain of all scales from 4 px on. [m]"""
    rng, z, cells = np.random.default_rng(0), np.zeros((size, size)), 4
    while size // cells >= 4:
        octave = zoom(rng.standard_normal((cells + 3, cells + 3)), (size + 2) / (cells + 1), order=3)[:size, :size]
        z, cells = z + octave * cells**-1.1, cells * 2
    return ((z - z.min()) / np.ptp(z) * 2000).astype("float32")


@numba.njit(nogil=True)
def march(z, rows, dr, dc, rise, top):
    """Shadow of some rows, ray by ray."""
    height, width = z.shape
    out = np.zeros((rows.size, width), np.bool_)
    for k in range(rows.size):
        for c in range(width):
            level = z[rows[k], c]
            y, x = float(rows[k]), float(c)
            while True:
                y, x, level = y + dr, x + dc, level + rise
                j, i = math.floor(y), math.floor(x)
                if level > top or j < 0 or i < 0 or j >= height - 1 or i >= width - 1:
                    break
                f, g = y - j, x - i
                low = z[j, i] * (1 - g) + z[j, i + 1] * g
                high = z[j + 1, i] * (1 - g) + z[j + 1, i + 1] * g
                if low * (1 - f) + high * f > level:
                    out[k, c] = True
                    break
    return out


@numba.njit(nogil=True)
def lines(z, dr, dc, rise):
    """Shadow by lines of nearest pixels from the edges that face the sun; rise is the light's per pixel walked."""
    height, width = z.shape
    out = np.zeros((height, width), np.bool_)
    longest = max(abs(dr), abs(dc))
    dr, dc, rise = dr / longest, dc / longest, rise / longest
    for k in range(height + width):
        if k < width:
            y, x = (0.0 if dr > 0 else height - 1.0), float(k)
        else:
            y, x = float(k - width), (0.0 if dc > 0 else width - 1.0)
        top, level = -1e30, 0.0
        while True:
            j, i = round(y), round(x)
            if j < 0 or i < 0 or j >= height or i >= width:
                break
            own = z[j, i] + level
            if own < top:
                out[j, i] = True
            else:
                top = own
            y, x, level = y + dr, x + dc, level + rise
    return out


def together(z, sweeps, block):
    """Shadow of several suns of one walking direction, block of rows by block."""
    fronts = [Front.before(sweep, z.shape, (0, 0)) for sweep in sweeps]
    out = np.empty((len(sweeps), *z.shape), bool)
    starts = range(0, len(z), block)
    for top in starts if sweeps[0].step > 0 else reversed(starts):
        for k, front in enumerate(fronts):
            out[k, top : top + block], fronts[k] = front.shade(z[top : top + block])
    return out


def several_suns(z) -> None:
    """Print the rates of eight suns."""
    sweeps = [Sweep.of(azimuth, elevation, 10.0) for azimuth, elevation in zip(
        np.linspace(140, 220, 8), np.linspace(12, 40, 8), strict=True)]  # fmt: skip
    ways = {
        "one by one": lambda: [cast_shadow(z, sweep, (0, 0)) for sweep in sweeps],
        "blocks of 16 rows": lambda: together(z, sweeps, 16),
        "blocks of 64 rows": lambda: together(z, sweeps, 64),
    }
    seconds: dict[str, list[float]] = {n: [] for n in ways}
    for _ in range(ROUNDS):
        for n, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[n].append(time.perf_counter() - start)
    for n, v in seconds.items():
        print(f"8 suns, {n}: {8 * z.size / statistics.median(v) / 1e6:.0f} Mpx/s")


def main() -> None:
    """Print two tables."""
    size = int((sys.argv[1:] or ["4000"])[0])
    z = fractal(size)
    rows = np.linspace(10, size - 11, 60).astype(int)
    for name, azimuth in (("rows", 160.0), ("transposed", 110.0)):
        for elevation in (10.0, 25.0, 45.0):
            a = math.radians(azimuth)
            ray = (-math.cos(a), math.sin(a), math.tan(math.radians(elevation)) * 10.0, float(z.max()))
            ways: dict[str, Callable[[], object]] = {
                "march": partial(march, z, rows, *ray),
                "lines": partial(lines, z, math.cos(a), -math.sin(a), ray[2]),
                "exact": partial(cast_shadow, z, Sweep.of(azimuth, elevation, 10.0), (0, 0)),
                "fast": partial(cast_shadow, z, Sweep.of(azimuth, elevation, 10.0, 1), (0, 0)),
            }
            seconds: dict[str, list[float]] = {n: [] for n in ways}
            for k in range(ROUNDS + 1):
                for n, way in ways.items():
                    start = time.perf_counter()
                    way()
                    if k:  # the first round compiles
                        seconds[n].append(time.perf_counter() - start)
            pixels = {"march": rows.size * size, "lines": size * size, "exact": size * size, "fast": size * size}
            rate = {n: pixels[n] / statistics.median(v) / 1e6 for n, v in seconds.items()}
            best = {n: pixels[n] / min(v) / 1e6 for n, v in seconds.items()}
            print(
                f"{size}^2 {name:10s} {elevation:2.0f} deg: march {rate['march']:5.2f}, "
                f"lines {rate['lines']:4.0f}, exact {rate['lines']:4.0f}, exact {rate['exact']:5.0f} "
                f"(best {best['exact']:5.0f}), fast {rate['fast']:5.0f} Mpx/s; "
                f"exact : march {rate['exact'] / rate['march']:5.0f}"
            )
    several_suns(z)


if __name__ == "__main__":
    main()

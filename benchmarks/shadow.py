"""Cast shadow: the sweep against a straightforward ray march, in one run, on one core.

    python benchmarks/shadow.py [SIZE]

Fractal terrain of SIZE x SIZE pixels of 10 m with 2000 m of relief, suns at 10, 25 and 45 degrees. The march is a
compiled loop of steps of one pixel with bilinear heights that stops at the terrain's maximum; it runs on spread rows,
because a whole raster would take minutes. Rounds are interleaved; medians are printed.
"""

import math
import statistics
import sys
import time

import numba
import numpy as np
from scipy.ndimage import zoom

from facies_xr.terrain.shadow import Sweep, cast_shadow

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


def main() -> None:
    """Print a table."""
    size = int((sys.argv[1:] or ["4000"])[0])
    z = fractal(size)
    rows = np.linspace(10, size - 11, 60).astype(int)
    for name, azimuth in (("rows", 160.0), ("transposed", 110.0)):
        for elevation in (10.0, 25.0, 45.0):
            a = math.radians(azimuth)
            told = (-math.cos(a), math.sin(a), math.tan(math.radians(elevation)) * 10.0, float(z.max()))
            ways = {
                "march": lambda told=told: march(z, rows, *told),
                "exact": lambda e=elevation, az=azimuth: cast_shadow(z, Sweep.of(az, e, 10.0), (0, 0)),
                "fast": lambda e=elevation, az=azimuth: cast_shadow(z, Sweep.of(az, e, 10.0, 1), (0, 0)),
            }
            seconds: dict[str, list[float]] = {n: [] for n in ways}
            for k in range(ROUNDS + 1):
                for n, way in ways.items():
                    start = time.perf_counter()
                    way()
                    if k:  # the first round compiles
                        seconds[n].append(time.perf_counter() - start)
            pixels = {"march": rows.size * size, "exact": size * size, "fast": size * size}
            rate = {n: pixels[n] / statistics.median(v) / 1e6 for n, v in seconds.items()}
            best = {n: pixels[n] / min(v) / 1e6 for n, v in seconds.items()}
            print(
                f"{size}^2 {name:10s} {elevation:2.0f} deg: march {rate['march']:5.2f}, exact {rate['exact']:5.0f} "
                f"(best {best['exact']:5.0f}), fast {rate['fast']:5.0f} Mpx/s; "
                f"exact : march {rate['exact'] / rate['march']:5.0f}"
            )


if __name__ == "__main__":
    main()

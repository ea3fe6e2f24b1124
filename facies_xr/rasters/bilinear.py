"""Bilinear interpolation along the pixels of a source, with gaps."""

import math

import numba
import numpy as np

NEGLIGIBLE = 1e-6
"""A pixel of less weight does not contribute: it is there by rounding only."""


@numba.njit(nogil=True, cache=True)
def interpolate(
    source: np.ndarray,
    v0: float,
    dv: float,
    first_row: int,
    top: int,
    u0: float,
    du: float,
    first_column: int,
    left: int,
    out: np.ndarray,
) -> None:
    """Fill ``out`` (y, x) from a window of a source (y, x) whose pixels run the same way.

    Row ``first_row + k`` of the grid lies at ``v0 + dv (first_row + k)`` in pixels of the source, of which the window
    starts at row ``top``; columns likewise. A pixel whose centre lies on no source pixel, or on one without data, is
    NaN; the others are the weighted mean of those of their four neighbours that have data.
    """
    height, width = source.shape
    for k in range(out.shape[0]):
        v = v0 + dv * (first_row + k)
        j = math.floor(v) - top
        j0 = math.floor(v - 0.5) - top
        wy = v - 0.5 - math.floor(v - 0.5)
        for i in range(out.shape[1]):
            u = u0 + du * (first_column + i)
            column = math.floor(u) - left
            if j < 0 or j >= height or column < 0 or column >= width or math.isnan(source[j, column]):
                out[k, i] = np.nan
                continue
            i0 = math.floor(u - 0.5) - left
            wx = u - 0.5 - math.floor(u - 0.5)
            total = 0.0
            weight = 0.0
            for b in range(2):
                y = j0 + b
                if y < 0 or y >= height:
                    continue
                part = wy if b else 1.0 - wy
                for a in range(2):
                    x = i0 + a
                    if x < 0 or x >= width:
                        continue
                    w = part * (wx if a else 1.0 - wx)
                    value = source[y, x]
                    if w > NEGLIGIBLE and not math.isnan(value):
                        total += w * value
                        weight += w
            out[k, i] = total / weight

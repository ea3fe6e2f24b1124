"""Sources far finer than the grid, taken in blocks of pixels: no more than a stated number is held at a time."""

import math
from collections.abc import Callable
from functools import partial

import numba
import numpy as np
from affine import Affine
from rasterio.windows import Window

from .extent import Extent

FINEST = 16.0
"""Source pixels along a target pixel above which blocks of them are taken first."""

REMAINING = 8.0
"""Blocks along a target pixel that remain, so that the warper's kernel still sees many."""

AT_A_TIME = 16_000_000
"""Source pixels that are read at a time, unless a single block has more. [px]"""

MEAN, LEAST, LARGEST = range(3)
REDUCED = {"bilinear": MEAN, "average": MEAN, "min": LEAST, "max": LARGEST}
"""What a block's value is, by the resampling that follows."""


def sizes(finer: tuple[float, float], resampling: str) -> tuple[int, int]:
    """Rows and columns of the blocks for a source that is so many times finer than the grid along y and x."""
    if resampling not in REDUCED:
        return 1, 1
    rows, columns = (int(times // REMAINING) if times > FINEST else 1 for times in finer)
    return rows, columns


def in_blocks(
    source: Extent, layers: Callable[[Window], np.ndarray], size: tuple[int, int], resampling: str
) -> tuple[Extent, Callable[[Window], np.ndarray]]:
    """A source whose pixels are blocks of another's, counted from its corner, so that no window changes them.

    Parameters
    ----------
    source : Extent
    layers : callable
        Gets a window of the source and returns its layers (layer, y, x), NaN where there is no data.
    size : (int, int)
        Rows and columns of a block; a block of gaps alone is a gap.
    resampling : str
        Key of :data:`REDUCED`.
    """
    rows, columns = size
    height, width = -(-source.height // rows), -(-source.width // columns)
    transform = source.transform * Affine.scale(columns, rows)

    reduced = partial(_reduced, layers, source, size, resampling)

    def blocks(part: Window) -> np.ndarray:
        across = max(min(int(part.width), AT_A_TIME // (rows * columns)), 1)
        down = max(AT_A_TIME // (rows * columns * across), 1)
        bottom, right = part.row_off + part.height, part.col_off + part.width
        strips = [
            [
                reduced((top, min(top + down, bottom)), (left, min(left + across, right)))
                for left in range(part.col_off, right, across)
            ]
            for top in range(part.row_off, bottom, down)
        ]
        return np.concatenate([np.concatenate(strip, -1) for strip in strips], -2)

    return Extent(source.crs, transform, height, width), blocks


def _reduced(
    layers: Callable[[Window], np.ndarray],
    source: Extent,
    size: tuple[int, int],
    resampling: str,
    y: tuple[int, int],
    x: tuple[int, int],
) -> np.ndarray:
    """Values of the blocks y[0] to y[1], x[0] to x[1]."""
    rows, columns = size
    top, left = y[0] * rows, x[0] * columns
    bottom, right = min(y[1] * rows, source.height), min(x[1] * columns, source.width)
    pixels = layers(Window(left, top, right - left, bottom - top))
    out = np.empty((len(pixels), y[1] - y[0], x[1] - x[0]), "float32")
    for layer, values in zip(pixels, out, strict=True):
        _reduce(layer, rows, columns, REDUCED[resampling], values)
    return out


@numba.njit(nogil=True, cache=True)
def _reduce(pixels, rows, columns, kind, out):
    """Mean, least or largest value of each block, NaN where it has none; the last blocks may be cut."""
    height, width = pixels.shape
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total, least, largest, count = 0.0, np.inf, -np.inf, 0
            for j in range(r * rows, min((r + 1) * rows, height)):
                for i in range(c * columns, min((c + 1) * columns, width)):
                    value = pixels[j, i]
                    if not math.isnan(value):
                        total += value
                        least, largest = min(least, value), max(largest, value)
                        count += 1
            if count == 0:
                out[r, c] = np.nan
            else:
                out[r, c] = total / count if kind == MEAN else least if kind == LEAST else largest

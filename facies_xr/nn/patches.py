"""Contexts: every pixel is judged with the 33 x 33 pixels around it, also at gaps and at the grid's edge.

A gap takes the features of its nearest valid pixel within 16 px (ties: the smallest row, then column), else the
training means. Beyond the grid's edge the context is mirrored about the edge pixel, which is not repeated. A pixel
with less than half of its context valid is not classified.
"""

import numba
import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from .features import Array

SIZE = 33
RADIUS = 16
FILL = 16
"""Distance within which a gap is filled. [px]"""

REACH = RADIUS + FILL
"""Surroundings that decide the class of a pixel. [px]"""


def _by_distance() -> np.ndarray:
    """Offsets within the fill distance: nearest first, ties by row, then column."""
    r, c = np.mgrid[-FILL : FILL + 1, -FILL : FILL + 1]
    distance = r**2 + c**2
    near = (distance > 0) & (distance <= FILL**2)
    offsets = np.column_stack([distance[near], r[near], c[near]])
    return offsets[np.lexsort(offsets.T[::-1])][:, 1:].astype("int64")


_OFFSETS = _by_distance()


def sources(valid: Array) -> Array:
    """For each pixel the flat position of the valid pixel that stands for it, -1 if there is none near.

    Parameters
    ----------
    valid : array (y, x) of bool
    """
    if is_torch_array(valid):
        return _sources_by_gap(valid)
    return _sources(np.ascontiguousarray(valid), _OFFSETS)


@numba.njit(nogil=True, cache=True)
def _sources(valid, offsets):
    height, width = valid.shape
    out = np.full((height, width), -1, np.int64)
    for r in range(height):
        for c in range(width):
            if valid[r, c]:
                out[r, c] = r * width + c
                continue
            for k in range(offsets.shape[0]):
                i, j = r + offsets[k, 0], c + offsets[k, 1]
                if 0 <= i < height and 0 <= j < width and valid[i, j]:
                    out[r, c] = i * width + j
                    break
    return out


AT_A_TIME = 1 << 14
"""Gaps that are looked up at a time, which bounds the memory."""


def _sources_by_gap(valid: Array) -> Array:
    """The same for arrays of torch: all offsets of a gap at a time, of which the first valid one counts."""
    xp = array_namespace(valid)
    height, width = valid.shape
    out = xp.where(valid, xp.reshape(xp.arange(height * width, device=device(valid)), (height, width)), -1)
    rows, columns = xp.nonzero(~valid)
    offsets = xp.asarray(_OFFSETS, device=device(valid))
    for k in range(0, rows.shape[0], AT_A_TIME):
        r, c = rows[k : k + AT_A_TIME], columns[k : k + AT_A_TIME]
        i, j = r[:, None] + offsets[:, 0], c[:, None] + offsets[:, 1]
        on = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        flat = xp.where(on, i * width + j, 0)
        usable = on & xp.reshape(valid, (-1,))[flat]
        first = xp.argmax(xp.astype(usable, xp.int8), axis=1)[:, None]
        there = xp.take_along_axis(usable, first, axis=1)
        out[r, c] = xp.where(there, xp.take_along_axis(flat, first, axis=1), -1)[:, 0]
    return out


def moved(values: Array, source: Array) -> Array:
    """Values (..., y, x) of each pixel's source, where it has one."""
    xp = array_namespace(values)
    flat = xp.reshape(values, (*values.shape[:-2], -1))
    at = xp.reshape(xp.where(source >= 0, source, 0), (-1,))
    return xp.reshape(xp.take(flat, at, axis=-1), values.shape)


def fill(features: Array, source: Array) -> Array:
    """Features (feature, y, x) of the pixel that stands for each, from :func:`sources`; NaN where there is none."""
    xp = array_namespace(features)
    return xp.where(source >= 0, moved(features, source), xp.nan)


def mirrored(part: slice, size: int) -> np.ndarray:
    """Positions of a part with 16 px on each side, mirrored about the first and the last of ``size`` pixels."""
    position = np.arange(part.start - RADIUS, part.stop + RADIUS)
    if size == 1:
        return np.zeros_like(position)
    position = position % (2 * size - 2)
    return np.minimum(position, 2 * size - 2 - position)


def frame(array: Array, inside: tuple[slice, slice]) -> Array:
    """Window with exactly 16 px around it, mirrored where the array (..., y, x) ends."""
    for axis, part in ((-2, inside[0]), (-1, inside[1])):
        size = array.shape[axis]
        low, high = part.start - RADIUS, part.stop + RADIUS
        if low >= 0 and high <= size:
            array = array[..., low:high, :] if axis == -2 else array[..., low:high]
        else:
            xp = array_namespace(array)
            array = xp.take(array, xp.asarray(mirrored(part, size), device=device(array)), axis=axis)
    return array


def enough(valid: Array, share: float) -> Array:
    """Whether at least a share of the context of each pixel is valid, of a framed mask (y + 32, x + 32)."""
    xp = array_namespace(valid)
    counts = xp.astype(valid, xp.int32)
    for axis in (0, 1):
        sums = xp.cumulative_sum(counts, axis=axis, include_initial=True)
        counts = sums[SIZE:] - sums[:-SIZE] if axis == 0 else sums[:, SIZE:] - sums[:, :-SIZE]
    return counts >= share * SIZE**2


def extent(mask: Array) -> tuple[slice, slice]:
    """Rows and columns in which a mask (y, x), which is not empty, is set."""
    xp = array_namespace(mask)
    rows, columns = (xp.nonzero(xp.any(mask, axis=axis))[0] for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def cut(framed: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Patches (n, feature, 33, 33) around pixels, counted in the inner window of a framed array."""
    windows = np.lib.stride_tricks.sliding_window_view(framed, (SIZE, SIZE), axis=(-2, -1))
    return np.ascontiguousarray(windows[:, rows, columns].swapaxes(0, 1))

"""Contexts: every pixel is judged with the 33 x 33 pixels around it, also at gaps and at the grid's edge.

A gap takes the features of its nearest valid pixel within 16 px (ties: the smallest row, then column), else the
training means. Beyond the grid's edge the context is mirrored about the edge pixel, which is not repeated. A pixel
with less than half of its context valid is not classified.
"""

import numba
import numpy as np
from scipy.ndimage import uniform_filter

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


def sources(valid: np.ndarray) -> np.ndarray:
    """For each pixel the flat position of the valid pixel that stands for it, -1 if there is none near.

    Parameters
    ----------
    valid : ndarray (y, x) of bool
    """
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


def fill(features: np.ndarray, source: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Features (feature, y, x) without gaps, from :func:`sources`; ``fallback`` (feature) where there is none."""
    flat = features.reshape(len(features), -1)
    filled = flat[:, np.maximum(source, 0).ravel()]
    return np.where(source.ravel() >= 0, filled, fallback[:, None]).reshape(features.shape).astype("float32")


def frame(array: np.ndarray, inside: tuple[slice, slice]) -> np.ndarray:
    """Window with exactly 16 px around it, mirrored where the array (..., y, x) ends."""
    cuts, pads = [], [(0, 0)] * (array.ndim - 2)
    for size, part in zip(array.shape[-2:], inside, strict=True):
        low, high = part.start - RADIUS, part.stop + RADIUS
        cuts.append(slice(max(low, 0), min(high, size)))
        pads.append((max(-low, 0), max(high - size, 0)))
    # Mirrored about the array's edge: what is cut off on the far side must not be what the mirror shows.
    whole = np.pad(array, [(0, 0)] * (array.ndim - 2) + pads[-2:], mode="reflect")
    top, left = cuts[0].start, cuts[1].start
    rows = slice(top, top + (inside[0].stop - inside[0].start) + 2 * RADIUS)
    columns = slice(left, left + (inside[1].stop - inside[1].start) + 2 * RADIUS)
    return whole[..., rows, columns]


def valid_share(valid: np.ndarray) -> np.ndarray:
    """Share of valid cells in the context of each pixel of a framed mask (y + 32, x + 32)."""
    share = uniform_filter(valid.astype("float64"), SIZE, mode="constant")
    return share[RADIUS:-RADIUS, RADIUS:-RADIUS]


def cut(framed: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Patches (n, feature, 33, 33) around pixels, counted in the inner window of a framed array."""
    windows = np.lib.stride_tricks.sliding_window_view(framed, (SIZE, SIZE), axis=(-2, -1))
    return np.ascontiguousarray(windows[:, rows, columns].swapaxes(0, 1))

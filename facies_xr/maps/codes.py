"""Codes of a map: the class, whether snow lies in a stray patch, whether a pixel is at the accumulation area's edge."""

from dataclasses import dataclass

import numba
import numpy as np

from ..classes import NAMES, NODATA, VALUES

HIDDEN = ("shadow", "cloud")
"""Classes that hide the surface."""

SURFACE = tuple(k for k, name in enumerate(NAMES) if name not in HIDDEN)
"""Classes of the surface."""

UNSEEN, STRAY_SNOW = len(NAMES), len(NAMES) + 1
"""Codes beside the flag values: nodata, and snow in patches below the sieve."""

EDGE = 16
"""Added to the code of a pixel at the edge between accumulation area and bare surface."""

SNOW = VALUES["snow"]
NO_GROUP, BARE, WANTED = 0, 1, 2
"""What a pixel is to the edge of the accumulation area."""


def seen(codes: np.ndarray) -> np.ndarray:
    """Where the codes, without ``EDGE``, tell of a surface."""
    return np.isin(codes, (*SURFACE, STRAY_SNOW))


@dataclass(frozen=True)
class Coder:
    """Codes of a block: the class, or stray snow, and whether it lies at the edge of the accumulation area."""

    accumulating: tuple[int, ...]
    smallest: int
    """Pixels of a patch that counts."""

    def __call__(self, blocks: list[np.ndarray], inside: tuple[slice, slice]) -> np.ndarray:
        """Of the labels and the glaciers of a block and of its surroundings. (y, x)"""
        labels, index = blocks
        group = np.full(256, NO_GROUP, "uint8")
        group[list(SURFACE)], group[list(self.accumulating)] = BARE, WANTED
        surface = snow = _patches(labels, index, group, self.smallest)
        if self.accumulating != (SNOW,):
            snow = _patches(labels, index, (np.arange(256) == SNOW).astype("uint8"), self.smallest)
        return _codes(labels[inside], surface, index, snow, inside[0].start, inside[1].start)


@numba.njit(nogil=True, cache=True)
def _patches(labels, index, group, smallest):
    """Groups of the pixels in patches of at least so many pixels, ``NO_GROUP`` elsewhere.

    Pixels of one group and glacier that touch at a side are of one patch. A row is read as runs of such pixels; runs
    that touch those of the row above are united, and the first run of a patch knows its size::

        row 0    [-- 0 --]      [- 1 -]              runs 0 and 1 are patches of their own
        row 1       [------- 2 -------]   [- 3 -]    2 touches 0 and 1: all three are of patch 0
        row 2                               [- 4 -]  4 touches 3: patch 3
    """
    rows, columns = labels.shape
    runs = 0
    for r in range(rows):
        for c in range(columns):
            g = group[labels[r, c]]
            if g != NO_GROUP and (c == 0 or group[labels[r, c - 1]] != g or index[r, c - 1] != index[r, c]):
                runs += 1
    start, stop = np.empty(runs, np.int32), np.empty(runs, np.int32)
    parent, size = np.empty(runs, np.int32), np.empty(runs, np.int32)
    begin = np.zeros(rows + 1, np.int64)
    k = 0
    for r in range(rows):
        above, c = begin[max(r - 1, 0)], 0
        while c < columns:
            g, glacier, first = group[labels[r, c]], index[r, c], c
            c += 1
            if g == NO_GROUP:
                continue
            while c < columns and group[labels[r, c]] == g and index[r, c] == glacier:
                c += 1
            start[k], stop[k], parent[k], size[k] = first, c, k, c - first
            while above < begin[r] and stop[above] <= first:
                above += 1
            near = above
            while near < begin[r] and start[near] < c:
                if group[labels[r - 1, start[near]]] == g and index[r - 1, start[near]] == glacier:
                    _unite(parent, size, near, k)
                near += 1
            k += 1
        begin[r + 1] = k
    out = np.zeros((rows, columns), np.uint8)
    for r in range(rows):
        for k in range(begin[r], begin[r + 1]):
            if size[_root(parent, k)] >= smallest:
                out[r, start[k] : stop[k]] = group[labels[r, start[k]]]
    return out


@numba.njit(nogil=True, cache=True)
def _root(parent, k):
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@numba.njit(nogil=True, cache=True)
def _unite(parent, size, a, b):
    a, b = _root(parent, a), _root(parent, b)
    if a != b:
        a, b = min(a, b), max(a, b)
        parent[b] = a
        size[a] += size[b]


@numba.njit(nogil=True, cache=True)
def _codes(labels, surface, index, snow, top, left):
    """Codes of a block that begins at a row and a column of its surroundings."""
    height, width = surface.shape
    out = np.empty(labels.shape, np.uint8)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            r, c = top + i, left + j
            code = labels[i, j]
            if code == NODATA:
                code = UNSEEN
            elif code == SNOW and snow[r, c] == NO_GROUP:
                code = STRAY_SNOW
            group = surface[r, c]
            if group != NO_GROUP:
                for s, t in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                    if not (0 <= s < height and 0 <= t < width):
                        continue
                    if surface[s, t] != NO_GROUP and surface[s, t] != group and index[s, t] == index[r, c]:
                        code += EDGE
                        break
            out[i, j] = code
    return out

"""One pass over maps: what lies where on each glacier, counted in whole numbers, so that no order of sums matters."""

from dataclasses import dataclass, fields

import numba
import numpy as np

from ..classes import NAMES, NODATA, VALUES
from ..errors import InputError

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

STEP = 1e-4
"""Albedo and probabilities are summed in whole numbers of this."""

NO_HEIGHT = -(2**15)
LOWEST, HIGHEST = -500, 9000
"""No glacier lies lower or higher. [m]"""

MANY = 2**22
"""Numbers of glaciers above this are looked up in a sorted list."""


def seen(codes: np.ndarray) -> np.ndarray:
    """Where the codes, without ``EDGE``, tell of a surface."""
    return np.isin(codes, (*SURFACE, STRAY_SNOW))


@dataclass(frozen=True)
class Coder:
    """Codes of a tile: the class, or stray snow, and whether it lies at the edge of the accumulation area."""

    accumulating: tuple[int, ...]
    smallest: int
    """Pixels of a patch that counts."""

    def __call__(self, blocks: list[np.ndarray], inside: tuple[slice, slice]) -> np.ndarray:
        """Of the labels of a tile and its surroundings."""
        labels, index = blocks
        if (labels == NODATA).all():
            return np.full((1, *labels[inside].shape), UNSEEN, "uint8")
        group = np.full(256, NO_GROUP, "uint8")
        group[list(SURFACE)], group[list(self.accumulating)] = BARE, WANTED
        groups = np.take(group, labels)
        large = large_snow = _large(groups, index, self.smallest)
        if self.accumulating != (SNOW,):
            large_snow = _large((labels == SNOW).astype("uint8"), index, self.smallest)
        return _codes(labels[inside], groups, index, large, large_snow, inside[0].start, inside[1].start)[None]


@numba.njit(nogil=True, cache=True)
def _large(groups, index, smallest):
    """Pixels in patches of at least so many; pixels of one group and glacier that touch at a side are of one patch.

    Rows are read once, a patch being known by its first pixel (union by path halving), then counted and looked up.
    """
    rows, columns = groups.shape
    parent = np.arange(rows * columns, dtype=np.int32)
    for r in range(rows):
        for c in range(columns):
            if groups[r, c] == NO_GROUP:
                continue
            here = r * columns + c
            if c > 0 and groups[r, c - 1] == groups[r, c] and index[r, c - 1] == index[r, c]:
                parent[here] = parent[here - 1]
            if r > 0 and groups[r - 1, c] == groups[r, c] and index[r - 1, c] == index[r, c]:
                a, b = here, here - columns
                while parent[a] != a:
                    parent[a] = parent[parent[a]]
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                if a < b:
                    parent[b] = a
                else:
                    parent[a] = b
    size = np.zeros(rows * columns, np.int32)
    for k in range(parent.size):
        parent[k] = parent[parent[k]]
        size[parent[k]] += 1
    out = np.empty(groups.shape, np.bool_)
    for r in range(rows):
        for c in range(columns):
            out[r, c] = groups[r, c] != NO_GROUP and size[parent[r * columns + c]] >= smallest
    return out


@numba.njit(nogil=True, cache=True)
def _codes(labels, groups, index, large, large_snow, top, left):
    """Codes of a tile that begins at a row and a column of its surroundings."""
    height, width = groups.shape
    out = np.empty(labels.shape, np.uint8)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            r, c = top + i, left + j
            code = labels[i, j]
            if code == NODATA:
                code = UNSEEN
            elif code == SNOW and not large_snow[r, c]:
                code = STRAY_SNOW
            if large[r, c]:
                for s, t in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                    if not (0 <= s < height and 0 <= t < width and large[s, t]):
                        continue
                    if groups[s, t] != groups[r, c] and index[s, t] == index[r, c]:
                        code += EDGE
                        break
            out[i, j] = code
    return out


@dataclass(frozen=True)
class Counts:
    """A row for each glacier, metre of elevation and code that occur, in this order."""

    glacier: np.ndarray
    height: np.ndarray
    """Metres, rounded down; ``NO_HEIGHT`` where it is not known. [m]"""
    code: np.ndarray
    """0..9, without ``EDGE``."""
    pixels: np.ndarray
    edge: np.ndarray
    """Pixels at the edge of the accumulation area."""
    with_albedo: np.ndarray
    albedo: np.ndarray
    """Sum, in units of ``STEP``."""

    @classmethod
    def of(cls, codes: np.ndarray, index: np.ndarray, elevation: np.ndarray, albedo: np.ndarray | None) -> "Counts":
        """Counts of one block.

        Raises
        ------
        InputError
            If a glacier has an elevation that no glacier has.
        """
        bright = np.empty((0, 0), "float32") if albedo is None else albedo
        names = None
        if index.max(initial=0) > MANY:
            names, index = np.unique(np.maximum(index, 0), return_inverse=True)
            names, index = (names, index) if names[0] == 0 else (np.insert(names, 0, 0), index + 1)
        place = np.full(int(index.max(initial=0)) + 1, -1, "int32")
        numbers, low, high = _spans(index, elevation, place)
        numbers = numbers if names is None else names[numbers].astype("int64")
        for k in np.flatnonzero((high != NO_HEIGHT) & ((low < LOWEST) | (high > HIGHEST))):
            raise InputError(
                f"elevation: glacier number {numbers[k]} has {low[k]} to {high[k]} m, which cannot be (glaciers lie "
                f"between {LOWEST} and {HIGHEST} m); heights in another unit, or missing ones that are not NaN?"
            )
        first = np.concatenate([[0], np.cumsum(np.maximum(high - low, -1) + 2)])
        table = np.zeros((first[-1] * EDGE, 4), "int64")
        _fill(index, elevation, codes, bright, place, low, first, table)
        slot = np.flatnonzero(table[:, 0])
        row, code = np.divmod(slot, EDGE)
        own = np.searchsorted(first, row, "right") - 1
        offset = row - first[own]
        height = np.where(offset == 0, NO_HEIGHT, low[own] + offset - 1)
        return cls(numbers[own], height, code, *table[slot].T)

    def where(self, kept: np.ndarray) -> "Counts":
        """Only some of the rows."""
        return Counts(*(getattr(self, f.name)[kept] for f in fields(self)))

    @classmethod
    def added(cls, parts: "list[Counts]") -> "Counts":
        """Sum of the counts of several blocks."""
        glacier, height, code = (np.concatenate([getattr(p, n) for p in parts]) for n in ("glacier", "height", "code"))
        key = (glacier << 24) | ((height - NO_HEIGHT) << 8) | code
        order = np.argsort(key, kind="stable")
        first = np.flatnonzero(np.diff(key[order], prepend=-1))
        unique = key[order][first]
        sums = [
            np.add.reduceat(np.concatenate([getattr(p, f.name) for p in parts])[order], first)
            if unique.size
            else np.zeros(0, "int64")
            for f in fields(cls)[3:]
        ]
        return cls(unique >> 24, (unique >> 8 & 0xFFFF) + NO_HEIGHT, unique & 0xFF, *sums)


def percentile(counts: Counts, row: np.ndarray, weight: np.ndarray, percent: float, n: int) -> np.ndarray:
    """Percentile of the weighted elevations of each glacier, to the middle of the metre; NaN without weight. [m]"""
    out = np.full(n, np.nan)
    if not weight.any():
        return out
    here = np.flatnonzero(weight)
    order = here[np.lexsort((counts.height[here], row[here]))]
    passed, owner = np.cumsum(weight[order]), row[order]
    start = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    before = np.r_[0, passed][start]
    total = np.add.reduceat(weight[order], start)
    at = np.searchsorted(passed, before + percent / 100 * total)
    out[owner[start]] = counts.height[order][at] + 0.5
    return out


@numba.njit(nogil=True, cache=True)
def _spans(index, elevation, place):
    """Numbers of the glaciers in the order in which they are met, their lowest and highest known metre.

    ``place`` gets the position of each number in this order.
    """
    numbers, low, high = np.empty(place.size, np.int64), np.empty(place.size, np.int64), np.empty(place.size, np.int64)
    n = 0
    for r in range(index.shape[0]):
        for c in range(index.shape[1]):
            if index[r, c] <= 0:
                continue
            k = place[index[r, c]]
            if k < 0:
                k = place[index[r, c]] = n
                numbers[k], low[k], high[k] = index[r, c], 2**14, NO_HEIGHT
                n += 1
            if np.isfinite(elevation[r, c]):
                height = np.int64(max(min(np.floor(elevation[r, c]), 1e5), -1e5))
                low[k] = min(low[k], height)
                high[k] = max(high[k], height)
    return numbers[:n], low[:n], high[:n]


@numba.njit(nogil=True, cache=True)
def _fill(index, elevation, codes, bright, place, low, first, table):
    """Counts by metre and code; each glacier has one row more, its first, for unknown elevation."""
    for r in range(index.shape[0]):
        for c in range(index.shape[1]):
            if index[r, c] <= 0:
                continue
            k = place[index[r, c]]
            row = first[k]
            if np.isfinite(elevation[r, c]):
                row += 1 + np.int64(np.floor(elevation[r, c])) - low[k]
            at = row * EDGE + codes[r, c] % EDGE
            table[at, 0] += 1
            table[at, 1] += codes[r, c] >= EDGE
            if bright.size and np.isfinite(bright[r, c]):
                table[at, 2] += 1
                table[at, 3] += np.int64(np.rint(bright[r, c] / STEP))

"""What lies where on each glacier, counted in whole numbers, so that no order of sums matters."""

from dataclasses import dataclass, fields

import numba
import numpy as np

from ..errors import InputError
from .codes import EDGE

STEP = 1e-4
"""Albedo and probabilities are summed in whole numbers of this."""

NO_HEIGHT = -(2**15)
LOWEST, HIGHEST = -500, 9000
"""No glacier lies lower or higher. [m]"""

MANY = 2**22
"""Numbers of glaciers above this are looked up in a sorted list."""


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
    """Pixels whose albedo is known; those of all heights in the row of ``NO_HEIGHT``."""
    albedo: np.ndarray
    """Their sum, in units of ``STEP``."""

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
            names, place = np.unique(np.maximum(index, 0), return_inverse=True)
            index = place.reshape(index.shape)  # NumPy before 2 gives it flat
            names, index = (names, index) if names[0] == 0 else (np.insert(names, 0, 0), index + 1)
        position = np.full(int(index.max(initial=0)) + 1, -1, "int32")
        numbers, low, high = _spans(index, elevation, position)
        numbers = numbers if names is None else names[numbers].astype("int64")
        for k in np.flatnonzero((high != NO_HEIGHT) & ((low < LOWEST) | (high > HIGHEST))):
            raise InputError(
                f"elevation: glacier number {numbers[k]} has {low[k]} to {high[k]} m, which cannot be (glaciers lie "
                f"between {LOWEST} and {HIGHEST} m); heights in another unit, or missing ones that are not NaN?"
            )
        first = np.concatenate([[0], np.cumsum(np.maximum(high - low, -1) + 2)])
        pixels, edge = np.zeros((2, first[-1] * EDGE), "int32")
        light = np.zeros((len(numbers), EDGE, 2), "int64")
        _fill(index, elevation, codes, bright, position, low, first, pixels, edge, light)
        lit = np.nonzero(light[..., 0])
        lit_slot = first[lit[0]] * EDGE + lit[1]
        occurs = pixels > 0
        occurs[lit_slot] = True
        slot = np.flatnonzero(occurs)
        row, code = np.divmod(slot, EDGE)
        glacier = np.searchsorted(first, row, "right") - 1
        offset = row - first[glacier]
        height = np.where(offset == 0, NO_HEIGHT, low[glacier] + offset - 1)
        albedo = np.zeros((2, slot.size), "int64")
        albedo[:, np.searchsorted(slot, lit_slot)] = light[lit].T
        return cls(numbers[glacier], height, code, pixels[slot].astype("int64"), edge[slot].astype("int64"), *albedo)

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
def _spans(index, elevation, position):
    """Numbers of the glaciers in the order in which they are met, their lowest and highest known metre.

    ``position`` gets the position of each number in this order.
    """
    size = position.size
    numbers, low, high = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    n = 0
    for r in range(index.shape[0]):
        for c in range(index.shape[1]):
            if index[r, c] <= 0:
                continue
            k = position[index[r, c]]
            if k < 0:
                k = position[index[r, c]] = n
                numbers[k], low[k], high[k] = index[r, c], 2**14, NO_HEIGHT
                n += 1
            if np.isfinite(elevation[r, c]):
                height = np.int64(max(min(np.floor(elevation[r, c]), 1e5), -1e5))
                low[k] = min(low[k], height)
                high[k] = max(high[k], height)
    return numbers[:n], low[:n], high[:n]


@numba.njit(nogil=True, cache=True)
def _fill(index, elevation, codes, bright, position, low, first, pixels, edge, light):
    """Counts by metre and code; each glacier has one row more, its first, for unknown elevation."""
    for r in range(index.shape[0]):
        for c in range(index.shape[1]):
            if index[r, c] <= 0:
                continue
            k, code = position[index[r, c]], codes[r, c] % EDGE
            row = first[k]
            if np.isfinite(elevation[r, c]):
                row += 1 + np.int64(np.floor(elevation[r, c])) - low[k]
            pixels[row * EDGE + code] += 1
            if codes[r, c] >= EDGE:
                edge[row * EDGE + code] += 1
            if bright.size and np.isfinite(bright[r, c]):
                light[k, code, 0] += 1
                light[k, code, 1] += np.int64(np.rint(bright[r, c] / STEP))

"""Arithmetic on (glacier, elevation band): accumulation area ratio and snow line from the shares of the bands."""

from dataclasses import dataclass

import numpy as np

HEIGHT = 20
"""Of an elevation band. [m]"""

MIN_COVERAGE = 0.5
"""Share that must be seen of the bands around the snow line."""


@dataclass(frozen=True)
class Bands:
    """Elevation bands, one above the other, common to all glaciers."""

    lowest: int
    """Lower edge of the lowest. [m]"""
    number: int

    @classmethod
    def spanning(cls, low: np.ndarray, high: np.ndarray) -> "Bands":
        """Those that hold all glaciers with these lowest and highest elevations; one at 0 m if none is known. [m]"""
        if not np.isfinite(low).any():
            return cls(0, 1)
        first, last = (int(np.floor(bound / HEIGHT)) for bound in (np.nanmin(low), np.nanmax(high)))
        return cls(first * HEIGHT, last - first + 1)

    def position(self, height: np.ndarray) -> np.ndarray:
        """Band of each height; below 0, or not below ``number``, if it lies in none. [m]"""
        return (height - self.lowest) // HEIGHT

    @property
    def middle(self) -> np.ndarray:
        """[m]."""
        return self.lowest + (np.arange(self.number) + 0.5) * HEIGHT

    @property
    def edges(self) -> np.ndarray:
        """Lower edges of the bands, and the upper one of the last. [m]"""
        return edges(self.middle)


def edges(middle: np.ndarray) -> np.ndarray:
    """Lower edges of bands with these middles, and the upper one of the last. [m]"""
    return np.append(middle, middle[-1] + HEIGHT) - HEIGHT / 2


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quotient, NaN where ``b`` is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)


def filled(share: np.ndarray) -> np.ndarray:
    """Shares of bands, those of unseen ones taken from the nearest seen band, of two the lower; 0 if none is seen."""
    n = share.shape[1]
    position = np.where(np.isfinite(share), np.arange(n), -(4 * n))
    below = np.maximum.accumulate(position, 1)
    position = np.where(np.isfinite(share), np.arange(n), 4 * n)
    above = np.minimum.accumulate(position[:, ::-1], 1)[:, ::-1]
    nearest = np.where(np.arange(n) - below <= above - np.arange(n), below, above)
    return np.nan_to_num(np.take_along_axis(share, np.clip(nearest, 0, n - 1), 1))


def ratio(share: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Accumulation area ratio of each glacier."""
    return divided((share * weight).sum(1), weight.sum(1))


def snow_line(share: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elevation at which the share passes one half, and the bands on either side of it.

    Parameters
    ----------
    share, weight : ndarray (glacier, band)
    edges : ndarray (band + 1)
        [m]

    Returns
    -------
    line : ndarray (glacier)
        NaN without area. [m]
    around : ndarray (glacier, band) of bool

    Notes
    -----
    Every edge is a candidate; the one that leaves least is taken, and the line is interpolated between the middles of
    the bands on either side::

        share   0    .1   .3   .8   1
        band  |----|----|----|----|----|
        edge  0    1    2    3    4    5      snow below edge 3: 0 + .1 + .3, bare above it: .2 + 0; edge 2 leaves
                                              .1 + .7 + .2, edge 4 leaves 1.2 + 0: edge 3 is the best
    """
    nothing = np.zeros((len(share), 1))
    below = np.concatenate([nothing, np.cumsum(share * weight, 1)], 1)
    bare = (1 - share) * weight
    above = np.concatenate([np.cumsum(bare[:, ::-1], 1)[:, ::-1], nothing], 1)
    occupied = weight > 0
    n = share.shape[1]
    first, last = occupied.argmax(1), n - 1 - occupied[:, ::-1].argmax(1)
    # Only the lower edges of bands with area, and the upper one of the last, are candidates.
    candidate = np.concatenate([occupied, np.zeros((len(share), 1), bool)], 1)
    candidate[np.arange(len(share)), last + 1] = True
    k = np.where(candidate, below + above, np.inf).argmin(1)
    bands = np.arange(n)
    lower = np.where(occupied & (bands < k[:, None]), bands, -1).max(1)
    upper = np.minimum(k, n - 1)
    row = np.arange(len(share))
    middle, size = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    low, high = share[row, np.maximum(lower, 0)], share[row, upper]
    passed = np.clip(np.divide(0.5 - low, high - low, out=np.full(len(share), 0.5), where=high > low), 0, 1)
    between = middle[np.maximum(lower, 0)] + passed * (middle[upper] - middle[np.maximum(lower, 0)])
    line = np.select([k <= first, k > last], [edges[first], edges[last] + size], between)
    around = (bands == lower[:, None]) | ((bands == upper[:, None]) & (k <= last)[:, None])
    return np.where(occupied.any(1), line, np.nan), around

"""Ice on the mountains: it gathers above the equilibrium line, flows, melts below, and divides into glaciers.

References
----------
Hutter, K. (1983): Theoretical glaciology (shallow ice approximation).
"""

import numba
import numpy as np
from scipy.ndimage import gaussian_filter, label

from .bedrock import steepest

FLOW = 2.1e-5
"""2 A (rho g)^3 / 5 of ice at the melting point, A = 2.4e-24 Pa-3 s-1. [m-3 yr-1]"""

YEARS = 320
"""Until the ice is near its steady state. [year]"""

SHORTEST_STEP = 0.05
"""Faster diffusion than this step allows is slowed down. [year]"""

THINNEST = 5.0
"""Ice thinner than this is seasonal. [m]"""


def thickness(bed: np.ndarray, line: np.ndarray, spacing: float, gradient: float, edge: int) -> np.ndarray:
    """Thickness of ice in balance with a climate. [m]

    Parameters
    ----------
    bed : ndarray
        [m]
    line : ndarray
        Elevation of the equilibrium line. [m]
    spacing : float
        [m]
    gradient : float
        Change of the annual balance with elevation. [yr-1]
    edge : int
        Cells along the edge without ice.
    """
    north, west = np.gradient(bed, -spacing, spacing)
    hold = np.clip((1.05 - np.hypot(north, west)) / 0.45, 0, 1)  # steep faces shed their snow
    open_ = np.zeros(bed.shape, bool)
    open_[edge:-edge, edge:-edge] = True
    found = _flow(bed, line, hold, open_, spacing, gradient, 0.35 * gradient * float(np.ptp(bed)))
    return np.where(found > THINNEST, found, 0.0)


@numba.njit(nogil=True, cache=True)
def _flow(bed, line, hold, open_, spacing, gradient, most):
    """Explicit steps of the shallow ice approximation, with the thickness upstream."""
    rows, columns = bed.shape
    h = np.zeros((rows, columns))
    s = bed.copy()
    east, south = np.zeros((rows, columns)), np.zeros((rows, columns))
    limit = 0.2 * spacing**2 / SHORTEST_STEP
    time = 0.0
    while time < YEARS:
        fastest = 1e-9
        for r in range(1, rows - 1):
            for c in range(1, columns - 1):
                if h[r, c] == 0 and h[r, c + 1] == 0 and h[r + 1, c] == 0:
                    east[r, c], south[r, c] = 0.0, 0.0
                    continue
                fall = (s[r, c] - s[r, c + 1]) / spacing
                side = (s[r + 1, c] + s[r + 1, c + 1] - s[r - 1, c] - s[r - 1, c + 1]) / (4 * spacing)
                up = h[r, c] if fall > 0 else h[r, c + 1]
                d = min(FLOW * up**5 * min(fall**2 + side**2, 1.0), limit)
                fastest = max(fastest, d)
                east[r, c] = d * fall
                fall = (s[r, c] - s[r + 1, c]) / spacing
                side = (s[r, c + 1] + s[r + 1, c + 1] - s[r, c - 1] - s[r + 1, c - 1]) / (4 * spacing)
                up = h[r, c] if fall > 0 else h[r + 1, c]
                d = min(FLOW * up**5 * min(fall**2 + side**2, 1.0), limit)
                fastest = max(fastest, d)
                south[r, c] = d * fall
        step = min(0.2 * spacing**2 / fastest, 0.5)
        for r in range(1, rows - 1):
            for c in range(1, columns - 1):
                if not open_[r, c]:
                    continue
                gain = min(gradient * (s[r, c] - line[r, c]), most)
                if gain > 0:
                    gain *= hold[r, c]
                flux = (east[r, c - 1] - east[r, c] + south[r - 1, c] - south[r, c]) / spacing
                h[r, c] = max(h[r, c] + step * (gain + flux), 0.0)
                s[r, c] = bed[r, c] + h[r, c]
        time += step
    return h


def divided(surface: np.ndarray, h: np.ndarray, line: np.ndarray, most: int) -> np.ndarray:
    """Glaciers: number of the glacier of each cell, largest first, -1 without ice.

    Parts of the ice below the equilibrium line are tongues; what flows to a tongue belongs to it. Without a tongue,
    what flows to the same place is a glacier. Of ice that stays in one piece, the division that gives the number asked
    for is taken; small pieces join their neighbours.

    Parameters
    ----------
    surface, h : ndarray
        Elevation of the surface, thickness. [m]
    line : ndarray
        Elevation of the equilibrium line. [m]
    most : int
        Glaciers wanted at most.
    """
    ice = h > 0
    smooth = gaussian_filter(surface, 1.0)
    below = (line - surface)[ice]
    best = np.full(surface.shape, -1)
    for share in (0.9, 0.6, 0.4, 0.25, 0.15):
        found = _gathered(smooth, ice, line - surface > np.quantile(below, 1 - share), most)
        if found.max() > best.max():
            best = found
        if best.max() + 1 >= most:
            break
    return best


def _gathered(surface, ice, tongue, most: int) -> np.ndarray:
    tongues, count = label(tongue & ice, np.ones((3, 3)))
    receiver, _ = steepest(surface)
    mark = tongues.ravel().copy()
    inside = ice.ravel()
    for k in np.argsort(surface.ravel()):
        if inside[k] and mark[k] == 0:
            if receiver[k] != k and inside[receiver[k]]:
                mark[k] = mark[receiver[k]]
            else:
                count += 1
                mark[k] = count
    mark = _joined(mark.reshape(surface.shape), max(9, ice.sum() // 150), most)
    sizes = np.bincount(mark.ravel())
    sizes[0] = 0
    rank = np.full(sizes.size, -1)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    rank[order] = np.arange(order.size)
    return rank[mark]


def _joined(mark: np.ndarray, least: int, most: int) -> np.ndarray:
    """Give the smallest piece to the neighbour with the longest common border, or let it vanish if it has none.

    Until no piece is of fewer cells than ``least``, and no more than ``most`` are left.
    """
    mark = mark.copy()
    while True:
        sizes = np.bincount(mark.ravel())
        sizes[0] = 0
        left = np.flatnonzero(sizes)
        k = left[np.argmin(sizes[left])] if left.size else 0
        if left.size <= 1 or (sizes[k] >= least and left.size <= most):
            return mark
        mine = mark == k
        beside = np.zeros(mark.shape, bool)
        beside[1:] |= mine[:-1]
        beside[:-1] |= mine[1:]
        beside[:, 1:] |= mine[:, :-1]
        beside[:, :-1] |= mine[:, 1:]
        others = mark[beside & ~mine & (mark > 0)]
        mark[mine] = np.bincount(others).argmax() if others.size else 0


@numba.njit(nogil=True, cache=True)
def lanes(surface, h, source):
    """A number that the ice carries along: ``source`` on the highest cells, below the mean of what flows in."""
    rows, columns = surface.shape
    out = source.copy()
    for k in np.argsort(-surface.ravel()):
        r, c = k // columns, k % columns
        if h[r, c] == 0 or r == 0 or c == 0 or r == rows - 1 or c == columns - 1:
            continue
        total, weight = 0.0, 0.0
        for i in range(r - 1, r + 2):
            for j in range(c - 1, c + 2):
                fall = surface[i, j] - surface[r, c]
                if fall > 0 and h[i, j] > 0:
                    w = fall**4 * h[i, j]  # nearly along the flow
                    total += w * out[i, j]
                    weight += w
        if weight > 0:
            out[r, c] = 0.96 * total / weight + 0.04 * source[r, c]
    return out

r"""Exact distance of the pixels of a window from the nearest of some points, compiled.

In each row of points the nearest one of every column is found by a walk along the row. Down a column the squared
distance is then the lowest of parabolas, one for each row of points; they are laid one after the other into the
envelope, each of which holds from some row on (Meijster, Roerdink and Hesselink 2000,
doi:10.1007/0-306-47025-X_36)::

    squared distance
      |  \          /\            /
      |   \        /  \          /
      |    \_    _/    \_      _/
      |      \__/        \____/
      +-------u-------t-----v-------- row
                      from here on the points of row v are nearer than those of row u

All is done in whole numbers. A pixel costs some nanoseconds, however many points there are.
"""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def squared_distance(rows, columns, top, left, height, width):
    """Squared distance of the pixels of a window from the nearest point. [px2]

    Parameters
    ----------
    rows, columns : ndarray (point) of int
        Sorted by row, then by column; at least one.
    top, left, height, width : int
        The window.

    Returns
    -------
    ndarray (y, x) of int64
    """
    number = 1 + (rows[1:] != rows[:-1]).sum()
    at = np.empty(number, np.int64)
    aside = np.empty((width, number), np.int64)
    first = 0
    for k in range(number):
        end = first + 1
        while end < rows.size and rows[end] == rows[first]:
            end += 1
        at[k] = rows[first]
        nearest = first
        for x in range(width):
            c = left + x
            while nearest + 1 < end and abs(columns[nearest + 1] - c) <= abs(columns[nearest] - c):
                nearest += 1
            aside[x, k] = (columns[nearest] - c) ** 2
        first = end
    out = np.empty((width, height), np.int64)
    lowest, since = np.empty(number, np.int64), np.empty(number, np.int64)
    for x in range(width):
        _envelope(at, aside[x], top, lowest, since, out[x])
    return out.T


@numba.njit(nogil=True, cache=True)
def _envelope(at, aside, top, lowest, since, out):
    """The lowest parabola at each row from the top on; ``lowest`` and ``since`` are room to work in."""
    lowest[0], since[0], last = 0, top, 0
    for k in range(1, at.size):
        while last >= 0 and _parabola(at, aside, k, since[last]) < _parabola(at, aside, lowest[last], since[last]):
            last -= 1
        if last < 0:
            lowest[0], since[0], last = k, top, 0
            continue
        u = lowest[last]
        begins = 1 + (at[k] ** 2 - at[u] ** 2 + aside[k] - aside[u]) // (2 * (at[k] - at[u]))
        if begins < top + out.size:
            last += 1
            lowest[last], since[last] = k, begins
    for y in range(top + out.size - 1, top - 1, -1):
        out[y - top] = _parabola(at, aside, lowest[last], y)
        if y == since[last]:
            last -= 1


@numba.njit(nogil=True, cache=True)
def _parabola(at, aside, k, y):
    return (y - at[k]) ** 2 + aside[k]

"""Fast products near the edges of a patch: the algebra of the compiled kernel.

On one axis, the edge contexts of a layer are a polynomial product. With k(z) = K+ + K0 z + K- z^2 made of the kernel's
taps, and t(z) = t0 + t1 z + ... of the n edge maps of the input, the edge terms of the output cells 0..n are the
coefficients z^1..z^(n+1) of k(z) t(z) (:mod:`facies_xr.nn.evaluate.geometry` has the table). Toom and Cook's trick
multiplies the values of both polynomials at n + 2 points instead of their coefficients, and interpolates: 4 products
instead of 5 for n = 2, 5 instead of 8 for n = 3. For n = 1 the two terms are two products as they stand. Seen from the
far end, K+ and K- change places.

::

    n = 3       T0 = K0 t0 + K+ t1                    z^1         k   k(0) k(1) k(-1) k(2)  K-    5 matrices, taken once
                T1 = K- t0 + K0 t1 + K+ t2            z^2         t   t(0) t(1) t(-1) t(2)  t2    5 sums of edge maps
                T2 =         K- t1 + K0 t2 (+ K+ M)   z^3             --------- x ----------      5 products (8 terms)
                T3 =                 K- t2 (+ K0 M    z^4                    | interpolate
                                             + K+ M)                  T0   T1   T2   T3

A *slot* is one such product. Both axes have slots, and the matrix of a pair of slots is a sum of the kernel's nine
taps, taken once, in float64.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

POINTS = (0.0, 1.0, -1.0, 2.0)
"""Where the polynomials are evaluated, as many as are needed; the last point is always infinity."""


@dataclass(frozen=True, eq=False)
class Slots:
    """Products of one axis for n edge maps."""

    taps: np.ndarray
    """Of each slot: weights of K-, K0, K+, seen from the near end. (slot, 3)"""
    maps: np.ndarray
    """Of each slot: weights of the edge maps. (slot, n)"""
    cells: np.ndarray
    """Of each output cell: weights of the slots. (n + 1, slot)"""


@lru_cache
def slots(n: int) -> Slots:
    """Slots for n edge maps on a side."""
    if n == 1:
        return Slots(np.array([[0.0, 1, 0], [1, 0, 0]]), np.ones((2, 1)), np.eye(2))
    points = np.array(POINTS[: n + 1])
    ascending = np.vstack([_values(points, 3), [0, 0, 1]])
    back = np.linalg.inv(np.vstack([_values(points, n + 2), np.eye(n + 2)[-1]]))
    return Slots(ascending[:, ::-1], np.vstack([_values(points, n), np.eye(n)[-1]]), _clean(back[1:]))


def matrices(weight: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of all pairs of slots.

    Parameters
    ----------
    weight : ndarray (out, in, 3, 3)
        Kernel of a convolution, batch norm folded in.
    n : int
        Edge maps on a side of the input.

    Returns
    -------
    middle, top, bottom : ndarray (row slot, column slot, in, out) of float32
        Row slots: the three taps of the middle, or those of an edge. Column slots: those of the left edge, the three
        taps of the middle, those of the right edge.
    """
    near, middle = slots(n).taps, np.eye(3)
    columns = np.vstack([near, middle, near[:, ::-1]])
    kernel = weight.astype("float64").transpose(2, 3, 1, 0)

    def pairs(rows: np.ndarray) -> np.ndarray:
        return np.einsum("iu,jv,uvab->ijab", rows, columns, kernel, optimize=True).astype("float32", order="C")

    return pairs(middle), pairs(near), pairs(near[:, ::-1])


def _values(points: np.ndarray, terms: int) -> np.ndarray:
    return points[:, None] ** np.arange(terms)


def _clean(x: np.ndarray) -> np.ndarray:
    """Coefficients that are a multiple of 1/12, exactly."""
    return np.rint(x * 12) / 12

"""Mountains before the ice: rivers cut valleys into rising ground, slopes creep, some plateaus are left.

A landscape evolves on a coarse grid: uplift, the stream power law along the steepest descent, creep of the slopes. So
ridges branch as real ones do, and ice finds basins that join.

References
----------
Braun, J. and Willett, S. (2013): A very efficient O(n), implicit and parallel method to solve the stream power
equation. Geomorphology 180-181, 170-179.
"""

import math

import numba
import numpy as np
from scipy.ndimage import gaussian_filter

from .noise import fractal, smooth_step

STEPS = 70
"""Of the evolution, each as long as the highest ground needs to rise by 1/50 of its height."""

INCISION = 0.11
"""Stream power per step of a river that drains one cell."""

AREA_EXPONENT = 0.45

CREEP = 0.06
"""Share of a cell's excess over its neighbours that moves to them in a step."""

PLATEAUS = 0.5
"""Share of landscapes that have plateaus."""


def bedrock(seed: int, nodes: int, relief: float, summit: float) -> np.ndarray:
    """Elevation of the ground on a square grid, north up. [m]

    Parameters
    ----------
    seed : int
    nodes : int
        Along an edge.
    relief : float
        Range of elevation. [m]
    summit : float
        Highest elevation. [m]
    """
    rng = np.random.default_rng([seed, 1])
    axis = np.linspace(-1, 1, nodes)
    east, north = np.meshgrid(axis, -axis)
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(1.0, 1.7)
    along = (east * math.cos(turn) + north * math.sin(turn)) / math.sqrt(stretch)
    across = (north * math.cos(turn) - east * math.sin(turn)) * math.sqrt(stretch)
    across = across + rng.uniform(-0.4, 0.4) * along**2
    far = np.hypot(along, across) + 0.16 * fractal(east, north, seed + 1, 0.9, 3)
    rise = smooth_step((1.15 - far) / 0.75) * (1 + 0.25 * fractal(east, north, seed + 2, 0.5, 3))
    rise = np.maximum(rise, 0.0)
    z = 0.08 * rise + 0.02 * fractal(east, north, seed + 3, 0.35, 5)
    for _ in range(STEPS):
        z = _erode(z + rise / 50, INCISION, AREA_EXPONENT)
        z = z + CREEP * (gaussian_filter(z, 0.8, mode="nearest") - z) / 0.5
    smooth = gaussian_filter(z, 1.6, mode="nearest")
    z = np.where(z < smooth, 0.25 * z + 0.75 * smooth, z)  # ice has widened the valleys
    if rng.random() < PLATEAUS:
        z = _with_plateaus(z, rng, fractal(east, north, seed + 4, 1.1, 2))
    z = gaussian_filter(z, 0.5, mode="nearest") + 0.02 * z.max() * fractal(east, north, seed + 5, 0.5, 4)
    low, high = np.quantile(z, 0.02), z.max()
    return summit - relief * (1 - (z - low) / (high - low))


def _with_plateaus(z: np.ndarray, rng, where: np.ndarray) -> np.ndarray:
    """Level the highest ground of some parts: the seats of ice caps and wide firn fields."""
    level = np.quantile(z, rng.uniform(0.72, 0.9))
    scale = 0.06 * (z.max() - z.min())
    flat = -scale * np.logaddexp(-z / scale, -level / scale) + 0.12 * np.maximum(z - level, 0)
    share = smooth_step((where - rng.uniform(-1.2, 1.2)) / 0.5)
    return z + share * (flat - z)


@numba.njit(nogil=True, cache=True)
def _erode(z, incision, exponent):
    """One implicit step of the stream power law; the edge stays where it is."""
    rows, columns = z.shape
    receiver, distance = steepest(z)
    order = np.argsort(-z.ravel())
    area = np.ones(z.size)
    for k in order:
        if receiver[k] != k:
            area[receiver[k]] += area[k]
    out = z.copy().ravel()
    for k in order[::-1]:
        r, c = k // columns, k % columns
        if r == 0 or c == 0 or r == rows - 1 or c == columns - 1:
            out[k] = 0.0
        elif receiver[k] != k:
            power = incision * area[k] ** exponent / distance[k]
            out[k] = (out[k] + power * out[receiver[k]]) / (1 + power)
    return out.reshape(z.shape)


@numba.njit(nogil=True, cache=True)
def steepest(z):
    """Flat index of the neighbour in the direction of steepest descent (itself in a pit), and its distance [cells]."""
    rows, columns = z.shape
    receiver, distance = np.arange(z.size), np.ones(z.size)
    for r in range(rows):
        for c in range(columns):
            best = 0.0
            for i in range(max(r - 1, 0), min(r + 2, rows)):
                for j in range(max(c - 1, 0), min(c + 2, columns)):
                    if i == r and j == c:
                        continue
                    d = math.sqrt((i - r) ** 2 + (j - c) ** 2)
                    fall = (z[r, c] - z[i, j]) / d
                    if fall > best:
                        best = fall
                        receiver[r * columns + c], distance[r * columns + c] = i * columns + j, d
    return receiver, distance

"""A mountain with valley glaciers around it and an ice cap beside it, as functions of the place.

Valleys are drawn first, as centre lines that leave a summit in all directions; walls rise from them to ridges, where
neighbours meet. Ice fills the upper part of each valley. Everything is evaluated at any place, so that a region
larger than memory is computed window by window.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from .noise import fractal

WALL = 0.75
"""Steepness of the valley walls above the ice. [m/m]"""

REACH_OF_WALLS = 900.0
"""Distance from a valley beyond which its walls are above everything. [m]"""

FORELAND = 1.4
"""Length of a valley relative to its glacier."""


@dataclass(frozen=True)
class Valley:
    """One valley with a glacier in its upper part."""

    seed: int
    line: np.ndarray
    """Centre line, head first, (vertex, x y). [m]"""
    length: float
    """Of the glacier. [m]"""
    half_width: float
    """Mean, of the glacier. [m]"""
    head: float
    """Elevation at the head. [m]"""
    drop: float
    """Elevation range of the glacier. [m]"""
    debris: float
    """Share of debris on the tongue, 0..1."""
    medial_moraine: float
    """Position of a medial moraine, -1..1 of the half width; NaN: none."""

    def locate(self, x, y) -> tuple[np.ndarray, np.ndarray]:
        """Distance along the centre line, and signed distance from it. [m]"""
        along, aside = _locate(np.ravel(x), np.ravel(y), self.line)
        return along.reshape(np.shape(x)), aside.reshape(np.shape(x))

    def width(self, along) -> np.ndarray:
        """Half width of the glacier: wide above, narrow below, closed at the terminus. [m]"""
        t = along / self.length
        taper = 1.35 - 0.75 * np.clip(t, 0, 1)
        cap = np.sqrt(np.clip((1 - t) / 0.08, 0, 1))
        return self.half_width * taper * cap

    def floor(self, along, aside) -> np.ndarray:
        """Elevation of the valley: the line falls, the cross profile is a bowl above and a dome below. [m]"""
        t = along / self.length
        line = self.head - self.drop * (1.1 * t - 0.1 * t**2)
        across = np.minimum(np.abs(aside) / self.half_width, 2)
        bowl = 0.10 * self.half_width * (1 - 2 * np.clip(t, 0, 1)) * across**2
        return line + np.where(t < 1, bowl, 0.05 * np.abs(aside))


@dataclass(frozen=True)
class IceCap:
    """A dome of ice."""

    seed: int
    centre: tuple[float, float]
    radius: float
    summit: float
    drop: float

    def rim(self, x, y) -> np.ndarray:
        """Distance from the centre, 1 at the margin."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        angle = np.arctan2(dy, dx)
        wobble = sum(
            np.sin(k * angle + phase) / k
            for k, phase in zip((2, 3, 5, 7), np.random.default_rng(self.seed).uniform(0, 6.28, 4), strict=True)
        )
        return np.hypot(dx, dy) / (self.radius * (1 + 0.18 * wobble))

    def surface(self, x, y) -> np.ndarray:
        """Elevation; the hill goes on beyond the margin. [m]"""
        return self.summit - self.drop * self.rim(x, y) ** 1.7


@dataclass(frozen=True)
class Landscape:
    """Terrain and ice of a region."""

    seed: int
    valleys: tuple[Valley, ...]
    caps: tuple[IceCap, ...]
    centre: tuple[float, float]
    reach: float
    """Distance from the centre within which there is ice. [m]"""
    summit: float

    def elevation(self, x, y) -> np.ndarray:
        """Elevation of the surface, ice included. [m]"""
        return self.shape(x, y)[0]

    def glacier(self, x, y) -> np.ndarray:
        """Position in :attr:`glaciers` of the glacier at each place, -1 outside."""
        return self.shape(x, y)[1]

    @property
    def glaciers(self) -> tuple[Valley | IceCap, ...]:
        """All glaciers, valleys first."""
        return (*self.valleys, *self.caps)

    @cached_property
    def _steepness(self) -> float:
        return float(np.mean([v.drop / v.length for v in self.valleys])) if self.valleys else 0.3

    def shape(self, x, y) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`elevation` and :meth:`glacier` at once."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        size, x, y = x.shape, x.ravel(), y.ravel()
        rough = fractal(x, y, self.seed + 2, 300.0, 4)
        wavy = 1 + 0.16 * fractal(x, y, self.seed + 3, 170.0, 3)
        z, index = self._hills(x, y), np.full(x.size, -1, "int32")
        nearest = np.full(x.size, np.inf)
        for k, valley in enumerate(self.valleys):
            low, high = valley.line.min(0) - REACH_OF_WALLS, valley.line.max(0) + REACH_OF_WALLS
            near = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
            along, aside = valley.locate(x[near], y[near])
            width = np.maximum(valley.width(along), 0.35 * valley.half_width)
            beyond = np.maximum(np.abs(aside) - width, 0)
            wall = valley.floor(along, aside) + WALL * beyond * (1 + 0.15 * rough[near])
            z[near] = _soft_minimum(z[near], wall, 12.0)
            ice = np.abs(aside) / np.maximum(valley.width(along) * wavy[near], 1e-9)
            mine = (ice < 1) & (along < valley.length) & (ice < nearest[near])
            index[near[mine]], nearest[near[mine]] = k, ice[mine]
        for k, cap in enumerate(self.caps, len(self.valleys)):
            mine = (cap.rim(x, y) * (1 + 0.4 * (wavy - 1)) < 1) & (index < 0)
            index[mine] = k
        z += np.where(index < 0, 6.0, 1.0) * rough + 2.5 * fractal(x, y, self.seed + 4, 420.0, 3)
        return z.reshape(size), index.reshape(size)

    def _hills(self, x, y) -> np.ndarray:
        """The mountain before the valleys are cut into it, and the hills of the ice caps. [m]"""
        r = np.hypot(x - self.centre[0], y - self.centre[1])
        ridges = np.abs(fractal(x, y, self.seed + 1, 900.0, 4, gain=0.42))
        z = self.summit + 70 - 0.85 * self._steepness * np.maximum(r - 150, 0) - 130 * ridges
        for cap in self.caps:
            rim = cap.rim(x, y)
            hill = cap.surface(x, y) - 160 * np.maximum(rim - 1.1, 0) * (1 + ridges)
            z = -_soft_minimum(-z, -hill, 8.0)
        return z


def _soft_minimum(a, b, scale: float):
    """Minimum with rounded corners. [m]"""
    return -scale * np.logaddexp(-a / scale, -b / scale)


@numba.njit(nogil=True, cache=True)
def _locate(x, y, line):
    """Nearest point of a polyline: distance along it, signed distance from it."""
    along, aside = np.empty(x.size), np.empty(x.size)
    for k in range(x.size):
        best, passed = np.inf, 0.0
        for n in range(line.shape[0] - 1):
            dx, dy = line[n + 1, 0] - line[n, 0], line[n + 1, 1] - line[n, 1]
            size = math.hypot(dx, dy)
            px, py = x[k] - line[n, 0], y[k] - line[n, 1]
            t = min(max((px * dx + py * dy) / size**2, 0.0), 1.0)
            u, v = px - t * dx, py - t * dy
            d = math.hypot(u, v)
            if d < best:
                best = d
                along[k] = passed + t * size
                aside[k] = d if dx * v - dy * u >= 0 else -d
            passed += size
    return along, aside


def draw(seed: int, centre: tuple[float, float], glaciers: int, length: float, summit: float) -> Landscape:
    """Draw a landscape: ``glaciers - 1`` valley glaciers around a summit and an ice cap.

    Parameters
    ----------
    seed : int
    centre : (float, float)
        Of the summit. [m]
    glaciers : int
        At least 2.
    length : float
        Typical length of a valley glacier. [m]
    summit : float
        [m]
    """
    rng = np.random.default_rng([seed, 1])
    n = glaciers - 1
    azimuths = (np.arange(n) + rng.uniform(-0.15, 0.15, n)) * 2 * np.pi / n + rng.uniform(0, 2 * np.pi)
    valleys = []
    for k, azimuth in enumerate(azimuths):
        size = length * rng.uniform(0.8, 1.25)
        half_width = size * rng.uniform(0.08, 0.13) * (1 if size < 2500 else 0.6)
        start = max(0.2 * length, 1.15 * half_width * n / np.pi)
        steps = np.linspace(0, size * FORELAND, 40)
        bend = rng.uniform(-0.35, 0.35) * np.sin(steps / size * rng.uniform(1.5, 3.5))
        heading = azimuth + np.concatenate([[0], np.cumsum(np.diff(steps) * bend[1:] / size * 2)])
        moves = np.column_stack([np.sin(heading), np.cos(heading)])[1:] * np.diff(steps)[:, None]
        origin = np.array(centre) + start * np.array([np.sin(azimuth), np.cos(azimuth)])
        line = origin + np.concatenate([[[0, 0]], np.cumsum(moves, 0)])
        valleys.append(
            Valley(
                seed=seed * 1000 + k,
                line=line,
                length=size,
                half_width=half_width,
                head=summit - rng.uniform(150, 260),
                drop=size * rng.uniform(0.38, 0.55) if size < 1500 else size * rng.uniform(0.18, 0.28),
                debris=rng.choice([0.0, 0.25, 0.6], p=[0.4, 0.35, 0.25]),
                medial_moraine=rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else np.nan,
            )
        )
    radius = length * rng.uniform(0.20, 0.26)
    gap = azimuths[0] + np.pi / n
    away = length * 1.45 + radius
    mean_head = np.mean([v.head for v in valleys])
    mean_drop = np.mean([v.drop for v in valleys])
    cap = IceCap(
        seed=seed * 1000 + n,
        centre=(centre[0] + away * np.sin(gap), centre[1] + away * np.cos(gap)),
        radius=radius,
        summit=float(mean_head - mean_drop * rng.uniform(0.25, 0.4)),
        drop=max(80.0, radius * rng.uniform(0.3, 0.45)),
    )
    reach = max(away + radius * 1.3, max(np.hypot(*(v.line - centre).T).max() for v in valleys) * 0.82)
    return Landscape(seed, tuple(valleys), (cap,), centre, reach, summit)

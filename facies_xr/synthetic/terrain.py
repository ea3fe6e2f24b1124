"""Terrain and glaciers of a region, as functions of the place and the year.

Mountains and ice are grown on a coarse grid; between its nodes splines carry them on, and fractal roughness is added,
so that any window is computed on its own and a region may be larger than memory.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, spline_filter

from . import ice
from .bedrock import bedrock
from .noise import fractal

EARLIEST = 1980
"""Year of the largest extent; glaciers thin since. [year]"""

NODES = 34
"""Nodes of the coarse grid along a glacier of typical length."""

SPREAD = 1.4
"""Edge of the square in which a glacier lies, relative to its typical length."""

WIDEST = 45
"""Years over which the drawn thinning is spread. [year]"""


@dataclass(frozen=True)
class Glacier:
    """What is the same all over a glacier."""

    low: float
    high: float
    """Elevation range. [m]"""
    debris: float
    """Share of debris on the tongue, 0..1."""
    moraine: float
    """Width of medial moraines, 0: none."""


@dataclass(frozen=True)
class Places:
    """Terrain at some places."""

    ground: np.ndarray
    """Elevation of the surface in :data:`EARLIEST`, without roughness. [m]"""
    rough: np.ndarray
    """Roughness of rock. [m]"""
    thick: np.ndarray
    """Thickness of the ice in :data:`EARLIEST`, below 0 outside. [m]"""
    thinning: np.ndarray
    """[m yr-1]"""
    number: np.ndarray
    """Position of the glacier that is there or nearest."""

    def __getitem__(self, key) -> "Places":
        return Places(self.ground[key], self.rough[key], self.thick[key], self.thinning[key], self.number[key])

    def elevation(self, year: float) -> np.ndarray:
        """Elevation of the surface, ice included. [m]"""
        lost = np.minimum(self.thinning * (year - EARLIEST), np.maximum(self.thick, 0))
        firm = np.clip((self.thick - lost) / 12, 0, 1)
        return self.ground - lost + (1 - 0.85 * firm) * self.rough

    def glacier(self, year: float) -> np.ndarray:
        """Position in ``Landscape.glaciers`` of the glacier at each place, -1 outside."""
        return np.where(self.thick - self.thinning * (year - EARLIEST) > 0, self.number, -1).astype("int32")


@dataclass(frozen=True)
class Landscape:
    """Terrain and ice of a region, on a square grid, north up."""

    seed: int
    centre: tuple[float, float]
    spacing: float
    """[m]"""
    reach: float
    """Half of the edge of the square in which there is ice. [m]"""
    bed: np.ndarray
    """Elevation of the ground. [m]"""
    thickness: np.ndarray
    """[m]"""
    line: float
    """Elevation of the equilibrium line in which the ice grew. [m]"""
    number: np.ndarray
    """Position of the glacier, -1 outside."""
    glaciers: tuple[Glacier, ...]
    thinning: np.ndarray
    """[m yr-1]"""

    def places(self, x, y) -> Places:
        """Terrain at places. [m]"""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        at = self._nodes(x, y)
        rough = fractal(x, y, self.seed + 2, 300.0, 5, gain=0.55)
        sharp = np.minimum(0.12 * map_coordinates(self._steepness, at, order=1, mode="mirror") * self.spacing, 25)
        wave = fractal(x, y, self.seed + 4, 4.5 * self.spacing, 4, gain=0.55)
        thick = map_coordinates(self._signed, at, order=3, prefilter=False, mode="mirror")
        thick = thick - ice.THINNEST + (1.5 + 0.05 * self._mean) * wave + 0.8 * rough
        nearest = [a + 0.5 * w for a, w in zip(at, (wave, rough), strict=True)]
        return Places(
            ground=map_coordinates(self._surface, at, order=3, prefilter=False, mode="mirror"),
            rough=(2.5 + sharp) * rough,
            thick=thick,
            thinning=map_coordinates(self.thinning, at, order=1, mode="mirror"),
            number=map_coordinates(self._owner, nearest, order=0, mode="mirror"),
        )

    def margin(self, x, y) -> np.ndarray:
        """Distance from the ice's edge. [m]"""
        return map_coordinates(self._margin, self._nodes(x, y), order=1, mode="mirror")

    def lane(self, x, y) -> np.ndarray:
        """A number that is the same along a flow line, mean 0, deviation 1."""
        return map_coordinates(self._lane, self._nodes(x, y), order=1, mode="mirror")

    def hollow(self, x, y) -> np.ndarray:
        """How far the surface lies below its surroundings, deviation 1: hollows gather snow, ridges lose it."""
        return map_coordinates(self._hollow, self._nodes(x, y), order=1, mode="mirror")

    def _nodes(self, x, y) -> list[np.ndarray]:
        middle = (self.bed.shape[0] - 1) / 2
        return [middle - (y - self.centre[1]) / self.spacing, middle + (x - self.centre[0]) / self.spacing]

    @cached_property
    def lowest(self) -> float:
        """Elevation of the lowest ground. [m]"""
        return float(self.bed.min())

    @cached_property
    def _mean(self) -> float:
        return float(self.thickness[self.number >= 0].mean())

    @cached_property
    def _surface(self) -> np.ndarray:
        return spline_filter(self.bed + self.thickness, mode="mirror")

    @cached_property
    def _signed(self) -> np.ndarray:
        away = distance_transform_edt(self.number < 0)
        return spline_filter(np.where(self.number < 0, -0.5 * self._mean * np.minimum(away, 3), self.thickness),
                             mode="mirror")  # fmt: skip

    @cached_property
    def _owner(self) -> np.ndarray:
        r, c = distance_transform_edt(self.number < 0, return_distances=False, return_indices=True)
        return self.number[r, c]

    @cached_property
    def _margin(self) -> np.ndarray:
        return distance_transform_edt(self.number >= 0) * self.spacing

    @cached_property
    def _steepness(self) -> np.ndarray:
        north, west = np.gradient(self.bed, self.spacing)
        return gaussian_filter(np.hypot(north, west), 1.0)

    @cached_property
    def _hollow(self) -> np.ndarray:
        surface = self.bed + self.thickness
        depth = gaussian_filter(surface, 4.0) - gaussian_filter(surface, 1.0)
        return np.clip(depth / depth[self.number >= 0].std(), -2.5, 2.5)

    @cached_property
    def _lane(self) -> np.ndarray:
        axis = np.arange(self.bed.shape[0]) * self.spacing
        x, y = np.meshgrid(axis, axis)
        source = fractal(x, y, self.seed + 24, 9 * self.spacing, 2)
        surface = gaussian_filter(self.bed + self.thickness, 0.7)
        return ice.lanes(surface, np.where(self.number >= 0, self.thickness, 0.0), source)


def draw(seed: int, centre: tuple[float, float], glaciers: int, length: float, summit: float) -> Landscape:
    """Draw a landscape: mountains, and ice that has grown on them.

    Parameters
    ----------
    seed : int
    centre : (float, float)
        [m]
    glaciers : int
        At most; the largest are kept.
    length : float
        Typical length of a glacier. [m]
    summit : float
        [m]
    """
    rng = np.random.default_rng([seed, 12])
    spacing = length / NODES
    reach = 0.5 * SPREAD * length * math.sqrt(glaciers)
    rim = 330 + 300
    nodes = 2 * math.ceil((reach + rim) / spacing) + 1
    relief = 1.7 * 0.5 * length * (length / 500) ** -0.4 * rng.uniform(0.75, 1.25)
    bed = bedrock(seed, nodes, relief, summit)
    north = np.gradient(bed, -spacing, axis=0)
    inner = bed[nodes // 6 : -nodes // 6, nodes // 6 : -nodes // 6]
    level = float(np.quantile(inner, rng.uniform(0.66, 0.82)))
    sunny = np.clip(-north, -0.8, 0.8)  # slopes that fall to the south
    away = np.maximum(*np.abs(np.meshgrid(*2 * (np.linspace(-1, 1, nodes),)))) * (nodes // 2) * spacing / reach
    line = level + 0.10 * relief * gaussian_filter(sunny, 1.0) + 1.5 * relief * np.clip(away - 0.75, 0, 1) ** 2
    edge = math.ceil(rim / spacing) + 3  # the ice's edge is drawn between the nodes
    gradient = rng.uniform(0.005, 0.009) * min(1.0, 700 / relief) ** 0.5
    h = ice.thickness(bed, line, spacing, gradient, edge)
    number = ice.divided(bed + h, h, line, glaciers)
    h = np.where(number >= 0, h, 0.0)
    surface = bed + h
    found = []
    for k in range(number.max() + 1):
        z = surface[number == k]
        found.append(
            Glacier(
                low=float(z.min()),
                high=float(z.max()),
                debris=float(rng.choice([0.0, 0.25, 0.6, 0.9], p=[0.35, 0.35, 0.2, 0.1])),
                moraine=float(rng.choice([0.0, 0.04, 0.09])),
            )
        )
    return Landscape(seed, centre, spacing, reach, bed, h, level, number, tuple(found),
                     _thinning(rng, surface, h, number, found))  # fmt: skip


def _thinning(rng, surface, h, number, glaciers) -> np.ndarray:
    """Rates at which the glaciers thin, most at the terminus. [m yr-1]"""
    r, c = distance_transform_edt(number < 0, return_distances=False, return_indices=True)
    out = np.zeros(surface.shape)
    for k, glacier in enumerate(glaciers):
        rate = rng.uniform(0.15, 0.6) * h[number == k].mean() / WIDEST
        t = np.clip((glacier.high - surface) / (glacier.high - glacier.low), 0, 1)
        out = np.where(number[r, c] == k, rate * (0.12 + 0.88 * t**2), out)
    return gaussian_filter(out, 1.0)

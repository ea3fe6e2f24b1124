"""What covers a glacier on the day of a scene."""

from dataclasses import dataclass

import numpy as np

from ..classes import VALUES
from .noise import fractal, smooth_step, uniform
from .spectra import SURFACES
from .terrain import Landscape

PURE_DEBRIS = 0.75
"""Below this fraction of debris a mixed pixel is ice (Maslov et al. 2026)."""

MORAINES = (-0.9, 0.05, 0.8)
"""Flow lines that carry medial moraines."""


@dataclass(frozen=True)
class Ground:
    """What does not change from scene to scene, on some pixels."""

    debris: np.ndarray
    """Fraction of debris where there is no snow."""
    lake: np.ndarray
    """Fraction of water on the bare ice."""
    refreezing: np.ndarray
    """Tendency to refreeze, mean 0, deviation 1."""
    dirt: np.ndarray
    """Cover of dark grains on bare ice, 0..1."""
    crevasses: np.ndarray
    """Share of open crevasses, 0..1."""


def ground(landscape: Landscape, x, y, z, steep, index) -> Ground:
    """What the glaciers carry, at places on them.

    Parameters
    ----------
    landscape : Landscape
    x, y, z : ndarray
        [m]
    steep : ndarray
        Slope of the surface. [m/m]
    index : ndarray of int
        Position of the glacier.
    """
    low, high, rocky, width = (
        np.array([getattr(g, name) for g in landscape.glaciers])[index] for name in ("low", "high", "debris", "moraine")
    )
    t = np.clip((high - z) / np.maximum(high - low, 1.0), 0, 1)
    margin, lane = landscape.margin(x, y), landscape.lane(x, y)
    patchy = fractal(x, y, landscape.seed + 21, 140.0, 4)
    tongue = smooth_step((t - (1.02 - 0.5 * rocky)) / 0.22 + 0.4 * patchy) * np.minimum(1, 2.2 * rocky)
    side = np.clip(1.2 * landscape.spacing, 25, 80)
    rim = smooth_step((side - margin) / side + 0.5 * patchy) * smooth_step((t - 0.4) / 0.2) * (rocky > 0)
    nearest = np.min([np.abs(lane - level) for level in MORAINES], axis=0)
    stripe = smooth_step((width - nearest) / np.maximum(0.6 * width, 1e-3) + 0.4 * patchy) * smooth_step(
        (t - 0.45) / 0.15
    )
    debris = np.maximum(tongue, np.maximum(0.95 * rim, stripe * (width > 0)))
    basins = fractal(x, y, landscape.seed + 22, 220.0, 2)
    lake = smooth_step((basins - 1.7) / 0.15) * (t > 0.5) * (t < 0.97) * (debris < 0.5) * (steep < 0.16)
    streaks = fractal(260 * lane, 0.6 * z, landscape.seed + 25, 90.0, 3)
    dirt = smooth_step((0.6 * fractal(x, y, landscape.seed + 26, 150.0, 4) + 0.6 * streaks + 1.2 * (t - 0.6)) / 1.6)
    open_ = smooth_step((steep - 0.42 + 0.08 * fractal(x, y, landscape.seed + 27, 400.0, 2)) / 0.2)
    cracks = smooth_step(0.9 - 1.8 * np.abs(fractal(1.6 * z, 160 * lane, landscape.seed + 28, 70.0, 3, gain=0.7)))
    crevasses = open_ * cracks * smooth_step((margin - 15) / 60)
    return Ground(debris, lake, fractal(x, y, landscape.seed + 23, 90.0, 3), dirt, crevasses)


def fractions(ground: Ground, snow, firn, bare, x, y, seed: int) -> np.ndarray:
    """Fractions of :data:`SURFACES` in each pixel, (surface, pixel); they sum to 1.

    Parameters
    ----------
    ground : Ground
    snow, firn : ndarray
        Of the balance model. [m w.e.]
    bare : ndarray
        Days since the snow melted away. [day]
    x, y : ndarray
        Places. [m]
    seed : int
        Of the scene.
    """
    patchy = fractal(x, y, seed + 31, 60.0, 3)
    covered = np.clip((snow - 0.02) / 0.05 + 0.2 * patchy * (snow > 0), 0, 1)
    old = np.clip((firn - 0.03) / 0.08 + 0.25 * patchy * (firn > 0), 0, 1)
    wet_year = float(uniform(np.float64(seed), np.float64(1), seed, 1.0))
    frozen = smooth_step((ground.refreezing - 1.15 + 0.9 * wet_year) / 0.4) * np.exp(-np.maximum(bare - 4, 0) / 9.0)
    out = np.empty((6, *np.shape(x)))
    out[1] = covered
    open_ = 1 - covered
    out[2] = open_ * ground.debris
    open_ = open_ - out[2]
    out[5] = open_ * ground.lake
    open_ = open_ - out[5]
    out[4] = open_ * np.where(bare > 0, frozen, 0)
    open_ = open_ - out[4]
    out[3] = open_ * old
    out[0] = open_ - out[3]
    return out


def dominant(parts: np.ndarray) -> np.ndarray:
    """Class of a pixel from its fractions; debris that is not pure is ice. Flag values."""
    parts = parts.copy()
    mixed = parts[2] < PURE_DEBRIS
    parts[0] += np.where(mixed, parts[2], 0)
    parts[2] = np.where(mixed, 0, parts[2])
    return np.array([VALUES[name] for name in SURFACES], "uint8")[parts.argmax(0)]

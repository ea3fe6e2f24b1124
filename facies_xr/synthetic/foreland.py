"""What lies around the glaciers: rock, scree, grass, lakes, and the snow of the season."""

import numpy as np

from .noise import fractal, smooth_step

ROCK = (0.15, 0.14, 0.15, 0.19, 0.25, 0.22)
SCREE = (0.17, 0.17, 0.18, 0.23, 0.27, 0.23)
GRASS = (0.085, 0.085, 0.065, 0.28, 0.17, 0.09)
LAKE = (0.12, 0.12, 0.075, 0.03, 0.012, 0.009)
SNOW = (0.58, 0.58, 0.61, 0.53, 0.03, 0.028)
"""Top-of-atmosphere reflectance of blue, green, red, near and shortwave infrared. Rock and snow: means of labelled
points; grass and lakes: usual values, not measured here."""


def fractions(x, y, z, steep, *, seed: int, low: float, line: float, snow_line: float, scene: int) -> np.ndarray:
    """Fractions of rock, scree, grass, lake, snow (surface, place); they sum to 1.

    Parameters
    ----------
    x, y, z : ndarray
        [m]
    steep : ndarray
        [m/m]
    seed : int
        Of the region.
    low, line : float
        Lowest elevation, and that of the equilibrium line. [m]
    snow_line : float
        Of the scene, on the glaciers. [m]
    scene : int
        Seed of the scene.
    """
    patchy = fractal(x, y, seed + 61, 220.0, 5, gain=0.6)
    broad = fractal(x, y, seed + 62, 900.0, 3)
    height = (z - low) / max(line - low, 1.0)
    relief = max(line - low, 1.0)
    flat = np.clip(1 - steep / 0.5, 0, 1)
    out = np.empty((5, *np.shape(x)))
    lying = fractal(x, y, scene + 63, 70.0, 3) * 0.4 + patchy
    room = 0.12 * relief + 40
    out[4] = smooth_step((z - snow_line - room) / (2 * room) + 0.42 * lying - 0.8 * np.clip(steep - 0.5, 0, 1) + 0.1)
    left = 1 - out[4]
    out[3] = left * smooth_step((fractal(x, y, seed + 64, 420.0, 2) - 1.75) / 0.08) * (steep < 0.22)
    left = left - out[3]
    out[2] = left * smooth_step((0.42 + 0.12 * broad + 0.10 * patchy - height) / 0.25 + 0.2 * (flat - 0.5)) * 0.9
    left = left - out[2]
    out[1] = left * smooth_step(flat + 0.4 * patchy)
    out[0] = left - out[1]
    return out


def reflectance(parts: np.ndarray, x, y, *, seed: int, brightness: np.ndarray) -> np.ndarray:
    """Reflectance of the six bands, (band, place), of places around the glaciers.

    ``brightness`` is the logarithm of the brightness of snow in the scene and of the ground, relative to the mean.
    """
    stone = np.exp(0.12 * fractal(x, y, seed + 65, 90.0, 4) + 0.18 * fractal(x, y, seed + 66, 1500.0, 2))
    hue = 1 + np.array([-0.05, -0.02, 0.02, 0.04, 0.10, 0.10])[:, None] * fractal(x, y, seed + 67, 700.0, 3)
    out = np.zeros((6, np.size(x)))
    for share, spectrum in zip(parts[:3], (ROCK, SCREE, GRASS), strict=True):
        out += share * np.array(spectrum)[:, None] * stone * hue
    out *= np.exp(brightness[1])
    out += parts[3] * np.array(LAKE)[:, None] * np.exp(0.3 * fractal(x, y, seed + 68, 2000.0, 1))
    return out + parts[4] * np.array(SNOW)[:, None] * np.exp(brightness[0])

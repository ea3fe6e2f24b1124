"""Light and air: sun, shadows, clouds, and what of a surface reaches the satellite."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numba
import numpy as np

from .noise import fractal, normal, smooth_step
from .spectra import PATH

THICK_CLOUD = (0.56, 0.55, 0.56, 0.60, 0.46, 0.36)
ICE_CLOUD = (0.50, 0.50, 0.52, 0.50, 0.10, 0.07)

OPAQUE = 0.25
"""Opacity from which a pixel is cloud: thin cloud lets the surface show."""

VEIL = 0.2
"""Share of scenes under a thin veil, which is not called cloud."""

AMBIENT = (0.32, 0.27, 0.21, 0.19, 0.40, 0.30)
"""Light in shadow relative to light on a plane in the sun."""

RELIEF_OF_ICE, RELIEF_OF_ROCK = 0.4, 0.85
"""Share of the direct light that follows the angle of incidence; snow and ice light up their own slopes."""

GRAZING = 0.07
"""Cosine of incidence below which terrain looks like shadow."""

NOISE_FLOOR = 0.0025
"""Standard deviation of a band's noise. [1]"""


@dataclass(frozen=True)
class Sky:
    """Sun and clouds of one scene."""

    seed: int
    sun_azimuth: float
    """Clockwise from the grid's north. [degree]"""
    sun_elevation: float
    """[degree]"""
    cloud_share: float
    ice_cloud: bool
    """Clouds of ice, dark in the shortwave infrared like snow."""
    size: float
    """Of the clouds. [m]"""
    veil: float
    """Opacity of a thin veil over everything."""
    ambient: float
    """Logarithm of the light in shadow, relative to the mean."""

    @classmethod
    def draw(cls, seed: int, sun_azimuth: float, sun_elevation: float, cloud_cover: float) -> "Sky":
        """Sky of a scene."""
        rng = np.random.default_rng([seed, 14])
        return cls(
            seed=seed,
            sun_azimuth=sun_azimuth,
            sun_elevation=sun_elevation,
            cloud_share=cloud_cover / 100,
            ice_cloud=bool(rng.random() < 0.5),
            size=float(np.exp(rng.uniform(np.log(500), np.log(3000)))),
            veil=float(rng.uniform(0.03, 0.14)) if rng.random() < VEIL else 0.0,
            ambient=rng.normal(0, 0.2),
        )

    def cloud(self, x, y) -> np.ndarray:
        """Opacity of the clouds, 0..1; the veil is not among them."""
        if self.cloud_share == 0:
            return np.zeros(np.shape(x))
        field = fractal(x, y, self.seed + 41, self.size, 6, gain=0.55)
        threshold = NormalDist().inv_cdf(1 - self.cloud_share)
        return 0.97 * smooth_step((field - threshold + 0.3) / 0.9)

    def cloud_shadow(self, x, y) -> np.ndarray:
        """Share of the direct light that clouds take, 0..1."""
        away = 900.0 / math.tan(math.radians(self.sun_elevation))
        azimuth = math.radians(self.sun_azimuth)
        return 0.85 * self.cloud(x + away * math.sin(azimuth), y + away * math.cos(azimuth))


def relative_light(sky: Sky, cosine, lit, on_ice) -> np.ndarray:
    """Direct light relative to that on a level surface."""
    follows = np.where(on_ice, RELIEF_OF_ICE, RELIEF_OF_ROCK)
    direct = np.clip(cosine / math.sin(math.radians(sky.sun_elevation)), 0, 1.8)
    return np.where(lit, 1 - follows + follows * direct, 0)


def toa_reflectance(surface, sky: Sky, light, x, y) -> np.ndarray:
    """Reflectance of the six bands at the top of the atmosphere, (band, y, x).

    Parameters
    ----------
    surface : ndarray (band, y, x)
        Reflectance of the level surface in the sun.
    sky : Sky
    light : ndarray
        As of :func:`relative_light`.
    x, y : ndarray
        Places. [m]
    """
    column = (6, *(1,) * np.ndim(x))
    direct = light * (1 - sky.cloud_shadow(x, y))
    scatter = np.exp(sky.ambient + 0.18 * fractal(x, y, sky.seed + 43, 300.0, 3))
    ambient = np.minimum(np.array(AMBIENT).reshape(column) * scatter, 0.8)
    toa = np.array(PATH).reshape(column) + surface * (ambient + (1 - ambient) * direct)
    opacity = 1 - (1 - sky.cloud(x, y)) * (1 - sky.veil)
    if opacity.any():
        bright = np.exp(0.24 * fractal(x, y, sky.seed + 44, 0.4 * sky.size, 4))
        cloud = np.array(ICE_CLOUD if sky.ice_cloud else THICK_CLOUD).reshape(column) * bright
        reach = np.array([1, 1, 1, 1, 0.85, 0.8]).reshape(column)
        toa = toa * (1 - opacity) + cloud * opacity ** (1 / reach)
    noise = np.stack([normal(x, y, sky.seed + 71 + 17 * band) for band in range(6)])
    return np.maximum(toa * (1 + 0.012 * noise) + NOISE_FLOOR * noise[::-1], 0.001)


def incidence(tilt, azimuth: float, elevation: float) -> np.ndarray:
    """Cosine of the angle of incidence; ``tilt`` is the downhill gradient, east and north; angles in degrees."""
    east, north = tilt
    a, e = np.radians(azimuth), np.radians(elevation)
    light = np.cos(e) * (np.sin(a) * east + np.cos(a) * north) + np.sin(e)
    return light / np.sqrt(1 + east**2 + north**2)


@numba.njit(nogil=True, cache=True)
def ray_march(elevation, rows, columns, azimuth, elevation_angle, resolution):
    """Where terrain blocks the sun, by walking from each pixel towards it in steps of half a pixel.

    ``rows`` and ``columns`` are (first, last) of the pixels asked for; the array around them is the margin. Slow and
    plain on purpose: it shares nothing with the sweep that the package uses.
    """
    height, width = elevation.shape
    top = elevation.max()
    up = math.tan(math.radians(elevation_angle))
    dr, dc = -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    lit = np.ones((rows[1] - rows[0], columns[1] - columns[0]), np.bool_)
    for r in range(rows[0], rows[1]):
        for c in range(columns[0], columns[1]):
            z, k = elevation[r, c], 0.5
            while True:
                y, x, ray = r + k * dr, c + k * dc, z + k * resolution * up
                i, j = math.floor(y), math.floor(x)
                if ray > top or i < 0 or j < 0 or i + 1 >= height or j + 1 >= width:
                    break
                a, b = y - i, x - j
                low = elevation[i, j] * (1 - b) + elevation[i, j + 1] * b
                high = elevation[i + 1, j] * (1 - b) + elevation[i + 1, j + 1] * b
                if low * (1 - a) + high * a > ray:
                    lit[r - rows[0], c - columns[0]] = False
                    break
                k += 0.5
    return lit

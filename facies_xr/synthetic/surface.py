"""What covers a glacier on the day of a scene, how it is lit, and what reaches the satellite.

Spectra are means of top-of-atmosphere reflectance measured over labelled points and scenes (docs/synthetic.md gives
the sources); one brightness effect a scene and one a pixel move all bands together, as they do in real scenes.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numba
import numpy as np

from ..classes import VALUES
from .noise import fractal, uniform
from .terrain import Landscape, Valley

SURFACES = ("ice", "snow", "debris", "firn", "refrozen-like", "water")
"""What a pixel is made of, in the order of the fractions."""

# blue, green, red, nir, swir1, swir2
SPECTRA = {
    "ice": (0.35, 0.34, 0.33, 0.25, 0.016, 0.016),
    "snow": (0.68, 0.68, 0.72, 0.61, 0.027, 0.025),
    "debris": (0.16, 0.15, 0.16, 0.19, 0.235, 0.216),
    "firn": (0.51, 0.53, 0.54, 0.44, 0.012, 0.012),
    "refrozen-like": (0.55, 0.51, 0.43, 0.20, 0.015, 0.014),
    "water": (0.16, 0.16, 0.11, 0.05, 0.020, 0.020),
}
"""Top-of-atmosphere reflectance of level, sunlit, pure surfaces; slopes, haze and mixing darken snow and firn."""

ROCK = (0.15, 0.14, 0.15, 0.19, 0.25, 0.22)
"""Terrain outside the glaciers."""

THICK_CLOUD = (0.56, 0.55, 0.56, 0.60, 0.46, 0.36)
ICE_CLOUD = (0.50, 0.50, 0.52, 0.50, 0.10, 0.07)

OPAQUE = 0.22
"""Opacity from which a pixel is cloud: thin cloud lets the surface show."""

PATH = (0.05, 0.02, 0.015, 0.004, 0.0, 0.0)
"""Reflectance of the air over a black surface."""

AMBIENT = (0.32, 0.27, 0.21, 0.19, 0.40, 0.30)
"""Light in shadow relative to light on a plane in the sun."""

RELIEF_EFFECT = 0.7
"""Share of the direct light that follows the angle of incidence."""

BETWEEN_SCENES = {"ice": 0.20, "snow": 0.15, "debris": 0.13, "firn": 0.16, "refrozen-like": 0.25, "water": 0.40}
WITHIN_SCENE = {"ice": 0.17, "snow": 0.12, "debris": 0.20, "firn": 0.15, "refrozen-like": 0.22, "water": 0.35}
"""Standard deviations of the logarithm of brightness."""

DIRT_SEED = 61
"""Dust and cryoconite darken patches of ice, the same in all scenes of a region."""

GRAZING = 0.07
"""Cosine of incidence below which terrain looks like shadow."""

PURE_DEBRIS = 0.75
"""Below this fraction of debris a mixed pixel is ice (Maslov et al. 2026)."""


@dataclass(frozen=True)
class Ground:
    """What does not change from scene to scene, on some pixels."""

    debris: np.ndarray
    """Fraction of debris where there is no snow."""
    lake: np.ndarray
    """Fraction of water on the bare ice."""
    refreezing: np.ndarray
    """Tendency to refreeze, mean 0, deviation 1."""


def ground(landscape: Landscape, x, y, index) -> Ground:
    """Debris, lakes and refreezing patches at places on glaciers; ``index`` as of the landscape."""
    debris, lake = np.zeros(x.shape), np.zeros(x.shape)
    patchy = fractal(x, y, landscape.seed + 21, 140.0, 4)
    for k, glacier in enumerate(landscape.glaciers):
        mine = index == k
        if not isinstance(glacier, Valley) or not mine.any():
            continue
        along, aside = glacier.locate(x[mine], y[mine])
        t = along / glacier.length
        across = aside / np.maximum(glacier.width(along), 1.0)
        tongue = _smooth((t - (0.92 - 0.35 * glacier.debris)) / 0.10 + 0.45 * patchy[mine])
        rim = _smooth((np.abs(across) - 0.82) / 0.10 + 0.6 * patchy[mine]) * _smooth((t - 0.35) / 0.15)
        cover = np.maximum(tongue * min(1, 2.2 * glacier.debris), 0.9 * rim * (glacier.debris > 0))
        if not math.isnan(glacier.medial_moraine):
            stripe = _smooth((0.16 - np.abs(across - glacier.medial_moraine)) / 0.08 + 0.5 * patchy[mine])
            cover = np.maximum(cover, stripe * _smooth((t - 0.4) / 0.1))
        debris[mine] = cover
        basins = fractal(x[mine], y[mine], landscape.seed + 22, 110.0, 2)
        lake[mine] = _smooth((basins - 1.75) / 0.12) * (t > 0.45) * (t < 0.95) * (cover < 0.5)
    return Ground(debris, lake, fractal(x, y, landscape.seed + 23, 90.0, 3))


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
    covered = np.clip((snow - 0.02) / 0.08 + 0.18 * patchy * (snow > 0), 0, 1)
    old = np.clip((firn - 0.03) / 0.12 + 0.25 * patchy * (firn > 0), 0, 1)
    wet_year = float(uniform(np.float64(seed), np.float64(1), seed, 1.0))
    frozen = _smooth((ground.refreezing - 1.15 + 0.9 * wet_year) / 0.25) * np.exp(-np.maximum(bare - 4, 0) / 9.0)
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


def _smooth(t):
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


# -- light ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sky:
    """Sun, clouds and brightness of one scene."""

    seed: int
    sun_azimuth: float
    """Clockwise from the grid's north. [degree]"""
    sun_elevation: float
    cloud_share: float
    haze: float
    """Logarithm of the brightness of everything."""
    brightness: tuple[float, ...]
    """Logarithm of the brightness of each surface."""
    grain: float
    """Logarithm of the near infrared brightness of snow and firn, relative to the visible."""
    wetness: float
    """The same for refrozen ice and water."""
    ice_cloud: bool
    """Clouds of ice, dark in the shortwave infrared like snow."""

    @classmethod
    def draw(cls, seed: int, sun_azimuth: float, sun_elevation: float, cloud_cover: float) -> "Sky":
        """Sky of a scene."""
        rng = np.random.default_rng([seed, 4])
        brightness = tuple(rng.normal(0, BETWEEN_SCENES[name]) for name in SURFACES)
        share = cloud_cover / 100
        haze, grain, wetness = rng.normal(0, (0.10, 0.06, 0.45))
        return cls(
            seed=seed,
            sun_azimuth=sun_azimuth,
            sun_elevation=sun_elevation,
            cloud_share=share,
            haze=haze,
            brightness=brightness,
            grain=grain,
            wetness=wetness,
            ice_cloud=rng.random() < 0.5,
        )

    def cloud(self, x, y) -> np.ndarray:
        """Opacity of the clouds, 0..1."""
        if self.cloud_share == 0:
            return np.zeros(np.shape(x))
        field = fractal(x, y, self.seed + 41, 1400.0, 6, gain=0.55)
        threshold = NormalDist().inv_cdf(1 - self.cloud_share)
        return 0.97 * _smooth((field - threshold + 0.25) / 0.7)

    def cloud_shadow(self, x, y) -> np.ndarray:
        """Share of the direct light that clouds take, 0..1."""
        away = 900.0 / math.tan(math.radians(self.sun_elevation))
        azimuth = math.radians(self.sun_azimuth)
        return 0.85 * self.cloud(x + away * math.sin(azimuth), y + away * math.cos(azimuth))


def toa_reflectance(parts, on_glacier, sky: Sky, cosine, lit, x, y) -> np.ndarray:
    """Reflectance of the six bands at the top of the atmosphere, (band, pixel).

    Parameters
    ----------
    parts : ndarray (surface, pixel)
        Fractions; used where ``on_glacier``.
    on_glacier : ndarray of bool
    sky : Sky
    cosine : ndarray
        Cosine of the angle of incidence.
    lit : ndarray of bool
        False in cast or self shadow.
    x, y : ndarray
        Places. [m]
    """
    pixel = 0.8 * fractal(x, y, sky.seed + 51, 80.0, 4) + 0.6 * _normal(x, y, sky.seed + 52)
    spectra = np.array([SPECTRA[name] for name in SURFACES]) - PATH
    spectra = np.maximum(spectra, 0.002)
    dirt = _smooth((fractal(x, y, DIRT_SEED + sky.seed // 100_000, 120.0, 4) - 0.2) / 1.6)
    level = (
        np.array([b + sky.haze for b in sky.brightness])[:, None]
        + np.array([WITHIN_SCENE[n] for n in SURFACES])[:, None] * pixel.ravel()
    )
    weight = np.exp(level).reshape(len(SURFACES), *np.shape(x)) * parts
    weight[0] *= 1 - 0.6 * dirt
    grain = np.ones((len(SURFACES), 6))
    for name in ("snow", "firn"):
        grain[SURFACES.index(name), 3:] = np.exp(sky.grain * np.array([1, 2, 2]))
    for name in ("refrozen-like", "water"):
        grain[SURFACES.index(name), 3] = np.exp(sky.wetness)
    surface = np.einsum("sb,s...->b...", spectra * grain, weight)
    surface[4:] += 0.06 * dirt * parts[0]
    rock = np.maximum(np.array(ROCK) - PATH, 0.002).reshape(6, *(1,) * np.ndim(x)) * np.exp(0.18 * pixel)
    surface = np.where(on_glacier, surface, rock)

    direct = np.where(lit, np.clip(cosine / math.sin(math.radians(sky.sun_elevation)), 0, 1.8), 0)
    direct = np.where(lit, 1 - RELIEF_EFFECT + RELIEF_EFFECT * direct, 0) * (1 - sky.cloud_shadow(x, y))
    ambient = np.array(AMBIENT).reshape(6, *(1,) * np.ndim(x))
    ambient = ambient * np.exp(0.12 * _normal(x, y, sky.seed + 53))
    path = np.array(PATH).reshape(6, *(1,) * np.ndim(x))
    toa = path + surface * (ambient + (1 - ambient) * direct)

    opacity = sky.cloud(x, y)
    bright = np.exp(0.22 * fractal(x, y, sky.seed + 54, 500.0, 3) + sky.haze)
    cloud = np.array(ICE_CLOUD if sky.ice_cloud else THICK_CLOUD).reshape(6, *(1,) * np.ndim(x)) * bright
    swir = np.array([1, 1, 1, 1, 0.85, 0.8]).reshape(6, *(1,) * np.ndim(x))
    toa = toa * (1 - opacity) + cloud * opacity ** (1 / swir)
    return toa * np.exp(0.012 * _normal_bands(x, y, sky.seed + 55))


def _normal(x, y, seed: int) -> np.ndarray:
    """Independent standard normal numbers, one for each 10 m cell."""
    u, v = uniform(x, y, seed, 10.0), uniform(x, y, seed + 1000, 10.0)
    return np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)


def _normal_bands(x, y, seed: int) -> np.ndarray:
    return np.stack([_normal(x, y, seed + 17 * band) for band in range(6)])


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

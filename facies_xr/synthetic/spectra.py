"""Reflectance of glacier surfaces: means per class, and what moves them between scenes and within.

Visible and near infrared share one brightness effect a scene and one a pixel (they correlate at .85 to .99 over real
snow); the shortwave infrared, which follows grain size, wetness and dust, has effects of its own. docs/synthetic.md
gives the sources.
"""

from dataclasses import dataclass

import numpy as np

from .noise import fractal, normal, smooth_step

SURFACES = ("ice", "snow", "debris", "firn", "refrozen-like", "water")
"""What a pixel is made of, in the order of the fractions."""

# blue, green, red, nir, swir1, swir2
SPECTRA = {
    "ice": (0.36, 0.35, 0.34, 0.265, 0.015, 0.015),
    "snow": (0.69, 0.69, 0.73, 0.64, 0.022, 0.020),
    "debris": (0.16, 0.15, 0.16, 0.19, 0.235, 0.216),
    "firn": (0.50, 0.52, 0.53, 0.44, 0.010, 0.010),
    "refrozen-like": (0.58, 0.53, 0.45, 0.21, 0.012, 0.012),
    "water": (0.16, 0.16, 0.11, 0.05, 0.018, 0.018),
}
"""Top-of-atmosphere reflectance of level, sunlit, pure surfaces; slopes, haze and mixing darken snow and firn."""

PATH = (0.05, 0.02, 0.015, 0.004, 0.0, 0.0)
"""Reflectance of the air over a black surface."""

BETWEEN_SCENES = {"ice": 0.20, "snow": 0.07, "debris": 0.14, "firn": 0.08, "refrozen-like": 0.22, "water": 0.35}
WITHIN_SCENE = {"ice": 0.15, "snow": 0.09, "debris": 0.24, "firn": 0.12, "refrozen-like": 0.22, "water": 0.30}
"""Standard deviations of the logarithm of brightness, visible and near infrared, beside the scene's own."""

SHARED = 0.14
"""Standard deviation of the logarithm of the brightness of a whole scene."""

TILT_BETWEEN = {"ice": 0.16, "snow": 0.04, "debris": 0.10, "firn": 0.05, "refrozen-like": 0.25, "water": 0.40}
TILT_WITHIN = {"ice": 0.13, "snow": 0.03, "debris": 0.14, "firn": 0.05, "refrozen-like": 0.20, "water": 0.35}
"""The same of the near infrared relative to the visible."""

SWIR_BETWEEN, SWIR_WITHIN = 0.45, 0.35
"""The same of the shortwave infrared, which moves by itself."""

DUST = (0.62, 0.72, 0.84, 0.92, 1.0, 1.0)
"""What a full cover of dust leaves of the light of snow and firn."""

DUSTY = 0.3
"""Share of scenes in which dust lies on the snow."""


@dataclass(frozen=True)
class Appearance:
    """How the surfaces look in one scene."""

    seed: int
    shared: float
    """Logarithm of the brightness of everything."""
    brightness: tuple[float, ...]
    """Logarithm of the brightness of each surface, beside it."""
    tilt: tuple[float, ...]
    """Logarithm of the near infrared relative to the visible."""
    swir: tuple[float, ...]
    """Logarithm of the shortwave infrared."""
    dust: float
    """Cover of dust on snow and firn, 0..1."""
    fresh: bool
    """Whether the snow has just fallen: fine grains, bright in all bands."""

    @classmethod
    def draw(cls, seed: int, fresh: bool) -> "Appearance":
        """Appearance in a scene."""
        rng = np.random.default_rng([seed, 4])
        return cls(
            seed=seed,
            shared=rng.normal(0, SHARED),
            brightness=tuple(rng.normal(0, BETWEEN_SCENES[name]) for name in SURFACES),
            tilt=tuple(rng.normal(0, TILT_BETWEEN[name]) for name in SURFACES),
            swir=tuple(rng.normal(0, SWIR_BETWEEN, len(SURFACES))),
            dust=float(rng.uniform(0.15, 0.6)) if rng.random() < DUSTY else 0.0,
            fresh=fresh,
        )

    def of(self, name: str) -> float:
        """Logarithm of the brightness of a surface, relative to the mean of scenes."""
        return self.shared + self.brightness[SURFACES.index(name)]


def reflectance(parts, look: Appearance, x, y, *, dirt, crevasses, age) -> np.ndarray:
    """Reflectance of the six bands of level, sunlit glacier surfaces, without the air's own (band, place).

    Parameters
    ----------
    parts : ndarray (surface, place)
        Fractions of :data:`SURFACES`.
    look : Appearance
    x, y : ndarray
        Places. [m]
    dirt : ndarray
        Cover of dark grains on ice, 0..1, the same in all scenes.
    crevasses : ndarray
        Share of open crevasses, 0..1.
    age : ndarray
        0 where snow is deep and cold, 1 where it is about to melt away.
    """
    seed = look.seed
    wide = fractal(x, y, seed + 51, 420.0, 3)
    pixel = 0.65 * wide + 0.68 * fractal(x, y, seed + 52, 90.0, 3) + 0.33 * normal(x, y, seed + 53)
    tilting = 0.9 * fractal(x, y, seed + 54, 200.0, 3) + 0.44 * normal(x, y, seed + 55)
    grains = 0.85 * fractal(x, y, seed + 56, 260.0, 4) + 0.53 * normal(x, y, seed + 57)
    dust = look.dust * smooth_step((0.9 * fractal(x, y, seed + 58, 300.0, 4) + 1.4 * age - 0.1) / 1.6)
    out = np.zeros((6, np.size(x)))
    for k, name in enumerate(SURFACES):
        level = np.exp(look.shared + look.brightness[k] + WITHIN_SCENE[name] * pixel)
        near = np.exp(look.tilt[k] + TILT_WITHIN[name] * tilting)
        short = np.exp(look.swir[k] + SWIR_WITHIN * grains)
        if name == "snow":
            level = level * (1.04 if look.fresh else 1) * np.exp(-0.07 * age)
            near = near * np.exp(-0.05 * age)
            short = short * (1.7 if look.fresh else 1) * np.exp(-0.3 * age)
        if name == "ice":
            level = level * (1 - 0.45 * dirt)
        bands = np.stack([level, level, level, level * near, short, short])
        bands *= np.maximum(np.array(SPECTRA[name]) - PATH, 0.002)[:, None]
        if name in ("snow", "firn"):
            bands *= 1 - dust + dust * np.array(DUST)[:, None]
            bands[4:] += 0.03 * dust
        if name == "ice":
            bands[4:] += 0.07 * dirt
        out += parts[k] * bands
    out *= 1 - 0.45 * crevasses * (1 - 0.8 * parts[1])  # snow bridges most of them
    return out

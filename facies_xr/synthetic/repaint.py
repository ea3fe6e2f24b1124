"""Real spectra in synthetic surroundings: a scene of a world, painted again with what a satellite measured.

The layout of the classes stays the world's. In each class the pixels keep their order of brightness, which holds the
shapes of the land (slopes, dirt, patches); the spectrum of a pixel is a measured one of the same rank. So a scene gets
the colours of a real one with its real correlations between bands, within plausible neighbourhoods.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..classes import VALUES
from ..stations import BANDS
from .sky import AMBIENT
from .spectra import PATH

VISIBLE = slice(0, 4)
"""Bands that vary together: blue to near infrared."""

NEIGHBOURS = 0.02
"""Share of a class's spectra, on either side in brightness, among which a pixel's is drawn."""

CONTRAST = 0.08
"""Largest deviation of the ranks within a uniform patch."""

FEWEST = 20
"""Spectra of a class without which a real scene has no say about it."""

MIXED = {"snow": ("debris", 0.5), "ice": ("debris", 0.2), "debris": ("ice", 0.25)}
"""The surface that a field of a class may hold too, and its largest share: rock in snow, as long as snow is the larger
part, dirt on ice, ice that shows through rock. A mixed pixel is ice up to three quarters of rock; fields stop where
dark rock is not taken for it."""

LIGHT = {"snow": (0.75, 1.1), "ice": (0.6, 1.1), "debris": (0.4, 1.3)}
"""Least and most light on a field, relative to that on level ground: slopes that the sun grazes, or faces."""

SHADED = {"snow": 0.7, "ice": 0.3}
"""What lies in the shadows that are made of sunlit spectra, and its share."""

AMBIENT_SPREAD = 0.2
"""Standard deviation of the logarithm of the light in them."""

PLAIN = 0.5
"""Share of the fields that are pure, and of those that are level."""


@dataclass(frozen=True)
class Spread:
    """How a scene may differ from the real one that it is painted with; standard deviations of logarithms."""

    visible: float = 0.15
    """One number for the visible and near infrared, all classes."""
    of_class: float = 0.10
    """One number for the visible and near infrared of each class but ice."""
    of_ice: float = 0.10
    """The same of ice, which may be clean or dirty."""
    tilt: float = 0.06
    """From blue to near infrared, zero in between."""
    shortwave: float = 0.35
    """One number for both shortwave infrared bands, all classes."""
    band: float = 0.04
    """Each band for itself: the responses of another sensor."""


@dataclass(frozen=True)
class Palette:
    """Measured spectra of one real scene, by class, darkest first in the visible and near infrared."""

    scene: str
    spectra: Mapping[str, np.ndarray]
    """(spectrum, band)"""

    @classmethod
    def of(cls, scene: str, table: pd.DataFrame) -> "Palette":
        """From a table with the columns ``class`` and the six bands; rare classes are left out."""
        spectra = {}
        for name, rows in table.groupby("class"):
            values = rows[list(BANDS)].to_numpy("float64")
            if len(values) >= FEWEST:
                spectra[str(name)] = values[np.argsort(values[:, VISIBLE].mean(1), kind="stable")]
        return cls(scene, spectra)

    def varied(self, rng: np.random.Generator, spread: Spread) -> "Palette":
        """Another scene like this one: brighter or darker, another grain size, another sensor."""
        ramp = np.array([-1.0, -0.6, -0.1, 1.0, 0.0, 0.0])
        common = np.zeros(len(BANDS))
        common[VISIBLE] += rng.normal(0, spread.visible)
        common += rng.normal(0, spread.tilt) * ramp + rng.normal(0, spread.band, len(BANDS))
        common[4:] += rng.normal(0, spread.shortwave)
        spectra = {}
        for name, values in self.spectra.items():
            own = np.zeros(len(BANDS))
            own[VISIBLE] = rng.normal(0, spread.of_ice if name == "ice" else spread.of_class)
            gain = np.exp((common if name not in ("debris", "water") else common / 2) + own)
            spectra[name] = values * gain
        return Palette(self.scene, spectra)


def palettes(table: pd.DataFrame) -> list[Palette]:
    """Palettes of the scenes of a table with the columns ``site``, ``date``, ``class`` and the six bands."""
    return [Palette.of(f"{site} {date}", rows) for (site, date), rows in table.groupby(["site", "date"])]


def repaint(
    reflectance: np.ndarray, surface: np.ndarray, seen: np.ndarray, palette: Palette, rng: np.random.Generator
) -> np.ndarray:
    """A scene with the spectra of a palette.

    Parameters
    ----------
    reflectance : ndarray (band, y, x)
        Of the world; NaN stays NaN.
    surface, seen : ndarray (y, x) of uint8
        True class of the ground, and with shadow and cloud; 255 outside the glaciers, which stays as it is.
    palette : Palette
        Firn, of which real scenes know nothing, keeps the world's spectrum relative to snow; so do refrozen-like ice
        and water without spectra of their own, relative to nothing; shadow is real over snow and firn.
    rng : Generator

    Returns
    -------
    ndarray (band, y, x)
        float32
    """
    out = reflectance.astype("float32", copy=True)
    measured = np.isfinite(reflectance).all(0)
    for name, spectra in palette.spectra.items():
        mine = measured & (seen == VALUES[name])
        if name == "shadow":
            mine &= np.isin(surface, [VALUES["snow"], VALUES["firn"]])
        if mine.any():
            out[:, mine] = _ranked(reflectance[VISIBLE, mine].mean(0), spectra, rng).T
    snow, firn = (measured & (seen == VALUES[name]) for name in ("snow", "firn"))
    if "snow" in palette.spectra and snow.any() and firn.any():
        gain = np.median(palette.spectra["snow"], 0) / np.median(reflectance[:, snow], 1)
        out[:, firn] = reflectance[:, firn] * gain[:, None]
    return out


def uniform(values: np.ndarray, name: str, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """A patch of one class, as in the middle of a wide field.

    Parameters
    ----------
    values : ndarray (band, y, x)
        Of the world; their contrasts are kept, as ranks around one that is drawn.
    name : str
        Class, one of the palette's.
    palette : Palette
    rng : Generator

    Returns
    -------
    ndarray (band, y, x)
        float32
    """
    brightness = np.nan_to_num(values[VISIBLE].mean(0), nan=np.nanmean(values))
    contrast = (brightness - brightness.mean()) / max(brightness.std(), 1e-6)
    rank = np.clip(rng.uniform(0.02, 0.98) + CONTRAST * rng.uniform(0.2, 1) * contrast, 0, 1)
    found = _drawn(rank.ravel(), palette.spectra[name], rng)
    return found.T.reshape(values.shape).astype("float32")


def field(values: np.ndarray, name: str, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """A wide field of one class: half of them pure, half of them level, the others with dust or dirt, or on a slope.

    Parameters
    ----------
    values, palette, rng
        As of :func:`uniform`.
    name : str
        One of the palette's, or shadow: half of the shadows, and all where the palette has none, are what is left of
        the light of sunlit snow or ice.

    Returns
    -------
    ndarray (band, y, x)
        float32
    """
    if name == "shadow" and (name not in palette.spectra or rng.random() >= PLAIN):
        sunlit = [one for one in SHADED if one in palette.spectra]
        share = np.array([SHADED[one] for one in sunlit])
        of = uniform(values, rng.choice(sunlit, p=share / share.sum()), palette, rng)
        return _lit(of, np.array(AMBIENT) * np.exp(rng.normal(0, AMBIENT_SPREAD)))
    found = uniform(values, name, palette, rng)
    other, most = MIXED.get(name, ("", 0.0))
    if other in palette.spectra and rng.random() >= PLAIN:
        part = most * rng.random()
        found = (1 - part) * found + part * uniform(values, other, palette, rng)
    if name in LIGHT and rng.random() >= PLAIN:
        found = _lit(found, np.full(len(BANDS), rng.uniform(*LIGHT[name])))
    return found


def _lit(values: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A patch in another light, each band in its own; the air's stays."""
    air = np.array(PATH)[:, None, None]
    return (air + np.maximum(values - air, 0) * light[:, None, None]).astype("float32")


def _ranked(brightness: np.ndarray, spectra: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each pixel a spectrum of about its rank in brightness. (pixel, band)"""
    rank = np.empty(brightness.size)
    rank[np.argsort(brightness, kind="stable")] = (np.arange(brightness.size) + 0.5) / brightness.size
    return _drawn(rank, spectra, rng)


def _drawn(rank: np.ndarray, spectra: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spectra of about these ranks, 0..1. (pixel, band)"""
    drawn = rank + rng.uniform(-NEIGHBOURS, NEIGHBOURS, rank.size)
    drawn = np.where(drawn < 0, -drawn, np.where(drawn > 1, 2 - drawn, drawn))
    return spectra[np.minimum((drawn * len(spectra)).astype(int), len(spectra) - 1)]

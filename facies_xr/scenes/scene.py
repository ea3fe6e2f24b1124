"""What a scene is, and what must be known about the mission that takes it. Knows no mission."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import shapely

from .. import degrees, facts
from ..errors import MetadataError

if TYPE_CHECKING:
    from .items import StacItem

LOW_SUN, LOWEST_SUN = 15.0, 0.1
"""Below these elevations reflectances are poor, and none. [degree]"""


@dataclass(frozen=True)
class Instrument:
    """One kind of instrument."""

    name: str
    numbers: Mapping[str, str]
    """Number of each of the six spectral bands, as in file names."""
    wavelengths: tuple[float, ...]
    """Centres of the six bands. [um]"""
    resolutions: tuple[int, ...]
    """Pixel size of the six bands. [m]"""
    saturated_from: int
    """Smallest DN of a saturated detector."""
    solar_irradiance: Mapping[str, float] | None = None
    """Mean exoatmospheric solar irradiance, for files without REFLECTANCE_*. [W m-2 um-1]"""
    keys: Mapping[str, tuple[str, ...]] | None = None
    """Names of the assets besides the band's own name and number."""

    @property
    def pixel_bytes(self) -> int:
        """Size of a pixel in its files. [byte]"""
        return 1 if self.saturated_from <= np.iinfo("uint8").max else 2


@dataclass(frozen=True)
class Factors:
    """reflectance = scale DN + offset, the sun's elevation included; None where a file must still be read."""

    scale: float | None
    offset: float | None
    why: str
    """Which field and which rule they come from."""


@dataclass(frozen=True)
class Band(Factors):
    """One band of one scene."""

    href: str
    saturated_from: int
    nodata: float = 0

    @classmethod
    def of(cls, href: str, factors: Factors, saturated_from: int) -> "Band":
        """Band of a file whose numbers have some factors."""
        return cls(factors.scale, factors.offset, factors.why, href, saturated_from)


@dataclass(frozen=True)
class Scene:
    """One scene, ready to be read."""

    id: str
    sensor: str
    level: str
    """"TOA" or "SR"."""
    bands: Mapping[str, Band]
    datetime: pd.Timestamp
    datatake: str
    """Scenes with the same text, minutes apart, were taken in one pass and are mosaicked."""
    acquisition: str
    """Products with the same text show the same pixels of the same pass."""
    revision: tuple
    """Of several products of an acquisition that with the largest is the valid one."""
    tier: str
    """Quality of its geometry, by the provider: T1, T2 or RT of Landsat, empty of others."""
    sun_azimuth: float
    """Clockwise from true north. [degree]"""
    sun_elevation: float
    """[degree]"""
    crs: str | None
    cloud_cover: float
    """[%]"""
    bbox: tuple[float, float, float, float]
    """West, south, east, north; east lies beyond 180 for a scene across the antimeridian. [degree]"""
    instrument: Instrument
    metadata: str | None = None
    """The mission's own metadata file."""
    qa: str | None = None
    """File of pixel classes."""

    @property
    def footprint(self) -> shapely.Geometry:
        """The box as geometry, in two parts across the antimeridian."""
        return degrees.area(*self.bbox)

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the box's centre. [degree]"""
        west, south, east, north = self.bbox
        return degrees.wrapped((west + east) / 2), (south + north) / 2

    @property
    def is_calibrated(self) -> bool:
        """Whether every scale and offset is known."""
        return all(band.scale is not None for band in self.bands.values())

    @property
    def files(self) -> list[str]:
        """Files that loading it reads; its metadata only where they must calibrate it."""
        needed = [] if self.is_calibrated or self.metadata is None else [self.metadata]
        return [*(band.href for band in self.bands.values()), *needed]

    def with_factors(self, factors: Mapping[str, Factors]) -> "Scene":
        """The scene with scale and offset of every band."""
        bands = {n: replace(b, **vars(plausible(self.id, factors[n]))) for n, b in self.bands.items()}
        return replace(self, bands=bands)


@dataclass(frozen=True)
class PixelClasses:
    """Pixel classes that a provider gives with its scenes."""

    name: str
    fill: int
    """Code of pixels without data."""
    unclear: Callable[[np.ndarray], np.ndarray]
    """Whether codes mean no data, cloud or shadow of a cloud."""


class Mission(Protocol):
    """All that is known about one mission; a module or an object with these names is a row of ``MISSIONS``."""

    INSTRUMENTS: Mapping[str, Instrument]
    """By the names of the sensors that carry them."""
    NIR: tuple[str, ...]
    """Band numbers of the near infrared between which a user can choose, if there is a choice."""
    ORIGIN: Mapping[float, float]
    """Where the edges of its pixels lie, modulo their size, by that size; others lie at 0. [m]"""
    CLASSES: PixelClasses

    def recognise(self, item: "StacItem") -> str | None:
        """Sensor that took an item's scene, None if it is not of this mission."""

    def resolve(self, item: "StacItem", sensor: str, nir: str) -> Scene:
        """Scene of an item, without reading any file."""

    def calibrate(self, scene: Scene) -> Mapping[str, Factors]:
        """Factors of every band of a scene whose item did not tell them, from its metadata file."""

    def products(self, folder: Path) -> list[Path]:
        """Products of the mission in and below a folder."""

    def read(self, product: Path) -> list[Scene]:
        """Scenes of a product."""

    def describe(self, scene: Scene) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Properties and assets of the item of a scene, in the form of the mission's providers."""


def solar_date(when: pd.Timestamp, longitude: float) -> str:
    """Date by the sun, which no daylight pass crosses, as it may cross midnight UTC."""
    return f"{when + pd.Timedelta(hours=longitude / 15):%Y-%m-%d}"


def sun_elevation(name: str, elevation: float) -> float:
    """The sun's elevation over a scene, which must be day. [degree]"""
    if not LOWEST_SUN <= elevation <= 90:  # NaN too
        raise MetadataError(
            f"scene {name}: the sun stands at {elevation:.1f} degrees; a scene without sun has no reflectance."
        )
    return elevation


SCALE = facts.Range(1e-7, 0.1, "1", "reflectance per DN; 2e-5 of OLI, 1e-4 of MSI, 3e-3 of TM, more under a low sun")
OFFSET = facts.Range(-1, 1, "1", "reflectance of DN 0; -.1 of OLI and MSI, more under a low sun")


def plausible(name: str, factors: Factors) -> Factors:
    """Factors that a sensor can have.

    Raises
    ------
    MetadataError
        If they are placeholders, such as scale 1, or belong to other numbers, such as an offset in DN.
    """
    if factors.scale is not None:
        facts.number(f"scene {name}", f"the scale ({factors.why})", factors.scale, SCALE)
        facts.number(f"scene {name}", f"the offset ({factors.why})", factors.offset, OFFSET)
    return factors

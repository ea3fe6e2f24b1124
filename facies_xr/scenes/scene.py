"""What a scene is, and what must be known about the mission that takes it. Knows no mission."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import shapely

from .. import degrees
from ..errors import MetadataError

if TYPE_CHECKING:
    from .items import StacItem

LOW_SUN = 15.0
"""Below this elevation reflectances are poor. [degree]"""


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
    """Scenes with the same text were taken in one pass and are mosaicked."""
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
        return replace(self, bands={n: replace(b, **vars(factors[n])) for n, b in self.bands.items()})


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


def sun_elevation(name: str, elevation: float) -> float:
    """The sun's elevation over a scene, which must be day. [degree]"""
    if not 0 < elevation <= 90:
        raise MetadataError(
            f"scene {name}: the sun stands at {elevation:.1f} degrees; a scene without sun has no reflectance."
        )
    return elevation


def utc(text: Any) -> pd.Timestamp:
    """Time without a zone, in whole microseconds."""
    when = pd.Timestamp(str(text))
    return (when.tz_convert(None) if when.tzinfo else when).floor("us")

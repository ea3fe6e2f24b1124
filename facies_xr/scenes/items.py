"""What a STAC item says about its scene, whatever the mission."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .. import access, degrees
from ..errors import MetadataError
from ..stations import BANDS
from . import sun
from .scene import Band, Factors, Instrument, Scene, sun_elevation, utc


@dataclass(frozen=True)
class StacItem:
    """The facts of an item."""

    id: str
    collection: str
    properties: Mapping[str, Any]
    assets: Mapping[str, Mapping[str, Any]]
    bbox: tuple[float, float, float, float]
    """West, south, east, north; east lies beyond 180 across the antimeridian. [degree]"""

    @classmethod
    def of(cls, item: Any) -> "StacItem":
        """Facts of a ``pystac.Item`` or of its JSON; links are not followed."""
        item = item if isinstance(item, Mapping) else item.to_dict(transform_hrefs=False)
        name = item.get("id") or "(no id)"
        properties, assets = item.get("properties") or {}, item.get("assets") or {}
        if item.get("type") != "Feature" or not properties:
            raise MetadataError(f"{name}: not a STAC item (type {item.get('type')!r}).")
        if not assets:
            raise MetadataError(f"item {name}: it has no assets; ask the catalogue for the whole item.")
        bbox = degrees.of_item(item.get("bbox"), item.get("geometry"))
        if bbox is None:
            raise MetadataError(f"item {name}: it has neither bbox nor geometry.")
        return cls(name, str(item.get("collection")), properties, assets, bbox)

    def first(self, *keys: str) -> Any:
        """The first property that is there and not empty."""
        return next((self.properties[key] for key in keys if self.properties.get(key)), None)

    @property
    def platform(self) -> str:
        """Name of the satellite, in small letters with hyphens."""
        return str(self.first("platform", "eo:platform") or "").lower().replace("_", "-")

    @property
    def datetime(self) -> pd.Timestamp:
        """Time of the scene."""
        when = self.first("datetime", "start_datetime")
        if when is None:
            raise MetadataError(f"item {self.id}: it has no datetime.")
        return utc(when)

    @property
    def sun(self) -> tuple[float, float]:
        """Azimuth and elevation at the scene's centre: as the item says, else from its time and place. [degree]"""

        def number(*keys: str) -> float | None:
            return next((float(self.properties[k]) for k in keys if self.properties.get(k) is not None), None)

        azimuth = number("view:sun_azimuth", "eo:sun_azimuth", "s2:mean_solar_azimuth")
        elevation, zenith = number("view:sun_elevation", "eo:sun_elevation"), number("s2:mean_solar_zenith")
        if elevation is None and zenith is not None:
            elevation = 90.0 - zenith
        if azimuth is None or elevation is None or not (math.isfinite(azimuth) and math.isfinite(elevation)):
            when, (west, south, east, north) = self.datetime, self.bbox
            if (when.hour, when.minute, when.second) == (0, 0, 0):
                raise MetadataError(
                    f"item {self.id}: it gives neither the sun's azimuth and elevation nor the time of day."
                )
            azimuth, elevation = sun.position(when.to_pydatetime(), (west + east) / 2, (south + north) / 2)
        return azimuth % 360, sun_elevation(self.id, elevation)

    @property
    def crs(self) -> str | None:
        """CRS of the files, if the item or one of its assets tells it."""
        for source in (self.properties, *self.assets.values()):
            if code := source.get("proj:code"):
                return str(code)
            if epsg := source.get("proj:epsg"):
                return f"EPSG:{int(epsg)}"
        return None

    @property
    def cloud_cover(self) -> float:
        """Cloud cover by the provider, NaN if unknown. [%]"""
        value = self.properties.get("eo:cloud_cover")
        return math.nan if value is None else float(value)

    def level(self, texts: Iterable[Any], marks: Mapping[str, tuple[str, ...]]) -> str:
        """Level of reflectance by the first text that holds a mark of one."""
        for text in filter(None, texts):
            for level, known in marks.items():
                if any(mark in str(text) for mark in known):
                    return level
        raise MetadataError(
            f"item {self.id}: it does not say whether it is Level-1 (TOA) or Level-2 (surface reflectance)."
        )

    def href(self, key: str) -> str:
        """File of an asset: the first that can be read without signing in at a website."""
        asset = self.assets[key]
        main = str(asset["href"])
        others = [str(other["href"]) for other in (asset.get("alternate") or {}).values() if other.get("href")]
        return next((href for href in (main, *others) if not access.needs_sign_in(href)), main)

    def file(self, *keys: str) -> str | None:
        """File of the first of some assets that is there."""
        return next((self.href(key) for key in keys if key in self.assets), None)

    def band_key(self, band: str, instrument: Instrument, named: bool = True) -> str:
        """Key of the asset of a band; ``named``: whether an asset may have the band's common name."""
        number, size = instrument.numbers[band], instrument.resolutions[BANDS.index(band)]
        keys = [*([band] if named else []), *(instrument.keys or {}).get(band, ()), number, f"{number}_{size}m",
                f"SR_{number}", f"{number}.TIF", f"SR_{number}.TIF"]  # fmt: skip
        for key in keys:
            if key in self.assets and self.assets[key].get("href"):
                kind = str(self.assets[key].get("type") or "image/tiff")
                if not kind.startswith("image/"):
                    raise MetadataError(f"item {self.id}: its asset {key} for {band} is {kind}, not an image.")
                return key
        raise MetadataError(
            f"item {self.id}: it has no asset for {band} (looked for {', '.join(keys)}; it has "
            f"{', '.join(self.assets)})."
        )

    def scene(
        self,
        sensor: str,
        instrument: Instrument,
        level: str,
        *,
        datatake: str,
        factors: Callable[[Mapping[str, Any]], Factors],
        saturated_from: int,
        metadata: str | None = None,
        qa: str | None = None,
        unnamed: tuple[str, ...] = (),
    ) -> Scene:
        """The item's scene.

        Parameters
        ----------
        sensor, instrument, level, datatake, metadata, qa
            See :class:`Scene`.
        factors : callable
            Factors of the band of an asset.
        saturated_from : int
            Smallest DN of a saturated pixel.
        unnamed : tuple of str
            Bands whose common name stands for another band in the mission's items.
        """
        azimuth, elevation = self.sun
        bands = {}
        for band in BANDS:
            key = self.band_key(band, instrument, named=band not in unnamed)
            bands[band] = Band.of(self.href(key), factors(self.assets[key]), saturated_from)
        return Scene(
            id=self.id,
            sensor=sensor,
            level=level,
            bands=bands,
            datetime=self.datetime,
            datatake=datatake,
            sun_azimuth=azimuth,
            sun_elevation=elevation,
            crs=self.crs,
            cloud_cover=self.cloud_cover,
            bbox=self.bbox,
            instrument=instrument,
            metadata=metadata,
            qa=qa,
        )

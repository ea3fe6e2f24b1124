"""What a STAC item says about its scene, whatever the mission."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .. import access, degrees, facts
from ..errors import MetadataError
from ..stations import BANDS
from . import sun
from .scene import Band, Factors, Instrument, Scene, plausible, sun_elevation

AZIMUTH = facts.Range(-360, 360, "degree", "a circle, counted either way")
ELEVATION = facts.Range(-90, 90, "degree", "from the nadir to the zenith")
ZENITH = facts.Range(0, 180, "degree", "from the zenith to the nadir")
CLOUD_COVER = facts.Range(0, 100, "%", "a share")


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
        """Facts of a ``pystac.Item`` or of its JSON."""
        item = content(item)
        if item.get("type") != "Feature" or not item.get("properties"):
            name, kind = (item.get(key) for key in ("id", "type"))
            raise MetadataError(f"{access.shown(str(name or '(no id)'))}: not a STAC item (type {facts.shown(kind)}).")
        name = facts.text("item", "id", item.get("id"))
        if name != "".join(name.split()):
            raise MetadataError(
                f"item {name!r}: its id holds blanks; dates list the ids of their scenes apart by them."
            )
        where = f"item {name}"
        properties = facts.mapping(where, "properties", item["properties"])
        assets = facts.mapping(where, "assets", item.get("assets") or {})
        if not assets:
            raise MetadataError(f"{where}: it has no assets; ask the catalogue for the whole item.")
        try:
            bbox = degrees.of_item(item.get("bbox"), item.get("geometry"))
        except ValueError as error:
            raise MetadataError(f"{where}: {error}.") from error
        if bbox is None:
            raise MetadataError(f"{where}: it has neither bbox nor geometry.")
        return cls(name, str(item.get("collection")), properties, assets, bbox)

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"item {self.id}"

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
            raise MetadataError(f"{self.where}: it has no datetime.")
        return facts.time(self.where, "datetime", when)

    @property
    def sun(self) -> tuple[float, float]:
        """Azimuth and elevation at the scene's centre: as the item says, else from its time and place. [degree]"""
        azimuth = self._angle(AZIMUTH, "view:sun_azimuth", "eo:sun_azimuth", "s2:mean_solar_azimuth")
        elevation = self._angle(ELEVATION, "view:sun_elevation", "eo:sun_elevation")
        zenith = self._angle(ZENITH, "s2:mean_solar_zenith")
        if elevation is None and zenith is not None:
            elevation = 90.0 - zenith
        if azimuth is None or elevation is None:
            when, (west, south, east, north) = self.datetime, self.bbox
            if (when.hour, when.minute, when.second) == (0, 0, 0):
                raise MetadataError(
                    f"{self.where}: it gives neither the sun's azimuth and elevation nor the time of day."
                )
            azimuth, elevation = sun.position(when.to_pydatetime(), (west + east) / 2, (south + north) / 2)
        return azimuth % 360, sun_elevation(self.id, elevation)

    def _angle(self, within: facts.Range, *keys: str) -> float | None:
        """The first of some angles that is there; some archives write NaN where they do not know it. [degree]"""
        for key in keys:
            value = self.properties.get(key)
            if value is not None and not (isinstance(value, float) and math.isnan(value)):
                return facts.number(self.where, key, value, within)
        return None

    @property
    def crs(self) -> str | None:
        """CRS of the files, if the item or one of its assets tells it."""
        for source in (self.properties, *self.assets.values()):
            if not isinstance(source, Mapping):
                continue
            if code := source.get("proj:code"):
                return facts.crs(self.where, "proj:code", code)
            if epsg := source.get("proj:epsg"):
                return facts.crs(self.where, "proj:epsg", f"EPSG:{facts.number(self.where, 'proj:epsg', epsg):.0f}")
        return None

    @property
    def cloud_cover(self) -> float:
        """Cloud cover by the provider, NaN if unknown. [%]"""
        return cloud_cover(self.where, "eo:cloud_cover", self.properties.get("eo:cloud_cover"))

    def level(self, texts: Iterable[Any], marks: Mapping[str, tuple[str, ...]]) -> str:
        """Level of reflectance by the first text that holds a mark of one."""
        for text in filter(None, texts):
            for level, known in marks.items():
                if any(mark in str(text) for mark in known):
                    return level
        raise MetadataError(
            f"item {self.id}: it does not say whether it is Level-1 (TOA) or Level-2 (surface reflectance)."
        )

    def asset(self, key: str) -> Mapping[str, Any]:
        """An asset, whose file is a name."""
        asset = facts.mapping(self.where, f"asset {key}", self.assets[key])
        facts.text(self.where, f"href of asset {key}", asset.get("href"))
        return asset

    def href(self, key: str) -> str:
        """File of an asset: the first that can be read without signing in at a website."""
        asset = self.asset(key)
        others = facts.mapping(self.where, f"alternate of asset {key}", asset.get("alternate") or {}).values()
        hrefs = [
            asset["href"],
            *(other["href"] for other in others if isinstance(other, Mapping) and other.get("href")),
        ]
        hrefs = [facts.text(self.where, f"href of asset {key}", href) for href in hrefs]
        try:
            chosen = next((href for href in hrefs if not access.needs_sign_in(href)), hrefs[0])
            access.check_address(chosen)
        except MetadataError as error:
            raise MetadataError(f"{self.where}: asset {key}: {error}") from error
        return chosen

    def file(self, *keys: str) -> str | None:
        """File of the first of some assets that is there."""
        return next((self.href(key) for key in keys if key in self.assets), None)

    def band_key(self, band: str, instrument: Instrument, named: bool = True) -> str:
        """Key of the asset of a band; ``named``: whether an asset may have the band's common name."""
        number, size = instrument.numbers[band], instrument.resolutions[BANDS.index(band)]
        keys = [*([band] if named else []), *(instrument.keys or {}).get(band, ()), number, f"{number}_{size}m",
                f"SR_{number}", f"{number}.TIF", f"SR_{number}.TIF"]  # fmt: skip
        if (key := next((key for key in keys if key in self.assets), None)) is None:
            has = ", ".join(map(str, self.assets))
            raise MetadataError(
                f"{self.where}: it has no asset for {band} (looked for {', '.join(keys)}; it has {facts.shown(has)})."
            )
        kind = str(self.asset(key).get("type") or "image/tiff")
        if not kind.startswith("image/"):
            raise MetadataError(f"{self.where}: its asset {key} for {band} is {access.shown(kind)}, not an image.")
        return key

    def scene(
        self,
        sensor: str,
        instrument: Instrument,
        level: str,
        *,
        datatake: str,
        acquisition: str = "",
        revision: tuple = (),
        tier: str = "",
        factors: Callable[[Mapping[str, Any]], Factors],
        saturated_from: int,
        metadata: str | None = None,
        qa: str | None = None,
        unnamed: tuple[str, ...] = (),
    ) -> Scene:
        """The item's scene.

        Parameters
        ----------
        sensor, instrument, level, datatake, acquisition, revision, tier, metadata, qa
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
            bands[band] = Band.of(self.href(key), plausible(self.id, factors(self.asset(key))), saturated_from)
        return Scene(
            id=self.id,
            sensor=sensor,
            level=level,
            bands=bands,
            datetime=self.datetime,
            datatake=datatake,
            acquisition=acquisition or self.id,
            revision=revision,
            tier=tier,
            sun_azimuth=azimuth,
            sun_elevation=elevation,
            crs=self.crs,
            cloud_cover=self.cloud_cover,
            bbox=self.bbox,
            instrument=instrument,
            metadata=metadata,
            qa=qa,
        )


def content(item: Any) -> Mapping[str, Any]:
    """JSON of a ``pystac.Item`` without its links: asked for them, pystac goes to the server that gave the item."""
    if isinstance(item, Mapping):
        return item
    when = item.datetime
    return {
        "type": "Feature",
        "id": item.id,
        "collection": item.collection_id,
        "bbox": item.bbox,
        "geometry": item.geometry,
        "properties": {**item.properties, "datetime": None if when is None else when.isoformat()},
        "assets": {key: asset.to_dict() for key, asset in item.assets.items()},
    }


def cloud_cover(where: str, name: str, value: Any) -> float:
    """Cloud cover of a scene, NaN if unknown: archives write nothing or -1 then. [%]"""
    if value is None or value in (-1, "-1", "-1.00"):
        return math.nan
    return facts.number(where, name, value, CLOUD_COVER)

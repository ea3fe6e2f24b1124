"""What is known about each sensor: bands, calibration, saturation, albedo.

Everything that depends on a sensor stands in the tables below. :func:`resolve` applies them to a STAC item without
reading any file; :func:`read_mtl` does the same for a Landsat folder. Nothing is guessed: a scene whose calibration
is not certain is an error.

References: Landsat 8-9 Calibration and Validation Algorithm Description; USGS Landsat Collection 2 metadata files;
Sentinel-2 Products Specification Document (RADIO_ADD_OFFSET, processing baseline 04.00).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from ..errors import MetadataError
from . import metadata, sun

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
"""The six bands, in the order of the features and of the bits of ``saturated``."""

LOW_SUN = 15.0
"""Below this elevation reflectances are poor. [degree]"""


@dataclass(frozen=True)
class Sensor:
    """One kind of instrument."""

    name: str
    numbers: Mapping[str, str]
    """Band number of each of the six bands, as in file names."""
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


_LANDSAT_KEYS = {"nir": ("nir08",), "swir1": ("swir16",), "swir2": ("swir22",)}


def _landsat(name: str, numbers: str, wavelengths, saturated_from: int, irradiance=None) -> Sensor:
    return Sensor(
        name,
        dict(zip(BANDS, (f"B{n}" for n in numbers), strict=True)),
        wavelengths,
        (30,) * 6,
        saturated_from,
        dict(zip(BANDS, irradiance, strict=True)) if irradiance else None,
        _LANDSAT_KEYS,
    )


# Solar irradiances of the collections, as pi RADIANCE_MULT d^2 / REFLECTANCE_MULT of Collection 2 metadata files.
TM = _landsat("TM", "123457", (0.48, 0.56, 0.66, 0.84, 1.65, 2.2), 255, (1944, 1759, 1490, 1033, 209.6, 82.2))
ETM = _landsat("ETM+", "123457", (0.48, 0.56, 0.66, 0.84, 1.65, 2.2), 255, (2036, 1856, 1525, 1071, 221.6, 81.4))
OLI = _landsat("OLI", "234567", (0.48, 0.56, 0.65, 0.87, 1.61, 2.2), 65535)
MSI = Sensor(
    "MSI",
    dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11", "B12"), strict=True)),
    (0.490, 0.560, 0.665, 0.842, 1.61, 2.19),
    (10, 10, 10, 10, 20, 20),
    65535,
    None,
    {"swir1": ("swir16",), "swir2": ("swir22",)},
)

SENSORS: dict[str, Sensor] = {
    "landsat-4": TM,
    "landsat-5": TM,
    "landsat-7": ETM,
    "landsat-8": OLI,
    "landsat-9": OLI,
    "sentinel-2": MSI,
}

LIANG = {"blue": 0.356, "red": 0.130, "nir": 0.373, "swir1": 0.085, "swir2": 0.072}
"""Weights of the narrow-to-broadband shortwave albedo (Liang 2001), used for every sensor; constant LIANG_OFFSET."""
LIANG_OFFSET = -0.0018

SR_SCALE, SR_OFFSET = 2.75e-5, -0.2
"""Landsat Collection 2 surface reflectance = SR_SCALE DN + SR_OFFSET."""

S2_QUANTIFICATION = 10000.0
S2_OFFSET = -1000.0
"""RADIO_ADD_OFFSET (L1C) and BOA_ADD_OFFSET (L2A) from processing baseline 04.00 on. [DN]"""


@dataclass(frozen=True)
class Band:
    """One band of one scene: reflectance = scale DN + offset, the sun's elevation included."""

    href: str
    scale: float | None
    offset: float | None
    why: str
    """Which field and which rule scale and offset come from."""
    saturated_from: int
    nodata: float = 0


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
    """West, south, east, north. [degree]"""
    mtl: str | None = None
    """The MTL that calibrates the scene, if it still has to be read."""

    @property
    def is_calibrated(self) -> bool:
        """Whether every scale and offset is known."""
        return all(band.scale is not None for band in self.bands.values())

    def calibrated(self) -> "Scene":
        """The scene with every scale and offset, reading its MTL if that is needed."""
        if self.is_calibrated:
            return self
        assert self.mtl is not None
        factors = landsat_factors(metadata.mtl_groups(self.mtl), self.sensor, self.level, self.sun_elevation, self.id)
        return replace(self, bands={n: replace(b, **vars(factors[n])) for n, b in self.bands.items()})


@dataclass(frozen=True)
class Factors:
    """reflectance = scale DN + offset, and where both come from."""

    scale: float | None
    offset: float | None
    why: str


def resolve(item: Any) -> Scene:
    """What a STAC item says about its scene, without reading any file.

    Parameters
    ----------
    item : pystac.Item or dict

    Returns
    -------
    Scene
        With ``scale`` and ``offset`` None where the MTL must still be read (:meth:`Scene.calibrated`).

    Raises
    ------
    MetadataError
        If the item is not a scene of a known sensor, or a fact is missing.
    """
    item = item if isinstance(item, Mapping) else item.to_dict(transform_hrefs=True)
    name = item.get("id") or "(no id)"
    properties, assets = item.get("properties") or {}, item.get("assets") or {}
    if item.get("type") != "Feature" or not properties:
        raise MetadataError(f"{name}: not a STAC item (type {item.get('type')!r}).")
    sensor = _sensor_name(name, item, properties)
    if not assets:
        raise MetadataError(f"item {name}: it has no assets; ask the catalogue for the whole item.")
    hrefs = {band: _href(name, band, SENSORS[sensor], assets) for band in BANDS}
    level = _level(name, item, properties, sensor)
    when = properties.get("datetime") or properties.get("start_datetime")
    if not when:
        raise MetadataError(f"item {name}: it has no datetime.")
    bbox = _bbox(name, item)
    azimuth, elevation = _sun(name, properties, _utc(when), bbox)
    scene = Scene(
        id=name,
        sensor=sensor,
        level=level,
        bands={},
        datetime=_utc(when),
        datatake=_datatake(sensor, name, properties, _utc(when)),
        sun_azimuth=azimuth,
        sun_elevation=elevation,
        crs=_crs(properties, assets),
        cloud_cover=_number(properties.get("eo:cloud_cover")),
        bbox=bbox,
        mtl=_mtl_href(assets) if sensor.startswith("landsat") else None,
    )
    factors = _sentinel_factors if sensor == "sentinel-2" else _landsat_item_factors
    bands = {}
    for band, (key, href) in hrefs.items():
        bands[band] = Band(
            href, **vars(factors(name, properties, assets[key], scene)), saturated_from=_saturated_from(sensor, level)
        )
    return replace(scene, bands=bands)


def read_mtl(path: str | Path) -> Scene:
    """The scene of a Landsat Level-1 folder, or of its MTL file.

    Raises
    ------
    MetadataError
        If there is no MTL, more than one, or a fact is missing in it.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if re.search(r"_MTL\.(txt|json|xml)$", p.name, re.IGNORECASE))
        found = [p for p in found if p.suffix.lower() == found[0].suffix.lower()] if found else []
        if len(found) != 1:
            raise MetadataError(f"{path}: expected one *_MTL.txt (or .json, .xml), found {len(found)}.")
        path = found[0]
    mtl = metadata.mtl_groups(str(path))
    groups = ("PRODUCT_CONTENTS", "PRODUCT_METADATA", "PROJECTION_ATTRIBUTES", "IMAGE_ATTRIBUTES")
    product = {key: value for group in groups for key, value in mtl.get(group, {}).items()}
    name = product.get("LANDSAT_PRODUCT_ID") or path.name[: path.name.upper().rindex("_MTL")]

    def fact(key: str):
        if key not in product:
            raise MetadataError(f"{path}: the MTL has no {key}.")
        return product[key]

    sensor = f"landsat-{str(fact('SPACECRAFT_ID'))[-1]}"
    if sensor not in SENSORS or "MSS" in str(fact("SENSOR_ID")).upper():
        raise MetadataError(f"{path}: {fact('SPACECRAFT_ID')} {fact('SENSOR_ID')} is not TM, ETM+ or OLI.")
    level = "SR" if str(product.get("PROCESSING_LEVEL", product.get("DATA_TYPE", "L1"))).startswith("L2") else "TOA"
    elevation = _elevation(name, float(fact("SUN_ELEVATION")))
    factors = landsat_factors(mtl, sensor, level, elevation, name)
    bands = {}
    for band in BANDS:
        number = SENSORS[sensor].numbers[band]
        file = product.get(f"FILE_NAME_BAND_{number[1:]}")
        if file is None:
            raise MetadataError(f"{path}: the MTL names no file of band {number} ({band}).")
        bands[band] = Band(
            str(path.parent / file), **vars(factors[band]), saturated_from=_saturated_from(sensor, level)
        )
    when = _utc(f"{fact('DATE_ACQUIRED')}T{fact('SCENE_CENTER_TIME')}")
    corners = {c: (float(fact(f"CORNER_{c}_LON_PRODUCT")), float(fact(f"CORNER_{c}_LAT_PRODUCT")))
               for c in ("UL", "UR", "LL", "LR")}  # fmt: skip
    longitudes, latitudes = zip(*corners.values(), strict=True)
    return Scene(
        id=name,
        sensor=sensor,
        level=level,
        bands=bands,
        datetime=when,
        datatake=f"{sensor}/{fact('WRS_PATH')}/{when:%Y-%m-%d}",
        sun_azimuth=float(fact("SUN_AZIMUTH")) % 360,
        sun_elevation=elevation,
        crs=None,
        cloud_cover=float(product.get("CLOUD_COVER", math.nan)),
        bbox=(min(longitudes), min(latitudes), max(longitudes), max(latitudes)),
        mtl=str(path),
    )


def landsat_factors(mtl: Mapping, sensor: str, level: str, sun_elevation: float, name: str) -> dict[str, Factors]:
    """Scale and offset of each band from a Landsat metadata file.

    Notes
    -----
    TOA: rho = (M DN + A) / sin(elevation), with M, A = REFLECTANCE_MULT, REFLECTANCE_ADD of the Level-1 group.
    Files from before the collections have radiances only: L = LMIN + (LMAX - LMIN)/(QMAX - QMIN) (DN - QMIN),
    rho = pi L d^2 / (ESUN sin(elevation)), d the Earth-Sun distance [au].
    """
    if level == "SR":
        group = mtl.get("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS")
        if not group:
            raise MetadataError(f"{name}: its MTL has no LEVEL2_SURFACE_REFLECTANCE_PARAMETERS.")
        return {b: _from_rescaling(group, SENSORS[sensor].numbers[b], 1.0, name, "SR: MTL") for b in BANDS}
    sine = math.sin(math.radians(sun_elevation))
    group = mtl.get("LEVEL1_RADIOMETRIC_RESCALING") or mtl.get("RADIOMETRIC_RESCALING") or {}
    if any(key.startswith("REFLECTANCE_MULT") for key in group):
        return {b: _from_rescaling(group, SENSORS[sensor].numbers[b], sine, name, "TOA: MTL") for b in BANDS}
    return {b: _from_radiance(mtl, SENSORS[sensor], b, sine, name) for b in BANDS}


def _from_rescaling(group: Mapping, number: str, divisor: float, name: str, why: str) -> Factors:
    try:
        m, a = (float(group[f"REFLECTANCE_{kind}_BAND_{number[1:]}"]) for kind in ("MULT", "ADD"))
    except KeyError as error:
        raise MetadataError(f"{name}: its MTL has no {error.args[0]}.") from None
    return Factors(m / divisor, a / divisor, f"{why} REFLECTANCE_MULT/ADD_BAND_{number[1:]}")


def _from_radiance(mtl: Mapping, sensor: Sensor, band: str, sine: float, name: str) -> Factors:
    if sensor.solar_irradiance is None:
        raise MetadataError(
            f"{name}: its MTL has no REFLECTANCE_MULT/ADD, without which {sensor.name} is not calibrated."
        )
    number, limits = sensor.numbers[band][1:], mtl.get("MIN_MAX_RADIANCE", {})
    codes, product = mtl.get("MIN_MAX_PIXEL_VALUE", {}), mtl.get("PRODUCT_METADATA", {})
    try:
        high, low = (float(limits[f"RADIANCE_{m}_BAND_{number}"]) for m in ("MAXIMUM", "MINIMUM"))
        top, bottom = (float(codes[f"QUANTIZE_CAL_{m}_BAND_{number}"]) for m in ("MAX", "MIN"))
        date = str(product["DATE_ACQUIRED"])
    except KeyError as error:
        raise MetadataError(f"{name}: its MTL has neither REFLECTANCE_* nor {error.args[0]}.") from None
    distance = float(mtl.get("IMAGE_ATTRIBUTES", {}).get("EARTH_SUN_DISTANCE", earth_sun_distance(date)))
    irradiance = sensor.solar_irradiance[band]
    factor = math.pi * distance**2 / (irradiance * sine)
    gain = (high - low) / (top - bottom)
    why = (
        f"TOA: MTL RADIANCE_MAXIMUM/MINIMUM_BAND_{number}, ESUN {irradiance:g} W m-2 um-1 ({sensor.name}), "
        f"d {distance:.5f} au"
    )
    return Factors(gain * factor, (low - gain * bottom) * factor, why)


def earth_sun_distance(date: str | datetime) -> float:
    """Earth-Sun distance of a day, within 5e-4 of the ephemeris (Spencer 1971). [au]"""
    angle = 2 * math.pi * (pd.Timestamp(date).dayofyear - 1) / 365
    inverse_square = (
        1.000110
        + 0.034221 * math.cos(angle)
        + 0.001280 * math.sin(angle)
        + 0.000719 * math.cos(2 * angle)
        + 0.000077 * math.sin(2 * angle)
    )
    return inverse_square**-0.5


# -- what items say, and how ------------------------------------------------------------------------------------


def _sensor_name(name: str, item: Mapping, properties: Mapping) -> str:
    platform = str(properties.get("platform") or properties.get("eo:platform") or "").lower().replace("_", "-")
    instruments = properties.get("instruments") or properties.get("eo:instrument") or ""
    if "mss" in str(instruments).lower() or re.match(r"LM0[1-5]", name):
        raise MetadataError(f"item {name}: MSS has no blue and no shortwave infrared band; facies_xr cannot use it.")
    if match := re.fullmatch(r"landsat-?0?([45789])", platform) or re.match(r"L[CEOT]0?([45789])\d?", name):
        return f"landsat-{match[1]}"
    if platform.startswith("sentinel-2") or re.match(r"S2[ABCD]_", name):
        return "sentinel-2"
    what = platform or str(item.get("collection"))
    raise MetadataError(f"item {name}: {what!r} is not Landsat 4, 5, 7, 8, 9 or Sentinel-2.")


def _saturated_from(sensor: str, level: str) -> int:
    """Smallest DN of a saturated detector; surface reflectance is stored in 16 bits whatever the sensor."""
    return SENSORS[sensor].saturated_from if level == "TOA" else 65535


def _level(name: str, item: Mapping, properties: Mapping, sensor: str) -> str:
    if sensor == "sentinel-2":
        texts = [properties.get("s2:product_type"), properties.get("s2:product_uri"), item.get("collection"), name]
        levels: tuple[tuple[str, ...], ...] = (("MSIL1C", "S2MSI1C", "l1c", "L1C"), ("MSIL2A", "S2MSI2A", "l2a", "L2A"))
    else:
        correction = properties.get("landsat:correction") or properties.get("landsat:processing_level")
        texts = [correction, name, item.get("collection")]
        levels = (("L1TP", "L1GT", "L1GS", "L1T", "c2l1", "c2-l1", "PAC", "EDC"), ("L2SP", "L2SR", "c2l2", "c2-l2"))
    for text in filter(None, texts):
        for level, marks in zip(("TOA", "SR"), levels, strict=True):
            if any(mark in str(text) for mark in marks):
                return level
    raise MetadataError(f"item {name}: it does not say whether it is Level-1 (TOA) or Level-2 (surface reflectance).")


def _href(name: str, band: str, sensor: Sensor, assets: Mapping) -> tuple[str, str]:
    number = sensor.numbers[band]
    keys = [band, *(sensor.keys or {}).get(band, ()), number, f"SR_{number}", f"{number}.TIF", f"SR_{number}.TIF"]
    for key in keys:
        if key in assets and assets[key].get("href"):
            return key, str(assets[key]["href"])
    raise MetadataError(
        f"item {name}: it has no asset for {band} (looked for {', '.join(keys)}; it has {', '.join(assets)})."
    )


def _sun(name: str, properties: Mapping, when: pd.Timestamp, bbox) -> tuple[float, float]:
    """Azimuth and elevation at the scene's centre: as the item says, else from its time and place."""

    def first(*keys):
        return next((float(properties[k]) for k in keys if properties.get(k) is not None), None)

    azimuth = first("view:sun_azimuth", "eo:sun_azimuth", "s2:mean_solar_azimuth")
    elevation = first("view:sun_elevation", "eo:sun_elevation")
    zenith = first("s2:mean_solar_zenith")
    if elevation is None and zenith is not None:
        elevation = 90.0 - zenith
    if azimuth is None or elevation is None or not (math.isfinite(azimuth) and math.isfinite(elevation)):
        if (when.hour, when.minute, when.second) == (0, 0, 0):
            raise MetadataError(f"item {name}: it gives neither the sun's azimuth and elevation nor the time of day.")
        azimuth, elevation = sun.position(when.to_pydatetime(), (bbox[0] + bbox[2]) / 2, (bbox[1] + bbox[3]) / 2)
    return azimuth % 360, _elevation(name, elevation)


def _elevation(name: str, elevation: float) -> float:
    if not 0 < elevation <= 90:
        raise MetadataError(
            f"scene {name}: the sun stands at {elevation:.1f} degrees; a scene without sun has no reflectance."
        )
    return elevation


def _datatake(sensor: str, name: str, properties: Mapping, when: pd.Timestamp) -> str:
    if sensor == "sentinel-2":
        if take := properties.get("s2:datatake_id"):
            return str(take)
        text = str(properties.get("s2:product_uri") or properties.get("sentinel:product_id") or name)
        if match := re.search(r"(S2[A-D])_MSIL\d[AC]_(\d{8}T\d{6})_N\d{4}_R(\d{3})", text):
            return "/".join(match.groups())
        platform = str(properties.get("platform", "")).lower()
        return f"{platform}/{when:%Y-%m-%dT%H}"
    path = properties.get("landsat:wrs_path")
    if path is None and (
        match := re.match(r"L\w\d\d_L\w{3}_(\d{3})\d{3}_", name) or re.match(r"L\w\d(\d{3})\d{3}", name)
    ):
        path = match[1]
    if path is None:
        raise MetadataError(f"item {name}: it has no landsat:wrs_path.")
    return f"{sensor}/{int(path):03d}/{when:%Y-%m-%d}"


def _crs(properties: Mapping, assets: Mapping) -> str | None:
    for source in (properties, *assets.values()):
        if code := source.get("proj:code"):
            return str(code)
        if epsg := source.get("proj:epsg"):
            return f"EPSG:{int(epsg)}"
    return None


def _mtl_href(assets: Mapping) -> str | None:
    for kind in ("json", "xml", "txt"):
        for key in (f"MTL.{kind}", f"mtl.{kind}", "MTL", "mtl"):
            href = str(assets.get(key, {}).get("href") or "")
            if href.lower().endswith(kind):
                return href
    return None


def _utc(text: Any) -> pd.Timestamp:
    when = pd.Timestamp(str(text))
    return (when.tz_convert(None) if when.tzinfo else when).floor("us")


def _number(value: Any) -> float:
    """A number, NaN for None."""
    return math.nan if value is None else float(value)


def _bbox(name: str, item: Mapping) -> tuple[float, float, float, float]:
    """West, south, east, north of an item's box, or of its geometry."""
    if item.get("bbox"):
        return _flat(item["bbox"])
    if item.get("geometry"):
        return shapely.geometry.shape(item["geometry"]).bounds
    raise MetadataError(f"item {name}: it has neither bbox nor geometry.")


def _flat(bbox) -> tuple[float, float, float, float]:
    """West, south, east, north of a box with or without heights."""
    half = len(bbox) // 2
    return float(bbox[0]), float(bbox[1]), float(bbox[half]), float(bbox[half + 1])


def _raster_band(asset: Mapping) -> Mapping:
    """Scale and offset of an asset: ``raster:bands`` (STAC 1.0), ``bands`` or the asset itself (STAC 1.1)."""
    for key in ("raster:bands", "bands"):
        if isinstance(entries := asset.get(key), list) and entries and isinstance(entries[0], Mapping):
            entry = entries[0]
            found = {k: entry.get(k, entry.get(f"raster:{k}")) for k in ("scale", "offset")}
            if found["scale"] is not None:
                return found
    if asset.get("raster:scale") is not None:
        return {"scale": asset["raster:scale"], "offset": asset.get("raster:offset")}
    return {}


def _landsat_item_factors(name: str, properties: Mapping, asset: Mapping, scene: Scene) -> Factors:
    if scene.level == "SR":
        return Factors(SR_SCALE, SR_OFFSET, "SR: Landsat Collection 2 Level-2 rule 2.75e-5 DN - 0.2")
    if scene.mtl is None:
        raise MetadataError(
            f"item {name}: Level-1 without an MTL asset; scale and offset differ from scene to scene and band to band."
        )
    return Factors(None, None, "TOA: REFLECTANCE_MULT/ADD of the MTL, still to be read")


def _baseline_of(properties: Mapping, name: str) -> str | None:
    """Processing baseline from a product's name, for example 02.14 from ..._N0214_..."""
    for text in (properties.get("s2:product_uri"), properties.get("sentinel:product_id"), name):
        if match := re.search(r"_N(\d\d)(\d\d)(?:_|$)", str(text)):
            return f"{match[1]}.{match[2]}"
    return None


def _sentinel_factors(name: str, properties: Mapping, asset: Mapping, scene: Scene) -> Factors:
    kind = "L1C" if scene.level == "TOA" else "L2A"
    if properties.get("earthsearch:boa_offset_applied"):
        return Factors(1 / S2_QUANTIFICATION, 0.0, f"{kind}: earthsearch:boa_offset_applied, the DN have their offset")
    given = _raster_band(asset)
    if given:
        scale, offset = float(given["scale"]), float(given.get("offset") or 0.0)
        return Factors(scale, offset, f"{kind}: scale and offset of the asset")
    if baseline := properties.get("s2:processing_baseline") or _baseline_of(properties, name):
        offset = S2_OFFSET if float(baseline) >= 4 else 0.0
        return Factors(1 / S2_QUANTIFICATION, offset / S2_QUANTIFICATION, f"{kind}: processing baseline {baseline}")
    raise MetadataError(f"item {name}: neither scale and offset nor s2:processing_baseline; its offset is unknown.")

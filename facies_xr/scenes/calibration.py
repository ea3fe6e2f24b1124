"""DN to reflectance: the rules of each mission, and where each number comes from.

References: Landsat 8-9 Calibration and Validation Algorithm Description; USGS Landsat Collection 2 metadata files;
Sentinel-2 Products Specification Document (RADIO_ADD_OFFSET, processing baseline 04.00).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import MetadataError

if TYPE_CHECKING:
    from .sensors import Sensor

SR_SCALE, SR_OFFSET = 2.75e-5, -0.2
"""Landsat Collection 2 surface reflectance = SR_SCALE DN + SR_OFFSET."""

S2_QUANTIFICATION = 10000.0
S2_OFFSET = -1000.0
"""RADIO_ADD_OFFSET (L1C) and BOA_ADD_OFFSET (L2A) from processing baseline 04.00 on. [DN]"""


@dataclass(frozen=True)
class Factors:
    """reflectance = scale DN + offset, and where both come from; None where a file must still be read."""

    scale: float | None
    offset: float | None
    why: str


# -- Landsat ----------------------------------------------------------------------------------------------------


def of_landsat_item(level: str, metadata: str | None, name: str) -> Factors:
    """Factors of any band, as far as an item tells them."""
    if level == "SR":
        return Factors(SR_SCALE, SR_OFFSET, "SR: Landsat Collection 2 Level-2 rule 2.75e-5 DN - 0.2")
    if metadata is None:
        raise MetadataError(
            f"item {name}: Level-1 without an MTL asset; scale and offset differ from scene to scene and band to band."
        )
    return Factors(None, None, "TOA: REFLECTANCE_MULT/ADD of the MTL, still to be read")


def of_mtl(mtl: Mapping, sensor: "Sensor", level: str, sun_elevation: float, name: str) -> dict[str, Factors]:
    """Factors of each band from a Landsat metadata file.

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
        return {band: _from_rescaling(group, number, 1.0, name, "SR: MTL") for band, number in sensor.numbers.items()}
    sine = math.sin(math.radians(sun_elevation))
    group = mtl.get("LEVEL1_RADIOMETRIC_RESCALING") or mtl.get("RADIOMETRIC_RESCALING") or {}
    if any(key.startswith("REFLECTANCE_MULT") for key in group):
        return {band: _from_rescaling(group, number, sine, name, "TOA: MTL") for band, number in sensor.numbers.items()}
    return {band: _from_radiance(mtl, sensor, band, sine, name) for band in sensor.numbers}


def _from_rescaling(group: Mapping, number: str, divisor: float, name: str, why: str) -> Factors:
    try:
        m, a = (float(group[f"REFLECTANCE_{kind}_BAND_{number[1:]}"]) for kind in ("MULT", "ADD"))
    except KeyError as error:
        raise MetadataError(f"{name}: its MTL has no {error.args[0]}.") from None
    return Factors(m / divisor, a / divisor, f"{why} REFLECTANCE_MULT/ADD_BAND_{number[1:]}")


def _from_radiance(mtl: Mapping, sensor: "Sensor", band: str, sine: float, name: str) -> Factors:
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


# -- Sentinel-2 -------------------------------------------------------------------------------------------------


def of_sentinel_item(level: str, properties: Mapping, asset: Mapping, metadata: str | None, name: str) -> Factors:
    """Factors of one band: by the item's own statement, else by the processing baseline, else by the product's XML."""
    kind = _kind(level)
    for applied in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        if properties.get(applied):
            return Factors(1 / S2_QUANTIFICATION, 0.0, f"{kind}: {applied}, the DN have their offset")
    if given := _raster_band(asset):
        scale, offset = float(given["scale"]), float(given.get("offset") or 0.0)
        return Factors(scale, offset, f"{kind}: scale and offset of the asset")
    if baseline := _baseline(properties, name):
        offset = S2_OFFSET if float(baseline) >= 4 else 0.0
        return Factors(1 / S2_QUANTIFICATION, offset / S2_QUANTIFICATION, f"{kind}: processing baseline {baseline}")
    if metadata is None:
        raise MetadataError(
            f"item {name}: neither scale and offset, nor s2:processing_baseline, nor product metadata; "
            "its offset is unknown."
        )
    return Factors(None, None, f"{kind}: quantification and offset of the product's XML, still to be read")


def of_safe(product: Mapping, sensor: "Sensor", level: str, name: str) -> dict[str, Factors]:
    """Factors of each band from a product's XML (``metadata.safe_product``)."""
    offsets = product["offsets"]
    if not offsets and float(product["baseline"]) >= 4:
        raise MetadataError(f"{name}: processing baseline {product['baseline']}, but its XML lists no offsets.")
    found = {}
    for band, number in sensor.numbers.items():
        if offsets and number not in offsets:
            raise MetadataError(f"{name}: its XML has no offset of {number}.")
        offset = offsets.get(number, 0.0)
        why = f"{_kind(level)}: XML of baseline {product['baseline']}, offset {offset:g}"
        found[band] = Factors(1 / product["quantification"], offset / product["quantification"], why)
    return found


def _kind(level: str) -> str:
    return "L1C" if level == "TOA" else "L2A"


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


def _baseline(properties: Mapping, name: str) -> str | None:
    """Processing baseline from a property, or from a product's name: 02.14 in ..._N0214_..."""
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        if re.fullmatch(r"\d\d\.\d\d", str(properties.get(key))):
            return properties[key]
    for text in (properties.get("s2:product_uri"), properties.get("sentinel:product_id"), name):
        if match := re.search(r"_N(\d\d)(\d\d)(?:_|$)", str(text)):
            return f"{match[1]}.{match[2]}"
    return None

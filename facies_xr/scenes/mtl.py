"""Landsat's metadata file (MTL): its three spellings, and the calibration that it gives.

References: Landsat 8-9 Calibration and Validation Algorithm Description; USGS Landsat Collection 2 metadata files.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from .. import access, facts
from ..errors import MetadataError
from .scene import Factors, Instrument

Groups = dict[str, dict[str, Any]]
"""Group name to its keys and values; a Level-2 file holds the same keys in several groups."""


DISTANCE = facts.Range(0.98, 1.02, "au", "the Earth's orbit")


def groups(href: str) -> Groups:
    """Groups of a Landsat metadata file (TXT, JSON or XML).

    Returns
    -------
    dict of dict
        Values are text.

    Raises
    ------
    MetadataError
        If the file cannot be read or is not an MTL.
    """
    shown = access.shown(str(href))
    try:
        text = access.read_text(str(href))
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"MTL {shown} cannot be read: {access.reason(error)}") from error
    parse = {".json": _from_json, ".xml": _from_xml}.get(access.suffix(str(href)), _from_text)
    try:
        found = parse(text)
    except (ValueError, AttributeError, IndexError, RecursionError, ElementTree.ParseError) as error:
        raise MetadataError(f"MTL {shown} is broken: {access.reason(error)}") from error
    if "IMAGE_ATTRIBUTES" not in found:
        raise MetadataError(f"{shown} is not a Landsat MTL: it has no group IMAGE_ATTRIBUTES.")
    return found


def _from_text(text: str) -> Groups:
    found: Groups = {}
    path: list[str] = []
    for line in text.splitlines():
        if not (match := re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", line)):
            continue
        key, value = match.groups()
        if key == "GROUP":
            path.append(value)
        elif key == "END_GROUP":
            path.pop()
        elif path:
            found.setdefault(path[-1], {})[key] = value.strip('"')
    return found


def _from_json(text: str) -> Groups:
    (root,) = json.loads(text).values()
    return {
        group: {key: value if isinstance(value, dict | list) else str(value) for key, value in values.items()}
        for group, values in root.items()
        if isinstance(values, dict)
    }


def _from_xml(text: str) -> Groups:
    return {group.tag: {entry.tag: entry.text or "" for entry in group} for group in ElementTree.fromstring(text)}


# -- calibration --------------------------------------------------------------------------------------------------


def factors(groups: Groups, instrument: Instrument, level: str, elevation: float, name: str) -> dict[str, Factors]:
    """Factors of each band from a metadata file.

    Notes
    -----
    TOA: rho = (M DN + A) / sin(elevation), with M, A = REFLECTANCE_MULT, REFLECTANCE_ADD of the Level-1 group.
    Files from before the collections have radiances only: L = LMIN + (LMAX - LMIN)/(QMAX - QMIN) (DN - QMIN),
    rho = pi L d^2 / (ESUN sin(elevation)), d the Earth-Sun distance [au].
    """
    numbers = instrument.numbers
    if level == "SR":
        group = groups.get("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS")
        if not group:
            raise MetadataError(f"{name}: its MTL has no LEVEL2_SURFACE_REFLECTANCE_PARAMETERS.")
        return {band: _from_rescaling(group, number, 1.0, name, "SR: MTL") for band, number in numbers.items()}
    sine = math.sin(math.radians(elevation))
    group = groups.get("LEVEL1_RADIOMETRIC_RESCALING") or groups.get("RADIOMETRIC_RESCALING") or {}
    if any(key.startswith("REFLECTANCE_MULT") for key in group):
        return {band: _from_rescaling(group, number, sine, name, "TOA: MTL") for band, number in numbers.items()}
    return {band: _from_radiance(groups, instrument, band, sine, name) for band in numbers}


def _from_rescaling(group: Mapping, number: str, divisor: float, name: str, why: str) -> Factors:
    m, a = (_number(group, f"REFLECTANCE_{kind}_BAND_{number[1:]}", name) for kind in ("MULT", "ADD"))
    return Factors(m / divisor, a / divisor, f"{why} REFLECTANCE_MULT/ADD_BAND_{number[1:]}")


def _number(group: Mapping, key: str, name: str, within: facts.Range | None = None) -> float:
    if key not in group:
        raise MetadataError(f"{name}: its MTL has no {key}.")
    return facts.number(f"scene {name}", key, group[key], within)


def _from_radiance(groups: Groups, instrument: Instrument, band: str, sine: float, name: str) -> Factors:
    if instrument.solar_irradiance is None:
        raise MetadataError(
            f"{name}: its MTL has no REFLECTANCE_MULT/ADD, without which {instrument.name} is not calibrated."
        )
    number, limits = instrument.numbers[band][1:], groups.get("MIN_MAX_RADIANCE", {})
    codes, attributes = groups.get("MIN_MAX_PIXEL_VALUE", {}), groups["IMAGE_ATTRIBUTES"]
    high, low = (_number(limits, f"RADIANCE_{end}_BAND_{number}", name) for end in ("MAXIMUM", "MINIMUM"))
    top, bottom = (_number(codes, f"QUANTIZE_CAL_{end}_BAND_{number}", name) for end in ("MAX", "MIN"))
    if top <= bottom:
        raise MetadataError(f"{name}: its MTL has QUANTIZE_CAL_MAX_BAND_{number} {top:g}, QUANTIZE_CAL_MIN {bottom:g}.")
    if "EARTH_SUN_DISTANCE" in attributes:
        distance = _number(attributes, "EARTH_SUN_DISTANCE", name, DISTANCE)
    else:
        date = groups.get("PRODUCT_METADATA", {}).get("DATE_ACQUIRED")
        distance = earth_sun_distance(facts.time(f"scene {name}", "DATE_ACQUIRED", date))
    irradiance = instrument.solar_irradiance[band]
    factor = math.pi * distance**2 / (irradiance * sine)
    gain = (high - low) / (top - bottom)
    why = (
        f"TOA: MTL RADIANCE_MAXIMUM/MINIMUM_BAND_{number}, ESUN {irradiance:g} W m-2 um-1 ({instrument.name}), "
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

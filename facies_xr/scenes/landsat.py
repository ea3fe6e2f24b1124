"""Landsat 4, 5, 7, 8 and 9: their items, folders, calibration and pixel classes.

References: Landsat 8-9 Calibration and Validation Algorithm Description; USGS Landsat Collection 2 metadata files.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import MetadataError
from ..stations import BANDS
from . import mtl
from .items import StacItem
from .scene import Band, Factors, Instrument, PixelClasses, Scene, sun_elevation, utc


def _instrument(name: str, numbers: str, wavelengths, saturated_from: int, irradiance=None) -> Instrument:
    return Instrument(
        name,
        dict(zip(BANDS, (f"B{n}" for n in numbers), strict=True)),
        wavelengths,
        (30,) * 6,
        saturated_from,
        dict(zip(BANDS, irradiance, strict=True)) if irradiance else None,
        {"nir": ("nir08",), "swir1": ("swir16",), "swir2": ("swir22",)},
    )


# Solar irradiances of the collections, as pi RADIANCE_MULT d^2 / REFLECTANCE_MULT of Collection 2 metadata files.
TM = _instrument("TM", "123457", (0.48, 0.56, 0.66, 0.84, 1.65, 2.2), 255, (1944, 1759, 1490, 1033, 209.6, 82.2))
ETM = _instrument("ETM+", "123457", (0.48, 0.56, 0.66, 0.84, 1.65, 2.2), 255, (2036, 1856, 1525, 1071, 221.6, 81.4))
OLI = _instrument("OLI", "234567", (0.48, 0.56, 0.65, 0.87, 1.61, 2.2), 65535)

INSTRUMENTS: Mapping[str, Instrument] = {
    "landsat-4": TM,
    "landsat-5": TM,
    "landsat-7": ETM,
    "landsat-8": OLI,
    "landsat-9": OLI,
}
NIR: tuple[str, ...] = ()
ORIGIN: Mapping[float, float] = {30.0: 15.0}

SR_SCALE, SR_OFFSET = 2.75e-5, -0.2
"""Collection 2 surface reflectance = SR_SCALE DN + SR_OFFSET."""

QA_PIXEL = {"fill": 1 << 0, "cloud": 1 << 1 | 1 << 2 | 1 << 3, "shadow": 1 << 4}
"""Bits of Collection 2 QA_PIXEL; cloud includes dilated cloud and cirrus."""


def _unclear(codes: np.ndarray) -> np.ndarray:
    return ((codes & sum(QA_PIXEL.values())) != 0) | (codes == 0)


CLASSES = PixelClasses("QA_PIXEL", QA_PIXEL["fill"], _unclear)

LEVELS = {
    "TOA": ("L1TP", "L1GT", "L1GS", "L1T", "c2l1", "c2-l1", "PAC", "EDC"),
    "SR": ("L2SP", "L2SR", "c2l2", "c2-l2"),
}
"""How items say their level."""


def _saturated_from(sensor: str, level: str) -> int:
    """Surface reflectance is stored in 16 bits whatever the sensor."""
    return INSTRUMENTS[sensor].saturated_from if level == "TOA" else 65535


# -- items ------------------------------------------------------------------------------------------------------


def recognise(item: StacItem) -> str | None:
    """See :class:`Mission`; MSS is refused by name."""
    if "mss" in str(item.first("instruments", "eo:instrument") or "").lower() or re.match(r"LM0[1-5]", item.id):
        raise MetadataError(f"item {item.id}: MSS has no blue and no shortwave infrared band; facies_xr cannot use it.")
    match = re.fullmatch(r"landsat-?0?([45789])", item.platform) or re.match(r"L[CEOT]0?([45789])\d?", item.id)
    return f"landsat-{match[1]}" if match else None


def resolve(item: StacItem, sensor: str, nir: str) -> Scene:
    """See :class:`Mission`."""
    correction = item.first("landsat:correction", "landsat:processing_level")
    level = item.level((correction, item.id, item.collection), LEVELS)
    metadata = _mtl_href(item)

    def factors(asset: Mapping) -> Factors:
        if level == "SR":
            return Factors(SR_SCALE, SR_OFFSET, "SR: Landsat Collection 2 Level-2 rule 2.75e-5 DN - 0.2")
        if metadata is None:
            raise MetadataError(
                f"item {item.id}: Level-1 without an MTL asset; scale and offset differ from scene to scene and band "
                "to band."
            )
        return Factors(None, None, "TOA: REFLECTANCE_MULT/ADD of the MTL, still to be read")

    return item.scene(
        sensor,
        INSTRUMENTS[sensor],
        level,
        datatake=_datatake(sensor, _path(item), item.datetime),
        factors=factors,
        saturated_from=_saturated_from(sensor, level),
        metadata=metadata,
        qa=item.file("qa_pixel", "QA_PIXEL", "QA_PIXEL.TIF"),
    )


def _path(item: StacItem) -> int:
    path = item.properties.get("landsat:wrs_path")
    if path is None and (
        match := re.match(r"L\w\d\d_L\w{3}_(\d{3})\d{3}_", item.id) or re.match(r"L\w\d(\d{3})\d{3}", item.id)
    ):
        path = match[1]
    if path is None:
        raise MetadataError(f"item {item.id}: it has no landsat:wrs_path.")
    return int(path)


def _datatake(sensor: str, path: int, when: pd.Timestamp) -> str:
    return f"{sensor}/{path:03d}/{when:%Y-%m-%d}"


def _mtl_href(item: StacItem) -> str | None:
    for kind in ("json", "xml", "txt"):
        for key in (f"MTL.{kind}", f"mtl.{kind}", "MTL", "mtl"):
            if key in item.assets and (href := item.href(key)).lower().endswith(kind):
                return href
    return None


# -- folders ----------------------------------------------------------------------------------------------------


def products(folder: Path) -> list[Path]:
    """Folders that hold an MTL."""
    marks = ("_MTL.TXT", "_MTL.JSON", "_MTL.XML")
    return sorted({p.parent for p in folder.rglob("*") if p.name.upper().endswith(marks)})


def read(product: str | Path) -> list[Scene]:
    """The scene of a Level-1 folder, or of its MTL file.

    Raises
    ------
    MetadataError
        If there is no MTL, more than one, or a fact is missing in it.
    """
    path = _mtl_file(Path(product))
    groups = mtl.groups(str(path))
    kinds = ("PRODUCT_CONTENTS", "PRODUCT_METADATA", "PROJECTION_ATTRIBUTES", "IMAGE_ATTRIBUTES")
    facts = {key: value for kind in kinds for key, value in groups.get(kind, {}).items()}
    name = facts.get("LANDSAT_PRODUCT_ID") or path.name[: path.name.upper().rindex("_MTL")]

    def fact(key: str):
        if key not in facts:
            raise MetadataError(f"{path}: the MTL has no {key}.")
        return facts[key]

    sensor = f"landsat-{str(fact('SPACECRAFT_ID'))[-1]}"
    if sensor not in INSTRUMENTS or "MSS" in str(fact("SENSOR_ID")).upper():
        raise MetadataError(f"{path}: {fact('SPACECRAFT_ID')} {fact('SENSOR_ID')} is not TM, ETM+ or OLI.")
    level = "SR" if str(facts.get("PROCESSING_LEVEL", facts.get("DATA_TYPE", "L1"))).startswith("L2") else "TOA"
    elevation = sun_elevation(name, float(fact("SUN_ELEVATION")))
    factors = of_mtl(groups, INSTRUMENTS[sensor], level, elevation, name)
    bands = {}
    for band, number in INSTRUMENTS[sensor].numbers.items():
        file = facts.get(f"FILE_NAME_BAND_{number[1:]}")
        if file is None:
            raise MetadataError(f"{path}: the MTL names no file of band {number} ({band}).")
        bands[band] = Band.of(str(path.parent / file), factors[band], _saturated_from(sensor, level))
    when = utc(f"{fact('DATE_ACQUIRED')}T{fact('SCENE_CENTER_TIME')}")
    longitudes, latitudes = (
        [float(fact(f"CORNER_{corner}_{axis}_PRODUCT")) for corner in ("UL", "UR", "LL", "LR")]
        for axis in ("LON", "LAT")
    )
    scene = Scene(
        id=name,
        sensor=sensor,
        level=level,
        bands=bands,
        datetime=when,
        datatake=_datatake(sensor, int(fact("WRS_PATH")), when),
        sun_azimuth=float(fact("SUN_AZIMUTH")) % 360,
        sun_elevation=elevation,
        crs=None,
        cloud_cover=float(facts.get("CLOUD_COVER", math.nan)),
        bbox=(min(longitudes), min(latitudes), max(longitudes), max(latitudes)),
        instrument=INSTRUMENTS[sensor],
        metadata=str(path),
        qa=_beside(path, facts.get("FILE_NAME_QUALITY_L1_PIXEL")),
    )
    return [scene]


def _mtl_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(p for p in path.iterdir() if re.search(r"_MTL\.(txt|json|xml)$", p.name, re.IGNORECASE))
    files = [p for p in files if p.suffix.lower() == files[0].suffix.lower()]
    if len(files) != 1:
        raise MetadataError(f"{path}: expected one *_MTL.txt (or .json, .xml), found {len(files)}.")
    return files[0]


def _beside(path: Path, file: Any) -> str | None:
    """A file in the folder of another, if it is there."""
    return str(path.parent / str(file)) if file and (path.parent / str(file)).is_file() else None


def describe(scene: Scene) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """As the USGS's collections do."""
    keys = {"nir": "nir08", "swir1": "swir16", "swir2": "swir22"}
    assets: dict[str, dict[str, Any]] = {
        keys.get(name, name): {"href": band.href, "roles": ["data"]} for name, band in scene.bands.items()
    }
    assert scene.metadata is not None
    assets[f"MTL{Path(scene.metadata).suffix.lower()}"] = {"href": scene.metadata, "roles": ["metadata"]}
    if scene.qa is not None:
        assets["qa_pixel"] = {"href": scene.qa, "roles": ["cloud"]}
    properties = {
        "landsat:wrs_path": scene.datatake.split("/")[1],
        "landsat:correction": "L1TP" if scene.level == "TOA" else "L2SP",
    }
    return properties, assets


# -- calibration ------------------------------------------------------------------------------------------------


def calibrate(scene: Scene) -> dict[str, Factors]:
    """See :class:`Mission`."""
    assert scene.metadata is not None
    return of_mtl(mtl.groups(scene.metadata), scene.instrument, scene.level, scene.sun_elevation, scene.id)


def of_mtl(groups: mtl.Groups, instrument: Instrument, level: str, elevation: float, name: str) -> dict[str, Factors]:
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
    try:
        m, a = (float(group[f"REFLECTANCE_{kind}_BAND_{number[1:]}"]) for kind in ("MULT", "ADD"))
    except KeyError as error:
        raise MetadataError(f"{name}: its MTL has no {error.args[0]}.") from None
    return Factors(m / divisor, a / divisor, f"{why} REFLECTANCE_MULT/ADD_BAND_{number[1:]}")


def _from_radiance(groups: mtl.Groups, instrument: Instrument, band: str, sine: float, name: str) -> Factors:
    if instrument.solar_irradiance is None:
        raise MetadataError(
            f"{name}: its MTL has no REFLECTANCE_MULT/ADD, without which {instrument.name} is not calibrated."
        )
    number, limits = instrument.numbers[band][1:], groups.get("MIN_MAX_RADIANCE", {})
    codes, product = groups.get("MIN_MAX_PIXEL_VALUE", {}), groups.get("PRODUCT_METADATA", {})
    try:
        high, low = (float(limits[f"RADIANCE_{m}_BAND_{number}"]) for m in ("MAXIMUM", "MINIMUM"))
        top, bottom = (float(codes[f"QUANTIZE_CAL_{m}_BAND_{number}"]) for m in ("MAX", "MIN"))
        date = str(product["DATE_ACQUIRED"])
    except KeyError as error:
        raise MetadataError(f"{name}: its MTL has neither REFLECTANCE_* nor {error.args[0]}.") from None
    distance = float(groups.get("IMAGE_ATTRIBUTES", {}).get("EARTH_SUN_DISTANCE", earth_sun_distance(date)))
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

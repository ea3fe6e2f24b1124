"""Landsat 4, 5, 7, 8 and 9: their items, folders, calibration and pixel classes.

References: Landsat 8-9 Calibration and Validation Algorithm Description; USGS Landsat Collection 2 metadata files.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import access, degrees, facts
from ..errors import MetadataError
from ..stations import BANDS
from . import mtl
from .items import AZIMUTH, StacItem, cloud_cover
from .scene import Band, Factors, Instrument, PixelClasses, Scene, plausible, solar_date, sun_elevation


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


WRS_PATH = facts.Range(1, 233, "1", "the paths of WRS-2")
CORNER = facts.Range(-360, 360, "degree", "the globe")


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

    path, date = _path(item), solar_date(item.datetime, (item.bbox[0] + item.bbox[2]) / 2)
    row = str(item.first("landsat:wrs_row") or _part(item.id, r"_\d{3}(\d{3})_") or item.id)
    category = str(item.properties.get("landsat:collection_category") or _part(item.id, r"_(T1|T2|RT)(?:_|$)") or "")
    return item.scene(
        sensor,
        INSTRUMENTS[sensor],
        level,
        datatake=f"{sensor}/{path:03d}/{date}",
        acquisition=f"{sensor}/{level}/{path:03d}/{row.zfill(3)}/{date}",
        revision=_revision(item.id, category),
        tier=_tier(category, str(correction or item.id)),
        factors=factors,
        saturated_from=_saturated_from(sensor, level),
        metadata=metadata,
        qa=item.file("qa_pixel", "QA_PIXEL", "QA_PIXEL.TIF"),
    )


def _part(name: str, pattern: str) -> str | None:
    match = re.search(pattern, name)
    return match[1] if match else None


def _revision(name: str, category: str) -> tuple:
    """A final product follows a real-time one, a later collection an earlier one, a later processing an earlier one."""
    match = re.search(r"_\d{8}_(\d{8})_(\d\d)_", name)
    processed, collection = match.groups() if match else ("", "")
    return category != "RT", collection, processed


def _tier(category: str, correction: str) -> str:
    """Tier of the geometry: scenes that were not fitted to the ground (L1GT, L1GS) are of tier 2 at best."""
    return category or ("T2" if re.search("L1G[TS]", correction) else "")


def _path(item: StacItem) -> int:
    path = item.properties.get("landsat:wrs_path")
    if path is None:
        path = _part(item.id, r"^L\w\d\d_L\w{3}_(\d{3})\d{3}_") or _part(item.id, r"^L\w\d(\d{3})\d{3}")
    if path is None:
        raise MetadataError(f"item {item.id}: it has no landsat:wrs_path.")
    return int(facts.number(f"item {item.id}", "landsat:wrs_path", path, WRS_PATH))


def _mtl_href(item: StacItem) -> str | None:
    for kind in ("json", "xml", "txt"):
        for key in (f"MTL.{kind}", f"mtl.{kind}", "MTL", "mtl"):
            if key in item.assets and access.suffix(href := item.href(key)) == f".{kind}":
                return href
    return None


# -- folders ----------------------------------------------------------------------------------------------------


_MTL = re.compile(r"(.*)_MTL\.(txt|json|xml)$", re.IGNORECASE)


def products(folder: Path) -> list[Path]:
    """MTL files, one of each product."""
    found: dict[tuple[Path, str], Path] = {}
    for path in sorted(folder.rglob("*"), key=lambda p: (p.suffix.lower() != ".txt", p)):
        if (match := _MTL.fullmatch(path.name)) and not path.name.startswith("._"):
            found.setdefault((path.parent, match[1]), path)
    return sorted(found.values())


def read(product: str | Path) -> list[Scene]:
    """The scene of a product's folder, or of its MTL file.

    Raises
    ------
    MetadataError
        If there is no MTL, more than one product, or a fact is missing in it.
    """
    path = _mtl_file(Path(product))
    groups = mtl.groups(str(path))
    kinds = ("PRODUCT_CONTENTS", "PRODUCT_METADATA", "PROJECTION_ATTRIBUTES", "IMAGE_ATTRIBUTES")
    values = {key: value for kind in kinds for key, value in groups.get(kind, {}).items()}
    name = facts.text(f"{path}", "LANDSAT_PRODUCT_ID", values.get("LANDSAT_PRODUCT_ID") or path.name.rpartition("_")[0])
    where = f"scene {name}"

    def text(key: str) -> str:
        if key not in values:
            raise MetadataError(f"{path}: the MTL has no {key}.")
        return facts.text(where, key, values[key])

    def number(key: str, within: facts.Range | None = None) -> float:
        return facts.number(where, key, text(key), within)

    sensor = f"landsat-{text('SPACECRAFT_ID')[-1]}"
    if sensor not in INSTRUMENTS or "MSS" in text("SENSOR_ID").upper():
        raise MetadataError(f"{path}: {text('SPACECRAFT_ID')} {text('SENSOR_ID')} is not TM, ETM+ or OLI.")
    correction = str(values.get("PROCESSING_LEVEL", values.get("DATA_TYPE", "L1")))
    level = "SR" if correction.startswith("L2") else "TOA"
    elevation = sun_elevation(name, number("SUN_ELEVATION"))
    factors = mtl.factors(groups, INSTRUMENTS[sensor], level, elevation, name)
    bands = {}
    for band, digits in INSTRUMENTS[sensor].numbers.items():
        file = _beside(path, text(f"FILE_NAME_BAND_{digits[1:]}"))
        bands[band] = Band.of(file, plausible(name, factors[band]), _saturated_from(sensor, level))
    when = facts.time(
        where, "DATE_ACQUIRED and SCENE_CENTER_TIME", f"{text('DATE_ACQUIRED')}T{text('SCENE_CENTER_TIME')}"
    )
    west, south, east, north = _box(where, {
        corner: [number(f"CORNER_{corner}_{axis}_PRODUCT", CORNER) for axis in ("LON", "LAT")]
        for corner in ("UL", "UR", "LL", "LR")
    })  # fmt: skip
    orbit, date = number("WRS_PATH", WRS_PATH), solar_date(when, (west + east) / 2)
    category = str(values.get("COLLECTION_CATEGORY") or _part(name, r"_(T1|T2|RT)$") or "")
    quality = values.get("FILE_NAME_QUALITY_L1_PIXEL")
    scene = Scene(
        id=name,
        sensor=sensor,
        level=level,
        bands=bands,
        datetime=when,
        datatake=f"{sensor}/{orbit:03.0f}/{date}",
        acquisition=f"{sensor}/{level}/{orbit:03.0f}/{str(values.get('WRS_ROW')).zfill(3)}/{date}",
        revision=_revision(name, category),
        tier=_tier(category, correction),
        sun_azimuth=number("SUN_AZIMUTH", AZIMUTH) % 360,
        sun_elevation=elevation,
        crs=None,
        cloud_cover=cloud_cover(where, "CLOUD_COVER", values.get("CLOUD_COVER")),
        bbox=(west, south, east, north),
        instrument=INSTRUMENTS[sensor],
        metadata=str(path),
        qa=_beside(path, facts.text(where, "FILE_NAME_QUALITY_L1_PIXEL", quality)) if quality else None,
    )
    return [scene]


def _mtl_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = [p for p in products(path) if p.parent == path]
    if len(files) != 1:
        raise MetadataError(f"{path}: expected one *_MTL.txt (or .json, .xml), found {len(files)}.")
    return files[0]


LONGEST_NAME = 255
"""Of a file, on the disks there are. [byte]"""


def _beside(path: Path, name: str) -> str:
    """A file that a metadata file names, in the same folder; its suffix may be written in other letters there."""
    if Path(name).name != name or "\\" in name or len(name.encode()) > LONGEST_NAME:
        raise MetadataError(f"{path}: it names {name[:80]!r}, which is no file beside it.")
    file = path.parent / name
    if not file.exists():
        file = next(
            (p for p in file.parent.glob(f"{glob.escape(file.stem)}.*") if p.name.lower() == name.lower()), file
        )
    return str(file)


def _box(where: str, corners: Mapping[str, Sequence[float]]) -> tuple[float, float, float, float]:
    ring = {"type": "MultiPoint", "coordinates": list(corners.values())}
    try:
        box = degrees.of_item(None, ring)
    except ValueError as error:
        raise MetadataError(f"{where}: {error}.") from error
    assert box is not None
    return box


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
        "landsat:wrs_row": scene.acquisition.split("/")[3],
        "landsat:correction": "L1TP" if scene.level == "TOA" else "L2SP",
    }
    if scene.tier:
        properties["landsat:collection_category"] = scene.tier
    return properties, assets


# -- calibration ------------------------------------------------------------------------------------------------


def calibrate(scene: Scene) -> dict[str, Factors]:
    """See :class:`Mission`."""
    assert scene.metadata is not None
    return mtl.factors(mtl.groups(scene.metadata), scene.instrument, scene.level, scene.sun_elevation, scene.id)

"""What is known about each sensor: bands, calibration, saturation, albedo.

Everything that depends on a sensor stands in the tables below. :func:`resolve` applies them to a STAC item without
reading any file; :func:`read_mtl` and :func:`read_safe` do the same for a Landsat and a Sentinel-2 folder. Nothing is
guessed: a scene whose calibration is not certain is an error.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from .. import access, degrees
from ..errors import InputError, MetadataError
from ..stations import BANDS
from . import calibration, metadata, sun

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
    qa_keys: tuple[str, ...] = ()
    """Names of the asset of pixel classes."""


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
        ("qa_pixel", "QA_PIXEL", "QA_PIXEL.TIF"),
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
    ("scl", "SCL", "SCL_20m"),
)
MSI_B8A = replace(
    MSI,
    numbers={**MSI.numbers, "nir": "B8A"},
    wavelengths=(0.490, 0.560, 0.665, 0.865, 1.61, 2.19),
    resolutions=(10, 10, 10, 20, 20, 20),
    keys={"nir": ("nir08",), **(MSI.keys or {})},
)
"""Sentinel-2 with the narrow near infrared, whose spectrum is nearer to Landsat 8's."""
NIR = ("B08", "B8A")

SENSORS: dict[str, Sensor] = {
    "landsat-4": TM,
    "landsat-5": TM,
    "landsat-7": ETM,
    "landsat-8": OLI,
    "landsat-9": OLI,
    "sentinel-2": MSI,
}

QA_PIXEL = {"fill": 1 << 0, "cloud": 1 << 1 | 1 << 2 | 1 << 3, "shadow": 1 << 4}
"""Bits of Landsat Collection 2 QA_PIXEL; cloud includes dilated cloud and cirrus."""
SCL = {"fill": (0,), "cloud": (8, 9, 10), "shadow": (3,)}
"""Classes of Sentinel-2's scene classification."""


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
    """West, south, east, north; east lies beyond 180 for a scene across the antimeridian. [degree]"""
    metadata: str | None = None
    """Landsat's MTL or Sentinel-2's product XML."""
    instrument: Sensor = MSI
    qa: str | None = None
    """File of pixel classes (QA_PIXEL of Landsat, SCL of Sentinel-2)."""

    @property
    def qa_fill(self) -> int:
        """Pixel class that means no data."""
        return 0 if self.sensor == "sentinel-2" else 1

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

    def calibrated(self) -> "Scene":
        """The scene with every scale and offset, reading its metadata file if that is needed."""
        if self.is_calibrated:
            return self
        assert self.metadata is not None
        if self.sensor == "sentinel-2":
            product = metadata.safe_product(self.metadata)
            factors = calibration.of_safe(product, self.instrument, self.level, self.id)
        else:
            mtl = metadata.mtl_groups(self.metadata)
            factors = calibration.of_mtl(mtl, self.instrument, self.level, self.sun_elevation, self.id)
        return replace(self, bands={n: replace(b, **vars(factors[n])) for n, b in self.bands.items()})


def instrument(sensor: str, nir: str) -> Sensor:
    """Table of a sensor, with the near infrared of Sentinel-2 that is wanted."""
    if nir not in NIR:
        raise InputError(f"nir={nir!r}: choose one of Sentinel-2's {' and '.join(NIR)}.")
    return MSI_B8A if sensor == "sentinel-2" and nir == "B8A" else SENSORS[sensor]


def resolve(item: Any, nir: str = "B08") -> Scene:
    """What a STAC item says about its scene, without reading any file.

    Parameters
    ----------
    item : pystac.Item or dict
    nir : {"B08", "B8A"}
        Near infrared of Sentinel-2.

    Returns
    -------
    Scene
        With ``scale`` and ``offset`` None where a metadata file must still be read (:meth:`Scene.calibrated`).

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
    table = instrument(sensor, nir)
    keys = {band: _key(name, band, table, assets) for band in BANDS}
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
        metadata=_mtl_href(assets) if sensor.startswith("landsat") else _product_xml(assets),
        instrument=table,
        qa=next((_href(assets[key]) for key in table.qa_keys if key in assets), None),
    )
    bands = {}
    for band, key in keys.items():
        if sensor == "sentinel-2":
            factors = calibration.of_sentinel_item(level, properties, assets[key], scene.metadata, name)
        else:
            factors = calibration.of_landsat_item(level, scene.metadata, name)
        bands[band] = Band(_href(assets[key]), **vars(factors), saturated_from=_saturated_from(sensor, level))
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
    factors = calibration.of_mtl(mtl, SENSORS[sensor], level, elevation, name)
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
        metadata=str(path),
        instrument=SENSORS[sensor],
        qa=_beside(path, product.get("FILE_NAME_QUALITY_L1_PIXEL")),
    )


def _beside(path: Path, file: Any) -> str | None:
    """A file in the folder of another, if it is there."""
    return str(path.parent / str(file)) if file and (path.parent / str(file)).is_file() else None


def read_safe(path: str | Path, nir: str = "B08") -> list[Scene]:
    """The scenes of a Sentinel-2 SAFE folder, one for each granule.

    Raises
    ------
    MetadataError
        If the folder is not a Sentinel-2 product, or a fact or a band's file is missing.
    """
    folder = Path(path)
    found = sorted(folder.glob("MTD_MSIL*.xml"))
    if len(found) != 1:
        raise MetadataError(f"{folder}: expected one MTD_MSIL1C.xml or MTD_MSIL2A.xml, found {len(found)}.")
    product = metadata.safe_product(str(found[0]))
    level = {"Level-1C": "TOA", "Level-2A": "SR"}[product["level"]]
    table = instrument("sentinel-2", nir)
    return [
        _granule(folder, tile, product, level, table, found[0]) for tile in sorted(folder.glob("GRANULE/*/MTD_TL.xml"))
    ]


def _granule(folder: Path, tile: Path, product: Mapping, level: str, table: Sensor, xml: Path) -> Scene:
    facts = metadata.safe_granule(str(tile))
    name = f"{product['name'].removesuffix('.SAFE')}/{tile.parent.name}"
    factors = calibration.of_safe(product, table, level, name)
    bands = {}
    for band, number in table.numbers.items():
        images = [f for f in product["files"] if f.startswith(f"GRANULE/{tile.parent.name}/")]
        size = table.resolutions[BANDS.index(band)]
        names = [f for f in images if re.search(rf"_{number}(_{size}m)?$", f)]
        files = [q for n in names for q in sorted(folder.glob(f"{n}.*")) if q.suffix.lower() in (".jp2", ".tif")]
        if len(files) != 1:
            raise MetadataError(f"{xml}: expected one image of {number} ({band}) in {tile.parent}, found {len(files)}.")
        bands[band] = Band(str(files[0]), **vars(factors[band]), saturated_from=_saturated_from("sentinel-2", level))
    return Scene(
        id=name,
        sensor="sentinel-2",
        level=level,
        bands=bands,
        datetime=_utc(facts["time"]),
        datatake=product["datatake"],
        sun_azimuth=facts["sun_azimuth"] % 360,
        sun_elevation=_elevation(name, 90 - facts["sun_zenith"]),
        crs=facts["crs"],
        cloud_cover=_number(product["cloud_cover"]),
        bbox=facts["bbox"],
        metadata=str(xml),
        instrument=table,
        qa=next((str(q) for q in sorted(tile.parent.glob("IMG_DATA/R20m/*_SCL_20m.*"))), None),
    )


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
        keys = ("s2:product_type", "product:type", "s2:product_uri", "processing:level")
        texts = [*(properties.get(key) for key in keys), item.get("collection"), name]
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


def _key(name: str, band: str, sensor: Sensor, assets: Mapping) -> str:
    """Name of the asset of a band."""
    number, size = sensor.numbers[band], sensor.resolutions[BANDS.index(band)]
    named = () if number == "B8A" else (band,)  # an asset "nir" of Sentinel-2 is B08
    keys = [*named, *(sensor.keys or {}).get(band, ()), number, f"{number}_{size}m", f"SR_{number}", f"{number}.TIF",
            f"SR_{number}.TIF"]  # fmt: skip
    for key in keys:
        if key in assets and assets[key].get("href"):
            kind = str(assets[key].get("type") or "image/tiff")
            if not kind.startswith("image/"):
                raise MetadataError(f"item {name}: its asset {key} for {band} is {kind}, not an image.")
            return key
    raise MetadataError(
        f"item {name}: it has no asset for {band} (looked for {', '.join(keys)}; it has {', '.join(assets)})."
    )


def _href(asset: Mapping) -> str:
    """File of an asset: the first that can be read without signing in at a website."""
    main = str(asset["href"])
    others = [str(other["href"]) for other in (asset.get("alternate") or {}).values() if other.get("href")]
    return next((href for href in (main, *others) if not access.needs_sign_in(href)), main)


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
        if take := properties.get("s2:datatake_id") or properties.get("eopf:datatake_id"):
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
            if key in assets and (href := _href(assets[key])).lower().endswith(kind):
                return href
    return None


def _product_xml(assets: Mapping) -> str | None:
    for key in ("product_metadata", "product-metadata"):
        if key in assets:
            return _href(assets[key])
    return None


def _utc(text: Any) -> pd.Timestamp:
    when = pd.Timestamp(str(text))
    return (when.tz_convert(None) if when.tzinfo else when).floor("us")


def _number(value: Any) -> float:
    """A number, NaN for None."""
    return math.nan if value is None else float(value)


def _bbox(name: str, item: Mapping) -> tuple[float, float, float, float]:
    """West, south, east, north of an item's box, or of its geometry."""
    found = degrees.of_item(item.get("bbox"), item.get("geometry"))
    if found is None:
        raise MetadataError(f"item {name}: it has neither bbox nor geometry.")
    return found

"""Sentinel-2: its items, SAFE folders, calibration and pixel classes.

Reference: Sentinel-2 Products Specification Document (RADIO_ADD_OFFSET, processing baseline 04.00).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import facts
from ..errors import MetadataError
from ..stations import BANDS
from . import safe
from .items import StacItem
from .scene import Band, Factors, Instrument, PixelClasses, Scene, plausible, solar_date, sun_elevation

MSI = Instrument(
    "MSI",
    dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11", "B12"), strict=True)),
    (0.490, 0.560, 0.665, 0.842, 1.61, 2.19),
    (10, 10, 10, 10, 20, 20),
    65535,
    None,
    {"swir1": ("swir16",), "swir2": ("swir22",)},
)
MSI_B8A = replace(
    MSI,
    numbers={**MSI.numbers, "nir": "B8A"},
    wavelengths=(0.490, 0.560, 0.665, 0.865, 1.61, 2.19),
    resolutions=(10, 10, 10, 20, 20, 20),
    keys={"nir": ("nir08",), **(MSI.keys or {})},
)
"""With the narrow near infrared, whose spectrum is nearer to Landsat 8's."""

INSTRUMENTS: Mapping[str, Instrument] = {"sentinel-2": MSI}
NIR: tuple[str, ...] = ("B08", "B8A")
ORIGIN: Mapping[float, float] = {}

QUANTIFICATION = 10000.0
OFFSET = -1000.0
"""RADIO_ADD_OFFSET (L1C) and BOA_ADD_OFFSET (L2A) from processing baseline 04.00 on. [DN]"""

SCL = {"fill": (0,), "cloud": (8, 9, 10), "shadow": (3,)}
"""Classes of the scene classification."""


def _unclear(codes: np.ndarray) -> np.ndarray:
    return np.isin(codes, [code for codes_of in SCL.values() for code in codes_of])


CLASSES = PixelClasses("SCL", 0, _unclear)

LEVELS = {"TOA": ("MSIL1C", "S2MSI1C", "l1c", "L1C"), "SR": ("MSIL2A", "S2MSI2A", "l2a", "L2A")}
"""How items say their level."""


# -- items ------------------------------------------------------------------------------------------------------


def recognise(item: StacItem) -> str | None:
    """See :class:`Mission`."""
    return "sentinel-2" if item.platform.startswith("sentinel-2") or re.match(r"S2[ABCD]_", item.id) else None


def resolve(item: StacItem, sensor: str, nir: str) -> Scene:
    """See :class:`Mission`."""
    keys = ("s2:product_type", "product:type", "s2:product_uri", "processing:level")
    level = item.level((*(item.properties.get(key) for key in keys), item.collection, item.id), LEVELS)
    metadata, datatake = item.file("product_metadata", "product-metadata"), _datatake(item)
    return item.scene(
        sensor,
        MSI_B8A if nir == "B8A" else MSI,
        level,
        datatake=datatake,
        acquisition=f"{datatake}/{level}/{_tile(item) or item.id}",
        revision=(_baseline(item) or "",),
        factors=lambda asset: _of_item(level, item, asset, metadata),
        saturated_from=MSI.saturated_from,
        metadata=metadata,
        qa=item.file("scl", "SCL", "SCL_20m"),
        unnamed=("nir",) if nir == "B8A" else (),  # an asset "nir" is B08
    )


def _datatake(item: StacItem) -> str:
    if take := item.first("s2:datatake_id", "eopf:datatake_id"):
        return _pass(str(take))
    text = str(item.first("s2:product_uri", "sentinel:product_id") or item.id)
    if match := re.search(r"(S2[A-D])_MSIL\d[AC]_(\d{8}T\d{6})_N\d{4}_R(\d{3})", text):
        return "/".join(match.groups())
    return f"{item.platform}/{solar_date(item.datetime, (item.bbox[0] + item.bbox[2]) / 2)}"


def _pass(datatake: str) -> str:
    """Identifier of a datatake without the processing baseline that it ends with."""
    return re.sub(r"_N\d\d\.\d\d$", "", datatake)


def _tile(item: StacItem) -> str | None:
    """Tile of the military grid, such as 32TPS."""
    texts = (item.first("s2:mgrs_tile", "grid:code"), item.first("s2:product_uri"), item.id)
    return next(filter(None, (_tile_in(str(text)) for text in texts)), None)


def _tile_in(text: str) -> str | None:
    match = re.search(r"(?:^|[_-])T?(\d{2}[C-X][A-Z]{2})(?:_|$)", text)
    return match[1] if match else None


# -- SAFE folders -----------------------------------------------------------------------------------------------


_PRODUCT = re.compile(r"MTD_MSIL\w*\.xml|S2\w_OPER_MTD_SAFL1C_\w*\.xml")


def products(folder: Path) -> list[Path]:
    """Folders that hold a product's XML."""
    return sorted({p.parent for p in folder.rglob("*MTD_*.xml") if _PRODUCT.fullmatch(p.name)})


def read(product: str | Path, nir: str = "B08") -> list[Scene]:
    """The scenes of a SAFE folder, one for each granule.

    Raises
    ------
    MetadataError
        If the folder is not a Sentinel-2 product, or a fact or a band's file is missing.
    """
    folder = Path(product)
    files = sorted(folder.glob("MTD_MSIL*.xml"))
    if not files and any(folder.glob("*_OPER_MTD_SAFL1C_*.xml")):
        raise MetadataError(
            f"{folder} is a product in the format of before December 2016; fetch the reprocessed one (N0500)."
        )
    if len(files) != 1:
        raise MetadataError(f"{folder}: expected one MTD_MSIL1C.xml or MTD_MSIL2A.xml, found {len(files)}.")
    described = safe.product(str(files[0]))
    instrument = MSI_B8A if nir == "B8A" else MSI
    tiles = sorted(folder.glob("GRANULE/*/MTD_TL.xml"))
    if not tiles:
        raise MetadataError(f"{folder} holds no granule (GRANULE/*/MTD_TL.xml); unpack the whole product.")
    return [_granule(folder, tile, described, instrument, files[0]) for tile in tiles]


def _granule(folder: Path, tile: Path, product: Mapping, instrument: Instrument, xml: Path) -> Scene:
    granule = safe.granule(str(tile))
    level = {"Level-1C": "TOA", "Level-2A": "SR"}[product["level"]]
    name = f"{product['name'].removesuffix('.SAFE')}/{tile.parent.name}"
    factors = of_product(product, instrument, level, name)
    images = [f for f in product["files"] if f.startswith(f"GRANULE/{tile.parent.name}/") and ".." not in f]
    bands = {}
    for (band, number), size in zip(instrument.numbers.items(), instrument.resolutions, strict=True):
        names = [f for f in images if re.search(rf"_{number}(_{size}m)?$", f)]
        files = [q for n in names for q in sorted(folder.glob(f"{n}.*")) if q.suffix.lower() in (".jp2", ".tif")]
        if len(files) != 1:
            raise MetadataError(f"{xml}: expected one image of {number} ({band}) in {tile.parent}, found {len(files)}.")
        bands[band] = Band.of(str(files[0]), plausible(name, factors[band]), instrument.saturated_from)
    return Scene(
        id=name,
        sensor="sentinel-2",
        level=level,
        bands=bands,
        datetime=granule["time"],
        datatake=_pass(product["datatake"]),
        acquisition=f"{_pass(product['datatake'])}/{level}/{_tile_in(tile.parent.name) or name}",
        revision=(product["baseline"],),
        tier="",
        sun_azimuth=granule["sun_azimuth"] % 360,
        sun_elevation=sun_elevation(name, 90 - granule["sun_zenith"]),
        crs=granule["crs"],
        cloud_cover=math.nan if product["cloud_cover"] is None else product["cloud_cover"],
        bbox=granule["bbox"],
        instrument=instrument,
        metadata=str(xml),
        qa=next((str(q) for q in sorted(tile.parent.glob("IMG_DATA/R20m/*_SCL_20m.*"))), None),
    )


def describe(scene: Scene) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """As Earth Search's collections do."""
    keys = {"swir1": "swir16", "swir2": "swir22"}
    assets: dict[str, dict[str, Any]] = {
        keys.get(name, name): {
            "href": band.href,
            "roles": ["data"],
            "raster:bands": [{"nodata": band.nodata, "scale": band.scale, "offset": band.offset}],
        }
        for name, band in scene.bands.items()
    }
    assets["product_metadata"] = {"href": scene.metadata, "roles": ["metadata"]}
    if scene.qa is not None:
        assets["scl"] = {"href": scene.qa, "roles": ["cloud"]}
    properties = {
        "s2:datatake_id": scene.datatake,
        "s2:product_type": "S2MSI1C" if scene.level == "TOA" else "S2MSI2A",
    }
    return properties, assets


# -- calibration ------------------------------------------------------------------------------------------------


def calibrate(scene: Scene) -> dict[str, Factors]:
    """See :class:`Mission`."""
    assert scene.metadata is not None
    return of_product(safe.product(scene.metadata), scene.instrument, scene.level, scene.id)


def _of_item(level: str, item: StacItem, asset: Mapping, metadata: str | None) -> Factors:
    """Factors of one band: by the item's own statement, else by the processing baseline, else by the product's XML."""
    kind = _kind(level)
    for applied in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        if item.properties.get(applied):
            return Factors(1 / QUANTIFICATION, 0.0, f"{kind}: {applied}, the DN have their offset")
    if given := _raster_band(asset):
        scale, offset = (facts.number(item.where, key, given.get(key) or 0.0) for key in ("scale", "offset"))
        return Factors(scale, offset, f"{kind}: scale and offset of the asset")
    if baseline := _baseline(item):
        offset = OFFSET if float(baseline) >= 4 else 0.0
        return Factors(1 / QUANTIFICATION, offset / QUANTIFICATION, f"{kind}: processing baseline {baseline}")
    if metadata is None:
        raise MetadataError(
            f"item {item.id}: neither scale and offset, nor s2:processing_baseline, nor product metadata; "
            "its offset is unknown."
        )
    return Factors(None, None, f"{kind}: quantification and offset of the product's XML, still to be read")


def of_product(product: Mapping, instrument: Instrument, level: str, name: str) -> dict[str, Factors]:
    """Factors of each band from a product's XML (:func:`safe.product`)."""
    offsets, baseline, quantification = (product[k] for k in ("offsets", "baseline", "quantification"))
    if not offsets and float(baseline) >= 4:
        raise MetadataError(f"{name}: processing baseline {baseline}, but its XML lists no offsets.")
    factors = {}
    for band, number in instrument.numbers.items():
        if offsets and number not in offsets:
            raise MetadataError(f"{name}: its XML has no offset of {number}.")
        offset = offsets.get(number, 0.0)
        why = f"{_kind(level)}: XML of baseline {baseline}, offset {offset:g}"
        factors[band] = Factors(1 / quantification, offset / quantification, why)
    return factors


def _kind(level: str) -> str:
    return "L1C" if level == "TOA" else "L2A"


def _raster_band(asset: Mapping) -> Mapping:
    """Scale and offset of an asset: ``raster:bands`` (STAC 1.0), ``bands`` or the asset itself (STAC 1.1)."""
    for key in ("raster:bands", "bands"):
        if isinstance(entries := asset.get(key), list) and entries and isinstance(entries[0], Mapping):
            entry = entries[0]
            factors = {k: entry.get(k, entry.get(f"raster:{k}")) for k in ("scale", "offset")}
            if factors["scale"] is not None:
                return factors
    if asset.get("raster:scale") is not None:
        return {"scale": asset["raster:scale"], "offset": asset.get("raster:offset")}
    return {}


def _baseline(item: StacItem) -> str | None:
    """Processing baseline from a property, or from a product's name: 02.14 in ..._N0214_..."""
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        if re.fullmatch(r"\d\d\.\d\d", str(item.properties.get(key))):
            return item.properties[key]
    for text in (item.properties.get("s2:product_uri"), item.properties.get("sentinel:product_id"), item.id):
        if match := re.search(r"_N(\d\d)(\d\d)(?:_|$)", str(text)):
            return f"{match[1]}.{match[2]}"
    return None

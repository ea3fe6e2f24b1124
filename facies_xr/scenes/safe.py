"""Sentinel-2's metadata files: the XML of a product and of its granules."""

from typing import Any
from xml.etree import ElementTree

from pyproj import Transformer
from pyproj.exceptions import ProjError

from .. import access, degrees, facts
from ..errors import MetadataError
from .items import AZIMUTH, CLOUD_COVER, ZENITH

_BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

QUANTIFICATION = facts.Range(1e3, 1e5, "1", "10 000 in every product")
OFFSET = facts.Range(-5000, 5000, "DN", "-1000 in every product since baseline 04.00")
BASELINE = facts.Range(0, 99.99, "1", "two digits on either side of the point")
COORDINATE = facts.Range(-2e7, 2e7, "m", "UTM")
SIZE = facts.Range(1, 20_000, "px", "10 980 in every tile")


def product(href: str) -> dict[str, Any]:
    """Facts of a Sentinel-2 product (MTD_MSIL1C.xml, MTD_MSIL2A.xml).

    Returns
    -------
    dict
        ``name``, ``level`` ("Level-1C" or "Level-2A"), ``baseline``, ``datatake``, ``quantification``, ``offsets``
        by band number [DN] (empty before baseline 04.00), ``files`` without suffix, ``cloud_cover`` [%] or None.
    """
    root, where = _xml(href), access.shown(href)
    offsets = {}
    for kind in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"):
        for entry in root.iter(kind):
            if (band := entry.get("band_id", "")) not in map(str, range(len(_BAND_IDS))):
                raise MetadataError(f"{where}: band_id of {kind} is {band!r}, not 0 to {len(_BAND_IDS) - 1}.")
            offsets[_BAND_IDS[int(band)]] = facts.number(where, kind, entry.text, OFFSET)
    take = root.find(".//Datatake")
    level = _required(root, "PROCESSING_LEVEL", where)
    if level not in ("Level-1C", "Level-2A"):
        raise MetadataError(f"{where}: processing level {level!r} is neither Level-1C nor Level-2A.")
    baseline = _required(root, "PROCESSING_BASELINE", where)
    facts.number(where, "PROCESSING_BASELINE", baseline, BASELINE)
    cloud = root.findtext(".//Cloud_Coverage_Assessment")
    return {
        "name": _required(root, "PRODUCT_URI", where),
        "level": level,
        "baseline": baseline,
        "datatake": facts.text(where, "datatakeIdentifier", None if take is None else take.get("datatakeIdentifier")),
        "quantification": _number(
            root, "QUANTIFICATION_VALUE" if level == "Level-1C" else "BOA_QUANTIFICATION_VALUE", where, QUANTIFICATION
        ),
        "offsets": offsets,
        "files": [(entry.text or "").strip() for entry in root.iter("IMAGE_FILE")],
        "cloud_cover": facts.number(where, "Cloud_Coverage_Assessment", cloud, CLOUD_COVER) if cloud else None,
    }


def granule(href: str) -> dict[str, Any]:
    """Facts of a Sentinel-2 granule (MTD_TL.xml): time, mean sun angles [degree], CRS and extent."""
    root, where = _xml(href), access.shown(href)
    sun = root.find(".//Mean_Sun_Angle")
    if sun is None:
        raise MetadataError(f"{where} has no Mean_Sun_Angle.")
    crs = facts.crs(where, "HORIZONTAL_CS_CODE", _required(root, "HORIZONTAL_CS_CODE", where))
    corner = next((g for g in root.iter("Geoposition") if g.get("resolution") == "10"), None)
    size = next((g for g in root.iter("Size") if g.get("resolution") == "10"), None)
    if corner is None or size is None:
        raise MetadataError(f"{where} has no Geoposition and Size of 10 m.")
    left, top = (_number(corner, key, where, COORDINATE) for key in ("ULX", "ULY"))
    width, height = (10 * _number(size, key, where, SIZE) for key in ("NCOLS", "NROWS"))
    try:
        bounds = Transformer.from_crs(crs, 4326, always_xy=True).transform_bounds(left, top - height, left + width, top)
        bbox = degrees.of_item(bounds, None)
    except (ValueError, ProjError) as error:
        raise MetadataError(f"{where}: its corner and size are nowhere in {crs} ({error}).") from error
    return {
        "time": facts.time(where, "SENSING_TIME", _required(root, "SENSING_TIME", where)),
        "sun_azimuth": _number(sun, "AZIMUTH_ANGLE", where, AZIMUTH),
        "sun_zenith": _number(sun, "ZENITH_ANGLE", where, ZENITH),
        "crs": crs,
        "bbox": bbox,
    }


def _xml(href: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(access.read_text(href))
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"{access.shown(href)} cannot be read: {access.reason(error)}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # unknown encodings too
        raise MetadataError(f"{access.shown(href)} is broken: {access.reason(error)}") from error


def _required(root: ElementTree.Element, tag: str, where: str) -> str:
    return facts.text(where, tag, (root.findtext(f".//{tag}") or "").strip() or None)


def _number(root: ElementTree.Element, tag: str, where: str, within: facts.Range) -> float:
    return facts.number(where, tag, _required(root, tag, where), within)

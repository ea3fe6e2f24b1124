"""Sentinel-2's metadata files: the XML of a product and of its granules."""

from typing import Any
from xml.etree import ElementTree

from pyproj import Transformer

from .. import access, degrees
from ..errors import MetadataError

_BAND_IDS = dict(enumerate(["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]))


def product(href: str) -> dict[str, Any]:
    """Facts of a Sentinel-2 product (MTD_MSIL1C.xml, MTD_MSIL2A.xml).

    Returns
    -------
    dict
        ``name``, ``level`` ("Level-1C" or "Level-2A"), ``baseline``, ``datatake``, ``quantification``, ``offsets``
        by band number [DN] (empty before baseline 04.00), ``files`` without suffix, ``cloud_cover`` [%] or None.
    """
    root = _xml(href)
    offsets = {}
    for kind in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"):
        for entry in root.iter(kind):
            offsets[_BAND_IDS[int(entry.attrib["band_id"])]] = float(entry.text or "nan")
    take = root.find(".//Datatake")
    level = _required(root, "PROCESSING_LEVEL", href)
    if level not in ("Level-1C", "Level-2A"):
        raise MetadataError(f"{href}: processing level {level!r} is neither Level-1C nor Level-2A.")
    quantification = "QUANTIFICATION_VALUE" if level == "Level-1C" else "BOA_QUANTIFICATION_VALUE"
    cloud = root.find(".//Cloud_Coverage_Assessment")
    return {
        "name": _required(root, "PRODUCT_URI", href),
        "level": level,
        "baseline": _required(root, "PROCESSING_BASELINE", href),
        "datatake": take.attrib["datatakeIdentifier"] if take is not None else _required(root, "Datatake", href),
        "quantification": float(_required(root, quantification, href)),
        "offsets": offsets,
        "files": [(entry.text or "").strip() for entry in root.iter("IMAGE_FILE")],
        "cloud_cover": float(cloud.text) if cloud is not None and cloud.text else None,
    }


def granule(href: str) -> dict[str, Any]:
    """Facts of a Sentinel-2 granule (MTD_TL.xml): time, mean sun angles [degree], CRS and extent."""
    root = _xml(href)
    sun = root.find(".//Mean_Sun_Angle")
    if sun is None:
        raise MetadataError(f"{href} has no Mean_Sun_Angle.")
    crs = _required(root, "HORIZONTAL_CS_CODE", href)
    corner = next((g for g in root.iter("Geoposition") if g.attrib.get("resolution") == "10"), None)
    size = next((g for g in root.iter("Size") if g.attrib.get("resolution") == "10"), None)
    if corner is None or size is None:
        raise MetadataError(f"{href} has no Geoposition and Size of 10 m.")
    left, top = (float(_required(corner, key, href)) for key in ("ULX", "ULY"))
    width, height = (10 * float(_required(size, key, href)) for key in ("NCOLS", "NROWS"))
    bbox = Transformer.from_crs(crs, 4326, always_xy=True).transform_bounds(left, top - height, left + width, top)
    return {
        "time": _required(root, "SENSING_TIME", href),
        "sun_azimuth": float(_required(sun, "AZIMUTH_ANGLE", href)),
        "sun_zenith": float(_required(sun, "ZENITH_ANGLE", href)),
        "crs": crs,
        "bbox": degrees.of_item(bbox, None),
    }


def _xml(href: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(access.read_text(href))
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"{access.shown(href)} cannot be read: {access.reason(error)}") from error
    except ElementTree.ParseError as error:
        raise MetadataError(f"{access.shown(href)} is broken: {error}") from error


def _required(root: ElementTree.Element, tag: str, href: str) -> str:
    found = root.find(f".//{tag}")
    if found is None or not (found.text or "").strip():
        raise MetadataError(f"{access.shown(href)} has no {tag}.")
    return str(found.text).strip()

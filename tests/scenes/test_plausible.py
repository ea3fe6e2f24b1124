"""Facts that cannot be: placeholders, slips of a power of ten, texts; each is refused with its name and its range."""

import copy
import json
import math

import pytest

from facies_xr import facts
from facies_xr.errors import MetadataError
from facies_xr.scenes import landsat, missions, safe
from facies_xr.synthetic import safe as written


@pytest.fixture
def item(region):
    items = json.loads(region.catalog.read_text())["features"]
    return copy.deepcopy(next(i for i in items if i["properties"]["platform"] == "sentinel-2a"))


def put(item, where, value):
    *path, last = where
    for key in path:
        item = item[key]
    item[last] = value


BAND = ("assets", "red", "raster:bands")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (BAND, [{"scale": 1, "offset": 0}], r"the scale .* is 1, .* 1e-07 to 0\.1 \(reflectance per DN"),
        (BAND, [{"scale": 1e-4, "offset": -999.5}], r"the offset .* is -999\.5, .* -1 to 1"),
        (BAND, [{"scale": -1e-4, "offset": 0}], "the scale"),
        (BAND, [{"scale": 1e-300, "offset": 0}], "the scale"),
        (BAND, [{"scale": 1000, "offset": 0}], "the scale"),
        (BAND, [{"scale": "a", "offset": 0}], "scale is 'a', which is no number"),
        (BAND, [{"scale": math.nan, "offset": 0}], "scale is nan"),
        (("properties", "datetime"), "0001-01-01T00:00:00Z", "1972 to"),
        (("properties", "datetime"), "9999-01-01T00:00:00Z", "datetime is '9999"),
        (("properties", "datetime"), [2020], "datetime is"),
        (("properties", "eo:cloud_cover"), 1e20, r"eo:cloud_cover is 1e\+20, .* 0 to 100 % \(a share\)"),
        (("properties", "eo:cloud_cover"), -3, "eo:cloud_cover is -3"),
        (("properties", "eo:cloud_cover"), "N/A", "eo:cloud_cover is 'N/A', which is no number"),
        (("properties", "proj:code"), "EPSG:-1", "proj:code is 'EPSG:-1', which is no coordinate reference system"),
        (("properties", "view:sun_azimuth"), 1e9, r"view:sun_azimuth is 1e\+09"),
        (("properties", "view:sun_elevation"), {"a": 1}, "view:sun_elevation is"),
        (("geometry",), {"type": "Point", "coordinates": [200, 95]}, "not on the globe"),
        (("geometry",), {"type": "Polygon"}, "its geometry is none"),
        (("geometry",), 7, "its geometry is none"),
        (("assets",), ["red"], "assets is"),
        (("assets", "red"), "red.tif", "asset red is"),
        (("properties",), [1], "properties is"),
        (("id",), "", "item: id is ''"),
        (("id",), "two words", "blanks"),
        (("id",), "a\x1b[2J", "control characters"),
    ],
)
def test_an_item_is_refused_by_the_fact(item, where, value, message):
    put(item, where, value)
    with pytest.raises(MetadataError, match=message) as error:
        missions.resolve(item)
    assert "\x1b" not in str(error.value)


def test_a_box_off_the_globe_is_refused(item):
    for bbox in ([10, 46, 11, 97], [10, 47, 11, 46], [-1e9, 46, 11, 47], [10], "abcd", [[10, 46, 11, 47]]):
        item.update(geometry=None, bbox=bbox)
        with pytest.raises(MetadataError, match="box"):
            missions.resolve(item)


def test_longitudes_beyond_180_are_the_same_place(item):
    item.update(geometry=None, bbox=[190, 50, 191, 51])
    assert missions.resolve(item).bbox == (-170, 50, -169, 51)


def test_an_unknown_cloud_cover_is_never_the_clearest(item):
    for unknown in (-1, -1.0, "-1", None):
        item["properties"]["eo:cloud_cover"] = unknown
        assert math.isnan(missions.resolve(item).cloud_cover)
    item["properties"]["eo:cloud_cover"] = "12.5"
    assert missions.resolve(item).cloud_cover == 12.5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("REFLECTANCE_MULT_BAND_3", "2.0E+05", "the scale"),
        ("REFLECTANCE_MULT_BAND_3", "-2.0E-05", "the scale"),
        ("REFLECTANCE_MULT_BAND_3", "", "REFLECTANCE_MULT_BAND_3 is ''"),
        ("REFLECTANCE_ADD_BAND_3", "-999.5", "the offset"),
        ("SUN_ELEVATION", "1e-300", "sun stands at 0.0"),
        ("SUN_AZIMUTH", "12,5", "SUN_AZIMUTH is '12,5', which is no number"),
        ("DATE_ACQUIRED", "9999-99-99", "DATE_ACQUIRED"),
        ("CORNER_UL_LAT_PRODUCT", "900", "CORNER_UL_LAT_PRODUCT is 900"),
        ("WRS_PATH", "0", "WRS_PATH is 0, .* 1 to 233"),
    ],
)
def test_an_mtl_is_refused_by_the_fact(region, tmp_path, key, value, message):
    source = next((region.folder / "scenes").glob("L*/*_MTL.txt"))
    lines = [f"{line.split('=')[0]}= {value}" if line.split("=")[0].strip() == key else line
             for line in source.read_text().splitlines()]  # fmt: skip
    path = tmp_path / "X_MTL.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(MetadataError, match=message):
        landsat.read(path)


PRODUCT = {
    **dict(name="S2A.SAFE", time="2020-07-17T10:10:31Z", granule="G", baseline="04.00", datatake="D"),
    **dict(cloud="12.5", images="", offsets='<RADIO_ADD_OFFSET band_id="3">-1000</RADIO_ADD_OFFSET>'),
}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (">10000<", ">1e9<", r"QUANTIFICATION_VALUE is 1e\+09, .* 1000 to 100000 \(10 000 in every product\)"),
        (">10000<", "><", "QUANTIFICATION_VALUE is None"),
        (">-1000<", ">-1e9<", "RADIO_ADD_OFFSET"),
        (">-1000<", "><", "RADIO_ADD_OFFSET is None"),
        ('"3"', '"77"', "band_id of RADIO_ADD_OFFSET is '77'"),
        (">12.5<", ">999<", "Cloud_Coverage_Assessment is 999"),
        (">04.00<", ">four<", "PROCESSING_BASELINE"),
    ],
)
def test_a_product_is_refused_by_the_fact(tmp_path, old, new, message):
    path = tmp_path / "MTD_MSIL1C.xml"
    path.write_text(written.PRODUCT.format(**PRODUCT))
    assert safe.product(str(path))["offsets"] == {"B04": -1000}
    path.write_text(written.PRODUCT.format(**PRODUCT).replace(old, new))
    with pytest.raises(MetadataError, match=message):
        safe.product(str(path))


def test_what_an_error_shows_is_short():
    with pytest.raises(MetadataError) as error:
        facts.number("item x", "y", "7a" * 10_000)
    assert len(str(error.value)) < 400

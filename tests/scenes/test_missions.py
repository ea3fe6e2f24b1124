"""Calibration: against the metadata files themselves, and refusals where a fact is missing."""

import copy
import json
import math
import re

import pytest
import shapely

from facies_xr.errors import MetadataError
from facies_xr.scenes import landsat, missions, mtl, sun
from facies_xr.stations import BANDS


def flat_mtl(path):
    """Keys of an MTL text, read independently of the package; later groups win."""
    return {k: v.strip('"') for k, v in re.findall(r"^\s*(\w+) = (.+?)\s*$", path.read_text(), re.MULTILINE)}


@pytest.mark.parametrize(("folder", "numbers"), [("lt5", "123457"), ("lc8", "234567")])
def test_factors_are_those_of_the_mtl(shared, folder, numbers):
    home = shared / "landsat_l1_montana_mission" / folder
    mtl = flat_mtl(next(home.glob("*_MTL.txt")))
    sine = math.sin(math.radians(float(mtl["SUN_ELEVATION"])))
    (scene,) = landsat.read(home)
    for band, n in zip(BANDS, numbers, strict=True):
        assert scene.bands[band].scale == pytest.approx(float(mtl[f"REFLECTANCE_MULT_BAND_{n}"]) / sine)
        assert scene.bands[band].offset == pytest.approx(float(mtl[f"REFLECTANCE_ADD_BAND_{n}"]) / sine)
        assert scene.bands[band].href.endswith(f"_B{n}.TIF")
    assert scene.sun_azimuth == pytest.approx(float(mtl["SUN_AZIMUTH"]))


def test_old_files_are_calibrated_by_radiance_and_say_so(shared):
    home = shared / "landsat_l1_montana_mission" / "le7"
    mtl = flat_mtl(next(home.glob("*_MTL.txt")))
    sine = math.sin(math.radians(float(mtl["SUN_ELEVATION"])))
    (scene,) = landsat.read(home)
    distance = 1.0087  # 5 May, from an almanac
    irradiance = dict(zip(BANDS, (2036, 1856, 1525, 1071, 221.6, 81.4), strict=True))
    for band, n in zip(BANDS, "123457", strict=True):
        low, high = float(mtl[f"RADIANCE_MINIMUM_BAND_{n}"]), float(mtl[f"RADIANCE_MAXIMUM_BAND_{n}"])
        for dn in (1, 100, 255):
            radiance = low + (high - low) / 254 * (dn - 1)
            expected = math.pi * radiance * distance**2 / (irradiance[band] * sine)
            found = scene.bands[band].scale * dn + scene.bands[band].offset
            assert found == pytest.approx(expected, rel=6e-4, abs=1e-5)
        assert "ESUN" in scene.bands[band].why


def test_earth_sun_distance(shared):
    written = flat_mtl(next((shared / "landsat_l1_montana_mission" / "lc8").glob("*_MTL.txt")))
    distance = mtl.earth_sun_distance(written["DATE_ACQUIRED"])
    assert distance == pytest.approx(float(written["EARTH_SUN_DISTANCE"]), abs=5e-4)
    # Perihelion about 4 January 0.9833 au, aphelion about 5 July 1.0167 au (Astronomical Almanac).
    assert mtl.earth_sun_distance("2015-01-04") == pytest.approx(0.9833, abs=5e-4)
    assert mtl.earth_sun_distance("2015-07-05") == pytest.approx(1.0167, abs=5e-4)


def test_three_spellings_of_an_mtl(tmp_path):
    groups = {
        "PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": "LC08_X"},
        "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": "41.5"},
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {"REFLECTANCE_MULT_BAND_2": "2.75e-05"},
        "LEVEL1_RADIOMETRIC_RESCALING": {"REFLECTANCE_MULT_BAND_2": "2.0E-05"},
    }
    text = "GROUP = LANDSAT_METADATA_FILE\n"
    xml = "<LANDSAT_METADATA_FILE>"
    for group, values in groups.items():
        text += f"  GROUP = {group}\n" + "".join(f'    {k} = "{v}"\n' for k, v in values.items())
        text += f"  END_GROUP = {group}\n"
        xml += f"<{group}>" + "".join(f"<{k}>{v}</{k}>" for k, v in values.items()) + f"</{group}>"
    for name, content in {
        "a_MTL.txt": text + "END_GROUP = LANDSAT_METADATA_FILE\nEND\n",
        "a_MTL.json": json.dumps({"LANDSAT_METADATA_FILE": groups}),
        "a_MTL.xml": xml + "</LANDSAT_METADATA_FILE>",
    }.items():
        (tmp_path / name).write_text(content)
        assert mtl.groups(str(tmp_path / name)) == groups


def test_a_level_2_mtl_has_two_sets_under_the_same_names():
    groups = {
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {f"REFLECTANCE_{k}_BAND_{n}": v for n in range(1, 8)
                                                  for k, v in (("MULT", 2.75e-5), ("ADD", -0.2))},
        "LEVEL1_RADIOMETRIC_RESCALING": {f"REFLECTANCE_{k}_BAND_{n}": v for n in range(1, 8)
                                         for k, v in (("MULT", 2e-5), ("ADD", -0.1))},
    }  # fmt: skip
    surface = mtl.factors(groups, landsat.OLI, "SR", 30.0, "x")["blue"]
    toa = mtl.factors(groups, landsat.OLI, "TOA", 30.0, "x")["blue"]
    assert (surface.scale, surface.offset) == (2.75e-5, -0.2)
    assert (toa.scale, toa.offset) == pytest.approx((4e-5, -0.2))  # divided by sin 30 = 1/2


@pytest.fixture
def item(shared):
    return json.loads((shared / "stac_items" / "item_earth-search_aws_element84_com_sentinel-2-l1c.json").read_text())


def test_sentinel_offset_stands_in_the_asset(item):
    scene = missions.resolve(item)
    assert (scene.sensor, scene.level) == ("sentinel-2", "TOA")
    for band in BANDS:
        assert (scene.bands[band].scale, scene.bands[band].offset) == (1e-4, -0.1)
    assert scene.bands["swir1"].href.endswith("B11.jp2")


@pytest.mark.parametrize(("baseline", "offset"), [("02.09", 0), ("03.01", 0), ("04.00", -0.1), ("05.10", -0.1)])
def test_without_a_scale_the_processing_baseline_decides_not_the_date(item, baseline, offset):
    for asset in item["assets"].values():
        asset.pop("raster:bands", None)
    item["properties"]["s2:processing_baseline"] = baseline
    assert missions.resolve(item).bands["red"].offset == pytest.approx(offset)


def missing_sun(item):
    item["properties"].pop("view:sun_elevation")
    item["properties"]["datetime"] = "2025-07-31"


def night(item):
    item["properties"]["view:sun_elevation"] = -3.0


def no_baseline(item):
    item["properties"].pop("s2:processing_baseline")
    item["properties"].pop("s2:product_uri")
    item["assets"].pop("product_metadata")
    for asset in item["assets"].values():
        asset.pop("raster:bands", None)


def no_band(item):
    item["assets"].pop("swir16")


def wrong_type(item):
    item["assets"]["red"]["type"] = "application/json"


def no_level(item):
    item["id"] = "S2B_20EPT"
    item["collection"] = None
    for key in ("s2:product_type", "s2:product_uri"):
        item["properties"].pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing_sun, "sun's azimuth"),
        (night, "sun stands at -3"),
        (no_baseline, "offset is unknown"),
        (no_band, "swir1"),
        (no_level, "Level-1"),
        (wrong_type, "red is application/json"),
        (lambda i: i.update(assets={}), "no assets"),
        (lambda i: i["properties"].update(datetime=None), "datetime"),
    ],
)
def test_a_missing_fact_is_an_error_that_names_it(item, change, message):
    broken = copy.deepcopy(item)
    change(broken)
    with pytest.raises(MetadataError, match=message) as error:
        missions.resolve(broken)
    assert broken["id"] in str(error.value)


@pytest.mark.parametrize(
    "pattern", ["item_earth-search*landsat-c2-l2.json", "stactools_landsat_LT04*", "usgs_LT05*1986*"]
)
def test_the_sun_is_computed_from_time_and_place_where_the_item_is_silent(shared, pattern):
    told = json.loads(next((shared / "stac_items").glob(pattern)).read_text())
    silent = copy.deepcopy(told)
    for key in ("view:sun_azimuth", "view:sun_elevation"):
        silent["properties"].pop(key)
    told, computed = missions.resolve(told), missions.resolve(silent)
    assert computed.sun_azimuth == pytest.approx(told.sun_azimuth, abs=0.05)
    assert computed.sun_elevation == pytest.approx(told.sun_elevation, abs=0.05)


def test_a_box_is_taken_from_the_geometry_where_it_is_missing(item):
    bare = copy.deepcopy(item)
    box = bare.pop("bbox")
    assert missions.resolve(bare).bbox == pytest.approx(box, abs=0.01)
    bare.pop("geometry")
    with pytest.raises(MetadataError, match="neither bbox nor geometry"):
        missions.resolve(bare)


def test_landsat_without_mtl_is_refused(shared):
    path = next((shared / "stac_items").glob("usgs_LT05_L2SP_010067*"))
    item = json.loads(path.read_text())
    item["properties"]["landsat:correction"] = "L1TP"
    item["assets"] = {k: v for k, v in item["assets"].items() if "MTL" not in k}
    with pytest.raises(MetadataError, match="MTL"):
        missions.resolve(item)


@pytest.mark.parametrize("pattern", ["*sentinel-1*", "*cop-dem*", "*LM01*", "stactools_copdem*"])
def test_other_items_are_refused(shared, pattern):
    for path in (shared / "stac_items").glob(pattern):
        with pytest.raises(MetadataError):
            missions.resolve(json.loads(path.read_text()))


def test_broken_folders_are_named(tmp_path):
    with pytest.raises(MetadataError, match="expected one"):
        landsat.read(tmp_path)
    (tmp_path / "LC08_X_MTL.txt").write_text("GROUP = L1\nEND\n")
    with pytest.raises(MetadataError, match="not a Landsat MTL"):
        landsat.read(tmp_path)


# What the providers' documentation says of each kind of item: sensor, level, scale, offset of its bands.
SURFACE = ("SR", 2.75e-5, -0.2)
ITEMS = {
    "item_earth-search*landsat-c2-l2*": ("landsat-8", *SURFACE),
    "item_planetarycomputer*landsat-8*": ("landsat-8", *SURFACE),
    "odcstac_LC08*": ("landsat-8", *SURFACE),
    "odcstac_LE07*": ("landsat-7", *SURFACE),
    "stactools_landsat_LC08*": ("landsat-8", *SURFACE),
    "stactools_landsat_LE07*": ("landsat-7", *SURFACE),
    "stactools_landsat_LT04*": ("landsat-4", *SURFACE),
    "usgs_LC08*": ("landsat-8", *SURFACE),
    "usgs_LT04*": ("landsat-4", *SURFACE),
    "usgs_LT05*": ("landsat-5", *SURFACE),
    "item_earth-search*sentinel-2-l1c*": ("sentinel-2", "TOA", 1e-4, -0.1),  # 2025
    "item_earth-search*sentinel-2-c1-l2a*": ("sentinel-2", "SR", 1e-4, -0.1),  # 2025
    "item_earth-search*sentinel-2-l2a*": ("sentinel-2", "SR", 1e-4, 0.0),  # 2025, its offset is in the DN already
    "item_planetarycomputer*sentinel-2*": ("sentinel-2", "SR", 1e-4, 0.0),  # baseline 02.12
    "odcstac_S2A_28QCH*": ("sentinel-2", "SR", 1e-4, 0.0),  # 2020
    "odcstac_S2B_MSIL2A_20190629*": ("sentinel-2", "SR", 1e-4, 0.0),  # baseline 02.12
    "stactools_s2_S2A_MSIL1C_20200717*": ("sentinel-2", "TOA", 1e-4, 0.0),
    "stactools_s2_S2A_MSIL2A_20190212*": ("sentinel-2", "SR", 1e-4, 0.0),
    "stactools_s2_S2A_OPER*": ("sentinel-2", "TOA", 1e-4, 0.0),  # 2018
    "stactools_s2_S2A_T01LAC*": ("sentinel-2", "TOA", 1e-4, 0.0),  # 2020
    "stactools_s2_S2A_T07HFE*": ("sentinel-2", "SR", 1e-4, 0.0),  # 2019
    "stactools_s2_S2B_MSIL2A_20220413*": ("sentinel-2", "SR", 1e-4, -0.1),  # N0400
}


@pytest.mark.parametrize("pattern", ITEMS)
def test_items_of_every_provider_and_generation(shared, pattern):
    sensor, level, scale, offset = ITEMS[pattern]
    paths = sorted((shared / "stac_items").glob(pattern))
    assert paths
    for path in paths:
        item = json.loads(path.read_text())
        scene = missions.resolve(item)
        assert (scene.sensor, scene.level) == (sensor, level), path.name
        for name, band in scene.bands.items():
            assert (band.scale, band.offset) == pytest.approx((scale, offset)), (path.name, name, band.why)
            number = (missions.instruments()[sensor].numbers)[name]
            assert re.search(rf"{number}[._]", band.href.rsplit("/", 1)[-1]), (name, band.href)
        if sensor != "sentinel-2":
            assert scene.qa.upper().endswith("QA_PIXEL.TIF")
            assert scene.metadata.rsplit(".", 1)[0].upper().endswith("_MTL")
        assert 0 <= scene.sun_azimuth < 360
        assert 0 < scene.sun_elevation < 90


def refusal(item):
    """Why an item is refused, None if it is not."""
    try:
        missions.resolve(item)
    except MetadataError as error:
        return str(error)
    return None


def test_every_feature_of_every_answer_is_a_scene_or_is_refused_by_name(shared):
    known = 0
    for path in sorted((shared / "stac_items").glob("*.json")):
        content = json.loads(path.read_text())
        features = content if isinstance(content, list) else content.get("features", [content])
        for item in features:
            error = refusal(item)
            known += error is None
            assert error is None or str(item.get("id") or "(no id)") in error
    assert known >= 40


def test_a_scene_across_the_antimeridian_is_one_place(shared):
    for pattern, longitude in (("*T01LAC*L1C.json", 179.78), ("usgs_LC08_L2SR_084024*", -178.96),
                               ("usgs_LT05_L2SR_087017*", -177.8)):  # fmt: skip
        scene = missions.resolve(json.loads(next((shared / "stac_items").glob(pattern)).read_text()))
        assert scene.centre[0] == pytest.approx(longitude, abs=0.2)
        assert len(shapely.get_parts(scene.footprint)) == 2
        if scene.datetime.hour == 0:
            continue  # the item has a date only
        told = sun.position(scene.datetime.to_pydatetime(), *scene.centre)
        assert told == pytest.approx((scene.sun_azimuth, scene.sun_elevation), abs=1.5)

"""A Sentinel-2 SAFE folder, as the mission writes it: the same cube as from the catalogue."""

import datetime
import re
import shutil

import numpy as np
import pytest

import facies_xr as fx
from facies_xr.errors import MetadataError
from facies_xr.scenes import folders, missions, sentinel2
from facies_xr.stations import BANDS
from facies_xr.synthetic.safe import write_safe


@pytest.fixture(scope="module")
def products(region, tmp_path_factory):
    """One product of before and one of after processing baseline 04.00."""
    folder = tmp_path_factory.mktemp("safe")
    old = fx.search(region.catalog, region.outlines, years=range(2015, 2022), sensor="sentinel-2")[0]
    assert old.assets["blue"].extra_fields["raster:bands"][0]["offset"] == 0
    new = old.full_copy()
    new.id, new.datetime = "reprocessed", old.datetime + datetime.timedelta(days=1)
    new.properties["s2:processing_baseline"] = "05.09"
    new.properties["s2:product_uri"] = old.properties["s2:product_uri"].replace("_N0209_", "_N0509_")
    new.properties["s2:datatake_id"] += "x"
    for asset in new.assets.values():
        asset.extra_fields["raster:bands"] = [{"scale": 1e-4, "offset": -0.1}]
    items = [old, new]
    return folder, items, [write_safe(i, folder) for i in items]


def test_a_safe_folder_gives_the_cube_of_its_catalogue(products, region):
    folder, items, _ = products
    found = folders.from_folders(folder)
    assert len(found) == len(items)
    like = fx.load(items, region.outlines)
    expected, cube = like.compute(), fx.load(found, like=like).compute()
    for band in (*BANDS, "saturated"):
        np.testing.assert_array_equal(cube[band].values, expected[band].values)
    np.testing.assert_allclose(cube.sun_elevation, expected.sun_elevation, atol=1e-9)
    assert (cube.time == expected.time.dt.floor("ms")).all()


def test_offsets_come_from_the_xml_band_by_band(products):
    _, items, paths = products
    for item, folder in zip(items, paths, strict=True):
        (scene,) = sentinel2.read(folder)
        assert scene.level == "TOA"
        for band in scene.bands.values():
            expected = item.assets["blue"].extra_fields["raster:bands"][0]["offset"]
            assert (band.scale, band.offset) == pytest.approx((1e-4, expected))
        # Without the baseline: a reprocessed product is of the same pass.
        assert scene.datatake == re.sub(r"_N\d\d\.\d\d$", "", item.properties["s2:datatake_id"])


def test_an_item_without_baseline_is_calibrated_by_its_xml(products):
    _, items, paths = products
    for item, folder in zip(items, paths, strict=True):
        bare = item.full_copy()
        for asset in bare.assets.values():
            asset.extra_fields.pop("raster:bands", None)
        for key in ("s2:processing_baseline", "s2:product_uri"):
            bare.properties.pop(key)
        with pytest.raises(MetadataError, match="offset is unknown"):
            missions.resolve(bare)
        bare.add_asset("product_metadata", item.assets["blue"].clone())
        bare.assets["product_metadata"].href = str(folder / "MTD_MSIL1C.xml")
        scene = missions.resolve(bare)
        assert scene.bands["red"].scale is None
        expected = item.assets["red"].extra_fields["raster:bands"][0]["offset"]
        assert missions.calibrated(scene).bands["red"].offset == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"<QUANTIFICATION_VALUE.*?</QUANTIFICATION_VALUE>", "", "QUANTIFICATION_VALUE"),
        (r"<PROCESSING_BASELINE>.*?</PROCESSING_BASELINE>", "<PROCESSING_BASELINE>05.09</PROCESSING_BASELINE>", None),
        (r"<PROCESSING_LEVEL>Level-1C", "<PROCESSING_LEVEL>Level-0", "Level-0"),
        (r"</n1:General_Info>", "", "broken"),
    ],
)
def test_broken_products_are_named(products, tmp_path, pattern, replacement, message):
    folder = shutil.copytree(products[2][0], tmp_path / "copy.SAFE")
    path = folder / "MTD_MSIL1C.xml"
    text = re.sub(pattern, replacement, path.read_text(), flags=re.DOTALL)
    if message is None:  # a new baseline without its offsets
        text, message = re.sub(r"<RADIO_ADD_OFFSET.*?</RADIO_ADD_OFFSET>", "", text), "no offsets"
    path.write_text(text)
    with pytest.raises(MetadataError, match=message):
        sentinel2.read(folder)


def test_a_missing_image_is_named(products, tmp_path):
    folder = shutil.copytree(products[2][0], tmp_path / "copy.SAFE")
    next(folder.rglob("*_B11.jp2")).unlink()
    with pytest.raises(MetadataError, match=r"B11 \(swir1\)"):
        sentinel2.read(folder)

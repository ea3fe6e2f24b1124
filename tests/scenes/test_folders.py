"""Folders as people have them: several products in one, twice, broken, renamed, still packed."""

import shutil
import warnings

import pytest

from facies_xr import search
from facies_xr.errors import CatalogError, MetadataError
from facies_xr.scenes import folders, missions, sentinel2


@pytest.fixture
def products(region, tmp_path):
    """Two Landsat folders, to be changed."""
    found = sorted(p.parent for p in (region.folder / "scenes").glob("L*/*_MTL.txt"))[:2]
    return [shutil.copytree(p, tmp_path / "in" / p.name) for p in found]


def catalogued(folder):
    """Ids in a folder, and what was said of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        items = folders.from_folders(folder)
    return sorted(item.id for item in items), " ".join(str(w.message) for w in said)


def test_several_products_in_one_folder(products, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for product in products:
        for file in product.iterdir():
            shutil.copy(file, flat)
    assert catalogued(flat) == (sorted(p.name for p in products), "")


def test_a_product_that_was_unpacked_twice_is_taken_once_and_said(products, tmp_path):
    shutil.copytree(products[0], tmp_path / "in" / "again")
    ids, said = catalogued(tmp_path / "in")
    assert ids == sorted(p.name for p in products)
    assert f"{products[0].name} lies there twice" in said


def test_a_broken_product_among_good_ones_is_said(products, tmp_path):
    next(products[0].glob("*_B4.TIF")).write_text("no raster")
    ids, said = catalogued(tmp_path / "in")
    assert ids == [products[1].name]
    assert products[0].name in said
    for file in products[1].glob("*_MTL.*"):
        file.write_text("GROUP = X")
    with pytest.raises((CatalogError, MetadataError), match=r"cannot be read|not a Landsat MTL"):
        folders.from_folders(tmp_path / "in")


def test_names_in_other_letters_and_a_mark_of_byte_order(products):
    for file in products[0].glob("*.TIF"):
        file.rename(file.with_suffix(".tif"))
    path = next(products[0].glob("*_MTL.txt"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert catalogued(products[0]) == ([products[0].name], "")


def test_what_macos_leaves_is_no_product(products):
    path = next(products[0].glob("*_MTL.txt"))
    (products[0] / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    assert catalogued(products[0]) == ([products[0].name], "")


def test_rasters_without_metadata_are_said(products, tmp_path):
    """The outermost folder that holds no product; what lies beside products is nobody's."""
    inside = tmp_path / "in"
    for file in products[0].glob("*_MTL.*"):
        file.unlink()
    deep = inside / "more" / "S2A_MSIL1C_x.SAFE" / "GRANULE" / "IMG_DATA"
    deep.mkdir(parents=True)
    (deep / "B02.jp2").touch()
    shutil.copytree(products[1], inside / "more" / "again")
    (inside / "dem.tif").touch()
    (products[1] / "preview").mkdir()
    (products[1] / "preview" / "preview.tif").touch()
    ids, said = catalogued(inside)
    assert ids == [products[1].name]
    assert said.count("holds rasters, but no *_MTL.txt, MTD_MSIL1C.xml or MTD_MSIL2A.xml") == 2
    assert f"{products[0]} holds" in said
    assert f"{inside / 'more' / 'S2A_MSIL1C_x.SAFE'} holds" in said
    with pytest.raises(CatalogError, match=r"in.[^ ]* holds rasters, but no"):
        folders.from_folders(inside / "more" / "S2A_MSIL1C_x.SAFE")


@pytest.mark.parametrize(
    "name", ["S2A_MSIL1C_20200717T101031_N0209_R022_T32TPR.SAFE.zip", "LC08_L1TP_1.tar", "LE07.tar.gz"]
)
def test_packed_products_are_named(products, tmp_path, name):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / name).touch()
    with pytest.raises(CatalogError, match=f"{name}: still packed; unpack"):
        folders.from_folders(tmp_path / "packed")
    for given in (folders.from_folders, lambda path: search(path, (10, 46, 11, 47), years=2020)):
        with pytest.raises(CatalogError, match=f"{name}: still packed; unpack it .*and give the folder"):
            given(tmp_path / "packed" / name)
    shutil.copy(tmp_path / "packed" / name, tmp_path / "in")
    ids, said = catalogued(tmp_path / "in")
    assert len(ids) == 2
    assert "still packed" in said


def test_a_product_in_the_format_of_before_december_2016_is_named(tmp_path):
    home = tmp_path / "S2A_OPER_PRD_MSIL1C_PDMC_20160101T000000_R022_V20151231T100000.SAFE"
    home.mkdir()
    (home / "S2A_OPER_MTD_SAFL1C_PDMC_20160101T000000_R022_V20151231T100000.xml").touch()
    with pytest.raises(MetadataError, match="before December 2016; fetch the reprocessed"):
        folders.from_folders(tmp_path)
    with pytest.raises(MetadataError, match="before December 2016"):
        sentinel2.read(home)


def test_an_item_of_a_folder_says_what_its_files_say(products):
    (item,) = folders.from_folders(products[0])
    (scene,) = missions.MISSIONS["landsat"].read(products[0])
    again = missions.resolve(item)
    for name in ("id", "sensor", "level", "datatake", "acquisition", "revision", "tier", "datetime"):
        assert getattr(again, name) == getattr(scene, name), name

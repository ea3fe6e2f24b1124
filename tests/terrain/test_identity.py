"""What tells one elevation model from another: its content, not its name; and what tools read of the layers."""

import shutil

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

import facies_xr as fx
from facies_xr import grids
from facies_xr.stations import CLASSIFY
from facies_xr.terrain import dem
from facies_xr.terrain.dem import hash_of

BOX = GeoBox.from_bbox((600000, 5100000, 602000, 5102000), "EPSG:32632", resolution=10)
GLACIER = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[shapely.box(600500, 5100500, 601000, 5101000)], crs=32632)
SUN = {"sun_azimuth": 180.0, "sun_elevation": 40.0}


def write(path, change=None):
    """Gentle ground of 30 m pixels around the grid."""
    rows, columns = np.mgrid[:100, :100]
    z = (2500 + 3 * rows + 2 * columns + 5 * np.sin(columns)).astype("float32")
    if change is not None:
        z[change] += 0.5
    with rasterio.open(path, "w", driver="GTiff", height=100, width=100, count=1, dtype="float32", crs="EPSG:32632",
                       transform=rasterio.transform.from_origin(599500, 5102500, 30, 30)) as file:  # fmt: skip
        file.write(z, 1)
    return path


def digest(model, **options):
    return fx.add_terrain(BOX, model, GLACIER, **{**SUN, **options}).attrs["dem_digest"]


def test_a_renamed_file_is_the_same_model_and_an_array_too(tmp_path):
    path = write(tmp_path / "a.tif")
    (tmp_path / "other").mkdir()
    renamed = shutil.copy(path, tmp_path / "other" / "b.tif")
    array = xr.DataArray(rioxarray.open_rasterio(path)[0].values, dims=("y", "x"), coords=grids.coords(
        GeoBox((100, 100), rasterio.transform.from_origin(599500, 5102500, 30, 30), "EPSG:32632")))  # fmt: skip
    found = digest(path)
    assert digest(renamed) == found
    assert digest(array) == found


@pytest.mark.parametrize("cell", [(60, 40), (20, 80)], ids=["on the glacier", "beside it, on a tile with ice"])
def test_one_changed_cell_under_the_same_name_is_another_model(tmp_path, cell):
    (tmp_path / "repaired").mkdir()
    before, after = write(tmp_path / "dem.tif"), write(tmp_path / "repaired" / "dem.tif", cell)
    assert digest(before) != digest(after)


def test_the_sun_and_the_shadows_do_not_count(tmp_path):
    path = write(tmp_path / "dem.tif")
    assert digest(path) == digest(path, sun_elevation=12.0, shadows="fast")


def test_a_void_is_a_void_whatever_its_bits():
    other = np.array([0x7FC00001], "uint32").view("float32")[0]
    assert np.isnan(other)
    assert hash_of(np.array([[1.0, np.nan]], "float32")) == hash_of(np.array([[1.0, other]], "float32"))
    assert hash_of(np.array([[1.0, 0.0]], "float32")) != hash_of(np.array([[1.0, np.nan]], "float32"))


@pytest.mark.parametrize("address", [
    "https://user:SECRET@example.org/a/dem.tif?sig=SECRET", "s3://bucket/dem.tif", "/home/me/dem.tif"
])  # fmt: skip
def test_names_show_no_secret(address):
    assert dem.shown_name(address) == "dem.tif"


def test_rioxarray_reads_grid_and_nodata(tmp_path):
    found = fx.add_terrain(BOX, write(tmp_path / "dem.tif"), GLACIER, **SUN)
    assert found.shadow_mask.rio.nodata == 255
    assert found.elevation.rio.crs.to_epsg() == 32632
    assert found.elevation.rio.transform() == BOX.affine
    found.shadow_mask.rio.to_raster(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.nodata == 255
    assert xr.DataArray(np.zeros((1, 2, 2), "uint8"), attrs=CLASSIFY["facies_map"].attributes).rio.nodata == 255

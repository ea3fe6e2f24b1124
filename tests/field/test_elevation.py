"""Elevation models as they come: voids under many marks, in tags, sidecars and masks, and heights in other units."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS

import facies_xr as fx
from facies_xr import grids
from facies_xr.errors import FaciesError

from ..servers import Files
from . import heard, read_or_refused

LEFT, TOP, SIZE = 600000, 5190000, 120
CONE = (3000 - 6 * np.hypot(*(np.mgrid[:SIZE, :SIZE] - 60))).astype("float32")  # 2490 m and more
GLACIER = gpd.GeoDataFrame(
    {"glacier": ["a"]}, geometry=[shapely.box(LEFT + 1200, TOP - 2400, LEFT + 2400, TOP - 1200)], crs=32632
)
FARTHEST = np.float32(3.4028234663852886e38)


def write(path, heights, nodata=None, dtype="float32", scale=None, driver="GTiff"):
    with rasterio.open(path, "w", driver=driver, height=SIZE, width=SIZE, count=1, dtype=dtype, crs="EPSG:32632",
                       transform=Affine(30, 0, LEFT, 0, -30, TOP), nodata=nodata) as file:  # fmt: skip
        file.write(heights.astype(dtype), 1)
        if scale:
            file.scales = (scale,)
    return path


def with_void(value, heights=CONE):
    """Heights with a hole of 8 x 8 pixels on the glacier."""
    heights = heights.copy()
    heights[50:58, 50:58] = value
    return heights


def terrain(dem):
    """Lowest, highest elevation and the missing share of the glacier's pixels."""
    with heard():
        found = fx.add_terrain(fx.grid(GLACIER, 30), dem, GLACIER, sun_azimuth=180.0, sun_elevation=50.0).compute()
    on_glacier = found.elevation.values[found.glacier_index.values > 0]
    return np.nanmin(on_glacier), np.nanmax(on_glacier), np.isnan(on_glacier).mean()


def assert_void_stays_void(dem):
    low, high, missing = terrain(dem)
    assert low > 2490
    assert high <= 3000
    assert 0 < missing < 0.1


@pytest.mark.parametrize("nodata", [-9999, -32767, -32768])
def test_a_tagged_void_of_a_file(tmp_path, nodata):
    assert_void_stays_void(write(tmp_path / "dem.tif", with_void(nodata), nodata))


@pytest.mark.parametrize("nodata", [-9999, -32767, -32768])
def test_an_untagged_void_of_a_file_is_void_or_refused(tmp_path, nodata):
    path = write(tmp_path / "dem.tif", with_void(nodata))
    read_or_refused(lambda: assert_void_stays_void(path), rf"{nodata}|DEM")


@pytest.mark.parametrize("masked", [False, True])
def test_a_dataarray_as_rioxarray_opens_it(tmp_path, masked):
    path = write(tmp_path / "dem.tif", with_void(-9999), -9999)
    assert_void_stays_void(rioxarray.open_rasterio(path, masked=masked))


@pytest.mark.parametrize("heights", [CONE, CONE / 4 - 625], ids=["mountain", "low ice cap"])
def test_heights_in_decimetres(tmp_path, heights):
    path = write(tmp_path / "dem.tif", np.round(heights * 10), dtype="int32", scale=0.1)
    found = read_or_refused(lambda: terrain(path), "scale")
    assert found is None or found[1] == pytest.approx(heights.max(), abs=3)


def test_a_void_whose_mark_stands_in_a_sidecar(tmp_path):
    path = write(tmp_path / "dem.tif", with_void(-9999))
    text = '<PAMDataset><PAMRasterBand band="1"><NoDataValue>-9999</NoDataValue></PAMRasterBand></PAMDataset>'
    (tmp_path / "dem.tif.aux.xml").write_text(text)
    assert_void_stays_void(path)


@pytest.mark.parametrize("inside", [True, False], ids=["in the file", "beside it"])
def test_voids_in_a_mask(tmp_path, inside):
    heights, path = with_void(-1), tmp_path / "dem.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        write(path, heights, dtype="int16")
        with rasterio.open(path, "r+") as file:
            file.write_mask(heights != -1)
    assert (tmp_path / "dem.tif.msk").exists() is not inside
    assert_void_stays_void(path)


@pytest.mark.parametrize(("value", "dtype"), [(FARTHEST, "float32"), (-FARTHEST, "float32"), (-9999.9, "float32"),
                                              (-32768, "int16")])  # fmt: skip
def test_marks_at_the_end_of_a_type(tmp_path, value, dtype):
    assert_void_stays_void(write(tmp_path / "dem.tif", with_void(value), float(value), dtype))


def test_an_ascii_grid(tmp_path):
    rows = "\n".join(" ".join(f"{v:g}" for v in row) for row in with_void(-9999))
    head = f"ncols {SIZE}\nnrows {SIZE}\nxllcorner {LEFT}\nyllcorner {TOP - 30 * SIZE}\ncellsize 30\n"
    (tmp_path / "dem.asc").write_text(f"{head}NODATA_value -9999\n{rows}")
    (tmp_path / "dem.prj").write_text(CRS.from_epsg(32632).to_wkt("WKT1_ESRI"))
    assert_void_stays_void(tmp_path / "dem.asc")


def test_a_raw_file_with_a_header(tmp_path):
    assert_void_stays_void(write(tmp_path / "dem.bil", with_void(-9999), -9999, "int16", driver="EHdr"))


def test_a_dem_repaired_under_its_name(tmp_path):
    """In one process the new heights are seen."""
    path = write(tmp_path / "dem.tif", CONE)
    before = terrain(path)[1]
    write(path, CONE + 100)
    assert terrain(path)[1] == pytest.approx(before + 100)


def test_a_dem_repaired_on_its_server(tmp_path):
    """As above, though neither its size nor, to the second, its time tells."""
    path = write(tmp_path / "dem.tif", CONE)
    with Files(tmp_path).serve() as home:
        before = terrain(f"{home}/dem.tif")[1]
        write(path, CONE + 100)
        assert terrain(f"{home}/dem.tif")[1] == pytest.approx(before + 100)


@pytest.mark.parametrize("layout", ["esa", "alos", "aspect", "mac"])
def test_a_folder_holds_more_than_heights(tmp_path, layout):
    """As ESA and JAXA ship it, with other products beside it, or copied by a Mac."""
    ones = np.ones((SIZE, SIZE), "float32")
    name = "Copernicus_DSM_10_N46_00_E010_00"
    if layout == "esa":
        for part in ("AUXFILES", "DEM"):
            (tmp_path / name / part).mkdir(parents=True)
        for kind in ("EDM", "WBM", "HEM", "FLM"):
            write(tmp_path / name / "AUXFILES" / f"{name}_{kind}.tif", ones, dtype="uint8")
        write(tmp_path / name / "DEM" / f"{name}_DEM.tif", CONE)
    elif layout == "alos":
        write(tmp_path / "ALPSMLC30_N046E010_DSM.tif", with_void(-9999), -9999, "int16")
        write(tmp_path / "ALPSMLC30_N046E010_MSK.tif", 2 * ones, dtype="uint8")
    elif layout == "aspect":
        write(tmp_path / "dem.tif", CONE)
        write(tmp_path / "aspect.tif", 180 * ones)
    else:
        write(tmp_path / "dem.tif", CONE)
        (tmp_path / "._dem.tif").write_bytes(b"Mac OS X")
    found = read_or_refused(lambda: terrain(tmp_path), r"aspect\.tif")
    if found is None:
        assert layout == "aspect"
    else:
        assert 2490 < found[0] < found[1] <= 3000


@pytest.mark.parametrize("height", [-430.0, 9500.0])
def test_heights_that_no_land_ice_has(tmp_path, height):
    path = write(tmp_path / "dem.tif", CONE * 0 + np.float32(height))
    with pytest.raises(FaciesError, match=r"-?(430|9500|9,?500)"):
        terrain(path)


def test_a_cube_gets_the_voids_too(tmp_path):
    """The whole way: a cube with a sun of its own, and a file whose mark stands beside it."""
    path = write(tmp_path / "dem.tif", with_void(-9999))
    text = '<PAMDataset><PAMRasterBand band="1"><NoDataValue>-9999</NoDataValue></PAMRasterBand></PAMDataset>'
    (tmp_path / "dem.tif.aux.xml").write_text(text)
    box = GeoBox((60, 60), Affine(30, 0, LEFT + 900, 0, -30, TOP - 900), "EPSG:32632")
    sun = {"sun_azimuth": ("time", [150.0]), "sun_elevation": ("time", [50.0])}
    cube = xr.Dataset(
        {"blue": (("time", "y", "x"), np.full((1, 60, 60), 0.4, "float32"))},
        coords={**grids.coords(box), **sun, "time": np.array(["2020-08-20"], "datetime64[ns]")},
        attrs={"level": "TOA"},
    )
    with heard():
        assert float(fx.add_terrain(cube, path, GLACIER).elevation.min()) > 2000

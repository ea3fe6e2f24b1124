"""Where heights come from: formats, units, marks of voids, folders, and what is refused."""

import itertools
import os
import shutil
import warnings

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from facies_xr import grids, rasters
from facies_xr.errors import GridError, InputError
from facies_xr.terrain import heights
from facies_xr.terrain.dem import open_dem

BOX = GeoBox((40, 50), Affine(10, 0, 600000, 0, -10, 5100400), "EPSG:32632")
HERE = Affine(10, 0, 599900, 0, -10, 5100500)
WHOLE = slice(0, 40), slice(0, 50)


def write(path, z=None, *, dtype="float32", nodata=None, scale=None, offset=None, crs="EPSG:32632", driver="GTiff",
          transform=HERE, count=1):  # fmt: skip
    """Flat ground of 2500 around the grid, with a hole of -9999 if ``z`` says so."""
    z = np.full((60, 70), 2500.0) if z is None else z
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver=driver, height=z.shape[0], width=z.shape[1], count=count, dtype=dtype,
                           crs=crs, transform=transform, nodata=nodata) as file:  # fmt: skip
            for band in range(count):
                file.write(z.astype(dtype), band + 1)
            if scale is not None:
                file.scales = (scale,)
            if offset is not None:
                file.offsets = (offset,)
    return path


def holed(void, ground=2500.0):
    z = np.full((60, 70), ground)
    z[20:30, 20:30] = void
    return z


def read(dem):
    return open_dem(dem, BOX).read(*WHOLE)


@pytest.mark.parametrize("void", [-9999.0, -32768.0, -32767.0, 32767.0, -3.4028231e38])
def test_marks_that_nothing_declares_are_voids_and_said(tmp_path, void):
    path = write(tmp_path / "dem.tif", holed(void))
    if abs(void) < 1e30:
        with pytest.warns(UserWarning, match=rf"dem\.tif: {void:g} is no height"):
            found = read(path)
    else:
        found = read(path)
    np.testing.assert_array_equal(np.isnan(found), holed(1)[10:50, 10:60] == 1)
    assert set(np.unique(found[np.isfinite(found)])) == {2500.0}


def test_declared_marks_are_not_talked_about(tmp_path):
    path = write(tmp_path / "dem.tif", holed(-9999), nodata=-9999)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert np.isnan(read(path)).sum() == 100


@pytest.mark.parametrize(("scale", "offset"), [(0.1, 0.0), (0.01, -100.0), (1.0, 500.0)])
def test_scale_and_offset_of_a_file_and_of_an_array(tmp_path, scale, offset):
    numbers = holed(-9999, np.round((2500 - offset) / scale))
    path = write(tmp_path / "dem.tif", numbers, dtype="int32", nodata=-9999, scale=scale, offset=offset)
    found = read(path)
    assert np.nanmin(found) == np.nanmax(found) == pytest.approx(2500)
    assert np.isnan(found).sum() == 100
    attrs = {"scale_factor": scale, "add_offset": offset, "_FillValue": -9999}
    coords = grids.coords(GeoBox((60, 70), HERE, "EPSG:32632"))
    array = xr.DataArray(numbers.astype("int32"), dims=("y", "x"), coords=coords, attrs=attrs)
    np.testing.assert_array_equal(read(array), found)
    np.testing.assert_array_equal(read(array.transpose("x", "y")), found)


@pytest.mark.parametrize(
    ("scale", "offset"), [(0.0, 0.0), (-1.0, 0.0), (1e-300, 0.0), (1000.0, 0.0), (1.0, 1e9), (np.nan, 0.0)]
)
def test_a_scale_that_makes_no_metres_is_refused(tmp_path, scale, offset):
    path = write(tmp_path / "dem.tif", scale=scale, offset=offset)
    with pytest.raises(InputError, match=r"make no metres|cannot be opened"):
        read(path)


@pytest.mark.parametrize("key", ["_FillValue", "missing_value", "nodata", "nodatavals"])
def test_marks_of_an_array_by_any_name(key):
    coords = grids.coords(GeoBox((60, 70), HERE, "EPSG:32632"))
    mark = (7.0,) if key == "nodatavals" else 7.0
    array = xr.DataArray(holed(7.0), dims=("y", "x"), coords=coords, attrs={key: mark})
    assert np.isnan(read(array)).sum() == 100


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"attrs": {"scale_factor": "big"}}, InputError, "no number"),
        ({"attrs": {"_FillValue": [1, 2, 3, "x"]}}, InputError, "no number"),
        ({"dims": ("row", "column"), "coords": None}, InputError, "dims"),
        ({"data": np.full((60, 70), "high")}, InputError, "holds"),
        ({"data": np.full((60, 70), 1j)}, InputError, "holds"),
    ],
)
def test_arrays_that_are_no_heights(change, error, message):
    coords = grids.coords(GeoBox((60, 70), HERE, "EPSG:32632"))
    with pytest.raises(error, match=message):
        read(xr.DataArray(**{"data": holed(7.0), "dims": ("y", "x"), "coords": coords, **change}))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crs": None}, GridError, "no CRS"),
        ({"transform": Affine.identity()}, GridError, "not where it lies"),
        ({"count": 3}, InputError, "3 bands"),
        ({"dtype": "complex64"}, InputError, "complex64"),
    ],
)
def test_files_that_are_no_heights(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        read(write(tmp_path / "dem.tif", **options))


def test_files_that_lead_elsewhere(tmp_path):
    inner = write(tmp_path / "secret.tif")
    vrt = (
        '<VRTDataset rasterXSize="70" rasterYSize="60"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>599900,10,0,5100500,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="Float32" band="1"><SimpleSource><SourceFilename relativeToVRT="1">{}'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "dem.tif").write_text(vrt.format(inner.name))
    with pytest.raises(InputError, match="a VRT that leads to other files"):
        read(tmp_path / "dem.tif")
    (tmp_path / "dem.vrt").write_text(vrt.format("/vsicurl/http://127.0.0.1:9/a.tif?sig=SECRET"))
    with pytest.raises(InputError, match="leads to") as error:
        read(tmp_path / "dem.vrt")
    assert "SECRET" not in str(error.value)
    (tmp_path / "dem.vrt").write_text(vrt.format(inner.name))
    assert (read(tmp_path / "dem.vrt") == 2500).all()
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(InputError, match="not a plain file"):
        read(tmp_path / "pipe.tif")
    array = xr.Dataset({"z": (("y", "x"), np.zeros((3, 3)))})
    array.to_netcdf(tmp_path / "dem.nc", engine="scipy")
    with pytest.raises(InputError, match=r"dem\.nc"):
        read(tmp_path / "dem.nc")


def test_srtm_as_it_is_shipped(tmp_path):
    z = np.full((1201, 1201), 2500, ">i2")
    z[600:610, 600:610] = -32768
    (tmp_path / "N46E010.hgt").write_bytes(z.tobytes())
    box = grids.grid((10.49, 46.49, 10.51, 46.51), 30, crs=32632)
    found = open_dem(tmp_path, box).read(slice(0, box.height), slice(0, box.width))
    assert 0 < np.isnan(found).sum() < 2000
    assert set(np.unique(found[np.isfinite(found)])) == {2500.0}


COPERNICUS, TANDEM = "Copernicus_DSM_COG_10_N46_00_E010_00", "TDM1_DEM__04_N46E010"


@pytest.mark.parametrize(
    ("taken", "others"),
    [
        ([f"{COPERNICUS}_DEM.tif"], [f"AUXFILES/{COPERNICUS}_{k}.tif" for k in ("EDM", "FLM", "HEM", "WBM")]),
        ([f"a/DEM/{COPERNICUS}_DEM.tif", f"b/DEM/{COPERNICUS[:-6]}011_00_DEM.tif"], [f"a/PREVIEW/{COPERNICUS}_QL.tif"]),
        (["ALPSMLC30_N046E010_DSM.tif"], ["ALPSMLC30_N046E010_MSK.tif", "ALPSMLC30_N046E010_STK.tif"]),
        (["N046E010_AVE_DSM.tif"], ["N046E010_AVE_MSK.tif"]),
        (["n46e010.hgt"], ["n46e010.num", "n46e010.swb"]),
        (["NASADEM_HGT_n46e010.tif"], ["NASADEM_NUM_n46e010.tif"]),
        (["n46_e010_1arc_v3.tif"], []),
        (["srtm_38_03.tif", "srtm_39_03.tif"], []),
        ([f"DEM/{TANDEM}_DEM.tif"], [f"AUXFILES/{TANDEM}_{k}.tif" for k in ("AMP", "COV", "HEM", "LSM", "WAM")]),
        (["ASTGTMV003_N46E010_dem.tif"], ["ASTGTMV003_N46E010_num.tif"]),
        (["17_38_1_1_2m_v4.1_dem.tif"], ["17_38_1_1_2m_v4.1_count.tif", "17_38_1_1_2m_v4.1_mad.tif"]),
        (["mine_1.tif", "mine_2.tif"], ["._mine_1.tif", "__MACOSX/mine_1.tif"]),
        (["heights.tif"], []),
    ],
)
def test_folders(tmp_path, taken, others):
    for name in (*taken, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [str(path.relative_to(tmp_path)) for path in heights.in_folder(tmp_path)]
    assert found == sorted(taken)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no file of heights"),
        (["dem.tif", "aspect.tif"], r"more than one product: aspect\.tif, dem\.tif"),
        ([f"{COPERNICUS}_DEM.tif", "ALPSMLC30_N046E010_DSM.tif"], "the models Copernicus and ALOS"),
    ],
)
def test_folders_that_do_not_tell(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=message):
        open_dem(tmp_path, BOX)


def test_a_file_that_changes_is_read_anew_and_its_mask_too(tmp_path):
    path = write(tmp_path / "dem.tif")
    states = [rasters.version(str(path))]
    assert (read(path) == 2500).all()
    write(path, np.full((60, 70), 2600.0))
    states.append(rasters.version(str(path)))
    assert (read(path) == 2600).all()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(holed(1) != 1)
    states.append(rasters.version(str(path)))
    assert np.isnan(read(path)).sum() == 100
    assert all(a != b for a, b in itertools.combinations(states, 2))
    assert rasters.version(str(shutil.copy2(path, tmp_path / "same.tif")))[0] == rasters.version(str(path))[0]


@pytest.mark.parametrize("finer", [20, 33, 72])
def test_a_source_far_finer_than_the_grid(tmp_path, monkeypatch, finer):
    """A plane with a void and noise: means over pixels, bounds that hold every pixel, and few pixels at a time."""
    from facies_xr.rasters import blocks

    step = 10 / finer
    rows, columns = np.mgrid[: 40 * finer, : 50 * finer]
    z = (2000 + 0.5 * columns * step - 0.25 * rows * step).astype("float32")
    z[: 8 * finer, : 8 * finer] = np.nan
    write(tmp_path / "dem.tif", z, transform=Affine(step, 0, 600000, 0, -step, 5100400))
    dem, read_at_once = open_dem(tmp_path / "dem.tif", BOX), []
    values = rasters.Raster._values
    monkeypatch.setattr(blocks, "AT_A_TIME", 100_000)
    monkeypatch.setattr(
        rasters.Raster, "_values", lambda self, file, part: read_at_once.append(part.width * part.height)
        or values(self, file, part),
    )  # fmt: skip
    found = dem.read(*WHOLE)
    y, x = np.mgrid[:40, :50]
    plane = 2000 + 5.0 * (x + 0.5) - 2.5 * (y + 0.5)
    inner = np.s_[12:-2, 12:-2]
    np.testing.assert_allclose(found[inner], plane[inner], atol=0.3)  # half a source pixel of slope
    assert np.isnan(found[:7, :7]).all()
    bounds = dem.bounds(100.0)
    assert bounds.lowest <= np.nanmin(z) + 1e-3
    assert bounds.highest >= np.nanmax(z) - 1e-3
    assert max(read_at_once) <= 110_000
    np.testing.assert_array_equal(dem.read(slice(7, 31), slice(11, 45)), found[7:31, 11:45])

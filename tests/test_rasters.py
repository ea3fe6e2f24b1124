"""Bilinear interpolation: our own against GDAL's warper, whatever the window."""

import dask
import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from facies_xr import rasters


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """White noise of 20 m with gaps at the rim and inside, and saturated pixels."""
    path = tmp_path_factory.mktemp("rasters") / "noise.tif"
    rng = np.random.default_rng(0)
    dn = rng.integers(1, 255, (90, 120)).astype("uint8")
    dn[rng.random(dn.shape) < 0.05] = 0
    dn[rng.random(dn.shape) < 0.02] = 255
    dn[:, :3] = 0
    with rasterio.open(path, "w", driver="GTiff", height=90, width=120, count=1, dtype="uint8", crs="EPSG:32632",
                       transform=from_origin(600000, 5200000, 20, 20)) as file:  # fmt: skip
        file.write(dn, 1)
    return rasters.Raster(str(path), 0, 255)


def through_gdal(raster, box):
    """The same pixels from the warper, on absolute tiles."""
    height, width = box.shape
    return raster.read(box, slice(0, 512), slice(0, 512))[:, :height, :width]


@settings(deadline=None, max_examples=40)
@given(
    resolution=st.sampled_from([10.0, 7.0, 20.0, 19.0]),
    dx=st.floats(-0.45, 0.45),
    dy=st.floats(-0.45, 0.45),
)
def test_equal_to_the_warper(noise, resolution, dx, dy):
    left, top = 599940 + 20 * round(dx, 3) + 0.0137, 5200060 + 20 * round(dy, 3) + 0.0171  # centres on no pixel's edge
    box = GeoBox((200, 260), Affine(resolution, 0, left, 0, -resolution, top), "EPSG:32632")
    ours = noise.read_direct(box, slice(0, 200), slice(0, 260))
    theirs = through_gdal(noise, box)
    np.testing.assert_array_equal(np.isnan(ours[0]), np.isnan(theirs[0]))
    np.testing.assert_allclose(ours[0], theirs[0], atol=2e-4)  # of 255; the warper's positions are good to 1e-6 px
    np.testing.assert_allclose(np.nan_to_num(ours[1]), np.nan_to_num(theirs[1]), atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(top=st.integers(-30, 150), left=st.integers(-30, 220), height=st.integers(1, 90), width=st.integers(1, 90))
def test_no_window_changes_a_bit(noise, top, left, height, width):
    box = GeoBox((180, 240), Affine(10, 0, 600000, 0, -10, 5200000), "EPSG:32632")
    whole = noise.read_direct(box, slice(-30, 240), slice(-30, 310))
    part = noise.read_direct(box, slice(top, top + height), slice(left, left + width))
    np.testing.assert_array_equal(part, whole[:, top + 30 : top + 30 + height, left + 30 : left + 30 + width])


def test_the_files_own_pixels_are_kept(noise):
    box = GeoBox((90, 120), Affine(20, 0, 600000, 0, -20, 5200000), "EPSG:32632")
    with rasterio.open(noise.href) as file:
        dn = file.read(1).astype("float32")
    found = noise.read_direct(box, slice(0, 90), slice(0, 120))
    np.testing.assert_array_equal(found[0], np.where(dn == 0, np.nan, dn))
    np.testing.assert_array_equal(found[1] > 0, dn == 255)


@pytest.mark.parametrize(
    "box",
    [
        GeoBox((9, 9), Affine(40, 0, 600000, 0, -40, 5200000), "EPSG:32632"),
        GeoBox((9, 9), Affine(10, 0, 600000, 0, -10, 5200000), "EPSG:32633"),
        GeoBox((9, 9), Affine(10, 1, 600000, 1, -10, 5200000), "EPSG:32632"),
    ],
    ids=["coarser", "another zone", "turned"],
)
def test_other_grids_are_left_to_the_warper(noise, box):
    assert noise.read_direct(box, slice(0, 9), slice(0, 9)) is None


def test_a_lazy_array_is_written_by_this_process_whatever_client_there_is(tmp_path):
    """A client's scheduler would have to pickle the lock of the file."""
    values = np.arange(48, dtype="float32").reshape(6, 8)
    array = xr.DataArray(
        da.from_array(values, chunks=3), {"y": np.arange(5.5, -0.5, -1), "x": np.arange(8) + 0.5}, ("y", "x")
    )

    def elsewhere(*_, **__):
        raise AssertionError("a cluster was asked")

    with dask.config.set(scheduler=elsewhere):
        rasters.write_cog(array.rio.write_crs(32632), tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(1), values)

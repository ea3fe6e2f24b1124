"""Slope and hillshade against gdaldem and xarray-spatial."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.terrain import relief

RASTERS = [("baker_cop30_10m_crop", 10), ("argentiere25", 25)]


def read(shared, name):
    with rasterio.open(shared / "reference_terrain" / f"{name}.tif") as file:
        return file.read(1)


@pytest.mark.parametrize(("name", "resolution"), RASTERS)
def test_slope_is_gdaldems(shared, name, resolution):
    slope, _ = relief.slope_and_aspect(read(shared, f"{name}_dem"), resolution)
    expected = read(shared, f"{name}_slope_horn")[1:-1, 1:-1]
    known = expected != -9999
    assert known.mean() > 0.99
    np.testing.assert_allclose(slope[known], expected[known], atol=2e-3)  # float32 sums in both


@pytest.mark.parametrize(("name", "resolution"), RASTERS)
@pytest.mark.parametrize("sun", [(150, 35), (210, 20), (95, 55)])
def test_hillshade_is_gdaldems_within_its_8_bits(shared, name, resolution, sun):
    cosine = relief.incidence(*relief.slope_and_aspect(read(shared, f"{name}_dem"), resolution), *sun)
    expected = read(shared, f"{name}_hillshade_az{sun[0]}_el{sun[1]}")[1:-1, 1:-1].astype(float)
    assert np.abs(1 + 254 * np.maximum(cosine, 0) - expected).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("facing", [0, 90, 180, 270])
def test_a_plane_that_faces_the_sun_is_fully_lit(facing):
    y, x = np.mgrid[0:9, 0:9] * 10.0
    east, north = np.sin(np.radians(facing)), np.cos(np.radians(facing))
    plane = -np.tan(np.radians(30)) * (east * x - north * y) + 500
    slope, aspect = relief.slope_and_aspect(plane.astype("float32"), 10)
    np.testing.assert_allclose(slope, 30, atol=1e-3)
    np.testing.assert_allclose(relief.incidence(slope, aspect, facing, 60), 1, atol=1e-5)
    np.testing.assert_allclose(relief.incidence(slope, aspect, facing + 180, 60), np.cos(np.radians(60)), atol=1e-4)


def assert_as_xarray_spatial_has_it(elevation, resolution):
    from xrspatial import aspect, slope

    raster = xr.DataArray(elevation, dims=("y", "x"), attrs={"res": (resolution, resolution)})
    for found, expected in zip(relief.slope_and_aspect(elevation, resolution), (slope, aspect), strict=True):
        np.testing.assert_array_equal(found, expected(raster).values[1:-1, 1:-1])


@pytest.mark.parametrize(("name", "resolution"), RASTERS)
def test_slope_and_aspect_of_real_ground_are_xarray_spatials_to_the_last_bit(shared, name, resolution):
    assert_as_xarray_spatial_has_it(read(shared, f"{name}_dem"), resolution)


@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 300.0]), st.sampled_from([10.0, 30.0, 25.7]))
@settings(max_examples=40, deadline=None)
def test_slope_and_aspect_are_xarray_spatials_to_the_last_bit(seed, relief_, resolution):
    """Noise, in parts rounded to metres (level, steps along one axis, 45 degrees), sloping evenly, or void."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:60, 0:70]
    z = 3000 + relief_ * rng.standard_normal((60, 70))
    z[:20] = np.rint(z[:20])
    z[20:40] = 500 + rng.integers(-3, 4) * y[20:40] + rng.integers(-3, 4) * x[20:40]
    z[rng.random(z.shape) < 0.01] = np.nan
    assert_as_xarray_spatial_has_it(z.astype("float32"), resolution)


def test_an_angle_errs_by_less_than_is_taken_for_sure():
    """Else a slope could be rounded to another number than its own."""
    tangents = np.concatenate([np.linspace(1e-9, 3, 3001), np.geomspace(3, 1e9, 500)])
    found = np.array([relief.angle.py_func(t, 1.0) for t in tangents])
    assert np.abs(found / np.arctan(tangents) - 1).max() < relief.SURE / 10

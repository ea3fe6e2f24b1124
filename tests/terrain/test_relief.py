"""Slope and hillshade against gdaldem."""

import numpy as np
import pytest
import rasterio

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

"""Cubes of others: fill values, other tools' round trips, other dims."""

import numpy as np
import pytest
import rioxarray  # noqa: F401  (gives .rio)
import xarray as xr

import facies_xr as fx
from facies_xr.classes import NODATA
from facies_xr.errors import FaciesError
from facies_xr.stations import BANDS

from . import heard, read_or_refused

SIZE = 72
MEAN = dict(zip(BANDS, (0.6, 0.58, 0.55, 0.5, 0.08, 0.06), strict=True))


def cube(fill=np.nan, tagged=False, hole=slice(0, 40)):
    """Snow with a hole of missing pixels."""
    data = {}
    for k, band in enumerate(BANDS):
        plane = MEAN[band] * (1 + 0.1 * np.random.default_rng(k).standard_normal((SIZE, SIZE)))
        plane[hole, hole] = fill
        data[band] = (("y", "x"), plane.astype("float32"), {"_FillValue": np.float32(fill)} if tagged else {})
    places = {"y": 5190000 - 10.0 * np.arange(SIZE) - 5, "x": 600000 + 10.0 * np.arange(SIZE) + 5}
    return xr.Dataset(data, coords=places, attrs={"level": "TOA"}).rio.write_crs(32632)


def labels(data, classifier):
    with heard():
        return fx.classify(data, classifier).facies_map.values


@pytest.mark.parametrize(
    ("fill", "tagged"), [(-9999.0, True), (65535.0, True), (0.0, True), (0.0, False), (-9999.0, False)]
)
def test_missing_pixels_stay_missing(bands_classifier, fill, tagged):
    """A gap never becomes a class, and changes no pixel around it; a mark that nobody tells of may be refused."""
    expected = labels(cube(), bands_classifier)
    assert (expected[:24, :24] == NODATA).all()
    found = read_or_refused(lambda: labels(cube(fill, tagged), bands_classifier), rf"{fill:g}|missing")
    if found is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("factor", "offset"), [(1e-4, -0.1), (2.75e-5, -0.2)])
def test_scale_and_offset_of_a_band_are_applied_or_refused(bands_classifier, factor, offset):
    expected = labels(cube(), bands_classifier)
    packed = cube()
    for band in BANDS:
        packed[band] = np.round((packed[band] - offset) / factor)
        packed[band].attrs.update(scale_factor=factor, add_offset=offset)
    found = read_or_refused(lambda: labels(packed, bands_classifier), "blue")
    assert found is None or (found == expected).mean() > 0.99


@pytest.mark.parametrize("chunks", [None, {"x": 7}])
def test_through_netcdf(tmp_path, bands_classifier, chunks):
    cube().to_netcdf(tmp_path / "cube.nc")
    with xr.open_dataset(tmp_path / "cube.nc", chunks=chunks) as again:
        np.testing.assert_array_equal(labels(again, bands_classifier), labels(cube(), bands_classifier))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.transpose("x", "y"), "(?i)grid|dim"),
        (lambda c: c.sortby("y"), "(?i)grid|north|y"),
        (lambda c: c.rename(y="latitude", x="longitude"), "(?i)grid|dim"),
        (lambda c: c.to_array("band"), "band"),
    ],
    ids=["dims x y", "y upwards", "other names", "one array with bands"],
)
def test_other_shapes_are_named(bands_classifier, change, match):
    with pytest.raises(FaciesError, match=match):
        labels(change(cube()), bands_classifier)

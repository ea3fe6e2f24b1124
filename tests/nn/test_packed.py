"""Packed variables and marks of gaps: xarray's own decoding is the judge."""

import numpy as np
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr import lazy
from facies_xr.classes import NODATA
from facies_xr.errors import InputError, MissingVariableError
from facies_xr.maps import albedo
from facies_xr.nn import features
from facies_xr.nn.packed import unpacked
from facies_xr.stations import BANDS

from ..conftest import clear_sky


def packed_like(cube, dtype="uint16", scale=2.75e-5, offset=-0.2, mark=None, **tags):
    """A cube whose bands are whole numbers, with gaps in a corner."""
    out = cube.copy()
    for band in BANDS:
        numbers = (cube[band].values.astype("float64") - offset) / scale
        numbers = numbers if scale == 1 else np.round(numbers)
        if mark is not None:
            numbers[..., :6, :7] = mark
        told = {"scale_factor": scale, "add_offset": offset, **tags}
        out[band] = (cube[band].dims, numbers.astype(dtype), {k: v for k, v in told.items() if v is not None})
    return out


@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "mark"),
    [
        ("uint16", 2.75e-5, -0.2, 0),
        ("uint16", 1e-4, -0.1, 65535),
        ("int16", 1e-4, 0.0, -9999),
        ("float32", 1e-4, -0.1, -9999.0),
        ("float64", 1.0, 0.0, 1e20),
        ("float32", 1.0, 0.0, np.float32(-3.4028235e38)),
    ],
)
@pytest.mark.parametrize("tag", ["_FillValue", "missing_value"])
def test_as_xarray_decodes(dtype, scale, offset, mark, tag):
    cube = packed_like(clear_sky(), dtype, scale, offset, mark, **{tag: np.dtype(dtype).type(mark)})
    expected = xr.decode_cf(cube)
    found = unpacked(cube, BANDS)
    for band in BANDS:
        assert np.isnan(expected[band].values[..., :6, :7]).all()
        assert found[band].dtype == np.float32
        np.testing.assert_allclose(found[band], expected[band], atol=2e-7)
        assert not {"scale_factor", "add_offset", tag} & set(found[band].attrs)


def test_a_cube_without_such_attributes_is_left_alone(no_compute):
    cube = clear_sky().chunk()
    found = unpacked(cube, (*BANDS, "elevation"))
    assert all(found[band].data is cube[band].data for band in BANDS)
    with no_compute():
        assert lazy.is_lazy(unpacked(packed_like(clear_sky(), mark=0, _FillValue=0).chunk(), BANDS).blue)


@pytest.mark.parametrize(
    "tags",
    [{"nodata": 0}, {"nodatavals": (0, 0)}, {"missing_value": np.array([7, 0])}, {"_FillValue": "0"}],
)
def test_marks_as_other_tools_tell_them(tags):
    found = unpacked(packed_like(clear_sky(), mark=0, **tags), BANDS)
    for band in BANDS:
        assert np.isnan(found[band].values[..., :6, :7]).all()
        np.testing.assert_allclose(found[band].values[..., 6:, 7:], clear_sky()[band].values[..., 6:, 7:], atol=2e-5)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("scale_factor", 0, "scale_factor=0 cannot be that of a reflectance"),
        ("scale_factor", -1e-4, "scale_factor=-0.0001 cannot"),
        ("scale_factor", 1e-300, "scale_factor=1e-300 cannot"),
        ("scale_factor", 1000, "scale_factor=1000 cannot be that of a reflectance, which lies between 1e-07 and 1"),
        ("add_offset", -999.5, "add_offset=-999.5 cannot"),
        ("scale_factor", np.nan, "its attribute scale_factor=nan is not a number"),
        ("scale_factor", "1/10000", "its attribute scale_factor='1/10000' is not a number"),
        ("add_offset", [0.1, 0.2], "its attribute add_offset"),
        ("_FillValue", "none", "its attribute _FillValue='none' is not a number"),
    ],
)
def test_attributes_that_cannot_be_are_refused(bands_classifier, attribute, value, message):
    cube = clear_sky()
    cube["red"].attrs[attribute] = value
    with pytest.raises(InputError, match=f"red.*{message}"):
        fx.classify(cube, bands_classifier)


def test_what_was_scaled_but_kept_its_attribute_is_refused(bands_classifier):
    cube = clear_sky()
    cube["nir"].attrs["scale_factor"] = 1e-4
    with pytest.raises(InputError, match=r"nir says scale_factor=0\.0001, but its numbers, up to .*, are refl"):
        fx.classify(cube, bands_classifier).compute()
    identity = clear_sky()
    for band in BANDS:
        identity[band].attrs.update(scale_factor=1.0, add_offset=0.0)  # as rioxarray writes them
    assert unpacked(identity, BANDS).blue.data is identity.blue.data


def test_a_packed_cube_gives_the_map_and_the_albedo_of_the_plain_one(bands_classifier):
    cube = clear_sky((40, 44)).assign_coords(sensor=("time", ["landsat-8"]))
    gap = {"y": slice(0, 6), "x": slice(0, 7)}
    plain = cube.copy(deep=True)
    for band in BANDS:
        plain[band][{**gap, "time": 0}] = np.nan
    found = fx.classify(packed_like(cube, scale=1e-7, dtype="uint32", mark=0, _FillValue=0), bands_classifier).compute()
    expected = fx.classify(plain, bands_classifier).compute()
    np.testing.assert_array_equal(found.facies_map, expected.facies_map)
    assert (found.facies_map.isel(gap) == NODATA).all()
    np.testing.assert_allclose(found.albedo, expected.albedo, atol=1e-6)
    assert found.albedo.isel(gap).isnull().all()


@pytest.mark.parametrize("mark", [*features.MARKS, "all bands 0"])
@pytest.mark.parametrize("bands", [BANDS, BANDS[4:5]], ids=["all", "swir1"])
def test_marks_that_nobody_tells_of(bands_classifier, mark, bands):
    """Never a class, never an albedo, and nothing around changes; it is said. One band of 0 is a dark pixel."""
    cube = clear_sky((40, 44)).assign_coords(sensor=("time", ["landsat-8"]))
    gap = {"time": 0, "y": slice(10, 16), "x": slice(20, 27)}
    plain, marked = cube.copy(deep=True), cube.copy(deep=True)
    for band in bands:
        plain[band][gap] = np.nan
        marked[band][gap] = 0 if mark == "all bands 0" else mark
    dark = mark == "all bands 0" and bands != BANDS
    if dark:
        found = fx.classify(marked, bands_classifier).compute()
        assert (found.facies_map.isel(gap) != NODATA).all()
        return
    with pytest.warns(UserWarning, match="count as missing"):
        found = fx.classify(marked, bands_classifier).compute()
    expected = fx.classify(plain, bands_classifier).compute()
    for name in ("facies_map", "confidence", "albedo"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert (found.facies_map.isel(gap) == NODATA).all()


def test_albedo_by_hand_in_numpy():
    rng = np.random.default_rng(0)
    bands = rng.uniform(0, 1, (5, 20)).astype("float32")
    weights = [0.356, 0.130, 0.373, 0.085, 0.072]
    data = xr.Dataset({name: ("x", plane) for name, plane in zip(albedo.LIANG, bands, strict=True)})
    np.testing.assert_allclose(albedo.liang(data), weights @ bands - 0.0018, rtol=1e-5)
    data["red"][3], data["nir"][5] = -9999, np.nan
    for name in albedo.LIANG:
        data[name][7] = 0
    assert np.flatnonzero(np.isnan(albedo.liang(data))).tolist() == [3, 5, 7]


# -- other shapes -----------------------------------------------------------------------------------------------


def test_one_array_of_all_bands_is_named_and_its_remedy_works(bands_classifier):
    cube = clear_sky()
    stacked = cube.to_array("band").assign_attrs(cube.attrs)
    with pytest.raises(InputError, match=r"one DataArray \(band, time, y, x\).*cube.to_dataset\('band'\)"):
        fx.classify(stacked, bands_classifier)
    again = fx.classify(stacked.to_dataset("band"), bands_classifier)
    np.testing.assert_array_equal(again.facies_map, fx.classify(cube, bands_classifier).facies_map)
    with pytest.raises(InputError, match=r"to_dataset\(name=\.\.\.\)"):
        fx.classify(cube.blue, bands_classifier)
    with pytest.raises(InputError, match="is of type ndarray; give"):
        fx.classify(stacked.values, bands_classifier)
    with pytest.raises(MissingVariableError, match=r"'image' has a dimension 'band'.*to_dataset\('band'\)"):
        fx.classify(stacked.to_dataset(name="image").assign_attrs(cube.attrs), bands_classifier)

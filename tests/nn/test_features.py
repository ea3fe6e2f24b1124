"""Features by name: sets, gaps, what is relative to a glacier."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from facies_xr.errors import GridError, MissingVariableError
from facies_xr.nn import features
from facies_xr.nn.features import FEATURE_SETS, FEATURES, GlacierScale

ALL = FEATURE_SETS[4]


def cube(**changes):
    rng = np.random.default_rng(0)
    data = {name: (("y", "x"), rng.random((4, 5)).astype("float32")) for name in ALL}
    data["glacier_index"] = (("y", "x"), np.repeat([[0, 7, 7, 3, 3]], 4, 0).astype("int32"))
    for name, values in (
        ("glacier_elevation_min", [1000, 2000]),
        ("glacier_elevation_max", [1500, 2000]),
        ("glacier_proximity_max", [50, 0]),
    ):
        data[name] = ("glacier", np.array(values, "float32"))
    return xr.Dataset(data, {"glacier_number": ("glacier", np.array([7, 3], "int32"))}).assign(changes)


@pytest.mark.parametrize(
    ("number", "count", "of_glaciers"),
    [
        (1, 6, ()),
        (2, 8, ("glacier_elevation_min", "glacier_elevation_max")),
        (3, 10, ("glacier_elevation_min", "glacier_elevation_max")),
        (4, 11, ("glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max")),
    ],
)
def test_the_published_sets_and_what_they_need_of_glaciers(number, count, of_glaciers):
    names = FEATURE_SETS[number]
    assert len(set(names)) == count
    assert set(names) <= set(FEATURES)
    assert features.glacier_variables(names) == of_glaciers
    features.require(cube(), number)
    for needed in (*names, *of_glaciers, *(["glacier_index"] if of_glaciers else [])):
        with pytest.raises(MissingVariableError, match=f"'{needed}'"):
            features.require(cube().drop_vars(needed), number)


def test_a_set_asks_for_no_more_than_it_needs():
    features.require(cube().drop_vars("glacier_proximity_max"), 3)
    features.require(cube()[list(FEATURE_SETS[1])], 1)


def test_a_feature_on_other_dims_is_named():
    odd = cube(slope=cube().slope.expand_dims(band=2))
    with pytest.raises(GridError, match="'slope' has dims"):
        features.require(odd, 2)


def test_flags_that_mean_unknown_become_gaps_of_their_own_feature_only():
    planes = np.full((len(ALL), 2, 2), 255, "uint8")
    found = features.stack(planes, ALL)
    assert found.dtype == np.float32
    assert [name for name, plane in zip(ALL, found, strict=True) if np.isnan(plane).any()] == ["shadow_mask"]


def test_only_elevation_and_proximity_are_relative_and_other_orders_work():
    scale = GlacierScale.of(cube(), features.glacier_variables(ALL))
    names = ("proximity", "slope", "elevation")
    index = np.array([[0, 7, 3]])
    planes = np.array([[[0, 25, 40]], [[10, 20, 30]], [[900, 1250, np.nan]]], "float32")
    found = features.relative_to(planes, names, index, scale, 7)
    np.testing.assert_array_equal(found, np.array([[[0, 0.5, 0]], [[10, 20, 30]], [[-0.2, 0.5, np.nan]]], "float32"))


def test_a_glacier_without_relief_or_extent():
    """Its elevation is in the middle of its range, the same in the features and for smoothing; proximity is 0."""
    scale = GlacierScale.of(cube(), features.glacier_variables(ALL))
    planes = np.array([[[2000, 2000, np.nan]], [[0, 5, np.nan]]], "float32")
    found = features.relative_to(planes, ("elevation", "proximity"), np.full((1, 3), 3), scale, 3)
    np.testing.assert_array_equal(found, np.array([[[0.5, 0.5, np.nan]], [[0, 0, np.nan]]], "float32"))


def test_scales_are_looked_up_by_number_and_may_change_with_time():
    moving = cube(glacier_elevation_max=(("time", "glacier"), np.array([[1500, 2500], [1600, 2600]], "float32")))
    first, second = GlacierScale.by_date(moving, features.ELEVATION_RANGE.needs)
    assert first.of_glacier(3, features.ELEVATION_RANGE) == [2000, 2500]
    assert second.of_glacier(7, features.ELEVATION_RANGE) == [1000, 1600]
    with pytest.raises(MissingVariableError, match="holds 5"):
        first.of_glacier(5, features.ELEVATION_RANGE)
    assert GlacierScale.by_date(moving, ()) == [None, None]


def test_a_new_set_is_one_row(monkeypatch, classifier):
    """Three bands and the slope: checked, stacked and classified without another line."""
    import facies_xr as fx
    from facies_xr.nn.network import FaciesNet

    from ..conftest import clear_sky

    monkeypatch.setitem(FEATURE_SETS, 9, ("red", "slope", "green"))
    few = dataclasses.replace(
        classifier, network=FaciesNet(3).eval(), feature_set=9, minimum=[0] * 3, maximum=[1, 60, 1], mean=[0.4] * 3
    )
    plain = clear_sky((34, 36))
    with pytest.raises(MissingVariableError, match="feature set 9 needs 'slope'"):
        fx.classify(plain, few)
    maps = fx.classify(plain.assign(slope=plain.red.isel(time=0) * 50), few).compute()
    assert (maps.facies_map < 8).all()
    assert maps.attrs["feature_set"] == 9

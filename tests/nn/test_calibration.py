"""The calibrator beside maps: as variables the same numbers, and probabilities that agree with the confidence."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from scipy.stats import norm

from facies_xr import stations
from facies_xr.classes import NAMES, NODATA
from facies_xr.errors import ModelError
from facies_xr.nn.calibration import COMPARED, Calibrator, class_probability, separability

from ..conftest import random_classifier


@pytest.fixture(scope="module")
def calibrator():
    weights = np.random.default_rng(0).uniform(0.05, 20, (3, len(NAMES))).round(3)
    scenes, told = tuple(map(tuple, weights.tolist())), {"ice/snow": 0.9531, "snow/firn": 0.7}
    return dataclasses.replace(random_classifier(1).calibrator, scenes=scenes, separability=told)


def test_variables_are_those_of_the_contract(calibrator):
    data = stations.dress(calibrator.to_variables(), "classify")
    assert set(data.data_vars) == set(stations.CALIBRATOR)
    for name, variable in stations.CALIBRATOR.items():
        assert data[name].dims == variable.dims
        assert data[name].dtype == variable.dtype
        assert data[name].attrs["long_name"] == variable.long_name
    assert list(data.facies_class.values) == list(NAMES)
    assert (np.diff(data.score) > 0).all()


def test_a_calibrator_travels_as_variables(calibrator):
    """Through float32, another order of dims, and a file."""
    data = calibrator.to_variables()
    assert Calibrator.from_variables(data) == calibrator
    assert Calibrator.from_variables(data.transpose(..., "facies_class")) == calibrator
    assert Calibrator.from_variables(data.assign(elevation=("y", np.zeros(3)))) == calibrator
    bare = dataclasses.replace(calibrator, scenes=(), shares=(), separability={})
    assert set(bare.to_variables()) == {"calibrator_correct"}
    assert Calibrator.from_variables(bare.to_variables()) == bare


def test_a_calibrator_survives_a_zarr_store(calibrator, tmp_path):
    calibrator.to_variables().to_zarr(tmp_path / "c.zarr")
    assert Calibrator.from_variables(xr.open_zarr(tmp_path / "c.zarr")) == calibrator


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("calibrator_correct"), "no 'calibrator_correct'"),
        (lambda d: d.drop_vars("score"), "no 'calibrator_correct' with its coordinate 'score'"),
        (lambda d: d.isel(facies_class=slice(0, 7)), "classes are not those"),
        (lambda d: d.isel(facies_class=slice(None, None, -1)), "classes are not those"),
    ],
)
def test_what_is_no_calibrator_is_named(calibrator, change, message):
    with pytest.raises(ModelError, match=message):
        Calibrator.from_variables(change(calibrator.to_variables()))


@given(
    scores=some.arrays("float32", (5, len(NAMES)), elements=st.sampled_from([0, 0.125, 0.25, 0.5, 1])),
    confidence=some.arrays("float32", 5, elements=st.floats(0, 1, width=32)),
    label=some.arrays("uint8", 5, elements=st.sampled_from([*range(len(NAMES)), NODATA])),
)
@settings(max_examples=200, deadline=None)
def test_the_other_classes_share_what_the_label_leaves(scores, confidence, label):
    found = class_probability(label, confidence, scores)
    assert found.dtype == np.float32
    for k in range(5):
        if label[k] == NODATA:
            assert np.isnan(found[k]).all()
            continue
        others = np.arange(len(NAMES)) != label[k]
        assert found[k, label[k]] == confidence[k]
        assert found[k].sum() == pytest.approx(1, abs=1e-6)
        rest = scores[k, others].astype("float64")
        share = rest / rest.sum() if rest.sum() else np.full(7, 1 / 7)
        np.testing.assert_allclose(found[k, others], share * (1 - confidence[k]), atol=1e-7)


def test_classes_are_told_apart_as_normal_densities_say():
    """Log odds of two normal classes a distance d apart: the area under the curve is Phi(d / sqrt 2)."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 3], [4000, 4000, COMPARED - 1])
    x = rng.normal(np.where(truth == 1, 1.2, 0.0))
    scores = np.full((truth.size, len(NAMES)), 1e-3)
    scores[:, 0], scores[:, 1] = 1, np.exp(1.2 * x - 0.72)
    found = separability(scores / scores.sum(1, keepdims=True), truth)
    assert set(found) == {"ice/snow"}  # of too few pixels of firn nothing is said
    assert found["ice/snow"] == pytest.approx(norm.cdf(1.2 / np.sqrt(2)), abs=0.01)
    assert separability(np.full((100, len(NAMES)), 1 / 8), np.repeat([0, 1], 50)) == {"ice/snow": 0.5}
    perfect = np.eye(len(NAMES))[np.repeat([0, 1], 50)]
    assert separability(perfect, np.repeat([0, 1], 50)) == {"ice/snow": 1.0}


@pytest.mark.parametrize("told", [{"snow/ice": 0.9}, {"ice/snow": 1.2}, {"ice/snow": "high"}, [0.9]])
def test_what_is_no_separability_is_refused(calibrator, told):
    with pytest.raises(ModelError, match="separability"):
        dataclasses.replace(calibrator, separability=told)

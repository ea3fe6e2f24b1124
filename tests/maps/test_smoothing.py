"""Smoothing: the published filter, scipy, hand-made maps, the law of chunks, and confidence of the label shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import generic_filter, label

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA, VALUES
from facies_xr.errors import InputError, MissingVariableError
from facies_xr.maps import smoothing
from facies_xr.maps.smoothing import STEPS, Window

from ..conftest import clear_sky, random_classifier


def of_labels(labels):
    scores = np.full((len(NAMES), *labels.shape), 0.05, "float32")
    for value in range(len(NAMES)):
        scores[value][labels == value] = 0.65
    return Window(labels, scores, None)


def random_labels(seed, shape=(40, 37), holes=0.1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, shape).astype("uint8")
    labels[rng.random(shape) < 0.5] = 1
    labels[rng.random(shape) < holes] = NODATA
    return labels


def test_the_published_filter(shared):
    with np.load(shared / "oracle_facies" / "smoothing.npz") as file:
        labels, expected = (np.where(file[n] < 0, NODATA, file[n]).astype("uint8") for n in ("labels", "smoothed"))
    np.testing.assert_array_equal(smoothing.mode(of_labels(labels)).labels, expected)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_mode_is_scipys(seed):
    labels = random_labels(seed, (9, 11), 0.3)

    def most_frequent(values):
        if values[4] == NODATA:
            return NODATA
        return np.bincount(values[values != NODATA].astype(int)).argmax()

    expected = generic_filter(labels.astype("int64"), most_frequent, 3, mode="constant", cval=NODATA)
    np.testing.assert_array_equal(smoothing.mode(of_labels(labels)).labels, expected)


def test_majority_is_the_mean_of_the_known_neighbours():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(8), (12, 13)).transpose(2, 0, 1).astype("float32")
    labels = scores.argmax(0).astype("uint8")
    labels[rng.random(labels.shape) < 0.2] = NODATA
    found = smoothing.majority(Window(labels, scores, None))
    for r, c in np.argwhere(labels != NODATA):
        near = (slice(max(r - 1, 0), r + 2), slice(max(c - 1, 0), c + 2))
        mean = scores[(slice(None), *near)][:, labels[near] != NODATA].mean(1)
        np.testing.assert_allclose(found.scores[:, r, c], mean, atol=1e-6)
        assert found.labels[r, c] == mean.argmax()
    assert (found.labels[labels == NODATA] == NODATA).all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_sieve_leaves_no_small_patch_that_had_a_neighbour(seed):
    labels = random_labels(seed)
    found = smoothing.sieve(of_labels(labels)).labels
    assert ((found == NODATA) == (labels == NODATA)).all()
    for value in range(8):
        patch, count = label(labels == value)
        size = np.bincount(patch.ravel(), minlength=count + 1)
        large = size >= smoothing.SIEVE
        large[0] = False
        assert (found[large[patch]] == value).all()


def test_the_sieve_asks_the_edges():
    labels = np.full((9, 9), VALUES["ice"], "uint8")
    labels[:, 5:] = VALUES["snow"]
    labels[4, 4:6] = VALUES["water"]  # three edges on ice, three on snow
    labels[0, 0] = NODATA
    labels[7, 2] = VALUES["cloud"]
    found = smoothing.sieve(of_labels(labels)).labels
    assert found[7, 2] == VALUES["ice"]
    assert (found[4, 4:6] == VALUES["ice"]).all()  # a tie goes to the smallest label
    assert found[0, 0] == NODATA


def test_the_elevation_prior_by_its_formula():
    scores = np.zeros((8, 1, 3), "float32")
    scores[VALUES["ice"]], scores[VALUES["snow"]], scores[VALUES["cloud"]] = 0.36, 0.34, 0.3
    place = np.array([[0.0, 0.5, 1.0]], "float32")
    found = smoothing.elevation(Window(np.zeros((1, 3), "uint8"), scores, place))
    odds = found.scores[VALUES["snow"]] / found.scores[VALUES["ice"]]
    np.testing.assert_allclose(odds[0], 0.34 / 0.36 * np.exp(2 * 2.0 * (place[0] - 0.5)), rtol=1e-5)
    np.testing.assert_allclose(found.scores.sum(0), 1, rtol=1e-6)
    np.testing.assert_allclose(found.scores[VALUES["cloud"]], 0.3, rtol=1e-6)
    assert found.labels.tolist() == [[VALUES["ice"], VALUES["ice"], VALUES["snow"]]]


CUBE = clear_sky((560, 40))


@pytest.fixture(scope="module")
def whole(bands_classifier):
    return fx.classify(CUBE, bands_classifier, smooth=["majority", "sieve"], class_score=True).compute()


@given(st.sampled_from([(100, 40), (512, 17), (77, 33)]))
@settings(max_examples=3, deadline=None)
def test_no_chunk_layout_changes_a_smoothed_map(whole, bands_classifier, chunks):
    cube = CUBE.chunk(y=chunks[0], x=chunks[1])
    found = fx.classify(cube, bands_classifier, smooth=["majority", "sieve"], class_score=True).compute()
    for name in ("facies_map", "confidence", "class_score"):
        np.testing.assert_array_equal(found[name].values, whole[name].values, err_msg=name)


def test_confidence_is_that_of_the_label_shown(whole):
    label_shown = np.where(whole.facies_map.values == NODATA, 0, whole.facies_map.values)[:, None].astype(int)
    shown = np.take_along_axis(whole.class_score.values, label_shown, 1)[:, 0]
    known = whole.facies_map.values != NODATA
    np.testing.assert_array_equal(whole.confidence.values[known], shown[known])
    assert np.isnan(whole.confidence.values[~known]).all()
    assert whole.facies_map.attrs["smoothing"] == "majority sieve"


def test_each_step_is_lazy_and_keeps_what_is_unknown(cube, no_compute, classifier):
    scene = cube.isel(time=[0], y=slice(100, 160), x=slice(100, 160)).compute()
    plain = fx.classify(scene, classifier).compute()
    for step in STEPS:
        with no_compute():
            fx.classify(cube, classifier, smooth=step)
        found = fx.classify(scene, classifier, smooth=step).compute()
        np.testing.assert_array_equal(found.facies_map == NODATA, plain.facies_map == NODATA, err_msg=step)


def test_the_elevation_prior_after_a_model_that_needs_no_elevation(cube, bands_classifier):
    scene = cube.isel(time=[1], x=slice(32, 121))
    found = fx.classify(scene, bands_classifier, smooth="elevation", class_score=True).compute()
    known = found.facies_map != NODATA
    assert known.any()
    np.testing.assert_allclose(found.class_score.sum("facies_class").values[known.values], 1, atol=1e-5)


def test_what_is_surely_hidden_stays_so_under_the_elevation_prior():
    """A pixel whose facies all have the score 0 has no odds to shift."""
    scores = np.zeros((8, 1, 1), "float32")
    scores[VALUES["cloud"]] = 1
    label_there = np.full((1, 1), VALUES["cloud"], "uint8")
    found = smoothing.elevation(Window(label_there, scores, np.ones((1, 1), "float32")))
    assert found.labels.item() == VALUES["cloud"]
    np.testing.assert_array_equal(found.scores, scores)


def test_an_ensembles_spread_is_that_of_the_label_shown():
    members = [random_classifier(1, seed=k) for k in range(3)]
    cube = CUBE.isel(y=slice(0, 60))
    found = fx.classify(cube, members, smooth="mode").compute()
    each = [fx.classify(cube, member, class_score=True).class_score.compute() for member in members]
    spread = np.std([p.values for p in each], axis=0)
    known = found.facies_map.values != NODATA
    label_shown = np.where(known, found.facies_map.values, 0)[:, None].astype(int)
    expected = np.take_along_axis(spread, label_shown, 1)[:, 0]
    np.testing.assert_allclose(found.disagreement.values[known], expected[known], atol=1e-6)


def test_bad_names_are_named(bands_classifier):
    with pytest.raises(InputError, match="smooth='blur': choose 'elevation' or 'majority' or 'mode' or 'sieve'"):
        fx.classify(CUBE, bands_classifier, smooth="blur")
    with pytest.raises(MissingVariableError, match="smooth=\"elevation\" needs 'elevation', 'glacier_index'"):
        fx.classify(CUBE, bands_classifier, smooth="elevation")

"""Dense evaluation is patch by patch: on the published vectors, on noise, at any size, under any mask."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.nn import contexts, dense, patches
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import Folded

from ..conftest import random_classifier
from .test_network import published

NETWORKS = {n: random_classifier(n).network for n in FEATURE_SETS}


def patch_by_patch(network, features):
    height, width = features.shape[1] - 32, features.shape[2] - 32
    rows, columns = (a.ravel() for a in np.mgrid[:height, :width])
    return Folded(network).predict(patches.cut(features, rows, columns)).T.reshape(8, height, width)


def together(network, features):
    return contexts.predict(Folded(network), torch.from_numpy(features)).numpy().transpose(2, 0, 1)


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_every_published_vector(shared, feature_set):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x, expected = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2)), file["softmax_after"]
    home = shared / "published_facies_weights" / str(feature_set)
    rng = np.random.default_rng(0)
    for fold in range(6):
        network = published(home / f"{fold}_cnn_afterconfidentlearning_weights.h5", x.shape[1])
        for patch, softmax in zip(x, expected[fold], strict=True):
            around = rng.standard_normal((x.shape[1], 34, 35)).astype("float32")  # neighbours must not leak in
            around[:, 1:34, 1:34] = patch
            np.testing.assert_allclose(together(network, around)[:, 1, 1], softmax, atol=2e-5)


def test_the_published_raster(shared):
    with np.load(shared / "oracle_facies" / "dense_fs4.npz") as file:
        features, mask, coords = file["features"].transpose(2, 0, 1), file["mask"] == 1, file["coords"]
        softmax, labels, fold = file["softmax"], file["labels"], int(file["fold"])
    path = shared / "published_facies_weights" / "4" / f"{fold}_cnn_afterconfidentlearning_weights.h5"
    found = dense.evaluate(published(path, 11), np.ascontiguousarray(features), mask)
    np.testing.assert_allclose(found[:, coords[:, 0], coords[:, 1]].T, softmax, atol=2e-5)
    np.testing.assert_array_equal(found[:, mask].argmax(0), labels[mask])
    assert np.isnan(found[:, ~mask]).all()


@settings(deadline=None, max_examples=25)
@given(
    feature_set=st.sampled_from(list(FEATURE_SETS)),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_noise_of_odd_sizes(feature_set, height, width, scale, seed):
    network, channels = NETWORKS[feature_set], len(FEATURE_SETS[feature_set])
    rng = np.random.default_rng(seed)
    features = (scale * rng.standard_normal((channels, height + 32, width + 32))).astype("float32")
    np.testing.assert_allclose(together(network, features), patch_by_patch(network, features), atol=2e-5)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.002, 0.1, 0.6, 1.0]), blob=st.booleans())
def test_masks_get_what_they_ask_for(seed, share, blob):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((6, 66, 56)).astype("float32")
    mask = rng.random((66, 56)) < share
    if blob:
        mask[20:40, 20:38] = True
    found = dense.evaluate(NETWORKS[1], features, mask)
    inner = np.zeros_like(mask)
    inner[16:-16, 16:-16] = mask[16:-16, 16:-16]
    assert np.isnan(found[:, ~inner]).all()
    expected = patch_by_patch(NETWORKS[1], features)
    np.testing.assert_allclose(found[:, inner], expected[:, inner[16:-16, 16:-16]], atol=2e-5)


def test_a_plan_covers_each_wanted_pixel_once_and_leaves_empty_land_alone():
    wanted = np.zeros((400, 300), bool)
    wanted[10:60, 20:40] = wanted[200:390, 250:255] = True
    wanted[300, 5] = True
    cost, parts = dense._plan(wanted, (slice(0, 400), slice(0, 300)))
    covered = np.zeros(wanted.shape, int)
    for part in parts:
        covered[part] += 1
    assert (covered[wanted] == 1).all()
    assert covered.max() == 1
    assert max(p.stop - p.start for part in parts for p in part) <= dense.LARGEST
    assert cost < 0.5 * dense._together((slice(0, 400), slice(0, 300)))
    assert dense._plan(np.zeros((40, 40), bool), (slice(0, 40), slice(0, 40))) == (0.0, [])

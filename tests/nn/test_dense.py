"""Dense evaluation is patch by patch: on the published vectors, on noise, at any size, under any mask."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from facies_xr.errors import InputError
from facies_xr.nn import dense, kernels, patches
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import ARCHITECTURES, DenseNet, Folded, folded
from facies_xr.nn.slots import slots
from facies_xr.nn.train import predict

from ..conftest import random_classifier
from .test_network import published

NETWORKS = {n: random_classifier(n).network for n in FEATURE_SETS}


def patch_by_patch(network, features):
    height, width = features.shape[1] - 32, features.shape[2] - 32
    rows, columns = (a.ravel() for a in np.mgrid[:height, :width])
    return Folded(network).predict(patches.cut(features, rows, columns)).T.reshape(8, height, width)


def together(network, features, engine):
    """The whole raster as one part."""
    return dense.ENGINES[engine].predict(folded(network), features).transpose(2, 0, 1)


engines = pytest.mark.parametrize("engine", dense.ENGINES)


@engines
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_every_published_vector(shared, feature_set, engine):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x, expected = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2)), file["softmax_after"]
    home = shared / "published_facies_weights" / str(feature_set)
    rng = np.random.default_rng(0)
    for fold in range(6):
        network = published(home / f"{fold}_cnn_afterconfidentlearning_weights.h5", x.shape[1])
        for patch, softmax in zip(x, expected[fold], strict=True):
            around = rng.standard_normal((x.shape[1], 34, 35)).astype("float32")  # neighbours must not leak in
            around[:, 1:34, 1:34] = patch
            np.testing.assert_allclose(together(network, around, engine)[:, 1, 1], softmax, atol=2e-5)


@engines
def test_the_published_raster(shared, engine):
    with np.load(shared / "oracle_facies" / "dense_fs4.npz") as file:
        features, mask, coords = file["features"].transpose(2, 0, 1), file["mask"] == 1, file["coords"]
        softmax, labels, fold = file["softmax"], file["labels"], int(file["fold"])
    path = shared / "published_facies_weights" / "4" / f"{fold}_cnn_afterconfidentlearning_weights.h5"
    found = dense.evaluate(published(path, 11), np.ascontiguousarray(features), mask, engine)
    np.testing.assert_allclose(found[:, coords[:, 0], coords[:, 1]].T, softmax, atol=2e-5)
    np.testing.assert_array_equal(found[:, mask].argmax(0), labels[mask])
    assert np.isnan(found[:, ~mask]).all()


@engines
@settings(deadline=None, max_examples=25)
@given(
    feature_set=st.sampled_from(list(FEATURE_SETS)),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_noise_of_odd_sizes(engine, feature_set, height, width, scale, seed):
    network, channels = NETWORKS[feature_set], len(FEATURE_SETS[feature_set])
    rng = np.random.default_rng(seed)
    features = (scale * rng.standard_normal((channels, height + 32, width + 32))).astype("float32")
    np.testing.assert_allclose(together(network, features, engine), patch_by_patch(network, features), atol=2e-5)


@engines
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.002, 0.1, 0.6, 1.0]), blob=st.booleans())
def test_masks_get_what_they_ask_for(engine, seed, share, blob):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((6, 66, 56)).astype("float32")
    mask = rng.random((66, 56)) < share
    if blob:
        mask[20:40, 20:38] = True
    found = dense.evaluate(NETWORKS[1], features, mask, engine)
    inner = np.zeros_like(mask)
    inner[16:-16, 16:-16] = mask[16:-16, 16:-16]
    assert np.isnan(found[:, ~inner]).all()
    expected = patch_by_patch(NETWORKS[1], features)
    np.testing.assert_allclose(found[:, inner], expected[:, inner[16:-16, 16:-16]], atol=2e-5)


@engines
def test_a_plan_covers_each_wanted_pixel_once_and_leaves_empty_land_alone(engine):
    engine, everything = dense.ENGINES[engine], (slice(0, 400), slice(0, 300))
    wanted = np.zeros((400, 300), bool)
    wanted[10:60, 20:40] = wanted[200:390, 250:255] = True
    wanted[300, 5] = True
    cost, parts = dense._plan(wanted, everything, engine)
    covered = np.zeros(wanted.shape, int)
    for part in parts:
        covered[part] += 1
    assert (covered[wanted] == 1).all()
    assert covered.max() == 1
    assert max(p.stop - p.start for part in parts for p in part) <= engine.largest
    assert cost < 0.5 * engine.cost(everything)
    assert dense._plan(np.zeros((40, 40), bool), (slice(0, 40), slice(0, 40)), engine) == (0.0, [])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_slots_multiply_polynomials(n):
    """Interpolated cells are the coefficients z^1..z^(n+1) of the product, as numpy's convolution gives them."""
    rng = np.random.default_rng(n)
    taps, maps, s = rng.standard_normal(3), rng.standard_normal(n), slots(n)
    found = s.cells @ ((s.taps @ taps) * (s.maps @ maps))
    np.testing.assert_allclose(found, np.convolve(taps[::-1], maps)[1:], atol=1e-13)


@engines
def test_values_far_outside_stay_finite_and_right(engine):
    """The 192 features of the middle layers carry any scale; softmax would hide an error."""
    features = 1e4 * np.random.default_rng(0).standard_normal((6, 36, 39)).astype("float32")
    found, expected = together(NETWORKS[1], features, engine), patch_by_patch(NETWORKS[1], features)
    assert np.isfinite(found).all()
    same = np.abs(found - expected).max(0) < 1e-3
    assert same.mean() > 0.9  # a tie between classes may turn over at such values


def test_compiled_features_in_float64():
    """Relative error of the 192 features, against the same network in float64."""
    network, rng = NETWORKS[4], np.random.default_rng(1)
    features = rng.standard_normal((11, 37, 40)).astype("float32")
    found = kernels.features(folded(network).compiled, features)
    rows, columns = (a.ravel() for a in np.mgrid[:5, :8])
    x = torch.from_numpy(patches.cut(features, rows, columns)).double()
    exact = copy.deepcopy(network).double()
    with torch.inference_mode():
        fine = exact.fine(x)
        coarse = exact.coarse(exact.pool(fine))
        expected = torch.cat([fine[:, :, 16, 16], coarse[:, :, 5, 5], coarse.amax((2, 3))], 1).numpy()
    error = np.abs(found.reshape(40, 192) - expected).max() / np.abs(expected).max()
    assert error < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bfloat16_errs_by_hundredths(architecture):
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture](6).eval()
    features = np.random.default_rng(0).random((6, 50, 52), "float32")
    exact, coarse = (dense.evaluate(network, features, precision=p) for p in ("float32", "bfloat16"))
    error = np.nanmax(np.abs(exact - coarse))
    assert 1e-6 < error < 0.03
    with pytest.raises(InputError, match="choose float32 or bfloat16"):
        dense.evaluate(network, features, precision="float16")


def test_threads_are_one_within_and_restored_after():
    before = torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]
    with dense.one_thread(), dense.one_thread():
        assert torch.get_num_threads() == 1
        assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
    assert before == (torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()])


def test_engines_are_chosen_by_name():
    with pytest.raises(InputError, match="choose one of auto, compiled, torch"):
        dense.evaluate(NETWORKS[1], np.zeros((6, 40, 40), "float32"), engine="cuda")


def test_weights_that_change_are_seen():
    network = random_classifier(1, seed=3).network
    features = np.random.default_rng(0).standard_normal((6, 34, 34)).astype("float32")
    before = dense.evaluate(network, features)[:, 16, 16]
    with torch.no_grad():
        network.coarse[2][0].weight.mul_(-1)
    after = dense.evaluate(network, features)[:, 16, 16]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, patch_by_patch(network, features)[:, 0, 0], atol=2e-5)


@settings(deadline=None, max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_dense_network_is_itself_at_every_pixel(height, width, seed):
    torch.manual_seed(seed)
    network = DenseNet(8).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    features = np.random.default_rng(seed).standard_normal((8, height + 32, width + 32)).astype("float32")
    rows, columns = (a.ravel() for a in np.mgrid[:height, :width])
    expected = predict(network, patches.cut(features, rows, columns)).T.reshape(8, height, width)
    found = dense.evaluate(network, features)[:, 16:-16, 16:-16]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    with pytest.raises(InputError, match=r'this one is dense: choose "torch"'):
        dense.evaluate(network, features, engine="compiled")

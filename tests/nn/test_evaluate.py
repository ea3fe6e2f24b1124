"""Dense evaluation is patch by patch: on the published vectors, on noise, at any size, under any mask."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from facies_xr.errors import InputError
from facies_xr.nn.architectures import ARCHITECTURES
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.evaluate import evaluate, one_thread, sweep
from facies_xr.nn.evaluate.engine import Engine
from facies_xr.nn.evaluate.pixels import around
from facies_xr.nn.evaluate.plan import plan
from facies_xr.nn.evaluate.slots import slots
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import DenseNet, Folded, Inference, Network
from facies_xr.nn.patches import cut
from facies_xr.nn.train import predict

from ..conftest import random_classifier
from .test_network import published

NETWORKS = {n: random_classifier(n).network for n in FEATURE_SETS}


def patch_by_patch(network, features):
    height, width = features.shape[1] - 32, features.shape[2] - 32
    rows, columns = (a.ravel() for a in np.mgrid[:height, :width])
    return Folded(network).predict(cut(features, rows, columns)).T.reshape(8, height, width)


def together(network, features, engine):
    """The whole raster as one part."""
    return ENGINES[engine].predict(network.folded(), torch.from_numpy(features)).numpy().transpose(2, 0, 1)


ENGINES = {engine.name: engine for engine in Folded.engines if "cpu" in engine.devices}
engines = pytest.mark.parametrize("engine", ENGINES)


@engines
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_every_published_vector(shared, feature_set, engine):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x, expected = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2)), file["softmax_after"]
    home = shared / "published_facies_weights" / str(feature_set)
    rng = np.random.default_rng(0)
    for fold in range(6) if engine == "compiled" else (0, 5):
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
    found = evaluate(published(path, 11), np.ascontiguousarray(features), mask, engine)
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


@pytest.fixture(scope="module")
def noise():
    features = np.random.default_rng(0).standard_normal((6, 66, 56)).astype("float32")
    return features, patch_by_patch(NETWORKS[1], features)


@engines
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.002, 0.1, 0.6, 1.0]), blob=st.booleans())
def test_masks_get_what_they_ask_for(noise, engine, seed, share, blob):
    features, expected = noise
    mask = np.random.default_rng(seed).random((66, 56)) < share
    if blob:
        mask[20:40, 20:38] = True
    found = evaluate(NETWORKS[1], features, mask, engine)
    inner = np.zeros_like(mask)
    inner[16:-16, 16:-16] = mask[16:-16, 16:-16]
    assert np.isnan(found[:, ~inner]).all()
    np.testing.assert_allclose(found[:, inner], expected[:, inner[16:-16, 16:-16]], atol=2e-5)


@engines
def test_a_plan_covers_each_wanted_pixel_once_and_leaves_empty_land_alone(engine):
    engine, everything = ENGINES[engine], (slice(0, 400), slice(0, 300))
    wanted = np.zeros((400, 300), bool)
    wanted[10:60, 20:40] = wanted[200:390, 250:255] = True
    wanted[300, 5] = True
    cost, parts = plan(wanted, everything, engine)
    covered = np.zeros(wanted.shape, int)
    for part in parts:
        covered[part] += 1
    assert (covered[wanted] == 1).all()
    assert covered.max() == 1
    assert max(p.stop - p.start for part in parts for p in part) <= engine.largest
    assert cost < 0.5 * engine.cost(everything)
    assert plan(np.zeros((40, 40), bool), (slice(0, 40), slice(0, 40)), engine) == (0.0, [])


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
    found = sweep.features(network.folded().compiled, features)
    rows, columns = (a.ravel() for a in np.mgrid[:5, :8])
    x = torch.from_numpy(cut(features, rows, columns)).double()
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
    exact, coarse = (evaluate(network, features, precision=p) for p in ("float32", "bfloat16"))
    error = np.nanmax(np.abs(exact - coarse))
    assert 1e-6 < error < 0.03
    with pytest.raises(InputError, match="choose 'float32' or 'tf32' or 'bfloat16'"):
        evaluate(network, features, precision="float16")


def test_threads_are_one_within_and_restored_after():
    before = torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]
    with one_thread(), one_thread():
        assert torch.get_num_threads() == 1
        assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
    assert before == (torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()])


def test_engines_are_chosen_by_name():
    with pytest.raises(InputError, match=r"choose 'auto' or 'compiled' or ('fused' or )?'torch'"):
        evaluate(NETWORKS[1], np.zeros((6, 40, 40), "float32"), engine="cuda")


def test_weights_that_change_are_seen():
    network = random_classifier(1, seed=3).network
    features = np.random.default_rng(0).standard_normal((6, 34, 34)).astype("float32")
    before = evaluate(network, features)[:, 16, 16]
    with torch.no_grad():
        network.coarse[2][0].weight.mul_(-1)
    after = evaluate(network, features)[:, 16, 16]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, patch_by_patch(network, features)[:, 0, 0], atol=2e-5)


@settings(deadline=None, max_examples=8)
@given(height=st.integers(1, 24), width=st.integers(1, 24), seed=st.integers(0, 99))
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
    expected = predict(network, cut(features, rows, columns)).T.reshape(8, height, width)
    found = evaluate(network, features)[:, 16:-16, 16:-16]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    with pytest.raises(InputError, match="dense network: engine='compiled': choose 'auto' or 'torch'"):
        evaluate(network, features, engine="compiled")


@pytest.mark.parametrize("radius", [0, 3, 16])
def test_patches_are_what_is_around_pixels(radius):
    features, n = np.random.default_rng(0).standard_normal((4, 60, 70)).astype("float32"), 2 * radius + 1
    rows, columns = np.array([0, 5, 27]), np.array([0, 37, 3])
    found = around(*map(torch.from_numpy, (features, rows, columns)), radius).numpy()
    for patch, r, c in zip(found, rows, columns, strict=True):
        np.testing.assert_array_equal(patch, features[:, r : r + n, c : c + n])


class Halo(Network):
    """A made-up network: it compares a pixel with the ring 5 px around it, and sees nothing else."""

    architecture = "halo"
    radius = 5

    def __init__(self, channels: int, dropout: float = 0.0):
        super().__init__()
        self.channels = channels
        self.near, self.far = (torch.nn.Conv2d(channels, 8, 1) for _ in range(2))

    def forward(self, patches):
        ring = patches.clone()
        ring[:, :, 1:-1, 1:-1] = 0
        return (self.near(patches)[:, :, 5, 5] - self.far(ring).mean((2, 3))).relu() * 3


class HaloTogether(Inference):
    """The same with an engine of its own: sums of 11 x 11 less sums of 9 x 9."""

    calls = 0

    def whole(self, features):
        type(self).calls += 1
        x = features[None].double()
        net = copy.deepcopy(self._network).double()
        sums = [torch.nn.functional.avg_pool2d(x, n, 1, divisor_override=1) for n in (11, 9)]
        ring = sums[0] - sums[1][:, :, 1:-1, 1:-1]
        with torch.inference_mode():
            far = torch.einsum("kc,ncyx->nkyx", net.far.weight[:, :, 0, 0], ring) / 121 + net.far.bias[:, None, None]
            logits = (net.near(x)[:, :, 5:-5, 5:-5] - far).relu() * 3
        return torch.softmax(logits, 1)[0].permute(1, 2, 0).float()

    engines = (Engine("sums", whole, largest=20, rim=(1.0, 1.0), alone=50.0),)


class HaloWithEngine(Halo):
    architecture = "halo with engine"

    def fold(self):
        return HaloTogether(self)


@pytest.mark.parametrize("kind", [Halo, HaloWithEngine])
def test_a_new_network_is_a_class_and_a_row(kind, monkeypatch, tmp_path):
    """Of another radius, with and without an engine of its own; from its file on it is evaluated as patch by patch."""
    monkeypatch.setitem(ARCHITECTURES, kind.architecture, kind)
    torch.manual_seed(0)
    bounds = {"minimum": np.zeros(6), "maximum": np.ones(6), "mean": np.full(6, 0.5)}
    classifier = Classifier(ARCHITECTURES[kind.architecture](6).eval(), 1, **bounds, name="halo")
    network = Classifier.load(classifier.save(tmp_path / "halo.safetensors")).network
    rng = np.random.default_rng(0)
    features = rng.standard_normal((6, 52, 47)).astype("float32")
    mask = np.zeros((52, 47), bool)
    mask[8:30, 3:40] = mask[45, 30] = True
    probability = evaluate(network, features, mask)
    inner = np.zeros_like(mask)
    inner[5:-5, 5:-5] = mask[5:-5, 5:-5]
    assert np.isnan(probability[:, ~inner]).all()
    rows, columns = np.nonzero(inner[5:-5, 5:-5])
    expected = predict(network, around(*map(torch.from_numpy, (features, rows, columns)), 5).numpy())
    np.testing.assert_allclose(probability[:, inner].T, expected, atol=1e-6)
    assert probability[:, inner].std() > 0.02
    assert HaloTogether.calls == (0 if kind is Halo else 4)  # 22 x 35 px in parts of at most 20; one pixel alone
    with pytest.raises(InputError, match=r"halo.* network: engine='compiled'"):
        evaluate(network, features, mask, "compiled")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_sees_its_radius_and_no_further(architecture):
    """What lies beyond changes nothing; what lies at its edge does."""
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture](6).eval()
    n = network.radius
    features = np.random.default_rng(0).standard_normal((6, 2 * n + 3, 2 * n + 3)).astype("float32")
    before = evaluate(network, features)[:, n, n]
    beyond, edge = features.copy(), features.copy()
    beyond[:, 2 * n + 1 :] = beyond[:, :, 2 * n + 1 :] = 9
    edge[:, 2 * n] += 100
    np.testing.assert_allclose(evaluate(network, beyond)[:, n, n], before, atol=1e-6)
    assert np.abs(evaluate(network, edge)[:, n, n] - before).max() > 1e-4


def test_an_engine_that_does_not_run_so_says_what_does():
    with pytest.raises(InputError, match="engine='compiled' does not run on cpu in bfloat16: choose 'torch'"):
        evaluate(NETWORKS[1], np.zeros((6, 40, 40), "float32"), engine="compiled", precision="bfloat16")

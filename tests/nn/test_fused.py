"""The fused kernel is contexts in torch: on a CUDA card, or interpreted on the CPU. Skipped where Triton is missing."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.nn.evaluate import contexts
from facies_xr.nn.evaluate.device import products
from facies_xr.nn.evaluate.geometry import COARSE, FINE, LAST, MIDDLE, pairs
from facies_xr.nn.features import FEATURE_SETS

from ..conftest import random_classifier
from .test_network import published

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined
pytest.importorskip("triton", reason="Triton is not installed; it comes with torch for CUDA")
fused = pytest.importorskip("facies_xr.nn.evaluate.fused")


def together(network, features):
    with products("float32", DEVICE.type):
        return fused.predict(network.folded(DEVICE), torch.from_numpy(features)).cpu().numpy()


def in_torch(network, features):
    return contexts.predict(network.folded(torch.device("cpu")), torch.from_numpy(features)).numpy()


@pytest.mark.parametrize("feature_set", [1, 4])
@settings(deadline=None, max_examples=2)
@given(height=st.integers(1, 4), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_odd_shapes(feature_set, height, width, seed):
    network, rng = random_classifier(feature_set).network, np.random.default_rng(seed)
    features = rng.standard_normal((len(FEATURE_SETS[feature_set]), height + LAST, width + LAST)).astype("float32")
    np.testing.assert_allclose(together(network, features), in_torch(network, features), atol=2e-6)


@pytest.mark.parametrize("layer", [*FINE[1:], *COARSE], ids="conv {0.edges}, dilation {0.dilation}".format)
def test_every_context_of_every_layer(layer):
    """All output maps of a layer, from random input maps, against torch's convolutions in float64."""
    torch.manual_seed(0)
    patches, size = (3, 5), (LAST + 3 - layer.origin * 2, LAST + 5 - layer.origin * 2)
    maps = {
        pair: torch.randn(1, 64, *(n if t == MIDDLE else p for t, n, p in zip(pair, size, patches, strict=True)))
        for pair in pairs(layer.edges)
    }
    weight, bias = torch.randn(64, 64, 3, 3) / 24, torch.randn(64)
    on_device = {pair: m.to(DEVICE) for pair, m in maps.items()}
    stacked = fused.in_order([(weight.to(DEVICE), bias.to(DEVICE))])[0]
    with products("float32", DEVICE.type):
        made = fused.convolve_all(fused.Stack.of(on_device, layer.edges), layer, stacked, patches).maps
    exact = {pair: m.double() for pair, m in maps.items()}
    assert set(made) == set(pairs(layer.edges + 1))
    for target, values in made.items():
        expected = contexts.convolve(exact, layer, weight.double(), target, patches) + bias[:, None, None]
        np.testing.assert_allclose(values.cpu(), torch.nn.functional.elu(expected), atol=5e-6, err_msg=str(target))


@pytest.mark.parametrize("feature_set", [1, 4])
def test_published_vectors(shared, feature_set):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x, expected = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2)), file["softmax_after"]
    home = shared / "published_facies_weights" / str(feature_set)
    network = published(home / "2_cnn_afterconfidentlearning_weights.h5", x.shape[1])
    for patch, softmax in zip(x[:1], expected[2], strict=False):
        np.testing.assert_allclose(together(network, patch)[0, 0], softmax, atol=2e-5)

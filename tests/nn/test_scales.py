"""The network of few weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from facies_xr.nn.evaluate import evaluate
from facies_xr.nn.patches import SIZE
from facies_xr.nn.scales import MEASURES, ScalesNet, surroundings


def network(channels, seed):
    """With statistics of a batch behind it."""
    torch.manual_seed(seed)
    net = ScalesNet(channels, 0.0).train()
    net(torch.randn(64, channels, SIZE, SIZE))
    return net.eval()


def test_surroundings_are_those_that_scipy_finds():
    image = np.random.default_rng(0).random((3, 60, 47))
    found = surroundings(torch.from_numpy(image)[None])[0].numpy()
    inside = (slice(None), slice(16, -16), slice(16, -16))
    means = [uniform_filter(image, (0, n, n)) for n in (5, 11, 33)]
    extremes = [take(means[0], (1, 29, 29)) for take in (minimum_filter, maximum_filter)]
    expected = np.concatenate([maps[inside] for maps in (image, *means, *extremes)])
    assert found.shape == (60 - 32, 47 - 32, 3 * MEASURES)
    np.testing.assert_allclose(found, expected.transpose(1, 2, 0), atol=1e-12)


@settings(deadline=None, max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_raster_is_its_patches_one_by_one(height, width, seed):
    net = network(4, seed)
    features = np.random.default_rng(seed).standard_normal((4, height + 32, width + 32)).astype("float32")
    mask = np.zeros(features.shape[1:], bool)
    mask[16:-16, 16:-16] = True
    found = evaluate(net, features, mask)[:, 16:-16, 16:-16]
    windows = np.lib.stride_tricks.sliding_window_view(features, (SIZE, SIZE), (1, 2))
    patches = windows.transpose(1, 2, 0, 3, 4).reshape(-1, 4, SIZE, SIZE).copy()
    with torch.inference_mode():
        expected = torch.softmax(net.double()(torch.from_numpy(patches).double()), 1).numpy()
    np.testing.assert_allclose(found.reshape(8, -1).T, expected, atol=2e-5)
    assert found.std() > 1e-3


def test_a_last_batch_of_one_sample_trains_too():
    """It has no spread, so the statistics stay as they are."""
    net = network(2, 0).train()
    before = net.norm.running_mean.clone()
    net(torch.randn(1, 2, SIZE, SIZE)).sum().backward()
    assert torch.equal(net.norm.running_mean, before)
    assert net.head[0].weight.grad.abs().sum() > 0
    net(torch.randn(2, 2, SIZE, SIZE))
    assert not torch.equal(net.norm.running_mean, before)
    with pytest.raises(RuntimeError, match=r"[Oo]utput size"):
        net(torch.randn(2, 2, SIZE - 1, SIZE))

"""Several rasters in one evaluation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.nn.evaluate import evaluate, together
from facies_xr.nn.evaluate.engine import Engine
from facies_xr.nn.evaluate.packing import shelves
from facies_xr.nn.network import DenseNet, FoldedDense


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=12), st.integers(1, 80))
@settings(deadline=None, max_examples=60)
def test_rectangles_lie_on_shelves_without_overlap(sizes, width):
    places, size = shelves(sizes, width)
    taken = np.zeros(size, int)
    for place, (rows, columns) in zip(places, sizes, strict=True):
        taken[place] += 1
        assert taken[place].shape == (rows, columns)
    assert taken.max() == 1
    assert size[1] <= max(width, *(columns for _, columns in sizes), 1)


class Counted(FoldedDense):
    """The network made to be dense, on a device of which each launch is expensive; it counts them."""

    parts: list

    def whole(self, features):
        self.parts.append(tuple(features.shape[1:]))
        return self.by_convolution(features)

    engines = (Engine("whole", whole, 400, (20.0, 20.0), 1000.0, least=50_000.0),)


class Expensive(DenseNet):
    def fold(self):
        return Counted(self)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_small_rasters_share_a_launch_and_keep_their_scores(kind, monkeypatch):
    monkeypatch.setattr(Counted, "parts", [], raising=False)
    torch.manual_seed(0)
    network, rng = Expensive(6).eval(), np.random.default_rng(0)
    rasters = []
    for height, width in ((9, 30), (40, 7), (1, 1), (25, 25), (12, 50)):
        features = rng.standard_normal((6, height + 32, width + 32)).astype("float32")
        rasters.append((kind(features), rng.random((height, width)) < 0.7))
    rasters[2][1][:] = True
    found = together(network, rasters, device="cpu")
    assert len(Counted.parts) == 1
    for (features, wanted), scores in zip(rasters, found, strict=True):
        assert isinstance(scores, type(features))
        alone = np.asarray(evaluate(network, features, np.pad(wanted, 16), device="cpu"))[:, np.pad(wanted, 16)]
        np.testing.assert_allclose(np.asarray(scores), alone, atol=2e-6)
        assert scores.shape == (8, wanted.sum())
    assert len(Counted.parts) == 1 + 4  # alone, one pixel is a patch

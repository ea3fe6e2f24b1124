"""The network against vectors of the published one, patch by patch."""

import h5py
import numpy as np
import pytest
import torch

from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import FaciesNet, Folded
from facies_xr.nn.train import predict


def published(path, channels) -> FaciesNet:
    """Weights of the published Keras file, by its own list of layers."""
    network = FaciesNet(channels)
    with h5py.File(path) as file:
        names = [n.decode() if isinstance(n, bytes) else n for n in file.attrs["layer_names"]]

        def tensor(layer, weight):
            return torch.from_numpy(file[layer][layer][f"{weight}:0"][...])

        blocks = [*network.fine, *network.coarse]
        convolutions = [n for n in names if n.startswith("conv2d")]
        norms = [n for n in names if n.startswith("batch_normalization")]
        for block, layer, norm in zip(blocks, convolutions, norms, strict=True):
            block[0].weight.data = tensor(layer, "kernel").permute(3, 2, 0, 1).contiguous()
            block[0].bias.data = tensor(layer, "bias")
            block[1].weight.data, block[1].bias.data = tensor(norm, "gamma"), tensor(norm, "beta")
            block[1].running_mean, block[1].running_var = tensor(norm, "moving_mean"), tensor(norm, "moving_variance")
        linear = [m for m in network.head if isinstance(m, torch.nn.Linear)]
        for module, layer in zip(linear, [n for n in names if n.startswith("dense")], strict=True):
            module.weight.data, module.bias.data = tensor(layer, "kernel").T.contiguous(), tensor(layer, "bias")
    return network.eval()


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_every_published_vector(shared, feature_set):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x, expected = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2)), file["softmax_after"]
    home = shared / "published_facies_weights" / str(feature_set)
    for fold in range(6):
        network = published(home / f"{fold}_cnn_afterconfidentlearning_weights.h5", x.shape[1])
        np.testing.assert_allclose(predict(network, x), expected[fold], atol=2e-5)
        np.testing.assert_allclose(Folded(network).predict(x), expected[fold], atol=2e-5)


def test_folding_changes_nothing_on_random_weights(classifier):
    x = np.random.default_rng(0).normal(0.5, 2, (40, 11, 33, 33)).astype("float32")
    found = Folded(classifier.network).predict(x)
    np.testing.assert_allclose(found, predict(classifier.network, x), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)

"""The networks: that of Maslov et al. (2026), which keeps the pixel in the middle in sight, and its dense relative.

A network is a class and a row of :data:`facies_xr.nn.architectures.ARCHITECTURES`. It states its radius; where it can
do better than patch by patch, ``fold`` gives the form for inference that states its engines
(:mod:`facies_xr.nn.evaluate`).
"""

import copy
import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..classes import CLASSES
from .evaluate import contexts, sweep, weights
from .evaluate.device import settle
from .evaluate.engine import Engine
from .evaluate.geometry import POOLED, RADIUS, WIDTH


class Network(nn.Module):
    """What classifiers, training and evaluation ask of a network."""

    architecture: ClassVar[str]
    """Its name in a classifier's file."""
    kind: ClassVar[str] = "CNN"
    """What it is, for catalogues."""
    radius: ClassVar[int] = RADIUS
    """Pixels that it sees on each side of a pixel."""
    measures_patches: ClassVar[bool] = False
    """Whether it puts patches through no weights but by what it measures of them: ``measures`` and ``of_measures``."""
    channels: int
    """Number of features."""

    def measures(self, patches: torch.Tensor) -> torch.Tensor:
        """What it measures of patches, the same whatever its weights."""
        raise NotImplementedError

    def of_measures(self, measures: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8) of what it measured of patches."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def folded(self, device: torch.device | None = None) -> "Inference":
        """For inference on a device, by default its own.

        One copy of it is kept on each device, for the networks used last, as long as their weights stay as they are.
        """
        versions = tuple(tensor._version for tensor in self.state_dict(keep_vars=True).values())
        with _lock:
            return _folded(self, versions, device or self.device)

    def fold(self) -> "Inference":
        """For inference, as it is now."""
        return Inference(self)

    def __reduce__(self):
        """Pickled, it travels by way of the CPU: who unpickles it may lack the device."""
        on_cpu = self if self.device.type == "cpu" else copy.deepcopy(self).cpu()
        return _arrived, (type(self), on_cpu.__dict__)

    def __deepcopy__(self, memo: dict) -> "Network":
        """A copy on the same device."""
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__setstate__(copy.deepcopy(self.__dict__, memo))
        return twin


def _arrived(kind: type[Network], state: dict) -> Network:
    network = kind.__new__(kind)
    network.__setstate__(state)
    return network


class Inference:
    """A network for inference, patch by patch."""

    engines: Sequence[Engine] = ()
    """Ways to evaluate a raster as a whole, the best first."""

    def __init__(self, network: Network):
        self.architecture, self.radius = network.architecture, network.radius
        self.device = network.device
        self._network = copy.deepcopy(network).eval()

    def to(self, device: torch.device) -> "Inference":
        """Itself, moved to a device."""
        self._network.to(device)
        self.device = device
        return self

    def here(self, features: torch.Tensor) -> torch.Tensor:
        """Features where it computes."""
        return features.to(self.device)

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """Class probabilities (n, 8) of scaled, finite patches (n, feature, y, x), both float32."""
        return self.scores(self.here(torch.from_numpy(patches))).cpu().numpy()

    @torch.inference_mode()
    def scores(self, patches: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, 8) of patches that are on the device."""
        return torch.softmax(self._network(patches), 1, dtype=torch.float32)


class Block(nn.Sequential):
    """Convolution 3 x 3, batch norm, ELU."""

    def __init__(self, channels: int, padding: int = 1, dilation: int = 1):
        super().__init__(
            nn.Conv2d(channels, WIDTH, 3, padding=padding, dilation=dilation),
            nn.BatchNorm2d(WIDTH, eps=1e-3),
            nn.ELU(),
        )


def _head(dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(3 * WIDTH, 32), nn.ELU(),
        nn.Dropout(dropout), nn.Linear(32, 32), nn.ELU(),
        nn.Dropout(dropout), nn.Linear(32, len(CLASSES)),
    )  # fmt: skip


class FaciesNet(Network):
    """Patches (n, feature, 33, 33) to logits (n, 8)."""

    architecture = "patch"

    def __init__(self, channels: int, dropout: float = 0.5):
        super().__init__()
        self.channels = channels
        self.fine = nn.Sequential(Block(channels), Block(WIDTH), Block(WIDTH))
        self.pool = nn.MaxPool2d(3)
        self.coarse = nn.Sequential(Block(WIDTH), Block(WIDTH), Block(WIDTH))
        self.head = _head(dropout)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8)."""
        fine = self.fine(patches)  # (n, 64, 33, 33)
        coarse = self.coarse(self.pool(fine))  # (n, 64, 11, 11)
        middle = POOLED // 2
        seen = [fine[:, :, RADIUS, RADIUS], coarse[:, :, middle, middle], coarse.amax((2, 3))]
        return self.head(torch.cat(seen, 1))

    def fold(self) -> "Folded":
        """For inference, as it is now."""
        return Folded(self)


class DenseNet(Network):
    """Patches (n, feature, 33, 33) to logits (n, 8), by convolutions without padding.

    It sees the same 33 x 33 pixels, three convolutions fine and three coarse. Nothing in it depends on where a patch
    ends, so that all pixels of a raster share all of its work (:class:`FoldedDense`). Its third output is a maximum
    over 3 x 3 cells, three pixels apart, where the other network's is over 11 x 11.
    """

    architecture = "dense"

    def __init__(self, channels: int, dropout: float = 0.5):
        super().__init__()
        self.channels = channels
        self.fine = nn.Sequential(Block(channels, 0), Block(WIDTH, 0), Block(WIDTH, 0))
        self.pool = nn.MaxPool2d(3, stride=1)
        self.coarse = nn.Sequential(Block(WIDTH, 0, 3), Block(WIDTH, 0, 3), Block(WIDTH, 0, 3))
        self.head = _head(dropout)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8)."""
        fine = self.fine(patches)  # (n, 64, 27, 27)
        coarse = self.coarse(self.pool(fine))  # (n, 64, 7, 7)
        seen = [fine[:, :, 13, 13], coarse[:, :, 3, 3], coarse[:, :, ::3, ::3].amax((2, 3))]
        return self.head(torch.cat(seen, 1))

    def fold(self) -> "FoldedDense":
        """For inference, as it is now."""
        return FoldedDense(self)


_lock = threading.Lock()


@lru_cache(maxsize=16)
def _folded(network: Network, versions: tuple[int, ...], device: torch.device) -> Inference:
    folded = network.fold().to(device)
    settle(device)
    return folded


_WITH_TRITON = int(find_spec("triton") is not None)


class Folded(Inference):
    """The published network for inference: batch norm folded into the convolutions, maxima taken before the ELU.

    The ELU increases, so it commutes with a maximum; both reorderings leave the result as it is, up to rounding.
    """

    def __init__(self, network: FaciesNet | DenseNet):
        self.architecture, self.radius = network.architecture, network.radius
        self.fine = [_fold(block) for block in network.fine]
        self.coarse = [_fold(block) for block in network.coarse]
        self.head = [(layer.weight.detach().cpu(), layer.bias.detach().cpu()) for layer in network.head[1::3]]
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "Folded":
        """Itself, moved to a device."""
        for layers in (self.fine, self.coarse, self.head):
            layers[:] = [(weight.to(device), bias.to(device)) for weight, bias in layers]
        self.device = device
        return self

    @torch.inference_mode()
    def scores(self, patches: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, 8) of patches that are on the device."""
        x = _convolve(patches.contiguous(memory_format=torch.channels_last), self.fine)
        fine = F.elu(x[:, :, RADIUS, RADIUS])
        x = _convolve(F.elu(F.max_pool2d(x, 3)), self.coarse)
        middle = POOLED // 2
        return self.conclude(torch.cat([fine, F.elu(x[:, :, middle, middle]), F.elu(x.amax((2, 3)))], 1))

    @torch.inference_mode()
    def conclude(self, z: torch.Tensor) -> torch.Tensor:
        """Class probabilities (..., 8) of what the convolutions give (..., 192)."""
        for weight, bias in self.head[:-1]:
            z = F.elu(F.linear(z, weight, bias))
        return torch.softmax(F.linear(z, *self.head[-1]), -1, dtype=torch.float32)

    @cached_property
    def stacked(self) -> list:
        """Weights as the fused kernel takes them."""
        from .evaluate import fused

        return fused.in_order([*self.fine[1:], *self.coarse])

    @cached_property
    def compiled(self) -> tuple:
        """Weights as the compiled kernel takes them."""
        return weights.prepare(self)

    def by_kernel(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (y - 32, x - 32, 8) of features (feature, y, x), by the compiled kernel."""
        return self.conclude(torch.from_numpy(sweep.features(self.compiled, features.numpy())))

    def by_fused(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (y - 32, x - 32, 8) of features (feature, y, x), by the kernel of CUDA cards."""
        from .evaluate import fused  # Triton is there where torch has CUDA

        with torch.cuda.device(self.device):
            return fused.predict(self, features)

    def by_contexts(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (y - 32, x - 32, 8) of features (feature, y, x), by contexts in torch."""
        return contexts.predict(self, features)

    engines: Sequence[Engine] = (
        Engine("compiled", by_kernel, 256, (5.8, 9.8), 31.0, devices=("cpu",), precisions=("float32", "tf32")),
        *_WITH_TRITON * (Engine("fused", by_fused, 256, (10.0, 10.0), 17.0, 700.0, ("cuda",), ("float32", "tf32")),),
        Engine("torch", by_contexts, 128, (9.0, 9.0), 11.5, devices=("cpu",)),
        Engine("torch", by_contexts, 512, (9.0, 9.0), 6.6, least=80_000.0, devices=("cuda", "mps")),
    )


class FoldedDense(Folded):
    """The dense network for inference, on rasters of any size; a patch is a raster of one pixel."""

    @torch.inference_mode()
    def scores(self, patches: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, 8) of patches that are on the device."""
        return self.maps(patches)[:, 0, 0]

    @torch.inference_mode()
    def maps(self, rasters: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, y - 32, x - 32, 8) of rasters (n, feature, y, x)."""
        x = _convolve(rasters.contiguous(memory_format=torch.channels_last), self.fine, padding=0)
        height, width = rasters.shape[2] - 2 * RADIUS, rasters.shape[3] - 2 * RADIUS
        fine = F.elu(x[:, :, 13 : 13 + height, 13 : 13 + width])
        x = _convolve(F.elu(F.max_pool2d(x, 3, 1)), self.coarse, padding=0, dilation=3)
        middle = F.elu(x[:, :, 3 : 3 + height, 3 : 3 + width])
        shifted = [x[:, :, 3 * i : 3 * i + height] for i in range(3)]
        rows = torch.maximum(torch.maximum(shifted[0], shifted[1]), shifted[2])
        shifted = [rows[:, :, :, 3 * j : 3 * j + width] for j in range(3)]
        highest = F.elu(torch.maximum(torch.maximum(shifted[0], shifted[1]), shifted[2]))
        return self.conclude(torch.cat([fine, middle, highest], 1).permute(0, 2, 3, 1))

    def by_convolution(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (y - 32, x - 32, 8) of features (feature, y, x)."""
        return self.maps(features[None])[0]

    engines: Sequence[Engine] = (
        Engine("torch", by_convolution, 256, (20.0, 20.0), 300.0, devices=("cpu",)),
        Engine("torch", by_convolution, 1024, (20.0, 20.0), 300.0, least=50_000.0, devices=("cuda", "mps")),
    )


def _fold(block: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its batch norm, folded in float64, on the CPU."""
    convolution, norm = (
        {name: tensor.detach().cpu().double() for name, tensor in block[k].state_dict().items()} for k in (0, 1)
    )
    gain = norm["weight"] / torch.sqrt(norm["running_var"] + block[1].eps)
    weight = (convolution["weight"] * gain[:, None, None, None]).float()
    bias = ((convolution["bias"] - norm["running_mean"]) * gain + norm["bias"]).float()
    return weight.contiguous(memory_format=torch.channels_last), bias


def _convolve(x: torch.Tensor, layers, padding: int = 1, dilation: int = 1) -> torch.Tensor:
    """Convolutions with ELU between them, but not after the last."""
    for k, (weight, bias) in enumerate(layers):
        x = F.conv2d(F.elu_(x) if k else x, weight, bias, padding=padding, dilation=dilation)
    return x

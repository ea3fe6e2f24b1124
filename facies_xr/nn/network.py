"""The networks: that of Maslov et al. (2026), which keeps the pixel in the middle in sight, and its dense relative."""

from functools import cached_property, lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..classes import CLASSES
from .patches import RADIUS, SIZE

WIDTH = 64
POOLED = SIZE // 3


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


class FaciesNet(nn.Module):
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


class DenseNet(nn.Module):
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


ARCHITECTURES: dict[str, type[FaciesNet] | type[DenseNet]] = {"patch": FaciesNet, "dense": DenseNet}
"""Networks by the name that a classifier's file gives them."""

Network = FaciesNet | DenseNet


class Folded:
    """The network for inference: batch norm folded into the convolutions, maxima taken before the ELU.

    The ELU increases, so it commutes with a maximum; both reorderings leave the result as it is, up to rounding.
    """

    def __init__(self, network: Network):
        self.fine = [_fold(block) for block in network.fine]
        self.coarse = [_fold(block) for block in network.coarse]
        linear = [layer for layer in network.head if isinstance(layer, nn.Linear)]
        self.head = [(layer.weight.detach(), layer.bias.detach()) for layer in linear]
        self.device = linear[0].weight.device

    @torch.inference_mode()
    def predict(self, patches: np.ndarray) -> np.ndarray:
        """Class probabilities (n, 8) of scaled, finite patches (n, feature, 33, 33), both float32."""
        x = torch.from_numpy(patches).to(self.device).contiguous(memory_format=torch.channels_last)
        x = _convolve(x, self.fine)
        fine = F.elu(x[:, :, RADIUS, RADIUS])
        x = _convolve(F.elu(F.max_pool2d(x, 3)), self.coarse)
        middle = POOLED // 2
        z = torch.cat([fine, F.elu(x[:, :, middle, middle]), F.elu(x.amax((2, 3)))], 1)
        return self.conclude(z).cpu().numpy()

    @torch.inference_mode()
    def conclude(self, z: torch.Tensor) -> torch.Tensor:
        """Class probabilities (..., 8) of what the convolutions found (..., 192)."""
        for weight, bias in self.head[:-1]:
            z = F.elu(F.linear(z, weight, bias))
        return torch.softmax(F.linear(z, *self.head[-1]), -1, dtype=torch.float32)

    @cached_property
    def compiled(self) -> tuple:
        """Weights as the compiled kernel takes them."""
        from .kernels import prepare

        return prepare(self)


class FoldedDense(Folded):
    """The dense network for inference, on rasters of any size; a patch is a raster of one pixel."""

    @torch.inference_mode()
    def predict(self, patches: np.ndarray) -> np.ndarray:
        """Class probabilities (n, 8) of scaled, finite patches (n, feature, 33, 33), both float32."""
        return self.maps(torch.from_numpy(patches))[:, 0, 0].cpu().numpy()

    @torch.inference_mode()
    def maps(self, rasters: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, y - 32, x - 32, 8) of rasters (n, feature, y, x)."""
        x = _convolve(rasters.to(self.device).contiguous(memory_format=torch.channels_last), self.fine, padding=0)
        height, width = rasters.shape[2] - 2 * RADIUS, rasters.shape[3] - 2 * RADIUS
        fine = F.elu(x[:, :, 13 : 13 + height, 13 : 13 + width])
        x = _convolve(F.elu(F.max_pool2d(x, 3, 1)), self.coarse, padding=0, dilation=3)
        middle = F.elu(x[:, :, 3 : 3 + height, 3 : 3 + width])
        shifted = [x[:, :, 3 * i : 3 * i + height] for i in range(3)]
        rows = torch.maximum(torch.maximum(shifted[0], shifted[1]), shifted[2])
        shifted = [rows[:, :, :, 3 * j : 3 * j + width] for j in range(3)]
        highest = F.elu(torch.maximum(torch.maximum(shifted[0], shifted[1]), shifted[2]))
        return self.conclude(torch.cat([fine, middle, highest], 1).permute(0, 2, 3, 1))


def folded(network: Network) -> Folded:
    """The network for inference, kept for the networks used last, as long as their weights stay as they are."""
    return _folded(network, tuple(tensor._version for tensor in network.state_dict(keep_vars=True).values()))


@lru_cache(maxsize=16)
def _folded(network: Network, versions: tuple[int, ...]) -> Folded:
    return FoldedDense(network) if isinstance(network, DenseNet) else Folded(network)


def _fold(block: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its batch norm, folded in float64."""
    convolution, norm = block[0], block[1]
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = (convolution.weight.detach().double() * gain[:, None, None, None]).float()
    bias = (
        (convolution.bias.detach().double() - norm.running_mean.double()) * gain + norm.bias.detach().double()
    ).float()
    return weight.contiguous(memory_format=torch.channels_last), bias


def _convolve(x: torch.Tensor, layers, padding: int = 1, dilation: int = 1) -> torch.Tensor:
    """Convolutions with ELU between them, but not after the last."""
    for k, (weight, bias) in enumerate(layers):
        x = F.conv2d(F.elu_(x) if k else x, weight, bias, padding=padding, dilation=dilation)
    return x

"""The network of Maslov et al. (2026): a small convolutional network that keeps the pixel in the middle in sight."""

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

    def __init__(self, channels: int):
        super().__init__(
            nn.Conv2d(channels, WIDTH, 3, padding=1),
            nn.BatchNorm2d(WIDTH, eps=1e-3),
            nn.ELU(),
        )


class FaciesNet(nn.Module):
    """Patches (n, feature, 33, 33) to logits (n, 8)."""

    def __init__(self, channels: int, dropout: float = 0.5):
        super().__init__()
        self.channels = channels
        self.fine = nn.Sequential(Block(channels), Block(WIDTH), Block(WIDTH))
        self.pool = nn.MaxPool2d(3)
        self.coarse = nn.Sequential(Block(WIDTH), Block(WIDTH), Block(WIDTH))
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(3 * WIDTH, 32), nn.ELU(),
            nn.Dropout(dropout), nn.Linear(32, 32), nn.ELU(),
            nn.Dropout(dropout), nn.Linear(32, len(CLASSES)),
        )  # fmt: skip

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8)."""
        fine = self.fine(patches)  # (n, 64, 33, 33)
        coarse = self.coarse(self.pool(fine))  # (n, 64, 11, 11)
        middle = POOLED // 2
        seen = [fine[:, :, RADIUS, RADIUS], coarse[:, :, middle, middle], coarse.amax((2, 3))]
        return self.head(torch.cat(seen, 1))


class Folded:
    """The network for inference: batch norm folded into the convolutions, maxima taken before the ELU.

    The ELU increases, so it commutes with a maximum; both reorderings leave the result as it is, up to rounding.
    """

    def __init__(self, network: FaciesNet):
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
        return torch.softmax(F.linear(z, *self.head[-1]), -1)

    @cached_property
    def compiled(self) -> tuple:
        """Weights as the compiled kernel takes them."""
        from .kernels import prepare

        return prepare(self)


def folded(network: FaciesNet) -> Folded:
    """The network for inference, kept for the networks used last, as long as their weights stay as they are."""
    return _folded(network, tuple(tensor._version for tensor in network.state_dict(keep_vars=True).values()))


@lru_cache(maxsize=16)
def _folded(network: FaciesNet, versions: tuple[int, ...]) -> Folded:
    return Folded(network)


def _fold(block: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its batch norm, folded in float64."""
    convolution, norm = block[0], block[1]
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = (convolution.weight.detach().double() * gain[:, None, None, None]).float()
    bias = (
        (convolution.bias.detach().double() - norm.running_mean.double()) * gain + norm.bias.detach().double()
    ).float()
    return weight.contiguous(memory_format=torch.channels_last), bias


def _convolve(x: torch.Tensor, layers) -> torch.Tensor:
    """Convolutions with ELU between them, but not after the last."""
    for k, (weight, bias) in enumerate(layers):
        x = F.conv2d(F.elu_(x) if k else x, weight, bias, padding=1)
    return x

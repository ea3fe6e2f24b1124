"""A network of few weights: a pixel and what lies around it at three distances, then dense layers.

The published networks learn their filters, for which some thousand labelled pixels are too few; the filters of this one
are given. So it is trained in minutes on a CPU, and evaluated on whole rasters by sums that neighbours share.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..classes import CLASSES
from .evaluate.engine import Engine
from .network import Inference, Network

WINDOWS = (5, 11, 33)
"""Edges of the squares around a pixel. [px]"""

MEASURES = len(WINDOWS) + 3
"""Of each feature: its value, its means over the windows, and the least and largest of its means over the smallest."""

HIDDEN = 128
"""Units of a dense layer."""


def surroundings(rasters: torch.Tensor) -> torch.Tensor:
    """What lies around each pixel.

    Parameters
    ----------
    rasters : Tensor (n, feature, y, x)

    Returns
    -------
    Tensor (n, y - 32, x - 32, feature times ``MEASURES``)
        The value and means over each of ``WINDOWS``, and of the means over the smallest window the least and the
        largest within the largest window.
    """
    smallest, *wider = WINDOWS
    reach = wider[-1] - smallest
    around = _mean(rasters, smallest)
    means = [_middle(around, reach), *(_mean(_middle(rasters, wider[-1] - edge), edge) for edge in wider)]
    extremes = [sign * _largest(sign * around, reach + 1) for sign in (-1, 1)]
    return torch.cat([_middle(rasters, wider[-1] - 1), *means, *extremes], 1).permute(0, 2, 3, 1)


def _middle(maps: torch.Tensor, less: int) -> torch.Tensor:
    """Without some of its rows and columns, half of them on each side."""
    edge = less // 2
    return maps[:, :, edge : maps.shape[2] - edge, edge : maps.shape[3] - edge]


def _mean(maps: torch.Tensor, edge: int) -> torch.Tensor:
    """Over squares, columns first."""
    return F.avg_pool2d(F.avg_pool2d(maps, (edge, 1), 1), (1, edge), 1)


def _largest(maps: torch.Tensor, edge: int) -> torch.Tensor:
    return F.max_pool2d(F.max_pool2d(maps, (edge, 1), 1), (1, edge), 1)


class ScalesNet(Network):
    """Patches (n, feature, 33, 33) to logits (n, 8)."""

    architecture = "scales"
    kind = "network"  # its filters are given, and not learned
    measures_patches = True

    def __init__(self, channels: int, dropout: float = 0.5):
        super().__init__()
        self.channels = channels
        self.norm = nn.BatchNorm1d(channels * MEASURES)
        self.head = nn.Sequential(
            nn.Linear(channels * MEASURES, HIDDEN), nn.ELU(),
            nn.Dropout(dropout), nn.Linear(HIDDEN, HIDDEN), nn.ELU(),
            nn.Dropout(dropout), nn.Linear(HIDDEN, len(CLASSES)),
        )  # fmt: skip

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8)."""
        return self.of_measures(self.measures(patches))

    def measures(self, patches: torch.Tensor) -> torch.Tensor:
        """Their :func:`surroundings`."""
        return surroundings(patches)

    def of_measures(self, measures: torch.Tensor) -> torch.Tensor:
        """Logits (n, 8)."""
        return self._scored(measures)[:, 0, 0]

    def maps(self, rasters: torch.Tensor) -> torch.Tensor:
        """Logits (n, y - 32, x - 32, 8) of rasters (n, feature, y, x)."""
        return self._scored(surroundings(rasters))

    def _scored(self, found: torch.Tensor) -> torch.Tensor:
        return self.head(self._standardised(found.reshape(-1, found.shape[-1])).reshape(found.shape))

    def _standardised(self, rows: torch.Tensor) -> torch.Tensor:
        """One row alone has no spread, so it takes part in no statistics."""
        norm = self.norm
        batch = self.training and len(rows) > 1
        return F.batch_norm(
            rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, batch, norm.momentum or 0.0, norm.eps
        )

    def fold(self) -> "FoldedScales":
        """For inference, as it is now."""
        return FoldedScales(self)


class FoldedScales(Inference):
    """The same for inference, on rasters of any size."""

    @torch.inference_mode()
    def by_windows(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (y - 32, x - 32, 8) of features (feature, y, x)."""
        return torch.softmax(self._network.maps(features[None])[0], -1, dtype=torch.float32)

    engines: Sequence[Engine] = (
        Engine("torch", by_windows, 256, (16.0, 16.0), 300.0, devices=("cpu",)),
        Engine("torch", by_windows, 1024, (16.0, 16.0), 300.0, least=50_000.0, devices=("cuda", "mps")),
    )

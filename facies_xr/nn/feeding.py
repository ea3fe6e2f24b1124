"""What a network learns from: patches, batch by batch, or what it measures of them, once, if nothing changes them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from . import prepare
from .augmentation import augment
from .evaluate import arrived
from .network import Network

BLOCK = 256
"""Samples that are looked at together."""

Bounds = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Minimum and maximum of each feature, and the mean of the scaled features."""


@dataclass(frozen=True)
class Augmentation:
    """How patches are changed by chance: see :func:`~.augmentation.augment`."""

    turned: bool
    contrast: float
    brightness: float

    @property
    def nothing(self) -> bool:
        """Whether all patches stay as they are."""
        return not (self.turned or self.contrast or self.brightness)

    def __call__(self, x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Patches (n, feature, y, x), changed."""
        return augment(x, rng, turned=self.turned, contrast=self.contrast, brightness=self.brightness)


@dataclass(frozen=True)
class Feed:
    """Samples on their way into a network."""

    read: Callable[[np.ndarray], torch.Tensor]
    """What is read of the samples of some positions."""
    shown: Callable[[torch.Tensor, np.random.Generator], torch.Tensor]
    """What the network is shown of it."""
    logits: Callable[[torch.Tensor], torch.Tensor]

    def batches(self, order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Positions and what is read of them, one batch after the other; the next is read meanwhile."""
        parts = [order[k : k + size] for k in range(0, len(order), size)]
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.read, parts[0])
            for k, part in enumerate(parts):
                ready = coming.result()
                if k + 1 < len(parts):
                    coming = pool.submit(self.read, parts[k + 1])
                yield part, ready


def prepared(patches: prepare.Array, bounds: Bounds) -> prepare.Array:
    """Patches as a network takes them: scaled, gaps as the means."""
    low, high, mean = bounds
    return prepare.without_gaps(prepare.scaled(patches, low, high), mean)


def feed(network: Network, patches: np.ndarray, bounds: Bounds, augmentation: Augmentation) -> Feed:
    """The samples of a training; in the same order, and with the same weights in the end, either way."""
    inputs = reader(network, patches, bounds)

    def shown(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return augmentation(x, rng).contiguous(memory_format=torch.channels_last)

    if not (network.measures_patches and augmentation.nothing):
        return Feed(inputs, shown, network)
    rng = np.random.default_rng(0)  # it decides nothing here
    measures = torch.cat([network.measures(shown(inputs(block), rng)) for block in blocks(len(patches))])

    def drawn(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        augmentation(x.new_zeros(len(x), 1, 1, 1), rng)  # so that the next epoch has the order that patches have
        return x

    return Feed(lambda chosen: measures[torch.from_numpy(chosen).to(measures.device)], drawn, network.of_measures)


def watch(network: Network, patches: np.ndarray, bounds: Bounds) -> Callable[[], np.ndarray]:
    """Labels that a network gives to samples as it is when it is asked."""
    inputs = reader(network, patches, bounds)
    kept = [network.measures(inputs(block)) for block in blocks(len(patches))] if network.measures_patches else []

    @torch.inference_mode()
    def labels() -> np.ndarray:
        network.eval()
        logits = map(network.of_measures, kept) if kept else (network(inputs(block)) for block in blocks(len(patches)))
        return torch.cat([torch.softmax(part, 1).argmax(1) for part in logits]).cpu().numpy()

    return labels


def reader(network: Network, patches: np.ndarray, bounds: Bounds) -> Callable[[np.ndarray | slice], torch.Tensor]:
    """Network inputs of the samples of some positions, on the network's device."""
    return lambda chosen: torch.as_tensor(prepared(arrived(patches[chosen], network.device), bounds))


def blocks(n: int) -> list[slice]:
    """Of samples, one after the other."""
    return [slice(k, k + BLOCK) for k in range(0, n, BLOCK)]

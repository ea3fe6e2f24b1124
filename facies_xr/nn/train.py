"""Training: a loop that one can read."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress

from .. import metrics
from ..classes import NAMES
from ..errors import InputError, one_of
from . import prepare
from .classifier import Classifier
from .features import FEATURE_SETS
from .labels import Samples
from .loss import balancing_weights, focal_loss
from .network import ARCHITECTURES, Network

SMOOTHING = 0.1


@dataclass(frozen=True)
class Settings:
    """How a network is trained."""

    epochs: int = 20
    batch: int = 256
    learning_rate: float = 1e-3
    dropout: float = 0.5
    architecture: str = "patch"
    """Name of the network: "patch", the published network, or "dense"."""
    seed: int = 0
    balance: float = 1.0
    """Power of the weights that balance classes and scenes: 1 as published, 0 for samples that are drawn as wanted."""


@dataclass
class Run:
    """What training leaves behind."""

    classifier: Classifier
    best_epoch: int
    iou: list[float] = field(default_factory=list)
    """Mean IoU of the validation samples after each epoch."""


def fit(train: Samples, validation: Samples, feature_set: int, name: str, settings: Settings | None = None) -> Run:
    """Train a network; the epoch with the best validation IoU is kept.

    Bounds, means and weights are taken from the training samples alone.

    Parameters
    ----------
    train, validation : Samples
    feature_set : int
    name : str
        Of the classifier.
    settings : Settings, optional

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If there is no such architecture, or there are no samples.
    """
    settings = settings or Settings()
    one_of("architecture", settings.architecture, ARCHITECTURES)
    for what, samples in (("training", train), ("validation", validation)):
        if len(samples) == 0:
            raise InputError(f"there are no {what} samples.")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    low, high, mean = statistics(train.patches)
    inputs, checked = (
        prepare.without_gaps(prepare.scaled(samples.patches, low, high), mean) for samples in (train, validation)
    )
    network = ARCHITECTURES[settings.architecture](len(FEATURE_SETS[feature_set]), settings.dropout)
    network = network.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = cosine(optimiser, len(train), settings)
    weight = torch.from_numpy(balancing_weights(train.label, train.scene, settings.balance))
    best: tuple[float, int, dict] = (-1.0, 0, {})
    history = []
    with Progress() as bar:
        row = bar.add_task(name, total=schedule.T_max)
        for epoch in range(settings.epochs):
            network.train()
            order = rng.permutation(len(train))
            for k in range(0, len(train), settings.batch):
                chosen = order[k : k + settings.batch]
                x = augment(torch.from_numpy(inputs[chosen]), rng).to(device, memory_format=torch.channels_last)
                y = smoothed(torch.from_numpy(train.label[chosen])).to(device)
                loss = focal_loss(network(x), y, weight[chosen].to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.advance(row)
            history.append(mean_iou(network, checked, validation.label))
            bar.update(row, description=f"{name} IoU {history[-1]:.3f}")
            if history[-1] > best[0]:
                best = (history[-1], epoch, {n: t.detach().clone() for n, t in network.state_dict().items()})
    network.load_state_dict(best[2])
    return Run(Classifier(network.cpu().eval(), feature_set, low, high, mean, name), best[1], history)


def cosine(
    optimiser: torch.optim.Optimizer, samples: int, settings: Settings
) -> torch.optim.lr_scheduler.CosineAnnealingLR:
    """Learning rate that falls to 0 over all batches, as half a cosine."""
    steps = settings.epochs * math.ceil(samples / settings.batch)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)


def statistics(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimum and maximum of each feature, and the mean of the scaled features, without gaps."""
    low, high = (f(patches, axis=(0, 2, 3)) for f in (np.nanmin, np.nanmax))
    high = np.where(high > low, high, low + 1)
    return low, high, (np.nanmean(patches, axis=(0, 2, 3), dtype="float64") - low) / (high - low)


def smoothed(label: torch.Tensor) -> torch.Tensor:
    """Labels (n) as probabilities (n, class): a tenth is shared by all classes."""
    return F.one_hot(label, len(NAMES)).float() * (1 - SMOOTHING) + SMOOTHING / len(NAMES)


def augment(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Patches flipped, turned, with another contrast (+-5 %) and brightness (+-.01), each by chance for itself."""
    n = x.shape[0]
    flips, turns = rng.random((2, n)) < 0.5, rng.integers(0, 4, n)
    turned = torch.stack([orient(x[k], flips[0, k], flips[1, k], turns[k]) for k in range(n)])
    contrast, brightness = (
        torch.from_numpy(rng.uniform(middle - half, middle + half, n).astype("float32"))
        for middle, half in ((1, 0.05), (0, 0.01))
    )
    return relight(turned, contrast, brightness)


def orient(patch: torch.Tensor, mirror: bool, overturn: bool, quarters: int) -> torch.Tensor:
    """Patch (feature, y, x) with its columns reversed, then its rows, then turned by quarters, each if asked for."""
    if mirror:
        patch = patch.flip(2)
    if overturn:
        patch = patch.flip(1)
    return torch.rot90(patch, int(quarters), (1, 2))


def relight(x: torch.Tensor, contrast: torch.Tensor, brightness: torch.Tensor) -> torch.Tensor:
    """Patches with a contrast (n) about the mean of each channel and a brightness (n) added to all channels."""
    middle = x.mean((2, 3), keepdim=True)
    return (x - middle) * contrast[:, None, None, None] + middle + brightness[:, None, None, None]


@torch.inference_mode()
def predict(network: Network, inputs: np.ndarray, batch: int = 256) -> np.ndarray:
    """Class probabilities of scaled patches, on the network's device."""
    network.eval()
    device = next(network.parameters()).device
    parts = [
        torch.softmax(network(torch.from_numpy(inputs[k : k + batch]).to(device)), 1).cpu().numpy()
        for k in range(0, len(inputs), batch)
    ]
    return np.concatenate(parts)


def mean_iou(network: Network, inputs: np.ndarray, label: np.ndarray) -> float:
    """Intersection over union of a network on scaled patches, mean over the classes that labels or network have."""
    counts = metrics.confusion(label, predict(network, inputs).argmax(1), len(NAMES))
    return float(np.nanmean(metrics.iou(counts)))

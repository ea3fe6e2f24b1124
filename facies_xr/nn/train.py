"""Training: a loop that one can read."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress

from .. import metrics
from ..classes import NAMES
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
    """
    settings = settings or Settings()
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    low, high, mean = statistics(train.patches)
    network = ARCHITECTURES[settings.architecture](len(FEATURE_SETS[feature_set]), settings.dropout)
    network = network.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    weight = torch.from_numpy(balancing_weights(train.label, train.scene))
    inputs, checked = (
        prepare.without_gaps(prepare.scaled(samples.patches, low, high), mean) for samples in (train, validation)
    )
    steps = settings.epochs * math.ceil(len(train) / settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best: tuple[float, int, dict] = (-1.0, 0, {})
    history = []
    with Progress() as bar:
        row = bar.add_task(name, total=steps)
        for epoch in range(settings.epochs):
            network.train()
            order = rng.permutation(len(train))
            for k in range(0, len(train), settings.batch):
                chosen = order[k : k + settings.batch]
                x = augment(torch.from_numpy(inputs[chosen]), rng).to(device, memory_format=torch.channels_last)
                y = F.one_hot(torch.from_numpy(train.label[chosen]), len(NAMES)).float()
                y = (y * (1 - SMOOTHING) + SMOOTHING / len(NAMES)).to(device)
                loss = focal_loss(network(x), y, weight[chosen].to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.advance(row)
            counts = metrics.confusion(validation.label, predict(network, checked).argmax(1), len(NAMES))
            history.append(float(np.nanmean(metrics.iou(counts))))
            bar.update(row, description=f"{name} IoU {history[-1]:.3f}")
            if history[-1] > best[0]:
                best = (history[-1], epoch, {n: t.detach().clone() for n, t in network.state_dict().items()})
    network.load_state_dict(best[2])
    found = Classifier(network.cpu().eval(), feature_set, low, high, mean, name)
    return Run(found, best[1], history)


def statistics(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimum and maximum of each feature, and the mean of the scaled features, without gaps."""
    low, high = (f(patches, axis=(0, 2, 3)) for f in (np.nanmin, np.nanmax))
    high = np.where(high > low, high, low + 1)
    return low, high, (np.nanmean(patches, axis=(0, 2, 3), dtype="float64") - low) / (high - low)


def augment(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Flips, quarter turns, contrast +-5 % about each channel's mean, brightness +-.01 of all channels; by sample."""
    n = x.shape[0]
    flips, turns = rng.random((2, n)) < 0.5, rng.integers(0, 4, n)
    out = torch.empty_like(x)
    for k in range(n):
        one = x[k]
        if flips[0, k]:
            one = one.flip(2)
        if flips[1, k]:
            one = one.flip(1)
        out[k] = torch.rot90(one, int(turns[k]), (1, 2))
    contrast = torch.from_numpy(rng.uniform(0.95, 1.05, n).astype("float32"))[:, None, None, None]
    brightness = torch.from_numpy(rng.uniform(-0.01, 0.01, n).astype("float32"))[:, None, None, None]
    middle = out.mean((2, 3), keepdim=True)
    return (out - middle) * contrast + middle + brightness


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

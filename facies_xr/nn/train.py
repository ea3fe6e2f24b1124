"""Training: a loop that one can read.

On one kind of device a seed gives one network, also when the training was killed and went on from its checkpoint.
"""

import hashlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import metrics
from ..classes import NAMES
from ..errors import InputError, one_of
from ..progress import Tracker, tracked
from . import prepare
from .architectures import ARCHITECTURES
from .checkpoint import Training
from .classifier import Classifier
from .evaluate import arrived
from .features import FEATURE_SETS
from .feeding import Augmentation, Bounds, Feed, feed, watch
from .labels import Samples
from .loss import BALANCES, balancing_weights, focal_loss
from .network import Network

SMOOTHING = 0.1

PRECISIONS = ("float32", "bfloat16")

KEPT = ("best", "last")
"""Epochs whose weights may be kept."""

BLOCK = 1024
"""Samples that are looked at together for statistics."""

_one_at_a_time = threading.Lock()
"""Torch's random numbers are those of the process: two trainings in one take turns, and both stay reproducible."""


@dataclass(frozen=True)
class Settings:
    """How a network is trained; :data:`PUBLISHED` is Maslov et al. (2026): P their paper, S their software."""

    epochs: int = 20
    """P: 1000."""
    batch: int = 256
    """Samples of a step. P: 512."""
    learning_rate: float = 1e-3
    """Of Adam, at the start. P: 0.001."""
    dropout: float = 0.5
    """After the concatenation and each hidden layer. S: .5."""
    architecture: str = "patch"
    """Name of the network: "patch", the published network, "dense" or "scales"."""
    seed: int = 0
    gamma: float = 2.0
    """Of the focal loss, Eq. 1. P: 2; its alpha is 1 and left out."""
    class_weights: str = "inverse"
    """"inverse": N / N_class, "root": its square root, "none". P: inverse."""
    scene_weights: str = "inverse"
    """The same of the scene, Eq. 1. P: inverse."""
    normalised_weights: bool = True
    """Weights with mean 1; else as they are. S: False."""
    smoothing: float = SMOOTHING
    """Share of a label that all classes share. S: .1."""
    turned: bool = True
    """Patches are flipped and turned by chance. P: True."""
    contrast: float = 0.05
    """Half width of the factor about each feature's mean. P: .05."""
    brightness: float = 0.01
    """Half width of what is added to all features. P: .01."""
    cosine: bool = True
    """The learning rate falls to 0 over all steps as half a cosine; else it is constant. P: True."""
    kept: str = "best"
    """"best": the epoch with the highest IoU of the validation samples, "last": the last one, where few validation
    samples of rare classes decide by chance. P: best."""
    momentum: float = 0.1
    """Share of a batch in the running statistics of the batch normalisation. S: .01, which needs thousands of steps."""
    epsilon: float = 1e-8
    """Of Adam. S: 1e-7."""
    glorot: bool = False
    """Weights start uniform by Glorot and Bengio, biases at 0; else as torch does. S: True."""
    precision: str = "float32"
    """"float32", or "bfloat16" for the network's products; the loss stays float32. S: float32."""

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("class_weights", self.class_weights, BALANCES)
        one_of("scene_weights", self.scene_weights, BALANCES)
        one_of("precision", self.precision, PRECISIONS)
        one_of("kept", self.kept, KEPT)
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1.")


PUBLISHED = Settings(
    epochs=1000, batch=512, normalised_weights=False, momentum=0.01, epsilon=1e-7, glorot=True
)  # fmt: skip
"""Of Maslov et al. (2026)."""


@dataclass
class Run:
    """What training leaves behind."""

    classifier: Classifier
    best_epoch: int
    iou: list[float] = field(default_factory=list)
    """Mean IoU of the validation samples after each epoch."""
    loss: list[float] = field(default_factory=list)
    """Of the training samples, mean of each epoch."""


def fit(
    train: Samples,
    validation: Samples,
    feature_set: int,
    name: str,
    settings: Settings | None = None,
    *,
    checkpoint: str | Path | None = None,
    shown: bool = True,
) -> Run:
    """Train a network; the epoch with the best validation IoU is kept, if the settings do not say otherwise.

    Bounds, means and weights are taken from the training samples alone.

    Parameters
    ----------
    train, validation : Samples
        In memory, or left in their store (``PatchStore.samples(streamed=True)``).
    feature_set : int
    name : str
        Of the classifier.
    settings : Settings, optional
    checkpoint : str or Path, optional
        File that is written after each epoch (:func:`facies_xr.nn.checkpoint.curves` shows how far it is) and from
        which the same training goes on; the result is that of an undisturbed one.
    shown : bool
        Whether progress is shown.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If there are no samples, or they have other features than the set.
    StoreError
        If the checkpoint is of another training, or damaged.
    """
    settings = settings or Settings()
    channels = len(FEATURE_SETS[feature_set])
    for what, samples in (("training", train), ("validation", validation)):
        if len(samples) == 0:
            raise InputError(f"there are no {what} samples.")
        if samples.patches.shape[1] != channels:
            raise InputError(
                f"the {what} patches have {samples.patches.shape[1]} features, set {feature_set} {channels}."
            )
    bounds = statistics(train.patches)
    with _one_at_a_time, torch.random.fork_rng():
        training = _start(len(train), channels, settings)
        path = None if checkpoint is None else Path(checkpoint)
        key = _key(train, validation, bounds, name, settings) if path else ""
        if path and path.exists():
            training.resume(path, key)
        weight = _weights(train, settings)
        augmentation = Augmentation(settings.turned, settings.contrast, settings.brightness)
        fed = feed(training.network, train.patches, bounds, augmentation)
        seen = watch(training.network, validation.patches, bounds)
        steps = math.ceil(len(train) / settings.batch)
        with tracked(f"{name}: steps", settings.epochs * steps, shown=shown) as told:
            told.at(len(training.iou) * steps)
            while len(training.iou) < settings.epochs:
                training.loss.append(_epoch(training, train, fed, weight, settings, told))
                training.iou.append(_mean_iou(validation.label, seen()))
                training.keep(settings.kept)
                if path:
                    training.save(path, key)
    training.network.load_state_dict(training.best)
    network = training.network.cpu().eval()
    return Run(Classifier(network, feature_set, *bounds, name), training.best_epoch, training.iou, training.loss)


def _start(samples: int, channels: int, settings: Settings) -> Training:
    """A network before its first step."""
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = ARCHITECTURES[settings.architecture](channels, settings.dropout)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = settings.momentum
        elif settings.glorot and isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    network = network.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, eps=settings.epsilon)
    return Training(network, optimiser, cosine(optimiser, samples, settings), np.random.default_rng(settings.seed))


def _weights(train: Samples, settings: Settings) -> torch.Tensor:
    return torch.from_numpy(
        balancing_weights(
            train.label,
            train.scene,
            of_class=settings.class_weights,
            of_scene=settings.scene_weights,
            normalised=settings.normalised_weights,
        )
    )


def _epoch(
    training: Training, train: Samples, fed: Feed, weight: torch.Tensor, settings: Settings, told: Tracker
) -> float:
    """One pass over the training samples; the mean loss."""
    device = training.network.train().device
    losses = []
    order = _order(train.patches, training.rng)
    for chosen, inputs in fed.batches(order, settings.batch):
        x = fed.shown(inputs, training.rng)
        y = smoothed(torch.from_numpy(train.label[chosen]), settings.smoothing).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = fed.logits(x)
        loss = focal_loss(logits.float(), y, weight[chosen].to(device), settings.gamma)
        training.optimiser.zero_grad()
        loss.backward()
        training.optimiser.step()
        if settings.cosine:
            training.schedule.step()
        losses.append(loss.detach())
        told.advance()
    return float(torch.stack(losses).mean())


def _order(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples in random order; of a store as far as that can be read."""
    return patches.shuffled(rng) if hasattr(patches, "shuffled") else rng.permutation(len(patches))


def cosine(
    optimiser: torch.optim.Optimizer, samples: int, settings: Settings
) -> torch.optim.lr_scheduler.CosineAnnealingLR:
    """Learning rate that falls to 0 over all batches, as half a cosine."""
    steps = settings.epochs * math.ceil(samples / settings.batch)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)


def statistics(patches: np.ndarray) -> Bounds:
    """Minimum and maximum of each feature, and the mean of the scaled features, without gaps."""
    channels = patches.shape[1]
    low, high = np.full(channels, np.inf, "float32"), np.full(channels, -np.inf, "float32")
    total, count = np.zeros(channels), np.zeros(channels)
    for k in range(0, len(patches), BLOCK):
        block = patches[k : k + BLOCK]
        low, high = np.fmin(low, np.fmin.reduce(block, (0, 2, 3))), np.fmax(high, np.fmax.reduce(block, (0, 2, 3)))
        total += np.nansum(block, axis=(0, 2, 3), dtype="float64")
        count += np.isfinite(block).sum((0, 2, 3))
    if unknown := np.flatnonzero(count == 0).tolist():
        raise InputError(f"feature {unknown[0]} has no data in any of {len(patches)} patches.")
    high = np.where(high > low, high, low + 1)
    return low, high, (total / count - low) / (high - low)


def smoothed(label: torch.Tensor, smoothing: float = SMOOTHING) -> torch.Tensor:
    """Labels (n) as probabilities (n, class): a tenth, or another share, is shared by all classes."""
    return F.one_hot(label, len(NAMES)).float() * (1 - smoothing) + smoothing / len(NAMES)


@torch.inference_mode()
def predict(network: Network, inputs: np.ndarray, batch: int = 256) -> np.ndarray:
    """Class probabilities of scaled patches, on the network's device."""
    return _predict(network, inputs, batch, lambda part: part)


def probabilities(classifier: Classifier, samples: Samples, batch: int = 256) -> np.ndarray:
    """Class scores (n, class) that a classifier gives samples, in memory or in their store. float32"""
    return _predict(classifier.network, samples.patches, batch, classifier.inputs)


@torch.inference_mode()
def _predict(
    network: Network, patches: np.ndarray, batch: int, inputs: Callable[[prepare.Array], prepare.Array]
) -> np.ndarray:
    network.eval()
    parts = [np.empty((0, len(NAMES)), "float32")]
    for k in range(0, len(patches), batch):
        logits = network(torch.as_tensor(inputs(arrived(patches[k : k + batch], network.device))))
        parts.append(torch.softmax(logits, 1).cpu().numpy())
    return np.concatenate(parts)


def mean_iou(network: Network, samples: Samples, bounds: Bounds) -> float:
    """Intersection over union of a network on samples, mean over the classes that labels or network have."""
    return _mean_iou(samples.label, watch(network, samples.patches, bounds)())


def _mean_iou(label: np.ndarray, found: np.ndarray) -> float:
    return float(np.nanmean(metrics.iou(metrics.confusion(label, found, len(NAMES)))))


def _key(train: Samples, validation: Samples, bounds: Bounds, name: str, settings: Settings) -> str:
    """Stands for all that decides a training."""
    hashed = hashlib.sha256(json.dumps([name, asdict(settings)], sort_keys=True).encode())
    for part in (train, validation):
        for values in (part.label, part.scene.astype("U"), part.glacier.astype("U"), part.patches[:BLOCK]):
            hashed.update(np.ascontiguousarray(values).tobytes())
    for values in bounds:
        hashed.update(values.tobytes())
    return hashed.hexdigest()

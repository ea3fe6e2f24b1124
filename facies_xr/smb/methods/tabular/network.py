"""Many small feed-forward networks trained at once: for all members, one batched matrix product a layer.

::

    member, row, feature   x weights (member, in, out)  ->  member, row, 40  ->  ...  ->  member, row, 1

Members differ in their training rows, features, seeds, and in all settings but the shape of the network. What a member
becomes does not depend on the others: its weights start from its own seed, the noise is a function of epoch, row and
feature, and its updates are its own (Adam of Kingma and Ba 2015, with a rate for each member).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

ACTIVATIONS = ("elu", "relu", "tanh")

CHECKED_EVERY = 5
"""Epochs from one look at the rows held out to the next."""

WARM_UP, REWEIGHED_EVERY, MEMORY = 50, 10, 0.9
"""Epochs without weights, epochs between weights, and memory of a row's error."""

WEIGHTS = (0.25, 4.0)
"""Least and largest weight of a row, before their mean is made 1."""

BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Settings:
    """Of one network. The defaults rebuild what is known of Wang and Zhang (2026); what is not known is ours."""

    hidden: tuple[int, ...] = (40, 20, 10, 5)
    activation: str = "elu"
    sigma: float = 0.1
    """Standard deviation of the noise on the standardised inputs, in training only."""
    l1: float = 1e-3
    """Penalty of the absolute weights; biases are free."""
    rate: float = 3e-3
    """Of learning."""
    gamma: float = 0.0
    """Power with which the weight of a row follows its error; 0: all rows weigh the same."""
    epochs: int = 2000
    patience: int = 100
    """Epochs without a smaller error of the rows held out, after which a member stops."""

    @property
    def shape(self) -> tuple:
        """What members of one batch have in common."""
        return self.hidden, self.activation, self.epochs, self.patience


@dataclass(frozen=True)
class Networks:
    """Trained members."""

    weights: list[np.ndarray]
    """Of each layer (member, in, out)."""
    biases: list[np.ndarray]
    """Of each layer (member, 1, out)."""
    activation: str
    epochs: np.ndarray
    """At which each member's error on the rows held out was least."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (member, row) of inputs (member or 1, row, feature)."""
        h = np.asarray(x, "float32")
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = h @ w + b
            if k < len(self.weights) - 1:
                h = _ACTIVATE[self.activation](h)
        return h[..., 0]

    def take(self, members: np.ndarray) -> "Networks":
        """Some of the members."""
        return Networks(
            [w[members] for w in self.weights],
            [b[members] for b in self.biases],
            self.activation,
            self.epochs[members],
        )


_ACTIVATE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": lambda h: np.where(h > 0, h, np.expm1(np.minimum(h, 0))),
    "relu": lambda h: np.maximum(h, 0),
    "tanh": np.tanh,
}


def parameters(features: int, hidden: Sequence[int], *, bias: bool = True) -> int:
    """Number of a network's parameters: 2211 of 27-40-20-10-5-1."""
    sizes = [features, *hidden, 1]
    return sum(a * b + bias * b for a, b in pairwise(sizes))


def row_weights(error: np.ndarray, gamma: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Weights that follow the errors of rows: clip((m / mean m)^gamma), then divided by their mean.

    Parameters
    ----------
    error : ndarray (member, row)
        Running mean m of each row's squared error.
    gamma : ndarray (member)
    among : ndarray (member, row) of bool
        Training rows; others weigh 0.
    """
    count = np.maximum(among.sum(1, keepdims=True), 1)
    mean = np.maximum((error * among).sum(1, keepdims=True) / count, 1e-12)
    weight = np.clip((np.maximum(error, 1e-12) / mean) ** gamma[:, None], *WEIGHTS) * among
    return weight * count / np.maximum(weight.sum(1, keepdims=True), 1e-12)


def noise(epoch: int, features: int, rows: int) -> np.ndarray:
    """Standard normal noise of an epoch (row, feature): the same for all members, however many rows others have."""
    drawn = 1 << max(5, (features - 1).bit_length())
    return np.random.default_rng([7, epoch]).standard_normal((rows, drawn), "float32")[:, :features]


def initial(seed: int, layer: int, fan_in: int, sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of a layer before training, uniform within 1 / sqrt(fan in)."""
    rng, bound = np.random.default_rng([seed, layer]), 1 / np.sqrt(max(fan_in, 1))
    biases = rng.uniform(-bound, bound, (1, sizes[1]))
    return rng.uniform(-bound, bound, sizes).astype("float32"), biases.astype("float32")


def train(
    x: np.ndarray,
    y: np.ndarray,
    training: np.ndarray,
    checking: np.ndarray,
    settings: Sequence[Settings],
    seeds: Sequence[int],
    features: Sequence[int] | None = None,
) -> Networks:
    """Train members of one shape at once.

    Parameters
    ----------
    x : ndarray (member, row, feature)
        Standardised inputs; 0 where a member has fewer features than others.
    y : ndarray (member, row)
        Standardised targets; of rows that are neither trained on nor checked any finite number.
    training, checking : ndarray (member, row) of bool
        Rows that train a member, and those whose error, unweighted and without noise, stops it.
    settings : sequence of Settings
        Of each member, of one ``shape``.
    seeds : sequence of int
    features : sequence of int, optional
        Number of features of each member, by default all.

    Returns
    -------
    Networks
        Each member as it was when its error on its rows for checking was least.
    """
    members, _, width = x.shape
    sizes = [width, *settings[0].hidden, 1]
    fans = [features if features is not None else [width] * members] + [[size] * members for size in sizes[1:-1]]
    layers = [
        [initial(seed, k, fan, (sizes[k], sizes[k + 1])) for seed, fan in zip(seeds, fans[k], strict=True)]
        for k in range(len(sizes) - 1)
    ]
    start = [np.stack(part) for layer in layers for part in zip(*layer, strict=True)]
    best, epochs = _Training(x, y, training, checking, settings, start).run()
    return Networks(best[0::2], best[1::2], settings[0].activation, epochs)


class _Training:
    """The loop; members that have stopped are taken out when they are half of all."""

    def __init__(self, x, y, training, checking, settings, start):
        import torch

        self.torch, self.shape = torch, settings[0]
        self.live = np.arange(len(x))
        self.best, self.epoch_of_best = [part.copy() for part in start], np.zeros(len(x), int)
        self.least, self.stale = np.full(len(x), np.inf), np.zeros(len(x), int)
        self.gamma = np.array([s.gamma for s in settings], "float32")
        self.among = training
        self.error = np.zeros(y.shape, "float32")
        per_member = {name: [getattr(s, name) for s in settings] for name in ("sigma", "l1", "rate")}
        self.tensors = {
            "x": torch.from_numpy(np.ascontiguousarray(x, "float32")),
            "y": torch.from_numpy(np.ascontiguousarray(y, "float32")),
            "weight": torch.from_numpy(training.astype("float32")),
            "checking": torch.from_numpy(checking.astype("float32")),
            "there": torch.from_numpy((np.abs(x).max(1, keepdims=True) > 0).astype("float32")),
            **{name: torch.tensor(v, dtype=torch.float32)[:, None, None] for name, v in per_member.items()},
        }
        self.parameters = [torch.from_numpy(part.copy()).requires_grad_() for part in start]
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]

    def run(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Train until all members have stopped; the best parameters and their epochs."""
        for epoch in range(1, self.shape.epochs + 1):
            self._step(epoch)
            if epoch % CHECKED_EVERY == 0 or epoch == self.shape.epochs:
                self._check(epoch)
                stopped = self.stale[self.live] >= self.shape.patience
                if stopped.all():
                    break
                if 2 * stopped.sum() > stopped.size:
                    self._keep(np.flatnonzero(~stopped))
        return self.best, self.epoch_of_best

    def forward(self, x):
        """Outputs (member, row)."""
        torch = self.torch
        activate = {"elu": torch.nn.functional.elu, "relu": torch.relu, "tanh": torch.tanh}[self.shape.activation]
        last = len(self.parameters) - 2
        for k in range(0, last + 2, 2):
            x = torch.baddbmm(self.parameters[k + 1], x, self.parameters[k])
            if k < last:
                x = activate(x)
        return x[..., 0]

    def _step(self, epoch: int) -> None:
        torch, t = self.torch, self.tensors
        field = torch.from_numpy(np.ascontiguousarray(noise(epoch, t["x"].shape[2], t["x"].shape[1])))
        out = self.forward(t["x"] + t["sigma"] * t["there"] * field if bool((t["sigma"] > 0).any()) else t["x"])
        squared = (t["weight"] * (out - t["y"]) ** 2).sum(1) / t["weight"].sum(1).clamp(min=1e-6)
        penalty = sum((t["l1"][:, 0, 0] * w.abs().sum((1, 2)) for w in self.parameters[0::2]), torch.zeros(1))
        gradients = torch.autograd.grad((squared + penalty).sum(), self.parameters)
        first, second = BETAS
        with torch.no_grad():
            for p, g, (m, v) in zip(self.parameters, gradients, self.moments, strict=True):
                m.mul_(first).add_(g, alpha=1 - first)
                v.mul_(second).addcmul_(g, g, value=1 - second)
                size = (v / (1 - second**epoch)).sqrt_().add_(1e-8)
                p -= t["rate"] * (m / (1 - first**epoch)) / size

    def _check(self, epoch: int) -> None:
        with self.torch.no_grad():
            squares = (self.forward(self.tensors["x"]) - self.tensors["y"]) ** 2
            counted = self.tensors["checking"]
            error = ((squares * counted).sum(1) / counted.sum(1).clamp(min=1)).numpy()
        better = np.isfinite(error) & (error < self.least[self.live] - 1e-4)
        now = self.live[better]
        self.least[now], self.epoch_of_best[now] = error[better], epoch
        self.stale[self.live] += CHECKED_EVERY
        self.stale[now] = 0
        for kept, p in zip(self.best, self.parameters, strict=True):
            kept[now] = p.detach().numpy()[better]
        if epoch % REWEIGHED_EVERY == 0 and (self.gamma > 0).any():
            self.error = MEMORY * self.error + (1 - MEMORY) * squares.numpy()
            if epoch > WARM_UP:
                weight = row_weights(self.error, self.gamma, self.among).astype("float32")
                self.tensors["weight"] = self.torch.from_numpy(weight)

    def _keep(self, members: np.ndarray) -> None:
        index = self.torch.from_numpy(members)
        self.live, self.gamma = self.live[members], self.gamma[members]
        self.among, self.error = self.among[members], self.error[members]
        self.tensors = {name: tensor[index] for name, tensor in self.tensors.items()}
        self.parameters = [p.detach()[index].requires_grad_() for p in self.parameters]
        self.moments = [(m[index], v[index]) for m, v in self.moments]

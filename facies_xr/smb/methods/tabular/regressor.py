"""The network as a scikit-learn estimator: an ensemble, each member stopped by other groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .network import Networks, Settings, train

CHECKED = 0.2
"""Share of the groups by which a member is stopped."""

LARGEST_BATCH = 500_000
"""Rows of all members that are trained at once; of the paper's network some 400 MB."""


@dataclass(frozen=True)
class Job:
    """Rows to fit an ensemble to."""

    x: np.ndarray
    """Features. (row, feature)"""
    y: np.ndarray
    groups: np.ndarray
    """Rows of one group train a member or stop it, never both."""
    settings: Settings
    members: int
    seed: int


@dataclass(frozen=True)
class Ensemble:
    """Networks with the units of their inputs and outputs."""

    networks: Networks
    centre: np.ndarray
    spread: np.ndarray
    level: float
    """Mean of the targets."""
    unit: float
    """Their standard deviation."""
    residual: float
    """Root mean square residual of rows by the members that did not train on them, in units of the targets."""

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean, and standard deviation of a new record about it."""
        standard = (x - self.centre) / self.spread
        out = self.level + self.unit * self.networks.predict(standard[None]).astype(float)
        return out.mean(0), np.sqrt(out.var(0) + self.residual**2)


def ensembles(jobs: Sequence[Job]) -> list[Ensemble]:
    """Ensembles of all jobs, those of one shape trained at once."""
    shapes: dict[tuple, list[int]] = {}
    for k, job in enumerate(jobs):
        shapes.setdefault(job.settings.shape, []).append(k)
    found: dict[int, Ensemble] = {}
    for several in shapes.values():
        for batch in _batches(several, jobs):
            found |= dict(zip(batch, _together([jobs[k] for k in batch]), strict=True))
    return [found[k] for k in range(len(jobs))]


def _batches(several: list[int], jobs: Sequence[Job]) -> list[list[int]]:
    """Jobs in batches whose rows fit into memory; batches change no member."""
    batches: list[list[int]] = [[]]
    for k in several:
        size = max(len(jobs[j].y) for j in [*batches[-1], k]) * sum(jobs[j].members for j in [*batches[-1], k])
        if batches[-1] and size > LARGEST_BATCH:
            batches.append([])
        batches[-1].append(k)
    return batches


def _together(jobs: Sequence[Job]) -> list[Ensemble]:
    rows, width = max(len(job.y) for job in jobs), max(job.x.shape[1] for job in jobs)
    members = sum(job.members for job in jobs)
    x, y = np.zeros((members, rows, width), "float32"), np.zeros((members, rows), "float32")
    checking, there = np.zeros((2, members, rows), bool)
    units, first = [], 0
    for job in jobs:
        here, n = slice(first, first + job.members), len(job.y)
        centre, spread = job.x.mean(0), job.x.std(0)
        spread = np.where(spread > 1e-9 * np.maximum(1, np.abs(centre)), spread, 1.0)
        level, unit = float(job.y.mean()), float(job.y.std()) or 1.0
        x[here, :n, : job.x.shape[1]] = (job.x - centre) / spread
        y[here, :n] = (job.y - level) / unit
        checking[here, :n], there[here, :n] = stopped_by(job.groups, job.members, job.seed), True
        units.append((here, n, centre, spread, level, unit))
        first += job.members
    training = there & ~checking
    looked_at = np.where(checking.any(1, keepdims=True), checking, training)
    networks = train(
        x, y, training, looked_at,
        settings=[job.settings for job in jobs for _ in range(job.members)],
        seeds=[job.seed * 1000 + k for job in jobs for k in range(job.members)],
        features=[job.x.shape[1] for job in jobs for _ in range(job.members)],
    )  # fmt: skip
    squares = (networks.predict(x) - y) ** 2
    result = []
    for here, n, centre, spread, level, unit in units:
        own = networks.take(np.arange(here.start, here.stop))
        own.weights[0] = own.weights[0][:, : len(centre)]
        aside = looked_at[here, :n]
        residual = unit * float(np.sqrt(squares[here, :n][aside].mean()))
        result.append(Ensemble(own, centre, spread, level, unit, residual))
    return result


def stopped_by(groups: np.ndarray, members: int, seed: int) -> np.ndarray:
    """Rows by which each member is stopped: those of a fifth of the groups, in turn. (member, row) of bool"""
    names, level = np.unique(groups, return_inverse=True)
    number = max(1, round(CHECKED * names.size)) if names.size > 1 else 0
    rng, out = np.random.default_rng([seed, 1]), []
    order: list[int] = []
    for _ in range(members):
        while len(order) < number:
            order += rng.permutation(names.size).tolist()
        chosen, order = order[:number], order[number:]
        out.append(np.isin(level, chosen))
    return np.array(out)


class NetworkRegressor(RegressorMixin, BaseEstimator):
    """Ensemble of small feed-forward networks with noise, L1, early stopping and weights by loss.

    Parameters
    ----------
    hidden : tuple of int
        Neurons of each hidden layer.
    activation : {"elu", "relu", "tanh"}
    sigma, l1, rate, gamma, epochs, patience
        As :class:`.network.Settings` has them.
    members : int
        Networks of the ensemble, each stopped by other groups.
    random_state : int
    """

    def __init__(self, hidden=(40, 20, 10, 5), *, activation="elu", sigma=0.1, l1=1e-3, rate=3e-3, gamma=0.0,
                 epochs=2000, patience=100, members=10, random_state=0):  # fmt: skip
        self.hidden = hidden
        self.activation = activation
        self.sigma = sigma
        self.l1 = l1
        self.rate = rate
        self.gamma = gamma
        self.epochs = epochs
        self.patience = patience
        self.members = members
        self.random_state = random_state

    def fit(self, X, y, groups=None):
        """Fit to rows; ``groups`` are never split between training and early stopping."""
        X, y = validate_data(self, X, y, y_numeric=True, dtype=float)
        settings = Settings(
            tuple(self.hidden), self.activation, self.sigma, self.l1, self.rate, self.gamma, self.epochs, self.patience
        )
        groups = np.arange(len(y)) if groups is None else np.asarray(groups)
        (self.ensemble_,) = ensembles([Job(X, np.asarray(y, float), groups, settings, self.members, self.random_state)])
        self.n_iter_ = int(self.ensemble_.networks.epochs.max())
        return self

    def predict(self, X, return_std=False):
        """Mean of the members; with ``return_std`` the standard deviation of a new record, too."""
        check_is_fitted(self)
        mean, spread = self.ensemble_.predict(validate_data(self, X, reset=False, dtype=float))
        return (mean, spread) if return_std else mean

"""FF-FCNN as a balance method: selection and ensemble inside each fit; all fits of a cross-validation at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ....errors import InputError
from ...problem import Problem
from ..base import Prediction, between
from .network import ACTIVATIONS, Networks, Settings

NORMAL = 1.96
"""Standard deviations on either side that hold 95 %."""

ALBEDO = "albedo_summer"
LARGEST = 1e4
"""Weights and units of a saved fit are smaller."""


@dataclass(frozen=True)
class FeedForward:
    """Small feed-forward networks on selected features (Wang and Zhang 2026, rebuilt)."""

    settings: Settings = field(default_factory=Settings)
    k: int | None = 20
    """Features that are selected; None: all are taken."""
    members: int = 10
    groups: str = "glacier"
    """By which members are stopped: "glacier" or "balance_year"; years where there are fewer than 5 glaciers."""
    strategy: str = "A"
    """"A": all rows, gaps filled with the median; "B": only rows with a summer albedo are fitted."""
    trees: int = 200
    seed: int = 0
    features: tuple[str, ...] | None = None
    """Columns that it may take; by default the problem's predictors."""
    title: ClassVar[str] = "FF-FCNN after Wang and Zhang (2026): small feed-forward networks"
    leaves_out: ClassVar[str] = "glacier"

    def fit(self, problem: Problem, rows: np.ndarray) -> "FeedForwardFit":
        """Fit to records."""
        return self.fit_all(problem, [(self, rows)])[0]

    @classmethod
    def fit_all(cls, problem: Problem, tasks: Sequence[tuple["FeedForward", np.ndarray]]) -> list["FeedForwardFit"]:
        """Fits of several methods to several sets of rows, their networks trained at once."""
        from .regressor import Job, ensembles
        from .selection import ranked

        jobs, columns = [], []
        for method, given in tasks:
            problem.require_free(given)
            rows, names = method.of_strategy(problem, given), method.features or problem.predictors
            x, y = problem.rows[list(names)].to_numpy(float)[rows], problem.observed[rows]
            if method.k is None:
                kept = np.arange(x.shape[1])
            else:
                kept = ranked(x, y, method.trees, method.seed).ranked_[: method.k]
            medians = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in x[:, kept].T])
            filled = np.where(np.isnan(x[:, kept]), medians, x[:, kept])
            jobs.append(Job(filled, y, method.stopping(problem, rows), method.settings, method.members, method.seed))
            needed = tuple(name for name in problem.required if name in names)
            columns.append((tuple(names[c] for c in kept), medians, needed))
        return [FeedForwardFit(ensemble, *of_job) for ensemble, of_job in zip(ensembles(jobs), columns, strict=True)]

    def of_strategy(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """Rows that are fitted."""
        if self.strategy == "B" and ALBEDO in problem.predictors:
            return rows[np.isfinite(problem.rows[ALBEDO].to_numpy(float)[rows])]
        return rows

    def stopping(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """Groups by which members are stopped."""
        few = np.unique(problem.glacier[rows]).size < 5
        return problem.balance_year[rows] if few or self.groups == "balance_year" else problem.glacier[rows]

    def with_(self, **changes: Any) -> "FeedForward":
        """The method with other settings, of the network or of its own."""
        own = {name: changes.pop(name) for name in list(changes) if name in self.__dataclass_fields__}
        return replace(self, settings=replace(self.settings, **changes), **own)

    def from_dict(self, saved: Mapping[str, Any]) -> "FeedForwardFit":
        """What ``to_dict`` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is not such a fit.
        """
        from .regressor import Ensemble

        names, required = (tuple(map(str, saved[name])) for name in ("predictors", "required"))
        n = len(names)
        if not n or len(set(names)) < n or saved["activation"] not in ACTIVATIONS:
            raise ValueError("its predictors or its activation are not those of a network")
        weights, biases = ([_array(part) for part in saved[name]] for name in ("weights", "biases"))
        members, size = weights[0].shape[0], n
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            out = w.shape[2] if k < len(weights) - 1 else 1
            if w.shape != (members, size, out) or b.shape != (members, 1, out):
                raise ValueError(f"its layer {k + 1} does not follow the one before")
            size = out
        medians, centre, spread = (_array(saved[name]) for name in ("medians", "centre", "spread"))
        if {a.shape for a in (medians, centre, spread)} != {(n,)} or (spread <= 0).any():
            raise ValueError("its units are not those of its predictors")
        networks = Networks(weights, biases, str(saved["activation"]), np.zeros(members, int))
        numbers = (between(saved[k], k, low, 100.0) for k, low in (("level", -100.0), ("unit", 0.0), ("residual", 0.0)))
        return FeedForwardFit(Ensemble(networks, centre, spread, *numbers), names, medians, required)


@dataclass(frozen=True)
class FeedForwardFit:
    """An ensemble with the features that it takes."""

    ensemble: Any
    predictors: tuple[str, ...]
    medians: np.ndarray
    """Of the features, for gaps."""
    required: tuple[str, ...]
    """Features without which nothing is said."""

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record; NaN where a required predictor is missing. [m w.e.]

        Raises
        ------
        InputError
            If the problem has not the features that were selected.
        """
        if missing := [n for n in (*self.predictors, *self.required) if n not in problem.rows]:
            raise InputError(f"this fit takes the feature {missing[0]!r}, which is not there; make the features alike.")
        x = problem.rows[list(self.predictors)].to_numpy(float)[rows]
        known = problem.rows[list(self.required)].notna().all(axis=1).to_numpy()[rows]
        mean, spread = self.ensemble.predict(np.where(np.isnan(x), self.medians, x))
        mean = np.where(known, mean, np.nan)
        return Prediction(mean, mean - NORMAL * spread, mean + NORMAL * spread)

    def to_dict(self) -> dict[str, Any]:
        """Weights, units and names."""
        e, networks = self.ensemble, self.ensemble.networks
        return {
            "predictors": list(self.predictors),
            "required": list(self.required),
            "activation": networks.activation,
            "weights": [w.tolist() for w in networks.weights],
            "biases": [b.tolist() for b in networks.biases],
            **{name: getattr(e, name).tolist() for name in ("centre", "spread")},
            "medians": self.medians.tolist(),
            **{name: getattr(e, name) for name in ("level", "unit", "residual")},
        }


def _array(values: Any) -> np.ndarray:
    array = np.array(values, float)
    if not array.size or not (np.abs(array) < LARGEST).all():
        raise ValueError("its numbers are not those of a network")
    return array

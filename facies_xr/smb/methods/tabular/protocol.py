"""Every method on the same folds: rows at random, glaciers, blocks of years, and both left out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from .... import folds, metrics
from ....errors import InputError
from ....folds import Split
from ... import judge
from ...problem import Problem
from ..base import Fits, Prediction
from ..yardsticks import RecordsMean

SCHEMES = ("random", "glacier", "block", "glacier and block")
BLOCKS = 6
"""Contiguous blocks of years, each left out with a gap of one year on either side."""

SEED = 0


@dataclass(frozen=True)
class Estimated:
    """A scikit-learn estimator as a balance method, without an interval."""

    estimator: Any

    def fit(self, problem: Problem, rows: np.ndarray) -> "EstimatedFit":
        """Fit to records."""
        from sklearn.base import clone

        problem.require_free(rows)
        return EstimatedFit(clone(self.estimator).fit(problem.design[rows], problem.observed[rows]))


@dataclass(frozen=True)
class EstimatedFit:
    """A fitted estimator."""

    estimator: Any

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances. [m w.e.]"""
        return Prediction.nothing(len(rows))._replace(mean=self.estimator.predict(problem.design[rows]))


def baselines(k: int = 8, trees: int = 100) -> dict[str, Fits]:
    """Mean, ridge, random forest and boosted trees, with the selection inside."""
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from .selection import Selection

    models = {
        "ridge": make_pipeline(Selection(k, trees=trees), StandardScaler(), RidgeCV(np.logspace(-2, 3, 11))),
        "random forest": make_pipeline(
            Selection(k, trees=trees), RandomForestRegressor(trees, min_samples_leaf=3, random_state=SEED)
        ),
        "boosted trees": make_pipeline(
            Selection(k, trees=trees),
            HistGradientBoostingRegressor(max_iter=100, min_samples_leaf=5, random_state=SEED),
        ),
    }
    return {"training mean": RecordsMean(), **{name: Estimated(model) for name, model in models.items()}}


def blocks(problem: Problem, count: int = BLOCKS) -> np.ndarray:
    """Block of contiguous years of each row."""
    years = np.unique(problem.balance_year)
    if years.size < count:
        raise InputError(f"{years.size} years make no {count} blocks; give fewer folds.")
    of_year = np.arange(years.size) * count // years.size
    return of_year[np.searchsorted(years, problem.balance_year)]


def outer(problem: Problem, scheme: str, count: int = BLOCKS) -> list[Split]:
    """Splits of a scheme; training years are at least a year away from a block that is left out.

    Raises
    ------
    InputError
        If there are fewer glaciers, or years, than folds need.
    """
    if scheme == "random":
        order = np.random.default_rng(SEED).permutation(len(problem))
        return list(folds.splits(order % 5))
    glaciers = np.unique(problem.glacier)
    if "glacier" in scheme and glaciers.size < 2:
        raise InputError("all rows are of one glacier; leave blocks of years out.")
    by_glacier = folds.by_group(problem.glacier, min(glaciers.size, 10)) if "glacier" in scheme else None
    if scheme == "glacier" and by_glacier is not None:
        return list(folds.splits(by_glacier))
    by_block, every, result = blocks(problem, count), np.arange(len(problem)), []
    for block in range(count):
        years = problem.balance_year[by_block == block]
        away = (problem.balance_year < years.min() - 1) | (problem.balance_year > years.max() + 1)
        for fold in [None] if by_glacier is None else np.unique(by_glacier):
            here = (by_block == block) & (True if by_glacier is None else by_glacier == fold)
            train = away & (True if by_glacier is None else by_glacier != fold)
            if here.any() and train.any():
                result.append((every[train], every[here]))
    return result


def freeze(problem: Problem, share: float = 0.2) -> tuple[Problem, dict[str, Any]]:
    """The problem with test glaciers that no fit may see, and their list with its hash.

    Every so many glaciers in the order of their mean balance is one, at least two.
    """
    means = pd.Series(problem.observed).groupby(problem.glacier).mean().sort_values(kind="stable")
    count = max(2, int(np.ceil(share * len(means))))
    if len(means) - count < 2:
        raise InputError(f"{len(means)} glaciers are too few to set {count} aside for the end.")
    chosen = means.index[np.linspace(0, len(means) - 1, 2 * count + 1)[1::2].round().astype(int)]
    ids = sorted(map(str, chosen))
    listed = {"glaciers": ids, "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()}
    return frozen(problem, listed), listed


def frozen(problem: Problem, listed: Mapping[str, Any]) -> Problem:
    """The problem with the test glaciers of a list.

    Raises
    ------
    InputError
        If the list is not the one that was hashed.
    """
    ids = list(listed["glaciers"])
    if hashlib.sha256("\n".join(ids).encode()).hexdigest() != listed["sha256"]:
        raise InputError("the frozen test glaciers are not those that were hashed; freeze anew, and start anew.")
    return replace(problem, held_back=frozenset(ids))


def scores(problem: Problem, prediction: Prediction) -> dict[str, float]:
    """Of held-out rows: also of anomalies within glaciers, of rank, and the share within the 95 % interval."""
    observed, mean = problem.observed, prediction.mean
    both = np.isfinite(mean) & np.isfinite(observed)
    table = pd.DataFrame({"o": np.where(both, observed, np.nan), "p": np.where(both, mean, np.nan)})
    anomalies = table - table.groupby(problem.glacier).transform("mean")
    inside = (observed >= prediction.lower) & (observed <= prediction.upper)
    known = np.isfinite(prediction.lower)
    return {
        **metrics.regression(observed, mean),
        "spearman": float(table.o.corr(table.p, method="spearman")),
        "r2_anomalies": metrics.regression(anomalies.o.to_numpy(), anomalies.p.to_numpy())["r2"],
        "within_interval": float(inside[known].mean()) if known.any() else np.nan,
    }


def evaluate(problem: Problem, methods: Mapping[str, Fits], schemes: tuple[str, ...] = SCHEMES) -> dict[str, Any]:
    """Scores of all methods on the same folds, with what is needed to make them again.

    Returns
    -------
    dict
        ``scores`` (a row a scheme and method), ``folds`` (test rows of each scheme), ``features``, ``seed``,
        ``version``; for JSON.
    """
    rows, listed = [], {}
    for scheme in schemes:
        splits = outer(problem, scheme)
        listed[scheme] = [test.tolist() for _, test in splits]
        for name, method in methods.items():
            found = scores(problem, judge.out_of_fold(problem, method, splits))
            rows.append({"left out": scheme, "method": name, **found})
    return {"scores": rows, "folds": listed, "features": list(problem.predictors), "seed": SEED,
            "version": version("facies_xr")}  # fmt: skip

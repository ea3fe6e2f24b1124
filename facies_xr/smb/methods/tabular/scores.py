"""Scores of held-out rows: pooled, of anomalies, of the tails, of intervals; their spread, and pairs of methods."""

import numpy as np
import pandas as pd
from scipy.special import ndtr

from .... import metrics
from ...problem import Problem
from ..base import Prediction

NORMAL = 1.959964
INNER_90 = 1.644854
"""Standard deviations on either side that hold 95 and 90 %."""

FEWEST = 8
"""Groups below which drawing them tells nothing."""

DRAWS, FLIPS = 1000, 10_000

TAIL = 0.1
"""Of the lowest and of the highest balances."""


def scores(problem: Problem, prediction: Prediction) -> dict[str, float]:
    """Of held-out rows, those of which nothing is said or known left out.

    Returns
    -------
    dict
        n, r, rmse, mae, bias, r2 (against the mean of the rows), ``spearman``, ``r2_anomalies`` (glaciers' means
        removed), ``rmse_positive`` (balances above 0), ``rmse_lowest`` and ``rmse_highest`` (tenths), ``crps``,
        ``within_interval`` (95 %), ``within_90``, and 95 % intervals of rmse and r2 over draws of groups. [m w.e.]
    """
    observed, mean = problem.observed, prediction.mean
    both = np.isfinite(mean) & np.isfinite(observed)
    table = pd.DataFrame({"o": np.where(both, observed, np.nan), "p": np.where(both, mean, np.nan)})
    anomalies = table - table.groupby(problem.glacier).transform("mean")
    inside = (observed >= prediction.lower) & (observed <= prediction.upper)
    known = both & np.isfinite(prediction.lower)
    sigma = (prediction.upper - prediction.lower) / (2 * NORMAL)
    near = np.abs(observed - mean) <= INNER_90 * sigma
    low, high = (np.nanquantile(table.o, q) for q in (TAIL, 1 - TAIL)) if both.any() else (np.nan, np.nan)
    parts = {"positive": observed > 0, "lowest": observed <= low, "highest": observed >= high}
    return {
        **metrics.regression(observed, mean),
        "spearman": metrics.regression(table.o.rank().to_numpy(), table.p.rank().to_numpy())["r"],
        "r2_anomalies": metrics.regression(anomalies.o.to_numpy(), anomalies.p.to_numpy())["r2"],
        **{f"rmse_{name}": metrics.regression(observed[here & both], mean[here & both])["rmse"]
           for name, here in parts.items()},
        "crps": float(crps(observed, mean, np.nan_to_num(sigma))[both].mean()) if both.any() else np.nan,
        "within_interval": float(inside[known].mean()) if known.any() else np.nan,
        "within_90": float(near[known].mean()) if known.any() else np.nan,
        **_intervals(problem, both, mean),
    }  # fmt: skip


def crps(observed: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of normal distributions; of a single number the absolute error. [m w.e.]

    Notes
    -----
    sigma (z (2 N(z) - 1) + 2 n(z) - 1 / sqrt(pi)), z = (observed - mean) / sigma (Gneiting and Raftery 2007, eq. 21).
    """
    wide = np.maximum(sigma, 1e-12)
    z = (observed - mean) / wide
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(
        sigma > 0, wide * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)), np.abs(observed - mean)
    )


def groups_of(problem: Problem, known: np.ndarray) -> tuple[str, np.ndarray]:
    """What is drawn together: glaciers where there are eight, else years, else rows; and the group of each row."""
    for name, values in (("glacier", problem.glacier), ("balance_year", problem.balance_year)):
        if np.unique(values[known]).size >= FEWEST:
            return name, np.unique(values, return_inverse=True)[1]
    return "row", np.arange(len(problem))


def _intervals(problem: Problem, known: np.ndarray, mean: np.ndarray) -> dict[str, float]:
    names = ("rmse_lower", "rmse_upper", "r2_lower", "r2_upper")
    if known.sum() < FEWEST:
        return dict.fromkeys(names, np.nan)
    weight = _drawn(groups_of(problem, known)[1][known])
    o, squares = problem.observed[known], (problem.observed - mean)[known] ** 2
    mse = weight @ squares
    spread = weight @ o**2 - (weight @ o) ** 2
    r2 = 1 - mse / np.where(spread > 0, spread, np.nan)
    ends = (*np.quantile(np.sqrt(mse), (0.025, 0.975)), *np.nanquantile(r2, (0.025, 0.975)))
    return dict(zip(names, map(float, ends), strict=True))


def _drawn(group: np.ndarray) -> np.ndarray:
    """Weights of rows in draws of their groups, with sum 1. (draw, row)"""
    _, level = np.unique(group, return_inverse=True)
    count = level.max() + 1
    weight = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)[:, level].astype(float)
    return weight / weight.sum(1, keepdims=True)


def paired(problem: Problem, one: Prediction, other: Prediction) -> dict[str, float | str]:
    """Two methods on the rows that both predict.

    Returns
    -------
    dict
        ``rmse_difference``, that of one less that of the other, with its 95 % interval over draws of groups, and the
        two-sided ``p`` of the mean difference of squares under flips of the groups' signs. [m w.e.]
    """
    known = np.isfinite(one.mean) & np.isfinite(other.mean) & np.isfinite(problem.observed)
    if known.sum() < FEWEST:
        return dict.fromkeys(("rmse_difference", "lower", "upper", "p"), np.nan) | {"groups": "none"}
    name, group = groups_of(problem, known)
    a, b = ((p.mean - problem.observed)[known] ** 2 for p in (one, other))
    weight = _drawn(group[known])
    drawn = np.sqrt(weight @ a) - np.sqrt(weight @ b)
    sums = np.bincount(np.unique(group[known], return_inverse=True)[1], a - b)
    rng, least, extreme = np.random.default_rng(1), np.abs(sums.sum()) * (1 - 1e-12), 0
    for _ in range(FLIPS // DRAWS):
        extreme += int((np.abs(rng.choice([-1.0, 1.0], (DRAWS, sums.size)) @ sums) >= least).sum())
    lower, upper = np.quantile(drawn, (0.025, 0.975))
    return {
        "rmse_difference": float(np.sqrt(a.mean()) - np.sqrt(b.mean())), "lower": float(lower), "upper": float(upper),
        "p": (extreme + 1) / (FLIPS + 1), "groups": name,
    }  # fmt: skip


def by_glacier(problem: Problem, prediction: Prediction) -> dict[str, dict[str, float]]:
    """n, rmse and bias of each glacier. [m w.e.]"""
    found = {}
    for glacier in np.unique(problem.glacier):
        own = problem.glacier == glacier
        score = metrics.regression(problem.observed[own], prediction.mean[own])
        found[str(glacier)] = {name: score[name] for name in ("n", "rmse", "bias")}
    return found

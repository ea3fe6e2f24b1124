"""Scores of modelled balances, never without what they must be compared with."""

import numpy as np
import pandas as pd
import xarray as xr

from .. import folds, metrics
from . import judge
from .balance import MIN_RECORDS
from .methods.base import COVERED
from .methods.named import DEFAULT, METHODS
from .problem import FLAGS, UNFIT, Problem

FEWEST_CLUSTERS = 8
"""Glaciers, and years, below which a score has no interval."""

DRAWS = 1000


def scores(smb: xr.Dataset, *, model: str = "balance_out_of_fold") -> pd.DataFrame:
    """Scores of a model and of the yardsticks beside it, over the records that a fit may rest on.

    Parameters
    ----------
    smb : Dataset (glacier, balance_year)
        As ``smb`` gives it.
    model : str
        Variable that is judged.

    Returns
    -------
    DataFrame
        Rows: the model; the mean of the records of other glaciers (or years, if those were left out); the mean of the
        other glaciers in the same year; the model's anomalies within each glacier; and, if the records hold
        accumulation area ratios, the ceiling: the same regression on these instead of the maps. Columns: n, r, rmse,
        mae, bias [m w.e.], r2, 95 % intervals of rmse and r, which draw whole glaciers and whole years and are NaN
        with fewer than 8 of either, and, of the model, the share of the records within its prediction interval.
    """
    o, p = _judged(smb, model)
    known = np.isfinite(o)
    by_year = smb.attrs.get("leave_out") == "year"
    left_out = "year" if by_year else "glacier"
    others = _others(o.T).T if by_year else _others(o)
    pairs = {
        f"model, {left_out} left out": (o, p),
        f"mean of the other {left_out}s": (o, np.where(known, others, np.nan)),
        "other glaciers, same year": (o, np.where(known, _others_same_year(o), np.nan)),
        "anomalies within glaciers": (_anomaly(o), _anomaly(p)),
    }
    ceiling = _ceiling(smb, known)
    if ceiling is not None:
        pairs["ceiling: recorded accumulation area"] = (o, ceiling)
    rows = {name: metrics.regression(*pair) | _intervals(*pair) for name, pair in pairs.items()}
    table = pd.DataFrame(rows).T.astype({"n": int})
    if f"{model}_lower" in smb:
        inside = (o >= smb[f"{model}_lower"].values) & (o <= smb[f"{model}_upper"].values)
        table["within_interval"] = [inside[known].mean() if known.any() else np.nan] + [np.nan] * (len(table) - 1)
    return table


def scores_by_glacier(smb: xr.Dataset, *, model: str = "balance_out_of_fold") -> pd.DataFrame:
    """Scores of each glacier that has records; columns n, r, rmse, mae, bias [m w.e.], r2 against its own mean."""
    rows = {
        str(glacier): metrics.regression(observed, found)
        for glacier, observed, found in zip(smb["glacier"].values, *_judged(smb, model), strict=True)
    }
    table = pd.DataFrame(rows).T.astype({"n": int})
    return table[table.n > 0]


def _judged(smb: xr.Dataset, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Recorded and modelled balances of the rows that have both and that a fit may rest on; NaN elsewhere."""
    observed, found = smb["observed"].values, smb[model].values
    known = np.isfinite(observed) & np.isfinite(found)
    if "flags" in smb:
        known &= (smb["flags"].values & sum(FLAGS[name] for name in UNFIT)) == 0
    return np.where(known, observed, np.nan), np.where(known, found, np.nan)


def _others(o: np.ndarray) -> np.ndarray:
    total, count = np.nansum(o), np.isfinite(o).sum()
    own, n = np.nansum(o, 1, keepdims=True), np.isfinite(o).sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.broadcast_to((total - own) / (count - n), o.shape)


def _others_same_year(o: np.ndarray) -> np.ndarray:
    known = np.isfinite(o)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nansum(o, 0) - np.nan_to_num(o)) / (known.sum(0) - known)


def _anomaly(v: np.ndarray) -> np.ndarray:
    several = np.isfinite(v).sum(1, keepdims=True) >= 2
    with np.errstate(invalid="ignore"):
        mean = np.nansum(v, 1, keepdims=True) / np.maximum(np.isfinite(v).sum(1, keepdims=True), 1)
    return np.where(several, v - mean, np.nan)


def _ceiling(smb: xr.Dataset, known: np.ndarray) -> np.ndarray | None:
    """The same regression in the same folds on recorded accumulation area ratios."""
    name = "recorded_accumulation_area_ratio"
    if name not in smb or "fold" not in smb:
        return None
    g, y = np.nonzero(known & np.isfinite(smb[name].values))
    rows = pd.DataFrame(
        {
            "glacier": smb["glacier"].values[g],
            "balance_year": smb["balance_year"].values[y],
            "snow_fraction": smb[name].values[g, y],
            "observed": smb["observed"].values[g, y],
        }
    )
    fold = smb["fold"].values[g, y]
    if len(rows) < MIN_RECORDS or rows.glacier.nunique() < 3 or np.unique(fold).size < 2:
        return None
    method = METHODS[smb.attrs.get("method_name", DEFAULT)]
    ceiling = np.full(known.shape, np.nan)
    ceiling[g, y] = judge.out_of_fold(Problem(rows, ("snow_fraction",)), method, folds.splits(fold)).mean
    return ceiling


def _intervals(o: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Intervals of RMSE and r over draws of glaciers and of years."""
    names = ("rmse_lower", "rmse_upper", "r_lower", "r_upper")
    known = np.isfinite(o) & np.isfinite(p)
    if known.any(1).sum() < FEWEST_CLUSTERS or known.any(0).sum() < FEWEST_CLUSTERS:
        return dict.fromkeys(names, np.nan)
    rng = np.random.default_rng(0)
    g, y = np.nonzero(known)
    weight = np.ones((DRAWS, g.size))
    for part in (g, y):
        levels, place = np.unique(part, return_inverse=True)
        weight *= rng.multinomial(levels.size, np.full(levels.size, 1 / levels.size), DRAWS)[:, place]
    weight = weight[weight.sum(1) > 0]
    weight /= weight.sum(1, keepdims=True)
    a, b = o[known], p[known]
    rmse = np.sqrt(weight @ (a - b) ** 2)
    mean_a, mean_b = weight @ a, weight @ b
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (weight @ (a * b) - mean_a * mean_b) / np.sqrt((weight @ a**2 - mean_a**2) * (weight @ b**2 - mean_b**2))
    tails = [(1 - COVERED) / 2, (1 + COVERED) / 2]
    return dict(zip(names, (*np.quantile(rmse, tails), *np.nanquantile(r, tails)), strict=True))

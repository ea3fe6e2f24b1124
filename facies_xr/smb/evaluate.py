"""Scores of modelled balances, never without what they must be compared with."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import chi2, norm

from .. import metrics
from ..errors import InputError
from ..folds import Split
from . import judge
from .balance import MIN_RECORDS, problem_again
from .methods.base import COVERED, Fits, Prediction
from .methods.named import EVERY, METHODS
from .methods.yardsticks import RecordsMean, RegionMean
from .problem import FLAGS, OPTIONAL, REQUIRED, SURVEY, UNFIT, Problem

FEWEST_CLUSTERS = 8
"""Glaciers, and years, below which drawing them tells nothing."""

DRAWS = 1000

PREDICTORS = (*REQUIRED, *OPTIONAL, SURVEY)

RECORDED = "recorded_accumulation_area_ratio"


def scores(
    smb: xr.Dataset,
    *,
    model: str = "balance_out_of_fold",
    maps: xr.Dataset | None = None,
    climate: Any = None,
) -> pd.DataFrame:
    """Scores of a model and of the yardsticks beside it, over the records that a fit may rest on.

    Parameters
    ----------
    smb : Dataset (glacier, balance_year)
        As ``smb`` gives it.
    model : str
        Variable that is judged.
    maps, climate : optional
        Those of which ``smb`` was made, for methods that rest on weather: they are fitted anew in the other folds, of
        networks a training in each.

    Returns
    -------
    DataFrame
        A row for the model, judged as it was held out, and, if it is ``balance_out_of_fold``, one each with glaciers,
        with years and with both left out; of a method that rests on weather only with ``maps`` and ``climate``. In the
        same folds: the mean of the other records ("training mean"), and, if the records hold accumulation area ratios,
        the ceiling: the same method on these instead of the maps. Then what needs no map, the mean of the other
        glaciers of region and year, and what needs no level, the model's anomalies within each glacier. Columns: n, r,
        rmse, mae, bias [m w.e.], r2, 95 % intervals of rmse and r, which draw whole glaciers and whole years (with
        fewer than 8 of either they are those of independent records, which is the least that they can be), and the
        share of the records within the prediction interval.

    Raises
    ------
    InputError
        If one of ``maps`` and ``climate`` is given alone, for a method without weather, or of other glaciers or years.
    """
    if (maps is None) != (climate is None):
        raise InputError("scores(maps=..., climate=...) go together: a method with weather is fitted to both.")
    observed, modelled = _judged(smb, model)
    g, y = np.nonzero(np.isfinite(observed))
    problem = _problem(smb, g, y)
    forced = None if maps is None else _forced(problem, problem_again(smb, maps, climate))
    ends = (f"{model}_lower", f"{model}_upper")
    modelled_ends = (smb[name].values[g, y] if name in smb else np.full(g.size, np.nan) for name in ends)
    held_out = smb.attrs.get("leave_out", "glacier") if model == "balance_out_of_fold" else None
    label = f"model, {held_out} left out" if held_out in judge.LEFT_OUT else f"model, {model} as it came"
    rows = {label: Prediction(modelled[g, y], *modelled_ends)}
    for leave_out in sorted(judge.LEFT_OUT, key=lambda name: name != held_out):
        again = held_out in judge.LEFT_OUT and leave_out != held_out
        for name, prediction in _in_folds(smb, problem, leave_out, forced, again=again):
            rows[f"{name}, {leave_out} left out"] = prediction
    if (splits := _splits(problem, "glacier")) is not None:
        rows["other glaciers of region and year"] = judge.out_of_fold(problem, RegionMean(), splits)
    table = {name: _row(problem, problem.observed, prediction) for name, prediction in rows.items()}
    anomaly = Prediction.nothing(len(problem))._replace(mean=_anomaly(modelled)[g, y])
    table["anomalies within glaciers"] = _row(problem, _anomaly(observed)[g, y], anomaly)
    scored = pd.DataFrame(table).T.astype({"n": int})
    return scored[scored.n > 0]


def _problem(smb: xr.Dataset, g: np.ndarray, y: np.ndarray) -> Problem:
    """The judged rows as a problem."""
    columns = {name: smb[name].values[g, y] for name in (*PREDICTORS, RECORDED) if name in smb}
    columns |= {name: smb[name].values[g] for name in ("longitude", "latitude") if name in smb.coords}
    ids = smb["glacier"].values[g] if "glacier" in smb.coords else g
    years = smb["balance_year"].values[y] if "balance_year" in smb.coords else y
    rows = pd.DataFrame({"glacier": ids, "balance_year": years, "observed": smb["observed"].values[g, y], **columns})
    return Problem(rows, tuple(name for name in PREDICTORS if name in columns), OPTIONAL)


def _forced(problem: Problem, anew: Problem) -> Problem:
    """The judged rows, with the weather and all else that the method rests on."""
    judged = problem.rows[["glacier", "balance_year", "observed"]].astype({"glacier": str})
    rows = judged.merge(anew.rows.drop(columns="observed").astype({"glacier": str}), "left", indicator=True)
    if (lost := rows[rows.pop("_merge") != "both"]).size:
        raise InputError(f"these maps are not those of the balances: they lack {lost.glacier.iloc[0]} in "
                         f"{lost.balance_year.iloc[0]}.")  # fmt: skip
    return replace(anew, rows=rows)


def _splits(problem: Problem, leave_out: str) -> list[Split] | None:
    groups = {"glacier": problem.glacier, "year": problem.balance_year}
    enough = all(np.unique(values).size >= 2 for name, values in groups.items() if name in leave_out)
    return judge.splits(problem, leave_out) if enough else None


def _in_folds(smb: xr.Dataset, problem: Problem, leave_out: str, forced: Problem | None, *, again: bool
              ) -> Iterator[tuple[str, Prediction]]:  # fmt: skip
    """The model, if it is to be judged again, and its yardsticks in some folds."""
    splits = _splits(problem, leave_out)
    if splits is None:
        return
    method: Fits | None = METHODS.get(smb.attrs.get("method_name", ""))
    if again and forced is not None:
        yield "model", judge.out_of_fold(forced, EVERY[smb.attrs["method_name"]], splits)
    elif again and method is not None and _enough(problem):
        yield "model", judge.out_of_fold(problem, method, splits)
    yield "training mean", judge.out_of_fold(problem, RecordsMean(), splits)
    if method is None or RECORDED not in problem.rows:
        return
    known = np.flatnonzero(problem.rows[RECORDED].notna())
    recorded = problem.take(known)
    recorded = Problem(recorded.rows.assign(snow_fraction=recorded.rows[RECORDED]), REQUIRED[:1])
    splits = _splits(recorded, leave_out) if _enough(recorded) else None
    if splits is not None:
        ceiling = Prediction.nothing(len(problem))
        ceiling.put(known, judge.out_of_fold(recorded, method, splits))
        yield "ceiling: recorded accumulation area", ceiling


def _enough(problem: Problem) -> bool:
    return problem.usable.sum() >= MIN_RECORDS and np.unique(problem.glacier[problem.usable]).size >= 3


def _row(problem: Problem, observed: np.ndarray, prediction: Prediction) -> dict[str, float]:
    """Scores, their intervals, and the share within the prediction interval."""
    known = np.isfinite(observed) & np.isfinite(prediction.mean)
    inside = (observed >= prediction.lower) & (observed <= prediction.upper)
    judged = known & np.isfinite(prediction.lower)
    return {
        **metrics.regression(observed, prediction.mean),
        **_intervals(problem, observed, prediction.mean),
        "within_interval": inside[judged].mean() if judged.any() else np.nan,
    }


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


def _anomaly(v: np.ndarray) -> np.ndarray:
    several = np.isfinite(v).sum(1, keepdims=True) >= 2
    with np.errstate(invalid="ignore"):
        mean = np.nansum(v, 1, keepdims=True) / np.maximum(np.isfinite(v).sum(1, keepdims=True), 1)
    return np.where(several, v - mean, np.nan)


def _intervals(problem: Problem, o: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Intervals of RMSE and r over draws of glaciers and of years."""
    names = ("rmse_lower", "rmse_upper", "r_lower", "r_upper")
    known = np.isfinite(o) & np.isfinite(p)
    sorts = problem.glacier[known], problem.balance_year[known]
    if min(np.unique(groups).size for groups in sorts) < FEWEST_CLUSTERS:
        return dict(zip(names, _of_independent(o[known], p[known]), strict=True))
    rng = np.random.default_rng(0)
    weight = np.ones((DRAWS, known.sum()))
    for groups in sorts:
        levels, level_of = np.unique(groups, return_inverse=True)
        weight *= rng.multinomial(levels.size, np.full(levels.size, 1 / levels.size), DRAWS)[:, level_of]
    weight = weight[weight.sum(1) > 0]
    weight /= weight.sum(1, keepdims=True)
    a, b = o[known], p[known]
    rmse = np.sqrt(weight @ (a - b) ** 2)
    mean_a, mean_b = weight @ a, weight @ b
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (weight @ (a * b) - mean_a * mean_b) / np.sqrt((weight @ a**2 - mean_a**2) * (weight @ b**2 - mean_b**2))
    tails = [(1 - COVERED) / 2, (1 + COVERED) / 2]
    return dict(zip(names, (*np.quantile(rmse, tails), *np.nanquantile(r, tails)), strict=True))


def _of_independent(o: np.ndarray, p: np.ndarray) -> tuple[float, float, float, float]:
    """Intervals of RMSE (chi-squared) and r (Fisher's z) if the records were independent."""
    n = o.size
    if n < 4:
        return (np.nan,) * 4
    tails = np.array([(1 - COVERED) / 2, (1 + COVERED) / 2])
    rmse = np.sqrt(((o - p) ** 2).sum() / chi2.ppf(tails[::-1], n))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.tanh(np.arctanh(np.corrcoef(o, p)[0, 1]) + norm.ppf(tails) / np.sqrt(n - 3))
    return float(rmse[0]), float(rmse[1]), float(r[0]), float(r[1])

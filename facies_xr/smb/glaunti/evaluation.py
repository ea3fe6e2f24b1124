"""Modelled beside measured balances: pairs, metrics, and the files in which they were published."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import pearsonr

from ...errors import one_of
from ..degreeday.integrate import weights
from .dataset import SEASONS, Glacier
from .loss import years
from .models import Model

KINDS = ("point", "glacier-wide")

EDGE_DAYS = ("whole", "half")
"""How the days at the ends of a measurement count when it is judged: whole, as published, or half, as in training."""


def daily(model: Model, glacier: Glacier, *, whole: bool = False, dtype: torch.dtype = torch.float32
          ) -> tuple[pd.DatetimeIndex, np.ndarray]:  # fmt: skip
    """Daily balances of the years after the spin-up (day, y, x), a day that two periods share once. [m w.e.]

    Of days at the end of a period half is there, as published, unless another begins with them; ``whole`` makes them
    whole.
    """
    dates, fields = [], []
    with torch.no_grad():
        for year, outcome in years(model, glacier, daily=True, dtype=dtype):
            for season, balance in outcome.balance.items():
                dates.append(year.dates[season])
                fields.append(balance.numpy())
    days, position = np.unique(np.concatenate(dates), return_inverse=True)
    merged = np.zeros((len(days), *fields[0].shape[1:]), fields[0].dtype)
    np.add.at(merged, position, np.concatenate(fields))
    if whole:
        merged /= np.bincount(position, np.concatenate([weights(len(d)) for d in dates]))[:, None, None]
    return pd.DatetimeIndex(days), merged


def pairs(model: Model, glacier: Glacier, *, edge_days: str = "whole", dtype: torch.dtype = torch.float32
          ) -> pd.DataFrame:  # fmt: skip
    """Measured and modelled balances.

    Points are summed over the measurement's own days, both included; glaciers over the year's or season's.

    Parameters
    ----------
    model : Model
    glacier : Glacier
    edge_days : {"whole", "half"}
        As published, evaluation counts up to one day (two halves) more than training does; "half" counts as training
        does. A day that two balance years share is the mean of both, which with corrections differ.
    dtype : torch dtype

    Returns
    -------
    DataFrame
        Columns ``glacier, kind, season, year, observed, predicted`` [m w.e.], and of points ``begin, end, row,
        column, weight``.
    """
    one_of("edge_days", edge_days, EDGE_DAYS)
    days, balance = daily(model, glacier, whole=edge_days == "half", dtype=dtype)
    cumulative = np.concatenate([np.zeros_like(balance[:1]), balance.cumsum(0, dtype="float64")])

    def between(first: pd.Timestamp, last: pd.Timestamp) -> np.ndarray:
        begin, end = days.searchsorted(first), days.searchsorted(last, "right")
        total = cumulative[end] - cumulative[begin]
        return total if edge_days == "whole" or end <= begin else total - (balance[begin] + balance[end - 1]) / 2

    rows: list[dict[str, Any]] = []
    for year in glacier.studied:
        dates = glacier.totals.loc[year]
        outline = glacier.geometry.outline.sel(year=year).values
        ends = {"annual": ("begin", "end"), "winter": ("begin", "midseason"), "summer": ("midseason", "end")}
        for season, (first, last) in ends.items():
            observed = dates[f"{season}_balance"]
            if np.isfinite(observed):
                field = between(dates[f"{first}_date"], dates[f"{last}_date"])
                rows.append({"kind": "glacier-wide", "season": season, "year": year, "observed": observed,
                             "predicted": np.average(np.where(outline > 0, field, 0), weights=outline)})  # fmt: skip
        found = glacier.points[(glacier.points.year == year) & glacier.points.season.isin(SEASONS)]
        for point in found.itertuples():
            rows.append({"kind": "point", "season": point.season, "year": year, "observed": point.balance,
                         "predicted": between(point.begin, point.end)[point.row, point.column],
                         "begin": point.begin, "end": point.end, "row": point.row, "column": point.column})  # fmt: skip
    return pd.DataFrame(rows).assign(glacier=glacier.name)


def metrics(observed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Number, and of two at least r with its p, RMSE, mean absolute error, bias, and 1 - MSE / variance."""
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    if observed.size < 2:
        return {"n": observed.size}
    apart = predicted - observed
    r, p = pearsonr(observed, predicted)
    return {
        "n": observed.size, "pearson_r": float(r), "pearson_r_p": float(p),
        "rmse": float(np.sqrt((apart**2).mean())), "mae": float(np.abs(apart).mean()), "bias": float(apart.mean()),
    }  # fmt: skip


def explained(observed: np.ndarray, predicted: np.ndarray) -> float:
    """1 - MSE / variance of the observed (Nash and Sutcliffe)."""
    return float(1 - ((predicted - observed) ** 2).mean() / observed.var())


def pooled(table: pd.DataFrame, by: tuple[str, ...] = ("kind", "season")) -> pd.DataFrame:
    """Metrics of all pairs of a group together, as the published figures are; not a mean over glaciers.

    Parameters
    ----------
    table : DataFrame
        As :func:`pairs` gives it, of any number of glaciers.
    by : tuple of str
        Columns that make the groups, such as ``("glacier", "kind", "season")``.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        observed, predicted = group.observed.to_numpy(), group.predicted.to_numpy()
        found = metrics(observed, predicted)
        if found["n"] > 1:
            found["r2"] = explained(observed, predicted)
        rows.append({**dict(zip(by, key, strict=True)), **found})
    return pd.DataFrame(rows)


def document(table: pd.DataFrame, studied: list[int]) -> dict[str, Any]:
    """Pairs and metrics of a glacier in the published layout, for JSON."""

    def nested(of: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in KINDS:
            some = table[table.kind == kind]
            found[kind] = {
                "overall": {s: of(some[some.season == s]) for s in SEASONS},
                "per_year": {
                    s: {str(y): of(some[(some.season == s) & (some.year == y)]) for y in studied} for s in SEASONS
                },
            }
        return found

    return {
        "metrics": nested(lambda rows: metrics(rows.observed.to_numpy(), rows.predicted.to_numpy())),
        "true_pred": nested(lambda rows: {"true": rows.observed.tolist(), "pred": rows.predicted.tolist()}),
    }

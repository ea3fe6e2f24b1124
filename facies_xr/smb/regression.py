"""Surface mass balance from facies: the regression of Maslov et al. (2026), Eq. 2, with honest intervals.

SMB = b0 + b1 A_snow/A + b2 (h_snow - h_mean)/(h_max - h_min) + b3 albedo, with h_snow the 5th percentile of the
elevations of snow. Predictors are standardised and the ridge's strength is chosen inside each training fold; rows
without albedo are predicted by a fit without that term.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import folds
from ..errors import InputError
from ..maps.statistics import MIN_COVERAGE, statistics
from ..seasons import Season
from . import observations as _observations

PREDICTORS = ("snow_fraction", "snow_line_relative", "albedo")
STRENGTHS = np.logspace(-3, 3, 13)
FOLDS = 6
MIN_RECORDS = 8
DRAWS = 400
COVERED = 0.95
SEASON_WINDOW = 20
FRESH_SNOW = 0.1
"""Rise of the snow fraction since an earlier scene of the season that means fresh snow."""

CENSORED = 0.02
"""Accumulation area ratio below which it says nothing more about the balance."""

FLAGS = {
    "no_snow": 1,
    "no_albedo": 2,
    "censored": 4,
    "outside_season": 8,
    "fresh_snow": 16,
    "low_coverage": 32,
}
"""Bits of ``flags``."""


def smb(maps: xr.Dataset, observations: Any, *, classes: tuple[str, ...] = ("snow",), season: Any = None) -> xr.Dataset:
    """Annual surface mass balance of the glaciers of some maps, by regression on records.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` gives them, lazy or from a store; they are read once.
    observations : path or DataFrame
        Records, see :func:`facies_xr.smb.observations.read`.
    classes : tuple of str
        Classes of the accumulation area.
    season : (str, int), optional
        Season of the scenes; by default that of the latitude.

    Returns
    -------
    Dataset (glacier, balance_year)
        ``balance`` (fit on all records), ``balance_out_of_fold`` (fit without the glacier's fold), a 95 % prediction
        interval ``balance_lower``, ``balance_upper``, ``observed`` [m w.e.], the predictors, and what they rest on.

    Raises
    ------
    InputError
        If too few records match a glacier and a year of the maps.
    """
    records = _observations.read(observations)
    matched, report = _observations.match(records, maps)
    rows = predictors(statistics(maps, classes=classes, season=season), season)
    observed = matched[["glacier", "balance_year", "balance"]].rename(columns={"balance": "observed"})
    merged = rows.merge(observed, "left", ["glacier", "balance_year"])
    lost = report[report.glacier.isna()]
    usable = merged.dropna(subset=["observed", "snow_fraction", "snow_line_relative"])
    usable = usable[(usable["flags"] & (FLAGS["outside_season"] | FLAGS["fresh_snow"])) == 0]
    if len(usable) < MIN_RECORDS or usable.glacier.nunique() < 2:
        ids = [", ".join(table.glacier.unique()[:3]) for table in (rows, records)]
        raise InputError(
            f"{len(usable)} records of {usable.glacier.nunique()} glaciers match a usable scene, the regression needs "
            f"{MIN_RECORDS} of 2; {lost.records.sum()} of {len(records)} records are of glaciers that are not on the "
            f"map (ids on the map: {ids[0]}; in the records: {ids[1]})."
        )
    if len(lost):
        shown = "; ".join(f"{r.record} ({r.by})" for r in lost.head(3).itertuples())
        warnings.warn(
            f"{lost.records.sum()} records belong to {len(lost)} glaciers that are not on the map: {shown}"
            f"{'; ...' if len(lost) > 3 else ''}. facies_xr.smb.observations.match tells how each was looked for.",
            stacklevel=3,
        )
    fold = pd.Series(folds.by_group(usable.glacier.to_numpy(), FOLDS), index=usable.index)
    return _dataset(_predicted(merged, usable, fold), rows, maps)


def predictors(stats: xr.Dataset, season: Any = None) -> pd.DataFrame:
    """Predictors of each glacier and balance year, from the season's scene with the least snow.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.maps.statistics.statistics` gives them.
    season : (str, int), optional
        Given, its window is taken instead of +-20 days.

    Returns
    -------
    DataFrame
        A row a glacier and year; predictors are NaN where no scene could be used.
    """
    window = Season.parse(season).half_width if season is not None else SEASON_WINDOW
    names = [
        "coverage", "accumulation_area_ratio", "lowest_snow", "albedo", "mean_elevation", "min_elevation",
        "max_elevation",
    ]  # fmt: skip
    table = stats[names].to_dataframe().reset_index()[["time", "glacier", "balance_year", *names]]
    table["days"] = table.time.map(dict(zip(stats.time.values, stats.days_from_season_centre.values, strict=True)))
    return pd.DataFrame(
        [_season_row(g, window) for _, g in table.sort_values("time").groupby(["glacier", "balance_year"], sort=False)]
    )


def _season_row(scenes: pd.DataFrame, window: int) -> dict:
    ratio = scenes.accumulation_area_ratio
    fresh = ratio > ratio.cummin().shift().fillna(np.inf) + FRESH_SNOW
    outside = scenes.days.abs() > window
    seen = ratio.notna()
    best = seen & ~fresh & ~outside
    chosen = best if best.any() else seen if seen.any() else scenes.coverage == scenes.coverage.max()
    row = scenes[chosen].sort_values("accumulation_area_ratio").iloc[0]
    snow_free = row.accumulation_area_ratio == 0 or np.isnan(row.lowest_snow)
    lowest = row.max_elevation if snow_free else row.lowest_snow
    relief = row.max_elevation - row.min_elevation
    usable = np.isfinite(row.accumulation_area_ratio) and relief > 0
    flags = {
        "no_snow": usable and snow_free,
        "no_albedo": np.isnan(row.albedo),
        "censored": row.accumulation_area_ratio <= CENSORED,
        "outside_season": outside[row.name],
        "fresh_snow": fresh[row.name],
        "low_coverage": row.coverage < MIN_COVERAGE,
    }
    return {
        "glacier": row.glacier,
        "balance_year": int(row.balance_year),
        "snow_fraction": row.accumulation_area_ratio if usable else np.nan,
        "snow_line_relative": (lowest - row.mean_elevation) / relief if usable else np.nan,
        "albedo": row.albedo,
        "coverage": row.coverage,
        "scene_date": row.time,
        "flags": sum(FLAGS[name] for name, is_set in flags.items() if is_set),
    }


# -- the model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ridge:
    """Standardised ridge regression."""

    names: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    intercept: float
    strength: float

    @classmethod
    def fit(cls, rows: pd.DataFrame, names: tuple[str, ...]) -> "Ridge":
        """Fit; the strength is chosen by validation on glaciers left out of these rows."""
        x, y = rows[list(names)].to_numpy(float), rows.observed.to_numpy(float)
        strength = STRENGTHS[STRENGTHS.size // 2]
        if rows.glacier.nunique() > 2:
            fold = folds.by_group(rows.glacier.to_numpy(), 5)
            errors = [
                sum(
                    ((_solve(x[fit], y[fit], names, s).predict_array(x[test]) - y[test]) ** 2).sum()
                    for fit, test in folds.splits(fold)
                )
                for s in STRENGTHS
            ]
            strength = STRENGTHS[int(np.argmin(errors))]
        return _solve(x, y, names, strength)

    def predict_array(self, x: np.ndarray) -> np.ndarray:
        """Predictions for an array of predictors."""
        return self.intercept + (x - self.centre) / self.spread @ self.weights

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predictions for a table of predictors."""
        return self.predict_array(rows[list(self.names)].to_numpy(float))


def _solve(x: np.ndarray, y: np.ndarray, names: tuple[str, ...], strength: float) -> Ridge:
    centre, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    z = (x - centre) / spread
    weights = np.linalg.solve(z.T @ z + strength * np.eye(len(names)), z.T @ (y - y.mean()))
    return Ridge(names, centre, spread, weights, float(y.mean()), float(strength))


@dataclass(frozen=True)
class Model:
    """Eq. 2, and the same without albedo for rows that lack it."""

    full: Ridge | None
    short: Ridge

    @classmethod
    def fit(cls, rows: pd.DataFrame) -> "Model":
        """Fit both forms."""
        with_albedo = rows.dropna(subset=["albedo"])
        full = Ridge.fit(with_albedo, PREDICTORS) if len(with_albedo) >= MIN_RECORDS else None
        return cls(full, Ridge.fit(rows, PREDICTORS[:2]))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predictions; NaN where the snow is unknown."""
        out = self.short.predict(rows)
        if self.full is not None:
            known = rows.albedo.notna().to_numpy()
            out[known] = self.full.predict(rows[known])
        return out


def _predicted(merged: pd.DataFrame, usable: pd.DataFrame, fold: pd.Series) -> pd.DataFrame:
    out = merged.assign(balance=Model.fit(usable).predict(merged), balance_out_of_fold=np.nan, fold=-1)
    held_out = pd.Series(np.nan, index=usable.index)
    for k in np.unique(fold):
        model = Model.fit(usable[fold != k])
        out_of_fold = merged.glacier.isin(usable.glacier[fold == k]).to_numpy()
        out.loc[out_of_fold, "balance_out_of_fold"] = model.predict(merged[out_of_fold])
        out.loc[out_of_fold, "fold"] = k
        held_out[fold == k] = model.predict(usable[fold == k])
    lower, upper = _interval(merged, usable, (usable.observed - held_out).to_numpy())
    return out.assign(balance_lower=lower, balance_upper=upper)


def _interval(merged: pd.DataFrame, usable: pd.DataFrame, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prediction interval: glaciers resampled for the fit, plus a residual of a glacier that was held out."""
    rng = np.random.default_rng(0)
    groups = [rows for _, rows in usable.groupby("glacier", sort=False)]
    draws = np.empty((DRAWS, len(merged)))
    strengths = Model.fit(usable)
    for k in range(DRAWS):
        rows = pd.concat([groups[j] for j in rng.integers(0, len(groups), len(groups))])
        draws[k] = _refit(strengths, rows).predict(merged) + rng.choice(residual, len(merged))
    known = np.isfinite(draws).all(0)
    low, high = np.full(len(merged), np.nan), np.full(len(merged), np.nan)
    tails = [(1 - COVERED) / 2, (1 + COVERED) / 2]
    low[known], high[known] = np.quantile(draws[:, known], tails, axis=0)
    return low, high


def _refit(model: Model, rows: pd.DataFrame) -> Model:
    """The model with its strengths, fitted to other rows."""

    def again(ridge: Ridge | None, part: pd.DataFrame) -> Ridge | None:
        if ridge is None or len(part) < 3:
            return None
        x, y = part[list(ridge.names)].to_numpy(float), part.observed.to_numpy(float)
        return _solve(x, y, ridge.names, ridge.strength)

    short = again(model.short, rows)
    assert short is not None
    return Model(again(model.full, rows.dropna(subset=["albedo"])), short)


# -- the result -------------------------------------------------------------------------------------------------

_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "balance": {"units": "m w.e.", "long_name": "annual surface mass balance, fitted on all records"},
    "balance_out_of_fold": {"units": "m w.e.", "long_name": "annual surface mass balance, fitted without the glacier"},
    "balance_lower": {"units": "m w.e.", "long_name": "lower end of the 95 % prediction interval"},
    "balance_upper": {"units": "m w.e.", "long_name": "upper end of the 95 % prediction interval"},
    "observed": {"units": "m w.e.", "long_name": "recorded annual surface mass balance"},
    "snow_fraction": {"units": "1", "long_name": "accumulation area ratio of the season's scene"},
    "snow_line_relative": {"units": "1", "long_name": "5th percentile of snow elevations, relative to the hypsometry"},
    "albedo": {"units": "1", "long_name": "mean albedo index"},
    "coverage": {"units": "1", "long_name": "share of the glacier that was seen"},
    "scene_date": {"long_name": "scene that the predictors rest on"},
    "fold": {"long_name": "fold in which the glacier was held out, -1 without records"},
    "flags": {
        "long_name": "what to know about a row",
        "flag_masks": np.array(list(FLAGS.values()), "int32"),
        "flag_meanings": " ".join(FLAGS),
    },
}


def _dataset(table: pd.DataFrame, rows: pd.DataFrame, maps: xr.Dataset) -> xr.Dataset:
    glaciers = [str(g) for g in maps.glacier.values]
    years = sorted(rows.balance_year.unique())
    grid = table.set_index(["glacier", "balance_year"]).reindex(pd.MultiIndex.from_product([glaciers, years]))
    shape = len(glaciers), len(years)
    data = {}
    for name, attrs in _ATTRIBUTES.items():
        values = grid[name].to_numpy().reshape(shape)
        if name in ("fold", "flags"):
            values = np.where(pd.isna(values), -1 if name == "fold" else 0, values).astype("int32")
        data[name] = (("glacier", "balance_year"), values, attrs)
    coords = {n: c for n, c in maps.coords.items() if c.dims == ("glacier",)}
    kept = {k: v for k, v in maps.attrs.items() if k in ("classifier", "classifier_digest", "feature_set", "level")}
    result = xr.Dataset(data, coords={**coords, "balance_year": np.array(years, "int32")}, attrs=kept)
    return result.assign_attrs(method="Eq. 2 of Maslov et al. (2026), ridge, glaciers in six folds")

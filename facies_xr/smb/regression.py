"""Surface mass balance from facies: records, predictors and a regression between them, judged on what it never saw.

Maslov et al. (2026), Eq. 2: SMB = b0 + b1 A_snow/A + b2 (h_snow - h_mean)/(h_max - h_min) + b3 albedo, with h_snow
the 5th percentile of the elevations of snow. The regressions themselves are in :mod:`facies_xr.smb.models`.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import folds
from ..errors import InputError
from ..maps import series
from ..maps.statistics import DRAWS, statistics
from ..seasons import Season
from . import observations as _observations
from .fitted import MIN_RECORDS, Fit, method_named
from .models import FOLDS, METHODS

CENSORED = 0.02
"""Accumulation area ratio below which it says nothing more about the balance."""

FLAGS = {**series.FLAGS, "no_snow": 32, "no_albedo": 64, "censored": 128, "no_relief": 256}
"""Bits of ``flags``."""

UNFIT = ("outside_season", "fresh_snow", "cut_by_edge")
"""Flags of rows that no fit rests on."""

FLAT = 1.0
"""Relief of a glacier whose pixels all lie within one metre. [m]"""

LEFT_OUT = ("glacier", "year")
_OUT_OF_FOLD = ("balance_out_of_fold", "balance_out_of_fold_lower", "balance_out_of_fold_upper")
AREAS = ("map", "expected")


def smb(
    maps: xr.Dataset,
    observations: Any = None,
    *,
    method: str = "regression",
    model: Any = None,
    leave_out: str | None = None,
    rule: str = "envelope",
    areas: str = "map",
    classes: tuple[str, ...] | None = None,
    season: Any = None,
) -> xr.Dataset:
    """Annual surface mass balance of the glaciers of some maps, by regression on records.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` gives them, lazy or from a store, which are read once; or their ``statistics``.
    observations : path or DataFrame, optional
        Records, see :func:`facies_xr.smb.observations.read`; needed unless ``model`` is given.
    method : {"regression", "pooled", "eq2", "eq3"}
        "pooled" (which "regression" stands for): partial pooling between glaciers and years; "eq2" and "eq3": the
        published regressions for all glaciers and for each (:mod:`facies_xr.smb.models`).
    model : Fit, path or Dataset, optional
        A fit to apply instead of fitting one: what ``Fit.save`` wrote, or what ``smb`` returned. Glaciers and years
        of which it had records keep what is particular to them.
    leave_out : {"glacier", "year"}, optional
        What is held out together for ``balance_out_of_fold``: glaciers in six folds, or one year after the other; by
        default glaciers, with "eq3" years.
    rule : str
        Which scene stands for a season, see :func:`facies_xr.maps.series.end_of_season`.
    areas : {"map", "expected"}
        Snow fraction of the map, or the expected one, for maps with ``probability`` and calibrated confidence; on the
        synthetic worlds it tells much more (``docs/balance.md``).
    classes : tuple of str, optional
        Classes of the accumulation area; by default snow.
    season : (str, int), optional
        Season of the scenes; by default +-20 days from that of the latitude.

    Returns
    -------
    Dataset (glacier, balance_year)
        ``balance`` (fit on all records), ``balance_out_of_fold`` (fit without the row's fold), the 95 % prediction
        interval of each, ``..._lower`` and ``..._upper``, ``observed`` [m w.e.], the predictors, and what they rest on.
        The attribute ``fit`` holds the fit, which ``model=`` takes.

    Raises
    ------
    InputError
        If too few records match a glacier and a year of the maps, or an argument is not possible.
    """
    method = method_named(method)
    if leave_out not in (None, *LEFT_OUT):
        raise InputError(f"leave_out={leave_out!r}: choose {' or '.join(LEFT_OUT)}.")
    if observations is None and model is None:
        raise InputError("smb() needs observations to fit a model, or a fitted model=.")
    if model is not None and leave_out is not None:
        raise InputError("a model= that comes fitted leaves nothing out; give leave_out= or model=, not both.")
    window = Season.parse(season).half_width if season is not None else series.WINDOW
    stats = _statistics(maps, areas, classes, season)
    rows = predictors(stats, rule=rule, window=window)
    found = rows.assign(observed=np.nan, recorded_accumulation_area_ratio=np.nan)
    if observations is not None:
        found = _with_records(rows, observations, stats, needed=model is None)
    if model is not None:
        fit = Fit.load(model)
        judged = found.assign(**dict.fromkeys(_OUT_OF_FOLD, np.nan), fold=-1)
    else:
        usable = _usable(found)
        fit = Fit.of(usable, method)
        leave_out = leave_out or METHODS[method].leaves_out
        judged = held_out(found, usable, method, leave_out)
    lower, upper = fit.interval(judged)
    judged = judged.assign(balance=fit.predict(judged), balance_lower=lower, balance_upper=upper)
    result = _dataset(judged, stats)
    return result.assign_attrs(
        method=METHODS[fit.method].title, leave_out=leave_out or "nothing, the model came fitted", rule=rule,
        areas=areas, fit=fit.to_json(),
    )  # fmt: skip


def _statistics(maps: xr.Dataset, areas: str, classes: tuple[str, ...] | None, season: Any) -> xr.Dataset:
    if areas not in AREAS:
        raise InputError(f"areas={areas!r}: choose {' or '.join(map(repr, AREAS))}.")
    expected = areas == "expected"
    if "accumulation_area_ratio" in maps:
        stats = maps
        asked = {
            "accumulation_classes": None if classes is None else " ".join(classes),
            "season": None if season is None else str(Season.parse(season)),
        }
        for name, wanted in asked.items():
            if wanted is not None and wanted != stats.attrs.get(name):
                raise InputError(
                    f"these statistics were made with {name} {stats.attrs.get(name)!r}, not {wanted!r}; give the maps, "
                    "or statistics made so."
                )
    else:
        stats = statistics(maps, classes=classes or ("snow",), season=season, draws=DRAWS if expected else 0)
    stats = stats.assign_coords(glacier=stats["glacier"].astype(str))
    if not expected:
        return stats
    names = ("accumulation_area_ratio", "band_accumulation")
    if f"{names[0]}_expected" not in stats:
        raise InputError('areas="expected" needs maps with probability and calibrated confidence: classify(..., '
                         "probability=True).facies.calibrate().")  # fmt: skip
    return stats.assign({name: stats[f"{name}_expected"] for name in names})


def predictors(stats: xr.Dataset, *, rule: str = "envelope", window: int = series.WINDOW) -> pd.DataFrame:
    """Predictors of each glacier and balance year.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.statistics` gives them.
    rule, window
        As :func:`facies_xr.maps.series.end_of_season` takes them.

    Returns
    -------
    DataFrame
        A row a glacier and year; predictors are NaN where no scene could be used. Without snow the snow line is put
        at the glacier's highest elevation, and the row flagged.
    """
    end = series.end_of_season(stats, rule=rule, window=window)
    names = ["accumulation_area_ratio", "lowest_snow", "albedo", "coverage", "scene_date", "scenes", "flags"]
    table = end[[*names, "mean_elevation", "min_elevation", "max_elevation"]].to_dataframe().reset_index()
    snow, relief = table.accumulation_area_ratio, table.max_elevation - table.min_elevation
    snow_free = snow.notna() & ((snow == 0) | table.lowest_snow.isna())
    lowest = table.lowest_snow.where(~snow_free, table.max_elevation)
    known = snow.notna() & (relief > FLAT)
    flags = table["flags"].to_numpy()
    for name, is_set in (
        ("no_snow", snow_free),
        ("no_albedo", table.albedo.isna()),
        ("censored", snow <= CENSORED),
        ("no_relief", ~(relief > FLAT)),
    ):
        flags = flags | np.where(is_set, FLAGS[name], 0)
    return pd.DataFrame(
        {
            "glacier": table.glacier,
            "balance_year": table.balance_year.astype(int),
            "snow_fraction": snow.where(known),
            "snow_line_relative": ((lowest - table.mean_elevation) / relief.where(relief > FLAT)).where(known),
            **{name: table[name] for name in ("albedo", "coverage", "scene_date", "scenes")},
            "flags": flags,
        }
    )


def _with_records(rows: pd.DataFrame, observations: Any, stats: xr.Dataset, *, needed: bool) -> pd.DataFrame:
    records = _observations.read(observations)
    matched, report = _observations.match(records, stats)
    renamed = {"balance": "observed", "accumulation_area_ratio": "recorded_accumulation_area_ratio"}
    kept = matched[["glacier", "balance_year", *renamed]].rename(columns=renamed)
    merged = rows.merge(kept, "left", ["glacier", "balance_year"])
    usable, lost = _usable(merged), report[report.glacier.isna()]
    if needed and (len(usable) < MIN_RECORDS or usable.glacier.nunique() < 2):
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
            stacklevel=4,
        )
    return merged


def _usable(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a record and predictors that a fit may rest on."""
    found = rows.dropna(subset=["observed", "snow_fraction", "snow_line_relative"])
    return found[(found["flags"] & sum(FLAGS[name] for name in UNFIT)) == 0]


def held_out(rows: pd.DataFrame, usable: pd.DataFrame, method: str, leave_out: str) -> pd.DataFrame:
    """Rows with ``balance_out_of_fold``, its interval, and ``fold``.

    A row is predicted by the fit that saw no record of its glacier, or none of its year; rows of glaciers, or years,
    without records have no fold.
    """
    column, most = ("glacier", FOLDS) if leave_out == "glacier" else ("balance_year", usable.balance_year.nunique())
    if usable[column].nunique() < 2:
        raise InputError(f"all records are of one {leave_out}; with leave_out={leave_out!r} nothing is left to fit.")
    fold = folds.by_group(usable[column].to_numpy(), most)
    out = rows.assign(**dict.fromkeys(_OUT_OF_FOLD, np.nan), fold=-1)
    for k in np.unique(fold):
        here = out[column].isin(usable[column][fold == k]).to_numpy()
        fit = Fit.of(usable[fold != k], method)
        out.loc[here, list(_OUT_OF_FOLD)] = np.column_stack([fit.predict(out[here]), *fit.interval(out[here])])
        out.loc[here, "fold"] = k
    return out


# -- the result -------------------------------------------------------------------------------------------------

_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "balance": {"units": "m w.e.", "long_name": "annual surface mass balance, fitted on all records"},
    "balance_out_of_fold": {
        "units": "m w.e.",
        "long_name": "annual surface mass balance, fitted without the row's fold",
    },
    "balance_out_of_fold_lower": {"units": "m w.e.", "long_name": "lower end of its 95 % prediction interval"},
    "balance_out_of_fold_upper": {"units": "m w.e.", "long_name": "upper end of its 95 % prediction interval"},
    "balance_lower": {"units": "m w.e.", "long_name": "lower end of the 95 % prediction interval"},
    "balance_upper": {"units": "m w.e.", "long_name": "upper end of the 95 % prediction interval"},
    "observed": {"units": "m w.e.", "long_name": "recorded annual surface mass balance"},
    "snow_fraction": {"units": "1", "long_name": "accumulation area ratio of the season's scene"},
    "snow_line_relative": {"units": "1", "long_name": "5th percentile of snow elevations, relative to the hypsometry"},
    "albedo": {"units": "1", "long_name": "mean albedo index"},
    "recorded_accumulation_area_ratio": {"units": "1", "long_name": "accumulation area ratio in the records"},
    "coverage": {"units": "1", "long_name": "share of the glacier that was seen"},
    "scene_date": {"long_name": "scene that the predictors rest on"},
    "scenes": {"long_name": "number of scenes that could be used"},
    "fold": {"long_name": "fold in which the row was held out, -1 without records"},
    "flags": {
        "long_name": "what to know about a row",
        "flag_masks": np.array(list(FLAGS.values()), "int32"),
        "flag_meanings": " ".join(FLAGS),
    },
}


def _dataset(table: pd.DataFrame, stats: xr.Dataset) -> xr.Dataset:
    glaciers = stats.glacier.values
    years = sorted(table.balance_year.unique())
    grid = table.set_index(["glacier", "balance_year"]).reindex(pd.MultiIndex.from_product([glaciers, years]))
    shape = len(glaciers), len(years)
    data = {}
    for name, attrs in _ATTRIBUTES.items():
        values = grid[name].to_numpy().reshape(shape)
        if name in ("fold", "flags", "scenes"):
            values = values.astype("int32")
        data[name] = (("glacier", "balance_year"), values, attrs)
    data["albedo"] = (*data["albedo"][:2], {**data["albedo"][2], "level": stats.attrs.get("level", "unknown")})
    coords = {n: c for n, c in stats.coords.items() if c.dims == ("glacier",)}
    kept = {k: v for k, v in stats.attrs.items() if k in ("classifier", "classifier_digest", "feature_set", "level")}
    return xr.Dataset(data, coords={**coords, "balance_year": np.array(years, "int32")}, attrs=kept)

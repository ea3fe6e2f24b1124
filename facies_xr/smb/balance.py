"""Surface mass balance of the glaciers of some maps, by a method fitted to records and judged on what it never saw."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import stations
from ..errors import InputError, one_of
from ..maps import series
from ..maps.statistics import DRAWS, statistics
from ..seasons import Season
from . import judge
from . import records as _records
from .climate.bands import with_weather
from .climate.weather import weather
from .features.problem import with_features
from .fitted import Fit
from .glaunti import grids
from .match import match
from .methods.named import EVERY, ON_GRIDS, WITH_WEATHER, method_named
from .problem import FLAGS, Problem, of_statistics, with_records, with_survey

MIN_RECORDS = 8
"""Records that a fit needs, of two glaciers at least."""

AREAS = ("map", "expected")


def smb(
    maps: xr.Dataset,
    observations: Any = None,
    *,
    method: str = "regression",
    model: Fit | str | Path | None = None,
    leave_out: str | None = None,
    rule: str = series.DEFAULT_RULE,
    areas: str = "map",
    classes: tuple[str, ...] | None = None,
    season: Any = None,
    to_survey: bool = False,
    climate: Any = None,
) -> xr.Dataset:
    """Annual surface mass balance of the glaciers of some maps, by regression on records.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` gives them, lazy or from a store, which are read once; or their ``statistics``.
    observations : path or DataFrame, optional
        Records, see :func:`facies_xr.smb.records.read`; needed unless ``model`` is given.
    method : {"regression", "pooled", "eq2", "eq3", "temperature-index", "glaunti", "ff-fcnn"}
        "pooled" (which "regression" stands for): partial pooling between glaciers and years; "eq2" and "eq3": the
        published regressions for all glaciers and for each; "temperature-index": degree days of ``climate`` over the
        elevation bands, which need no map; "glaunti": degree days on a grid of 100 m, whose parameters a network
        corrects that reads the maps (``docs/glaunti.md``); "ff-fcnn": small networks on selected months of
        ``climate``, the maps' summer albedo, and topography (:mod:`facies_xr.smb.methods`).
    model : Fit or path, optional
        A fit to apply instead of fitting one: what :func:`fit` gave or ``Fit.save`` wrote, from maps made alike.
        Glaciers and years of which it had records keep what is particular to them.
    leave_out : {"glacier", "year", "glacier and year"}, optional
        What is held out together for ``balance_out_of_fold``: glaciers in six folds, one year after the other, or six
        folds of both, so that neither the glacier nor the year has records; by default glaciers, with "eq3" years.
    rule : str
        Which scene stands for a season, see :func:`facies_xr.maps.series.end_of_season`.
    areas : {"map", "expected"}
        Snow fraction of the map, or the expected one, for maps with ``probability`` and calibrated confidence; on the
        synthetic worlds it tells much more (``docs/balance.md``).
    classes : tuple of str, optional
        Classes of the accumulation area; by default snow.
    season : (str, int), optional
        Season of the scenes; by default that with which the cube was loaded, or +-20 days from that of the latitude.
    to_survey : bool
        Whether the days between the scenes' day and the survey of a record, if records tell it, are a predictor, whose
        weight is the mean melt of these days.
    climate : Dataset or path, optional
        Weather for "temperature-index" and "glaunti": daily, with ``height``, of cells (time, latitude, longitude) or
        of the glaciers (glacier, time), as :func:`facies_xr.smb.climate.weather.weather` gives it; or files that it
        reads. For "ff-fcnn" monthly climate, as :func:`facies_xr.smb.features.monthly.read` takes it, or candidate
        features, as :func:`facies_xr.smb.features.build.candidates` gives them.

    Returns
    -------
    Dataset (glacier, balance_year)
        ``balance`` (fit on all records), ``balance_out_of_fold`` (fit without the row's fold), the 95 % prediction
        interval of each, ``..._lower`` and ``..._upper``, ``observed`` [m w.e.], the predictors, and what they rest
        on, as ``stations.SMB`` lists them.

    Raises
    ------
    InputError
        If too few records match a glacier and a year of the maps, an argument is not possible, or ``model`` was made
        with other predictors.
    """
    method = method_named(method)
    if leave_out is not None:
        one_of("leave_out", leave_out, judge.LEFT_OUT)
    if observations is None and model is None:
        raise InputError("smb() needs observations to fit a model, or a fitted model=.")
    if model is not None and to_survey:
        raise InputError("to_survey=True is for fits to records that tell their survey; leave it out with model=.")
    if model is not None and leave_out is not None:
        raise InputError("a model= that comes fitted leaves nothing out; give leave_out= or model=, not both.")
    fitted = None if model is None else Fit.load(model)
    stats = _statistics(maps, areas, classes, season)
    problem = of_statistics(stats, rule=rule, areas=areas)
    flags = problem.rows["flags"].to_numpy()
    problem = _forced(problem, climate, method if fitted is None else fitted.method, maps, stats)
    if observations is not None:
        problem = _observed(problem, observations, stats, needed=model is None)
    if to_survey:
        problem = with_survey(problem)
    if fitted is not None:
        applied, splits = fitted, []
    else:
        applied = Fit.of(problem, method)
        leave_out = leave_out or EVERY[method].leaves_out
        splits = judge.splits(problem, leave_out)
    fold = np.full(len(problem), -1)
    for k, (_, test) in enumerate(splits):
        fold[test] = k
    predictions = {
        "balance": applied.predict(problem),
        "balance_out_of_fold": judge.out_of_fold(problem, EVERY[method], splits),
    }
    columns = {
        f"{name}{end}": values
        for name, prediction in predictions.items()
        for end, values in zip(("", "_lower", "_upper"), prediction, strict=True)
    }
    result = _dataset(problem.rows.assign(fold=fold, flags=flags | problem.rows["flags"], **columns), stats)
    return result.assign_attrs(
        method=EVERY[applied.method].title, method_name=applied.method,
        leave_out=leave_out or "nothing, the model came fitted", rule=rule, areas=areas,
    )  # fmt: skip


def fit(
    maps: xr.Dataset,
    observations: Any,
    *,
    method: str = "regression",
    rule: str = series.DEFAULT_RULE,
    areas: str = "map",
    classes: tuple[str, ...] | None = None,
    season: Any = None,
    climate: Any = None,
) -> Fit:
    """A method fitted to all records of the glaciers of some maps, to keep and to apply elsewhere.

    Parameters
    ----------
    maps, observations, method, rule, areas, classes, season, climate
        As :func:`smb` takes them.

    Returns
    -------
    Fit
        For ``smb(model=...)``; ``Fit.save`` writes it.

    Raises
    ------
    InputError
        As :func:`smb`.
    """
    method = method_named(method)
    stats = _statistics(maps, areas, classes, season)
    problem = _forced(of_statistics(stats, rule=rule, areas=areas), climate, method, maps, stats)
    return Fit.of(_observed(problem, observations, stats, needed=True), method)


def problem_again(smb: xr.Dataset, maps: xr.Dataset, climate: Any) -> Problem:
    """The rows of balances by a method that rests on weather, as a problem to which it can be fitted anew.

    Parameters
    ----------
    smb : Dataset (glacier, balance_year)
        As :func:`smb` gave it.
    maps, climate
        Of which it was made.

    Returns
    -------
    Problem
        Without records.

    Raises
    ------
    InputError
        If the balances rest on no weather.
    """
    method, rule, areas = (str(smb.attrs.get(name, "")) for name in ("method_name", "rule", "areas"))
    if method not in WITH_WEATHER:
        raise InputError(
            f"balances by {method or 'an unknown method'} rest on no weather; leave out maps= and climate=."
        )
    stats = _statistics(maps, areas, None, None)
    return _forced(of_statistics(stats, rule=rule, areas=areas), climate, method, maps, stats)


def _forced(problem: Problem, climate: Any, method: str, maps: xr.Dataset, stats: xr.Dataset) -> Problem:
    """The problem with what the method rests on: weather, features of months, the maps pixel by pixel."""
    if (climate is None) == (method in WITH_WEATHER):
        raise InputError(f"climate= goes with method {', '.join(WITH_WEATHER)}, which needs it, and with no other.")
    if climate is None:
        return problem
    if method == "ff-fcnn":
        return with_features(problem, climate, stats)
    if method in ON_GRIDS:
        problem = replace(problem, grids=grids.of_maps(maps, stats, rule=str(problem.definitions["rule"])))
    return with_weather(problem, climate if isinstance(climate, xr.Dataset) else weather(climate))


def _statistics(maps: xr.Dataset, areas: str, classes: tuple[str, ...] | None, season: Any) -> xr.Dataset:
    """Statistics of maps, or those given, if they are what was asked for; with the ratio of the areas asked for."""
    one_of("areas", areas, AREAS)
    expected = areas == "expected"
    if "accumulation_area_ratio" in maps:
        stats = maps
        made = stats.attrs.get("accumulation_classes"), Season.of(stats)
        asked = None if classes is None else " ".join(classes), None if season is None else Season.parse(season)
        for name, has, wanted in zip(("accumulation_classes", "season"), made, asked, strict=True):
            if wanted is not None and wanted != has:
                raise InputError(
                    f"these statistics were made with {name} {str(has)!r}, not {str(wanted)!r}; give the maps, or "
                    "statistics made so."
                )
    else:
        stats = statistics(maps, classes=classes or ("snow",), season=season, draws=DRAWS if expected else 0)
    stats = stats.assign_coords(glacier=stats["glacier"].astype(str))
    if not expected:
        return stats
    names = ("accumulation_area_ratio", "band_accumulation")
    if f"{names[0]}_expected" not in stats:
        raise InputError(
            'areas="expected" needs maps with probability and calibrated confidence: classify(..., '
            "class_score=True).facies.calibrate()."
        )
    return stats.assign({name: stats[f"{name}_expected"] for name in names})


def _observed(problem: Problem, observations: Any, stats: xr.Dataset, *, needed: bool) -> Problem:
    """The problem with its records; refused where a fit needs more, and said which records have no glacier."""
    records = _records.read(observations)
    matched, report = match(records, stats)
    problem, lost = with_records(problem, matched), report[report.glacier.isna()]
    n, glaciers = problem.usable.sum(), np.unique(problem.glacier[problem.usable]).size
    if needed and (n < MIN_RECORDS or glaciers < 2):
        ids = [", ".join(pd.unique(table.glacier)[:3]) for table in (problem.rows, records)]
        strangers = (
            f"; {lost.records.sum()} of {len(records)} records are of glaciers that are not on the map (ids on the "
            f"map: {ids[0]}; in the records: {ids[1]})"
        )
        raise InputError(
            f"{n} records of {glaciers} glaciers match a usable scene, the regression needs {MIN_RECORDS} of 2"
            f"{strangers if len(lost) else ''}."
        )
    if len(lost):
        shown = "; ".join(f"{r.record} ({r.by})" for r in lost.head(3).itertuples())
        warnings.warn(
            f"{lost.records.sum()} records belong to {len(lost)} glaciers that are not on the map: {shown}"
            f"{'; ...' if len(lost) > 3 else ''}. facies_xr.smb.match.match tells how each was looked for.",
            stacklevel=3,
        )
    return problem


def _dataset(table: pd.DataFrame, stats: xr.Dataset) -> xr.Dataset:
    """Rows as (glacier, balance_year), dressed."""
    glaciers, years = stats.glacier.values, np.sort(table.balance_year.unique())
    grid = table.set_index(["glacier", "balance_year"]).reindex(pd.MultiIndex.from_product([glaciers, years]))
    data = {}
    for name, variable in stations.SMB.items():
        if variable.optional and name not in grid:
            continue
        values = grid[name].to_numpy().reshape(len(glaciers), len(years))
        data[name] = (variable.dims, values.astype("int32") if variable.dtype == "int32" else values)
    coords = {n: c for n, c in stats.coords.items() if c.dims == ("glacier",)}
    kept = {k: v for k, v in stats.attrs.items() if k in ("classifier", "classifier_digest", "feature_set", "level")}
    season = Season.of(stats)
    named = {"long_name": stations.LOAD["balance_year"].long_name, **(season.to_attrs() if season else {})}
    coords["balance_year"] = ("balance_year", years.astype("int32"), named)
    result = stations.dress(xr.Dataset(data, coords=coords, attrs=kept), "smb")
    result["flags"].attrs.update(flag_masks=np.array(list(FLAGS.values()), "int32"), flag_meanings=" ".join(FLAGS))
    result["albedo"].attrs["level"] = stats.attrs.get("level", "unknown")
    return result

"""One row a glacier and balance year: its state at the end of ablation, from all scenes of the season or from one.

A year is never filled from other years: where nothing could be used it is NaN, and ``flags`` say why.
"""

from typing import Any

import numpy as np
import xarray as xr

from .. import stations
from ..errors import InputError, one_of
from ..seasons import Season
from .candidates import EXPECTED, Scenes
from .candidates import FLAGS as FLAGS
from .depletion import Depletion
from .hypsometry import MIN_COVERAGE, edges, filled, ratio, snow_line

WINDOW = 20
"""Days from the season's centre, of statistics that tell of no season. [day]"""

DAY = 20
"""Day by which ablation has ended, from the season's centre. [day]"""

RULES = ("depletion", "envelope", "least snow", "latest", "most bare ice")
DEFAULT_RULE = RULES[0]
"""Of end_of_season and of balances: it does not change with the number of scenes, and tells more of maps that err."""

_OF_SCENE = (*EXPECTED, "coverage")
_DRAWN = tuple(f"{name}_{end}" for name in _OF_SCENE[:2] for end in ("lower", "upper"))
_OF_GLACIER = ("glacier_area", "mean_elevation", "min_elevation", "max_elevation")

Models = dict[str, Depletion]
"""How statistics change within seasons, by name; none with rules that take a scene."""


def end_of_season(
    stats: xr.Dataset, *, rule: str = DEFAULT_RULE, window: int | None = None, day: int = DAY
) -> xr.Dataset:
    """The end of each season from the statistics of its scenes.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.statistics` gives them; computed if they are lazy.
    rule : {"depletion", "envelope", "least snow", "latest", "most bare ice"}
        "depletion": the state on a day, from all scenes and the rate at which snow goes, which all seasons tell
        (:mod:`facies_xr.maps.depletion`); it does not change with the number of scenes. The others take the value of
        one scene, whose choice by its value does: "least snow", the scene with the smallest accumulation area;
        "envelope", the same scene, but accumulation area ratio and snow line from the smallest share of each elevation
        band in any scene; "latest", the last scene before the first fresh snow; "most bare ice", the scene with the
        largest share of ice.
    window : int, optional
        Scenes further from the season's centre, and those with fresh snow (a ratio that rose clearly, and by more than
        0.1, since two earlier scenes, from 60 days before the centre on), are taken only where there is no other, and
        flagged. By default the half width of the season with which the statistics were made. [day]
    day : int
        For which "depletion" gives the state, from the season's centre. [day]

    Returns
    -------
    Dataset (glacier, balance_year)
        All years from the first to the last. The statistics, with "depletion" the 95 % intervals of accumulation area
        ratio and snow line (``_lower``, ``_upper``), which hold what all scenes of a season may have wrong where the
        statistics have intervals; ``scene_date`` and ``days_from_season_centre`` of the scene
        taken, with "depletion" of that nearest to the state; ``scenes`` (how many could be used), ``flags``; per
        glacier its area and elevations by its earliest outline, to whose area the ratio refers. The intervals of a
        scene come along with rules that take one scene's ratio.

    Raises
    ------
    InputError
        If the rule does not exist.
    """
    one_of("rule", rule, RULES)
    if not isinstance(day, int | np.integer) or abs(day) > 182:
        raise InputError(f"day={day!r}: give days from the season's centre, -182 to 182.")
    if window is None:
        season = Season.of(stats)
        window = season.half_width if season else WINDOW
    stats = stats.compute().sortby("time")
    scenes = Scenes.of(stats, window)
    years = np.arange(int(stats.balance_year.min()), int(stats.balance_year.max()) + 1, dtype="int32")
    earliest = {name: _earliest(stats, name) for name in _OF_GLACIER}
    models = {name: scenes.depletion(name) for name in EXPECTED if name in stats} if rule == "depletion" else {}
    rows = [_row(scenes.of_year(int(year)), rule, models, day, earliest["glacier_area"]) for year in years]
    return _dataset(stats, years, rows, earliest, models).assign_attrs(rule=rule, window=window)


def _row(
    scenes: Scenes | None, rule: str, models: Models, day: int, earliest_area: np.ndarray
) -> dict[str, np.ndarray] | None:
    """What is known of all glaciers at the end of one season, by name."""
    if scenes is None:
        return None
    stats = scenes.stats
    chosen = scenes.nearest(models["accumulation_area_ratio"], day) if models else scenes.by_rule(rule)
    g = np.arange(chosen.size)
    carried = [name for name in (*_OF_SCENE, *(() if rule in ("envelope", "depletion") else _DRAWN)) if name in stats]
    row = {name: stats[name].values[chosen, g] for name in carried}
    if rule == "envelope":
        row["accumulation_area_ratio"], row["snow_line_altitude"] = _envelope(scenes, chosen)
    for name, model in models.items():
        low, high = _limits(stats, name, chosen)
        state, half = scenes.state(name, model, day)
        row[name] = np.clip(state, low, high)
        if f"{name}_lower" in _DRAWN:
            row[f"{name}_lower"] = np.clip(state - half, low, high)
            row[f"{name}_upper"] = np.clip(state + half, low, high)
    if models:
        row |= {name: np.where(row["accumulation_area_ratio"] > 0, row[name], np.nan) for name in row if "snow" in name}
    if "time" in stats["glacier_area"].dims:
        for name in row:
            if name.startswith("accumulation_area_ratio"):
                row[name] = row[name] * (stats["glacier_area"].values[chosen, g] / earliest_area)
    row["scene_date"] = stats.time.values[chosen]
    row["days_from_season_centre"] = stats.days_from_season_centre.values[chosen].astype(float)
    row["scenes"] = scenes.usable.sum(0).astype("int32")
    row["flags"] = scenes.flags(chosen)
    return row


def _limits(stats: xr.Dataset, name: str, chosen: np.ndarray) -> tuple[np.ndarray, ...] | tuple[float, float]:
    """What a statistic cannot lie below and above."""
    if "snow" in name:
        return tuple(_of_chosen(stats[f"{end}_elevation"], chosen) for end in ("min", "max"))
    return 0.0, 1.0


def _earliest(stats: xr.Dataset, name: str) -> np.ndarray:
    """Values of each glacier by its earliest outline that has an area."""
    values, area = stats[name].values, stats["glacier_area"].values
    if values.ndim == 1:
        return values
    return values[(area > 0).argmax(0), np.arange(area.shape[1])]


def _envelope(scenes: Scenes, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and snow line of the smallest share of each band over the scenes that could be used, or the one taken."""
    season, g = scenes.stats, np.arange(chosen.size)
    taken = scenes.usable
    taken[chosen, g] = True
    coverage = season["band_coverage"].values
    share = season["band_accumulation"].values
    known = taken[:, :, None] & (coverage >= MIN_COVERAGE) & np.isfinite(share)
    share = np.where(known, share, np.inf).min(0)
    share = filled(np.where(np.isfinite(share), share, np.nan))
    area = season["band_area"].values
    weight = area[chosen, g] if area.ndim == 3 else area
    if season.attrs.get("hidden") == "leave out":
        weight = weight * np.where(known, coverage, 0).max(0)
    some = np.isfinite(season["accumulation_area_ratio"].values[chosen, g])
    least = ratio(share, weight)
    low, high = (_of_chosen(season[f"{end}_elevation"], chosen) for end in ("min", "max"))
    line = np.clip(snow_line(share, weight, edges(season["elevation_band"].values))[0], low, high)
    return np.where(some, least, np.nan), np.where(some & (least > 0), line, np.nan)


def _of_chosen(values: xr.DataArray, chosen: np.ndarray) -> np.ndarray:
    """Values of each glacier in the scene taken."""
    return values.values[chosen, np.arange(chosen.size)] if values.ndim > 1 else values.values


def _dataset(
    stats: xr.Dataset,
    years: np.ndarray,
    rows: list[dict[str, np.ndarray] | None],
    earliest: dict[str, np.ndarray],
    models: Models,
) -> xr.Dataset:
    names = next(row for row in rows if row is not None)
    missing = {"scene_date": np.datetime64("NaT"), "scenes": np.int32(0), "flags": np.int32(FLAGS["no_scene"])}
    n = stats.sizes["glacier"]
    data: dict[str, Any] = {}
    for name in names:
        columns = [np.full(n, missing.get(name, np.nan)) if row is None else row[name] for row in rows]
        data[name] = (("glacier", "balance_year"), np.stack(columns, 1), _attributes(stats, name, models))
    data |= {name: ("glacier", values, stats[name].attrs) for name, values in earliest.items()}
    coords = {n: c for n, c in stats.coords.items() if c.dims == ("glacier",)}
    season = Season.of(stats)
    attrs = stations.TIMED["balance_year"].attributes | (season.to_attrs() if season else {})
    return xr.Dataset(data, {**coords, "balance_year": ("balance_year", years, attrs)}, dict(stats.attrs))


def _attributes(stats: xr.Dataset, name: str, models: Models) -> dict[str, Any]:
    if name == "flags":
        return {
            "long_name": "what to know about a row",
            "flag_masks": np.array(list(FLAGS.values()), "int32"),
            "flag_meanings": " ".join(FLAGS),
        }
    if name == "scene_date":
        return {"long_name": "time of the scene taken"}
    if name == "scenes":
        return {"long_name": "number of scenes that could be used"}
    if models and name in _DRAWN:
        return stations.STATISTICS[name].attributes
    attrs = dict(stats[name].attrs)
    if name in models:
        attrs |= {"change_per_day": models[name].rate, "error_of_a_scene": models[name].error}
    return attrs

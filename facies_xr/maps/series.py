"""One row a glacier and balance year: the scene that stands for the end of the season, or the least snow of all.

A year is never filled from other years: where nothing could be used it is NaN, and ``flags`` say why.
"""

import numpy as np
import xarray as xr

from .. import stations
from ..errors import one_of
from ..seasons import Season
from .codes import HIDDEN
from .hypsometry import MIN_COVERAGE, edges, filled, ratio, snow_line

WINDOW = 20
"""Days from the season's centre, of statistics that tell of no season. [day]"""

FRESH_SNOW = 0.1
"""Rise of the accumulation area ratio since an earlier scene of the season that means fresh snow."""

LEAD = 60
"""Days before the season's centre from which on scenes tell whether snow is fresh. [day]"""

RULES = ("envelope", "least snow", "latest", "most bare ice")

FLAGS = {"no_scene": 1, "low_coverage": 2, "outside_season": 4, "fresh_snow": 8, "cut_by_edge": 16}
"""Bits of ``flags``."""

_OF_SCENE = (
    "accumulation_area_ratio", "snow_line_altitude", "snow_line_boundary", "lowest_snow", "albedo", "coverage",
)  # fmt: skip
_DRAWN = tuple(f"{name}_{end}" for name in _OF_SCENE[:2] for end in ("lower", "upper"))
_OF_GLACIER = ("glacier_area", "mean_elevation", "min_elevation", "max_elevation")


def end_of_season(stats: xr.Dataset, *, rule: str = "envelope", window: int | None = None) -> xr.Dataset:
    """The end of each season from the statistics of its scenes.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.statistics` gives them; computed if they are lazy.
    rule : {"envelope", "least snow", "latest", "most bare ice"}
        "least snow": the scene with the smallest accumulation area. "envelope": the same scene, but accumulation area
        ratio and snow line from the smallest share of each elevation band in any scene. "latest": the last scene
        before the first fresh snow. "most bare ice": the scene with the largest share of ice.
    window : int, optional
        Scenes further from the season's centre, and those with fresh snow (a ratio that rose by more than 0.1 since
        an earlier scene, from 60 days before the centre on), are taken only where there is no other, and flagged. By
        default the half width of the season with which the statistics were made. [day]

    Returns
    -------
    Dataset (glacier, balance_year)
        All years from the first to the last. The statistics of the scene taken, ``scene_date``,
        ``days_from_season_centre``, ``scenes`` (how many could be used), ``flags``; per glacier its area and
        elevations by its earliest outline, to whose area the ratio refers. The intervals of a scene come along,
        except with "envelope".

    Raises
    ------
    InputError
        If the rule does not exist.
    """
    one_of("rule", rule, RULES)
    if window is None:
        season_of_stats = Season.of(stats)
        window = season_of_stats.half_width if season_of_stats else WINDOW
    stats = stats.compute().sortby("time")
    years = np.arange(int(stats.balance_year.min()), int(stats.balance_year.max()) + 1, dtype="int32")
    earliest = {name: _earliest(stats, name) for name in _OF_GLACIER}
    names = [name for name in (*_OF_SCENE, *(() if rule == "envelope" else _DRAWN)) if name in stats]
    shape = stats.sizes["glacier"], years.size
    out = {name: np.full(shape, np.nan) for name in names}
    out["days_from_season_centre"] = np.full(shape, np.nan)
    dates = np.full(shape, np.datetime64("NaT"), stats.time.dtype)
    scenes, flags = np.zeros(shape, "int32"), np.full(shape, FLAGS["no_scene"], "int32")
    for j, year in enumerate(years):
        season = stats.isel(time=stats.balance_year.values == year)
        if season.sizes["time"] == 0:
            continue
        chosen, usable, flags[:, j] = _choose(season, rule, window)
        scenes[:, j] = usable.sum(0)
        g = np.arange(shape[0])
        for name in names:
            out[name][:, j] = season[name].values[chosen, g]
        if rule == "envelope":
            out["accumulation_area_ratio"][:, j], out["snow_line_altitude"][:, j] = _envelope(season, usable, chosen)
        if "time" in season["glacier_area"].dims:
            scale = season["glacier_area"].values[chosen, g] / earliest["glacier_area"]
            for name in names:
                if name.startswith("accumulation_area_ratio"):
                    out[name][:, j] *= scale
        dates[:, j] = season.time.values[chosen]
        out["days_from_season_centre"][:, j] = season.days_from_season_centre.values[chosen]
    return _dataset(stats, years, out, dates, scenes, flags, earliest).assign_attrs(rule=rule, window=window)


def _earliest(stats: xr.Dataset, name: str) -> np.ndarray:
    """Values of each glacier by its earliest outline that has an area."""
    values, area = stats[name].values, stats["glacier_area"].values
    if values.ndim == 1:
        return values
    return values[(area > 0).argmax(0), np.arange(area.shape[1])]


def _choose(season: xr.Dataset, rule: str, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scene taken for each glacier, the scenes that could be used (scene, glacier), and flags."""
    found = season["accumulation_area_ratio"].values
    seen = np.isfinite(found)
    days = season.days_from_season_centre.values[:, None]
    telling = np.where(days >= -LEAD, found, np.nan)
    least = np.vstack([np.full((1, found.shape[1]), np.inf), np.fmin.accumulate(telling, 0)])
    earlier = np.searchsorted(season.time.values, season.time.values)  # number of strictly earlier scenes
    fresh = seen & (found > np.where(np.isnan(least), np.inf, least)[earlier] + FRESH_SNOW)
    outside = np.abs(days) > window
    usable = seen & ~fresh & ~outside
    candidates = np.where(usable.any(0), usable, seen)
    area = season["class_area"]
    surface = area.sel(facies_class=[c for c in area.facies_class.values if c not in HIDDEN])
    with np.errstate(invalid="ignore"):
        worth = {
            "latest": np.where(np.logical_or.accumulate(fresh, 0), -1.0, np.arange(len(found))[:, None]),
            "most bare ice": (area.sel(facies_class="ice") / surface.sum("facies_class")).values,
        }.get(rule, -found)
    chosen = np.where(candidates, np.nan_to_num(worth, nan=-np.inf), -np.inf).argmax(0)
    nothing = ~seen.any(0)
    chosen = np.where(nothing, np.nan_to_num(season["coverage"].values, nan=-1).argmax(0), chosen)
    g = np.arange(found.shape[1])
    flags = np.zeros(found.shape[1], "int32")
    for name, is_set in (
        ("low_coverage", nothing),
        ("outside_season", np.broadcast_to(outside, found.shape)[chosen, g]),
        ("fresh_snow", fresh[chosen, g]),
        ("cut_by_edge", season["cut_by_edge"].values),
    ):
        flags |= np.where(is_set, FLAGS[name], 0).astype("int32")
    return chosen, usable, flags


def _envelope(season: xr.Dataset, usable: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and snow line of the smallest share of each band over the scenes that could be used, or the one taken."""
    g = np.arange(chosen.size)
    taken = usable.copy()
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
    found = ratio(share, weight)
    low, high = (_of_chosen(season[f"{end}_elevation"], chosen) for end in ("min", "max"))
    line = np.clip(snow_line(share, weight, edges(season["elevation_band"].values))[0], low, high)
    return np.where(some, found, np.nan), np.where(some & (found > 0), line, np.nan)


def _of_chosen(values: xr.DataArray, chosen: np.ndarray) -> np.ndarray:
    """Values of each glacier in the scene taken."""
    return values.values[chosen, np.arange(chosen.size)] if values.ndim > 1 else values.values


def _dataset(stats, years, out, dates, scenes, flags, earliest) -> xr.Dataset:
    dims = ("glacier", "balance_year")
    data: dict[str, tuple] = {
        name: (dims, values, stats[name].attrs) for name, values in out.items() if name in stats.data_vars
    }
    data["days_from_season_centre"] = (dims, out["days_from_season_centre"], stats["days_from_season_centre"].attrs)
    data["scene_date"] = (dims, dates, {"long_name": "time of the scene taken"})
    data["scenes"] = (dims, scenes, {"long_name": "number of scenes that could be used"})
    data["flags"] = (
        dims, flags,
        {"long_name": "what to know about a row", "flag_masks": np.array(list(FLAGS.values()), "int32"),
         "flag_meanings": " ".join(FLAGS)},
    )  # fmt: skip
    data |= {name: ("glacier", values, stats[name].attrs) for name, values in earliest.items()}
    coords = {n: c for n, c in stats.coords.items() if c.dims == ("glacier",)}
    season = Season.of(stats)
    attrs = stations.TIMED["balance_year"].attributes | (season.to_attrs() if season else {})
    return xr.Dataset(data, {**coords, "balance_year": ("balance_year", years, attrs)}, dict(stats.attrs))

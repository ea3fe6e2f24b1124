"""Glaciers as elevation bands with daily weather: what a temperature-index model runs on where there are no fields."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ...errors import InputError
from ..degreeday.fast import Days, Weather, derivatives
from ..degreeday.parameters import Smooth
from ..problem import FLAGS, Problem
from .places import LAPSE_RATE, at_glaciers

NORTH, SOUTH = "10-01", "04-01"
"""First day of the balance year."""

OF_SCENES = ("outside_season", "fresh_snow")
"""Flags that say nothing of a balance that rests on no scene."""


@dataclass(frozen=True)
class Bands:
    """Bands of some glaciers, and the balance years that their weather has whole."""

    glaciers: list[str]
    years: np.ndarray
    weather: Weather
    days: Days
    """The first year twice, for the snow that it starts with."""
    share: np.ndarray
    """Of each band in its glacier's area."""
    owner: np.ndarray
    """Glacier of each band."""

    @classmethod
    def of(cls, problem: Problem, year_start: str | None = None) -> "Bands":
        """Bands of the glaciers of a problem.

        Raises
        ------
        InputError
            If it has no weather, no hypsometry, or weather is missing.
        """
        if problem.forcing is None:
            raise InputError(
                "the temperature-index model needs weather: smb(..., climate=...), as facies_xr.smb.climate.daily.days "
                "gives it."
            )
        if problem.hypsometry is None or "band_area" not in problem.hypsometry:
            raise InputError("the temperature-index model needs the area of each elevation band (band_area).")
        glaciers = list(dict.fromkeys(map(str, problem.glacier)))
        forcing = problem.forcing.sel(glacier=glaciers).transpose("time", "glacier", ...)
        require_whole(forcing)
        area = problem.hypsometry["band_area"].sel(glacier=glaciers).transpose("glacier", "elevation_band").fillna(0)
        owner, band = np.nonzero(area.values > 0)
        if bare := [g for k, g in enumerate(glaciers) if k not in set(owner.tolist())]:
            raise InputError(f"glacier {bare[0]} has no area in any elevation band.")
        heights = area["elevation_band"].values[band]
        offset = LAPSE_RATE * (heights - forcing["height"].values[owner])
        share = area.values[owner, band] / area.values.sum(1)[owner]
        periods = whole_years(forcing["time"].values, year_start or year_start_of(problem))
        years, bounds = np.array(list(periods)), list(periods.values())
        days = Days.of_periods(bounds[0], *bounds)
        warm, wet = (torch.from_numpy(forcing[n].values.astype("float32")) for n in ("temperature", "precipitation"))
        weather = Weather(warm, wet, torch.from_numpy(owner), torch.from_numpy(offset.astype("float32")))
        return cls(glaciers, years, weather, days, share, owner)

    def locate(self, glacier: np.ndarray, year: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of glaciers and years; -1 for a year outside of the weather."""
        position = {g: k for k, g in enumerate(self.glaciers)}
        at = np.searchsorted(self.years, year)
        inside = (at < len(self.years)) & (self.years[np.minimum(at, len(self.years) - 1)] == year)
        return np.array([position[str(g)] for g in glacier], int), np.where(inside, at, -1)

    def run(self, p: Smooth, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Glacier-wide balances (glacier, year), and their derivatives by the glaciers' parameters. [m w.e.]

        Parameters
        ----------
        p : Smooth
            Parameters that all glaciers share.
        values : mapping of ndarray (glacier,)
            Those that they do not, and ``warming``.
        """
        fields = {n: torch.from_numpy(v[self.owner].astype("float32")) for n, v in values.items()}
        warming = fields.pop("warming")
        balance, changes = derivatives(p._replace(**fields), self.weather, self.days, p.depletion_centre, warming)
        return self._mean(balance), {name: self._mean(change) for name, change in changes.items()}

    def _mean(self, field: np.ndarray) -> np.ndarray:
        total = np.zeros((len(self.glaciers), field.shape[0]))
        np.add.at(total, self.owner, (field * self.share).T)
        return total[:, 1:]


def require_whole(forcing: xr.Dataset) -> None:
    """Refuse weather of glaciers that is missing on some day, not daily, or of no height.

    Raises
    ------
    InputError
    """
    missing = forcing["temperature"].isnull() | forcing["precipitation"].isnull()
    if bool(missing.any()):
        glacier = str(forcing["glacier"].values[missing.any("time").values][0])
        raise InputError(
            f"the weather of glacier {glacier} is missing on {int(missing.sel(glacier=glacier).sum())} days; see "
            "facies_xr.smb.climate.daily.without_gaps."
        )
    if "height" not in forcing:
        raise InputError("the weather does not say which height it holds for; give climate.assign(height=...) in m.")
    steps = np.diff(forcing["time"].values) / np.timedelta64(1, "D")
    if (steps != 1).any():
        raise InputError("the weather is not of consecutive days; see facies_xr.smb.climate.daily.days.")


def year_start_of(problem: Problem) -> str:
    """First day of the balance year of the glaciers of a problem, month and day."""
    latitude = problem.position[1]
    return SOUTH if np.isfinite(latitude).any() and np.nanmean(latitude) < 0 else NORTH


def whole_years(time: np.ndarray, start: str) -> dict[int, tuple[int, int]]:
    """Balance years that are there whole, from a day to the same of the next year: their first and last steps.

    Raises
    ------
    InputError
        If there is none.
    """
    stamps = pd.DatetimeIndex(time)
    periods = {}
    for year in range(stamps[0].year, stamps[-1].year + 2):
        first, last = (pd.Timestamp(f"{y}-{start}") for y in (year - 1, year))
        if first >= stamps[0] and last <= stamps[-1] + pd.Timedelta(days=1):
            periods[year] = ((first - stamps[0]).days, min((last - stamps[0]).days, len(stamps) - 1))
    if not periods:
        raise InputError(
            f"the weather, {stamps[0]:%Y-%m-%d} to {stamps[-1]:%Y-%m-%d}, has no whole balance year from {start} on."
        )
    return periods


def with_weather(problem: Problem, climate: xr.Dataset) -> Problem:
    """A problem for methods that need weather and no maps: each row counts that has a record.

    Parameters
    ----------
    problem : Problem
    climate : Dataset
        Daily ``temperature`` and ``precipitation`` with ``height``, of cells (time, latitude, longitude) or of the
        glaciers (glacier, time).

    Raises
    ------
    InputError
        If a glacier lies outside of the weather.
    """
    rows = problem.rows
    if "flags" in rows:
        rows = rows.assign(flags=rows["flags"] & ~sum(FLAGS[name] for name in OF_SCENES))
    if "glacier" not in climate.dims:
        if not {"longitude", "latitude"} <= set(rows):
            raise InputError("where the glaciers are is not known; give the weather of each: climate (glacier, time).")
        climate = at_glaciers(climate, rows.drop_duplicates("glacier")[["glacier", "longitude", "latitude"]])
    if missing := sorted(set(map(str, problem.glacier)) - set(climate["glacier"].astype(str).values)):
        raise InputError(f"the weather has no glacier {', '.join(missing[:3])}.")
    return replace(problem, rows=rows, predictors=(), optional=(), forcing=climate)


def problem_of(hypsometry: xr.Dataset, climate: xr.Dataset, records: pd.DataFrame) -> Problem:
    """A problem without any map: hypsometry, weather and records.

    Parameters
    ----------
    hypsometry : Dataset
        ``band_area`` (glacier, elevation_band); coordinates ``longitude`` and ``latitude`` (glacier,) where they are
        needed.
    climate : Dataset
        As :func:`with_weather` takes it.
    records : DataFrame
        ``glacier, balance_year, balance``. [m w.e.]
    """
    rows = records[["glacier", "balance_year"]].assign(observed=records["balance"].to_numpy(float))
    for name in ("longitude", "latitude"):
        if name in hypsometry.coords:
            rows[name] = hypsometry[name].to_series().reindex(rows.glacier).to_numpy()
    return with_weather(Problem(rows.reset_index(drop=True), hypsometry=hypsometry), climate)

"""Days of what was published in hours, months, or with gaps."""

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError, one_of
from . import units

ACCUMULATED = ("day", "step", "hour", "midnight", "day of month")
"""What a value of precipitation is the sum of: the whole day; the time since the value before it; the hour before it
(as ERA5 has it, even where only every sixth hour is kept); the time since 0 UTC (ERA5-Land, whose value at 0 UTC is of
the day before); a mean day of the month (monthly means of ERA5)."""

COMPLETE = 0.75
"""Share of a day's values that must be there; sums are those of the mean."""

LONGEST_GAP = 3
"""Days without weather that are filled. [day]"""

SPREAD = 4.5
"""Standard deviation of daily temperatures about the monthly course; Reeh (1991), for whole days' variation. [K]"""

WET_DAYS = 0.4
"""Share of days with precipitation, where only the month's sum is known."""


def days(weather: xr.Dataset, *, accumulated: str | None = None, zone: float = 0.0) -> xr.Dataset:
    """Daily means of temperature [degC] and sums of precipitation [m w.e. per day].

    Parameters
    ----------
    weather : Dataset
        As :func:`facies_xr.smb.climate.reading.read` gives it.
    accumulated : str, optional
        One of :data:`ACCUMULATED`; needed where steps are shorter than a day, whose sums cannot be guessed.
    zone : float
        Hours that local days begin before those of the weather's times; a station's local times have 0.

    Returns
    -------
    Dataset (time, ...)
        Consecutive days; one of which too few values are there is NaN; incomplete days at the ends are left out.

    Raises
    ------
    InputError
        If steps differ, are longer than a day, or it is not said what precipitation is accumulated over.
    """
    if accumulated is not None:
        one_of("accumulated", accumulated, ACCUMULATED)
    stamps = pd.DatetimeIndex(weather["time"].values)
    if len(stamps) < 2:
        raise InputError("the weather has fewer than two times.")
    step = pd.Series(np.diff(stamps)).mode()[0] / pd.Timedelta(hours=1)
    if step > 24:
        raise InputError(f"the weather's steps are {step / 24:.3g} days; see facies_xr.smb.climate.daily.from_months.")
    if step == 24:
        if accumulated not in (None, "day", "step"):
            raise InputError(f"accumulated={accumulated!r} does not go with daily values.")
        return _checked(weather.assign_coords(time=stamps.normalize()))
    if accumulated is None:
        raise InputError(
            f"the weather has a value every {step:g} hours; say what precipitation is accumulated over, accumulated= "
            f"one of {', '.join(ACCUMULATED)}."
        )
    fewest = int(np.ceil(COMPLETE * 24 / step))
    local = stamps + pd.Timedelta(hours=zone)
    warm = weather["temperature"]
    daily = xr.Dataset(
        {
            "temperature": _means(warm, local, fewest).assign_attrs(warm.attrs),
            "precipitation": _sums(weather["precipitation"], local, step, accumulated, fewest),
        }
    )
    return _checked(daily.assign({"height": weather["height"]} if "height" in weather else {}))


def _means(data: xr.DataArray, stamps: pd.DatetimeIndex, fewest: int) -> xr.DataArray:
    """Means of days that have enough values."""
    values = data.transpose("time", ...).values.astype("float64")
    days, first = np.unique(stamps.normalize().values, return_index=True)
    known = np.isfinite(values)
    count = np.add.reduceat(known.astype(int), first, axis=0)
    means = np.add.reduceat(np.where(known, values, 0), first, axis=0) / np.maximum(count, 1)
    dims = ("time", *(d for d in data.dims if d != "time"))
    coords = {k: v for k, v in data.coords.items() if "time" not in v.dims}
    return xr.DataArray(np.where(count >= fewest, means, np.nan), {**coords, "time": days}, dims)


def _sums(data: xr.DataArray, local: pd.DatetimeIndex, step: float, accumulated: str, fewest: int) -> xr.DataArray:
    """Daily sums; a value stands at the end of what it sums, so that at midnight belongs to the day before."""
    if accumulated == "midnight":
        if not (local == pd.DatetimeIndex(data["time"].values)).all():
            raise InputError('accumulated="midnight" counts from 0 UTC; leave zone at 0.')
        last = data.isel(time=np.flatnonzero(local.hour == 0))
        found = last.assign_coords(time=pd.DatetimeIndex(last["time"].values) - pd.Timedelta(days=1))
        return found.assign_attrs(data.attrs)
    each = step if accumulated == "step" else 1.0  # hours that a value is the sum of
    return (24 / each * _means(data, local - pd.Timedelta(seconds=1), fewest)).assign_attrs(data.attrs)


def _checked(daily: xr.Dataset) -> xr.Dataset:
    found = daily.assign(
        temperature=units.temperature(daily["temperature"]), precipitation=units.precipitation(daily["precipitation"])
    )
    there = found["temperature"].notnull() & found["precipitation"].notnull()
    whole = np.flatnonzero(there.any([d for d in there.dims if d != "time"]))
    if not whole.size:
        raise InputError("no day of the weather is complete.")
    low, high = (pd.Timestamp(found["time"].values[k]) for k in whole[[0, -1]])
    return found.reindex(time=pd.date_range(low, high, freq="D"))


def without_gaps(daily: xr.Dataset, *, longest: int = LONGEST_GAP, climatology: bool = False) -> xr.Dataset:
    """Weather whose short gaps are filled.

    Temperature is interpolated between the days about a gap, precipitation takes the mean of its calendar month; of
    longer gaps neither is made up, unless ``climatology`` asks for the month's mean of both.

    Parameters
    ----------
    daily : Dataset (time, ...)
        As :func:`days` gives it.
    longest : int
        Gap that is filled. [day]
    climatology : bool
        Whether longer gaps take the means of their calendar month.

    Raises
    ------
    InputError
        If a longer gap is left.
    """
    month = daily["time"].dt.month
    filled = daily.copy()
    holes = {}
    for name in ("temperature", "precipitation"):
        data = daily[name]
        means = data.groupby("time.month").mean("time").sel(month=month).drop_vars("month")
        short = ~_long(data, longest)
        near = data.interpolate_na("time") if name == "temperature" else data.fillna(means)
        values = data.where(data.notnull(), near.where(short))
        filled[name] = (values.fillna(means) if climatology else values).assign_attrs(data.attrs)
        holes[name] = filled[name].isnull()
    left = (holes["temperature"] | holes["precipitation"]).any([d for d in filled["temperature"].dims if d != "time"])
    if bool(left.any()):
        at = daily["time"].values[left.values.argmax()].astype("datetime64[D]")
        raise InputError(
            f"the weather lacks {int(left.sum())} days in gaps of more than {longest} days, first from {at} on; "
            "longest= fills longer ones, climatology=True takes the means of the calendar month."
        )
    return filled.assign_attrs(filled_days=int(daily["temperature"].isnull().any(
        [d for d in daily["temperature"].dims if d != "time"]).sum()))  # fmt: skip


def _long(data: xr.DataArray, longest: int) -> xr.DataArray:
    """Whether a value lies in a gap that is longer."""
    whole = data.notnull().astype("float64")
    around = whole.rolling(time=longest + 1, min_periods=1).max()  # 0 where so many before are missing
    gap = (around == 0).astype("float64")
    later = gap.isel(time=slice(None, None, -1)).rolling(time=longest + 1, min_periods=1).max()
    return later.isel(time=slice(None, None, -1)) > 0


def from_months(
    monthly: xr.Dataset,
    *,
    accumulated: str = "day of month",
    spread: float = SPREAD,
    wet_days: float = WET_DAYS,
) -> xr.Dataset:
    """Days of which the months are what is known.

    The course of temperature goes straight between the middles of months and keeps their means; about it, days are
    spread as a normal distribution (a constant monthly mean melts nothing in the months about 0 degC). Precipitation
    falls in equal parts on every so many days, whatever their temperature. Nothing is random.

    Parameters
    ----------
    monthly : Dataset (time, ...)
        Means of ``temperature`` and ``precipitation``, dated within their months, with units.
    accumulated : {"day of month", "month"}
        Whether precipitation is that of a mean day, as in ERA5's monthly means, or the month's sum (HISTALP).
    spread : float
        Standard deviation of days about the course, see :data:`SPREAD`. [K]
    wet_days : float
        Share of days with precipitation.

    Raises
    ------
    InputError
        If a month is missing.
    """
    one_of("accumulated", accumulated, ("day of month", "month"))
    months = pd.DatetimeIndex(monthly["time"].values).to_period("M")
    whole = pd.period_range(months[0], months[-1], freq="M")
    if len(whole) != len(months) or (whole != months).any():
        raise InputError(f"the monthly weather from {months[0]} to {months[-1]} lacks months, or has some twice.")
    calendar = pd.date_range(months[0].start_time, months[-1].end_time.normalize(), freq="D")
    number = (calendar.to_period("M").asi8 - months.asi8[0]).astype(int)
    length = np.bincount(number)
    raw = monthly.transpose("time", ...)
    per_day = raw["precipitation"]
    if accumulated == "month":
        per_day = (per_day / xr.DataArray(length, dims="time", coords={"time": per_day["time"]})).assign_attrs(
            raw["precipitation"].attrs
        )
    rain, means = units.precipitation(per_day), units.temperature(raw["temperature"])
    course = _course(means.values, number, length)
    day = np.concatenate([np.arange(n) for n in length])
    shape = (-1, *[1] * (means.ndim - 1))
    anomaly = np.array([_anomaly(d, n) for d, n in zip(day, length[number], strict=True)]) * spread
    every = max(round(1 / wet_days), 1)
    wet = (day % every == every // 2).astype(float)
    share = wet * (length / np.bincount(number, wet))[number]
    coords: dict[Any, Any] = {**{k: v for k, v in means.coords.items() if k != "time"}, "time": calendar}
    found = xr.Dataset(
        {
            "temperature": (means.dims, course + anomaly.reshape(shape), {"units": "degC"}),
            "precipitation": (rain.dims, rain.values[number] * share.reshape(shape), {"units": "m w.e. per day"}),
        },
        coords,
        {"spread": spread, "from": "months"},
    )
    return found.assign({"height": monthly["height"]} if "height" in monthly else {})


def _course(means: np.ndarray, number: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Straight lines between the middles of months, moved until the means are those given."""
    days, middles = np.arange(len(number)), np.cumsum(length) - (length + 1) / 2
    flat = means.reshape(len(means), -1)
    knots, found = flat.copy(), np.empty((len(days), flat.shape[1]))
    starts = np.cumsum(length) - length
    for _ in range(30):
        for k in range(flat.shape[1]):
            found[:, k] = np.interp(days, middles, knots[:, k])
        knots += flat - np.add.reduceat(found, starts, axis=0) / length[:, None]
    found += (flat - np.add.reduceat(found, starts, axis=0) / length[:, None])[number]
    return found.reshape(len(days), *means.shape[1:])


def _anomaly(day: int, length: int) -> float:
    """A quantile of the normal distribution for each day of a month, in an order that jumps about; their sum is 0."""
    stride = next(s for s in (11, 12, 13) if np.gcd(s, length) == 1)
    return NormalDist().inv_cdf(((day * stride) % length + 0.5) / length)

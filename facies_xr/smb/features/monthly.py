"""Monthly climate in the units of the features: read, converted, and refused where its numbers cannot be."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from ...errors import InputError, one_of
from ..climate import reading
from ..climate.daily import SPREAD
from .variables import PER_TIME, SUMMED, UNITS, VARIABLES, Variable

ACCUMULATED = ("day of month", "month")
"""What a month's amount or energy is the sum of: a mean day, as in ERA5's monthly means, or the month."""


def read(
    sources: str | Path | xr.Dataset | Sequence[str | Path],
    *,
    accumulated: str = "day of month",
    units: dict[str, str] | None = None,
) -> xr.Dataset:
    """Monthly climate under ERA5-Land's names: means in our units, amounts per mean day; lazily.

    Parameters
    ----------
    sources : path, list of paths, or Dataset (time, ...)
        Monthly means, of cells (time, latitude, longitude) or of glaciers (glacier, time).
    accumulated : {"day of month", "month"}
        What values are the sum of whose unit names no time (m, mm, J m-2).
    units : dict, optional
        Of variables that declare none, or a wrong one.

    Returns
    -------
    Dataset (time, ...)
        The variables of ``features.variables.VARIABLES`` that there are, and ``height`` where it is known [m]; read
        again it stays as it is.

    Raises
    ------
    InputError
        If a file cannot be read, none of the variables is there, a unit is not known, or times are not months. Values
        that are not possible are refused where they are computed.
    """
    one_of("accumulated", accumulated, ACCUMULATED)
    raw = sources if isinstance(sources, xr.Dataset) else reading.opened(sources)
    places = {n: ours for ours in ("time", "latitude", "longitude") for n in reading.NAMES[ours] if n in raw.variables}
    raw = raw.rename({n: ours for n, ours in places.items() if n != ours and ours not in raw.variables})
    if "time" not in raw.dims:
        raise InputError(f"the climate has no time; its dimensions are {', '.join(map(str, raw.dims))}.")
    kept = ("time", "latitude", "longitude", "glacier")
    raw = reading.dated(raw.drop_vars([c for c in raw.coords if c not in kept]))
    time = _months(raw)
    raw = raw.assign_coords(time=time)
    days = xr.DataArray(pd.DatetimeIndex(time).days_in_month.to_numpy(float), dims="time", coords={"time": time})
    found = {}
    for name, variable in VARIABLES.items():
        given = next((n for n in (name, *variable.names) if n in raw), None)
        if given is not None and "time" in raw[given].dims:
            found[name] = _converted(raw[given], variable, accumulated, (units or {}).get(given), days)
    if not found:
        raise InputError(
            f"the climate has no variable that is known ({', '.join(VARIABLES)}); it has {', '.join(map(str, raw))}."
        )
    heights = {n: raw[n] for ours in ("height", "geopotential") for n in reading.NAMES[ours] if n in raw}
    named = {n: ours for ours in ("height", "geopotential") for n in reading.NAMES[ours] if n in heights}
    return xr.Dataset(found).merge(reading.with_height(xr.Dataset(heights).rename(named)))


def _months(data: xr.Dataset) -> np.ndarray:
    """First days of the months."""
    stamps = pd.DatetimeIndex(data["time"].values)
    months = stamps.to_period("M")
    if months.has_duplicates:
        raise InputError(
            f"the climate has several times in {months[months.duplicated()][0]}; features are made of monthly means, "
            'such as weather.resample(time="MS").mean().'
        )
    return months.to_timestamp().to_numpy("datetime64[ns]")


def _converted(
    data: xr.DataArray, variable: Variable, accumulated: str, units: str | None, days: xr.DataArray
) -> xr.DataArray:
    unit = units if units is not None else data.attrs.get("units")
    if unit is None:
        raise InputError(f"climate variable {data.name!r} does not say its unit; give units={{{data.name!r}: ...}}.")
    means = UNITS.get(variable.units, {})
    timed, summed = PER_TIME.get(variable.units, {}), SUMMED.get(variable.units, {})
    factor, added = np.nan, 0.0
    if variable.kind == "mean":
        known = set(means)
        factor, added = means.get(unit, (factor, added))
    else:
        known = {*timed, *summed}
        factor = {**summed, **timed}.get(unit, factor)
    out = data * factor + added
    if variable.kind != "mean" and accumulated == "month" and unit in summed:
        out = out / days
    if unit not in known:
        raise InputError(
            f"climate variable {data.name!r} is in {unit!r}; known for {variable.long_name} are "
            f"{', '.join(sorted(known)[:12])}."
        )
    per = " per day" if variable.kind == "amount" else ""
    return out.astype("float64").assign_attrs(units=variable.units + per, long_name=variable.long_name)


def derived(climate: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """The climate with the variables that are made of others; ``pdd`` is of a mean day. Lazily.

    Notes
    -----
    Vapour pressure over water after Bolton (1980): e = 6.112 exp(17.67 t / (t + 243.5)) hPa. Degree days of days that
    are normal about the month's mean t with standard deviation s: s (z N(z) + n(z)), z = t / s (Calov and Greve 2005).
    """
    made = climate.copy()
    if "ws10" in names:
        made["ws10"] = np.sqrt(climate["u10"] ** 2 + climate["v10"] ** 2)
    if "vpd" in names:
        made["vpd"] = vapour_pressure(climate["t2m"]) - vapour_pressure(climate["d2m"])
    if "pdd" in names:
        made["pdd"] = degree_days(climate["t2m"])
    return made


def vapour_pressure(temperature: xr.DataArray) -> xr.DataArray:
    """Of air that is saturated over water. [hPa]"""
    power = 17.67 * temperature / (temperature + 243.5)
    return xr.apply_ufunc(np.exp, power, dask="allowed") * 6.112


def degree_days(temperature: xr.DataArray, spread: float = SPREAD) -> xr.DataArray:
    """Mean positive part of temperatures that are normal about a mean. [K]"""
    z = temperature / spread
    below: xr.DataArray = xr.apply_ufunc(ndtr, z, dask="allowed")
    density: xr.DataArray = xr.apply_ufunc(lambda v: np.exp(-(v**2) / 2) / np.sqrt(2 * np.pi), z, dask="allowed")
    return (z * below + density) * spread


def require_possible(values: np.ndarray, name: str) -> None:
    """Refuse months (..., 12) that no climate has, such as those in another unit.

    Raises
    ------
    InputError
    """
    variable = VARIABLES[name]
    per = " per day" if variable.kind == "amount" else ""
    known = values[np.isfinite(values)]
    if not known.size:
        return
    low, high = known.min(), known.max()
    slack = 1e-6 * max(abs(variable.low), abs(variable.high), 1.0)
    if low < variable.low - slack or high > variable.high + slack:
        raise InputError(
            f"{name} ({variable.long_name}) runs from {low:.4g} to {high:.4g} {variable.units}{per}, where "
            f"{variable.low:g} to {variable.high:g} is possible; is its unit right, and what it is the sum of?"
        )
    whole = values[np.isfinite(values).all(-1)]
    if variable.least and whole.size and (largest := np.abs(whole).max()) < variable.least:
        raise InputError(
            f"{name} ({variable.long_name}) reaches {largest:.4g} {variable.units}{per} only, too little by far; is "
            "its unit right, and what it is the sum of?"
        )

"""The temperature-index model on labelled weather, with units and days checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from ...errors import InputError, MissingVariableError, one_of
from ..climate import units
from . import integrate
from .parameters import CLASSICAL, SINGLE, SMOOTH, free, resolved, resolved_single
from .steps import STEPS

DAY = np.timedelta64(1, "D")


def temperature_index(
    weather: xr.Dataset,
    parameters: Mapping[str, float] | None = None,
    *,
    store: str = "published",
    snow: xr.DataArray | None = None,
    outline: xr.DataArray | None = None,
) -> xr.Dataset:
    """Daily mass balance of a period by temperature alone.

    Parameters
    ----------
    weather : Dataset (time, ...)
        ``temperature`` and ``precipitation`` of consecutive days, both ends of the period included, each with its
        attribute ``units`` (K or degC; m, mm or kg m-2, a day).
    parameters : mapping of float, optional
        By name, in the units of :data:`facies_xr.smb.degreeday.parameters.SMOOTH`; the priors by default.
    store : {"published", "conserving", "classical", "single"}
        How the snow is kept, see :mod:`facies_xr.smb.degreeday.steps`.
    snow : DataArray, optional
        Before the first day [m w.e.]; by default the centre of the depletion curve, without one none.
    outline : DataArray, optional
        Share of the glacier in each pixel; where it is above 0, no weather may be missing.

    Returns
    -------
    Dataset (time, ...)
        ``balance`` and ``snow`` of each day [m w.e.], the end days with half their weight, as
        :func:`facies_xr.smb.degreeday.integrate.weights` has it; NaN where the weather is.

    Raises
    ------
    InputError
        If a unit is not declared or does not fit, a day is missing, weather is missing on the glacier, or a parameter
        is not possible.
    """
    one_of("store", store, STEPS)
    for name in ("temperature", "precipitation"):
        if name not in weather:
            raise MissingVariableError(f"the weather has no {name!r}; it has {', '.join(map(str, weather.data_vars))}.")
    temperature = units.temperature(weather["temperature"])
    precipitation = units.precipitation(weather["precipitation"])
    temperature, precipitation = xr.broadcast(temperature, precipitation)
    if "time" not in temperature.dims or temperature.sizes["time"] < 1:
        raise InputError("the weather has no time; give consecutive days.")
    temperature, precipitation = (data.transpose("time", ...) for data in (temperature, precipitation))
    require_days(temperature["time"])
    missing = (temperature.isnull() | precipitation.isnull()).any("time")
    if outline is not None and bool((missing & (outline > 0)).any()):
        raise InputError(
            f"the weather is missing in {int((missing & (outline > 0)).sum())} pixels of the glacier; fill it before, "
            "see facies_xr.smb.climate.daily.without_gaps."
        )
    p: Any
    if store == "classical":
        p = CLASSICAL._replace(**(parameters or {}))
    else:
        p = resolved_single(free(parameters, of=SINGLE)) if store == "single" else resolved(free(parameters, of=SMOOTH))
    t, rain = (torch.from_numpy(np.array(data.values, "float64")) for data in (temperature, precipitation))
    if snow is None:
        start = integrate.bare(p, t[0]) if hasattr(p, "depletion_centre") else torch.zeros_like(t[0])
    else:
        start = torch.from_numpy(np.array(snow.broadcast_like(temperature[0]).values, "float64"))
    run = integrate.series(STEPS[store], p, t, rain, start)
    dims = temperature.dims
    result = xr.Dataset(
        {"balance": (dims, run.balance.numpy()), "snow": (dims, run.snow.numpy())}, temperature.coords
    ).where(~missing)
    for name, meaning in (("balance", "mass balance of the day"), ("snow", "snow after the day")):
        result[name].attrs.update(long_name=meaning, units="m (of water equivalent)")
    return result.assign_attrs(store=store)


def require_days(time: xr.DataArray) -> None:
    """Refuse times that are not one day after the other.

    Raises
    ------
    InputError
    """
    stamps = time.values.astype("datetime64[D]")
    steps = np.diff(stamps)
    if (wrong := np.flatnonzero(steps != DAY)).size:
        first = wrong[0]
        raise InputError(
            f"the weather is not of consecutive days: {stamps[first]} is followed by {stamps[first + 1]}"
            f"{f', and so on in {wrong.size} places' if wrong.size > 1 else ''}; make days of it first, see "
            "facies_xr.smb.climate."
        )

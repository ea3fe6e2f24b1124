"""Units of weather: declared, converted, and refused where the numbers cannot be in them."""

import numpy as np
import xarray as xr

from ...errors import InputError

KELVIN = 273.15

TEMPERATURE = {
    "K": -KELVIN, "kelvin": -KELVIN, "degC": 0.0, "celsius": 0.0, "degrees_C": 0.0, "deg C": 0.0, "°C": 0.0, "C": 0.0,
    "degree_Celsius": 0.0,
}  # fmt: skip
"""What is added to have degC."""

WATER = {
    "m": 1.0, "m w.e.": 1.0, "m of water equivalent": 1.0, "m of water": 1.0, "mm": 1e-3, "mm w.e.": 1e-3,
    "kg m-2": 1e-3, "kg m**-2": 1e-3, "kg/m2": 1e-3,
}  # fmt: skip
"""What it is multiplied by to have m w.e."""

PER_DAY = ("", " per day", " d-1", "/day", " day-1", "/d", " d**-1")

COLDEST, WARMEST = -95.0, 60.0
"""Air near the ground: -89.2 (Vostok 1983) to 56.7 degC (Furnace Creek 1913)."""

WETTEST = 2.0
"""Water in a day: 1.825 m (La Reunion 1966). [m]"""

SCARCEST = 1e-5
"""Mean of a series of precipitation in m per day; the driest glaciers have ten times as much. [m]"""

RIPPLE = 1e-6
"""Precipitation may be so far below 0 where files are packed. [m]"""


def temperature(data: xr.DataArray, units: str | None = None) -> xr.DataArray:
    """Air temperature in degC.

    Parameters
    ----------
    data : DataArray
        With its attribute ``units``.
    units : str, optional
        Where it has none, or a wrong one.

    Raises
    ------
    InputError
        If no unit is declared or known, or the values are not possible in it.
    """
    unit = _declared(data, units, "temperature", TEMPERATURE)
    values = data + TEMPERATURE[unit]
    low, high = float(values.min()), float(values.max())
    if low < COLDEST or high > WARMEST:
        raise InputError(
            f"temperature {data.name!r} runs from {low - TEMPERATURE[unit]:.5g} to {high - TEMPERATURE[unit]:.5g} "
            f"{unit}, which no air near the ground has; is its unit {'degC' if unit in ('K', 'kelvin') else 'K'}?"
        )
    return values.assign_attrs(units="degC")


def precipitation(data: xr.DataArray, units: str | None = None) -> xr.DataArray:
    """Daily precipitation in m w.e. per day; what is below 0 by packing alone is 0.

    Parameters
    ----------
    data : DataArray
        Daily sums, with the attribute ``units``.
    units : str, optional
        Where it has none, or a wrong one.

    Raises
    ------
    InputError
        If no unit is declared or known, or the values are not possible in it.
    """
    known = {water + per: factor for water, factor in WATER.items() for per in PER_DAY}
    unit = _declared(data, units, "precipitation", known)
    values = data * known[unit]
    low, high, mean = float(values.min()), float(values.max()), float(values.mean())
    if low < -RIPPLE:
        raise InputError(f"precipitation {data.name!r} is negative, down to {low / known[unit]:.4g} {unit}; mend it.")
    if high > WETTEST:
        raise InputError(
            f"precipitation {data.name!r} reaches {high / known[unit]:.4g} {unit} in a day, more than any day ever "
            "had; is its unit mm?"
        )
    if data.size > 300 and 0 < mean < SCARCEST:
        raise InputError(
            f"precipitation {data.name!r} is {mean / known[unit]:.3g} {unit} a day on average, less than any glacier "
            "has; is its unit m?"
        )
    return values.clip(min=0).assign_attrs(units="m w.e. per day")


def _declared(data: xr.DataArray, units: str | None, what: str, known: dict[str, float]) -> str:
    unit = units if units is not None else data.attrs.get("units")
    if unit is None:
        raise InputError(
            f"{what} {data.name!r} does not say its unit; declare it, one of {', '.join(sorted(known)[:12])}."
        )
    if unit not in known:
        raise InputError(
            f"{what} {data.name!r} is in {unit!r}, which is not known; choose {', '.join(sorted(known)[:12])}."
        )
    if not np.isfinite(data).any():
        raise InputError(f"{what} {data.name!r} has no value at all.")
    return str(unit)

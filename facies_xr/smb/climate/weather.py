"""From files to the daily weather that the models take."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from . import daily, reading

LONGEST_STEP = np.timedelta64(27, "D")
"""Steps that are as long are months."""


def weather(
    sources: str | Path | xr.Dataset | Sequence[str | Path],
    *,
    accumulated: str | None = None,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    zone: float = 0.0,
    spread: float = daily.SPREAD,
    longest: int = daily.LONGEST_GAP,
    climatology: bool = False,
) -> xr.Dataset:
    """Daily temperature [degC] and precipitation [m w.e. per day], whole, from hours, days or months.

    Parameters
    ----------
    sources, names, units
        As :func:`facies_xr.smb.climate.reading.read` takes them.
    accumulated, zone
        As :func:`facies_xr.smb.climate.daily.days` takes them, or for months ``accumulated`` as
        :func:`facies_xr.smb.climate.daily.from_months` does.
    spread : float
        Of daily temperatures within months. [K]
    longest, climatology
        As :func:`facies_xr.smb.climate.daily.without_gaps` takes them.

    Raises
    ------
    InputError
        If a file cannot be read, a unit is not declared or not possible, sums are not said to be of what, or days lack.
    """
    found = reading.read(sources, names=names, units=units)
    times = found["time"].values
    if len(times) > 1 and np.median(np.diff(times)) >= LONGEST_STEP:
        return daily.from_months(found, accumulated=accumulated or "day of month", spread=spread)
    whole = daily.days(found, accumulated=accumulated, zone=zone)
    return daily.without_gaps(whole, longest=longest, climatology=climatology)

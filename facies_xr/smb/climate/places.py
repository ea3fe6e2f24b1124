"""Weather of cells at glaciers and on their grids."""

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError

LAPSE_RATE = -0.0060
"""Change of temperature with height; that of papers/002. [K m-1]"""

FARTHEST = 1.0
"""Distance of a glacier from the nearest cell, in cells (or degrees, where there is one). """


def at_glaciers(weather: xr.Dataset, glaciers: pd.DataFrame | xr.Dataset) -> xr.Dataset:
    """Weather of the nearest cell of each glacier.

    Parameters
    ----------
    weather : Dataset (time, latitude, longitude)
        Daily, with ``height`` of the cells where it is known.
    glaciers : DataFrame or Dataset
        ``glacier``, ``longitude`` and ``latitude``. [degree]

    Returns
    -------
    Dataset (glacier, time)
        ``temperature`` [degC] and ``precipitation`` [m w.e. per day], and ``height`` (glacier,) that they hold for.
        [m]

    Raises
    ------
    InputError
        If a glacier lies outside of the cells.
    """
    table = glaciers if isinstance(glaciers, pd.DataFrame) else glaciers[["longitude", "latitude"]].to_dataframe()
    table = table.reset_index() if "glacier" not in table else table
    place = {}
    for axis in ("latitude", "longitude"):
        cells = np.atleast_1d(weather[axis].values.astype(float))
        size = np.abs(np.diff(cells)).min() if cells.size > 1 else FARTHEST
        wanted = table[axis].to_numpy(float)
        if axis == "longitude" and cells.max() > 180:
            wanted = wanted % 360
        away = np.abs(cells[:, None] - wanted)
        if (far := away.min(0) > FARTHEST * size).any():
            raise InputError(
                f"glacier {table.glacier[far].iloc[0]!r} at {axis} {wanted[far][0]:.2f} lies outside of the weather, "
                f"which has {cells.min():.2f} to {cells.max():.2f}."
            )
        place[axis] = xr.DataArray(away.argmin(0), dims="glacier")
    one_cell = {axis: 1 for axis in place if axis not in weather.dims}
    found = weather.expand_dims(list(one_cell)) if one_cell else weather
    found = found.isel(place).drop_vars(list(place)).assign_coords(glacier=table.glacier.astype(str).to_numpy())
    return found.transpose("glacier", "time", ...)


def at_heights(weather: xr.Dataset, heights: xr.DataArray, *, lapse_rate: float = LAPSE_RATE) -> xr.Dataset:
    """Weather at some heights, such as elevation bands or the pixels of a grid.

    Parameters
    ----------
    weather : Dataset (time, ...)
        With ``height`` [m], for which it holds.
    heights : DataArray
        [m]
    lapse_rate : float
        Change of temperature with height; precipitation is used as it is. [K m-1]

    Raises
    ------
    InputError
        If the weather's height is not known.
    """
    if "height" not in weather:
        raise InputError("the weather does not say which height it holds for; give weather.assign(height=...) in m.")
    warm = weather["temperature"] + lapse_rate * (heights - weather["height"])
    wet = weather["precipitation"].broadcast_like(warm)
    return xr.Dataset({
        "temperature": warm.assign_attrs(units="degC"),
        "precipitation": wet.assign_attrs(units="m w.e. per day"),
    })  # fmt: skip

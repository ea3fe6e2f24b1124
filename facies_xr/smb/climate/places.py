"""Weather of cells at glaciers and on their grids."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
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
        If the weather is not of cells, or a glacier lies outside of them.
    """
    require_cells(weather)
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
    found = _gathered(found, place["latitude"], place["longitude"])
    found = found.assign_coords(glacier=table.glacier.astype(str).to_numpy())
    return found.transpose("glacier", "time", ...)


def require_cells(weather: xr.Dataset) -> None:
    """Refuse what has no place.

    Raises
    ------
    InputError
        If it has no latitude and longitude.
    """
    if not {"latitude", "longitude"} <= set(weather.variables):
        raise InputError(
            "the climate must be of cells, with latitude and longitude, or of glaciers, with a dimension 'glacier'; "
            f"its dimensions are {', '.join(map(str, weather.dims))}."
        )


def over_outlines(weather: xr.Dataset, outlines: gpd.GeoDataFrame) -> xr.Dataset:
    """Weather of the cells under each glacier, averaged by the area that it has in them; lazily.

    Parameters
    ----------
    weather : Dataset (time, latitude, longitude)
    outlines : GeoDataFrame
        Column ``glacier``.

    Returns
    -------
    Dataset (glacier, time)
        Cells without a value count for nothing; where all are, that is NaN.

    Raises
    ------
    InputError
        If a glacier lies outside of the cells.
    """
    centres = [weather[axis].values.astype(float) for axis in ("longitude", "latitude")]
    east = centres[0].max() > 180
    half = [np.abs(np.diff(c)).min() / 2 if c.size > 1 else FARTHEST / 2 for c in centres]
    x, y = (g.ravel() for g in np.meshgrid(*centres))
    cells = shapely.box(x - half[0], y - half[1], x + half[0], y + half[1])
    tree, found = shapely.STRtree(cells), []
    for glacier, shape in zip(outlines["glacier"], outlines.geometry.to_crs(4326), strict=True):
        shape = shapely.transform(shape, lambda v: np.column_stack([v[:, 0] % 360, v[:, 1]])) if east else shape
        hit = tree.query(shape)
        area = shapely.area(shapely.intersection(cells[hit], shape))
        if area.sum() < 0.5 * shape.area:
            raise InputError(f"glacier {str(glacier)!r} lies outside of the weather, or most of it does.")
        found.append((hit[area > 0], area[area > 0]))
    most = max(len(hit) for hit, _ in found)
    position, weight = np.zeros((len(found), most), int), np.zeros((len(found), most))
    for k, (hit, area) in enumerate(found):
        position[k, : len(hit)], weight[k, : len(hit)] = hit, area / area.sum()
    row, column = (xr.DataArray(p, dims=("glacier", "cell")) for p in np.divmod(position, centres[0].size))
    share = xr.DataArray(weight, dims=("glacier", "cell"))
    mean = _gathered(weather, row, column).weighted(share).mean("cell")
    return mean.assign_coords(glacier=outlines["glacier"].astype(str).to_numpy()).transpose("glacier", "time", ...)


def _gathered(weather: xr.Dataset, row: xr.DataArray, column: xr.DataArray) -> xr.Dataset:
    """Cells by their rows and columns; lazily a task a block of time, where pointwise indexing makes one a cell."""
    axes = ("latitude", "longitude")
    window = {axis: slice(int(p.min()), int(p.max()) + 1) for axis, p in zip(axes, (row, column), strict=True)}
    found = weather.isel(window).drop_vars(list(axes))
    found = found.chunk(dict.fromkeys(axes, -1)) if found.chunks else found

    def gather(data: xr.DataArray) -> xr.DataArray:
        if not set(axes) <= set(data.dims):
            return data
        return xr.apply_ufunc(
            lambda values, r, c: values[..., r, c], data, row - int(row.min()), column - int(column.min()),
            input_core_dims=[axes, row.dims, row.dims], output_core_dims=[row.dims], dask="parallelized",
            output_dtypes=[data.dtype], keep_attrs="override",
        )  # fmt: skip

    return found.map(gather)


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

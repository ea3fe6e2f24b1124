"""One row of candidate features for each glacier and balance year, lazily."""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ..climate.places import at_glaciers, over_outlines, require_cells
from .monthly import derived, read, require_possible
from .variables import ABOVE_CELL, ALBEDO, TOPOGRAPHY, VARIABLES, WINDOWS, Configuration, available, schema

NORTH, SOUTH = 10, 4
"""Month in which the balance year begins."""


def candidates(
    climate: Any,
    glaciers: pd.DataFrame | xr.Dataset,
    *,
    albedo: xr.DataArray | None = None,
    topography: xr.Dataset | None = None,
    configuration: Configuration | None = None,
) -> xr.Dataset:
    """Candidate features of glaciers and balance years.

    Parameters
    ----------
    climate : Dataset or path or list of paths
        As :func:`.monthly.read` takes it, or what it gave: of cells, or of the glaciers.
    glaciers : GeoDataFrame, DataFrame or Dataset
        Outlines, over which cells are averaged by area; or ``glacier, longitude, latitude`` [degree], which take the
        nearest cell. A column ``year_start`` (month) sets a balance year of a glacier's own; by default it begins in
        October, south of the equator in April.
    albedo : DataArray (glacier, balance_year), optional
        As :func:`.albedo.summer` gives it.
    topography : Dataset (glacier,), optional
        As :mod:`.topography` gives it.
    configuration : Configuration, optional
        By default every default variable that the climate has.

    Returns
    -------
    Dataset (glacier, balance_year, feature)
        ``candidates`` float64, lazy where the climate is; coordinates ``units`` and ``definition`` of each feature,
        ``longitude`` and ``latitude`` of each glacier, which are no features. A window that lacks a month is NaN.

    Raises
    ------
    InputError
        If a glacier lies outside of the climate, or a variable that is asked for is missing. Values that are not
        possible are refused where they are computed.
    """
    months = read(climate)
    if configuration is None:
        chosen = available([str(name) for name in months.data_vars])
    elif missing := [name for name in configuration.published if name not in months]:
        raise InputError(f"the climate lacks {', '.join(missing)}; it has {', '.join(map(str, months.data_vars))}.")
    else:
        chosen = configuration
    table = _places(glaciers)
    at = _at(months[[*chosen.published, *(["height"] if "height" in months else [])]], glaciers, table)
    heights = None if topography is None else topography["z_median"].sel(glacier=table.glacier.to_numpy())
    at, above = _at_height(at, heights, chosen.lapse_rate)
    parts = [_years(at.isel(glacier=np.flatnonzero(table.year_start == start)), chosen, int(start))
             for start in sorted(table.year_start.unique())]  # fmt: skip
    rows = xr.concat(parts, "glacier", join="outer").sel(glacier=table.glacier.to_numpy())
    every = [rows, *_static(rows, albedo, topography, above)]
    made = xr.concat(every, "feature").transpose("glacier", "balance_year", "feature")
    text = schema(chosen).loc[made["feature"].values]
    places = {name: ("glacier", table[name].to_numpy(float)) for name in ("longitude", "latitude")}
    return xr.Dataset(
        {"candidates": made.assign_attrs(long_name="candidate features")},
        {**places, "units": ("feature", text.units.to_numpy(str)),
         "definition": ("feature", text.definition.to_numpy(str))},
        {"lapse_rate": chosen.lapse_rate if chosen.lapse_rate is not None and above is not None else "none",
         "columns": made.sizes["feature"]},
    )  # fmt: skip


def table(features: xr.Dataset) -> pd.DataFrame:
    """Candidates as a table: ``glacier``, ``balance_year`` and a column a feature, a row a glacier and year.

    Rows of which no climate is known are left out. This computes.
    """
    data = features["candidates"]
    names = [str(name) for name in data["feature"].values]
    g, y, f = data.shape
    rows = pd.DataFrame(data.values.reshape(g * y, f), columns=names)
    rows.insert(0, "balance_year", np.tile(data["balance_year"].values, g))
    rows.insert(0, "glacier", np.repeat(data["glacier"].values.astype(str), y))
    of_climate = [name for name in names if name not in (ALBEDO, ABOVE_CELL, *TOPOGRAPHY)]
    return rows[rows[of_climate].notna().any(axis=1)].reset_index(drop=True)


def _places(glaciers: pd.DataFrame | xr.Dataset) -> pd.DataFrame:
    if isinstance(glaciers, gpd.GeoDataFrame):
        points = glaciers.geometry.to_crs(4326).representative_point()
        rows = pd.DataFrame({"glacier": glaciers["glacier"], "longitude": points.x, "latitude": points.y})
        if "year_start" in glaciers:
            rows["year_start"] = glaciers["year_start"]
    elif isinstance(glaciers, pd.DataFrame):
        rows = glaciers.copy()
    else:
        rows = glaciers[["longitude", "latitude"]].reset_coords().to_dataframe().reset_index()
    rows["glacier"] = rows["glacier"].astype(str)
    if (twice := rows.glacier.duplicated()).any():
        raise InputError(f"glacier {rows.glacier[twice].iloc[0]} is there twice; keep one outline of each.")
    if "year_start" not in rows:
        rows["year_start"] = np.where(rows["latitude"] < 0, SOUTH, NORTH)
    return rows.reset_index(drop=True)


def _at(months: xr.Dataset, glaciers: Any, table: pd.DataFrame) -> xr.Dataset:
    if "glacier" in months.dims:
        known = set(months["glacier"].values.astype(str))
        if missing := [g for g in table.glacier if g not in known]:
            raise InputError(f"the climate has no glacier {', '.join(missing[:3])}.")
        return months.assign_coords(glacier=months["glacier"].values.astype(str)).sel(glacier=table.glacier.to_numpy())
    require_cells(months)
    if isinstance(glaciers, gpd.GeoDataFrame):
        return over_outlines(months, glaciers)
    return at_glaciers(months, table)


def _at_height(
    months: xr.Dataset, median: xr.DataArray | None, lapse_rate: float | None
) -> tuple[xr.Dataset, xr.DataArray | None]:
    """Air temperature at the glacier's median elevation, and that above the climate's; where both are known."""
    if median is None or "height" not in months:
        return months, None
    above = median.drop_vars([c for c in median.coords if c != "glacier"]) - months["height"]
    if lapse_rate is not None and "t2m" in months:
        return months.assign(t2m_there=months["t2m"] + lapse_rate * above), above
    return months, above


def _years(months: xr.Dataset, chosen: Configuration, start: int) -> xr.DataArray:
    """Features of climate of glaciers whose balance year begins in a month. (glacier, balance_year, feature)"""
    time = pd.DatetimeIndex(months["time"].values)
    year = time.year + ((time.month >= start) & (start > 1))
    first = pd.Timestamp(year.min() - (start > 1), start, 1)
    whole = pd.date_range(first, periods=12 * (year.max() - year.min() + 1), freq="MS")
    made = derived(months, chosen.variables)
    if "t2m_there" in months:
        moved = derived(months.assign(t2m=months["t2m_there"]), [n for n in chosen.variables if n == "pdd"])
        made = made.assign({n: moved[n] for n in ("t2m", "pdd") if n in chosen.variables})
    days = xr.DataArray(whole.days_in_month.to_numpy(float).reshape(-1, 12), dims=("balance_year", "month"))
    parts = []
    for name in chosen.variables:
        data = made[name].transpose("glacier", "time").drop_vars([c for c in made[name].coords
                                                                  if c not in ("glacier", "time")])  # fmt: skip
        data = data.chunk(time=-1) if data.chunks is not None else data
        data = data.reindex(time=whole).coarsen(time=12).construct(time=("balance_year", "month"))
        data = data.drop_vars("time", errors="ignore")
        parts.append(xr.apply_ufunc(
            _windows, data.chunk(month=-1) if data.chunks is not None else data, days,
            kwargs={"name": name, "windows": chosen.windows},
            input_core_dims=[["month"], ["month"]], output_core_dims=[["feature"]], dask="parallelized",
            output_dtypes=["float64"], dask_gufunc_kwargs={"output_sizes": {"feature": len(chosen.windows)}},
        ))  # fmt: skip
    found = xr.concat(parts, "feature").transpose("glacier", "balance_year", "feature")
    return found.assign_coords(
        feature=np.array(chosen.columns), balance_year=np.arange(year.min(), year.max() + 1).astype("int32")
    )


def _windows(months: np.ndarray, days: np.ndarray, *, name: str, windows: tuple[str, ...]) -> np.ndarray:
    """Months (..., 12) over windows (..., window): sums of amounts, means by days of all else."""
    require_possible(months, name)
    weighted = months * days
    out = np.empty((*months.shape[:-1], len(windows)))
    for k, window in enumerate(windows):
        positions = list(WINDOWS[window])
        total = weighted[..., positions].sum(-1)
        out[..., k] = total if VARIABLES[name].kind == "amount" else total / days[..., positions].sum(-1)
    return out


def _static(
    rows: xr.DataArray, albedo: xr.DataArray | None, topography: xr.Dataset | None, above: xr.DataArray | None
) -> list[xr.DataArray]:
    """Albedo and properties of the glaciers, each as one feature."""
    found: dict[str, xr.DataArray] = {}
    if albedo is not None:
        found[ALBEDO] = albedo.reindex(glacier=rows["glacier"], balance_year=rows["balance_year"])
    if topography is not None:
        found |= {name: topography[name].sel(glacier=rows["glacier"]) for name in TOPOGRAPHY if name in topography}
    if above is not None:
        found[ABOVE_CELL] = above
    shape = rows.isel(feature=0, drop=True)
    nothing = xr.zeros_like(shape)
    result = []
    for name, data in found.items():
        plain = data.drop_vars([c for c in data.coords if c not in ("glacier", "balance_year")])
        result.append((nothing + plain).astype("float64").expand_dims(feature=[name]))
    return result

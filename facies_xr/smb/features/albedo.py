"""Summer albedo of glaciers: from a daily product such as MODIS's, or from the statistics of our own scenes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ... import grids
from ...errors import InputError
from ...terrain.proximity import Glaciers

SHARE = 0.3
"""Of the glacier's pixels that must be valid for a date to count."""

DATES = 5
"""That a summer must have."""

SUMMER = {"north": (6, 7, 8), "south": (12, 1, 2)}


def summer(
    albedo: xr.DataArray, valid: xr.DataArray, *, share: float = SHARE, dates: int = DATES, south: bool | None = None
) -> xr.DataArray:
    """Mean albedo of 1 June to 31 August, south of the equator of 1 December to the end of February.

    Parameters
    ----------
    albedo : DataArray (time, glacier)
        Mean of the valid pixels. [1]
    valid : DataArray (time, glacier)
        Their share in the glacier. [1]
    share, dates : float, int
        Fewest valid pixels of a date, and such dates of a summer; with fewer the summer is NaN.
    south : bool, optional
        By default where the coordinate ``latitude`` is negative, north without one.

    Returns
    -------
    DataArray (glacier, balance_year)
        Weighted by the valid pixels; lazy where the albedo is.
    """
    time = pd.DatetimeIndex(albedo["time"].values)
    latitude = albedo["latitude"].values if "latitude" in albedo.coords else np.zeros(albedo.sizes["glacier"])
    is_south = np.broadcast_to(latitude < 0 if south is None else south, albedo.sizes["glacier"])
    in_summer = np.where(is_south, time.month.isin(SUMMER["south"])[:, None], time.month.isin(SUMMER["north"])[:, None])
    year = time.year + (time.month == 12)  # only the south has a summer in December
    counted = xr.DataArray(in_summer, dims=("time", "glacier")) & (valid >= share) & albedo.notnull()
    plain = albedo.drop_vars([c for c in albedo.coords if c not in ("time", "glacier")])
    weight = valid.drop_vars([c for c in valid.coords if c not in ("time", "glacier")]).where(counted, 0.0)
    found = []
    for one in np.unique(year):
        here = np.flatnonzero(year == one)
        w = weight.isel(time=here)
        mean = (plain.isel(time=here).fillna(0.0) * w).sum("time") / w.sum("time")
        found.append(mean.where(counted.isel(time=here).sum("time") >= dates))
    rows = xr.concat(found, "balance_year").assign_coords(balance_year=np.unique(year).astype("int32"))
    return rows.transpose("glacier", "balance_year").rename("albedo_summer").assign_attrs(units="1")


def of_statistics(stats: xr.Dataset, *, dates: int = 1) -> xr.DataArray:
    """Summer albedo of the statistics of our own maps, of which few scenes are enough. (glacier, balance_year)"""
    return summer(stats["albedo"], stats["coverage"], dates=dates)


def of_product(product: xr.DataArray, outlines: gpd.GeoDataFrame) -> xr.Dataset:
    """Albedo of each glacier and date in a gridded product.

    Parameters
    ----------
    product : DataArray (time, y, x)
        Decoded to 0..1 with NaN where there is none (MOD10A1: codes 0 to 100 times .01; MCD43A3: times .001), with a
        projected CRS. Codes are refused where they are computed.
    outlines : GeoDataFrame
        Column ``glacier``.

    Returns
    -------
    Dataset (time, glacier)
        ``albedo``, the mean of the valid pixels, and ``valid``, their share; for :func:`summer`. A glacier without a
        pixel's centre is NaN.
    """
    index = Glaciers.of(outlines, grids.geobox(product)).index(*(slice(0, product.sizes[d]) for d in ("y", "x")))
    whole = product.chunk(y=-1, x=-1) if product.chunks is not None else product
    both = xr.apply_ufunc(
        _means, whole, xr.DataArray(index, dims=("y", "x")), kwargs={"count": len(outlines)},
        input_core_dims=[["y", "x"], ["y", "x"]], output_core_dims=[["glacier", "kind"]], dask="parallelized",
        output_dtypes=["float64"], dask_gufunc_kwargs={"output_sizes": {"glacier": len(outlines), "kind": 2}},
    )  # fmt: skip
    both = both.drop_vars([c for c in both.coords if c != "time"])
    both = both.assign_coords(glacier=outlines["glacier"].astype(str).to_numpy())
    points = outlines.geometry.to_crs(4326).representative_point()
    both = both.assign_coords(latitude=("glacier", points.y.to_numpy()))
    return xr.Dataset({"albedo": both.isel(kind=0), "valid": both.isel(kind=1)})


def _means(values: np.ndarray, index: np.ndarray, *, count: int) -> np.ndarray:
    """Mean and share of the valid pixels of each glacier. (time, glacier, 2)"""
    known = values[np.isfinite(values)]
    if known.size and (known.min() < 0 or known.max() > 1.0):
        raise InputError(
            f"albedo runs from {known.min():g} to {known.max():g}, where 0 to 1 is possible; decode the product: its "
            "scale factor, and NaN for its codes of missing pixels."
        )
    flat, number = values.reshape(-1, index.size), index.ravel()
    size = np.bincount(number, minlength=count + 1)[1:]
    out = np.full((len(flat), count, 2), np.nan)
    for row, of_date in zip(out, flat, strict=True):
        valid = np.isfinite(of_date)
        seen = np.bincount(number[valid], minlength=count + 1)[1:]
        total = np.bincount(number[valid], of_date[valid], minlength=count + 1)[1:]
        row[:, 0] = np.divide(total, seen, out=np.full(count, np.nan), where=seen > 0)
        row[:, 1] = np.divide(seen, size, out=np.full(count, np.nan), where=size > 0)
    return out.reshape(*values.shape[:-2], count, 2)

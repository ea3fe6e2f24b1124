"""Properties of glaciers that stay: heights, slope, aspect and area."""

from typing import Any

import geopandas as gpd
import numpy as np
import xarray as xr

from ... import grids
from ...terrain.dem import open_dem
from ...terrain.proximity import Glaciers
from .variables import TOPOGRAPHY

RESOLUTION = 30.0
"""Of the grid on which a glacier is looked at. [m]"""

TOGETHER = 16
"""Glaciers that a task looks at."""


def of_dem(dem: Any, outlines: gpd.GeoDataFrame, *, resolution: float = RESOLUTION) -> xr.Dataset:
    """Topography of glaciers from an elevation model and their outlines, lazily, each on a grid of its own.

    Parameters
    ----------
    dem : path, list of paths, DataArray or name of a catalogue
        As ``add_terrain`` takes it.
    outlines : GeoDataFrame
        As ``outlines.read`` gives it.
    resolution : float
        [m]

    Returns
    -------
    Dataset (glacier,)
        What ``features.variables.TOPOGRAPHY`` lists; NaN where the model has no height or the outline no pixel.
    """
    table = outlines[["glacier", "geometry"]].reset_index(drop=True)
    number = xr.DataArray(np.arange(len(table)), dims="glacier").chunk(glacier=TOGETHER)
    found = xr.apply_ufunc(
        _of_glaciers, number, kwargs={"table": table, "dem": dem, "resolution": resolution},
        output_core_dims=[["property"]], dask="parallelized", output_dtypes=["float64"],
        dask_gufunc_kwargs={"output_sizes": {"property": len(TOPOGRAPHY)}},
    )  # fmt: skip
    found = found.assign_coords(glacier=table["glacier"].astype(str).to_numpy())
    return _dressed({name: found.isel(property=k) for k, name in enumerate(TOPOGRAPHY)})


def of_statistics(stats: xr.Dataset) -> xr.Dataset:
    """Topography of the statistics of maps: heights and area, of elevation bands; neither slope nor aspect."""
    area = stats["band_area"].transpose("glacier", "elevation_band").fillna(0.0)
    share = area.cumsum("elevation_band") / area.sum("elevation_band")
    middle = stats["elevation_band"]
    median = middle.where(share >= 0.5).min("elevation_band")
    there = middle.where(area > 0)
    half = float(np.abs(np.diff(middle.values)).min()) / 2 if middle.size > 1 else 0.0
    low = stats["min_elevation"] if "min_elevation" in stats else there.min("elevation_band") - half
    high = stats["max_elevation"] if "max_elevation" in stats else there.max("elevation_band") + half
    square = stats["glacier_area"] if "glacier_area" in stats else area.sum("elevation_band")
    found: dict[str, xr.DataArray] = {
        "z_min": low,
        "z_median": median,
        "z_max": high,
        "z_range": high - low,
        "log10_area": xr.apply_ufunc(np.log10, square, dask="allowed"),
    }
    return _dressed({name: data.drop_vars([c for c in data.coords if c != "glacier"]) for name, data in found.items()})


def _dressed(found: dict[str, xr.DataArray]) -> xr.Dataset:
    return xr.Dataset({
        name: data.assign_attrs(units=TOPOGRAPHY[name][0], long_name=TOPOGRAPHY[name][1])
        for name, data in found.items()
    })  # fmt: skip


def _of_glaciers(number: np.ndarray, *, table: gpd.GeoDataFrame, dem: Any, resolution: float) -> np.ndarray:
    """Properties of some glaciers. (glacier, property)"""
    return np.array([_of_one(table.iloc[[int(k)]], dem, resolution) for k in number]).reshape(-1, len(TOPOGRAPHY))


def _of_one(outline: gpd.GeoDataFrame, dem: Any, resolution: float) -> np.ndarray:
    box = grids.grid(outline, resolution, padding=1)
    rows, columns = (slice(0, n) for n in box.shape)
    model, inside = open_dem(dem, box), Glaciers.of(outline, box).index(rows, columns) > 0
    z = model.read(rows, columns)[inside]
    known = np.isfinite(z)
    if not known.any():
        return np.full(len(TOPOGRAPHY), np.nan)
    slope, aspect = (raster[inside][known] for raster in model.slope_and_aspect(rows, columns))
    tilted = aspect >= 0
    facing = np.radians(aspect[tilted])
    square = float(outline.geometry.to_crs(box.crs.to_wkt()).area.iloc[0]) / 1e6
    low, median, high = z[known].min(), np.median(z[known]), z[known].max()
    east, north = (float(f(facing).mean()) if tilted.any() else 0.0 for f in (np.sin, np.cos))
    return np.array([low, median, high, high - low, np.nanmean(slope), east, north, np.log10(square)])

"""The terrain layers of a cube: one public function, and the functions of the window behind it."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import grids, lazy, stations
from .. import outlines as _outlines
from ..errors import GridError, InputError, OutlineError
from . import light as _light
from .dem import HIGHEST, Dem, open_dem
from .proximity import Glaciers, distances
from .survey import Survey, survey

VOID = 0.01
"""Share of the glaciers' pixels without elevation above which it is reported."""

Layer = tuple[tuple[str, ...], lazy.Array]
"""Dims and values."""


def add_terrain(
    cube: xr.Dataset | GeoBox,
    dem: Any,
    outlines: Any,
    *,
    sun_azimuth: Any = None,
    sun_elevation: Any = None,
    shadows: Literal["exact", "fast"] = "exact",
    boundary: Literal["glacier", "complex"] = "glacier",
    per_year: bool = False,
) -> xr.Dataset:
    """Terrain layers on the grid of a cube; no scene pixel is read, the elevation model is read once for its bounds.

    Parameters
    ----------
    cube : Dataset or GeoBox
        A cube as ``load`` makes it, or a grid.
    dem : path, folder, list of paths, DataArray, or name of a catalogue
        Elevation model [m]; of a folder as ESA, JAXA, NASA or DLR ship it, the heights; "earth-search" and
        "planetary-computer" give Copernicus GLO-30.
    outlines : path or GeoDataFrame
        Glacier outlines; of several for a glacier, the one nearest to the middle of the cube's time is taken, and its
        date recorded in ``outline_date``.
    sun_azimuth, sun_elevation : float or array (time), optional
        The sun, where the cube does not say it; azimuth clockwise from true north. [degree]
    shadows : {"exact", "fast"}
        Two families of lines sweep the terrain, or one, which is twice as fast and less exact.
    boundary : {"glacier", "complex"}
        What ``proximity`` is measured from: each glacier's own boundary, divides included, or that of the ice complex.
    per_year : bool
        Take the outlines nearest to each balance year of the cube (calendar year, where it has none), not to its
        middle: ``glacier_index``, ``proximity``, ``outline_date`` and the values of glaciers gain ``time``.

    Returns
    -------
    Dataset
        The cube with ``elevation``, ``slope``, ``glacier_index``, ``proximity`` (y, x), ``hillshade``,
        ``shadow_mask`` ([time,] y, x), and per glacier the bounds of elevation and proximity.

    Raises
    ------
    OutlineError
        If no outline touches the grid.
    GridError
        If the elevation model has no CRS, no data there, or none on one of the glaciers.
    InputError
        If the sun is unknown or stands at or below the horizon, the heights cannot be metres, or ``per_year`` is
        asked for without a time.
    """
    families, box = _light.families_of(shadows), grids.geobox(cube)
    data = cube if isinstance(cube, xr.Dataset) else xr.Dataset(coords=grids.coords(box))
    suns = _light.suns(data, box, sun_azimuth, sun_elevation)
    model = open_dem(dem, box)
    bounds = model.bounds(HIGHEST / math.tan(math.radians(min(s.elevation for s in suns))))
    tables, of_date = _tables(_outlines.read(outlines), data, box, per_year)
    editions = [Edition.of(table, model, boundary) for table in tables]
    by_date = [editions[k] for k in of_date]
    light = _light.Light(model, bounds.lowest, bounds.highest, families)
    _light.report_margin(light, suns)
    result = data.assign(_rasters(light, suns, by_date, per_year, data))
    result = result.assign(_of_glaciers(by_date, per_year)).assign_coords(_glacier_coords(by_date, per_year))
    heights = {at: hashed for edition in editions for at, hashed in edition.survey.heights.items()}
    return stations.dress(result, "add_terrain").assign_attrs(
        dem=model.name,
        dem_digest=bounds.digest(heights),
        outlines=" ".join(_outlines.digest(table) for table in tables),
        shadows=shadows,
        boundary=boundary,
    )


def _rasters(
    light: _light.Light, suns: Sequence[_light.Sun], by_date: list["Edition"], per_year: bool, data: xr.Dataset
) -> dict[str, Layer]:
    """Lazy layers, (y, x) or, where they move with time, (time, y, x)."""
    chunks, timed = lazy.spatial_chunks(data), "time" in data.dims

    def named(array: lazy.Array) -> Layer:
        return ("time", "y", "x")[-array.ndim :], array

    def layer(
        function: Callable[..., np.ndarray], dtype: str, values: Sequence = (None,), moves: bool = False
    ) -> Layer:
        of = {"per_time": values} if moves else {"given": values[0]}
        return named(lazy.from_windows(function, chunks, dtype, **of, anywhere=True))

    return {
        "elevation": layer(light.dem.read, "float32"),
        "slope": layer(light.dem.slope, "float32"),
        "hillshade": layer(light.hillshade, "float32", suns, timed),
        "shadow_mask": named(light.lazy_shadow_mask(chunks, suns, timed)),
        "glacier_index": layer(glacier_index, "int32", by_date, per_year),
        "proximity": layer(proximity, "float32", by_date, per_year),
    }


# -- glaciers, as they were at a time ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Edition:
    """One outline for each glacier."""

    table: gpd.GeoDataFrame
    glaciers: Glaciers
    survey: Survey
    token: tuple[str, ...]
    """What decides glacier_index and proximity."""

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return self.token

    @classmethod
    def of(cls, table: gpd.GeoDataFrame, dem: Dem, boundary: str) -> "Edition":
        """Survey the glaciers of a table; those without elevation are refused, many voids reported."""
        glaciers = Glaciers.of(table, dem.box)
        found = survey(glaciers, dem, boundary)
        bare = table.glacier[np.isnan(found.lowest) & np.isfinite(found.farthest)]
        if len(bare):
            shown = ", ".join(bare[:5]) + (", ..." if len(bare) > 5 else "")
            raise GridError(
                f"DEM {dem.name} has no elevation on {len(bare)} of {len(table)} glaciers: {shown}. Choose one that "
                "covers them, or leave their outlines out."
            )
        if np.isnan(found.farthest).all():
            warnings.warn(
                f"none of the {len(table)} glaciers covers the centre of a pixel of {dem.box.affine.a:g} m: the layers "
                "have no ice. Take a finer resolution.",
                stacklevel=4,
            )
        if found.void > VOID:
            warnings.warn(
                f"DEM {dem.name} has no elevation on {100 * found.void:.0f} % of the glaciers' pixels; there nothing "
                "that needs it can be classified.",
                stacklevel=4,
            )
        token = ("edition", _outlines.digest(table), repr(dem.box), boundary)
        return cls(table, glaciers, found, token)


def _tables(
    table: gpd.GeoDataFrame, data: xr.Dataset, box: GeoBox, per_year: bool
) -> tuple[list[gpd.GeoDataFrame], list[int]]:
    """Tables of one outline a glacier, with the same glaciers in the same order, and which of them each date takes."""
    times = _times(data)
    if not per_year:
        whens, of_date = [_middle(times)], [0]
    elif "time" not in data.dims:
        raise InputError("per_year=True needs a cube with a time; a grid has none.")
    else:
        years = data["balance_year"].values if "balance_year" in data.coords else data["time"].dt.year.values
        whens = [_middle(times[years == year]) for year in np.unique(years)]
        of_date = np.searchsorted(np.unique(years), years).tolist()
    tables = [_outlines.nearest(table, when).set_index("glacier", drop=False) for when in whens]
    here = set(_inside(gpd.GeoDataFrame(pd.concat(tables), crs=table.crs), box).glacier)
    ids = [glacier for glacier in table.glacier.unique() if glacier in here]
    tables = [each.loc[ids].reset_index(drop=True) for each in tables]
    dates = [tuple(each.date.astype("int64")) for each in tables]
    distinct = list(dict.fromkeys(dates))
    return [tables[dates.index(key)] for key in distinct], [distinct.index(dates[k]) for k in of_date]


def glacier_index(rows: slice, columns: slice, edition: Edition) -> np.ndarray:
    """Number of the glacier that holds each pixel of a window, 0 outside."""
    return edition.glaciers.index(rows, columns)


def proximity(rows: slice, columns: slice, edition: Edition) -> np.ndarray:
    """Distance of each pixel of a window to its glacier's boundary, 0 outside. [m]"""
    index = edition.glaciers.index(rows, columns)
    out = np.zeros(index.shape, "float32")
    for _, box, own, distance in distances(edition.survey.boundaries, index, (rows.start, columns.start)):
        out[box][own] = distance * edition.glaciers.box.affine.a
    return out


BOUNDS = {
    "glacier_elevation_min": "lowest",
    "glacier_elevation_max": "highest",
    "glacier_proximity_max": "farthest",
}


def _of_glaciers(by_date: list[Edition], per_year: bool) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Variables of each glacier, for its scaling."""
    return {
        name: _per_glacier([getattr(edition.survey, field) for edition in by_date], per_year)
        for name, field in BOUNDS.items()
    }


def _per_glacier(values: list[np.ndarray], per_year: bool) -> tuple[tuple[str, ...], np.ndarray]:
    return (("time", "glacier"), np.stack(values)) if per_year else (("glacier",), values[0])


def _inside(table: gpd.GeoDataFrame, box: GeoBox) -> gpd.GeoDataFrame:
    """Outlines that touch the grid."""
    frame = shapely.box(*box.boundingbox.bbox)
    projected = table.geometry.to_crs(box.crs.to_wkt())
    kept = table[projected.intersects(frame).values].reset_index(drop=True)
    if kept.empty:
        west, south, east, north = projected.total_bounds
        raise OutlineError(
            f"none of the {len(table)} outlines touches the grid: they span x {west:.0f}..{east:.0f}, "
            f"y {south:.0f}..{north:.0f} in {box.crs}, the grid {tuple(round(v) for v in box.boundingbox.bbox)}."
        )
    return kept


def _times(data: xr.Dataset) -> np.ndarray:
    """Times of a cube; now, where it has none."""
    if "time" not in data.coords or data.time.dtype.kind != "M":
        return np.array([np.datetime64("now", "ns")])
    return np.atleast_1d(data.time.values)


def _middle(times: np.ndarray) -> np.datetime64:
    return times.min() + (times.max() - times.min()) // 2


def _glacier_coords(by_date: list[Edition], per_year: bool) -> dict[str, tuple[str | tuple[str, ...], np.ndarray]]:
    table, number = by_date[0].table, by_date[0].glaciers.number
    place = table.geometry.to_crs(4326).representative_point()
    dates = [edition.table.date.to_numpy("datetime64[ns]") for edition in by_date]
    return {
        "glacier": ("glacier", table.glacier.to_numpy(str)),
        "glacier_number": ("glacier", number),
        "glacier_name": ("glacier", table.name.to_numpy(str)),
        "longitude": ("glacier", place.x.to_numpy()),
        "latitude": ("glacier", place.y.to_numpy()),
        "outline_date": _per_glacier(dates, per_year),
    }

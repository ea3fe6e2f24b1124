"""Target grids: which pixels a cube has, where their centres lie, and how a Dataset says so.

A grid is an ``odc.geo`` GeoBox: CRS, affine and shape. ``y`` runs north to south, coordinates are pixel centres.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn

import geopandas as gpd
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Proj, Transformer

from . import outlines as _outlines
from .errors import GridError, OutlineError

PADDING = 32
"""Pixels around the outlines: 16 of context of the network and 16 within which a gap is filled."""

POLAR_LATITUDE = 84.0
"""Beyond it UTM is not defined. [degree]"""

MAX_PIXELS = 2_000_000_000


def grid(
    outlines: Any,
    resolution: float = 10.0,
    *,
    crs: Any = None,
    origin: float = 0.0,
    padding: int = PADDING,
) -> GeoBox:
    """Target grid of a set of glaciers.

    Parameters
    ----------
    outlines : path, GeoDataFrame, or (west, south, east, north) in degrees
        Glacier outlines, or the area itself.
    resolution : float
        Pixel size. [m]
    crs : CRS, optional
        Any projected CRS; by default the UTM zone of the outlines' centre (polar stereographic beyond 84 degrees).
    origin : float
        Pixel edges lie at ``origin`` modulo ``resolution``; 0 fits Sentinel-2, 15 fits Landsat at 30 m. [m]
    padding : int
        Pixels added on each side, so that every glacier pixel has its context.

    Returns
    -------
    GeoBox

    Raises
    ------
    OutlineError
        If the outlines are unusable or empty.
    GridError
        If the CRS is geographic, the resolution is not positive, or the grid would be absurdly large.
    """
    if not (math.isfinite(resolution) and resolution > 0):
        raise GridError(f"resolution={resolution!r}: give the pixel size in metres, for example 10.")
    area = _outlines.footprint(outlines)
    if crs is None and np.ptp(area.to_crs(4326).total_bounds[[0, 2]]) > 180:
        raise GridError(
            "the outlines lie on both sides of the antimeridian or around a pole, where no zone is natural; "
            "give crs= of a grid that covers them (for example the UTM zone of either side, EPSG:3413 or EPSG:3031)."
        )
    target = CRS(crs) if crs is not None else utm_crs(*_centre(area))
    require_projected(target)
    west, south, east, north = area.to_crs(target.to_wkt()).total_bounds
    if not np.isfinite([west, south, east, north]).all():
        raise OutlineError(f"the outlines cannot be expressed in {target}; give crs= of a grid that covers them.")
    found = around((west, south, east, north), resolution, target, origin=origin, padding=padding)
    height, width = found.shape
    if width * height > MAX_PIXELS:
        raise GridError(
            f"the outlines span {height} x {width} px at {resolution:g} m; map them region by region "
            "(choose outlines that lie close together) or use a coarser resolution, or let batch.plan() cut them into "
            "tiles."
        )
    return found


def around(
    bounds: tuple[float, float, float, float],
    resolution: float,
    crs: CRS,
    *,
    origin: float = 0.0,
    padding: int = PADDING,
) -> GeoBox:
    """The grid that holds some bounds (west, south, east, north) [m], of any size; else as :func:`grid`."""
    west, south, east, north = bounds

    def edge(value: float, rounding: Callable[[float], int]) -> float:
        return rounding((value - origin) / resolution) * resolution + origin

    pad = padding * resolution
    left, top = edge(west, math.floor) - pad, edge(north, math.ceil) + pad
    width = round((edge(east, math.ceil) + pad - left) / resolution)
    height = round((top - edge(south, math.floor) + pad) / resolution)
    return GeoBox((height, width), Affine(resolution, 0, left, 0, -resolution, top), crs)


def _centre(area: gpd.GeoDataFrame) -> tuple[float, float]:
    west, south, east, north = area.to_crs(4326).total_bounds
    return (west + east) / 2, (south + north) / 2


def utm_crs(longitude: float, latitude: float) -> CRS:
    """UTM zone of a place, or polar stereographic beyond 84 degrees. [degree]"""
    if abs(latitude) > POLAR_LATITUDE:
        return CRS("EPSG:3413" if latitude > 0 else "EPSG:3031")
    zone = min(int((longitude + 180) // 6) % 60 + 1, 60)
    return CRS(f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}")


def require_projected(crs: CRS) -> None:
    """Refuse a CRS whose unit is not the metre."""
    units = {axis.unit_name for axis in crs.proj.axis_info}
    if not crs.projected or units != {"metre"}:
        raise GridError(
            f"{crs} is {'geographic' if crs.geographic else f'in {units}'}; "
            "facies_xr works on projected grids in metres, for example UTM: reproject first."
        )


def geobox(data: Any) -> GeoBox:
    """Projected grid of a Dataset, DataArray or GeoBox.

    Raises
    ------
    GridError
        Without CRS or coordinates, on a grid that is not regular, not north-up or not in metres.
    """
    box = any_geobox(data)
    require_projected(box.crs)
    return box


def any_geobox(data: Any) -> GeoBox:
    """Grid of a Dataset, DataArray or GeoBox in any CRS.

    The stored affine (``spatial_ref``'s GeoTransform) is not consulted, because slicing leaves it behind; the
    coordinates are, and they must be regular.
    """
    if isinstance(data, GeoBox):
        return data if data.crs is not None else _no_crs("the GeoBox")
    for dim in ("y", "x"):
        if dim not in data.dims or dim not in data.coords:
            raise GridError(
                f"the data have no coordinate {dim!r} (dims: {', '.join(map(str, data.dims))}); "
                "facies_xr needs projected pixel centres named y and x."
            )
    crs = _crs_of(data)
    (x0, dx), (y0, dy) = (_regular(data[dim].values, dim) for dim in ("x", "y"))
    if dx <= 0 or dy >= 0:
        raise GridError("x must increase and y decrease (north up); use data.sortby('y', ascending=False).")
    shape = data.sizes["y"], data.sizes["x"]
    if shape[0] == 1:
        dy = -dx
    if shape[1] == 1:
        dx = -dy
    return GeoBox(shape, Affine(dx, 0, x0 - dx / 2, 0, dy, y0 - dy / 2), crs)


def _regular(values: np.ndarray, dim: str) -> tuple[float, float]:
    values = np.asarray(values, "float64")
    if not np.isfinite(values).all():
        raise GridError(f"coordinate {dim!r} has values that are not finite.")
    if values.size == 1:
        return float(values[0]), 1.0 if dim == "x" else -1.0
    step = (values[-1] - values[0]) / (values.size - 1)
    expected = values[0] + step * np.arange(values.size)
    if step == 0 or np.abs(values - expected).max() > 1e-3 * abs(step):
        raise GridError(f"coordinate {dim!r} is not regularly spaced; facies_xr needs a regular grid.")
    return float(values[0]), float(step)


def _crs_of(data: xr.Dataset | xr.DataArray) -> CRS:
    names = [data.encoding.get("grid_mapping"), data.attrs.get("grid_mapping")]
    if isinstance(data, xr.Dataset):
        for variable in data.data_vars.values():
            names += [variable.encoding.get("grid_mapping"), variable.attrs.get("grid_mapping")]
    for name in [*names, "spatial_ref", "crs"]:
        if (name and name in data.coords) or (isinstance(data, xr.Dataset) and name and name in data):
            attrs = data[name].attrs
            wkt = attrs.get("crs_wkt") or attrs.get("spatial_ref")
            if wkt:
                return CRS(wkt)
    if data.attrs.get("crs"):
        return CRS(data.attrs["crs"])
    return _no_crs("the data")


def _no_crs(what: str) -> NoReturn:
    raise GridError(
        f"{what} have no CRS (no grid mapping such as 'spatial_ref'); "
        'set it with data.rio.write_crs("EPSG:...") or data.odc.assign_crs("EPSG:...").'
    )


def coords(box: GeoBox) -> dict[str, xr.DataArray]:
    """Coordinates ``y``, ``x`` (pixel centres) and ``spatial_ref`` (CF grid mapping) of a grid."""
    found = dict(xr_coords(box))
    for dim, standard in (("y", "projection_y_coordinate"), ("x", "projection_x_coordinate")):
        found[dim].attrs = {
            "units": "m",
            "standard_name": standard,
            "axis": dim.upper(),
            "long_name": f"{dim} of the pixel centre",
        }
        found[dim].encoding["_FillValue"] = None
    found["spatial_ref"].attrs["long_name"] = "coordinate reference system"
    return found


def require_same_grid(first: GeoBox, second: GeoBox, names: tuple[str, str]) -> None:
    """Refuse two datasets that do not share their pixels."""
    if first.crs != second.crs:
        problem = f"{names[0]} is in {first.crs}, {names[1]} in {second.crs}"
    elif first.shape != second.shape:
        problem = f"{names[0]} has {tuple(first.shape)} px, {names[1]} {tuple(second.shape)}"
    elif not first.affine.almost_equals(second.affine, 1e-3):
        problem = f"{names[0]} starts at {first.affine.xoff, first.affine.yoff} with {first.affine.a:g} m, "
        problem += f"{names[1]} at {second.affine.xoff, second.affine.yoff} with {second.affine.a:g} m"
    else:
        return
    raise GridError(f"the grids differ: {problem}. Bring both to one grid, for example with load(..., like=other).")


def window(box: GeoBox, rows: slice, columns: slice) -> GeoBox:
    """Part of a grid; rows and columns may lie outside it."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    return GeoBox(shape, box.affine * Affine.translation(columns.start, rows.start), box.crs)


def from_tiles(
    read: Callable[[int, int], np.ndarray], tile: int, rows: slice, columns: slice, out: np.ndarray
) -> np.ndarray:
    """Fill a window (..., y, x) from absolute tiles; rows and columns may lie outside the grid.

    Parameters
    ----------
    read : callable
        Gets the row and column of a tile, counted in tiles, and returns it (..., tile, tile).
    tile : int
        Edge of the tiles. [px]
    rows, columns : slice
        The window.
    out : ndarray (..., y, x)
        Is filled, and returned.
    """
    for r in range(rows.start // tile, -(-rows.stop // tile)):
        for c in range(columns.start // tile, -(-columns.stop // tile)):
            (y, x), (v, u) = zip(_overlap(rows, r * tile, tile), _overlap(columns, c * tile, tile), strict=True)
            out[..., y, x] = read(r, c)[..., v, u]
    return out


def _overlap(span: slice, first: int, size: int) -> tuple[slice, slice]:
    """Where a span and a tile overlap: within the span, and within the tile."""
    start, stop = max(span.start, first), min(span.stop, first + size)
    return slice(start - span.start, stop - span.start), slice(start - first, stop - first)


def centre_lonlat(box: GeoBox) -> tuple[float, float]:
    """Longitude and latitude of the grid's centre. [degree]"""
    x, y = box.affine * (box.width / 2, box.height / 2)
    return Transformer.from_crs(box.crs.proj, 4326, always_xy=True).transform(x, y)


def convergence(crs: CRS, longitude: float, latitude: float) -> float:
    """Grid convergence: grid azimuth = true azimuth - convergence. [degree]"""
    return float(Proj(crs.proj).get_factors(longitude, latitude).meridian_convergence)

"""The terrain layers of a cube: one public function, and the functions of the window behind it."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from .. import grids, lazy
from .. import outlines as _outlines
from ..errors import InputError, MissingVariableError, OutlineError
from . import relief
from .dem import HIGHEST, Dem, open_dem
from .proximity import Boundary, Glaciers
from .shadow import EARTH_RADIUS, Sweep, cast_shadow, flattened

UNKNOWN = 255
"""Value of ``shadow_mask`` where the elevation is unknown."""


def add_terrain(
    cube: xr.Dataset | GeoBox,
    dem: Any,
    outlines: Any,
    *,
    sun_azimuth: Any = None,
    sun_elevation: Any = None,
    shadows: Literal["exact", "fast"] = "exact",
    boundary: Literal["glacier", "complex"] = "glacier",
) -> xr.Dataset:
    """Terrain layers on the grid of a cube; no scene pixel is read, the elevation model is read once for its bounds.

    Parameters
    ----------
    cube : Dataset or GeoBox
        A cube as ``load`` makes it, or a grid.
    dem : path, list of paths, DataArray, or name of a catalogue
        Elevation model [m]; "earth-search" and "planetary-computer" give Copernicus GLO-30.
    outlines : path or GeoDataFrame
        Glacier outlines; of several for a glacier, the one nearest to the middle of the cube's time is taken, and its
        date recorded in ``outline_date``.
    sun_azimuth, sun_elevation : float or array (time), optional
        The sun, where the cube does not say it; azimuth clockwise from true north. [degree]
    shadows : {"exact", "fast"}
        Two families of lines sweep the terrain, or one, which is twice as fast and less exact.
    boundary : {"glacier", "complex"}
        What ``proximity`` is measured from: each glacier's own boundary, divides included, or that of the ice complex.

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
        If the elevation model has no CRS or no data there.
    InputError
        If the sun is unknown or stands at or below the horizon, or the heights cannot be metres.
    """
    box = grids.geobox(cube)
    data = cube if isinstance(cube, xr.Dataset) else xr.Dataset(coords=grids.coords(box))
    suns = _suns(data, box, sun_azimuth, sun_elevation)
    table = _inside(_outlines.nearest(_outlines.read(outlines), _middle(data)), box)
    model = open_dem(dem, box)
    glaciers = Glaciers.of(table, box)
    survey = _survey(glaciers, model, boundary)
    chunks = lazy.spatial_chunks(data)
    lowest, highest = model.bounds(HIGHEST / math.tan(math.radians(min(s.elevation for s in suns))))

    light = _Light(model, lowest, highest, _families(shadows))
    _report_margin(light, suns)
    timed = "time" in data.dims
    dims = ("time", "y", "x") if timed else ("y", "x")
    tilt = lazy.from_windows(_Slope(model), chunks, "float32")
    lit, shade = (
        lazy.from_windows(kind, chunks, dtype, per_time=suns)
        for kind, dtype in ((_Hillshade(light), "float32"), (_ShadowMask(light), "uint8"))
    )
    rasters: dict[str, tuple[tuple[str, ...], Any, dict]] = {
        "elevation": (("y", "x"), lazy.from_windows(model.read, chunks, "float32"), _ELEVATION),
        "slope": (("y", "x"), tilt, _SLOPE),
        "hillshade": (dims, lit if timed else lit[0], _HILLSHADE),
        "shadow_mask": (dims, shade if timed else shade[0], _SHADOW),
        "glacier_index": (("y", "x"), lazy.from_windows(glaciers.index, chunks, "int32"), _INDEX),
        "proximity": (
            ("y", "x"),
            lazy.from_windows(_Proximity(glaciers, survey.boundaries), chunks, "float32"),
            _PROXIMITY,
        ),
    }
    found = {n: (d, a, {**attrs, "grid_mapping": "spatial_ref"}) for n, (d, a, attrs) in rasters.items()}
    result = data.assign(found).assign(survey.variables()).assign_coords(_glacier_coords(table, glaciers.number))
    return result.assign_attrs(dem=model.name, outlines=_outlines.digest(table))


# -- the sun ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sun:
    """The sun of one scene as the grid sees it."""

    azimuth: float
    """Clockwise from the grid's north. [degree]"""
    elevation: float
    """[degree]"""
    place: tuple[float, float]
    """x and y where both angles hold. [m]"""

    def away(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from that place along the light. [m]"""
        azimuth = math.radians(self.azimuth)
        return -(x - self.place[0]) * math.sin(azimuth) - (y - self.place[1]) * math.cos(azimuth)


def _families(shadows: str) -> int:
    families = {"exact": 2, "fast": 1}
    if shadows not in families:
        raise InputError(f'shadows={shadows!r}: choose "exact" or "fast".')
    return families[shadows]


def _suns(data: xr.Dataset, box: GeoBox, azimuth: Any, elevation: Any) -> tuple[Sun, ...]:
    """Suns of all dates; azimuth and grid convergence are taken at the same place, that of the angles."""
    n = data.sizes.get("time", 1)
    given = {"sun_azimuth": azimuth, "sun_elevation": elevation}
    for name, value in given.items():
        if value is None and name not in data.coords:
            raise MissingVariableError(
                f"the cube has no coordinate {name!r}; pass {name}= [degree] to add_terrain, or load it with fx.load."
            )
    angles = {n_: np.atleast_1d(data[n_].values if v is None else v).astype(float) for n_, v in given.items()}
    for name, values in angles.items():
        if values.size not in (1, n):
            raise InputError(f"{name} has {values.size} values for {n} dates; give one, or one for each date.")
        angles[name] = np.broadcast_to(values, n)
    low = ~(angles["sun_elevation"] > 0)
    if low.any():
        when = f" on {pd.Timestamp(data.time.values[low.argmax()])}" if "time" in data.dims else ""
        raise InputError(
            f"the sun stands at {angles['sun_elevation'][low.argmax()]:.1f} degrees{when}: at or below the horizon "
            "there is no light to model; leave that date out."
        )
    place = grids.centre_lonlat(box)
    own = azimuth is None and "sun_longitude" in data.coords
    lons, lats = (data.sun_longitude.values, data.sun_latitude.values) if own else ([place[0]] * n, [place[1]] * n)
    places = list(zip(np.atleast_1d(lons), np.atleast_1d(lats), strict=True))
    turned = [grids.convergence(box.crs, *place) for place in places]
    x, y = Transformer.from_crs(4326, box.crs.proj, always_xy=True).transform(*np.transpose(places))
    return tuple(
        Sun((float(a) - g) % 360, float(e), (float(px), float(py)))
        for a, e, g, px, py in zip(angles["sun_azimuth"], angles["sun_elevation"], turned, x, y, strict=True)
    )


# -- functions of the window ------------------------------------------------------------------------------------


def _grown(rows: slice, columns: slice, y: tuple[int, int], x: tuple[int, int]) -> tuple[slice, slice]:
    return slice(rows.start - y[0], rows.stop + y[1]), slice(columns.start - x[0], columns.stop + x[1])


@dataclass(frozen=True)
class _Slope:
    dem: Dem

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        margin = (relief.MARGIN, relief.MARGIN)
        z = self.dem.read(*_grown(rows, columns, margin, margin))
        return relief.slope_and_aspect(z, self.dem.box.affine.a)[0]


CURVED_BELOW = 10.0
"""Sun elevation below which the Earth's curvature and refraction count: 50 m of shadow there, 3 km at 2 degrees."""


@dataclass(frozen=True)
class _Light:
    dem: Dem
    lowest: float
    highest: float
    families: int

    def incidence(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        margin = (relief.MARGIN, relief.MARGIN)
        z = self.dem.read(*_grown(rows, columns, margin, margin))
        return relief.incidence(*relief.slope_and_aspect(z, self.dem.box.affine.a), sun.azimuth, sun.elevation)

    def sweep(self, sun: Sun) -> Sweep:
        return Sweep.of(sun.azimuth, sun.elevation, self.dem.box.affine.a, self.families)

    def margin(self, rows: slice, columns: slice, sun: Sun) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels around a window from which shadow can fall into it."""
        sweep, lowest, drop = self.sweep(sun), self.lowest, None
        if sun.elevation < CURVED_BELOW:
            corners = np.meshgrid([columns.start, columns.stop], [rows.start, rows.stop])
            farthest = max(float(np.max(sun.away(*(self.dem.box.affine * corners)))), 0.0)
            slope = math.tan(math.radians(sun.elevation))
            drop = sweep.drop * max(slope - farthest / EARTH_RADIUS, slope / 10) / slope
        return sweep.margin(lowest, self.highest, drop)

    def away(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        x, y = self.dem.box.affine * np.meshgrid(
            np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5
        )
        return sun.away(x, y)

    def shaded(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        """Shadow that other terrain casts."""
        (top, bottom), (left, right) = self.margin(rows, columns, sun)
        near = _grown(rows, columns, (top, bottom), (left, right))
        z = self.dem.read(*near)
        if sun.elevation < CURVED_BELOW:
            z = flattened(z, self.away(*near, sun))
        inside = (slice(top, z.shape[0] - bottom), slice(left, z.shape[1] - right))
        return cast_shadow(z, self.sweep(sun), (near[0].start, near[1].start))[inside]


def _report_margin(light: _Light, suns: tuple[Sun, ...]) -> None:
    """Warn where the elevation model ends before the terrain that may cast shadow onto the grid."""
    height, width = light.dem.box.shape
    margins = np.array([light.margin(slice(0, height), slice(0, width), sun) for sun in suns]).max(axis=0)
    (top, bottom), (left, right) = margins.tolist()
    share = light.dem.missing((top, bottom), (left, right))
    if share > 0.01:
        reach = margins.max() * light.dem.box.affine.a / 1000
        warnings.warn(
            f"DEM {light.dem.name} is missing on {100 * share:.0f} % of the {reach:.0f} km around the grid from which "
            "shadow could fall; shadows from there are missing. A larger DEM mends it.",
            stacklevel=3,
        )


@dataclass(frozen=True)
class _Hillshade:
    light: _Light

    def __call__(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        return np.maximum(self.light.incidence(rows, columns, sun), 0).astype("float32")


@dataclass(frozen=True)
class _ShadowMask:
    light: _Light

    def __call__(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        shaded = self.light.shaded(rows, columns, sun) | (self.light.incidence(rows, columns, sun) <= 0)
        mask = np.where(shaded, 0, 1).astype("uint8")
        mask[np.isnan(self.light.dem.read(rows, columns))] = UNKNOWN
        return mask


@dataclass(frozen=True)
class _Proximity:
    glaciers: Glaciers
    boundaries: Mapping[int, Boundary]

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        index = self.glaciers.index(rows, columns)
        out = np.zeros(index.shape, "float32")
        for number in np.unique(index[index > 0]):
            r, c = np.nonzero(index == number)
            pixels = self.boundaries[int(number)].distance(r + rows.start, c + columns.start)
            out[r, c] = pixels * self.glaciers.box.affine.a
        return out


# -- glaciers as wholes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Survey:
    """Bounds of each glacier, over all its pixels on the grid's extension."""

    boundaries: Mapping[int, Boundary]
    lowest: np.ndarray
    highest: np.ndarray
    farthest: np.ndarray

    def variables(self) -> dict[str, tuple]:
        return {
            "glacier_elevation_min": ("glacier", self.lowest, {"units": "m", "long_name": "lowest elevation"}),
            "glacier_elevation_max": ("glacier", self.highest, {"units": "m", "long_name": "highest elevation"}),
            "glacier_proximity_max": ("glacier", self.farthest, {"units": "m", "long_name": "largest proximity"}),
        }


STEEPEST = 45.0
"""Median slope of glaciers above which heights are not taken for metres. [degree]"""


def _survey(glaciers: Glaciers, dem: Dem, boundary: str) -> _Survey:
    if boundary not in ("glacier", "complex"):
        raise InputError(f'boundary={boundary!r}: choose "glacier" or "complex".')
    n, boundaries, slopes = glaciers.number.size, {}, []
    lowest, highest, farthest = (np.full(n, np.nan, "float32") for _ in range(3))
    for k, number in enumerate(glaciers.number):
        rows, columns = glaciers.window(k)
        index = glaciers.index(rows, columns)
        inside = index == number
        if not inside.any():
            continue  # smaller than a pixel, or hidden under another outline
        outside = index == 0 if boundary == "complex" else ~inside
        boundaries[int(number)] = Boundary.of(inside, outside, (rows.start, columns.start))
        z = dem.read(rows, columns)
        if np.isfinite(z[inside]).any():
            lowest[k], highest[k] = np.nanmin(z[inside]), np.nanmax(z[inside])
            slopes.append(np.hypot(*np.gradient(z, dem.box.affine.a))[inside])
    _require_metres(dem.name, highest, slopes)
    if boundary == "complex":
        boundaries = dict.fromkeys(boundaries, Boundary.united(list(boundaries.values())))
    for k, number in enumerate(glaciers.number):
        if int(number) in boundaries:
            rows, columns = glaciers.window(k)
            r, c = np.nonzero(glaciers.index(rows, columns) == number)
            pixels = boundaries[int(number)].distance(r + rows.start, c + columns.start)
            farthest[k] = pixels.max() * glaciers.box.affine.a
    return _Survey(boundaries, lowest, highest, farthest)


def _require_metres(name: str, highest: np.ndarray, slopes: list[np.ndarray]) -> None:
    """Refuse heights that no glacier has: feet, centimetres, or something else."""
    if np.isnan(highest).all():
        return
    top = float(np.nanmax(highest))
    steep = math.degrees(math.atan(np.nanmedian(np.concatenate(slopes))))
    if top > HIGHEST or steep > STEEPEST:
        raise InputError(
            f"DEM {name}: glaciers rise to {top:.0f} and have a median slope of {steep:.0f} degrees, which cannot be "
            f"in metres (at most {HIGHEST:.0f} m and {STEEPEST:.0f} degrees); are the heights in feet or centimetres?"
        )


def _inside(table, box: GeoBox):
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


def _middle(data: xr.Dataset) -> np.datetime64:
    """Middle of the time that a cube covers; now, where it has none."""
    if "time" not in data.coords or data.time.dtype.kind != "M":
        return np.datetime64("now", "ns")
    first, last = data.time.values.min(), data.time.values.max()
    return first + (last - first) // 2


def _glacier_coords(table, number: np.ndarray) -> dict[str, tuple]:
    place = table.geometry.to_crs(4326).representative_point()
    return {
        "glacier": ("glacier", table.glacier.to_numpy(str), {"long_name": "glacier id"}),
        "glacier_number": ("glacier", number, {"long_name": "value of glacier_index"}),
        "glacier_name": ("glacier", table.name.to_numpy(str), {"long_name": "glacier name"}),
        "longitude": (
            "glacier",
            place.x.to_numpy(),
            {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude"},
        ),
        "latitude": (
            "glacier",
            place.y.to_numpy(),
            {"units": "degrees_north", "standard_name": "latitude", "long_name": "latitude"},
        ),
        "outline_date": ("glacier", table.date.to_numpy("datetime64[ns]"), {"long_name": "date of the outline"}),
    }


_ELEVATION = {"units": "m", "long_name": "elevation", "standard_name": "surface_altitude"}
_SLOPE = {"units": "degree", "long_name": "slope of the terrain"}
_HILLSHADE = {"units": "1", "long_name": "cosine of the sun's angle of incidence, at least 0"}
_SHADOW = {
    "long_name": "light from the sun, cast and self shadow",
    "flag_values": np.array([0, 1, UNKNOWN], "uint8"),
    "flag_meanings": "shadow lit unknown",
}
_INDEX = {"long_name": "number of the glacier, 0 outside"}
_PROXIMITY = {"units": "m", "long_name": "distance to the glacier's boundary, 0 outside"}

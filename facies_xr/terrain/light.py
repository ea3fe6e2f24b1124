"""The sun over a grid, and the layers of each scene's light: hillshade and shadow mask."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from .. import grids, lazy
from ..errors import InputError, MissingVariableError, one_of
from ..stations import SHADOW_UNKNOWN
from . import relief
from .dem import Dem
from .shadow import EARTH_RADIUS, Front, Sweep, cast_shadow, flattened

CURVED_BELOW = 10.0
"""Sun elevation below which the Earth's curvature and refraction count: 50 m of shadow there, 3 km at 2 degrees."""

WIDEST = 8.0
"""Sweeping of tiles with margins, relative to that of the grid in one piece, above which the latter is done."""

BAND = lazy.CHUNK
"""Rows or columns of the bands in which the grid is swept in one piece. [px]"""

STRIP = 32
"""Rows of hillshade at a time, so that what lies between its steps stays in the cache. [px]"""


@dataclass(frozen=True)
class Sun:
    """The sun of one scene as the grid sees it."""

    azimuth: float
    """Clockwise from the grid's north. [degree]"""
    elevation: float
    """[degree]"""
    place: tuple[float, float]
    """x and y where both angles hold. [m]"""

    def away(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from that place along the light, as the sum of a part by x and a part by y. [m]"""
        azimuth = math.radians(self.azimuth)
        return -(x - self.place[0]) * math.sin(azimuth), -(y - self.place[1]) * math.cos(azimuth)


def families_of(shadows: str) -> int:
    """Families of lines that sweep the terrain."""
    families = {"exact": 2, "fast": 1}
    one_of("shadows", shadows, families)
    return families[shadows]


def suns(data: xr.Dataset, box: GeoBox, azimuth: Any, elevation: Any) -> tuple[Sun, ...]:
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


# -- light on a window -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Light:
    """An elevation model under the suns of a cube; its methods are functions of the window."""

    dem: Dem
    lowest: float
    """Lower bound of the terrain on the grid. [m]"""
    highest: float
    """Upper bound of the terrain from which shadow can fall onto the grid. [m]"""
    families: int

    def hillshade(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        """Cosine of the angle of incidence, 0 where the terrain turns away from the sun."""
        return _hillshade(self.dem, sun, rows.start, rows.stop, columns.start, columns.stop)

    def shadow_mask(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        """1 lit, 0 in cast or own shadow, by a sweep over the window and the margin that can shade it."""
        (top, bottom), (left, right) = self.margin(rows, columns, sun)
        near = _grown(rows, columns, (top, bottom), (left, right))
        z = self._surface(*near, sun)
        inside = (slice(top, z.shape[0] - bottom), slice(left, z.shape[1] - right))
        return self._mask(cast_shadow(z, self.sweep(sun), (near[0].start, near[1].start))[inside], rows, columns, sun)

    def lazy_shadow_mask(self, chunks, suns: Sequence[Sun], timed: bool) -> lazy.Array:
        """The mask of all dates as a lazy array ([time,] y, x), by the plan that serves each sun."""
        if timed and not any(self.in_one_piece(sun) for sun in suns):
            return lazy.from_windows(self.shadow_mask, chunks, "uint8", per_time=suns, anywhere=True)
        masks = [
            self._swept(sun, chunks)
            if self.in_one_piece(sun)
            else lazy.from_windows(self.shadow_mask, chunks, "uint8", given=sun, anywhere=True)
            for sun in suns
        ]
        return lazy.stack(masks, axis=0) if timed else masks[0]

    def in_one_piece(self, sun: Sun) -> bool:
        """Whether the margins of tiles would take far more sweeping than the whole grid in one piece."""
        tile = (slice(0, lazy.CHUNK),) * 2
        tiles = math.prod(-(-n // lazy.CHUNK) for n in self.dem.box.shape)
        return tiles * self._swept_pixels(*tile, sun) > WIDEST * self._swept_pixels(*self._grid, sun)

    def sweep(self, sun: Sun) -> Sweep:
        """How the sun's light crosses the grid."""
        return Sweep.of(sun.azimuth, sun.elevation, self.dem.box.affine.a, self.families)

    def margin(self, rows: slice, columns: slice, sun: Sun) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels around a window from which shadow can fall into it."""
        sweep, lowest, drop = self.sweep(sun), self.lowest, None
        if sun.elevation < CURVED_BELOW:
            corners = np.meshgrid([columns.start, columns.stop], [rows.start, rows.stop])
            farthest = max(float(np.max(sum(sun.away(*(self.dem.box.affine * corners))))), 0.0)
            slope = math.tan(math.radians(sun.elevation))
            drop = sweep.drop * max(slope - farthest / EARTH_RADIUS, slope / 10) / slope
        return sweep.margin(lowest, self.highest, drop)

    @property
    def _grid(self) -> tuple[slice, slice]:
        height, width = self.dem.box.shape
        return slice(0, height), slice(0, width)

    def _swept_pixels(self, rows: slice, columns: slice, sun: Sun) -> int:
        return math.prod(s.stop - s.start for s in _grown(rows, columns, *self.margin(rows, columns, sun)))

    def _surface(self, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        """Terrain over which the light runs straight. [m]"""
        z = self.dem.read(rows, columns)
        if sun.elevation >= CURVED_BELOW:
            return z
        to_xy = self.dem.box.affine
        x = to_xy.c + to_xy.a * (np.arange(columns.start, columns.stop) + 0.5)
        y = to_xy.f + to_xy.e * (np.arange(rows.start, rows.stop) + 0.5)
        return flattened(z, *sun.away(x, y)[::-1])

    def _mask(self, shaded: np.ndarray, rows: slice, columns: slice, sun: Sun) -> np.ndarray:
        mask = (~(shaded | (self.hillshade(rows, columns, sun) <= 0))).view("uint8")
        mask[np.isnan(self.dem.read(rows, columns))] = SHADOW_UNKNOWN
        return mask

    # The grid in one piece: bands across the walk, from beyond the grid on, each handing its front to the next.

    def _swept(self, sun: Sun, chunks):
        rows, columns = _grown(*self._grid, *self.margin(*self._grid, sun))
        sweep = self.sweep(sun)
        along = columns if sweep.transposed else rows
        cuts = [along.start, *range(-(-along.start // BAND) * BAND or BAND, along.stop, BAND), along.stop]
        spans = [slice(*span) for span in pairwise(dict.fromkeys(cuts))][:: sweep.step]
        windows = [(rows, span) if sweep.transposed else (span, columns) for span in spans]
        front = Front.before(sweep, (rows.stop - rows.start, columns.stop - columns.start), (rows.start, columns.start))
        inside = [tuple(map(_clipped, window, self.dem.box.shape)) for window in windows]
        shapes = [tuple(s.stop - s.start for s in part) for part in inside]
        return lazy.chained(
            partial(self._next_band, sun), front, windows, shapes, chunks, "uint8", axis=1 if sweep.transposed else 0
        )

    def _next_band(self, sun: Sun, window: tuple[slice, slice], front: Front) -> tuple[np.ndarray, Front]:
        """Mask of what a band has of the grid, and the front behind it."""
        shaded, front = front.shade(self._surface(*window, sun))
        inside = tuple(map(_clipped, window, self.dem.box.shape))
        if any(s.stop == s.start for s in inside):
            return np.empty([s.stop - s.start for s in inside], "uint8"), front
        own = tuple(slice(i.start - w.start, i.stop - w.start) for i, w in zip(inside, window, strict=True))
        return self._mask(shaded[own], inside[0], inside[1], sun), front


@lru_cache(maxsize=32)
def _hillshade(dem: Dem, sun: Sun, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Kept for the shadow mask of the same window, which needs to know what turns away from the sun."""
    slope, aspect = dem.slope_and_aspect(slice(top, bottom), slice(left, right))
    out = np.empty_like(slope)
    for first in range(0, len(out), STRIP):
        rows = slice(first, first + STRIP)
        out[rows] = np.maximum(relief.incidence(slope[rows], aspect[rows], sun.azimuth, sun.elevation), 0)
    return out


def _grown(rows: slice, columns: slice, y: tuple[int, int], x: tuple[int, int]) -> tuple[slice, slice]:
    return slice(rows.start - y[0], rows.stop + y[1]), slice(columns.start - x[0], columns.stop + x[1])


def _clipped(span: slice, length: int) -> slice:
    """The part of a span that lies on the grid, empty at its edge if there is none."""
    start = min(max(span.start, 0), length)
    return slice(start, max(min(span.stop, length), start))


def report_margin(light: Light, suns: Sequence[Sun]) -> None:
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

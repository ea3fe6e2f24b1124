"""Which glacier a pixel belongs to, and how far it lies from that glacier's boundary."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product

import geopandas as gpd
import numba
import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from .. import grids
from ..rasters.burn import burn
from .distance import squared_distance

TILE = 512
"""Edge of the absolute tiles on which outlines are burnt. [px]"""

KEPT = 128
"""Tiles of ``glacier_index`` that a process keeps, of 1 MiB each; a pass over tiles also asks for their neighbours."""


@dataclass(frozen=True, eq=False)
class Glaciers:
    """Outlines on a grid. Where outlines overlap, the first in the table holds the pixel."""

    geometry: np.ndarray
    """Polygons in the CRS of the grid."""
    number: np.ndarray
    """Value of ``glacier_index`` of each. int32"""
    box: GeoBox

    @classmethod
    def of(cls, table: gpd.GeoDataFrame, box: GeoBox) -> "Glaciers":
        """Outlines as ``outlines.read`` gives them, numbered from 1."""
        projected = table.geometry.to_crs(box.crs.to_wkt())
        return cls(np.asarray(projected.values), np.arange(1, len(table) + 1, dtype="int32"), box)

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.geometry)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "_tree"}  # a tree is rebuilt, not sent

    def index(self, rows: slice, columns: slice) -> np.ndarray:
        """Number of the glacier that holds each pixel's centre, 0 outside. (y, x) int32

        The window may lie outside the grid; it is put together from absolute tiles.
        """
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start), "int32")
        return grids.from_tiles(self.tile, TILE, rows, columns, out)

    def tile(self, r: int, c: int) -> np.ndarray:
        """``index`` of an absolute tile, counted in tiles; not to be written into."""
        return _tile(self, r, c)

    def burn(self, box: GeoBox) -> np.ndarray:
        """``index`` of a grid that is a window of the glaciers'."""
        hit = np.sort(self._tree.query(shapely.box(*box.boundingbox.bbox)))[::-1]  # later burns overwrite: first last
        if hit.size == 0:
            return np.zeros(box.shape, "int32")
        shapes = zip(_as_geojson(self.geometry[hit]), self.number[hit].tolist(), strict=True)
        return burn(shapes, box, dtype="int32")

    def tiles(self) -> list[tuple[int, int]]:
        """Row and column of the absolute tiles that outlines reach into, in their order."""
        west, south, east, north = shapely.bounds(self.geometry).T
        left, top = ~self.box.affine * (west, north)
        right, bottom = ~self.box.affine * (east, south)
        spans = np.floor(np.column_stack([top, bottom, left, right]) / TILE).astype(int)
        found: set[tuple[int, int]] = set()
        for first, last, start, stop in np.unique(spans, axis=0).tolist():
            found |= set(product(range(first, last + 1), range(start, stop + 1)))
        return sorted(found)


@lru_cache(maxsize=KEPT)
def _tile(glaciers: Glaciers, r: int, c: int) -> np.ndarray:
    """Kept for the survey, the index and the distances, which all begin with it."""
    rows, columns = (slice(k * TILE, (k + 1) * TILE) for k in (r, c))
    return glaciers.burn(grids.window(glaciers.box, rows, columns))


def _as_geojson(geometry: np.ndarray) -> Iterator[dict]:
    """Polygons as rasterio takes them; it asks shapely for each vertex, which takes five times as long."""
    kind, coordinates, offsets = shapely.to_ragged_array(geometry, include_z=False)
    rings, polygons = offsets[:2]
    whole = np.arange(len(geometry) + 1) if kind == shapely.GeometryType.POLYGON else offsets[2]
    points = list(zip(*coordinates.T.tolist(), strict=True))
    closed = [points[a:b] for a, b in pairwise(rings.tolist())]
    parts = [closed[a:b] for a, b in pairwise(polygons.tolist())]
    for a, b in pairwise(whole.tolist()):
        yield {"type": "MultiPolygon", "coordinates": parts[a:b]}


@dataclass(frozen=True, eq=False)
class Boundary:
    """The pixels just outside a glacier, from which the distance is measured, sorted by row, then by column."""

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def by_number(cls, rims: np.ndarray) -> "dict[int, Boundary]":
        """Boundaries of glaciers, by number, from the rims of windows: (pixel, (number, row, column))."""
        rims = unique_rows(rims)
        numbers, starts = np.unique(rims[:, 0], return_index=True)
        parts = np.split(rims[:, 1:].astype("int32"), starts[1:])[: numbers.size]  # one part, if empty, of no glacier
        return {int(k): cls(*np.ascontiguousarray(part.T)) for k, part in zip(numbers, parts, strict=True)}

    @classmethod
    def united(cls, parts: "list[Boundary]") -> "Boundary":
        """Boundary of an ice complex, from those of its glaciers."""
        points = np.concatenate([np.column_stack([part.rows, part.columns]) for part in parts])
        return cls(*np.ascontiguousarray(unique_rows(points).T.astype("int32")))

    def distance(self, top: int, left: int, shape: tuple[int, int]) -> np.ndarray:
        """Euclidean distance of the pixels of a window from the nearest pixel outside the glacier. (y, x) [px]"""
        height, width = shape
        farthest = np.hypot(self.rows - top, self.columns - left).min()
        reach = math.ceil(farthest + math.hypot(height, width))
        near = slice(*np.searchsorted(self.rows, [top - reach, top + height + reach + 1]))
        return np.sqrt(squared_distance(self.rows[near], self.columns[near], top, left, height, width))


def distances(
    boundaries: Mapping[int, Boundary], index: np.ndarray, corner: tuple[int, int]
) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Distances of each glacier's pixels in a window from its own boundary.

    Parameters
    ----------
    boundaries : mapping
        By the glacier's number.
    index : ndarray (y, x)
        Number of the glacier, 0 outside.
    corner : (int, int)
        Absolute row and column of the window's first pixel.

    Yields
    ------
    number : int
    box : (slice, slice)
        Rows and columns of the window around its pixels.
    own : ndarray (y, x) of bool
        Pixels of the box that are its own.
    distance : ndarray (pixel)
        Of these. [px]
    """
    for number, top, bottom, left, right in _extents(index).tolist():
        box = slice(top, bottom), slice(left, right)
        own = index[box] == number
        distance = boundaries[number].distance(corner[0] + top, corner[1] + left, own.shape)
        yield number, box, own, distance[own]


@numba.njit(nogil=True, cache=True)
def _extents(index):
    """Numbers in a window, and the rows and columns from which and up to which each is found. (glacier, 5)"""
    size = index.max() + 1
    top, bottom = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    left, right = np.zeros(size, np.int64), np.zeros(size, np.int64)
    count = 0
    for r in range(index.shape[0]):
        for c in range(index.shape[1]):
            k = index[r, c]
            if k == 0:
                continue
            if top[k] < 0:
                count += 1
                top[k], left[k] = r, c
            bottom[k] = r + 1
            left[k], right[k] = min(left[k], c), max(right[k], c + 1)
    out = np.empty((count, 5), np.int64)
    i = 0
    for k in range(size):
        if top[k] >= 0:
            out[i] = k, top[k], bottom[k], left[k], right[k]
            i += 1
    return out


def rim(index: np.ndarray, corner: tuple[int, int], *, united: bool = False) -> np.ndarray:
    """Pixels just outside the glaciers of a window, the eight neighbours counted.

    Parameters
    ----------
    index : ndarray (y + 2, x + 2)
        Number of the glacier, 0 outside, with one pixel of surroundings.
    corner : (int, int)
        Absolute row and column of the window's first pixel.
    united : bool
        Leave out the pixels of other glaciers.

    Returns
    -------
    ndarray (pixel, 3)
        Number of the glacier, row and column.
    """
    found = _steps_out(index, united)
    found[:, 1:] += np.array(corner)
    return unique_rows(found)


@numba.njit(nogil=True, cache=True)
def _steps_out(index, united):
    """Number, and row and column in the window, of what is reached by a step out of a glacier, for each such step."""
    out, count = np.empty((1024, 3), np.int64), 0
    for r in range(1, index.shape[0] - 1):
        for c in range(1, index.shape[1] - 1):
            own = index[r, c]
            if own == 0:
                continue
            above, below = index[r - 1], index[r + 1]
            if (
                (above[c - 1] == own) & (above[c] == own) & (above[c + 1] == own) & (index[r, c - 1] == own)
                & (index[r, c + 1] == own) & (below[c - 1] == own) & (below[c] == own) & (below[c + 1] == own)
            ):  # fmt: skip  # as most are
                continue
            for y in range(r - 1, r + 2):
                for x in range(c - 1, c + 2):
                    if index[y, x] == own or (united and index[y, x] > 0):
                        continue
                    if count == len(out):
                        out = np.concatenate((out, np.empty_like(out)))
                    out[count, 0], out[count, 1], out[count, 2] = own, y - 1, x - 1
                    count += 1
    return out[:count]


def unique_rows(table: np.ndarray) -> np.ndarray:
    """Distinct rows of a table of whole numbers, sorted."""
    if not len(table):
        return table
    low, high = table.min(0), table.max(0)
    sizes = [int(b) - int(a) + 1 for a, b in zip(low, high, strict=True)]
    if math.prod(sizes) >= 2**62:
        return np.unique(table, axis=0)
    keys = np.sort(np.ravel_multi_index(tuple((table - low).T), sizes))  # np.unique's hash takes ten times as long
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return np.column_stack(np.unravel_index(keys, sizes)) + low

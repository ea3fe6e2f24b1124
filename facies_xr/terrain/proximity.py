"""Which glacier a pixel belongs to, and how far it lies from that glacier's boundary."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.ndimage import find_objects

from .. import grids
from .distance import squared_distance

TILE = 512
"""Edge of the absolute tiles on which outlines are burnt. [px]"""


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
        """``index`` of an absolute tile, counted in tiles."""
        return self._burn(grids.window(self.box, slice(r * TILE, (r + 1) * TILE), slice(c * TILE, (c + 1) * TILE)))

    def _burn(self, box: GeoBox) -> np.ndarray:
        hit = np.sort(self._tree.query(shapely.box(*box.boundingbox.bbox)))[::-1]  # later burns overwrite: first last
        if hit.size == 0:
            return np.zeros(box.shape, "int32")
        shapes = zip(_as_geojson(self.geometry[hit]), self.number[hit].tolist(), strict=True)
        return rasterize(shapes, out_shape=tuple(box.shape), transform=box.affine, dtype="int32")

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
    numbers = np.sort(pd.unique(index.ravel()))
    counted = np.zeros(numbers[-1] + 1, "int32")
    counted[numbers] = np.arange(numbers.size) + (numbers[0] > 0)
    for number, box in zip(numbers[numbers > 0].tolist(), find_objects(counted[index]), strict=True):
        own = index[box] == number
        distance = boundaries[number].distance(corner[0] + box[0].start, corner[1] + box[1].start, own.shape)
        yield number, box, own, distance[own]


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
    rows, columns = np.nonzero(index[1:-1, 1:-1])
    own, found = index[rows + 1, columns + 1], []
    for y, x in product(range(3), range(3)):
        beside = index[rows + y, columns + x]
        out = beside == 0 if united else beside != own
        found.append(np.column_stack([own[out], rows[out] + corner[0] + y - 1, columns[out] + corner[1] + x - 1]))
    return unique_rows(np.concatenate(found))


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

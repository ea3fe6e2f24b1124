"""Which glacier a pixel belongs to, and how far it lies from that glacier's boundary."""

from dataclasses import dataclass
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.ndimage import binary_dilation
from scipy.spatial import KDTree

from .. import grids

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
        return grids.from_tiles(self._tile, TILE, rows, columns, out)

    def _tile(self, r: int, c: int) -> np.ndarray:
        return self._burn(grids.window(self.box, slice(r * TILE, (r + 1) * TILE), slice(c * TILE, (c + 1) * TILE)))

    def _burn(self, box: GeoBox) -> np.ndarray:
        hit = np.sort(self._tree.query(shapely.box(*box.boundingbox.bbox)))[::-1]  # later burns overwrite: first last
        if hit.size == 0:
            return np.zeros(box.shape, "int32")
        shapes = [(self.geometry[k], int(self.number[k])) for k in hit]
        return rasterize(shapes, out_shape=tuple(box.shape), transform=box.affine, dtype="int32")

    def window(self, k: int) -> tuple[slice, slice]:
        """Rows and columns of the grid that hold the k-th glacier, with one pixel around it."""
        west, south, east, north = self.geometry[k].bounds
        left, top = ~self.box.affine * (west, north)
        right, bottom = ~self.box.affine * (east, south)
        return (
            slice(int(np.floor(top)) - 1, int(np.ceil(bottom)) + 1),
            slice(int(np.floor(left)) - 1, int(np.ceil(right)) + 1),
        )


@dataclass(frozen=True, eq=False)
class Boundary:
    """The pixels just outside a glacier, from which the distance is measured."""

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, inside: np.ndarray, outside: np.ndarray, corner: tuple[int, int]) -> "Boundary":
        """Pixels of ``outside`` next to a mask (y, x) whose own outermost pixels are empty."""
        rim = binary_dilation(inside, np.ones((3, 3), bool)) & outside
        rows, columns = np.nonzero(rim)
        return cls((rows + corner[0]).astype("int32"), (columns + corner[1]).astype("int32"))

    @classmethod
    def united(cls, parts: "list[Boundary]") -> "Boundary":
        """Boundary of an ice complex, from those of its glaciers."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "columns")))

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(np.column_stack([self.rows, self.columns]))

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "_tree"}

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Euclidean distance of pixels from the nearest pixel outside the glacier. [px]"""
        nearest = self._tree.query(np.column_stack([rows, columns]))[1]
        return np.hypot(rows - self.rows[nearest], columns - self.columns[nearest])

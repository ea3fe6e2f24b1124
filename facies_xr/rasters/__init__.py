"""A raster file seen on a grid: exact bilinear resampling that no chunk layout can change.

GDAL's warper derives its approximation from the window that it is asked for. So the grid is always cut into the same
absolute tiles; each tile reads the source pixels that it needs once, and the warper resamples them with a fixed
kernel (``XSCALE``, ``YSCALE``) and an error below 1e-6 source pixels. Source pixels without data have no weight; a
pixel whose centre lies on one is missing.
"""

import numpy as np
from odc.geo.geobox import GeoBox

from .. import grids
from .files import ArrayRaster, Raster, version
from .tiles import Tiles
from .voids import marked, scaled, undeclared
from .write import write_cog

__all__ = [
    "TILE",
    "ArrayRaster",
    "Raster",
    "Tiles",
    "marked",
    "read_window",
    "scaled",
    "undeclared",
    "version",
    "write_cog",
]

TILE = 512
"""Edge of the absolute tiles. [px]"""


def read_window(raster: Raster | ArrayRaster | Tiles, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
    """Any window of a grid; rows and columns may lie outside the grid.

    Put together from absolute tiles, unless no pixel of it can depend on the window (:meth:`Raster.read_direct`).
    """
    if isinstance(raster, Raster) and (found := raster.read_direct(box, rows, columns)) is not None:
        return found

    def tile(r: int, c: int) -> np.ndarray:
        return raster.read(box, slice(r * TILE, (r + 1) * TILE), slice(c * TILE, (c + 1) * TILE))

    out = np.empty((raster.layers, rows.stop - rows.start, columns.stop - columns.start), "float32")
    return grids.from_tiles(tile, TILE, rows, columns, out)

"""Laziness, in one place: the only room that knows dask.array.

What runs on a worker is always a plain function on NumPy blocks, written elsewhere. This room grants such a
function what it states: absolute tiles of the grid, so that no product depends on the chunk layout, and a reach
beyond the tile, so that there are no seams.
"""

from .arrays import (
    CHUNK,
    Array,
    as_dask,
    blank,
    blockwise,
    cast,
    is_lazy,
    mosaic,
    moved,
    regular_chunks,
    repeated,
    spatial_chunks,
    stack,
)
from .overlap import map_surrounded, map_tiles
from .running import each_tile, run
from .tables import occurring, tabulate
from .windows import chained, from_windows, tiles

__all__ = [
    "CHUNK",
    "Array",
    "as_dask",
    "blank",
    "blockwise",
    "cast",
    "chained",
    "each_tile",
    "from_windows",
    "is_lazy",
    "map_surrounded",
    "map_tiles",
    "mosaic",
    "moved",
    "occurring",
    "regular_chunks",
    "repeated",
    "run",
    "spatial_chunks",
    "stack",
    "tabulate",
    "tiles",
]

"""Shapes burnt onto a grid, from any thread."""

from collections.abc import Iterable

import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize


def burn(shapes: Iterable, box: GeoBox, **options) -> np.ndarray:
    """``rasterize`` of rasterio onto a grid, that leaves the warnings of other threads as they are.

    rasterio silences warnings while it burns, numba while it compiles, each for the whole process and until it puts
    back what it found: two threads at once put back each other's silence, and later warnings are lost. So both have
    one lock. Little is lost: burning holds Python's own lock anyway, though it may wait for a compilation.
    """
    with global_compiler_lock:
        return rasterize(shapes, out_shape=tuple(box.shape), transform=box.affine, **options)

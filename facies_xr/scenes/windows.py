"""Our own graph of a cube, the default reader.

One task reads one chunk of one band of a datatake and merges its scenes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from .. import lazy
from . import readers
from .scene import Scene


@dataclass(frozen=True)
class Part:
    """A band of a scene, and the rows and columns of the grid beyond which it has no pixel."""

    reader: readers.BandReader
    rows: tuple[float, float]
    columns: tuple[float, float]

    def touches(self, rows: slice, columns: slice) -> bool:
        """Whether a window may hold a pixel of it."""
        (top, bottom), (left, right) = self.rows, self.columns
        return rows.start < bottom and top < rows.stop and columns.start < right and left < columns.stop


def with_windows(
    datatakes: Sequence[Sequence[Scene]], box: GeoBox, chunks: int, names: Sequence[str], sources_of: readers.Sources
):
    """Datatakes as lazy arrays of each band; see :mod:`facies_xr.scenes.readers`."""
    groups = [parts_of(group, box, names, sources_of) for group in datatakes]
    edges = lazy.regular_chunks(box.shape, chunks)
    return {
        name: lazy.from_windows(merged, edges, "complex64", per_time=[g[name] for g in groups], tile=chunks)
        for name in names
    }


def parts_of(
    group: Sequence[Scene], box: GeoBox, names: Sequence[str], sources_of: readers.Sources
) -> dict[str, tuple[Part, ...]]:
    """Scenes of a datatake that have each band, in the order in which they are taken."""
    sources = [(sources_of(scene), *_extent(scene, box)) for scene in group]
    return {
        name: tuple(Part(readers.BandReader(of[name], box), *extent) for of, *extent in sources if name in of)
        for name in names
    }


def merged(rows: slice, columns: slice, parts: Sequence[Part]) -> np.ndarray:
    """Pixels of a window: the first scene with data, pixel by pixel."""
    window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    out = None
    for part in parts:
        if part.touches(rows, columns):
            pixels = part.reader.read(window)
            if out is None:
                out = pixels
            else:
                gap = np.isnan(out.real)
                out[gap] = pixels[gap]
    return np.full((int(window.height), int(window.width)), readers.MISSING) if out is None else out


def _extent(scene: Scene, box: GeoBox) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row and column of a scene on the grid."""
    left, bottom, right, top = readers.bounds_on(scene, box)
    (first, last), (upper, lower) = zip(~box.affine * (left, top), ~box.affine * (right, bottom), strict=True)
    return (upper, lower), (first, last)

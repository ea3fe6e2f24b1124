"""Files that lie side by side, read like one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from .extent import Extent
from .files import Raster
from .warp import on_grid

SHARED = 1e-3
"""Tiles whose pixels are off each other by less lie on one lattice. [px]"""


@dataclass(frozen=True)
class Tiles:
    """Files that lie side by side, read like one.

    Tiles that share their pixels are joined before anything is resampled, so that no seam shows; where they do not
    (Copernicus tiles change their width with latitude), a gap in the first is filled from the next.
    """

    parts: tuple[Raster, ...]
    resampling: str = "bilinear"
    layers: int = 1

    def read(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Values on one window of a grid; see :meth:`Raster.read`."""
        out = np.full((1, rows.stop - rows.start, columns.stop - columns.start), np.nan, "float32")
        for sheet in _sheets(self.parts):
            if not np.isnan(out).any():
                break
            values = on_grid(
                sheet.extent,
                sheet.pixels,
                count=1,
                box=box,
                rows=rows,
                columns=columns,
                resampling=self.resampling,
            )
            out = np.where(np.isnan(out), values, out)
        return out


@dataclass(frozen=True)
class _Sheet:
    """Tiles on one lattice of pixels, and where each starts on it."""

    extent: Extent
    parts: tuple[tuple[Raster, Window], ...]

    def pixels(self, part: Window) -> np.ndarray:
        """Pixels of a window of the lattice; the first tile that has a value gives it."""
        out = np.full((1, int(part.height), int(part.width)), np.nan, "float32")
        for raster, place in self.parts:
            top, left = max(part.row_off, place.row_off), max(part.col_off, place.col_off)
            bottom = min(part.row_off + part.height, place.row_off + place.height)
            right = min(part.col_off + part.width, place.col_off + place.width)
            if top >= bottom or left >= right:
                continue
            mine = raster.pixels(Window(left - place.col_off, top - place.row_off, right - left, bottom - top))
            into = out[:, top - part.row_off : bottom - part.row_off, left - part.col_off : right - part.col_off]
            np.copyto(into, mine, where=np.isnan(into))
        return out


@dataclass(frozen=True)
class _Tile:
    """A tile, and where it starts on the lattice of another."""

    raster: Raster
    extent: Extent
    row: int
    column: int


@lru_cache(maxsize=64)
def _sheets(parts: tuple[Raster, ...]) -> tuple[_Sheet, ...]:
    """Tiles by the lattice on which their pixels lie."""
    lattices: list[list[_Tile]] = []
    for raster in parts:
        mine = raster.extent()
        for tiles in lattices:
            if (place := _on_lattice(mine, tiles[0].extent)) is not None:
                tiles.append(_Tile(raster, mine, *place))
                break
        else:
            lattices.append([_Tile(raster, mine, 0, 0)])
    return tuple(_joined(tiles) for tiles in lattices)


def _on_lattice(tile: Extent, first: Extent) -> tuple[int, int] | None:
    """Row and column of a tile's corner among the pixels of another, if both share their pixels."""
    column, row = ~first.transform * (tile.transform.c, tile.transform.f)
    sizes, others = ((e.transform.a, e.transform.e) for e in (tile, first))
    shared = tile.crs == first.crs and np.allclose(sizes, others, rtol=1e-7, atol=0)
    if not shared or max(abs(column - round(column)), abs(row - round(row))) > SHARED:
        return None
    return round(row), round(column)


def _joined(tiles: Sequence[_Tile]) -> _Sheet:
    top, left = min(t.row for t in tiles), min(t.column for t in tiles)
    height = max(t.row + t.extent.height for t in tiles) - top
    width = max(t.column + t.extent.width for t in tiles) - left
    first = tiles[0].extent
    whole = Extent(first.crs, first.transform * Affine.translation(left, top), height, width)
    places = (Window(t.column - left, t.row - top, t.extent.width, t.extent.height) for t in tiles)
    return _Sheet(whole, tuple(zip((t.raster for t in tiles), places, strict=True)))

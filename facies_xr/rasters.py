"""A raster file seen on a grid: exact bilinear resampling that no chunk layout can change.

GDAL's warper derives its approximation from the window that it is asked for. So the grid is always cut into the same
absolute tiles; each tile reads the source pixels that it needs once, and the warper resamples them with a fixed
kernel (``XSCALE``, ``YSCALE``) and an error below 1e-6 source pixels. Source pixels without data have no weight; a
pixel whose centre lies on one is missing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.io import DatasetReader, MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from . import access, grids
from .bilinear import interpolate

TILE = 512
"""Edge of the absolute tiles. [px]"""

TOLERANCE = 1e-6
"""Largest error of the position of a source pixel. [px]"""

SHARED = 1e-3
"""Tiles whose pixels are off each other by less lie on one lattice. [px]"""


@dataclass(frozen=True)
class _Extent:
    """Where the pixels of a source lie."""

    crs: CRS
    transform: Affine
    height: int
    width: int


@dataclass(frozen=True)
class Raster:
    """One band of one file."""

    href: str
    nodata: float | None = None
    """Number that means no data, where the file does not say so itself."""
    saturated_from: float | None = None
    """Smallest number that means a saturated detector, if that is to be flagged."""
    resampling: str = "bilinear"

    def read(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Values, and a saturation flag, on one window of a grid.

        Parameters
        ----------
        box : GeoBox
            The whole grid.
        rows, columns : slice
            An absolute tile of it; any other window would make the result depend on the window.

        Returns
        -------
        ndarray (1 or 2, y, x) of float32
            Values (NaN: no source pixel with data contributes); then, with ``saturated_from``, the weight of
            saturated source pixels.
        """

        def read() -> np.ndarray:
            with access.opened(self.href) as file:
                return _on_grid(
                    _extent(file),
                    lambda part: self._layers(file, part),
                    self.layers,
                    box,
                    rows,
                    columns,
                    self.resampling,
                )

        return access.retried(read, self.href)

    def read_direct(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray | None:
        """Values and flag on any window of a grid that runs along the file's own pixels, None if it does not.

        Then a target pixel needs four source pixels whose weights follow from its row and column alone, and GDAL's
        warper can be spared. The rule is the same: the source pixel at its centre must have data, others weigh anew.
        """

        def read() -> np.ndarray | None:
            with access.opened(self.href) as file:
                source = _extent(file)
                along = _along(source, box) if self.resampling == "bilinear" else None
                if along is None:
                    return None
                out = np.zeros((self.layers, rows.stop - rows.start, columns.stop - columns.start), "float32")
                (v0, dv), (u0, du) = along
                top, bottom = _needed(v0, dv, rows, source.height)
                left, right = _needed(u0, du, columns, source.width)
                if top >= bottom or left >= right:
                    out[0] = np.nan
                    return out
                raw = file.read(1, window=Window(left, top, right - left, bottom - top))
                values = raw.astype("float32")
                values[self._missing(file, raw)] = np.nan
                place = (v0, dv, rows.start, top, u0, du, columns.start, left)
                interpolate(values, *place, out[0])
                if self.saturated_from is not None and (flag := raw >= self.saturated_from).any():
                    interpolate(np.where(np.isnan(values), np.nan, flag).astype("float32"), *place, out[1])
                    np.nan_to_num(out[1], copy=False)
                return out

        return access.retried(read, self.href)

    def _missing(self, file: DatasetReader, raw: np.ndarray) -> np.ndarray:
        missing = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
        for nodata in {self.nodata, file.nodata}:
            if nodata is not None and not math.isnan(nodata):
                missing |= raw == nodata
        return missing

    def pixels(self, part: Window) -> np.ndarray:
        """Values and flag of a window of the file itself."""

        def read() -> np.ndarray:
            with access.opened(self.href) as file:
                return self._layers(file, part)

        return access.retried(read, self.href)

    @property
    def layers(self) -> int:
        """Number of layers that :meth:`read` returns."""
        return 1 if self.saturated_from is None else 2

    def _layers(self, file: DatasetReader, part: Window) -> np.ndarray:
        raw = file.read(1, window=part)
        pixels = np.empty((self.layers, *raw.shape), "float32")
        pixels[0] = raw
        if self.saturated_from is not None:
            pixels[1] = raw >= self.saturated_from
        pixels[:, self._missing(file, raw)] = np.nan
        return pixels


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """An array in memory, read like a file."""

    values: np.ndarray
    box: GeoBox | _Extent
    resampling: str = "bilinear"
    layers: int = 1

    def read(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Values on one window of a grid; see :meth:`Raster.read`."""
        place = _Extent(CRS.from_user_input(self.box.crs.to_wkt()), self.box.transform, *self.values.shape)

        def layers(part: Window) -> np.ndarray:
            return np.asarray(self.values[part.toslices()], "float32")[None]

        return _on_grid(place, layers, 1, box, rows, columns, self.resampling)


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
            found = _on_grid(sheet.extent, sheet.pixels, 1, box, rows, columns, self.resampling)
            out = np.where(np.isnan(out), found, out)
        return out


@dataclass(frozen=True)
class _Sheet:
    """Tiles on one lattice of pixels, and where each starts on it."""

    extent: _Extent
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
    extent: _Extent
    row: int
    column: int


@lru_cache(maxsize=64)
def _sheets(parts: tuple[Raster, ...]) -> tuple[_Sheet, ...]:
    """Tiles by the lattice on which their pixels lie."""
    lattices: list[list[_Tile]] = []
    for raster in parts:
        mine = access.retried(partial(_header, raster.href), raster.href)
        for tiles in lattices:
            if (place := _on_lattice(mine, tiles[0].extent)) is not None:
                tiles.append(_Tile(raster, mine, *place))
                break
        else:
            lattices.append([_Tile(raster, mine, 0, 0)])
    return tuple(_joined(tiles) for tiles in lattices)


def _on_lattice(tile: _Extent, first: _Extent) -> tuple[int, int] | None:
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
    whole = _Extent(first.crs, first.transform * Affine.translation(left, top), height, width)
    places = (Window(t.column - left, t.row - top, t.extent.width, t.extent.height) for t in tiles)
    return _Sheet(whole, tuple(zip((t.raster for t in tiles), places, strict=True)))


def _header(href: str) -> _Extent:
    with access.opened(href) as file:
        return _extent(file)


def _extent(file: DatasetReader) -> _Extent:
    return _Extent(CRS.from_user_input(file.crs), file.transform, file.height, file.width)


def _on_grid(
    source: _Extent,
    layers: Callable[[Window], np.ndarray],
    count: int,
    box: GeoBox,
    rows: slice,
    columns: slice,
    resampling: str,
) -> np.ndarray:
    target = grids.window(box, rows, columns)
    part = _source_window(source, target)
    if part is None:
        return np.full((count, *target.shape), np.nan, "float32")
    pixels = layers(part)
    place = source.transform * Affine.translation(part.col_off, part.row_off)
    offset = _whole_pixel_offset(source, place, target)
    if offset is not None:
        return _crop(pixels, offset, target.shape)
    return _warp(pixels, place, source.crs, target, _zoom(source, box), Resampling[resampling])


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


def _source_window(source: _Extent, target: GeoBox) -> Window | None:
    """Source pixels that can contribute to the target, or None."""
    steps = np.linspace(0, 1, 21)
    u, v = np.meshgrid(steps * target.width, steps * target.height)
    x, y = target.affine * (u, v)
    if source.crs != target.crs.proj:
        x, y = Transformer.from_crs(target.crs.proj, source.crs, always_xy=True).transform(x, y)
    columns, rows = ~source.transform * (np.asarray(x), np.asarray(y))
    finite = np.isfinite(columns) & np.isfinite(rows)
    if not finite.any():
        return None
    columns, rows = columns[finite], rows[finite]
    # Half a kernel on each side: one pixel, or one target pixel where that is larger; and some for curvature.
    margin = 3 + np.ceil(
        [(columns.max() - columns.min()) / target.width * 2, (rows.max() - rows.min()) / target.height * 2]
    )
    left, right = math.floor(columns.min() - margin[0]), math.ceil(columns.max() + margin[0])
    top, bottom = math.floor(rows.min() - margin[1]), math.ceil(rows.max() + margin[1])
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, source.width), min(bottom, source.height)
    if left >= right or top >= bottom:
        return None
    return Window(left, top, right - left, bottom - top)


def _along(source: _Extent, box: GeoBox) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Source position of the centre of the grid's first pixel and step to the next, of rows and of columns. [px]

    None if the grid is turned, lies in another CRS, or has larger pixels than the source.
    """
    if source.crs != box.crs.proj:
        return None
    both = ~source.transform * box.affine
    if not (both.b == both.d == 0 and 0 < both.a <= 1 + TOLERANCE and 0 < both.e <= 1 + TOLERANCE):
        return None
    return (both.f + both.e / 2, both.e), (both.c + both.a / 2, both.a)


def _needed(first: float, step: float, span: slice, size: int) -> tuple[int, int]:
    """Source pixels that a span of target pixels needs."""
    low, high = first + step * span.start, first + step * (span.stop - 1)
    return max(math.floor(low) - 1, 0), min(math.floor(high) + 2, size)


def _whole_pixel_offset(source: _Extent, place: Affine, target: GeoBox) -> tuple[int, int] | None:
    """Row and column of the target's corner in the source pixels, if both share their pixels."""
    if source.crs != target.crs.proj:
        return None
    a, b = place, target.affine
    if not np.allclose([a.a, a.b, a.d, a.e], [b.a, b.b, b.d, b.e], rtol=0, atol=1e-9 * abs(a.a)):
        return None
    column, row = ~a * (b.c, b.f)
    if max(abs(column - round(column)), abs(row - round(row))) > TOLERANCE:
        return None
    return round(row), round(column)


def _crop(pixels: np.ndarray, offset: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    out = np.full((pixels.shape[0], *shape), np.nan, "float32")
    row, column = offset
    y0, x0 = max(-row, 0), max(-column, 0)
    y1, x1 = min(shape[0], pixels.shape[1] - row), min(shape[1], pixels.shape[2] - column)
    if y1 > y0 and x1 > x0:
        out[:, y0:y1, x0:x1] = pixels[:, y0 + row : y1 + row, x0 + column : x1 + column]
    return out


def _zoom(source: _Extent, box: GeoBox) -> tuple[float, float]:
    """Target pixels per source pixel along the source's x and y, at one place for the whole grid."""
    column, row = box.width / 2, box.height / 2
    corners = [box.affine * (column + du, row + dv) for du, dv in ((0, 0), (1, 0), (0, 1))]
    x, y = np.array(corners).T
    if source.crs != box.crs.proj:
        x, y = Transformer.from_crs(box.crs.proj, source.crs, always_xy=True).transform(x, y)
    u, v = ~source.transform * (np.asarray(x), np.asarray(y))
    return 1 / math.hypot(u[1] - u[0], u[2] - u[0]), 1 / math.hypot(v[1] - v[0], v[2] - v[0])


def _warp(pixels, place, crs, target: GeoBox, zoom, resampling: Resampling) -> np.ndarray:
    layers, height, width = pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=layers,
            height=height,
            width=width,
            dtype="float32",
            crs=crs,
            transform=place,
            nodata=np.nan,
        ) as copy:
            copy.write(pixels)
        with (
            memory.open() as copy,
            WarpedVRT(
                copy,
                crs=target.crs.proj.to_wkt(),
                transform=target.affine,
                height=target.height,
                width=target.width,
                resampling=resampling,
                src_nodata=np.nan,
                nodata=np.nan,
                dtype="float32",
                tolerance=TOLERANCE,
                XSCALE=str(zoom[0]),
                YSCALE=str(zoom[1]),
            ) as warped,
        ):
            return warped.read()

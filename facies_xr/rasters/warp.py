"""Pixels of a source on a grid: cropped where both share their pixels, else by GDAL's warper with a fixed kernel."""

import math
from collections.abc import Callable

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from .. import grids
from .blocks import in_blocks, sizes
from .extent import Extent

TOLERANCE = 1e-6
"""Largest error of the position of a source pixel. [px]"""


def on_grid(
    source: Extent,
    layers: Callable[[Window], np.ndarray],
    *,
    count: int,
    box: GeoBox,
    rows: slice,
    columns: slice,
    resampling: str,
) -> np.ndarray:
    """Layers of a source on a window of a grid.

    Parameters
    ----------
    source : Extent
    layers : callable
        Gets a window of the source and returns its layers (layer, y, x) of float32.
    count : int
        Number of layers.
    box : GeoBox
        The whole grid.
    rows, columns : slice
        The window.
    resampling : str
        Name of one of GDAL's methods.

    Returns
    -------
    ndarray (layer, y, x) of float32
        NaN where no source pixel with data contributes.
    """
    target, zoom = grids.window(box, rows, columns), _zoom(source, box)
    size = sizes((1 / zoom[1], 1 / zoom[0]), resampling)
    if size != (1, 1):
        source, layers = in_blocks(source, layers, size, resampling)
        zoom = zoom[0] * size[1], zoom[1] * size[0]
    part = _source_window(source, target)
    if part is None:
        return np.full((count, *target.shape), np.nan, "float32")
    pixels = layers(part)
    place = source.transform * Affine.translation(part.col_off, part.row_off)
    offset = _whole_pixel_offset(source, place, target)
    if offset is not None:
        return _crop(pixels, offset, target.shape)
    return _warp(pixels, place, source.crs, target, zoom, Resampling[resampling])


def _source_window(source: Extent, target: GeoBox) -> Window | None:
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


def along(source: Extent, box: GeoBox) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Source position of the centre of the grid's first pixel and step to the next, of rows and of columns. [px]

    None if the grid is turned, lies in another CRS, or has larger pixels than the source.
    """
    if source.crs != box.crs.proj:
        return None
    both = ~source.transform * box.affine
    if not (both.b == both.d == 0 and 0 < both.a <= 1 + TOLERANCE and 0 < both.e <= 1 + TOLERANCE):
        return None
    return (both.f + both.e / 2, both.e), (both.c + both.a / 2, both.a)


def needed(first: float, step: float, span: slice, size: int) -> tuple[int, int]:
    """Source pixels that a span of target pixels needs."""
    low, high = first + step * span.start, first + step * (span.stop - 1)
    return max(math.floor(low) - 1, 0), min(math.floor(high) + 2, size)


def _whole_pixel_offset(source: Extent, place: Affine, target: GeoBox) -> tuple[int, int] | None:
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


def _zoom(source: Extent, box: GeoBox) -> tuple[float, float]:
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

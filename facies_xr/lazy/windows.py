"""Arrays that are a function of the place."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np

from .arrays import CHUNK, short_name
from .placed import Placed, made_by, value_at


def from_windows(
    function: Callable,
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    dtype: Any,
    *,
    per_time: Sequence | None = None,
    given: Any = None,
    tile: int = CHUNK,
    anywhere: bool = False,
) -> da.Array:
    """Lazy raster whose pixels ``function`` computes from their place alone.

    Parameters
    ----------
    function : callable
        ``function(rows, columns)`` or, with ``per_time`` or ``given``, ``function(rows, columns, value)``; slices of
        the grid in, array of that window out. It is called on absolute tiles only, unless ``anywhere``.
    chunks : tuple of tuple of int
        Chunks along y and x.
    dtype : dtype
        Of the result.
    per_time : sequence, optional
        One value for each step of a leading time axis.
    given : object, optional
        One value, without a time axis.
    tile : int
        Edge of the absolute tiles. [px]
    anywhere : bool
        A pixel is the same in any window, to the bit: the result is :class:`Placed`, until something is made of it.

    Returns
    -------
    dask Array (y, x) or (time, y, x)
    """
    all_chunks = chunks if per_time is None else ((1,) * len(per_time), *chunks)
    values = per_time if given is None else (given,)
    token = dask.base.tokenize(function, all_chunks, dtype, values, tile)
    array = da.map_blocks(
        _windows_block,
        made_by=made_by(function, values),
        tile=tile,
        shape=tuple(map(sum, chunks)),
        chunks=all_chunks,
        dtype=dtype,
        meta=np.empty((0,) * len(all_chunks), dtype),
        name=f"{short_name(function)}-{token}",
    )
    if anywhere:
        array.placed = Placed(function, values, tile)
    return array


def _windows_block(*, made_by, tile, shape, block_info=None):
    (function, values), info = made_by, block_info[None]
    *times, rows, columns = [slice(*span) for span in info["array-location"]]
    lead = value_at(values, [time.start for time in times])
    out = np.empty((rows.stop - rows.start, columns.stop - columns.start), info["dtype"])
    for r, c in tiles(rows, columns, tile):
        tile_rows = slice(r * tile, min((r + 1) * tile, shape[0]))
        tile_columns = slice(c * tile, min((c + 1) * tile, shape[1]))
        found = function(tile_rows, tile_columns, *lead)
        top, bottom = max(rows.start, tile_rows.start), min(rows.stop, tile_rows.stop)
        left, right = max(columns.start, tile_columns.start), min(columns.stop, tile_columns.stop)
        out[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = found[
            top - tile_rows.start : bottom - tile_rows.start,
            left - tile_columns.start : right - tile_columns.start,
        ]
    return out[None] if times else out


def chained(
    function: Callable,
    state: Any,
    windows: Sequence[tuple[slice, slice]],
    shapes: Sequence[tuple[int, ...]],
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    dtype: Any,
    *,
    axis: int,
) -> da.Array:
    """Lazy raster made in bands, one after the other, each handing a state to the next.

    Parameters
    ----------
    function : callable
        ``function(window, state) -> (array, state)``; must not change the state that it is given.
    state : object
        For the first band.
    windows : sequence of (slice, slice)
        Bands in the order in which they are made; some may lie outside the grid.
    shapes : sequence of (int, int)
        Of the array that each band gives, with a 0 where it lies outside.
    chunks : tuple of tuple of int
        Of the result.
    dtype : dtype
        Of the result.
    axis : int
        Across which the bands lie.
    """
    step, bands = dask.delayed(function, pure=True, traverse=False), []
    for window, shape in zip(windows, shapes, strict=True):
        made = step(window, state)
        state = made[1]
        if all(shape):
            bands.append((window[axis].start, da.from_delayed(made[0], shape, dtype)))
    return da.concatenate([band for _, band in sorted(bands, key=lambda b: b[0])], axis).rechunk(chunks)


def tiles(rows: slice, columns: slice, tile: int) -> Iterable[tuple[int, int]]:
    """Indices (row, column) of the absolute tiles that a window touches."""
    for r in range(rows.start // tile, -(-rows.stop // tile)):
        for c in range(columns.start // tile, -(-columns.stop // tile)):
            yield r, c

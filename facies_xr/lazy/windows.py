"""Arrays that are a function of the place."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np

from .arrays import CHUNK, short_name


def from_windows(
    function: Callable,
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    dtype: Any,
    *,
    per_time: Sequence | None = None,
    tile: int = CHUNK,
) -> da.Array:
    """Lazy raster whose pixels ``function`` computes from their place alone.

    Parameters
    ----------
    function : callable
        ``function(rows, columns)`` or, with ``per_time``, ``function(rows, columns, value)``; slices of the grid in,
        array of that window out. It is called on absolute tiles only.
    chunks : tuple of tuple of int
        Chunks along y and x.
    dtype : dtype
        Of the result.
    per_time : sequence, optional
        One value for each step of a leading time axis.
    tile : int
        Edge of the absolute tiles. [px]

    Returns
    -------
    dask Array (y, x) or (time, y, x)
    """
    all_chunks = chunks if per_time is None else ((1,) * len(per_time), *chunks)
    token = dask.base.tokenize(function, all_chunks, dtype, per_time, tile)
    return da.map_blocks(
        _windows_block,
        made_by=made_by(function, per_time),
        tile=tile,
        shape=tuple(map(sum, chunks)),
        chunks=all_chunks,
        dtype=dtype,
        meta=np.empty((0,) * len(all_chunks), dtype),
        name=f"{short_name(function)}-{token}",
    )


def made_by(function: Callable, per_time: Sequence | None):
    """A function and its values as a node of the graph, so that a worker gets them once and not with every block."""
    token = dask.base.tokenize(function, per_time)
    return dask.delayed((function, per_time), name=f"made-by-{token}", traverse=False)


def _windows_block(*, made_by, tile, shape, block_info=None):
    (function, per_time), info = made_by, block_info[None]
    *times, rows, columns = [slice(*span) for span in info["array-location"]]
    lead = () if per_time is None else (per_time[times[0].start],)
    out = np.empty((rows.stop - rows.start, columns.stop - columns.start), info["dtype"])
    for r, c in tiles(rows, columns, tile):
        tile_rows = slice(r * tile, min((r + 1) * tile, shape[0]))
        tile_columns = slice(c * tile, min((c + 1) * tile, shape[1]))
        values = function(tile_rows, tile_columns, *lead)
        top, bottom = max(rows.start, tile_rows.start), min(rows.stop, tile_rows.stop)
        left, right = max(columns.start, tile_columns.start), min(columns.stop, tile_columns.stop)
        out[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = values[
            top - tile_rows.start : bottom - tile_rows.start,
            left - tile_columns.start : right - tile_columns.start,
        ]
    return out if per_time is None else out[None]


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

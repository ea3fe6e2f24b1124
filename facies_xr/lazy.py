"""Laziness, in one place: the only module that knows dask.array.

What runs on a worker is always a plain function on NumPy blocks, written elsewhere. This module grants such a
function what it states: absolute tiles of the grid, so that no product depends on the chunk layout, and a reach
beyond the tile, so that there are no seams.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import dask.threaded
import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

CHUNK = 512
"""Default edge of a chunk, a multiple of every tile used in the package. [px]"""


def is_lazy(data: Any) -> bool:
    """Whether a DataArray, Variable or array is backed by Dask."""
    return dask.is_dask_collection(getattr(data, "data", data))


def as_dask(data: xr.DataArray, edge: int = CHUNK) -> da.Array:
    """Dask array of a DataArray; arrays in memory become one with chunks of an edge, views of its values. [px]"""
    if is_lazy(data):
        return data.data
    # Not da.from_array, which copies the values and reads all of them for a name.
    values, name = data.values, f"memory-{uuid4().hex}"
    chunks = da.core.normalize_chunks((1,) * (data.ndim - 2) + (edge, edge), values.shape)
    keys = product([name], *(range(len(c)) for c in chunks))
    blocks = {key: values[part] for key, part in zip(keys, da.core.slices_from_chunks(chunks), strict=True)}
    return da.Array(blocks, name, chunks, dtype=values.dtype)


def spatial_chunks(data: xr.Dataset | xr.DataArray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chunks along y and x of the first lazy variable, or the default ones."""
    arrays = data.data_vars.values() if isinstance(data, xr.Dataset) else [data]
    for array in arrays:
        if is_lazy(array) and array.dims[-2:] == ("y", "x"):
            return array.data.chunks[-2:]
    return regular_chunks((data.sizes["y"], data.sizes["x"]))


def regular_chunks(shape: tuple[int, ...], edge: int = CHUNK) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chunks of one edge for a grid. [px]"""
    return da.core.normalize_chunks((edge, edge), shape)


def blank(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> da.Array:
    """Lazy array without content, to describe a store."""
    return da.zeros(shape, chunks=chunks, dtype=dtype)


# -- arrays that are a function of the place --------------------------------------------------------------------


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
    name = getattr(function, "__name__", type(function).__name__).strip("_").lower()
    return da.map_blocks(
        _windows_block,
        made_by=_made_by(function, per_time),
        tile=tile,
        shape=tuple(map(sum, chunks)),
        chunks=all_chunks,
        dtype=dtype,
        meta=np.empty((0,) * len(all_chunks), dtype),
        name=f"{name}-{token}",
    )


def _made_by(function: Callable, per_time: Sequence | None):
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


# -- arrays that are a function of other arrays and their surroundings ------------------------------------------


def map_tiles(
    function: Callable,
    arrays: Sequence[da.Array],
    *,
    channels: int,
    dtype: Any,
    tile: int,
    reach: int = 0,
    per_time: Sequence | None = None,
) -> da.Array:
    """Apply a function to every absolute tile of some aligned arrays.

    Parameters
    ----------
    function : callable
        ``function(blocks, inside) -> (channel, y, x)`` or, with ``per_time``, ``function(blocks, inside, value)``;
        ``blocks`` are the 2-D arrays of one tile and one time, with up to ``reach`` px of surroundings (fewer at the
        grid's edge), ``inside`` the tile within them.
    arrays : sequence of dask Array
        Each (y, x) or (time, y, x), on one grid.
    channels : int
        Length of the leading axis that the function returns.
    dtype : dtype
        Of the result.
    tile : int
        Edge of the absolute tiles. [px]
    reach : int
        Surroundings that the function needs. [px]
    per_time : sequence, optional
        One value for each time; of arrays without a time, one.

    Returns
    -------
    dask Array (channel, y, x) or (channel, time, y, x)
    """
    timed = max(arrays, key=lambda a: a.ndim)
    chunks = tuple(_aligned(c, tile, reach) for c in timed.chunks[-2:])
    depth = tuple(reach if len(c) > 1 else 0 for c in chunks)
    padded = [_with_surroundings(a, chunks, depth) for a in arrays]
    lead = ((1,) * timed.shape[0],) if timed.ndim == 3 else ()
    return da.map_blocks(
        _tiles_block,
        *padded,
        made_by=_made_by(function, per_time),
        spatial=chunks,
        depth=depth,
        tile=tile,
        reach=reach,
        channels=channels,
        out_dtype=np.dtype(dtype),
        new_axis=0,
        chunks=((channels,), *lead, *chunks),
        dtype=dtype,
        meta=np.empty((0,) * (timed.ndim + 1), dtype),
    )


def _aligned(chunks: tuple[int, ...], tile: int, reach: int) -> tuple[int, ...]:
    """Chunks whose inner edges are multiples of the tile and which are no smaller than the reach."""
    total, edges = sum(chunks), np.cumsum(chunks)[:-1]
    if any(edge % tile for edge in edges):
        edges = np.arange(CHUNK, total, CHUNK)
    sizes = np.diff([0, *edges, total]).tolist()
    while len(sizes) > 1 and sizes[-1] < reach:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return tuple(sizes)


def _with_surroundings(array: da.Array, chunks, depth) -> da.Array:
    array = array.rechunk((*((1,) * n for n in array.shape[:-2]), *chunks))
    axes = {array.ndim - 2: depth[0], array.ndim - 1: depth[1]}
    return da.overlap.overlap(array, axes, boundary="none", allow_rechunk=False)


def _tiles_block(*blocks, made_by, spatial, depth, tile, reach, channels, out_dtype, block_id=None):
    (function, per_time), (i, j), (rows, columns) = made_by, block_id[-2:], spatial
    top, left = (depth[0] if i else 0), (depth[1] if j else 0)
    timed = max(b.ndim for b in blocks)
    planes = [b[0] if b.ndim == 3 else b for b in blocks]
    out = np.empty((channels, rows[i], columns[j]), out_dtype)
    lead = () if per_time is None else (per_time[block_id[1] if timed == 3 else 0],)
    for r, c in tiles(slice(0, rows[i]), slice(0, columns[j]), tile):
        r0, r1 = r * tile + top, min((r + 1) * tile, rows[i]) + top
        c0, c1 = c * tile + left, min((c + 1) * tile, columns[j]) + left
        # The same surroundings whatever the block: no more than the reach, even where the block has more.
        y0, x0 = max(r0 - reach, 0), max(c0 - reach, 0)
        near = (slice(y0, r1 + reach), slice(x0, c1 + reach))
        inside = (slice(r0 - y0, r1 - y0), slice(c0 - x0, c1 - x0))
        out[:, r0 - top : r1 - top, c0 - left : c1 - left] = function([p[near] for p in planes], inside, *lead)
    return out[:, None] if timed == 3 else out


def map_surrounded(function: Callable, arrays: Sequence[da.Array], *, dtype: Any, reach: int, edge: int) -> da.Array:
    """Apply a function to aligned arrays, whose value at a pixel depends on nothing farther away than the reach.

    Parameters
    ----------
    function : callable
        ``function(blocks, inside) -> (y, x)``; ``blocks`` are the 2-D arrays of one block and one time with their
        surroundings, ``inside`` the block within them.
    arrays : sequence of dask Array
        Each (y, x) or (time, y, x), on one grid.
    dtype : dtype
        Of the result.
    reach : int
        Surroundings that the function needs. [px]
    edge : int
        Chunks are joined up to this. [px]

    Returns
    -------
    dask Array (y, x) or (time, y, x)
    """
    timed = max(arrays, key=lambda a: a.ndim)
    chunks = tuple(_joined(c, edge, reach) for c in timed.chunks[-2:])
    depth = tuple(reach if len(c) > 1 else 0 for c in chunks)
    return da.map_blocks(
        _surrounded_block,
        *(_with_surroundings(a, chunks, depth) for a in arrays),
        made_by=_made_by(function, None),
        spatial=chunks,
        depth=depth,
        chunks=(*((1,) * n for n in timed.shape[:-2]), *chunks),
        dtype=dtype,
        meta=np.empty((0,) * timed.ndim, dtype),
    )


def _joined(chunks: tuple[int, ...], edge: int, reach: int) -> tuple[int, ...]:
    """Chunks joined up to an edge, or beyond it where one would be smaller than the reach."""
    sizes = [0]
    for size in chunks:
        if sizes[-1] >= reach and sizes[-1] + size > edge:
            sizes.append(0)
        sizes[-1] += size
    if len(sizes) > 1 and sizes[-1] < reach:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return tuple(sizes)


def _surrounded_block(*blocks, made_by, spatial, depth, block_id=None):
    function, _ = made_by
    starts = [reach if k else 0 for reach, k in zip(depth, block_id[-2:], strict=True)]
    sizes = [size[k] for size, k in zip(spatial, block_id[-2:], strict=True)]
    inside = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    out = function([b[0] if b.ndim == 3 else b for b in blocks], inside)
    return out[None] if len(block_id) == 3 else out


def mosaic(array: da.Array, group_sizes: Sequence[int], first_valid: Callable) -> da.Array:
    """Merge runs along the first axis: ``first_valid`` turns (n, ...) blocks into (1, ...)."""
    if all(size == 1 for size in group_sizes):
        return array
    grouped = array.rechunk({0: tuple(group_sizes)})
    return da.map_blocks(first_valid, grouped, chunks=((1,) * len(group_sizes), *array.chunks[1:]), dtype=array.dtype)


def stack(arrays: Sequence[da.Array], axis: int) -> da.Array:
    """Arrays of one shape along a new axis."""
    return da.stack(arrays, axis)


def blockwise(function: Callable, arrays: Sequence, dtype: Any):
    """Apply a function of equal blocks; arrays in memory stay in memory."""
    chunks = next((array.chunks for array in arrays if is_lazy(array)), None)
    if chunks is None:
        return function(*arrays)
    aligned = [array.rechunk(chunks) if is_lazy(array) else da.from_array(array, chunks) for array in arrays]
    return da.map_blocks(function, *aligned, dtype=dtype, meta=np.empty((0,) * len(chunks), dtype))


def repeated(array: da.Array, times: int) -> da.Array:
    """Array (y, x) as (time, y, x)."""
    return da.broadcast_to(array, (times, *array.shape), chunks=((1,) * times, *array.chunks))


def cast(array: da.Array, dtype: Any) -> da.Array:
    """Array of another dtype."""
    return array.astype(dtype)


def moved(array: da.Array, source: int, destination: int) -> da.Array:
    """Array with one axis moved."""
    return da.moveaxis(array, source, destination).rechunk({destination: -1})


def real_plane(array: da.Array, band: int) -> da.Array:
    """Real part of one band of a complex array (time, band, y, x)."""
    return array[:, band].real


def codes(array: da.Array) -> da.Array:
    """Real part of the only band of a complex array (time, band, y, x) as whole numbers, 0 for NaN. uint16"""
    return da.map_blocks(_whole, array[:, 0], dtype="uint16")


def _whole(block: np.ndarray) -> np.ndarray:
    return np.nan_to_num(block.real).astype("uint16")


def flag_planes(array: da.Array) -> da.Array:
    """One bit a band: set where the imaginary part of a complex array (time, band, y, x) is positive."""
    chunks = (array.chunks[0], (1,), *array.chunks[2:])
    return da.map_blocks(_pack_bits, array.rechunk({1: -1}), chunks=chunks, dtype="uint8")[:, 0]


def _pack_bits(block: np.ndarray) -> np.ndarray:
    return np.packbits(block.imag > 0, axis=1, bitorder="little")


def tabulate(
    count: Callable,
    gather: Callable,
    arrays: Sequence[da.Array],
    per_time: Sequence,
    outputs: dict[str, tuple[tuple[int, ...], Any]],
) -> dict[str, da.Array]:
    """Lazy arrays with a row for each time, made of what was counted in every block of that time.

    Parameters
    ----------
    count : callable
        ``count(*blocks, (value, rows, columns))`` gets the blocks of one time and where they lie; whatever it returns
        goes to ``gather``.
    gather : callable
        ``gather(counts) -> {name: array}`` gets what the blocks of one time gave.
    arrays : sequence of dask Array
        The first (time, y, x), the others (y, x), (time, y, x) or (time, class, y, x).
    per_time : sequence
        One value for each time.
    outputs : dict
        Shape and dtype of the arrays that ``gather`` returns.
    """
    chunks = arrays[0].chunks[-2:]
    lead = {2: (), 3: (1,), 4: (1, -1)}
    aligned = [a.rechunk((*lead[a.ndim], *chunks)) for a in arrays]
    # Not optimised one by one: what two of them share is to be computed once.
    blocks = [a.to_delayed(optimize_graph=False) for a in aligned]
    counted, gathered = dask.delayed(_OfOneTime(count), pure=True), dask.delayed(gather, pure=True)
    windows = [tuple(map(slice, np.cumsum([0, *c[:-1]]), np.cumsum(c))) for c in chunks]
    dates = []
    for t, value in enumerate(per_time):
        here = [(b if b.ndim == 2 else b[t]).ravel() for b in blocks]
        parts = [counted(*each, (value, *window)) for *each, window in zip(*here, product(*windows), strict=True)]
        dates.append(gathered(parts))
    return {
        name: da.stack([da.from_delayed(date[name], shape, dtype) for date in dates])
        for name, (shape, dtype) in outputs.items()
    }


@dataclass(frozen=True)
class _OfOneTime:
    """A function that gets blocks without the time axis."""

    function: Callable

    def __call__(self, *arguments):
        *blocks, place = arguments
        return self.function(*(block[0] if block.ndim > 2 else block for block in blocks), place)


def occurring(values: np.ndarray, arrays: Sequence[xr.DataArray]) -> da.Array:
    """Lazily, which of some values occur in any of the arrays."""
    found = dask.delayed(_occurring, pure=True)(values, [a.data for a in arrays])
    return da.from_delayed(found, (len(values),), bool)


def _occurring(values, arrays):
    return np.isin(values, np.concatenate([np.unique(a) for a in arrays]))


# -- running ----------------------------------------------------------------------------------------------------


def each_tile(function: Callable, variables: dict[str, xr.Variable], chunks: tuple, dims: tuple[str, ...]) -> da.Array:
    """Lazy array with one element a tile: ``function({name: block}, start) -> int`` run for its effect.

    Parameters
    ----------
    function : callable
        Gets the blocks of one tile and the start of the tile along ``dims``.
    variables : dict of Variable
        Their dims must contain ``dims``; other dims are passed whole.
    chunks : tuple of tuple of int
        Tiles along ``dims``.
    dims : tuple of str
        Dims along which tiles are cut.
    """
    arguments: list = []
    size: dict[Any, tuple[int, ...]] = dict(zip(dims, chunks, strict=True))
    for variable in variables.values():
        data = variable.data if is_lazy(variable) else da.from_array(variable.data, chunks=-1)
        rechunked = data.rechunk(tuple(size.get(d, (n,)) for d, n in zip(variable.dims, data.shape, strict=True)))
        arguments += [rechunked, variable.dims]
    for dim in dims:
        starts = np.concatenate([[0], np.cumsum(size[dim])[:-1]])
        positions = da.from_array(np.repeat(starts, size[dim]), chunks=(size[dim],))
        arguments += [positions, (dim,)]
    return da.blockwise(
        _each_tile_block,
        dims,
        *arguments,
        function=function,
        names=tuple(variables),
        ndim=len(dims),
        adjust_chunks={dim: (1,) * len(size[dim]) for dim in dims},
        concatenate=True,
        align_arrays=False,
        dtype="uint8",
        meta=np.empty((0,) * len(dims), "uint8"),
    )


def _each_tile_block(*blocks, function, names, ndim):
    start = tuple(int(position[0]) for position in blocks[len(names) :])
    status = function(dict(zip(names, blocks, strict=False)), start)
    return np.full((1,) * ndim, status, "uint8")


def run(array: da.Array, blocks: Iterable[tuple[int, ...]], advance: Callable[[], None]) -> None:
    """Compute some blocks of an array for their effect, in one graph, calling ``advance`` as each one ends.

    When a block fails, no other is still running by the time the error is raised.
    """
    blocks = [tuple(map(int, block)) for block in blocks]
    if not blocks:
        return
    if client := _distributed_client():
        _run_on_cluster(client, [array.blocks[b] for b in blocks], advance)
        return

    def tick(status):
        advance()
        return status

    ticking = da.map_blocks(tick, array, dtype=array.dtype, meta=array._meta, name=f"tick-{uuid4().hex}")
    selected = [ticking.blocks[b] for b in blocks]
    if dask.base.get_scheduler(collections=selected[:1]) is not dask.threaded.get:
        dask.compute(*selected)
        return
    threads = dask.config.get("num_workers", None) or CPU_COUNT
    with ThreadPoolExecutor(threads) as pool, dask.config.set(pool=pool):
        dask.compute(*selected)


def _run_on_cluster(client, selected, advance) -> None:
    from distributed import as_completed

    futures, failed = client.compute(selected), None
    try:
        for future in as_completed(futures):
            failed = failed or future.exception()
            advance()
    except BaseException:
        client.cancel(futures)
        raise
    if failed is not None:
        raise failed


def _distributed_client():
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError):
        return None

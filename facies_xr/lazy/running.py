"""Tiles computed for their effect, a bounded number at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import dask.threaded
import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from .arrays import is_lazy

IN_FLIGHT = 12
"""Blocks that one graph computes; what they read is held together with what surrounds them."""

FIRST = 2
"""Blocks of the first graph of a run, so that something is finished soon."""

NEAR = 4
"""Blocks are taken in squares of so many, so that those of one graph share their surroundings."""


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
    """Compute some blocks of an array for their effect, calling ``advance`` as each one ends.

    Blocks of one date share what they read, those of several dates share little: one date is under way at a time, and
    of it no more than :data:`IN_FLIGHT` blocks. When a block fails, no other is still running by the time the error is
    raised.

    Parameters
    ----------
    array : dask Array ([time,] tile_y, tile_x)
        As :func:`each_tile` makes it.
    blocks : iterable of tuple of int
        Which of its elements; those of a date follow each other.
    advance : callable
    """
    client = _distributed_client()
    for batch in _batches([tuple(map(int, block)) for block in blocks], array.ndim):
        selected = [array.blocks[block] for block in batch]
        if client:
            _run_on_cluster(client, selected, advance)
        else:
            _run_here(selected, advance)


def _batches(blocks: list[tuple[int, ...]], ndim: int) -> Iterable[list[tuple[int, ...]]]:
    size = FIRST
    for _, of_date in groupby(blocks, key=lambda block: block[: ndim - 2]):
        date = sorted(of_date, key=lambda block: (*(k // NEAR for k in block[-2:]), block))
        while date:
            yield date[:size]
            date, size = date[size:], IN_FLIGHT


def _run_here(selected: list[da.Array], advance: Callable[[], None]) -> None:
    def tick(status):
        advance()
        return status

    ticking = [
        da.map_blocks(tick, block, dtype=block.dtype, meta=block._meta, name=f"tick-{uuid4().hex}")
        for block in selected
    ]
    if dask.base.get_scheduler(collections=ticking[:1]) is not dask.threaded.get:
        dask.compute(*ticking)
        return
    threads = dask.config.get("num_workers", None) or CPU_COUNT
    with ThreadPoolExecutor(threads) as pool, dask.config.set(pool=pool):
        dask.compute(*ticking)


def _run_on_cluster(client, selected: list[da.Array], advance: Callable[[], None]) -> None:
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

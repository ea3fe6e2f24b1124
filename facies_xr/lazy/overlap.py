"""Arrays that are a function of other arrays and their surroundings."""

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from .arrays import CHUNK
from .placed import Placed, made_by
from .windows import tiles


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
        made_by=made_by(function, per_time),
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
    """Blocks with rows and columns of their neighbours, fewer at the grid's edge; one task for each::

        +---+-------+---+
        | . | above | . |   depth[0] rows
        +---+-------+---+
        |   | block |   |
        +---+-------+---+
        | . | below | . |
        +---+-------+---+
         depth[1] columns

    Not da.overlap, whose twenty tasks a block make graphs of a hundred dates too large to start.
    """
    if placed := Placed.of(array):
        return placed.surrounded(array, chunks, depth)
    array = array.rechunk((*((1,) * n for n in array.shape[:-2]), *chunks))
    name = f"surrounded-{dask.base.tokenize(array.name, depth)}"
    graph: dict[Any, Any] = {}
    for *time, i, j in np.ndindex(array.numblocks):
        rows, columns = (_neighbours(k, len(c), d) for k, c, d in zip((i, j), chunks, depth, strict=True))
        keys = [[(array.name, *time, r, c) for c in columns] for r in rows]
        graph[(name, *time, i, j)] = (_gathered, keys, rows.index(i), columns.index(j), depth)
    grown = [
        tuple(size + d * ((k > 0) + (k < len(c) - 1)) for k, size in enumerate(c))
        for c, d in zip(chunks, depth, strict=True)
    ]
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[array])  # type: ignore[list-item]  # dask: Array is no DaskCollection
    return da.Array(layers, name, (*array.chunks[:-2], *grown), dtype=array.dtype)


def _neighbours(k: int, blocks: int, depth: int) -> list[int]:
    """Indices of a block and, if surroundings are wanted, of those before and after it."""
    return [n for n in (k - 1, k, k + 1) if n == k or (depth and 0 <= n < blocks)]


def _gathered(blocks: list[list[np.ndarray]], row: int, column: int, depth: tuple[int, int]) -> np.ndarray:
    def edge(k: int, centre: int, reach: int) -> slice:
        return slice(None) if k == centre else slice(-reach, None) if k < centre else slice(None, reach)

    lines = [
        np.concatenate([b[..., edge(r, row, depth[0]), edge(c, column, depth[1])] for c, b in enumerate(line)], -1)
        for r, line in enumerate(blocks)
    ]
    return np.concatenate(lines, -2)


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
        made_by=made_by(function, None),
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

"""Arrays of which any window can be made, not only their blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import dask
import dask.array as da
import numpy as np


@dataclass(frozen=True)
class Placed:
    """How any window of an array is made from its place, so that the rim of a block costs no neighbour.

    An array carries it as an attribute, as xarray mixes no kinds of lazy arrays. What Dask makes of that array (a
    selection, other chunks) is an array like any other, and does not.
    """

    function: Callable
    values: Sequence | None
    tile: int

    @classmethod
    def of(cls, array: da.Array) -> "Placed | None":
        """That of an array, if it has one."""
        return getattr(array, "placed", None)

    def followed_by(self, function: Callable) -> "Placed":
        """That of the array to whose blocks a function of single pixels was applied."""
        return Placed(_Chain(self.function, function), self.values, self.tile)

    def surrounded(
        self, array: da.Array, chunks: tuple[tuple[int, ...], tuple[int, ...]], depth: tuple[int, int]
    ) -> da.Array:
        """Blocks of the array with rows and columns of their surroundings, fewer at the grid's edge. ([time,] y, x)"""
        spans = [_grown(c, d) for c, d in zip(chunks, depth, strict=True)]
        sizes = [tuple(span.stop - span.start for span in axis) for axis in spans]
        return da.map_blocks(
            _placed_block,
            made_by=made_by(self.function, self.values),
            spans=spans,
            depth=depth,
            tile=self.tile,
            chunks=(*array.chunks[:-2], *sizes),
            dtype=array.dtype,
            meta=array._meta,
            name=f"placed-{dask.base.tokenize(array.name, chunks, depth)}",
        )


@dataclass(frozen=True)
class _Chain:
    """One function of the place, then one of its pixels."""

    first: Callable
    then: Callable

    def __call__(self, *place: Any) -> np.ndarray:
        return self.then(self.first(*place))


def made_by(function: Callable, values: Sequence | None):
    """A function and its values as a node of the graph, so that a worker gets them once and not with every block."""
    token = dask.base.tokenize(function, values)
    return dask.delayed((function, values), name=f"made-by-{token}", traverse=False)


def value_at(values: Sequence | None, time: Sequence[int]) -> tuple:
    """What a function gets besides the window."""
    return () if values is None else (values[time[0] if time else 0],)


def _placed_block(*, made_by, spans, depth, tile, block_id=None):
    """A block and its surroundings, in as few pieces as there are tiles in the block."""
    (function, values), (*time, i, j) = made_by, block_id
    rows, columns, lead = spans[0][i], spans[1][j], value_at(values, time)
    lines = [
        np.concatenate([function(r, c, *lead) for c in _pieces(columns, depth[1], tile)], -1)
        for r in _pieces(rows, depth[0], tile)
    ]
    out = np.concatenate(lines, -2)
    return out[None] if time else out


def _grown(chunks: tuple[int, ...], depth: int) -> list[slice]:
    """Spans of chunks with their surroundings on the grid."""
    edges = list(accumulate(chunks, initial=0))
    return [slice(max(a - depth, 0), min(b + depth, edges[-1])) for a, b in pairwise(edges)]


def _pieces(span: slice, depth: int, tile: int) -> list[slice]:
    """A span cut at the edges of the tiles that lie farther from its ends than the depth."""
    cuts = [
        k for k in range(-(-span.start // tile) * tile, span.stop, tile) if span.start + depth < k < span.stop - depth
    ]
    return [slice(*pair) for pair in zip([span.start, *cuts], [*cuts, span.stop], strict=True)]

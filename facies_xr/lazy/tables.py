"""Arrays with a row for each time, counted block by block."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr


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
    # Partials, because Dask names layers for the functions in them, and for other callables by all that they hold.
    counted, gathered = (dask.delayed(f, pure=True) for f in (partial(_counted, count), partial(_gathered, gather)))
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


def _counted(count, *arguments):
    *blocks, place = arguments
    return count(*(block[0] if block.ndim > 2 else block for block in blocks), place)


def _gathered(gather, counts):
    return gather(counts)


def occurring(values: np.ndarray, arrays: Sequence[xr.DataArray]) -> da.Array:
    """Lazily, which of some values occur in any of the arrays."""
    found = dask.delayed(_occurring, pure=True)(values, [a.data for a in arrays])
    return da.from_delayed(found, (len(values),), bool)


def _occurring(values, arrays):
    return np.isin(values, np.concatenate([np.unique(a) for a in arrays]))

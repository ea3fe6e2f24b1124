"""Small operations on whole arrays."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
import xarray as xr

from .placed import Placed

Array = da.Array
"""The lazy array, by the name under which other rooms know it."""

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
    """Apply a function of single pixels to equal blocks; arrays in memory stay in memory."""
    chunks = next((array.chunks for array in arrays if is_lazy(array)), None)
    if chunks is None:
        return function(*arrays)
    aligned = [array.rechunk(chunks) if is_lazy(array) else da.from_array(array, chunks) for array in arrays]
    name = f"{short_name(function)}-{dask.base.tokenize(function, aligned, dtype)}"
    found = da.map_blocks(function, *aligned, name=name, dtype=dtype, meta=np.empty((0,) * len(chunks), dtype))
    if len(arrays) == 1 and (placed := Placed.of(arrays[0])):
        found.placed = placed.followed_by(function)
    return found


def short_name(function: Callable) -> str:
    """A function's name, or that of its kind, for layers of a graph; Dask's own tells all that an object holds."""
    return getattr(function, "__name__", type(function).__name__).strip("_").lower()


def repeated(array: da.Array, times: int) -> da.Array:
    """Array (y, x) as (time, y, x)."""
    return da.broadcast_to(array, (times, *array.shape), chunks=((1,) * times, *array.chunks))


def cast(array: da.Array, dtype: Any) -> da.Array:
    """Array of another dtype."""
    return array.astype(dtype)


def moved(array: da.Array, source: int, destination: int) -> da.Array:
    """Array with one axis moved."""
    return da.moveaxis(array, source, destination).rechunk({destination: -1})

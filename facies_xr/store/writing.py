"""Write a lazy Dataset into a store, and open it again."""

import errno
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox
from rich.console import Console

from .. import grids, lazy, stations
from ..errors import SceneReadError, StoreError, one_of
from ..progress import tracked
from . import layout, record
from .checked import CheckedStore
from .ledger import Ledger
from .lock import Lock, being_written, lock_of
from .place import Folder, Place, Where, place_of
from .tile import write_tile

log = logging.getLogger("facies_xr")

FLAGS = {"flag_values", "flag_masks", "nodata"}
"""Attributes of the type of their variable, which Zarr keeps as plain numbers."""

SETTLING = 5.0
"""How long a reader waits while a writer moves a new layout in. [s]"""


def write(
    data: xr.Dataset,
    path: Where,
    *,
    on_error: Literal["raise", "drop"] = "raise",
    progress: bool = True,
    wait: float = 0.0,
) -> xr.Dataset:
    """Compute a lazy Dataset into a Zarr store, once, and return the reopened store.

    Tiles that the store already holds are not computed again, unless they are damaged; dates that it does not hold
    are appended. What was done is said in one line.
    Tiles of maps that hold no ice are stored blank, and their scenes are not read.

    Parameters
    ----------
    data : Dataset
        Rasters (..., y, x), lazy or not, on one grid; other variables and coordinates are stored beside them.
    path : str, Path, fsspec mapper or zarr Store
        Where the store is or will be: a folder, an address such as ``s3://bucket/maps.zarr``, whose credentials are
        those of the environment, or what stands for one.
    on_error : {"raise", "drop"}
        What to do when a scene cannot be read: stop, or leave that scene empty as a whole and record it.
    progress : bool
        Show a progress bar and what was done.
    wait : float
        How long to wait for another writer of the same store. [s]

    Returns
    -------
    Dataset
        The store, opened lazily, sorted by time.

    Raises
    ------
    StoreError
        If another writer is at work, the path holds something else, or results of other inputs, or the disk is full.
    SceneReadError
        If a scene cannot be read and ``on_error`` is "raise"; what was finished stays.
    """
    one_of("on_error", on_error, ("raise", "drop"))
    place = place_of(path)
    box = grids.geobox(data)
    data = layout.prepared(data)
    try:
        _require_store_or_nothing(place)
        with lock_of(place, wait) as lock:
            place.clean()
            if not record.exists(place):
                _create(data, place, box)
            ledger = Ledger(place)
            slots = ledger.claim(data)
            _fill(data, ledger, slots, lock, on_error, progress)
    except (StoreError, SceneReadError):
        raise
    except OSError as error:
        place.remove_if_empty()
        raise _disk_error(place, error) from error
    return open_store(place)


def open_store(path: Where) -> xr.Dataset:
    """Open a store written by :func:`write`, lazily, sorted by time.

    Parameters
    ----------
    path : str, Path, fsspec mapper or zarr Store

    Raises
    ------
    StoreError
        If there is no such store, it has another format, or its layout is damaged; when computed, if a chunk of a
        finished tile is missing or damaged.
    """
    place = place_of(path)
    try:
        return _opened(place)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{place} cannot be read: {error}") from error


def _opened(place: Place) -> xr.Dataset:
    """The store as its record tells it; a record stands before what it tells of is moved in."""
    end, at_rest = time.monotonic() + SETTLING, False
    while True:
        ledger = Ledger(place)
        try:
            data = _read(place, ledger.record)
        except StoreError:
            if at_rest:
                raise
            at_rest = not being_written(place) or time.monotonic() > end
        else:
            if Ledger(place).record.files == ledger.record.files:
                return data
        time.sleep(0.05)


def _read(place: Place, told: record.Record) -> xr.Dataset:
    if damaged := layout.damaged(place, told):
        name, problem = damaged[0]
        raise StoreError(
            f"{place}: {name} is {problem} ({len(damaged)} files in all); write the same data again to mend it."
        )
    store = CheckedStore(place.zarr(read_only=True), told, str(place))
    try:
        return _as_written(xr.open_zarr(store, consolidated=False, decode_coords="all"))
    except StoreError:
        raise
    except (OSError, ValueError, zarr.errors.BaseZarrError) as error:
        raise StoreError(f"{place} is not a Zarr store that can be opened: {error}") from error


def _as_written(data: xr.Dataset) -> xr.Dataset:
    """What was written, from what Zarr opens: sorted, without the store's own attributes, small variables in memory."""
    data.attrs = {k: v for k, v in data.attrs.items() if not k.startswith(layout.STORE_ATTRIBUTES)}
    for name, variable in data.variables.items():
        if name in layout.rasters(data):
            continue
        if variable.dtype.kind in "OT":
            data[name] = (variable.dims, np.array(variable.values.tolist(), dtype=str), variable.attrs)
        elif name not in data.indexes:
            data[name] = variable.copy(data=variable.values)
    data = data.sortby("time") if "time" in data.dims else data
    for name, variable in data.variables.items():
        for flag in FLAGS & variable.attrs.keys():
            variable.attrs[flag] = variable.dtype.type(variable.attrs[flag])
        if name not in layout.rasters(data):
            variable.encoding.setdefault("_FillValue", None)
    return data


def _require_store_or_nothing(place: Place) -> None:
    """Refuse a place that holds something that is not ours, before anything is written there."""
    if isinstance(place, Folder) and place.path.exists() and not place.path.is_dir():
        raise StoreError(f"{place} exists and is not a Zarr store of facies_xr; choose another name.")
    if record.exists(place):
        return
    content = place.children()
    if "zarr.json" in content:
        record.Record.read(place)  # says what is wrong with it
    if content - {"ledger"}:  # a run that was killed while it created a store left no more than that
        raise StoreError(f"{place} exists and is not a Zarr store of facies_xr; choose another name.")


def _create(data: xr.Dataset, place: Place, box: GeoBox) -> None:
    try:
        layout.commit(data, place, box)
    except OSError:  # a full disk: leave nothing behind
        place.remove_below(layout.NEXT)
        raise


# -- computing --------------------------------------------------------------------------------------------------


def _fill(data: xr.Dataset, ledger: Ledger, slots: np.ndarray, lock: Lock, on_error: str, progress: bool) -> None:
    """Compute what is pending: rasters without time first, as they say where there is ice."""
    total = sum(1 for kind in ledger.kinds for _ in ledger.tiles(kind, slots.tolist()))
    damaged = sum(ledger.repair(kind, slots.tolist()) for kind in ledger.kinds)
    missing = sum(len(ledger.pending(kind, slots.tolist())) for kind in ledger.kinds)
    blank = 0
    console = Console()
    with tracked("tiles", total, shown=progress, console=console) as tracker, _told_where_it_stopped(ledger, progress):
        tracker.at(total - missing)
        for kind, names in ledger.kinds.items():
            if kind == "timed" and set(names) <= set(stations.OF_ICE):
                blank = ledger.fill_without_ice(slots.tolist())
                tracker.advance(blank)
            job = _tasks({name: data[name].variable for name in names}, ledger, kind, slots)
            while True:
                try:
                    lazy.run(job, _blocks(ledger, kind, slots), tracker.advance)
                    break
                except SceneReadError as error:
                    if on_error == "raise":
                        raise
                    lock.check()
                    _drop(data, ledger, slots, error)
                    left = sum(len(ledger.pending(kind, slots.tolist())) for kind in ledger.kinds)
                    tracker.at(total - left)
    said = f"{ledger.place}: {missing - blank} tiles computed, {total - missing} already there"
    said += f"; {blank} without ice were not read" if blank else ""
    said += f"; {damaged} were damaged" if damaged else ""
    log.info(said)
    if progress:
        console.print(said, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _told_where_it_stopped(ledger: Ledger, shown: bool) -> Iterator[None]:
    """Say on an interrupt what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        left = sum(len(ledger.pending(kind)) for kind in ledger.kinds)
        if shown:
            kept = f"{ledger.place} keeps what is finished, {left} tiles are left"
            print(f"stopped: {kept}; run the same again to go on.", file=sys.stderr)
        raise


def _tasks(variables: dict[str, xr.Variable], ledger: Ledger, kind: str, slots: np.ndarray) -> lazy.Array:
    dims = ("time", "y", "x") if kind == "timed" else ("y", "x")
    shape = next(iter(variables.values())).shape[-2:]
    chunks = lazy.regular_chunks(shape, layout.TILE)
    dates = ((1,) * slots.size,) if kind == "timed" else ()
    function = partial(write_tile, place=ledger.place, kind=kind, slots=tuple(slots.tolist()))
    return lazy.each_tile(function, variables, (*dates, *chunks), dims)


def _blocks(ledger: Ledger, kind: str, slots: np.ndarray) -> list[tuple[int, ...]]:
    """Pending tiles as blocks of the job: the date's position in the data, row, column."""
    if kind == "static":
        return [tile.index for tile in ledger.pending(kind)]
    in_data = {int(slot): k for k, slot in enumerate(slots)}
    return [(in_data[tile.index[0]], *tile.index[1:]) for tile in ledger.pending(kind, slots.tolist())]


def _drop(data: xr.Dataset, ledger: Ledger, slots: np.ndarray, error: SceneReadError) -> None:
    """Empty the dates of a scene that could not be read."""
    ids = [str(i).split() for i in np.atleast_1d(data["item"].values)] if "item" in data else []
    hit = [k for k, items in enumerate(ids) if error.item in items]
    if not hit:
        raise error
    for k in hit:
        ledger.drop(int(slots[k]), f"{error.item}: {error.reason}")


def _disk_error(place: Place, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"{place}: the disk is full. What was finished is kept; free some space and run the same command again."
        )
    if isinstance(error, zarr.errors.GroupNotFoundError):
        return StoreError(
            f"{place}: the workers do not see this place. Give one that they share with this process, such as a folder "
            "on a common disk, or s3://."
        )
    return StoreError(f"{place} cannot be written: {error}")

"""Results in Zarr: computed once, tile by tile, resumable, appendable.

A store is a Zarr v3 group that any xarray opens. Its child group ``ledger`` says which tiles are finished, because
a missing chunk proves nothing. A tile's variables are written first, then its ledger entry; a run that is killed
leaves tiles unfinished, never half believed. New dates are committed by one number in the ledger, after the space
and the coordinates for them exist.
"""

import errno
import json
from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from zarr_cm import proj, spatial

from . import grids, lazy
from .classes import NODATA
from .errors import InputError, SceneReadError, StoreError

PENDING, DONE, DROPPED = 0, 1, 2
"""Ledger codes of a tile: not computed, finished, left empty because its scene could not be read."""

TILE = 512
"""Edge of a tile, which is one chunk of every raster. [px]"""

TIME_ENCODING = {
    "dtype": "int64",
    "units": "microseconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
}
STORE_ATTRIBUTES = ("facies_xr_store", "Conventions", "zarr_conventions", "proj:", "spatial:")
"""Attributes, or their beginnings, that a store adds and that do not belong to the data."""

FREE_ATTRIBUTES = ("software",)
"""Attributes that may differ between the run that created a store and one that continues it."""


def write(
    data: xr.Dataset,
    path: str | Path,
    *,
    on_error: Literal["raise", "drop"] = "raise",
    progress: bool = True,
) -> xr.Dataset:
    """Compute a lazy Dataset into a Zarr store, once, and return the reopened store.

    Tiles that the store already holds are not computed again; dates that it does not hold are appended.

    Parameters
    ----------
    data : Dataset
        Rasters (..., y, x), lazy or not, on one grid; other variables and coordinates are stored beside them.
    path : str or Path
        Where the store is or will be.
    on_error : {"raise", "drop"}
        What to do when a scene cannot be read: stop, or leave that scene empty as a whole and record it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Dataset
        The store, opened lazily, sorted by time.

    Raises
    ------
    StoreError
        If the path holds something else, or results of another grid, model or feature set, or the disk is full.
    SceneReadError
        If a scene cannot be read and ``on_error`` is "raise"; what was finished stays.
    """
    if on_error not in ("raise", "drop"):
        raise InputError(f'on_error={on_error!r}: choose "raise" or "drop".')
    path = str(path)
    box = grids.geobox(data)
    data = _prepared(data)
    try:
        _open_or_create(data, path, box)
        slots = _claim_dates(data, path)
        _fill(data, path, slots, on_error, progress)
    except OSError as error:
        if isinstance(error, StoreError | SceneReadError):
            raise
        raise _disk_error(path, error) from error
    return open_store(path)


def open_store(path: str | Path) -> xr.Dataset:
    """Open a store written by :func:`write`, lazily, sorted by time.

    Raises
    ------
    StoreError
        If there is no such store.
    """
    path = str(path)
    try:
        data = xr.open_zarr(path, consolidated=False, decode_coords="all")
    except (FileNotFoundError, zarr.errors.GroupNotFoundError, ValueError) as error:
        raise StoreError(f"{path} is not a Zarr store that can be opened: {error}") from error
    committed = _ledger(path, "r").attrs["dates"]
    if "time" in data.dims:
        data = data.isel(time=slice(0, committed)).sortby("time")
    for name, variable in data.variables.items():
        if name in _rasters(data):
            continue
        if variable.dtype.kind in "OT":
            data[name] = (variable.dims, np.array(variable.values.tolist(), dtype=str), variable.attrs)
        elif name not in data.indexes:
            data[name] = variable.copy(data=variable.values)
    return data


def ledger(path: str | Path) -> xr.Dataset:
    """Status of each tile of a store: 0 pending, 1 finished, 2 empty because its scene could not be read.

    Returns
    -------
    Dataset
        ``status`` (time, tile_y, tile_x) and, if the store has rasters without time, ``static`` (tile_y, tile_x);
        the attribute ``dropped`` maps dates to reasons.
    """
    group, root = _ledger(str(path), "r"), zarr.open_group(str(path), mode="r")
    found = xr.Dataset(attrs={"dropped": dict(group.attrs["dropped"])})
    for name, dims in (("status", ("time", "tile_y", "tile_x")), ("static", ("tile_y", "tile_x"))):
        if name in group:
            found[name] = (dims[-group[name].ndim :], group[name][...])
    if "time" in found.dims:
        found = found.isel(time=slice(0, group.attrs["dates"]))
        found["time"] = ("time", root["time"][: group.attrs["dates"]].astype("datetime64[us]"))
    return found


# -- creating ---------------------------------------------------------------------------------------------------


def _prepared(data: xr.Dataset) -> xr.Dataset:
    """Dataset without what it remembers of another store, with strings that Zarr can append to."""
    data = data.drop_encoding()
    data.attrs = {k: v for k, v in data.attrs.items() if not k.startswith(STORE_ATTRIBUTES)}
    for name, variable in data.variables.items():
        if variable.dtype.kind in "UOT":
            data[name] = variable.copy(data=variable.values.astype(object))
    return data


def _rasters(data: xr.Dataset) -> dict[str, xr.Variable]:
    return {str(n): v.variable for n, v in data.data_vars.items() if v.dims[-2:] == ("y", "x")}


def _open_or_create(data: xr.Dataset, path: str, box) -> None:
    try:
        group = zarr.open_group(path, mode="r")
    except (FileNotFoundError, zarr.errors.GroupNotFoundError, zarr.errors.ContainsArrayError):
        if Path(path).exists() and (not Path(path).is_dir() or any(Path(path).iterdir())):
            raise StoreError(f"{path} exists and is not a Zarr store of facies_xr; choose another name.") from None
        _create(data, path, box)
        return
    if group.attrs.get("facies_xr_store") == "creating":  # killed before any tile was computed
        _create(data, path, box)
        return
    if group.attrs.get("facies_xr_store") != "ready":
        raise StoreError(f"{path} is a Zarr store that facies_xr did not write; choose another name.")
    grids.require_same_grid(box, _declared_grid(group.attrs), ("these data", path))
    _require_identity(json.loads(_ledger(path, "r").attrs["identity"]), _identity(data), path)


def _create(data: xr.Dataset, path: str, box) -> None:
    root = zarr.open_group(path, mode="w", zarr_format=3)
    root.attrs["facies_xr_store"] = "creating"
    template = data.copy()
    encoding: dict[Hashable, dict] = {}
    for name, variable in _rasters(data).items():
        chunks = tuple(
            {"time": 1, "y": TILE, "x": TILE}.get(str(d), n) for d, n in zip(variable.dims, variable.shape, strict=True)
        )
        template[name] = (variable.dims, lazy.blank(variable.shape, chunks, variable.dtype), variable.attrs)
        encoding[name] = {"chunks": chunks, **_fill_encoding(variable)}
    for key, variable in template.variables.items():
        name = str(key)
        if variable.dtype.kind == "M":
            encoding[name] = dict(TIME_ENCODING)
        elif name not in encoding and variable.dtype.kind == "f":
            encoding[name] = {"_FillValue": None}
    template.attrs |= {"facies_xr_store": "creating", "Conventions": "CF-1.11", **_conventions(box)}
    for name in _rasters(data):
        template[name].attrs["grid_mapping"] = "spatial_ref"
    template.to_zarr(path, mode="a", compute=False, zarr_format=3, consolidated=False, encoding=encoding)

    root = zarr.open_group(path, mode="r+")  # anew: the first handle remembers the attributes as they were
    book = root.create_group("ledger", overwrite=True)
    cells = tuple(-(-n // TILE) for n in box.shape)
    kinds = {"time" in v.dims for v in _rasters(data).values()}
    times = (data.sizes["time"],) if "time" in data.dims else ()
    if times and True in kinds:
        book.create_array("status", shape=times + cells, chunks=(1, 1, 1), dtype="uint8", fill_value=PENDING)
    if False in kinds:
        book.create_array("static", shape=cells, chunks=(1, 1), dtype="uint8", fill_value=PENDING)
    book.attrs.update({"dates": times[0] if times else 0, "dropped": {}, "identity": json.dumps(_identity(data))})
    root.attrs["facies_xr_store"] = "ready"


def _fill_encoding(variable: xr.Variable) -> dict:
    """Zarr fill values: NaN for floats, the no-data flag for classes, 0 for other integers."""
    if variable.dtype.kind == "f":
        return {"_FillValue": np.array(np.nan, variable.dtype)}
    is_flag = "flag_values" in variable.attrs
    return {"fill_value": NODATA if is_flag else 0}


def _conventions(box) -> dict:
    """Georeference in the Zarr conventions ``proj:`` and ``spatial:`` (v0.1)."""
    crs = {"code": f"EPSG:{box.crs.epsg}"} if box.crs.epsg else {"wkt2": box.crs.to_wkt()}
    place = spatial.create(
        dimensions=["y", "x"],
        transform_type="affine",
        transform=list(box.affine)[:6],
        shape=list(box.shape),
        bbox=list(box.boundingbox.bbox),
        registration="pixel",
    )
    declared: dict = {**proj.create_convention_attrs(**crs)}
    return dict(spatial.insert(declared, place))


def _declared_grid(attrs) -> GeoBox:
    """Grid that the Zarr conventions of a store declare."""
    crs = attrs.get("proj:code") or attrs["proj:wkt2"]
    return GeoBox(tuple(attrs["spatial:shape"]), Affine(*attrs["spatial:transform"]), crs)


def _identity(data: xr.Dataset) -> dict:
    """What must agree between a store and data that continue it, besides the grid."""
    found: dict[str, Any] = {"attributes": {k: v for k, v in data.attrs.items() if k not in FREE_ATTRIBUTES}}
    for name, variable in data.variables.items():
        sizes = {d: n for d, n in zip(variable.dims, variable.shape, strict=True) if d != "time"}
        found[f"variable {name}"] = {"sizes": sizes, "dtype": variable.dtype.kind, **variable.attrs}
    return json.loads(json.dumps(found, default=_plain, sort_keys=True))


def _plain(value: Any):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _require_identity(stored: dict, given: dict, path: str) -> None:
    for part in sorted(stored.keys() | given.keys()):
        old, new = stored.get(part), given.get(part)
        if old == new:
            continue
        if old is None or new is None:
            problem = (
                f"it has {'no' if old is None else 'a'} {part}, these data have {'one' if old is None else 'none'}"
            )
        else:
            key = next(k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k))
            problem = f"{part}: {key} is {_short(old.get(key))} there and {_short(new.get(key))} here"
        raise StoreError(
            f"{path} holds other results ({problem}). Write to another path, or delete the store to replace it."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


# -- continuing -------------------------------------------------------------------------------------------------


def _ledger(path: str, mode: Literal["r", "r+"]) -> zarr.Group:
    try:
        return zarr.open_group(f"{path}/ledger", mode=mode)
    except (FileNotFoundError, zarr.errors.GroupNotFoundError) as error:
        raise StoreError(f"{path} has no ledger: facies_xr did not write it, or did not finish creating it.") from error


def _claim_dates(data: xr.Dataset, path: str) -> np.ndarray:
    """Position in the store of each date of the data; dates that the store lacks are appended."""
    if Path(path).is_dir():
        for stray in Path(path).rglob("*.partial"):  # left by a kill in the middle of a chunk
            stray.unlink()
    if "time" not in data.dims:
        return np.zeros(0, int)
    root, book = zarr.open_group(path, mode="r+"), _ledger(path, "r+")
    timed = [a for _, a in root.arrays() if (a.metadata.dimension_names or ())[:1] == ("time",)]
    if "status" in book:
        timed.append(book["status"])
    committed = book.attrs["dates"]
    wanted = data["time"].values.astype("datetime64[us]").astype("int64")
    if np.unique(wanted).size < wanted.size:
        raise StoreError("two dates of the data are the same; merge them into one (a datatake is one date).")
    stored = root["time"][:committed]
    new = wanted[~np.isin(wanted, stored)]
    total = committed + new.size
    for array in timed:  # a run that was killed before it committed its dates left arrays too long
        if array.shape[0] != total:
            array.resize((committed, *array.shape[1:]))
            array.resize((total, *array.shape[1:]))
    if new.size:
        fresh = data.isel(time=np.flatnonzero(np.isin(wanted, new)))
        for name, variable in fresh.variables.items():
            if variable.dims[:1] == ("time",) and name not in _rasters(data):
                values = new if name == "time" else variable.values
                root[str(name)][committed:total] = values
        book.attrs["dates"] = total
    stored = np.concatenate([stored, new])
    return np.array([int(np.flatnonzero(stored == w)[0]) for w in wanted])


# -- computing --------------------------------------------------------------------------------------------------


def _fill(data: xr.Dataset, path: str, slots: np.ndarray, on_error: str, progress: bool) -> None:
    rasters = _rasters(data)
    groups = {
        "status": {n: v for n, v in rasters.items() if "time" in v.dims},
        "static": {n: v for n, v in rasters.items() if "time" not in v.dims},
    }
    work = {name: variables for name, variables in groups.items() if variables}
    jobs = {name: _tasks(variables, path, name, slots) for name, variables in work.items()}
    book = _ledger(path, "r")
    total = {n: job.size for n, job in jobs.items()}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=not progress
    ) as bar:
        row = bar.add_task("tiles", total=sum(total.values()))
        while True:
            pending = {name: _pending(book[name], slots if name == "status" else None) for name in jobs}
            bar.update(row, completed=sum(total[n] - p.sum() for n, p in pending.items()))
            try:
                for name, job in jobs.items():
                    lazy.run(job, np.argwhere(pending[name]), partial(bar.advance, row))
            except SceneReadError as error:
                if on_error == "raise":
                    raise
                _drop(data, path, slots, error)
                continue
            return


def _tasks(variables: dict[str, xr.Variable], path: str, kind: str, slots: np.ndarray):
    dims = ("time", "y", "x") if kind == "status" else ("y", "x")
    shape = next(iter(variables.values())).shape[-2:]
    chunks = lazy.regular_chunks(shape, TILE)
    dates = ((1,) * slots.size,) if kind == "status" else ()
    function = partial(_write_tile, path=path, kind=kind, slots=tuple(slots.tolist()))
    return lazy.each_tile(function, variables, (*dates, *chunks), dims)


def _pending(status: zarr.Array, slots: np.ndarray | None) -> np.ndarray:
    codes = status[...] if slots is None else status[...][slots]
    return codes == PENDING


def _write_tile(blocks: dict[str, np.ndarray], start: tuple[int, ...], path: str, kind: str, slots: tuple) -> int:
    """Write the variables of one tile, then its ledger entry."""
    root = zarr.open_group(path, mode="r+")
    y, x = start[-2:]
    lead = (slots[start[0]],) if kind == "status" else ()
    for name, block in blocks.items():
        array = root[name]
        inner = (slice(y, y + block.shape[-2]), slice(x, x + block.shape[-1]))
        if lead:
            array[(lead[0], ..., *inner)] = block[0]
        else:
            array[(..., *inner)] = block
    root["ledger"][kind][(*lead, y // TILE, x // TILE)] = DONE
    return DONE


def _drop(data: xr.Dataset, path: str, slots: np.ndarray, error: SceneReadError) -> None:
    """Empty a scene that could not be read, whole, and record why."""
    ids = [str(i).split() for i in np.atleast_1d(data["item"].values)] if "item" in data else []
    hit = [k for k, items in enumerate(ids) if error.item in items]
    if not hit:
        raise error
    root, book = zarr.open_group(path, mode="r+"), _ledger(path, "r+")
    dropped = dict(book.attrs["dropped"])
    for k in hit:
        slot = int(slots[k])
        for name, variable in _rasters(data).items():
            if "time" in variable.dims:
                root[name][slot] = root[name].fill_value
        book["status"][slot] = DROPPED
        dropped[str(data["time"].values[k])] = f"{error.item}: {error.reason}"
    book.attrs["dropped"] = dropped


def _disk_error(path: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"{path}: the disk is full. What was finished is kept; free some space and run the same command again."
        )
    return StoreError(f"{path} cannot be written: {error}")

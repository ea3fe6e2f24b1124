"""The ledger of a store: which dates it has, which tiles are finished, and whether they still are what was written."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from .. import access, grids, lazy
from ..errors import StoreError
from . import layout
from .identity import identity, joined, require_identity
from .layout import DONE, DROPPED, PENDING
from .place import AT_ONCE, Where, place_of
from .record import Record
from .tile import (
    MISSING,
    Tile,
    chunk_checksum,
    chunk_checksums,
    chunk_key,
    entry_key,
    entry_of,
    remove_tile,
    write_entry,
)


class Ledger:
    """The ledger of a store that is there.

    Reading needs no lock. :meth:`claim`, :meth:`repair`, :meth:`drop` are for the one writer
    (:func:`facies_xr.store.lock.lock_of`); :meth:`done` is for whoever wrote a tile in its name.

    Parameters
    ----------
    where : str, Path, fsspec mapper or zarr Store

    Raises
    ------
    StoreError
        If there is no store, it has another format, or its record is damaged.
    """

    def __init__(self, where: Where):
        self.place = place_of(where)
        self.record = Record.read(self.place)

    @property
    def dates(self) -> np.ndarray:
        """Committed dates, in the order of the arrays. datetime64[us]"""
        return np.array(self.record.dates, "int64").astype("datetime64[us]")

    @property
    def dropped(self) -> dict[str, str]:
        """Why dates were left empty, by date."""
        return dict(self.record.dropped)

    @property
    def status(self) -> xr.Dataset:
        """Code of each tile: 0 pending, 1 finished, 2 empty because its scene could not be read.

        Returns
        -------
        Dataset
            ``timed`` (time, tile_y, tile_x) and, of rasters without time, ``static`` (tile_y, tile_x), uint8.
        """
        found = xr.Dataset()
        for kind in self.kinds:
            codes = np.zeros(self._shape(kind), "uint8")
            for tile, entry in self._entries(self.tiles(kind)):
                codes[tile.index] = PENDING if entry is None else entry[0]
            found[kind] = (("time", "tile_y", "tile_x")[-codes.ndim :], codes)
        return found.assign_coords(time=self.dates) if "time" in found.dims else found

    # -- dates ---------------------------------------------------------------------------------------------------

    def claim(self, data: xr.Dataset) -> np.ndarray:
        """Position in the store of each date of the data; dates that it lacks are appended.

        Damage to the layout is mended.

        Parameters
        ----------
        data : Dataset
            As :func:`layout.prepared` gives it.

        Raises
        ------
        GridError, StoreError
            If the data are on another grid or of another identity, a date is there with other scenes, or a damaged
            file cannot be mended from these data.
        """
        layout.settle(self.place, self.record)
        box = grids.geobox(data)
        self.require(data)
        data = joined(self.record.identity, data)
        times = data["time"].values.astype("int64").tolist() if "time" in data.dims else []
        known = {time: slot for slot, time in enumerate(self.record.dates)}
        new = [k for k, time in enumerate(times) if time not in known]
        damaged = [name for name, _ in layout.damaged(self.place, self.record)]
        if new or damaged or identity(data) != self.record.identity:
            union = self._union(data, times, new, damaged)
            self.record = layout.commit(union, self.place, box, self.record.dropped, self.record.compression)
        elif self.record.damaged(self.place):
            self.record.write(self.place)
        known = {time: slot for slot, time in enumerate(self.record.dates)}
        return np.array([known[time] for time in times], int)

    def require(self, data: xr.Dataset) -> None:
        """Refuse data that do not continue the store.

        Parameters
        ----------
        data : Dataset
            As :func:`layout.prepared` gives it.

        Raises
        ------
        GridError, StoreError
            If they are on another grid or of another identity, or a date is there with other scenes.
        """
        grids.require_same_grid(grids.geobox(data), layout.geobox_of(self.record.grid), ("these data", str(self.place)))
        data = joined(self.record.identity, data)
        require_identity(self.record.identity, identity(data), self.place)
        if not self.record.items or "item" not in data.variables:
            return
        known = {time: slot for slot, time in enumerate(self.record.dates)}
        times = data["time"].values.astype("int64").tolist()
        for time, item in zip(times, data["item"].values, strict=True):
            if time in known and (stored := self.record.items[known[time]]) != str(item):
                raise StoreError(
                    f"{self.place} holds {_day(time)} made of scene {stored!r}, these data make it of {str(item)!r}. "
                    "Write to another path, or delete the store to replace it."
                )

    def _union(self, data: xr.Dataset, times: list[int], new: list[int], damaged: list[str]) -> xr.Dataset:
        """Data with all dates, those of the store first; small variables as they are, rasters without pixels."""
        rasters, total = layout.rasters(data), len(self.record.dates) + len(new)
        position = {time: k for k, time in enumerate(times)}
        variables: dict[Any, tuple[Any, ...]] = {}
        for name, variable in data.variables.items():
            values: Any = variable.values if name not in rasters else None
            if name in rasters:
                shape = tuple(total if d == "time" else n for d, n in zip(variable.dims, variable.shape, strict=True))
                values = lazy.blank(shape, shape, variable.dtype)
            elif "time" in variable.dims:
                axis = variable.dims.index("time")
                lost = next((file for file in damaged if file.startswith(f"{name}/") or file == "zarr.json"), None)
                if lost is None:
                    stored = self._stored(str(name), variable.dtype)
                elif set(self.record.dates) <= position.keys():
                    stored = np.take(variable.values, [position[time] for time in self.record.dates], axis)
                else:
                    raise StoreError(
                        f"{self.place}: {lost} is damaged, and mending it needs all {len(self.record.dates)} dates of "
                        "the store; write them all again, in one call."
                    )
                values = np.concatenate([stored, np.take(variable.values, new, axis)], axis)
            variables[name] = (variable.dims, values, variable.attrs)
        return xr.Dataset(variables, attrs=data.attrs).set_coords(list(data.coords))

    def _stored(self, name: str, dtype: np.dtype) -> np.ndarray:
        values = zarr.open_array(self.place.zarr(read_only=True), path=name, mode="r")[...]
        return values.astype("datetime64[us]") if dtype.kind == "M" else np.asarray(values).astype(dtype)

    # -- tiles ---------------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> dict[str, dict[str, list[str]]]:
        """Rasters with and without time, each with its dims."""
        rasters = self.record.rasters
        timed = {name: dims for name, dims in rasters.items() if "time" in dims}
        static = {name: dims for name, dims in rasters.items() if "time" not in dims}
        return {kind: each for kind, each in {"static": static, "timed": timed}.items() if each}

    def tiles(self, kind: str, slots: Sequence[int] | None = None) -> Iterator[Tile]:
        """Tiles of some dates, by their positions; of all without."""
        *lead, rows, columns = self._shape(kind)
        dates = [range(n) if slots is None else slots for n in lead]  # none of rasters without time
        for index in product(*dates, range(rows), range(columns)):
            yield Tile(kind, tuple(map(int, index)))

    def pending(self, kind: str, slots: Sequence[int] | None = None) -> list[Tile]:
        """Tiles that have to be computed."""
        return [tile for tile, entry in self._entries(self.tiles(kind, slots)) if entry is None or entry[0] == PENDING]

    def done(self, tile: Tile, code: int = DONE) -> None:
        """Enter that a tile is finished, with the checksums of its chunks."""
        write_entry(self.place, tile, code, chunk_checksums(self.place, tile, self.kinds[tile.kind]))

    def fill_without_ice(self, slots: Sequence[int]) -> int:
        """Finish, blank, the pending tiles of some dates where the stored glacier index is 0, and say how many."""
        static = self.kinds.get("static", {})
        if "glacier_index" not in static:
            return 0
        checksum = 1 + list(static).index("glacier_index")
        entries = self._entries(self.tiles("static"))
        # A chunk of nothing but the fill value, which is 0 here, has no file.
        bare = {tile.index for tile, entry in entries if entry and entry[0] and entry[checksum] == MISSING}
        blank = [tile for tile in self.pending("timed", slots) if tile.index[-2:] in bare]
        for tile in blank:
            self.done(tile)
        return len(blank)

    def drop(self, slot: int, reason: str) -> None:
        """Empty a date whose scene could not be read, as a whole, and record why."""
        for tile in self.tiles("timed", [slot]):
            remove_tile(self.place, tile, self.kinds["timed"])
            self.done(tile, DROPPED)
        self.record = self.record.with_dropped(_day(self.record.dates[slot]), access.shown(reason))
        self.record.write(self.place)

    def damaged(self, kind: str, slots: Sequence[int] | None = None) -> Iterator[tuple[Tile, str, str]]:
        """Tiles that are not as they were written: with the file, and what is wrong with it."""
        variables = self.kinds[kind]
        for tile, entry in self._entries(self.tiles(kind, slots)):
            if entry is None:
                yield tile, f"ledger/{kind}", "damaged"
            elif entry[0] != PENDING:
                keys = [chunk_key(name, dims, tile) for name, dims in variables.items()]
                for key, content, expected in zip(keys, self.place.read_all(keys), entry[1:], strict=True):
                    if chunk_checksum(content) != expected:
                        yield tile, key, "missing" if content is None else "damaged"

    def damaged_metadata(self) -> list[tuple[str, str]]:
        """Copies of the record and metadata of arrays that are not as they were written, and what is wrong."""
        record = [(name, "damaged") for name in self.record.damaged(self.place)]
        return record + layout.damaged(self.place, self.record)

    def repair(self, kind: str, slots: Sequence[int] | None = None) -> int:
        """Make damaged tiles pending again and say how many they were."""
        damaged = {tile for tile, *_ in self.damaged(kind, slots)}
        for tile in damaged:
            remove_tile(self.place, tile, self.kinds[kind])
        return len(damaged)

    def verify(self) -> pd.DataFrame:
        """What is wrong with the store: files that are missing or damaged, tiles that are not finished.

        Returns
        -------
        DataFrame
            ``file``, ``problem`` ("missing", "damaged", "not finished"), and of a tile its ``date``, ``tile_y``,
            ``tile_x``; without rows if all is well. :func:`write` with the same data mends it.
        """
        wrong: list[tuple[str, str, Tile | None]] = [(*each, None) for each in self.damaged_metadata()]
        for kind in self.kinds:
            wrong += [(file, problem, tile) for tile, file, problem in self.damaged(kind)]
            entries = self._entries(self.tiles(kind))
            wrong += [(f"ledger/{kind}", "not finished", t) for t, entry in entries if entry and entry[0] == PENDING]
        rows = [(file, problem, *self._named(tile)) for file, problem, tile in wrong]
        return pd.DataFrame(rows, columns=["file", "problem", "date", "tile_y", "tile_x"])

    def _named(self, tile: Tile | None) -> tuple[str | int | None, ...]:
        if tile is None:
            return None, None, None
        return _day(self.record.dates[tile.index[0]]) if tile.kind == "timed" else None, *tile.index[-2:]

    def _shape(self, kind: str) -> tuple[int, ...]:
        cells = tuple(-(-n // layout.TILE) for n in self.record.grid["shape"])
        return (len(self.record.dates), *cells) if kind == "timed" else cells

    def _entries(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, tuple[int, ...] | None]]:
        """Code and checksums of tiles, None where an entry is damaged; read some side by side."""
        left = iter(tiles)
        while some := list(islice(left, AT_ONCE)):
            for tile, content in zip(some, self.place.read_all(map(entry_key, some)), strict=True):
                yield tile, entry_of(content, len(self.kinds[tile.kind]))


def verify(path: Where) -> pd.DataFrame:
    """What is wrong with a store, as :meth:`Ledger.verify` says; every byte is read once.

    Parameters
    ----------
    path : str, Path, fsspec mapper or zarr Store

    Raises
    ------
    StoreError
        If there is no store, it has another format, or both copies of its record are damaged.
    """
    return Ledger(path).verify()


def _day(time: int) -> str:
    return str(np.datetime64(time, "us"))

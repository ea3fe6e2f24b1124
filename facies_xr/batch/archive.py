"""The archive of a run, in a folder or an object store: a store for each zone, the manifest, a record of each unit.

::

    STORE/EPSG_32632/            a store as ``write`` makes it, with its own ledger
    STORE/batch/manifest.parquet
    STORE/batch/units/EPSG_32632/DATE/ROW.COLUMN.json    written after chunk and ledger entry; never changed
    STORE/batch/failed/...                               units given up, and why
    STORE/batch/log/RUN.jsonl                            one line a unit, in the order in which they ended

A unit is done where its record and its ledger entry are whole. Records are listed, a thousand at a time, and read some
side by side; nothing else is ever listed.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox

from .. import access
from ..errors import StoreError
from ..store import DONE, Folder, Ledger, Place, Tile, layout, lock_of, place_of, record, tile
from ..store.lock import Lock
from . import work
from .manifest import Manifest
from .records import put, read
from .template import template

ABOUT = "facies_xr_batch"
"""Attribute of the root that tells an archive of a batch, with the digest of its configuration."""

BOOK = "batch"
"""Folder of all that is not Zarr."""

MANIFEST = f"{BOOK}/manifest.parquet"

AT_ONCE = 256
"""Units whose records are read together."""

Unit = tuple[int, int]
"""A tile and a date, rows of the tables of a manifest."""


@dataclass(frozen=True)
class Archive:
    """The place where a run writes."""

    address: str
    """Path, or address that fsspec knows: workers open it by this."""

    @classmethod
    def at(cls, where: str | Path) -> "Archive":
        """Archive at a path or an address such as ``s3://bucket/glaciers``.

        Raises
        ------
        StoreError
            If it is neither.
        """
        if not isinstance(where, str | Path):
            raise StoreError(
                f"{where!r} ({type(where).__name__}) is no place for an archive: give a path, or an address such as "
                "s3://bucket/glaciers, that all workers can open."
            )
        place = place_of(where)
        return cls(str(place.path.absolute()) if isinstance(place, Folder) else str(where).rstrip("/"))

    @cached_property
    def place(self) -> Place:
        """Where it lies."""
        return place_of(self.address)

    def __str__(self) -> str:
        return access.shown(self.address)

    @cached_property
    def _manifest(self) -> tuple[Manifest, str]:
        content = self.place.read(MANIFEST)
        if content is None:
            raise StoreError(f"{self} is no archive of a batch run: {MANIFEST} is missing.")
        return Manifest.of(content, f"{self}/{MANIFEST}"), hashlib.sha256(content).hexdigest()[:16]

    def manifest(self) -> Manifest:
        """The manifest of the run, read once.

        Raises
        ------
        StoreError
            If there is none.
        """
        return self._manifest[0]

    @property
    def token(self) -> tuple[str, str]:
        """What a worker needs to open it, with this manifest: :func:`opened`."""
        return self.address, self._manifest[1]

    def zone(self, name: str) -> str:
        """Path or address of the store of a zone."""
        return f"{self.address}/{name}"

    @cached_property
    def _stores(self) -> dict[str, Place]:
        return {}

    def store(self, name: str) -> Place:
        """The store of a zone."""
        return self._stores.setdefault(name, place_of(self.zone(name)))

    def lock(self) -> Lock:
        """One run at a time."""
        return lock_of(self.place, folder=BOOK)

    # -- making it ---------------------------------------------------------------------------------------------

    def claim(self, manifest: Manifest) -> None:
        """Make the archive one of a manifest; call it under the lock, before the manifest is read from it.

        Raises
        ------
        StoreError
            If something else is there, or a run of another configuration.
        """
        content = self.place.children() - {BOOK}
        if content and "zarr.json" not in content:
            raise StoreError(f"{self} exists and is no archive of a batch run; choose another name.")
        attributes = dict(zarr.open_group(self.place.zarr(), mode="a", zarr_format=3).attrs)
        held = attributes.get(ABOUT)
        if content and held is None:
            raise StoreError(f"{self} is a Zarr group that no batch run made; choose another name.")
        if held not in (None, manifest.configuration_digest):
            raise StoreError(
                f"{self} holds a run of another configuration ({held}, this manifest is of "
                f"{manifest.configuration_digest}): other models, options or elevation. Write to another path."
            )
        if held is None:
            zarr.open_group(self.place.zarr(), mode="a").attrs[ABOUT] = manifest.configuration_digest
        self.place.write(MANIFEST, manifest.content())

    def claim_zone(self, zone: str, bounds: pd.DataFrame) -> None:
        """Make or continue the store of a zone."""
        self.claim_store(zone, template(self.manifest(), zone, bounds), self.manifest().box(zone))

    def claim_store(self, name: str, data: xr.Dataset, box: GeoBox) -> bool:
        """Make or continue a store of the archive, for the dates of some data; whether it is new."""
        data, new = layout.prepared(data), not record.exists(self.store(name))
        if new:
            layout.commit(data, self.store(name), box)
        Ledger(self.store(name)).claim(data)
        return new

    # -- units -------------------------------------------------------------------------------------------------

    @cached_property
    def _slots(self) -> dict[str, dict[int, int]]:
        """Position of each date in the arrays of its zone."""
        return {
            zone: {time: k for k, time in enumerate(Ledger(self.store(zone)).record.dates)}
            for zone in self.manifest().zones
        }

    @property
    def units(self) -> list[Unit]:
        """Units of the manifest, in their order."""
        return [(tile, date) for tile, date in self.manifest().units.tolist()]

    def at_tile(self, unit: Unit) -> tuple[str, Tile]:
        """Zone and tile of the store of a unit."""
        (zone, row, column), when = self.manifest().places[unit[0]], self.manifest().times[unit[1]]
        return zone, Tile("timed", (self._slots[zone][when], row, column))

    def name(self, unit: Unit) -> str:
        """Name of a unit, for its record and for people: zone, date, tile."""
        (zone, row, column), when = self.manifest().places[unit[0]], self.manifest().times[unit[1]]
        return f"{zone}/{day_of(when)}/{row}.{column}"

    def key(self, unit: Unit, kind: str = "units") -> str:
        """Where the record of a unit lies that is done, or of one that failed."""
        return f"{BOOK}/{kind}/{self.name(unit)}.json"

    def write(self, unit: Unit, done: work.Done, about: dict[str, Any]) -> dict[str, Any]:
        """Store a unit: its chunks, then its entry in the ledger, then its record, which is returned."""
        zone, place = self.at_tile(unit)
        start = time.perf_counter()
        sums = self._write(zone, place, {name: block[None] for name, block in done.blocks.items()})
        told = {
            "unit": self.name(unit),
            "state": "done",
            "checksums": sums,
            "seconds": {**done.seconds, "write": time.perf_counter() - start},
            "pixels": done.pixels,
            "valid": done.valid,
            "devices": list(done.devices),
            "bytes_read": done.nbytes,
            "bytes_written": sum(block.nbytes for block in done.blocks.values()),
            **about,
        }
        put(self.place, self.key(unit), told)
        return told

    def write_ground(self, ground: work.Ground) -> None:
        """Store the rasters without time of a tile, if they are not there."""
        row = self.manifest().tiles.iloc[ground.tile]
        place = Tile("static", (int(row["row"]), int(row["column"])))
        entry = tile.read_entry(self.store(row["zone"]), place, len(ground.static))
        if not entry or entry[0] != DONE:
            self._write(row["zone"], place, ground.static)

    def _write(self, zone: str, place: Tile, blocks: dict[str, np.ndarray]) -> dict[str, int]:
        corner = tuple(w.start for w in place.window)
        start = (0, *corner) if place.kind == "timed" else corner
        try:
            tile.write_tile(blocks, start, place=self.store(zone), kind=place.kind, slots=place.index[:1])
        except OSError as error:
            raise StoreError(f"{self}/{zone} cannot be written: {error}") from error
        entry = tile.read_entry(self.store(zone), place, len(blocks))
        return dict(zip(sorted(blocks), entry[1:], strict=True)) if entry else {}

    def fail(self, unit: Unit, reason: str, tries: int) -> dict[str, Any]:
        """Record that a unit is given up for this run, and why."""
        told = {"unit": self.name(unit), "state": "failed", "reason": access.shown(reason), "tries": tries}
        put(self.place, self.key(unit, "failed"), told)
        return told

    def records(self, kind: str = "units") -> Iterator[dict[str, Any]]:
        """Records of the units that are done, or failed."""
        keys = sorted(key for key in self.place.keys(f"{BOOK}/{kind}") if key.endswith(".json"))
        for some in _parts(keys):
            yield from filter(None, map(read, self.place.read_all(some)))

    def _recorded(self) -> Iterator[tuple[Unit, dict[str, Any] | None]]:
        """Units that have a record, and what it says where it and the unit's ledger entry are whole and agree."""
        there = self.place.keys(f"{BOOK}/units")
        recorded = [unit for unit in self.units if self.key(unit) in there]
        for some in _parts(recorded):
            told = dict(zip(some, map(read, self.place.read_all(map(self.key, some))), strict=True))
            entries = self._entries(some)
            for unit, said in told.items():
                yield unit, said if said is not None and _agree(said, entries[unit]) else None

    def _entries(self, units: Iterable[Unit]) -> dict[Unit, bytes | None]:
        """Ledger entries of units."""
        by_zone: dict[str, dict[Unit, str]] = {}
        for unit in units:
            zone, place = self.at_tile(unit)
            by_zone.setdefault(zone, {})[unit] = tile.entry_key(place)
        return {
            unit: content
            for zone, keys in by_zone.items()
            for unit, content in zip(keys, self.store(zone).read_all(keys.values()), strict=True)
        }

    def written(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        """Tiles that have a record, by zone and day, of whatever manifest; one listing, and nothing is read."""
        found: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for key in sorted(k for k in self.place.keys(f"{BOOK}/units") if k.endswith(".json")):
            zone, day, tile = key.removesuffix(".json").split("/")[-3:]
            row, column = map(int, tile.split("."))
            found.setdefault((zone, day), []).append((row, column))
        return found

    def pending(self) -> list[Unit]:
        """Units of the manifest that are not done, in their order."""
        done = {unit for unit, told in self._recorded() if told is not None}
        return [unit for unit in self.units if unit not in done]

    # -- tables ------------------------------------------------------------------------------------------------

    def write_table(self, key: str, table: pd.DataFrame) -> None:
        """Write a table as Parquet, whole or not at all."""
        file = BytesIO()
        table.to_parquet(file)
        self.place.write(key, file.getvalue())

    def read_table(self, key: str) -> pd.DataFrame | None:
        """A table with its geometry, if it has one; None if it is not there."""
        content = self.place.read(key)
        if content is None:
            return None
        try:
            return gpd.read_parquet(BytesIO(content))
        except ValueError:  # without geometry
            return pd.read_parquet(BytesIO(content))

    # -- checking ----------------------------------------------------------------------------------------------

    def verify(self) -> pd.DataFrame:
        """What is wrong with units that are done: every chunk is read once; run the same manifest again to mend it.

        Returns
        -------
        DataFrame
            ``unit``, ``file``, ``problem``; without rows if all is well.
        """
        rows, variables = [], {zone: Ledger(self.store(zone)).kinds["timed"] for zone in self.manifest().zones}
        for unit, told in self._recorded():
            if told is None:
                rows.append((self.name(unit), self.key(unit), "damaged record or entry"))
                continue
            zone, place = self.at_tile(unit)
            keys = [tile.chunk_key(name, variables[zone][name], place) for name in told["checksums"]]
            contents = self.store(zone).read_all(keys)
            for key, content, expected in zip(keys, contents, told["checksums"].values(), strict=True):
                if (now := tile.chunk_checksum(content)) != expected:
                    rows.append((self.name(unit), f"{zone}/{key}", "damaged" if now else "missing"))
        return pd.DataFrame(rows, columns=["unit", "file", "problem"])

    def repair(self, names: Iterable[str] | None = None) -> int:
        """Make units pending again, by default those that :meth:`verify` finds damaged, and say how many they were."""
        damaged = set(self.verify()["unit"] if names is None else names)
        for unit in self.units:
            if self.name(unit) in damaged:
                self.place.remove(self.key(unit))
        return len(damaged)

    def clean(self) -> None:
        """Forget failures of earlier runs."""
        self.place.remove_below(f"{BOOK}/failed")


def day_of(time: int) -> str:
    """A time [us since 1970-01-01] in names of records."""
    return str(np.datetime64(time, "us").astype("datetime64[ms]")).replace(":", "")


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    for k in range(0, len(items), AT_ONCE):
        yield items[k : k + AT_ONCE]


def _agree(told: dict[str, Any], content: bytes | None) -> bool:
    """Whether a record and a ledger entry say the same."""
    entry = tile.entry_of(content, len(told["checksums"]))
    return entry is not None and entry == (DONE, *told["checksums"].values())


@lru_cache(maxsize=4)
def opened(address: str, digest: str) -> Archive:
    """An archive as a worker keeps it.

    Raises
    ------
    StoreError
        If its manifest is not the one that the run began with.
    """
    archive = Archive(address)
    if archive.token != (address, digest):
        raise StoreError(f"{archive}: the manifest was replaced while a run was at work; run again.")
    return archive

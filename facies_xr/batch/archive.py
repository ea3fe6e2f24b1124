"""The archive of a run: a store for each zone, and beside them the manifest and a record of each unit.

::

    STORE/EPSG_32632/            a store as ``write`` makes it, with its own ledger
    STORE/batch/manifest.parquet
    STORE/batch/units/EPSG_32632/DATE/ROW.COLUMN.json    written after chunk and ledger entry; never changed
    STORE/batch/failed/...                               units given up, and why
    STORE/batch/log/RUN.jsonl                            one line a unit, in the order in which they ended

A unit is done where its record and its ledger entry are whole.
"""

import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from .. import access, grids, lazy, outlines, stations
from ..errors import StoreError
from ..store import DONE, Folder, FolderLock, Ledger, Tile, layout, record, tile
from . import work
from .manifest import Manifest, loaded

ABOUT = "facies_xr_batch"
"""Attribute of the root that tells an archive of a batch, with the digest of its configuration."""


@dataclass(frozen=True)
class Archive:
    """The place where a run writes."""

    path: Path

    @classmethod
    def at(cls, where: str | Path) -> "Archive":
        """Archive at a path.

        Raises
        ------
        StoreError
            If it is an address of the web.
        """
        if access.is_remote(str(where)):
            raise StoreError(f"{access.shown(str(where))}: an archive is a folder that all workers see; give a path.")
        return cls(Path(where).absolute())

    @property
    def book(self) -> Path:
        """Folder of all that is not Zarr."""
        return self.path / "batch"

    def manifest(self) -> Manifest:
        """The manifest of the run, read once in each process.

        Raises
        ------
        StoreError
            If there is none.
        """
        file = self.book / "manifest.parquet"
        if not file.exists():
            raise StoreError(f"{self.path} is no archive of a batch run: {file} is missing.")
        return loaded(str(file), file.stat().st_mtime)

    def zone(self, name: str) -> Path:
        """Store of a zone."""
        return self.path / name

    def store(self, name: str) -> Folder:
        """The store of a zone."""
        return Folder(self.zone(name))

    def lock(self) -> FolderLock:
        """One run at a time."""
        return FolderLock(self.book, str(self.path))

    # -- making it ---------------------------------------------------------------------------------------------

    def claim(self, manifest: Manifest) -> None:
        """Make the archive one of a manifest; call it under the lock.

        Raises
        ------
        StoreError
            If something else is there, or a run of another configuration.
        """
        content = {file.name for file in self.path.iterdir()} - {"batch"} if self.path.exists() else set()
        if content and not (self.path / "zarr.json").exists():
            raise StoreError(f"{self.path} exists and is no archive of a batch run; choose another name.")
        attributes = dict(zarr.open_group(self.path, mode="a", zarr_format=3).attrs)
        held = attributes.get(ABOUT)
        if content and held is None:
            raise StoreError(f"{self.path} is a Zarr group that no batch run made; choose another name.")
        if held not in (None, manifest.configuration_digest):
            raise StoreError(
                f"{self.path} holds a run of another configuration ({held}, this manifest is of "
                f"{manifest.configuration_digest}): other models, options or elevation. Write to another path."
            )
        if held is None:
            zarr.open_group(self.path, mode="a").attrs[ABOUT] = manifest.configuration_digest
        manifest.save(self.book / "manifest.parquet")

    def claim_zone(self, manifest: Manifest, zone: str, bounds: pd.DataFrame) -> None:
        """Make or continue the store of a zone."""
        data = layout.prepared(_template(manifest, zone, bounds))
        if not record.exists(self.store(zone)):
            self.zone(zone).mkdir(parents=True, exist_ok=True)
            layout.commit(data, self.store(zone), manifest.box(zone))
        Ledger(self.zone(zone)).claim(data)

    # -- units -------------------------------------------------------------------------------------------------

    @cached_property
    def _slots(self) -> dict[str, dict[int, int]]:
        """Position of each date in the arrays of its zone."""
        return {
            zone: {time: k for k, time in enumerate(Ledger(self.zone(zone)).record.dates)}
            for zone in self.manifest().zones
        }

    def place(self, unit: tuple[int, int]) -> tuple[str, Tile]:
        """Zone and tile of the store of a unit (tile, date)."""
        (zone, row, column), when = self.manifest().places[unit[0]], self.manifest().times[unit[1]]
        return zone, Tile("timed", (self._slots[zone][when], row, column))

    def name(self, unit: tuple[int, int]) -> str:
        """Name of a unit, for its record and for people: zone, date, tile."""
        (zone, row, column), when = self.manifest().places[unit[0]], self.manifest().times[unit[1]]
        day = str(np.datetime64(when, "us").astype("datetime64[ms]")).replace(":", "")
        return f"{zone}/{day}/{row}.{column}"

    def file(self, unit: tuple[int, int], kind: str = "units") -> Path:
        """Record of a unit that is done, or of one that failed."""
        return self.book / kind / f"{self.name(unit)}.json"

    def write(self, unit: tuple[int, int], done: work.Done, about: dict[str, Any]) -> dict[str, Any]:
        """Store a unit: its chunks, then its entry in the ledger, then its record, which is returned."""
        zone, place = self.place(unit)
        start = time.perf_counter()
        sums = self._write(zone, place, {name: block[None] for name, block in done.blocks.items()})
        told = {
            "unit": self.name(unit),
            "state": "done",
            "checksums": sums,
            "seconds": {**done.seconds, "write": time.perf_counter() - start},
            "pixels": done.pixels,
            "valid": done.valid,
            "bytes_read": done.nbytes,
            "bytes_written": sum(block.nbytes for block in done.blocks.values()),
            **about,
        }
        self.put(self.file(unit), told)
        return told

    def write_ground(self, ground: work.Ground) -> None:
        """Store the rasters without time of a tile, if they are not there."""
        row = self.manifest().tiles.iloc[ground.tile]
        place = Tile("static", (int(row["row"]), int(row["column"])))
        entry = tile.read_entry(self.store(row["zone"]), place, len(ground.static))
        if not entry or entry[0] != DONE:
            self._write(row["zone"], place, ground.static)

    def _write(self, zone: str, place: Tile, blocks: dict[str, np.ndarray]) -> dict[str, int]:
        try:
            tile.write_tile(
                blocks,
                (0, *(w.start for w in place.window))
                if place.kind == "timed"
                else tuple(w.start for w in place.window),
                place=self.store(zone),
                kind=place.kind,
                slots=place.index[:1],
            )
        except OSError as error:
            raise StoreError(f"{self.zone(zone)} cannot be written: {error}", error.errno or 0) from error
        entry = tile.read_entry(self.store(zone), place, len(blocks))
        return dict(zip(sorted(blocks), entry[1:], strict=True)) if entry else {}

    def fail(self, unit: tuple[int, int], reason: str, tries: int) -> dict[str, Any]:
        """Record that a unit is given up for this run, and why."""
        told = {"unit": self.name(unit), "state": "failed", "reason": access.shown(reason), "tries": tries}
        self.put(self.file(unit, "failed"), told)
        return told

    def is_done(self, unit: tuple[int, int]) -> bool:
        """Whether the record and the ledger entry of a unit are whole."""
        told = read(self.file(unit))
        if told is None:
            return False
        zone, place = self.place(unit)
        entry = tile.read_entry(self.store(zone), place, len(told["checksums"]))
        return entry is not None and entry[0] == DONE and list(entry[1:]) == list(told["checksums"].values())

    def pending(self) -> list[tuple[int, int]]:
        """Units of the manifest that are not done, in their order."""
        units = map(tuple, self.manifest().units.tolist())
        return [unit for unit in units if not self.is_done(unit)]

    @staticmethod
    def put(file: Path, told: dict[str, Any]) -> None:
        """Write a record, whole or not at all, with a checksum of itself."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(told)
        draft = file.with_name(f".{os.getpid()}-{time.monotonic_ns()}-{file.name}")
        draft.write_text(f"{zlib.crc32(text.encode()):08x} {text}\n")
        os.replace(draft, file)

    def records(self, kind: str = "units") -> Iterator[dict[str, Any]]:
        """Records of the units that are done, or failed."""
        for file in sorted((self.book / kind).rglob("*.json")):
            told = None if file.name.startswith(".") else read(file)
            if told is not None:
                yield told

    # -- checking ----------------------------------------------------------------------------------------------

    def verify(self) -> pd.DataFrame:
        """What is wrong with units that are done: every chunk is read once; run the same manifest again to mend it.

        Returns
        -------
        DataFrame
            ``unit``, ``file``, ``problem``; without rows if all is well.
        """
        rows = []
        for unit in map(tuple, self.manifest().units.tolist()):
            if not self.file(unit).exists():
                continue
            zone, place = self.place(unit)
            told = read(self.file(unit))
            if told is None or not self.is_done(unit):
                rows.append((self.name(unit), str(self.file(unit).relative_to(self.path)), "damaged record or entry"))
                continue
            variables = Ledger(self.zone(zone)).kinds["timed"]
            for name, expected in told["checksums"].items():
                key = tile.chunk_key(name, variables[name], place)
                if (now := tile.chunk_checksum(self.store(zone).read(key))) != expected:
                    problem = "damaged" if now else "missing"
                    rows.append((self.name(unit), f"{zone}/{key}", problem))
        return pd.DataFrame(rows, columns=["unit", "file", "problem"])

    def repair(self) -> int:
        """Make damaged units pending again, and say how many they were."""
        damaged = set(self.verify()["unit"])
        for unit in map(tuple, self.manifest().units.tolist()):
            if self.name(unit) in damaged:
                self.file(unit).unlink(missing_ok=True)
        return len(damaged)

    def clean(self) -> None:
        """Forget failures of earlier runs, and what kills in the middle of a write left."""
        shutil.rmtree(self.book / "failed", ignore_errors=True)


def read(file: Path) -> dict[str, Any] | None:
    """A record; None if it is missing or damaged."""
    try:
        head, _, text = file.read_text().strip().partition(" ")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return json.loads(text) if head == f"{zlib.crc32(text.encode()):08x}" else None


@lru_cache(maxsize=4)
def opened(path: str) -> Archive:
    """An archive as a worker keeps it."""
    return Archive(Path(path))


def _template(manifest: Manifest, zone: str, bounds: pd.DataFrame) -> xr.Dataset:
    """The maps of a zone without their pixels: what they are made by, on a scrap of its grid, made as large as it."""
    box, scrap = manifest.box(zone), (slice(0, 8), slice(0, 8))
    dates = manifest.dates[manifest.dates["zone"] == zone].sort_values("time", kind="stable")
    named = dates.groupby("time", sort=True)["items"].agg(
        lambda parts: list(dict.fromkeys(i for p in parts for i in p))
    )
    dates = dates.drop_duplicates("time").assign(items=named.to_list())
    data = work.timed(dates).assign_coords(grids.coords(grids.window(box, *scrap)))
    for name in (*stations.BANDS, "hillshade"):
        data[name] = (("time", "y", "x"), lazy.blank((len(dates), 8, 8), (1, 8, 8), "float32"))
    for name in ("saturated", "shadow_mask"):
        data[name] = (("time", "y", "x"), lazy.blank((len(dates), 8, 8), (1, 8, 8), "uint8"))
    for name in work.GROUND:
        data[name] = (("y", "x"), np.zeros((8, 8), "int32" if name == "glacier_index" else "float32"))
    table = manifest.glaciers[manifest.glaciers["zone"] == zone]
    bounds = bounds.loc[table["number"]]
    data = data.assign({name: ("glacier", bounds[name].to_numpy("float32")) for name in bounds})
    data = data.assign_coords(_of_glaciers(table))
    missions = {k: str(v) for k, v in dates.iloc[0].items() if str(k).endswith("_nir")}
    data.attrs |= {
        "level": manifest.configuration["level"],
        "dem": _shown_dem(work.dem_of(manifest, zone)),
        "outlines": outlines.digest(table.reset_index(drop=True)),
        "shadows": manifest.configuration["shadows"],
        "boundary": "glacier",
        **missions,
    }
    maps = work.maps_of(stations.dress(stations.dress(data, "load"), "add_terrain"), manifest)
    rasters = layout.rasters(maps)
    small = maps.drop_vars([*rasters, "y", "x", "spatial_ref"])
    shape = tuple(box.shape)
    for name, variable in rasters.items():
        whole = (*variable.shape[:-2], *shape)
        small[name] = (variable.dims, lazy.blank(whole, whole, variable.dtype), variable.attrs)
    return small.assign_coords(grids.coords(box))


def _of_glaciers(table: Any) -> dict[str, tuple[str, np.ndarray]]:
    place = table.geometry.to_crs(4326).representative_point()
    return {
        "glacier": ("glacier", table["glacier"].to_numpy(str)),
        "glacier_number": ("glacier", table["number"].to_numpy("int32")),
        "glacier_name": ("glacier", table["name"].to_numpy(str)),
        "longitude": ("glacier", place.x.to_numpy()),
        "latitude": ("glacier", place.y.to_numpy()),
        "outline_date": ("glacier", table["date"].to_numpy("datetime64[ns]")),
    }


def _shown_dem(dem: Any) -> str:
    files = [dem] if isinstance(dem, str) else dem
    names = [Path(access.shown(file)).name for file in files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

"""Overviews of an archive: its maps on coarser grids, for viewers, as the Zarr convention ``multiscales`` has them.

::

    STORE/EPSG_32632/       the maps of a zone, which stay as they are
    STORE/EPSG_32632_2x/    pixels twice as wide, a store of its own with its own ledger
    STORE/EPSG_32632_4x/    ... until a zone fits into one tile

A pixel of any level is made of all the finest pixels below it. Zarr's root says in ``multiscales`` what lies where.
"""

import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from zarr_cm import multiscales, spatial

from .. import grids, lazy
from .. import store as _store
from ..classes import NODATA
from ..errors import StoreError
from ..maps import coarser
from ..progress import tracked
from ..store import TILE, Ledger
from ..store.checked import CheckedStore
from ..store.layout import georeference
from ..store.tile import write_tile
from .archive import BOOK, Archive, day_of, opened
from .engine import process
from .pools import pool_of
from .records import put, read

RULES = {
    "facies_map": (coarser.modes, "area: mode"),
    "confidence": (coarser.means, "area: mean"),
    "albedo": (coarser.means, "area: mean"),
}
"""How rasters become coarser, and how the CF conventions say so (``cell_methods``)."""


@dataclass(frozen=True)
class Block:
    """What is made together: one tile of the coarsest level on one date, and all levels below it."""

    zone: str
    day: str
    row: int
    column: int
    tiles: tuple[tuple[int, int], ...]
    """Tiles of the finest level that are done."""

    @property
    def key(self) -> str:
        """Where its record lies."""
        return _key(self.zone, self.day, self.row, self.column)

    @property
    def state(self) -> int:
        """Checksum of the names of the tiles."""
        return zlib.crc32(repr(self.tiles).encode())


def overviews(store: str | Path, *, client: Any = None, progress: bool = True) -> list[str]:
    """Make the overviews of an archive, or bring them up to date: what changed since is made, the rest is kept.

    Parameters
    ----------
    store : path
        Archive of a run; no other run may be at work.
    client : distributed.Client, optional
        Where to compute; by default the threads of this process.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of str
        Paths or addresses of the levels, each a store for ``open_store``.

    Raises
    ------
    StoreError
        If there is no such archive, another run is at work, or tiles are damaged.
    """
    archive = Archive.at(store)
    manifest = archive.manifest()
    with archive.lock(), pool_of(client, os.cpu_count() or 1) as pool:
        levels = {zone: _claim_levels(archive, zone) for zone in manifest.zones}
        blocks = list(_blocks(archive, levels))
        there = set(_made(archive, blocks))
        pending = [block for block in blocks if block not in there]
        token, failed = archive.token, []
        with tracked("blocks of overviews", len(blocks), shown=progress) as tracker:
            tracker.at(len(blocks) - len(pending))
            for outcome in process(pool, pending, lambda some: pool.each(make, some, token), waits=(1.0,)):
                failed += [outcome] if outcome.reason is not None else []
                tracker.advance()
        _declare(archive, levels)
    if failed:
        block = cast(Block, failed[0].job)
        raise StoreError(
            f"{archive}: {len(failed)} of {len(blocks)} blocks of the overviews were not made, the first of "
            f"{block.zone} on {block.day} because: {failed[0].reason} (`facies-xr batch verify --repair`, run, and "
            "make the overviews again)."
        )
    return [archive.zone(level_name(zone, factor)) for zone, made in levels.items() for factor in made]


def damage_of_levels(archive: Archive) -> pd.DataFrame:
    """What is wrong with the overviews of an archive, if it has any; every chunk of theirs is read once.

    Returns
    -------
    DataFrame
        ``unit`` (record of a block, or a whole level), ``file``, ``problem``; without rows if all is well.
    """
    rows: list[tuple[str, str, str]] = []
    levels = {zone: factors_of(archive.manifest().box(zone)) for zone in archive.manifest().zones}
    blocks = _made(archive, list(_blocks(archive, levels)))
    for zone, factors in levels.items():
        for factor in factors:
            level, wide = level_name(zone, factor), factors[-1] // factor
            made = [block for block in blocks if block.zone == zone]
            if not archive.store(level).children():
                rows += [(level, f"{level}/zarr.json", "missing")] if made else []
                continue
            try:
                ledger = Ledger(archive.store(level))
            except StoreError:
                rows.append((level, f"{level}/ledger/record.json", "damaged"))
                continue
            rows += [(level, f"{level}/{file}", problem) for file, problem in ledger.damaged_metadata()]
            days = [day_of(time) for time in ledger.record.dates]
            told = list(ledger.damaged("timed"))
            for tile, file, problem in told:
                slot, row, column = tile.index
                rows.append((_key(zone, days[slot], row // wide, column // wide), f"{level}/{file}", problem))
            pending = {tile.index for tile in ledger.pending("timed")} - {tile.index for tile, *_ in told}
            for block in made:
                slot = days.index(block.day)
                if pending & {(slot, row // factor, column // factor) for row, column in block.tiles}:
                    rows.append((block.key, f"{level}/ledger/timed", "missing"))
    return pd.DataFrame(rows, columns=["unit", "file", "problem"])


def forget(archive: Archive, damaged: Iterable[str]) -> None:
    """Let :func:`overviews` make damaged blocks and levels again."""
    for unit in damaged:
        if unit.startswith(BOOK):
            archive.place.remove(unit)
        else:
            archive.place.remove_below(unit)


def factors_of(box: GeoBox) -> tuple[int, ...]:
    """Edges of the pixels of each level, until a grid fits into one tile, or a tile into a pixel. [px]"""
    found, factor = [], 2
    while max(box.shape) * 2 > TILE * factor and factor <= TILE:
        found.append(factor)
        factor *= 2
    return tuple(found)


def level_name(zone: str, factor: int) -> str:
    """Name of the store of a level, beside that of its zone."""
    return f"{zone}_{factor}x"


def level_box(box: GeoBox, factor: int) -> GeoBox:
    """Grid of a level: the same corner, as many pixels as cover the grid."""
    height, width = (-(-n // factor) for n in box.shape)
    return GeoBox((height, width), box.affine * Affine.scale(factor), box.crs)


# -- stores -----------------------------------------------------------------------------------------------------


def _claim_levels(archive: Archive, zone: str) -> tuple[int, ...]:
    """Make or continue the stores of the levels of a zone."""
    box = archive.manifest().box(zone)
    maps, factors = _store.open_store(archive.zone(zone)), factors_of(box)
    of_time = {name: c for name, c in maps.coords.items() if c.dims == ("time",)}
    for factor in factors:
        grid = level_box(box, factor)
        shape = (maps.sizes["time"], *grid.shape)
        data = xr.Dataset(coords={**of_time, **grids.coords(grid)}, attrs=maps.attrs)
        for name in RULES.keys() & maps.keys():
            attributes = {**maps[name].attrs, "cell_methods": RULES[name][1]}
            data[name] = (("time", "y", "x"), lazy.blank(shape, shape, maps[name].dtype), attributes)
        if archive.claim_store(level_name(zone, factor), data, grid):
            archive.place.remove_below(f"{BOOK}/overviews/{zone}")  # of a level that somebody removed
    return factors


def _declare(archive: Archive, levels: dict[str, tuple[int, ...]]) -> None:
    """Say in the root what the levels are, by the conventions ``multiscales`` and ``spatial`` (v0.1)."""
    layout: list[dict[str, Any]] = []
    for zone, factors in levels.items():
        box = archive.manifest().box(zone)
        layout.append({"asset": zone, **_place(box)})
        layout += [
            {
                "asset": level_name(zone, factor),
                "derived_from": zone,
                "transform": {"scale": [float(factor)] * 2, "translation": [0.0, 0.0]},
                **_place(level_box(box, factor)),
            }
            for factor in factors
        ]
    root = zarr.open_group(archive.place.zarr(), mode="r+")
    attributes = multiscales.insert(dict(root.attrs), multiscales.create(layout=layout), overwrite=True)  # type: ignore[arg-type]
    attributes = spatial.insert(attributes, spatial.create(dimensions=["y", "x"]), overwrite=True)
    root.attrs.update(attributes)


def _place(box: GeoBox) -> dict[str, Any]:
    wanted = ("proj:code", "proj:wkt2", "spatial:shape", "spatial:transform")
    return {name: value for name, value in georeference(box).items() if name in wanted}


# -- blocks -----------------------------------------------------------------------------------------------------


def _blocks(archive: Archive, levels: dict[str, tuple[int, ...]]) -> Iterator[Block]:
    """All blocks that hold tiles that are done."""
    for (zone, day), tiles in archive.written().items():
        if not levels[zone]:
            continue
        coarsest, grouped = levels[zone][-1], defaultdict(list)
        for row, column in tiles:
            grouped[row // coarsest, column // coarsest].append((row, column))
        for (row, column), some in grouped.items():
            yield Block(zone, day, row, column, tuple(sorted(some, key=_along_quadrants)))


def _made(archive: Archive, blocks: list[Block]) -> list[Block]:
    """Those that were made of the tiles that are done now."""
    told = archive.place.read_all(block.key for block in blocks)
    return [b for b, content in zip(blocks, told, strict=True) if (read(content) or {}).get("tiles") == b.state]


def _key(zone: str, day: str, row: int, column: int) -> str:
    return f"{BOOK}/overviews/{zone}/{day}/{row}.{column}.json"


def _along_quadrants(tile: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Order in which the tiles of a coarser one, of whatever level, follow each other."""
    return tuple((tile[0] >> bit & 1, tile[1] >> bit & 1) for bit in reversed(range(32)))


def make(token: tuple[str, str], block: Block) -> None:
    """Make the overviews of a block, on a worker: each tile is read once, a tile of a level written when it is full."""
    archive = opened(*token)
    factors = factors_of(archive.manifest().box(block.zone))
    source, slots = _source(token, block.zone)
    targets = [_Target(archive, block, factor) for factor in factors]
    names = [name for name in RULES if name in source]
    for row, column in block.tiles:
        coarse = {name: RULES[name][0](_read(source[name], slots[block.day], row, column), factors) for name in names}
        for target in targets:
            target.add(row, column, {name: coarse[name][target.factor] for name in names})
    for target in targets:
        target.write()
    put(archive.place, block.key, {"tiles": block.state})


@lru_cache(maxsize=16)
def _source(token: tuple[str, str], zone: str) -> tuple[zarr.Group, dict[str, int]]:
    """The maps of a zone, checked as they are read, and the position of each date."""
    place = opened(*token).store(zone)
    record = Ledger(place).record
    group = zarr.open_group(CheckedStore(place.zarr(read_only=True), record, str(place)), mode="r", zarr_format=3)
    return group, {day_of(time): slot for slot, time in enumerate(record.dates)}


def _read(array: Any, slot: int, row: int, column: int) -> np.ndarray:
    """A whole tile, blank beyond the grid."""
    values = array[slot, row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
    whole = np.full((TILE, TILE), array.fill_value, array.dtype)
    whole[: values.shape[0], : values.shape[1]] = values
    return whole


class _Target:
    """The tile of a level that is being filled."""

    def __init__(self, archive: Archive, block: Block, factor: int):
        self.place, self.factor = archive.store(level_name(block.zone, factor)), factor
        record = Ledger(self.place).record
        self.slot = [day_of(time) for time in record.dates].index(block.day)
        self.shape = record.grid["shape"]
        self.at: tuple[int, int] | None = None
        self.blocks: dict[str, np.ndarray] = {}

    def add(self, row: int, column: int, parts: dict[str, np.ndarray]) -> None:
        """Put in what a tile of the finest level gives."""
        at = row // self.factor, column // self.factor
        if at != self.at:
            self.write()
            self.at = at
            self.blocks = {name: np.full((TILE, TILE), _blank(part), part.dtype) for name, part in parts.items()}
        n = TILE // self.factor
        y, x = row % self.factor * n, column % self.factor * n
        for name, part in parts.items():
            self.blocks[name][y : y + n, x : x + n] = part

    def write(self) -> None:
        """Write the tile as far as the grid goes, if there is one."""
        if self.at is None:
            return
        start = tuple(TILE * k for k in self.at)
        height, width = (min(TILE, n - first) for n, first in zip(self.shape, start, strict=True))
        blocks = {name: values[None, :height, :width] for name, values in self.blocks.items()}
        write_tile(blocks, (0, *start), place=self.place, kind="timed", slots=(self.slot,))


def _blank(part: np.ndarray) -> Any:
    return np.nan if part.dtype.kind == "f" else NODATA

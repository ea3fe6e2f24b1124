"""The maps of an archive as GeoTIFFs in pieces: a folder for each tile, or for each glacier."""

import math
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pystac
import shapely
import xarray as xr

from . import export
from . import store as _store
from .batch.archive import Archive, day_of, opened
from .batch.engine import process
from .batch.manifest import Manifest
from .batch.pools import pool_of
from .classes import NODATA
from .errors import StoreError, one_of
from .progress import tracked
from .store import TILE


@dataclass(frozen=True)
class Piece:
    """What one folder holds."""

    zone: str
    name: str
    """Of the folder: row and column of a tile, or id of a glacier."""
    tiles: tuple[tuple[int, int], ...]
    """That it lies on."""
    window: tuple[int, int, int, int]
    """First and end row, first and end column, on the zone's grid. [px]"""
    number: int | None
    """Of the glacier; None of a tile."""
    days: tuple[str, ...] = ()
    """On which all is done."""

    def below(self, folder: str | Path) -> Path:
        """Its own folder."""
        return Path(folder) / self.zone / quote(self.name, safe=" ()")


def archive_to_cog(
    store: str | Path,
    folder: str | Path,
    *,
    by: Literal["tile", "glacier"] = "tile",
    client: Any = None,
    progress: bool = True,
) -> list[Path]:
    """Write the maps of an archive as cloud-optimised GeoTIFFs, a folder for each tile or glacier.

    Dates of which a tile is not done are left out. What is there is kept: run it again to go on, or to add what is new.

    Parameters
    ----------
    store : path
        Archive of a run.
    folder : path
        Gets ``ZONE/ROW.COLUMN/`` or ``ZONE/GLACIER/`` with the files that :func:`facies_xr.to_cog` writes.
    by : {"tile", "glacier"}
        With "glacier", pixels of other glaciers are without data.
    client : distributed.Client, optional
        Where to work; its workers must see the folder. By default the threads of this process.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Path
        The folders.

    Raises
    ------
    InputError
        If ``by`` is something else.
    StoreError
        If there is no such archive, or pieces cannot be read or written.
    """
    one_of("by", by, ("tile", "glacier"))
    archive, target = Archive.at(store), str(Path(folder).absolute())
    cut = _tiles if by == "tile" else _glaciers
    pieces = list(_with_days(cut(archive.manifest()), archive))
    token, failed = archive.token, []
    with tracked(f"{by}s", len(pieces), shown=progress) as tracker, pool_of(client, os.cpu_count() or 1) as pool:
        for outcome in process(pool, pieces, lambda some: pool.each(write, some, token, target), waits=(1.0,)):
            failed += [outcome.reason] if outcome.reason is not None else []
            tracker.advance()
    if failed:
        raise StoreError(
            f"{len(failed)} of {len(pieces)} {by}s of {archive} were not exported, the first because: {failed[0]}. "
            "What is finished is kept; run the same again to go on."
        )
    return [piece.below(folder) for piece in pieces if piece.below(folder).is_dir()]


# -- what there is ----------------------------------------------------------------------------------------------


def _tiles(manifest: Manifest) -> Iterator[Piece]:
    for zone, row, column in manifest.places:
        shape = manifest.box(zone).shape
        rows, columns = ((k * TILE, min((k + 1) * TILE, n)) for k, n in zip((row, column), shape, strict=True))
        yield Piece(zone, f"{row}.{column}", ((row, column),), (*rows, *columns), None)


def _glaciers(manifest: Manifest) -> Iterator[Piece]:
    """Glaciers, each with the window of its outline."""
    touched = defaultdict(list)
    for (_, row, column), glaciers in zip(manifest.places, manifest.tiles["glaciers"], strict=True):
        for glacier in glaciers:
            touched[int(glacier)].append((row, column))
    for zone in manifest.zones:
        box, table = manifest.box(zone), manifest.glaciers[manifest.glaciers["zone"] == zone]
        bounds = shapely.bounds(table.geometry.to_crs(box.crs.to_wkt()).to_numpy())
        for index, glacier, number, (west, south, east, north) in zip(
            table.index, table["glacier"], table["number"], bounds, strict=True
        ):
            (left, top), (right, bottom) = (~box.affine * corner for corner in ((west, north), (east, south)))
            first, end = np.clip([math.floor(top), math.ceil(bottom)], 0, box.shape[0]).tolist()
            left, right = np.clip([math.floor(left), math.ceil(right)], 0, box.shape[1]).tolist()
            yield Piece(zone, str(glacier), tuple(touched[int(index)]), (first, end, left, right), int(number))


def _with_days(pieces: Iterator[Piece], archive: Archive) -> Iterator[Piece]:
    """Pieces of which something is done, with the days on which nothing of them is missing."""
    done, missing = defaultdict(set), defaultdict(set)
    for (zone, day), tiles in archive.written().items():
        for tile in tiles:
            done[zone, tile].add(day)
    for unit in archive.pending():
        zone, day, _ = archive.name(unit).split("/")
        missing[zone, archive.at_tile(unit)[1].index[-2:]].add(day)
    for piece in pieces:
        of_tiles = [(piece.zone, tile) for tile in piece.tiles]
        days = set().union(*(done[tile] for tile in of_tiles)) - set().union(*(missing[tile] for tile in of_tiles))
        if days:
            yield Piece(piece.zone, piece.name, piece.tiles, piece.window, piece.number, tuple(sorted(days)))


# -- writing, on a worker ---------------------------------------------------------------------------------------


def write(token: tuple[str, str], target: str, piece: Piece) -> None:
    """Write the files of a piece that are not described yet, then describe them."""
    folder = piece.below(target)
    known = {item.datetime: item for item in _items(folder)}
    maps = _cut(_opened(token, piece.zone), piece)
    if maps is None:
        return
    described, new = {when.replace(tzinfo=None) for when in known if when}, []
    for day in range(maps.sizes["time"]):
        scene = maps.isel(time=day)
        if np.datetime64(scene.time.values, "us").item() in described:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        _, item = export.date_to_cog(scene.load(), folder)
        assert item is not None
        item.id = f"{piece.zone}_{folder.name}_{item.id}"
        new.append(item)
    if new:
        export.save_items(sorted([*known.values(), *new], key=lambda item: item.id), folder)


def _items(folder: Path) -> list[pystac.Item]:
    file = folder / "items.json"
    return list(pystac.ItemCollection.from_file(str(file))) if file.exists() else []


@lru_cache(maxsize=4)
def _opened(token: tuple[str, str], zone: str) -> xr.Dataset:
    return _store.open_store(opened(*token).zone(zone))


def _cut(maps: xr.Dataset, piece: Piece) -> xr.Dataset | None:
    """The maps of a piece on its days, lazily; None of a glacier without a pixel."""
    top, bottom, left, right = piece.window
    days = [day_of(time) for time in maps["time"].values.astype("datetime64[us]").astype("int64").tolist()]
    maps = maps[["facies_map", "confidence", "glacier_index"]].isel(
        time=[days.index(day) for day in piece.days], y=slice(top, bottom), x=slice(left, right)
    )
    if piece.number is None:
        return maps
    mine = maps["glacier_index"].compute() == piece.number
    if not mine.any():
        return None
    (y, x) = (np.flatnonzero(mine.any(dim).values) for dim in ("x", "y"))
    inside = {"y": slice(y[0], y[-1] + 1), "x": slice(x[0], x[-1] + 1)}
    maps, mine = maps.isel(inside), mine.isel(inside)
    return maps.assign(
        facies_map=maps["facies_map"].where(mine, np.uint8(NODATA)), confidence=maps["confidence"].where(mine)
    )

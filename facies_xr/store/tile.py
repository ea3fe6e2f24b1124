"""What a worker does to one tile: its chunks, then its ledger entry."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from .layout import DONE, DROPPED, PENDING, TILE
from .record import replace_file

MISSING = 0
"""Checksum of a chunk that has no file, because it holds nothing but the fill value."""


@dataclass(frozen=True)
class Tile:
    """A tile of the rasters with a time, or of those without."""

    kind: str
    """"timed" or "static"."""
    index: tuple[int, ...]
    """([time,] tile_y, tile_x), as in the arrays of the store."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the grid; the last ones may reach beyond it."""
        y, x = (slice(k * TILE, (k + 1) * TILE) for k in self.index[-2:])
        return y, x


def chunk_file(path: Path, name: str, dims: Sequence[str], tile: Tile) -> Path:
    """File of a variable's chunk: one for each tile."""
    y, x = tile.index[-2:]
    of_dim = {"time": tile.index[0], "y": y, "x": x}
    return path.joinpath(name, "c", *(str(of_dim.get(dim, 0)) for dim in dims))


def chunk_checksum(file: Path) -> int:
    """CRC-32 of a chunk as it is stored."""
    try:
        return zlib.crc32(file.read_bytes()) or 1
    except FileNotFoundError:
        return MISSING


def write_tile(
    blocks: dict[str, np.ndarray], start: tuple[int, ...], *, path: Path, kind: str, slots: tuple[int, ...]
) -> int:
    """Write the variables of one tile, then its ledger entry.

    Parameters
    ----------
    blocks : dict of ndarray ([time,] ..., y, x)
        Pixels of each variable.
    start : tuple of int
        ([date of the data,] row, column) of the tile.
    path : Path
    kind : {"timed", "static"}
    slots : tuple of int
        Position in the store of each date of the data.
    """
    lead = (slots[start[0]],) if kind == "timed" else ()
    tile = Tile(kind, (*lead, start[-2] // TILE, start[-1] // TILE))
    root = zarr.open_group(path, mode="r+")
    sums = {}
    for name, block in blocks.items():
        array = root[name]
        pixels = (..., *(slice(w.start, w.start + n) for w, n in zip(tile.window, block.shape[-2:], strict=True)))
        array[(*lead, *pixels)] = block[0] if lead else block
        sums[name] = chunk_checksum(chunk_file(path, name, array.metadata.dimension_names, tile))
    write_entry(path, tile, DONE, [sums[name] for name in sorted(sums)])
    return DONE


# -- entries: a code, the checksum of each variable's chunk, and that of the entry itself, as uint32 -------------


def entry_file(path: Path, tile: Tile) -> Path:
    """File of a tile's entry, a chunk of the ledger's array."""
    return path.joinpath("ledger", tile.kind, "c", *map(str, tile.index), "0")


def read_entry(path: Path, tile: Tile, variables: int) -> tuple[int, ...] | None:
    """Code and checksums of a tile; None if the entry is damaged."""
    try:
        content = entry_file(path, tile).read_bytes()
    except FileNotFoundError:
        return (PENDING, *[MISSING] * variables)
    numbers = np.frombuffer(content, "<u4") if len(content) == 4 * (variables + 2) else np.zeros(1, "<u4")
    whole = numbers[-1] == zlib.crc32(content[:-4]) and numbers[0] in (DONE, DROPPED)
    return tuple(numbers[:-1].tolist()) if whole else None


def write_entry(path: Path, tile: Tile, code: int, checksums: list[int]) -> None:
    """Replace the entry of a tile, in one step."""
    content = np.array([code, *checksums], "<u4").tobytes()
    file = entry_file(path, tile)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, content + zlib.crc32(content).to_bytes(4, "little"))


def remove_tile(path: Path, tile: Tile, variables: dict[str, list[str]]) -> None:
    """Make a tile pending again: its entry goes first, then its chunks."""
    entry_file(path, tile).unlink(missing_ok=True)
    for name, dims in variables.items():
        chunk_file(path, name, dims, tile).unlink(missing_ok=True)

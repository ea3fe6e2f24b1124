"""What a worker does to one tile: its chunks, then its ledger entry."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import zarr

from .layout import DONE, DROPPED, PENDING, TILE
from .place import Place

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


def chunk_key(name: str, dims: Sequence[str], tile: Tile) -> str:
    """Key of a variable's chunk: one for each tile."""
    y, x = tile.index[-2:]
    of_dim = {"time": tile.index[0], "y": y, "x": x}
    return "/".join([name, "c", *(str(of_dim.get(dim, 0)) for dim in dims)])


def chunk_checksum(content: bytes | None) -> int:
    """CRC-32 of a chunk as it is stored."""
    return MISSING if content is None else zlib.crc32(content) or 1


def chunk_checksums(place: Place, tile: Tile, variables: Mapping[str, Sequence[str]]) -> list[int]:
    """CRC-32 of each variable's chunk of a tile."""
    keys = [chunk_key(name, dims, tile) for name, dims in variables.items()]
    return [chunk_checksum(content) for content in place.read_all(keys)]


def write_tile(
    blocks: dict[str, np.ndarray], start: tuple[int, ...], *, place: Place, kind: str, slots: tuple[int, ...]
) -> int:
    """Write the variables of one tile, then its ledger entry.

    Parameters
    ----------
    blocks : dict of ndarray ([time,] ..., y, x)
        Pixels of each variable.
    start : tuple of int
        ([date of the data,] row, column) of the tile.
    place : Place
    kind : {"timed", "static"}
    slots : tuple of int
        Position in the store of each date of the data.
    """
    lead = (slots[start[0]],) if kind == "timed" else ()
    tile = Tile(kind, (*lead, start[-2] // TILE, start[-1] // TILE))
    root = zarr.open_group(place.zarr(), mode="r+", zarr_format=3)
    variables = {}
    for name in sorted(blocks):
        block, array = blocks[name], root[name]
        pixels = (..., *(slice(w.start, w.start + n) for w, n in zip(tile.window, block.shape[-2:], strict=True)))
        array[(*lead, *pixels)] = block[0] if lead else block
        variables[name] = array.metadata.dimension_names
    write_entry(place, tile, DONE, chunk_checksums(place, tile, variables))
    return DONE


# -- entries: a code, the checksum of each variable's chunk, and that of the entry itself, as uint32 -------------


def entry_key(tile: Tile) -> str:
    """Key of a tile's entry, a chunk of the ledger's array."""
    return "/".join(["ledger", tile.kind, "c", *map(str, tile.index), "0"])


def entry_of(content: bytes | None, variables: int) -> tuple[int, ...] | None:
    """Code and checksums of a tile, as its entry says; None if the entry is damaged."""
    if content is None:
        return (PENDING, *[MISSING] * variables)
    numbers = np.frombuffer(content, "<u4") if len(content) == 4 * (variables + 2) else np.zeros(1, "<u4")
    whole = numbers[-1] == zlib.crc32(content[:-4]) and numbers[0] in (DONE, DROPPED)
    return tuple(numbers[:-1].tolist()) if whole else None


def read_entry(place: Place, tile: Tile, variables: int) -> tuple[int, ...] | None:
    """Code and checksums of a tile; None if the entry is damaged."""
    return entry_of(place.read(entry_key(tile)), variables)


def write_entry(place: Place, tile: Tile, code: int, checksums: list[int]) -> None:
    """Replace the entry of a tile, in one step."""
    content = np.array([code, *checksums], "<u4").tobytes()
    place.write(entry_key(tile), content + zlib.crc32(content).to_bytes(4, "little"))


def remove_tile(place: Place, tile: Tile, variables: Mapping[str, Sequence[str]]) -> None:
    """Make a tile pending again: its entry goes first, then its chunks."""
    place.remove(entry_key(tile))
    for name, dims in variables.items():
        place.remove(chunk_key(name, dims, tile))

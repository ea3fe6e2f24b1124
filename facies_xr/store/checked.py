"""Chunks that are checked as they are read, so that damage is an error and never a number."""

import zlib
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore

from ..errors import StoreError
from .record import Record
from .tile import MISSING, Tile, read_entry


class CheckedStore(LocalStore):
    """A folder whose finished tiles are compared with the checksums of its ledger.

    Parameters
    ----------
    root : Path
    read_only : bool

    Raises
    ------
    StoreError
        When a chunk is read that is missing or damaged.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True):
        super().__init__(root, read_only=read_only)
        self._rasters = Record.read(Path(root)).rasters

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Bytes under a key."""
        expected = self._expected(key)  # first: a tile that is entered is not touched any more
        content = await super().get(key, prototype, byte_range)
        return self._checked(key, content, expected) if byte_range is None else content

    def get_sync(self, key: str, **options: Any) -> Any:
        """Bytes under a key."""
        expected = self._expected(key)
        content = super().get_sync(key, **options)
        return self._checked(key, content, expected) if options.get("byte_range") is None else content

    def _expected(self, key: str) -> int | None:
        """Checksum of a chunk of a finished tile."""
        name, _, chunk = key.partition("/c/")
        if name not in self._rasters:
            return None
        dims = self._rasters[name]
        at = dict(zip(dims, map(int, chunk.split("/")), strict=True))
        kind = "timed" if "time" in dims else "static"
        names = sorted(n for n, d in self._rasters.items() if ("time" in d) == ("time" in dims))
        tile = Tile(kind, tuple(at[dim] for dim in ("time", "y", "x") if dim in at))
        entry = read_entry(self.root, tile, len(names))
        return entry[1 + names.index(name)] if entry and entry[0] else None

    def _checked(self, key: str, content: Any, expected: int | None) -> Any:
        if expected is None:
            return content
        now = MISSING if content is None else zlib.crc32(content.to_bytes()) or 1
        if now != expected:
            raise StoreError(
                f"{self.root}: {key} is {'damaged' if now else 'missing'}; write the same data again to mend it "
                "(`facies-xr verify` lists all that is wrong)."
            )
        return content

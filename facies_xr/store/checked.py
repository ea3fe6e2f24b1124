"""Chunks that are checked as they are read, so that damage is an error and never a number."""

from typing import Any

from zarr.abc.store import Store
from zarr.storage import WrapperStore

from ..errors import StoreError
from .record import Record
from .tile import Tile, chunk_checksum, entry_key, entry_of


class CheckedStore(WrapperStore):
    """A Zarr store whose finished tiles are compared with the checksums of its ledger.

    Parameters
    ----------
    store : zarr Store
    record : Record
        Of the store.
    name : str
        Of the store, for messages.

    Raises
    ------
    StoreError
        When a chunk is read that is missing or damaged.
    """

    def __init__(self, store: Store, record: Record, name: str):
        super().__init__(store)
        self._record, self._name = record, name

    def _with_store(self, store: Store) -> "CheckedStore":
        return type(self)(store, self._record, self._name)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Bytes under a key."""
        entry = self._entry(key)
        if entry is None or byte_range is not None:
            return await super().get(key, prototype, byte_range)
        # The entry first: a tile that is entered is not touched any more.
        tile, names, position = entry
        written = await super().get(entry_key(tile), prototype)
        content = await super().get(key, prototype)
        said = entry_of(None if written is None else written.to_bytes(), names)
        if said is None or not said[0]:
            return content
        now = chunk_checksum(None if content is None else content.to_bytes())
        if now != said[1 + position]:
            raise StoreError(
                f"{self._name}: {key} is {'damaged' if now else 'missing'}; write the same data again to mend it "
                "(`facies-xr verify` lists all that is wrong)."
            )
        return content

    def _entry(self, key: str) -> tuple[Tile, int, int] | None:
        """Tile of a chunk, how many variables its entry has, and which of them the chunk is of."""
        name, _, chunk = key.partition("/c/")
        dims = self._record.rasters.get(name)
        if dims is None or not chunk:
            return None
        at = dict(zip(dims, map(int, chunk.split("/")), strict=True))
        names = sorted(n for n, d in self._record.rasters.items() if ("time" in d) == ("time" in dims))
        tile = Tile("timed" if "time" in dims else "static", tuple(at[d] for d in ("time", "y", "x") if d in at))
        return tile, len(names), names.index(name)

"""Results in Zarr: computed once, tile by tile, resumable, appendable, checked.

A store is a Zarr v3 group that any xarray opens. Its child group ``ledger`` says which dates it holds and which tiles
are finished, with a checksum of every file, because a missing chunk proves nothing. A tile's variables are written
first, then its ledger entry; a run that is killed leaves tiles unfinished, never half believed. One process writes a
store at a time.
"""

from .layout import DONE, DROPPED, PENDING, TILE
from .ledger import Ledger, verify
from .lock import FolderLock, lock_of
from .place import Folder, Place, Where, place_of
from .tile import Tile
from .writing import open_store, write

__all__ = [
    "DONE",
    "DROPPED",
    "PENDING",
    "TILE",
    "Folder",
    "FolderLock",
    "Ledger",
    "Place",
    "Tile",
    "Where",
    "lock_of",
    "open_store",
    "place_of",
    "verify",
    "write",
]

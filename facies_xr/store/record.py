"""What a store is: the one document whose replacement commits dates.

It stands twice in the folder ``ledger``, each copy with its own checksum, so that damage to one is seen and mended.
"""

import json
import zlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .. import access
from ..errors import StoreError
from .place import Place, Where, place_of

FORMAT = 2
"""Version of the layout of stores. 1 was without checksums and lock."""

FILES = ("record.json", "record.copy.json")


@dataclass(frozen=True)
class Record:
    """Identity, dates and checksums of a store."""

    grid: dict[str, Any]
    """``crs`` as text, ``shape`` and affine ``transform``."""
    identity: dict[str, Any]
    """What must agree between the store and data that continue it (:mod:`facies_xr.store.identity`)."""
    rasters: dict[str, list[str]]
    """Dims of each raster."""
    dates: list[int] = field(default_factory=list)
    """Committed dates in the order of the arrays, since 1970-01-01. [us]"""
    items: list[str] = field(default_factory=list)
    """Scenes of each date, where the data name them."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Why dates were left empty."""
    files: dict[str, str] = field(default_factory=dict)
    """Checksum of each file of the layout: all but tiles and their ledger entries."""
    compression: str = "zstd"
    """Of the rasters' chunks, a key of :data:`facies_xr.store.layout.COMPRESSION`; the first stores do not say it."""

    @classmethod
    def read(cls, where: Where) -> "Record":
        """Record of a store; its copy, where one of them is damaged.

        Raises
        ------
        StoreError
            If there is no store, it has another format, or both copies are damaged.
        """
        place = place_of(where)
        documents = [_document(content) for content in _copies(place)]
        intact = next((document for document in documents if document), None)
        if intact is None:
            raise StoreError(_problem(place))
        written = intact.pop("format", None)
        if written != FORMAT:
            raise StoreError(_other_format(place, written))
        return cls(**intact)

    def write(self, where: Where) -> None:
        """Replace the record of a store, in one step, then its copy."""
        for name in FILES:
            place_of(where).write(f"ledger/{name}", _bytes(self))

    def damaged(self, place: Place) -> list[str]:
        """Copies that are missing, damaged, or older than this one."""
        copies = zip(FILES, _copies(place), strict=True)
        return [f"ledger/{name}" for name, content in copies if content != _bytes(self)]

    def with_dropped(self, date: str, reason: str) -> "Record":
        """Record that says why one more date is empty."""
        return replace(self, dropped=self.dropped | {date: reason})


def exists(place: Place) -> bool:
    """Whether a place holds a store, perhaps a damaged one."""
    return any(content is not None for content in _copies(place))


def checksum(content: bytes | None) -> str:
    """CRC-32 of a file's bytes in hexadecimal, "missing" without the file."""
    return "missing" if content is None else f"{zlib.crc32(content):08x}"


def _bytes(record: Record) -> bytes:
    document = {"format": FORMAT, **asdict(record)}
    if record.compression == Record.compression:
        del document["compression"]
    text = json.dumps(document, indent=1, ensure_ascii=False).encode()
    return b"%08x\n%s\n" % (zlib.crc32(text), text)


def _copies(place: Place) -> list[bytes | None]:
    return place.read_all(f"ledger/{name}" for name in FILES)


def _document(content: bytes | None) -> dict[str, Any] | None:
    """Document of a file that is there and whole."""
    head, _, text = (content or b"").partition(b"\n")
    text = text.removesuffix(b"\n")
    return json.loads(text) if head == b"%08x" % zlib.crc32(text) else None


def _problem(place: Place) -> str:
    if exists(place):
        return f"{place}: both copies of ledger/record.json are damaged; delete the store and write it again."
    root = place.read("zarr.json")
    if root is None and not place.children():
        return f"{access.shown(str(place))}: there is no such store."
    try:
        attributes = json.loads(root or b"").get("attributes", {})
    except ValueError:
        attributes = {}
    if attributes.get("facies_xr_store") == FORMAT:
        return f"{place}: both copies of ledger/record.json are missing; delete the store and write it again."
    if "facies_xr_store" in attributes:
        return _other_format(place, 1)
    return (
        f"{place} has no ledger: facies_xr did not write it, or did not finish creating it. To read it, write it with "
        "fx.write(dataset, path) first; to write to it, choose another name."
    )


def _other_format(place: Place, written: Any) -> str:
    return (
        f"{place} has format {written} of stores, this version of facies_xr reads {FORMAT}; write it again to another "
        "path, or use the version that wrote it."
    )

"""What a store is: the one document whose replacement commits dates.

It stands twice in the folder ``ledger``, each copy with its own checksum, so that damage to one is seen and mended.
"""

import json
import os
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import access
from ..errors import StoreError

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

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Record of a store; its copy, where one of them is damaged.

        Raises
        ------
        StoreError
            If there is no store, it has another format, or both copies are damaged.
        """
        documents = [_read(path / "ledger" / name) for name in FILES]
        intact = next((document for document in documents if document), None)
        if intact is None:
            raise StoreError(_problem(path))
        written = intact.pop("format", None)
        if written != FORMAT:
            raise StoreError(_other_format(path, written))
        return cls(**intact)

    def write(self, path: Path) -> None:
        """Replace the record of a store, in one step, then its copy."""
        for name in FILES:
            replace_file(path / "ledger" / name, _bytes(self))

    def damaged(self, path: Path) -> list[str]:
        """Copies that are missing, damaged, or older than this one."""
        return [f"ledger/{name}" for name in FILES if _content(path / "ledger" / name) != _bytes(self)]

    def with_dropped(self, date: str, reason: str) -> "Record":
        """Record that says why one more date is empty."""
        return replace(self, dropped=self.dropped | {date: reason})


def exists(path: Path) -> bool:
    """Whether a folder holds a store, perhaps a damaged one."""
    return any((path / "ledger" / name).exists() for name in FILES)


def checksum(file: Path) -> str:
    """CRC-32 of a file's bytes in hexadecimal, "missing" without the file."""
    content = _content(file)
    return "missing" if content is None else f"{zlib.crc32(content):08x}"


def replace_file(file: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it sees what was, or all of what is."""
    draft = file.with_name(f"{file.name}.partial")
    try:
        draft.write_bytes(content)
        os.replace(draft, file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _bytes(record: Record) -> bytes:
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False).encode()
    return b"%08x\n%s\n" % (zlib.crc32(text), text)


def _read(file: Path) -> dict[str, Any] | None:
    """Document of a file that is there and whole."""
    head, _, text = (_content(file) or b"").partition(b"\n")
    text = text.removesuffix(b"\n")
    return json.loads(text) if head == b"%08x" % zlib.crc32(text) else None


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _problem(path: Path) -> str:
    if exists(path):
        return f"{path}: both copies of ledger/record.json are damaged; delete the store and write it again."
    if not path.exists():
        return f"{access.shown(str(path))}: there is no such store."
    try:
        attributes = json.loads((path / "zarr.json").read_text()).get("attributes", {})
    except (OSError, ValueError):
        attributes = {}
    if attributes.get("facies_xr_store") == FORMAT:
        return f"{path}: both copies of ledger/record.json are missing; delete the store and write it again."
    if "facies_xr_store" in attributes:
        return _other_format(path, 1)
    return f"{path} has no ledger: facies_xr did not write it, or did not finish creating it; choose another name."


def _other_format(path: Path, written: Any) -> str:
    return (
        f"{path} has format {written} of stores, this version of facies_xr reads {FORMAT}; write it again to another "
        "path, or use the version that wrote it."
    )

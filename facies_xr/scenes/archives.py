"""Products as the archives pack them: not read, but told apart by their names, with what to do."""

import re
from pathlib import Path

from ..errors import CatalogError

_PACKED = re.compile(r"(S2.*\.zip|L.*\.(tar|tgz|tar\.gz))", re.IGNORECASE)


def is_packed(path: Path) -> bool:
    """Whether a file is a packed product, by its name."""
    return _PACKED.fullmatch(path.name) is not None


def unread(path: Path) -> CatalogError:
    """The error that says how to unpack a product."""
    command = "unzip" if path.suffix.lower() == ".zip" else "tar -xf"
    return CatalogError(f"{path.name}: still packed; unpack it ({command} {path.name}) and give the folder.")


def require_unpacked(path: Path) -> None:
    """Refuse a packed product."""
    if is_packed(path):
        raise unread(path)

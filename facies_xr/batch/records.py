"""Records of what is done: small JSON documents, each with a checksum of itself, written whole or not at all."""

import json
import zlib
from typing import Any

from ..store import Place


def put(place: Place, key: str, told: dict[str, Any]) -> None:
    """Write a record, whole or not at all, with a checksum of itself."""
    text = json.dumps(told).encode()
    place.write(key, b"%08x %s\n" % (zlib.crc32(text), text))


def read(content: bytes | None) -> dict[str, Any] | None:
    """A record; None if it is missing or damaged."""
    head, _, text = (content or b"").strip().partition(b" ")
    return json.loads(text) if head == b"%08x" % zlib.crc32(text) and text else None

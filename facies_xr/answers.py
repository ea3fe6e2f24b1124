"""Answers of STAC APIs on disk, so that a search that was stopped does not ask again for what it has."""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import access

KEPT_FOR = 86_400.0
"""Time after which an answer is asked for again: catalogues grow. [s]"""


class Answers:
    """A folder with a file for each query that was answered to its last page.

    Nothing in it is secret: passwords and queries of addresses, which may hold signatures, are left out, and links. A
    file that is damaged, too old, or of the future counts as none.

    Parameters
    ----------
    folder : path
        Made if need be; may be deleted at any time.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def get(self, url: str, query: Mapping[str, Any]) -> list[Any] | None:
        """Items of an answer; None if it must be asked for."""
        file = self._file(url, query)
        try:
            head, text = file.read_bytes().split(b"\n", 1)
            told = json.loads(text) if head == b"%08x" % zlib.crc32(text) else {}
        except (OSError, ValueError):
            return None
        if told and 0 <= time.time() - told["asked"] < KEPT_FOR:
            return told["items"]
        with suppress(OSError):
            file.unlink()
        return None

    def put(self, url: str, query: Mapping[str, Any], items: list[Any]) -> list[Any]:
        """Keep an answer, and give it as it is kept."""
        kept = [_without_secrets(item) for item in items]
        text = json.dumps({"asked": time.time(), "items": kept}).encode()
        file = self._file(url, query)
        draft = file.with_suffix(f".{os.getpid()}.partial")
        with suppress(OSError):  # a disk that is full costs the next search its answers, not this one
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(b"%08x\n%s" % (zlib.crc32(text), text))
            os.replace(draft, file)
        return kept

    def _file(self, url: str, query: Mapping[str, Any]) -> Path:
        asked = json.dumps([access.shown(url), query], sort_keys=True)
        return self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"


def _without_secrets(item: Any) -> Any:
    return (
        unsigned({**item, "links": []}, lambda text: "://" in text or "?" in text) if isinstance(item, dict) else item
    )


def unsigned(value: Any, is_address: Callable[[str], bool] = access.is_remote) -> Any:
    """JSON whose addresses have neither passwords nor signatures."""
    if isinstance(value, dict):
        return {key: unsigned(each, is_address) for key, each in value.items()}
    if isinstance(value, list):
        return [unsigned(each, is_address) for each in value]
    return access.shown(value) if isinstance(value, str) and is_address(value) else value

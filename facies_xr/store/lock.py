"""One writer at a time: a lock with an owner, a heartbeat and an expiry."""

import json
import os
import platform
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import StoreError

BEAT = 10.0
"""Time between two signs of life of a writer. [s]"""

EXPIRY = 120.0
"""Time without a sign of life after which a writer on another machine counts as dead. [s]"""

POLL = 0.2
"""Time between two looks at another writer's lock. [s]"""


class FolderLock:
    """Lock in a folder that all writers see, as a context; only the creation of a file decides.

    Locks are files ``writer.1``, ``writer.2``, ...; the owner is who created the one with the largest number. Nobody
    ever removes another's lock to take it: a dead owner's is succeeded by the next number, which only one can create.

    Parameters
    ----------
    folder : Path
        Made if need be.
    name : str
        What is locked, for messages.
    wait : float
        How long to wait for another writer. [s]

    Raises
    ------
    StoreError
        On entering, if another writer is at work; from :meth:`check`, if the lock was lost.
    """

    def __init__(self, folder: Path, name: str, wait: float = 0.0):
        self.folder, self.name, self.wait = folder, name, wait
        self._owner = {"host": _host(), "pid": os.getpid(), "token": uuid4().hex, "since": _now_text()}
        self._file: Path | None = None
        self._stopped = threading.Event()

    def __enter__(self) -> "FolderLock":
        end = time.monotonic() + self.wait
        while (other := self._try()) is not None:
            if time.monotonic() >= end:
                raise StoreError(
                    f"{self.name} is being written by process {other.get('pid', '?')} on "
                    f"{other.get('host', '?').split()[0]} since {other.get('since', '?')}. Wait for it (wait=600), or "
                    "write to another path."
                )
            time.sleep(POLL)
        threading.Thread(target=self._beat, daemon=True, name=f"heartbeat of {self.name}").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._file is not None and _owner(self._file) == self._owner:
            self._file.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse to go on if this process was taken for dead and another writes in its stead."""
        if self._file is None or _owner(self._file) != self._owner or _locks(self.folder)[-1] != self._file:
            raise StoreError(
                f"{self.name}: this process gave no sign of life for more than {EXPIRY:.0f} s and another writer took "
                "over. What was finished is kept; run again when it is done."
            )

    def _try(self) -> dict[str, Any] | None:
        """Take the lock, or say who has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        older = _locks(self.folder)
        if older and _alive(older[-1]):
            return _owner(older[-1])
        mine = self.folder / f"writer.{1 + max(map(_number, older), default=0)}"
        try:
            handle = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return _owner(mine)
        except FileNotFoundError:  # another writer failed to create a store and removed the folder
            return self._try()
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(self._owner, file)
        except OSError:
            mine.unlink()
            raise
        # Another may have started from a number that was released since: both see each other here, and step back.
        rival = next((lock for lock in _locks(self.folder) if lock != mine and _alive(lock)), None)
        if rival is not None:
            mine.unlink()
            return _owner(rival)
        for lock in older:
            lock.unlink(missing_ok=True)
        self._file = mine
        return None

    def _beat(self) -> None:
        assert self._file is not None
        while not self._stopped.wait(BEAT):
            with suppress(OSError):
                os.utime(self._file)


def being_written(folder: Path) -> bool:
    """Whether a writer that is alive holds the lock of a folder."""
    locks = _locks(folder)
    return bool(locks) and _alive(locks[-1])


def _locks(folder: Path) -> list[Path]:
    return sorted((f for f in folder.glob("writer.*") if f.suffix[1:].isdigit()), key=_number)


def _number(lock: Path) -> int:
    return int(lock.suffix[1:])


def _owner(lock: Path) -> dict[str, Any]:
    """What a lock says of its owner; nothing while it is being written, or gone."""
    try:
        return json.loads(lock.read_text())
    except (OSError, ValueError):
        return {}


def _alive(lock: Path) -> bool:
    owner = _owner(lock)
    if owner.get("host") == _host() and not _runs(owner["pid"]):
        return False
    try:
        return _clock(lock.parent) - lock.stat().st_mtime < EXPIRY
    except FileNotFoundError:
        return False


def _clock(folder: Path) -> float:
    """Time as the folder's file system sees it, which may be another machine's. [s]"""
    probe = folder / f"clock.{uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    """The machine and, where there are such, the space in which its process numbers hold."""
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _now_text() -> str:
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")

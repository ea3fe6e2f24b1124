"""One writer at a time: a lock with an owner, a heartbeat and an expiry."""

import json
import os
import platform
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import StoreError
from .conditional import conditional
from .place import Folder, Objects, Place

BEAT = 10.0
"""Time between two signs of life of a writer. [s]"""

EXPIRY = 120.0
"""Time without a sign of life after which a writer on another machine counts as dead. [s]"""

POLL = 0.2
"""Time between two looks at another writer's lock. [s]"""


class Lock(ABC):
    """Lock at a place that all writers see, as a context; only the creation of an entry decides.

    Entries are ``writer.1``, ``writer.2``, ...; the owner is who created the one with the largest number. Nobody
    ever removes another's entry to take the lock: a dead owner's is succeeded by the next number, which only one can
    create.

    Parameters
    ----------
    name : str
        What is locked, for messages.
    wait : float
        How long to wait for another writer. [s]

    Raises
    ------
    StoreError
        On entering, if another writer is at work; from :meth:`check`, if the lock was lost.
    """

    def __init__(self, name: str, wait: float = 0.0):
        self.name, self.wait = name, wait
        self._owner = {"host": _host(), "pid": os.getpid(), "token": uuid4().hex, "since": _now_text()}
        self._mine: int | None = None
        self._stopped = threading.Event()

    @abstractmethod
    def _numbers(self) -> list[int]:
        """Numbers of all entries, in order."""

    @abstractmethod
    def _content(self, number: int) -> bytes | None:
        """What an entry says."""

    @abstractmethod
    def _create(self, number: int, content: bytes) -> bool:
        """Create an entry; False if it is there."""

    @abstractmethod
    def _refresh(self, number: int, content: bytes) -> None:
        """Give a sign of life in the own entry, if it is still there."""

    @abstractmethod
    def _remove(self, number: int) -> None:
        """Remove an entry that may be there."""

    @abstractmethod
    def _age(self, number: int) -> float | None:
        """Time since an entry's last sign of life, as the place sees it; None if it is gone. [s]"""

    def __enter__(self) -> "Lock":
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
        if self._mine is not None and self._owner_of(self._mine) == self._owner:
            with suppress(OSError):  # a place that cannot be written any more: the entry expires
                self._remove(self._mine)

    def check(self) -> None:
        """Refuse to go on if this process was taken for dead and another writes in its stead."""
        mine = self._mine
        if mine is None or self._owner_of(mine) != self._owner or self._numbers()[-1] != mine:
            raise StoreError(
                f"{self.name}: this process gave no sign of life for more than {EXPIRY:.0f} s and another writer took "
                "over. What was finished is kept; run again when it is done."
            )

    def held(self) -> bool:
        """Whether a writer that is alive holds it."""
        numbers = self._numbers()
        return bool(numbers) and self._alive(numbers[-1])

    def _try(self) -> dict[str, Any] | None:
        """Take the lock, or say who has it."""
        older = self._numbers()
        if older and self._alive(older[-1]):
            return self._owner_of(older[-1])
        mine = 1 + (older[-1] if older else 0)
        if not self._create(mine, json.dumps(self._owner).encode()):
            return self._owner_of(mine)
        # Another may have started from a number that was released since: both see each other here, and step back.
        rival = next((number for number in self._numbers() if number != mine and self._alive(number)), None)
        if rival is not None:
            self._remove(mine)
            return self._owner_of(rival)
        for number in older:
            self._remove(number)
        self._mine = mine
        return None

    def _owner_of(self, number: int) -> dict[str, Any]:
        """What an entry says of its owner; nothing while it is being written, or gone."""
        try:
            return json.loads(self._content(number) or b"{}")
        except (OSError, ValueError):
            return {}

    def _alive(self, number: int) -> bool:
        owner = self._owner_of(number)
        if owner.get("host") == _host() and not _runs(owner["pid"]):
            return False
        age = self._age(number)
        return age is not None and age < EXPIRY

    def _beat(self) -> None:
        assert self._mine is not None
        while not self._stopped.wait(BEAT):
            with suppress(OSError):
                self._refresh(self._mine, json.dumps(self._owner).encode())


class FolderLock(Lock):
    """Lock in a folder.

    Parameters
    ----------
    folder : Path
        Made if need be.
    name : str
        What is locked, for messages.
    wait : float
        How long to wait for another writer. [s]
    """

    def __init__(self, folder: Path, name: str, wait: float = 0.0):
        super().__init__(name, wait)
        self.folder = folder

    def _file(self, number: int) -> Path:
        return self.folder / f"writer.{number}"

    def _numbers(self) -> list[int]:
        return _sorted_numbers(file.name for file in self.folder.glob("writer.*"))

    def _content(self, number: int) -> bytes | None:
        return self._file(number).read_bytes()

    def _create(self, number: int, content: bytes) -> bool:
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(self._file(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                return False
            except FileNotFoundError:  # another writer failed to create a store and removed the folder
                continue
            break
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except OSError:
            self._remove(number)
            raise
        return True

    def _refresh(self, number: int, content: bytes) -> None:
        os.utime(self._file(number))

    def _remove(self, number: int) -> None:
        self._file(number).unlink(missing_ok=True)

    def _age(self, number: int) -> float | None:
        try:
            return self._clock() - self._file(number).stat().st_mtime
        except FileNotFoundError:
            return None

    def _clock(self) -> float:
        """Time as the folder's file system sees it, which may be another machine's. [s]"""
        probe = self.folder / f"clock.{uuid4().hex}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        except OSError:
            return time.time()
        finally:
            probe.unlink(missing_ok=True)


class ObjectLock(Lock):
    """Lock in an object store, by its conditional writes.

    Parameters
    ----------
    place : Objects
    name : str
        What is locked, for messages.
    wait : float
        How long to wait for another writer. [s]
    folder : str
        Below which the entries lie.

    Raises
    ------
    StoreError
        If the object store has no conditional writes that we know, or ignores them.
    """

    def __init__(self, place: Objects, name: str, wait: float = 0.0, folder: str = "ledger"):
        super().__init__(name, wait)
        self._place, self._writes, self._folder = place, conditional(place), folder

    def _key(self, number: int) -> str:
        return f"{self._folder}/writer.{number}"

    def _numbers(self) -> list[int]:
        return _sorted_numbers(self._place.children(self._folder))

    def _content(self, number: int) -> bytes | None:
        return self._place.read(self._key(number))

    def _create(self, number: int, content: bytes) -> bool:
        key = self._key(number)
        if not self._writes.create(key, content):
            return False
        if self._writes.create(key, content):  # old servers take the condition and do not look at it
            self._remove(number)
            raise StoreError(
                f"{self.name}: this object store ignores conditional writes (If-None-Match), without which two writers "
                "would destroy each other's results; write into a folder, and copy it."
            )
        return True

    def _refresh(self, number: int, content: bytes) -> None:
        self._writes.refresh(self._key(number), content)

    def _remove(self, number: int) -> None:
        self._place.remove(self._key(number))

    def _age(self, number: int) -> float | None:
        return self._writes.age(self._key(number))


def lock_of(place: Place, wait: float = 0.0, folder: str = "ledger") -> Lock:
    """The lock of a store, or of what else has a folder for its entries.

    Raises
    ------
    StoreError
        If the place is an object store without conditional writes.
    """
    if isinstance(place, Folder):
        return FolderLock(place.path / folder, place.name, wait)
    assert isinstance(place, Objects)
    return ObjectLock(place, place.name, wait, folder)


def being_written(place: Place) -> bool:
    """Whether a writer that is alive is at work."""
    try:
        return lock_of(place).held()
    except (StoreError, OSError):  # a place that can only be read
        return False


def _sorted_numbers(names: Any) -> list[int]:
    numbers = (name.removeprefix("writer.") for name in names if name.startswith("writer."))
    return sorted(int(number) for number in numbers if number.isdigit())


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

"""Writes to object stores that happen only if nobody else was there first."""

import threading
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from zarr.storage import FsspecStore, MemoryStore, ObjectStore

from ..errors import StoreError
from .place import Objects, protocols

REFUSED = ("PreconditionFailed", "ConditionalRequestConflict")
"""Codes with which S3 says that another was there first, or is at the same time."""


class Conditional(Protocol):
    """Conditional writes of one kind of object store."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there; False if it is."""

    def refresh(self, key: str, content: bytes) -> None:
        """Write what :meth:`create` wrote once more, if nobody changed or removed it."""

    def age(self, key: str) -> float | None:
        """Time since an object was written, by the clock of the store; None if it is gone. [s]"""


class InProcess:
    """A store in the memory of this process, whose writers live as long as it does."""

    _one_at_a_time = threading.Lock()

    def __init__(self, place: Objects):
        self._place = place

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there."""
        with self._one_at_a_time:
            if self._place.read(key) is not None:
                return False
            self._place.write(key, content)
            return True

    def refresh(self, key: str, content: bytes) -> None:
        """Nobody else judges by age."""

    def age(self, key: str) -> float | None:
        """Zero while it is there."""
        return None if self._place.read(key) is None else 0.0


class OfS3:
    """Amazon's S3 and what speaks its language with If-None-Match and If-Match, through s3fs."""

    def __init__(self, place: Objects):
        self._place = place
        self._filesystem: Any = place.store.fs  # type: ignore[attr-defined]
        self._tags: dict[str, str] = {}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there."""
        try:
            answer = self._place.run(self._filesystem._pipe_file(self._path(key), content, mode="create"))
        except OSError as error:
            if isinstance(error, FileExistsError) or _code(error) in REFUSED:
                return False
            raise
        self._tags[key] = answer["ETag"]
        return True

    def refresh(self, key: str, content: bytes) -> None:
        """Write what was created once more."""
        request = self._filesystem._pipe_file(self._path(key), content, IfMatch=self._tags[key])
        with suppress(OSError):
            self._tags[key] = self._place.run(request)["ETag"]

    def age(self, key: str) -> float | None:
        """Time since an object was written."""
        return _age(self._place, key, self._modified)

    def _modified(self, key: str) -> datetime | None:
        try:
            return self._place.run(self._filesystem._info(self._path(key), refresh=True))["LastModified"]
        except FileNotFoundError:
            return None

    def _path(self, key: str) -> str:
        return f"{self._place.store.path}/{key}"  # type: ignore[attr-defined]


class OfObstore:
    """Any store of obstore: Amazon's, Google's, Azure's."""

    def __init__(self, place: Objects):
        self._place = place
        self._store: Any = place.store.store  # type: ignore[attr-defined]
        self._tags: dict[str, Any] = {}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            self._tags[key] = obstore.put(self._store, key, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def refresh(self, key: str, content: bytes) -> None:
        """Write what was created once more."""
        import obstore
        from obstore.exceptions import BaseError

        with suppress(BaseError, OSError):
            self._tags[key] = obstore.put(self._store, key, content, mode=_stated(self._tags[key]))

    def age(self, key: str) -> float | None:
        """Time since an object was written."""
        return _age(self._place, key, self._modified)

    def _modified(self, key: str) -> datetime | None:
        import obstore

        try:
            return obstore.head(self._store, key)["last_modified"]
        except FileNotFoundError:
            return None


def conditional(place: Objects) -> Conditional:
    """The conditional writes of an object store.

    Raises
    ------
    StoreError
        If there are none that we know.
    """
    store = place.store
    if isinstance(store, MemoryStore):
        return InProcess(place)
    if isinstance(store, ObjectStore) and type(store.store).__name__ != "LocalStore":
        return OfObstore(place)
    if isinstance(store, FsspecStore):
        if "memory" in protocols(store.fs):
            return InProcess(place)
        if "s3" in protocols(store.fs):
            return OfS3(place)
    raise StoreError(
        f"{place}: facies_xr knows no conditional write of such a place ({type(store).__name__}), without which two "
        "writers would destroy each other's results; write into a folder and copy it, or to s3://, or through "
        "zarr.storage.ObjectStore (Google, Azure)."
    )


def _stated(version: Any) -> Any:
    """What an object store tells of the version of an object: its tag, its number, or both."""
    return {name: value for name, value in version.items() if value is not None}


def _age(place: Objects, key: str, modified: Any) -> float | None:
    """Time between the last write of an object and that of a probe."""
    probe = f"{key.rpartition('/')[0]}/clock.{uuid4().hex}"
    place.write(probe, b"")
    try:
        written, now = modified(key), modified(probe)
    finally:
        place.remove(probe)
    return None if written is None or now is None else (now - written).total_seconds()


def _code(error: OSError) -> str:
    answer = getattr(error.__cause__, "response", None) or {}
    return answer.get("Error", {}).get("Code", "")

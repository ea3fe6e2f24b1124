"""Where a store lies: a folder, or objects in an object store; and the few operations that a store is made of."""

import asyncio
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fsspec import FSMap
from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from .. import access
from ..errors import FaciesError, StoreError

Where = Any
"""A path, an address that fsspec knows, a mapper of fsspec, a Zarr store, or a :class:`Place`."""

AT_ONCE = 64
"""Objects that are read side by side."""


WHOLE = {"max_concurrency": 1}
"""Options of s3fs: objects are read in one request, without another that asks for their size; chunks are small."""


class Place(ABC):
    """What a store needs of the place where it lies. Keys are relative, with slashes; contents are bytes."""

    name: str
    """As messages show it."""

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Content, or None where there is nothing."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Replace the content in one step: whoever reads sees what was, or all of what is."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove what may be there."""

    @abstractmethod
    def remove_below(self, key: str) -> None:
        """Remove all that may lie below a key."""

    @abstractmethod
    def children(self, key: str = "") -> set[str]:
        """Names that lie directly below a key."""

    @abstractmethod
    def keys(self, below: str = "") -> set[str]:
        """Keys of all contents below a key; of an object store in listings of a thousand."""

    @abstractmethod
    def zarr(self, *, read_only: bool = False) -> Store:
        """The place as Zarr sees it."""

    def read_all(self, keys: Iterable[str]) -> list[bytes | None]:
        """Contents, side by side where that is faster."""
        return [self.read(key) for key in keys]

    def move(self, key: str, target: str) -> None:
        """Move a content from one key to another."""
        self.write(target, self.read(key) or b"")
        self.remove(key)

    @abstractmethod
    def clean(self) -> None:
        """Remove what a kill in the middle of a write left."""

    @abstractmethod
    def remove_if_empty(self) -> None:
        """Leave nothing where no store was made."""


class Folder(Place):
    """A folder of a file system.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.name = str(path)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def read(self, key: str) -> bytes | None:
        """Content, or None where there is nothing."""
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        """Replace a file in one step."""
        file = self.path / key
        draft = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}.partial")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(content)
            os.replace(draft, file)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def remove(self, key: str) -> None:
        """Remove a file that may be there."""
        (self.path / key).unlink(missing_ok=True)

    def remove_below(self, key: str) -> None:
        """Remove a folder that may be there."""
        shutil.rmtree(self.path / key, ignore_errors=True)

    def move(self, key: str, target: str) -> None:
        """Move a file."""
        (self.path / target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.path / key, self.path / target)

    def children(self, key: str = "") -> set[str]:
        """Names of the files and folders in a folder.

        Raises
        ------
        NotADirectoryError
        """
        folder = self.path / key
        return {file.name for file in folder.iterdir()} if folder.exists() else set()

    def keys(self, below: str = "") -> set[str]:
        """Keys of all files below a key."""
        found = set()
        for folder, _, names in os.walk(self.path / below):
            inside = Path(folder).relative_to(self.path).as_posix().removeprefix(".")
            found |= {f"{inside}/{name}".lstrip("/") for name in names}
        return found

    def zarr(self, *, read_only: bool = False) -> Store:
        """The folder as Zarr sees it."""
        return LocalStore(self.path, read_only=read_only)

    def clean(self) -> None:
        """Remove files that a kill left half written."""
        for stray in self.path.rglob("*.partial"):
            stray.unlink()

    def remove_if_empty(self) -> None:
        """Remove the folder if it holds nothing."""
        with suppress(OSError):
            (self.path / "ledger").rmdir()
            self.path.rmdir()


class Objects(Place):
    """Objects of an object store, through a Zarr store.

    Parameters
    ----------
    store : zarr Store
    name : str
        As messages show it.
    """

    def __init__(self, store: Store, name: str):
        self.store, self.name = store, name

    def read(self, key: str) -> bytes | None:
        """Content, or None where there is nothing."""
        return self.read_all([key])[0]

    def read_all(self, keys: Iterable[str]) -> list[bytes | None]:
        """Contents, some side by side."""

        async def read() -> list[bytes | None]:
            gate, prototype = asyncio.Semaphore(AT_ONCE), default_buffer_prototype()

            async def one(key: str) -> bytes | None:
                async with gate:
                    content = await self.store.get(key, prototype)
                return None if content is None else content.to_bytes()

            return await asyncio.gather(*map(one, keys))

        return self.run(read())

    def write(self, key: str, content: bytes) -> None:
        """Replace an object."""
        self.run(self.store.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def remove(self, key: str) -> None:
        """Remove an object that may be there."""
        self.run(self.store.delete(key))

    def remove_below(self, key: str) -> None:
        """Remove all objects below a key."""
        if self.children(key):
            self.run(self.store.delete_dir(key))

    def children(self, key: str = "") -> set[str]:
        """Names directly below a key."""
        self._look_again()

        async def names() -> set[str]:
            return {name.strip("/").split("/")[-1] async for name in self.store.list_dir(key)} - {""}

        return self.run(names())

    def keys(self, below: str = "") -> set[str]:
        """Keys of all objects below a key."""
        self._look_again()

        async def names() -> set[str]:
            return {name async for name in self.store.list_prefix(below.rstrip("/") + "/" if below else "")}

        return self.run(names())

    def zarr(self, *, read_only: bool = False) -> Store:
        """The store itself."""
        self._look_again()
        return self.store.with_read_only(True) if read_only and not self.store.read_only else self.store

    def clean(self) -> None:
        """Nothing: objects are there as a whole or not at all."""

    def remove_if_empty(self) -> None:
        """Nothing: there are no folders."""

    def run(self, request: Any) -> Any:
        """Answer of a request to the store.

        Raises
        ------
        OSError
            Whatever the library of the store raises, such as botocore's errors of credentials and connections.
        """
        try:
            return sync(request)
        except (OSError, FaciesError):
            raise
        except Exception as error:
            failure = f"{type(error).__name__}: {access.reason(error)}"
        raise OSError(failure)

    def _look_again(self) -> None:
        """Forget listings that fsspec keeps: other writers add objects."""
        if isinstance(self.store, FsspecStore):
            self.store.fs.invalidate_cache()


def place_of(where: Where) -> Place:
    """The place that a user means.

    Parameters
    ----------
    where : str, Path, fsspec mapper, zarr Store or Place
        An address is one that fsspec knows (``s3://bucket/maps.zarr``, ``memory://maps.zarr``, ``file:///...``); its
        credentials are those of the environment.

    Raises
    ------
    StoreError
        If it is none of these, or what opens such an address is not installed.
    """
    if isinstance(where, Place):
        return where
    if isinstance(where, str | os.PathLike):
        text = os.fspath(where)
        if text.startswith("file://"):
            return Folder(url2pathname(urlsplit(text).path))
        return _of_address(text) if access.is_remote(text) else Folder(where)
    if isinstance(where, FSMap):
        if "file" in protocols(where.fs):
            return Folder(where.root)
        return Objects(FsspecStore.from_mapper(where), f"{protocols(where.fs)[0]}://{where.root.lstrip('/')}")
    if isinstance(where, LocalStore):
        return Folder(where.root)
    if isinstance(where, Store):
        return Objects(where, access.shown(_name_of(where)))
    raise StoreError(
        f"{where!r} ({type(where).__name__}) is no place for a store; give a path, an address such as "
        "s3://bucket/maps.zarr, a mapper of fsspec or a Zarr store."
    )


def _of_address(address: str) -> Place:
    name = access.shown(address)
    try:
        return Objects(FsspecStore.from_url(address, WHOLE if address.startswith("s3://") else {}), name)
    except ImportError as error:
        raise StoreError(
            f'{name} needs a library that is not installed ({error}); for s3:// pip install "facies_xr[cloud]".'
        ) from None
    except ValueError as error:
        raise StoreError(f"{name} is no address that fsspec knows: {access.reason(error)}.") from None
    except OSError as error:
        raise StoreError(f"{name} cannot be opened: {access.reason(error)}") from None


def _name_of(store: Store) -> str:
    if isinstance(store, FsspecStore):
        return f"{protocols(store.fs)[0]}://{store.path.lstrip('/')}"
    return str(store)


def protocols(filesystem: Any) -> tuple[str, ...]:
    """Names by which fsspec knows a file system."""
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)

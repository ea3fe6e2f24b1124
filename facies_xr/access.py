"""Files on disk, on the web and in object stores: credentials, signing, retries, and what may be shown of a name.

Credentials come from the user's environment and go to GDAL or s3fs at the moment of reading. They are in no object of
this package, so they cannot end up in a graph, a log, an attribute or a store.
"""

import os
import posixpath
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from . import buckets, web
from .errors import AccessError, MetadataError

T = TypeVar("T")

GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "VSI_CACHE": "TRUE",
}
"""Options of every read; those that the environment sets are left to it."""

ATTEMPTS = 4
"""How often a read from the web is tried before it fails."""

FIRST_DELAY = 0.5
"""Wait after the first failure, doubled after each further one. [s]"""

LASTING = re.compile(
    r"code\D{0,40}40[0134]\b|\b40[0134] Client Error|Access ?Denied|NoSuchKey|NoSuchBucket|InvalidAccessKeyId"
)
"""What a reading library says of a failure that another attempt cannot mend.

GDAL's "does not exist in the file system, and is not recognized" is no such word: it says so of a reset connection.
"""


SIGN_IN = {
    "landsatlook.usgs.gov": "its https files need an EROS sign-in; use items that name their s3:// files too",
    "zipper.dataspace.copernicus.eu": "its https files need a token; use the item's s3:// files",
    "download.dataspace.copernicus.eu": "its https files need a token; use the item's s3:// files",
}
"""Hosts that answer only after a sign-in that GDAL cannot make."""


SCHEMES = ("file", "http", "https", "s3", "gs")
"""Of addresses that items may hold."""


def is_remote(href: str) -> bool:
    """Whether a file is not on a disk of this machine."""
    return "://" in href and not href.startswith("file://")


def shown(text: str) -> str:
    """A name or message as it may be shown.

    Without passwords, without queries of URLs, which may hold signatures, and without signs that steer a terminal.
    """
    text = re.sub(r"(\w+:/{1,2})[^\s/@'\"]*@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)
    text = re.sub(r"\?[^\s?'\"]*=[^\s'\"]*", "", text)
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "?", text)


def suffix(href: str) -> str:
    """Suffix of a file's name in small letters, whatever query follows it."""
    return posixpath.splitext(_parts(href).path if "://" in href else href)[1].lower()


def _parts(href: str) -> SplitResult:
    try:
        return urlsplit(href)
    except ValueError:
        raise MetadataError(f"{shown(href)} is no address.") from None


def check_address(href: str, base: str | None = None) -> None:
    """Refuse an address in an item that leads elsewhere than to one plain file.

    Parameters
    ----------
    href : str
        Absolute address.
    base : str, optional
        Where the item comes from; one from beyond this machine's own network cannot name files in it.

    Raises
    ------
    MetadataError
        If it is one of GDAL's virtual files or subdatasets, has a scheme that is not one of :data:`SCHEMES`, or is
        local and the item is not.
    """
    parts = _parts(href)
    virtual = parts.path.startswith("/vsi") or href.lstrip().startswith("<") or re.match(r"\w{2,}:(?!//)", href)
    if virtual or ("://" in href and parts.scheme not in SCHEMES):
        raise MetadataError(
            f"{shown(href)} is no plain file; facies_xr opens files on disk and {', '.join(SCHEMES[1:])} addresses."
        )
    if base is not None and is_remote(base) and not web.is_local(base):
        if not is_remote(href):
            raise MetadataError(f"{shown(href)} is a file of this machine, named by an item of {shown(base)}.")
        if web.is_local(href):
            raise MetadataError(f"{shown(href)} lies in this machine's own network, but its item on {shown(base)}.")


def needs_sign_in(href: str) -> bool:
    """Whether a file stands behind a website's sign-in."""
    return _parts(href).hostname in SIGN_IN


def check(href: str) -> None:
    """Refuse a file that the environment has no credentials for, before anything is read.

    Raises
    ------
    AccessError
        Names the credential and where to get it.
    """
    parts = urlsplit(str(href))
    if parts.scheme == "s3":
        buckets.session(parts.netloc)
    elif needs_sign_in(href):
        raise AccessError(
            f"{shown(href)}: {parts.hostname} cannot be read without a sign-in: {SIGN_IN[str(parts.hostname)]}."
        )


@contextmanager
def opened(href: str, driver: str | None = None) -> Iterator[DatasetReader]:
    """A raster file, open for reading, with the options and credentials that its place asks for.

    Parameters
    ----------
    href : str
    driver : str, optional
        Format that it must have, by GDAL's name; by default any.
    """
    options = {name: value for name, value in GDAL_OPTIONS.items() if name not in os.environ}
    if not is_remote(href):
        options.pop("GDAL_DISABLE_READDIR_ON_OPEN", None)  # what lies beside a file may say where it has no data
    parts = urlsplit(href)
    session = None
    if parts.scheme == "s3":
        session = buckets.session(parts.netloc)
        options |= buckets.endpoint(parts.netloc)[1]
    elif (parts.hostname or "").endswith(".blob.core.windows.net"):
        href = _signed(href)
    with rasterio.Env(session, **options), rasterio.open(href, driver=driver) as file:
        yield file


def read_text(href: str) -> str:
    """Content of a small text file, such as the metadata of a scene.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or is beyond the limits of :mod:`facies_xr.web`.
    UnicodeDecodeError
    """
    scheme = urlsplit(href).scheme
    read = _read_web if scheme in ("http", "https") else _read_store if is_remote(href) else _read_disk
    return retried(lambda: read(href), href, (OSError, *_client_errors())).decode("utf-8-sig")


def _read_web(href: str) -> bytes:
    if (urlsplit(href).hostname or "").endswith(".blob.core.windows.net"):
        href = _signed(href)
    try:
        return web.read(href)
    except web.BeyondLimits:
        raise
    except OSError as error:  # it carries the request, signature and all, and would travel with an error from a worker
        failure = reason(error)
    raise OSError(failure)


def _read_store(href: str) -> bytes:
    import fsspec

    parts = urlsplit(href)
    options = buckets.s3fs_options(parts.netloc) if parts.scheme == "s3" else {}
    with fsspec.open(href, "rb", **options) as file:
        return _limited(file)


def _read_disk(href: str) -> bytes:
    path = Path(url2pathname(urlsplit(href).path) if href.startswith("file://") else href)
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise web.BeyondLimits(f"{path} is no regular file")
    with path.open("rb") as file:
        return _limited(file)


def _limited(file: BinaryIO) -> bytes:
    content = file.read(web.LIMIT + 1)
    if len(content) > web.LIMIT:
        raise web.BeyondLimits(f"it is larger than {web.LIMIT / 2**20:.0f} MiB")
    return content


def retried(read: Callable[[], T], href: str, errors: tuple[type[BaseException], ...] = (OSError, RasterioError)) -> T:
    """What a function reads, tried again where the web fails for a while; local files are tried once."""
    attempts = ATTEMPTS if is_remote(href) else 1
    for attempt in range(attempts):
        try:
            with anew(href) if attempt else nullcontext():
                return read()
        except errors as error:
            lasts = isinstance(error, FileNotFoundError | web.BeyondLimits) or LASTING.search(_told(error))
            if attempt + 1 == attempts or lasts:
                raise
            time.sleep(FIRST_DELAY * 2**attempt)
    raise AssertionError("unreachable")


def anew(href: str) -> rasterio.Env:
    """Context in which a file on the web is read as it is now: GDAL remembers what it saw of it, a failure too."""
    return rasterio.Env(CPL_VSIL_CURL_NON_CACHED=_vsi(href))


def reason(error: BaseException) -> str:
    """First line of what went wrong, fit to be shown."""
    return shown((str(error.__cause__ or "") or str(error) or type(error).__name__).splitlines()[0])


def _told(error: BaseException | None) -> str:
    return f"{error} {_told(error.__cause__)}" if error is not None else ""


def _signed(href: str) -> str:
    """A Planetary Computer file with the token of the moment; the library keeps tokens until they expire."""
    try:
        import planetary_computer
    except ImportError:
        raise AccessError(
            f'{shown(href)} must be signed; install what signs it with: pip install "facies_xr[cloud]".'
        ) from None
    try:
        return planetary_computer.sign_url(href)
    except Exception as error:  # requests' and pydantic's errors alike: there is no token
        raise AccessError(f"{shown(href)} cannot be signed: {reason(error)}.") from error


def _vsi(href: str) -> str:
    """GDAL's name of a file on the web, so that what a failed read left in its cache is not read again."""
    if href.startswith("s3://"):
        return "/vsis3/" + href[5:]
    return "/vsicurl/" + href


def _client_errors() -> tuple[type[BaseException], ...]:
    try:
        from aiohttp import ClientError
    except ImportError:
        return ()
    return (ClientError, TimeoutError)

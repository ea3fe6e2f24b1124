"""HTTP for catalogues and metadata: bounded in size and time, and no way from a stranger's server to this machine."""

import io
import ipaddress
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

LIMIT = 256 * 2**20
"""Largest metadata file or page of a catalogue. [byte]"""

PATIENCE = 300.0
"""What one answer may take in all. [s]"""

TIMEOUT = (20.0, 60.0)
"""Patience for a connection and for the next bytes. [s]"""


class BeyondLimits(OSError):
    """An answer or a file that another attempt would not make smaller or nearer."""


def is_local(address: str) -> bool:
    """Whether an address names this machine or its network."""
    host = urlsplit(address).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def session(home: str, retries: Any = 0) -> requests.Session:
    """Session for the files of one server.

    Parameters
    ----------
    home : str
        Address that the user gave; only if it is local itself may the server lead to local addresses.
    retries : int or urllib3.Retry
    """
    made = requests.Session()
    bind(made, home, retries)
    return made


def bind(made: requests.Session, home: str, retries: Any) -> None:
    """Let a session keep to the limits."""
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Bounded(is_local(home), max_retries=retries))


def read(address: str) -> bytes:
    """Content of a file.

    Raises
    ------
    OSError
        If it cannot be read; :class:`BeyondLimits` if it is too large or too slow, or leads to this machine.
    """
    with session(address) as made:
        answer = made.get(address, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.content


class _Bounded(HTTPAdapter):
    def __init__(self, local: bool, **options: Any):
        self.local = local
        super().__init__(**options)

    def send(self, request, **options: Any) -> requests.Response:  # type: ignore[override]
        """Ask, redirections included, and read the whole answer within the limits."""
        if is_local(request.url) and not self.local:
            raise BeyondLimits(
                f"it leads to {urlsplit(request.url).hostname}, which lies in this machine's own network"
            )
        answer = super().send(request, **{**options, "stream": True})
        end, content = time.monotonic() + PATIENCE, io.BytesIO()
        while part := answer.raw.read1(2**16, decode_content=True):
            content.write(part)
            if content.tell() > LIMIT:
                answer.close()
                raise BeyondLimits(f"it is larger than {LIMIT / 2**20:.0f} MiB")
            if time.monotonic() > end:
                answer.close()
                raise BeyondLimits(f"it takes longer than {PATIENCE:.0f} s")
        content.seek(0)
        answer.raw = content
        return answer

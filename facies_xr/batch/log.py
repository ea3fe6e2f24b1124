"""The log of a run: one JSON line a unit, in the order in which they ended."""

import json
import os
import time
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from typing import Any

from ..store import Folder, Place

FOLDER = "batch/log"

EVERY = 30.0
"""Time between two objects of a log that lies in an object store, where nothing can be appended. [s]"""


class Log:
    """Writer of the log of this run, as a context.

    In a folder it is one file, appended to as units end; in an object store a part is added every half minute.

    Parameters
    ----------
    place : Place
        Where the archive lies.
    """

    def __init__(self, place: Place):
        self._place = place
        self._name = f"{FOLDER}/{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
        self._lines: list[str] = []
        self._parts, self._written = 0, time.monotonic()

    def __enter__(self) -> "Log":
        if isinstance(self._place, Folder):
            (self._place.path / FOLDER).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def __call__(self, told: dict[str, Any]) -> None:
        """Add a line."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._lines.append(json.dumps({"time": now, **told}))
        if isinstance(self._place, Folder) or time.monotonic() - self._written > EVERY:
            self._flush()

    def _flush(self) -> None:
        """Write what was not written yet; what cannot be written now is tried again with the next."""
        if not self._lines:
            return
        text, self._written = "\n".join(self._lines) + "\n", time.monotonic()
        with suppress(OSError):
            if isinstance(self._place, Folder):
                with (self._place.path / f"{self._name}.jsonl").open("a") as file:
                    file.write(text)
            else:
                self._place.write(f"{self._name}.{self._parts:04d}.jsonl", text.encode())
                self._parts += 1
            self._lines.clear()


def elapsed(place: Place) -> float:
    """Time in which units ended, over all runs, by their logs. [s]"""
    ends: defaultdict[str, list[datetime]] = defaultdict(list)
    keys = sorted(place.keys(FOLDER))
    for key, content in zip(keys, place.read_all(keys), strict=True):
        if lines := (content or b"").splitlines():
            run = key.removeprefix(f"{FOLDER}/").split(".")[0]
            ends[run] += [datetime.fromisoformat(json.loads(line)["time"]) for line in (lines[0], lines[-1])]
    return sum(max((max(times) - min(times)).total_seconds(), 1.0) for times in ends.values())


def span(seconds: float) -> str:
    """A time in words, in the unit that fits it. [s]"""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"

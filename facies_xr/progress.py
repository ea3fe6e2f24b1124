"""Progress of long work: a bar in a terminal, one line a minute where none can be drawn."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

INTERVAL = 60.0
"""Between two lines, where there is no bar. [s]"""


class Tracker(Protocol):
    """Shows how far some work is."""

    def advance(self, steps: int = 1) -> None:
        """So many more steps are done."""

    def at(self, done: int) -> None:
        """So many steps are done in all."""


@contextmanager
def tracked(what: str, total: int, *, shown: bool = True, console: Console | None = None) -> Iterator[Tracker]:
    """Progress of some steps, for as long as the context lasts.

    Parameters
    ----------
    what : str
        What is counted, for example "tiles".
    total : int
        Number of steps.
    shown : bool
        Whether anything is shown at all.
    console : rich Console, optional
        Where; by default the standard error.
    """
    console = console or Console(stderr=True)
    if not shown:
        yield _Silent()
    elif _can_draw(console):
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            yield _Bar(bar, bar.add_task(what, total=total))
    else:
        lines = _Lines(what, total, console)
        yield lines
        lines.say()


def _can_draw(console: Console) -> bool:
    """Whether a bar can be drawn over itself: in a terminal, or in a notebook with widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class _Silent:
    def advance(self, steps: int = 1) -> None:
        pass

    def at(self, done: int) -> None:
        pass


class _Bar:
    def __init__(self, bar: Progress, row: TaskID):
        self.bar, self.row = bar, row

    def advance(self, steps: int = 1) -> None:
        self.bar.advance(self.row, steps)

    def at(self, done: int) -> None:
        self.bar.update(self.row, completed=done)


class _Lines:
    def __init__(self, what: str, total: int, console: Console):
        self.what, self.total, self.file = what, total, console.file or sys.stderr
        self.done, self.first, self.start, self.said = 0, 0, time.monotonic(), time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if time.monotonic() - self.said >= INTERVAL:
            self.say()

    def at(self, done: int) -> None:
        self.done = self.first = done

    def say(self) -> None:
        self.said = time.monotonic()
        seconds = self.said - self.start
        left = (self.total - self.done) * seconds / max(self.done - self.first, 1)
        more = f", about {left / 60:.0f} min left" if 0 < self.done < self.total else ""
        print(f"{self.what}: {self.done} of {self.total} in {seconds / 60:.0f} min{more}", file=self.file, flush=True)


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

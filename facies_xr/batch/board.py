"""How a run stands: a live board in the shell, and what the ledger says at any time, as a table or as one HTML page."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from ..progress import size
from .archive import Archive
from .log import elapsed, span

STAGES = ("read", "features", "inference", "write")
"""Stages of a unit, in their order."""


@dataclass
class Tally:
    """What the records of some units add up to."""

    total: int
    done: int = 0
    failed: int = 0
    pixels: int = 0
    read: int = 0
    """Source pixels, uncompressed. [byte]"""
    written: int = 0
    """Maps, uncompressed. [byte]"""
    seconds: Counter[str] = field(default_factory=Counter)
    """Spent by the workers on each stage."""
    running: int = 0
    elapsed: float = 0.0
    """[s]"""

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one more record."""
        if record["state"] == "failed":
            self.failed += 1
            return
        self.done += 1
        self.pixels += record["pixels"]
        self.read += record["bytes_read"]
        self.written += record["bytes_written"]
        self.seconds.update(record["seconds"])

    @property
    def slowest(self) -> str:
        """Stage on which the workers spend most of their time."""
        return max(STAGES, key=lambda stage: self.seconds[stage]) if self.done else "-"

    def facts(self) -> dict[str, str]:
        """What a board shows, in words."""
        left, ended = self.total - self.done - self.failed, self.done + self.failed
        rate = ended / self.elapsed if self.elapsed else 0.0
        per_second = {"pixels": self.pixels, "read": self.read, "written": self.written}
        speeds = {k: v / self.elapsed if self.elapsed else 0.0 for k, v in per_second.items()}
        whole = sum(self.seconds.values()) or 1.0
        return {
            "units": f"{self.done} done, {self.failed} failed, {self.running} running, {left} left of {self.total}",
            "speed": f"{rate:.2f} units/s, {speeds['pixels']:,.0f} pixels/s",
            "bytes": f"{size(speeds['read'])}/s read, {size(speeds['written'])}/s written",
            "time left": f"about {span(left / rate)}" if rate and left else "-",
            "stages": ", ".join(f"{stage} {100 * self.seconds[stage] / whole:.0f} %" for stage in STAGES),
            "slowest stage": self.slowest,
        }

    def __rich__(self) -> Table:
        table = Table(show_header=False, title="facies-xr batch")
        for name, value in self.facts().items():
            table.add_row(name, escape(value))
        return table


class Board:
    """Live board of a run, for ``run(board=...)``; a line a minute where none can be drawn.

    Parameters
    ----------
    console : rich Console, optional
    dashboard : str, optional
        Address of Dask's own dashboard, shown below.
    """

    def __init__(self, console: Console | None = None, dashboard: str | None = None):
        self.console, self.dashboard = console or Console(), dashboard
        self.tally, self._begin, self._said = Tally(0), time.monotonic(), time.monotonic()
        self._live = Live(console=self.console, refresh_per_second=4, get_renderable=lambda: self.tally)

    def __enter__(self) -> "Board":
        if self.dashboard:
            self.console.print(f"Dask's dashboard: {escape(self.dashboard)}")
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()
        else:
            self._say()

    def __call__(self, record: Mapping[str, Any], total: int, running: int) -> None:
        """Count a unit that ended."""
        self.tally.total, self.tally.running = total, running
        self.tally.elapsed = time.monotonic() - self._begin
        self.tally.add(record)
        if not self.console.is_terminal and time.monotonic() - self._said > 60:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        self.console.print("; ".join(self.tally.facts().values()), highlight=False, soft_wrap=True)


@dataclass(frozen=True, eq=False)
class Status:
    """How an archive stands, by its ledger."""

    archive: Archive
    tally: Tally
    zones: Mapping[str, tuple[int, int, int]]
    """Units done, failed and in all, by zone."""
    tiles: np.ndarray
    """Units done, failed and in all, of each tile. (tile, 3)"""
    failures: list[dict[str, Any]]

    def facts(self) -> dict[str, str]:
        """In words."""
        manifest = self.archive.manifest()
        return {
            "glaciers": f"{len(manifest.glaciers)} in {len(manifest.zones)} zones",
            "tiles and dates": f"{len(manifest.tiles)} tiles, {len(manifest.dates)} dates of regions",
            **{key: value for key, value in self.tally.facts().items() if self.tally.elapsed or key != "time left"},
        }

    def page(self) -> str:
        """One HTML page that needs nothing else."""
        from .page import page

        return page(self)

    def _repr_html_(self) -> str:
        from .page import card

        return card(self)


def status(store: str | Path) -> Status:
    """How a run stands, during and after it, from its records.

    Raises
    ------
    StoreError
        If the path is no archive.
    """
    archive = Archive.at(store)
    manifest = archive.manifest()
    tally = Tally(len(manifest.units))
    where = {(zone, f"{row}.{column}"): k for k, (zone, row, column) in enumerate(manifest.places)}
    tiles = np.zeros((len(manifest.tiles), 3), int)
    np.add.at(tiles[:, 2], manifest.units[:, 0], 1)
    failures = list(archive.records("failed"))
    for record in (*archive.records(), *failures):
        zone, _, tile = record["unit"].split("/")
        tiles[where[zone, tile], 0 if record["state"] == "done" else 1] += 1
        tally.add(record)
    tally.elapsed = elapsed(archive.place)
    zone_of = manifest.tiles["zone"].to_numpy()
    zones = {zone: tuple(tiles[zone_of == zone].sum(0).tolist()) for zone in manifest.zones}
    return Status(archive, tally, zones, tiles, failures)

"""The scenes that a search found."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pystac

from ..seasons import Season
from . import missions
from .items import content
from .scene import Scene


class Scenes(pystac.ItemCollection):
    """Items of a search, with a table of what was found by year and sensor (in a terminal or a notebook).

    Parameters
    ----------
    items : iterable of pystac.Item
    season : Season
        Window and balance years of the search.
    years : sequence of int
        Balance years that were asked for.
    left_out : mapping
        How many items were left out, by reason.
    scenes : sequence of Scene
        What the items say, one for each.
    """

    def __init__(
        self,
        items: Iterable[pystac.Item],
        season: Season,
        years: Sequence[int],
        left_out: Mapping[str, int],
        scenes: Sequence[Scene],
    ):
        window = (f"{season.month:02d}-{season.day:02d}", season.half_width)
        super().__init__(items, extra_fields={"facies_xr:season": window}, clone_items=False)
        self.season, self.years, self.left_out = season, tuple(years), dict(left_out)
        self._resolved = {scene.id: (_content(item), scene) for item, scene in zip(self.items, scenes, strict=True)}

    def resolved(self, item: pystac.Item) -> Scene | None:
        """What one of the items says, None if it was changed since the search."""
        known, scene = self._resolved.get(item.id, (None, None))
        return scene if known == _content(item) else None

    @property
    def counts(self) -> dict[int, Counter]:
        """Number of scenes by balance year and sensor; years without a scene too."""
        counts: dict[int, Counter] = {year: Counter() for year in self.years}
        for item in self.items:
            scene = scene_of(item, self)
            label = scene.sensor if scene.tier in ("", "T1") else f"{scene.sensor} {scene.tier}"
            counts[int(self.season.balance_year(scene.datetime)[0])][label] += 1
        return counts

    def kept(self, items: Iterable[pystac.Item], scenes: Sequence[Scene], reason: str) -> "Scenes":
        """Some of these scenes; the others are counted as left out."""
        items = list(items)
        dropped = len(self.items) - len(items)
        left_out = {**self.left_out, reason: dropped} if dropped else self.left_out
        return Scenes(items, self.season, self.years, left_out, scenes)

    @property
    def _rows(self) -> tuple[list[str], list[list[str]], str]:
        counts = self.counts
        columns = sorted({sensor for row in counts.values() for sensor in row})
        rows = [[str(year), *(str(row[c]) if row[c] else "" for c in columns)] for year, row in counts.items()]
        left_out = ", ".join(f"{n} {why}" for why, n in self.left_out.items())
        return ["year", *columns], rows, f"season {self.season}" + (f"; left out: {left_out}" if left_out else "")

    def __rich__(self):
        from rich.markup import escape
        from rich.table import Table

        header, rows, caption = self._rows
        table = Table(title=f"{len(self.items)} scenes", caption=escape(caption))
        for k, name in enumerate(header):
            table.add_column(escape(name), justify="right" if k else "left")
        for row in rows:
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        header, rows, caption = self._rows
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        title = f"{len(self.items)} scenes, {html.escape(caption)}"
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def scene_of(item: Any, items: Any = None, nir: str | None = None) -> Scene:
    """What an item says about its scene: as the search that gave the items read it, else read now.

    Parameters
    ----------
    item : pystac.Item or dict
    items : iterable, optional
        The collection that it comes from, for example :class:`Scenes`.
    nir : str, optional
        Near infrared that is wanted, of missions that give a choice.
    """
    scene = items.resolved(item) if isinstance(items, Scenes) else None
    if scene is not None and (nir is None or scene.instrument.numbers["nir"] == nir or not missions.of(scene).NIR):
        return scene
    return missions.resolve(item) if nir is None else missions.resolve(item, nir)


def newest(scenes: Iterable[Scene]) -> tuple[list[Scene], list[Scene]]:
    """Scenes of valid products, and those that a later product of the same acquisition replaces.

    Archives keep reprocessed products beside the first ones, and final ones beside those of real time. Parts of one
    acquisition that are of one processing are all valid.
    """
    scenes = list(scenes)
    latest: dict[str, tuple] = {}
    for scene in scenes:
        latest[scene.acquisition] = max(latest.get(scene.acquisition, scene.revision), scene.revision)
    valid = [scene for scene in scenes if scene.revision == latest[scene.acquisition]]
    return valid, [scene for scene in scenes if scene.revision != latest[scene.acquisition]]


def _content(item: pystac.Item) -> int:
    """Changes with whatever stands in an item; users sign or move the files of items in place."""
    return hash(json.dumps(content(item), default=str))

"""The scenes that a search found."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import shapely

from ..seasons import Season
from . import missions
from .items import content
from .scene import Scene

if TYPE_CHECKING:
    import geopandas as gpd
    from rich.table import Table


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
    area : shapely geometry, optional
        What was searched. [degree]
    """

    def __init__(
        self,
        items: Iterable[pystac.Item],
        season: Season,
        years: Sequence[int],
        left_out: Mapping[str, int],
        scenes: Sequence[Scene],
        area: shapely.Geometry | None = None,
    ):
        window = (f"{season.month:02d}-{season.day:02d}", season.half_width)
        super().__init__(items, extra_fields={"facies_xr:season": window}, clone_items=False)
        self.season, self.years, self.left_out, self.area = season, tuple(years), dict(left_out), area
        self._resolved = {scene.id: (_content(item), scene) for item, scene in zip(self.items, scenes, strict=True)}

    def resolved(self, item: pystac.Item) -> Scene | None:
        """What one of the items says, None if it was changed since the search."""
        known, scene = self._resolved.get(item.id, (None, None))
        return scene if known == _content(item) else None

    @property
    def counts(self) -> dict[int, Counter[str]]:
        """Number of scenes by balance year and sensor; years without a scene too."""
        counts: dict[int, Counter[str]] = {year: Counter() for year in self.years}
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
        return Scenes(items, self.season, self.years, left_out, scenes, self.area)

    def to_dataframe(self) -> "gpd.GeoDataFrame":
        """The scenes as a table, a row each: what a choice among them rests on.

        Returns
        -------
        GeoDataFrame
            ``date``, ``sensor``, ``level``, ``tier``, ``cloud_cover`` [%], ``cover`` (share of the area searched that
            lies in the footprint; NaN where the area is not known), ``sun_elevation`` [degree], ``balance_year`` and
            the footprint as geometry, by id.
        """
        import geopandas as gpd

        scenes = [scene_of(item, self) for item in self.items]
        area = self.area
        table = {
            "date": [scene.datetime for scene in scenes],
            **{n: [getattr(s, n) for s in scenes] for n in ("sensor", "level", "tier", "cloud_cover")},
            "cover": [np.nan if area is None else s.footprint.intersection(area).area / area.area for s in scenes],
            "sun_elevation": [scene.sun_elevation for scene in scenes],
            "balance_year": self.season.balance_year([s.datetime for s in scenes]) if scenes else [],
        }
        ids = [scene.id for scene in scenes]
        return gpd.GeoDataFrame(table, index=ids, geometry=[s.footprint for s in scenes], crs=4326).rename_axis("id")

    @property
    def _rows(self) -> tuple[list[str], list[list[str]], str]:
        counts = self.counts
        columns = sorted({sensor for row in counts.values() for sensor in row})
        rows = [[str(year), *(str(row[c]) if row[c] else "" for c in columns)] for year, row in counts.items()]
        left_out = ", ".join(f"{n} {why}" for why, n in self.left_out.items())
        return ["year", *columns], rows, f"season {self.season}" + (f"; left out: {left_out}" if left_out else "")

    def __rich__(self) -> "Table":
        from rich.markup import escape
        from rich.table import Table

        header, rows, caption = self._rows
        table = Table(title=f"{len(self.items)} scenes", caption=escape(caption))
        for k, name in enumerate(header):
            table.add_column(escape(name), justify="right" if k else "left")
        for row in rows:
            table.add_row(*row)
        return table

    def __repr__(self) -> str:
        sensors = Counter(scene_of(item, self).sensor for item in self.items)
        counts = ", ".join(f"{n} {sensor}" for sensor, n in sorted(sensors.items()))
        return f"<Scenes: {len(self.items)} of {self.years[0]}..{self.years[-1]}, season {self.season}: {counts}>"

    def _repr_html_(self) -> str:
        header, rows, caption = self._rows
        title = f"{len(self.items)} scenes, {caption}"
        table = self.to_dataframe()
        each = [
            [str(row.date)[:16], row.sensor, f"{row.cloud_cover:.0f} %", f"{100 * row.cover:.0f} %", str(row.Index)]
            for row in table.itertuples()
        ]
        detail = _table(["date", "sensor", "cloud", "cover", "id"], each)
        return (
            f"{_table(header, rows, title)}<details><summary>each scene</summary>{detail}"
            f"{_footprints(table.geometry, self.area)}</details>"
        )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _footprints(footprints: Iterable[shapely.Geometry], area: shapely.Geometry | None) -> str:
    """Drawing of footprints, and of the area searched, as SVG in degrees."""
    shapes = [*footprints] + ([] if area is None else [area])
    west, south, east, north = shapely.union_all(shapes).bounds
    paths = "".join(
        shape.svg(scale_factor=0.02, fill_color="#4a9fd8", opacity=0.15)
        for shape in shapes[: len(shapes) - (area is not None)]
    )
    paths += "" if area is None else area.svg(scale_factor=0.02, fill_color="#b0304f", opacity=0.8)
    return (
        f'<svg width="240" height="180" viewBox="{west} {-north} {east - west} {north - south}" role="img" '
        f'aria-label="footprints"><g transform="scale(1,-1)">{paths}</g></svg>'
    )


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
    latest: dict[str, tuple[Any, ...]] = {}
    for scene in scenes:
        latest[scene.acquisition] = max(latest.get(scene.acquisition, scene.revision), scene.revision)
    valid = [scene for scene in scenes if scene.revision == latest[scene.acquisition]]
    return valid, [scene for scene in scenes if scene.revision != latest[scene.acquisition]]


def _content(item: pystac.Item) -> int:
    """Changes with whatever stands in an item; users sign or move the files of items in place."""
    return hash(json.dumps(content(item), default=str))

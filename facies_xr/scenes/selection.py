"""Which scenes were found, and which are the best of a year."""

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pystac
import shapely
import xarray as xr
from rasterio.features import rasterize
from rich.progress import track

from .. import grids, outlines
from ..errors import CatalogError, InputError
from ..seasons import Season
from . import sensors
from .cube import load, season_of

QA_RESOLUTION = 60.0
"""Pixel size at which pixel classes are counted. [m]"""


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
    """

    def __init__(self, items: Iterable[pystac.Item], season: Season, years: Sequence[int], left_out: Mapping[str, int]):
        window = (f"{season.month:02d}-{season.day:02d}", season.half_width)
        super().__init__(items, extra_fields={"facies_xr:season": window}, clone_items=False)
        self.season, self.years, self.left_out = season, tuple(years), dict(left_out)

    @property
    def counts(self) -> dict[int, Counter]:
        """Number of scenes by balance year and sensor; years without a scene too."""
        found: dict[int, Counter] = {year: Counter() for year in self.years}
        for item in self.items:
            scene = sensors.resolve(item)
            found[int(self.season.balance_year(scene.datetime)[0])][scene.sensor] += 1
        return found

    def kept(self, items: Iterable[pystac.Item], reason: str) -> "Scenes":
        """Some of these scenes; the others are counted as left out."""
        items = list(items)
        dropped = len(self.items) - len(items)
        left_out = {**self.left_out, reason: dropped} if dropped else self.left_out
        return Scenes(items, self.season, self.years, left_out)

    @property
    def _rows(self) -> tuple[list[str], list[list[str]], str]:
        counts = self.counts
        columns = sorted({sensor for row in counts.values() for sensor in row})
        rows = [[str(year), *(str(row[c]) if row[c] else "" for c in columns)] for year, row in counts.items()]
        left_out = ", ".join(f"{n} {why}" for why, n in self.left_out.items())
        return ["year", *columns], rows, f"season {self.season}" + (f"; left out: {left_out}" if left_out else "")

    def __rich__(self):
        from rich.table import Table

        header, rows, caption = self._rows
        table = Table(title=f"{len(self.items)} scenes", caption=caption)
        for k, name in enumerate(header):
            table.add_column(name, justify="right" if k else "left")
        for row in rows:
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        header, rows, caption = self._rows
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        title = f"{len(self.items)} scenes, {html.escape(caption)}"
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def best(items: Iterable, area: Any, *, per_year: int = 1, max_cloud: float = 100.0) -> pystac.ItemCollection:
    """The clearest datatakes of each balance year, judged over the glaciers themselves.

    Reads the providers' pixel classes on a grid of 60 m (QA_PIXEL: fill, cloud, dilated cloud, cirrus, shadow; SCL: no
    data, cloud, cirrus, shadow). Datatakes without such classes are judged by the provider's cloud cover and their
    footprint. Equals are ranked by their days from the season's centre.

    Parameters
    ----------
    items : iterable of pystac.Item
        For example what ``search`` returns.
    area : outlines
        Glacier outlines, or (west, south, east, north) in degrees.
    per_year : int
        Datatakes to keep for each balance year.
    max_cloud : float
        Largest share of the glaciers that may be cloudy, in shadow of clouds or without data. [%]

    Returns
    -------
    pystac.ItemCollection
        The scenes of the datatakes, each with the properties ``facies_xr:unclear`` [%] and ``facies_xr:judged_by``.

    Raises
    ------
    CatalogError
        If no datatake is clear enough.
    """
    if per_year < 1:
        raise InputError(f"per_year={per_year!r}: give at least 1.")
    given = list(items)
    cube = load(items, area, resolution=QA_RESOLUTION, qa=True)
    unclear = _unclear(cube, given, area)
    away = np.abs(season_of(items, grids.geobox(cube)).days_from_centre(cube.time))
    chosen: list[int] = []
    for year in np.unique(cube.balance_year.values):
        rows = np.flatnonzero((cube.balance_year.values == year) & (unclear <= max_cloud))
        chosen += sorted(rows.tolist(), key=lambda t: (unclear[t], away[t]))[:per_year]
    if not chosen:
        raise CatalogError(
            f"none of the {len(unclear)} datatakes has at most {max_cloud:g} % of the glaciers cloudy or without data "
            f"(the best has {unclear.min():.0f} %); raise max_cloud= or widen the search."
        )
    names = {name: t for t in chosen for name in str(cube.item.values[t]).split()}
    kept = []
    for item in given:
        scene = sensors.resolve(item)
        if scene.id in names:
            kept.append(item.full_copy())
            kind = str(cube.qa_kind.values[names[scene.id]])
            kept[-1].properties["facies_xr:unclear"] = round(float(unclear[names[scene.id]]), 2)
            kept[-1].properties["facies_xr:judged_by"] = "eo:cloud_cover" if kind == "none" else kind
    if isinstance(items, Scenes):
        return items.kept(kept, "not among the best of their year")
    return pystac.ItemCollection(kept, extra_fields=getattr(items, "extra_fields", {}), clone_items=False)


def _unclear(cube: xr.Dataset, items: Sequence[Any], area: Any) -> np.ndarray:
    """Share of the glaciers that is cloudy, in shadow of clouds or without data, of each date. [%]"""
    box = grids.geobox(cube)
    region = outlines.footprint(area)
    shapes = region.to_crs(box.crs.to_wkt()).geometry
    inside = rasterize(shapes, out_shape=box.shape, transform=box.affine, all_touched=True).astype(bool)
    footprints = {scene.id: scene.footprint for scene in map(sensors.resolve, items)}
    target = region.to_crs(4326).union_all()
    found = np.empty(cube.sizes["time"])
    for t in track(range(found.size), "judging clouds over the glaciers", transient=True):
        if (kind := str(cube.qa_kind.values[t])) != "none":
            found[t] = 100 * _bad(cube.qa.isel(time=t).values[inside], kind).mean()
            continue
        seen = shapely.union_all([footprints[name] for name in str(cube.item.values[t]).split()])
        covered = seen.intersection(target).area / target.area
        found[t] = 100 - covered * (100 - np.nan_to_num(cube.cloud_cover.values[t], nan=100.0))
    return found


def _bad(codes: np.ndarray, kind: str) -> np.ndarray:
    if kind == "SCL":
        return np.isin(codes, [value for values in sensors.SCL.values() for value in values])
    bits = 0
    for mask in sensors.QA_PIXEL.values():
        bits |= mask
    return ((codes & bits) != 0) | (codes == 0)

"""Plan a run: search once, cut the glaciers' grids into tiles, and freeze all of it in a manifest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.crs import CRS

from .. import access, degrees, grids, outlines, stac
from ..answers import Answers, unsigned
from ..errors import CatalogError, InputError, one_of
from ..maps import smoothing
from ..nn import registry
from ..scenes import cube, missions, readers
from ..scenes.collection import scene_of
from ..scenes.items import content
from ..scenes.scene import Scene
from ..seasons import Season, check_years
from ..store.layout import grid_of
from ..terrain.light import families_of
from .manifest import Manifest, require_parquet
from .searching import place_for, searched, searches
from .zones import Zone, by_zone, frames

PACKAGES = ("facies_xr", "numpy", "rasterio", "torch", "xarray", "zarr")
"""Whose versions must be the same on all workers."""


def plan(
    catalog: str | Path,
    area: Any,
    years: int | Iterable[int],
    model: Any,
    *,
    dem: str | Path | Sequence[str | Path],
    path: str | Path | None = None,
    season: Any = None,
    resolution: float = 10.0,
    level: str = "TOA",
    sensor: str | Sequence[str] | None = None,
    max_cloud: float = 100.0,
    tiers: Sequence[str] | None = None,
    nir: str = "B08",
    smooth: str | Sequence[str] | None = None,
    calibrate: bool = True,
    accept_level: bool = False,
    precision: str = "float32",
    shadows: str = "exact",
) -> Manifest:
    """Plan the maps of many glaciers and years; the catalogue is searched once, no pixel is read.

    Parameters
    ----------
    catalog, years, season, level, sensor, max_cloud, tiers
        As :func:`facies_xr.search` takes them.
    area : path or GeoDataFrame
        Glacier outlines; of several for a glacier, the one nearest to the middle of the years is taken.
    model : str, Path, or list of these
        Name or file of a model, or of an ensemble's.
    dem : path, list of paths, or name of a catalogue
        As :func:`facies_xr.add_terrain` takes it; the files of a catalogue are looked up now.
    path : path, optional
        File to write the manifest to. Beside it a folder keeps what an API has answered for a day: planned again after
        a stop, only what is lacking is asked for.
    resolution, nir, smooth, accept_level, precision, shadows
        As ``load``, ``classify`` and ``add_terrain`` take them.
    calibrate : bool
        Turn confidence into the probability that the label is right, if the model can.

    Returns
    -------
    Manifest

    Raises
    ------
    CatalogError
        If nothing was found, or a server does not answer.
    InputError, ModelError, OutlineError
        If an argument cannot be used.
    StoreError
        If the manifest cannot be written to its place; told before anything is searched.
    """
    require_parquet()
    cache = None if path is None else place_for(Path(path))
    years = check_years(years)
    missions.check_nir(nir)
    families_of(shadows)
    models = _models(model)
    table = _outlines(area, years)
    steps = [] if smooth is None else [smooth] if isinstance(smooth, str) else list(smooth)
    for name in steps:
        one_of("smooth", name, smoothing.STEPS)
    wanted = {"level": level, "sensor": sensor, "max_cloud": max_cloud, "tiers": tiers, "cache": cache}
    zones, found = by_zone(table), []
    for rows, area_of_search in searches(catalog, table):
        items = searched(catalog, area_of_search, years, season, wanted)
        found.append((rows, items))
    if not any(len(items) for _, items in found):
        raise CatalogError(
            f"{access.shown(str(catalog))}: no {level} scene of these {len(table)} glaciers in "
            f"{years[0]}..{years[-1]}. Widen season=, years= or max_cloud=, or choose another catalogue or level."
        )
    configuration = {
        "catalog": access.shown(str(catalog)),
        "years": years,
        "season": None if season is None else _season_text(Season.parse(season)),
        "level": level,
        "resolution": resolution,
        "nir": nir,
        "models": models,
        "smooth": steps,
        "calibrate": bool(calibrate and (len(models) > 1 or registry.load_model(models[0]["model"]).calibrator)),
        "accept_level": accept_level,
        "precision": precision,
        "shadows": shadows,
        "dem": dem if isinstance(dem, str) and dem in stac.CATALOGS else _files(dem),
        "versions": {name: version(name) for name in PACKAGES},
    }
    made = _Tables.of(table, zones, found, configuration, None if cache is None else Answers(cache))
    if path is not None:
        made.save(path)
    return made


def _models(model: Any) -> list[dict[str, str]]:
    """Where to find the models, and their hashes."""
    models = list(model) if isinstance(model, list | tuple) else [model]
    for each in models:
        if not isinstance(each, str | Path):
            raise InputError(
                f"a batch needs a model that its workers can find: a name or a file, not {type(each).__name__}; "
                "Classifier.save() makes a file."
            )
    registry.Members.of(models)
    places = [str(m) if str(m) in registry.names() else str(Path(m).resolve()) for m in models]
    return [{"model": place, "digest": registry.load_model(place).digest} for place in places]


def _outlines(area: Any, years: Sequence[int]) -> gpd.GeoDataFrame:
    table = outlines.read(area)
    middle = (
        np.datetime64(f"{years[0]}-01-01")
        + (np.datetime64(f"{years[-1] + 1}-01-01") - np.datetime64(f"{years[0]}-01-01")) // 2
    )
    return outlines.nearest(table, middle)


def _files(dem: Any) -> str | list[str]:
    """Files of an elevation model, absolute."""
    if isinstance(dem, str | Path):
        return str(dem) if access.is_remote(str(dem)) else str(Path(dem).resolve())
    if isinstance(dem, Sequence) and all(isinstance(part, str | Path) for part in dem):
        return [str(_files(part)) for part in dem]
    raise InputError(f"dem={type(dem).__name__}: a batch needs files that its workers can read, or a catalogue's name.")


def _season_text(season: Season) -> list[Any]:
    return [f"{season.month:02d}-{season.day:02d}", season.half_width]


# -- tables -----------------------------------------------------------------------------------------------------


@dataclass
class _Tables:
    """Tables of a manifest as they grow, zone by zone."""

    table: gpd.GeoDataFrame
    nir: str
    season: Any
    regions: list[dict[str, Any]]
    glaciers: list[pd.DataFrame]
    tiles: list[gpd.GeoDataFrame]
    dates: list[dict[str, Any]]
    scenes: dict[str, Any]
    covered: dict[tuple[str, ...], tuple[shapely.Geometry, shapely.Geometry]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, table: gpd.GeoDataFrame, zones: Mapping[str, np.ndarray], found: list, configuration: dict, answers: Any
    ) -> Manifest:
        """Manifest of outlines, their zones, and what was found for each part of them."""
        self = cls(table, configuration["nir"], configuration["season"], [], [], [], [], {})
        layout, dem, files = {}, configuration["dem"], {}
        resolved = {
            k: [(item, scene_of(item, items, self.nir)) for item in items] for k, (_, items) in enumerate(found)
        }
        if len({scene.level for pairs in resolved.values() for _, scene in pairs}) > 1:
            raise CatalogError("the scenes found are of several levels; say which with level=.")
        part_of = np.empty(len(table), int)
        for k, (rows, _) in enumerate(found):
            part_of[rows] = k
        for crs, rows in zones.items():
            name = crs.replace(":", "_")
            pairs = [pair for k in np.unique(part_of[rows]) for pair in resolved[k]]
            pairs = list({scene.id: (item, scene) for item, scene in pairs}.values())
            origins = {missions.of(scene).ORIGIN.get(configuration["resolution"], 0.0) for _, scene in pairs}
            zone = Zone.of(
                table.iloc[rows],
                CRS(crs),
                configuration["resolution"],
                origins.pop() if len(origins) == 1 else 0.0,
            )
            layout[name] = grid_of(zone.box)
            self.add(name, zone, table.iloc[rows], pairs)
            if isinstance(dem, str) and dem in stac.CATALOGS:
                from ..terrain.dem import MARGIN

                files[name] = stac.dem_tiles(dem, zone.box.buffered(MARGIN), answers)
        dates = pd.DataFrame(self.dates)
        if not len(dates):
            raise CatalogError("none of the scenes found touches a tile of these glaciers.")
        return Manifest(
            {**configuration, "layout": layout, "dem": files or dem, "level": configuration["level"]},
            pd.DataFrame(self.regions),
            gpd.GeoDataFrame(pd.concat(self.glaciers, ignore_index=True), crs=table.crs),
            gpd.GeoDataFrame(pd.concat(self.tiles, ignore_index=True), crs=table.crs),
            gpd.GeoDataFrame(dates, geometry="geometry", crs=4326).to_crs(table.crs),
            self.scenes,
        )

    def add(self, name: str, zone: Zone, table: gpd.GeoDataFrame, pairs: list[tuple[Any, Scene]]) -> None:
        """Add a zone, and the scenes that may touch it."""
        first_tile, first_glacier = sum(map(len, self.tiles)), sum(map(len, self.glaciers))
        region_of = np.empty(len(table), int)
        region_of[zone.pairs[:, 1]] = zone.region[zone.pairs[:, 0]]
        places = gpd.GeoSeries(frames(zone.box, zone.tiles), crs=zone.box.crs.to_wkt())
        in_degrees = degrees.of_frames(np.asarray(places.values), zone.box.crs.proj)
        first_region = len(self.regions)
        touching = np.split(zone.pairs[:, 1], np.flatnonzero(np.diff(zone.pairs[:, 0])) + 1)
        self.tiles.append(
            gpd.GeoDataFrame(
                {
                    "zone": name,
                    "region": first_region + zone.region,
                    "row": zone.tiles[:, 0],
                    "column": zone.tiles[:, 1],
                    "glaciers": [(each + first_glacier).tolist() for each in touching],
                },
                geometry=in_degrees if self.table.crs == 4326 else places.to_crs(self.table.crs).values,
                crs=self.table.crs,
            )
        )
        self.glaciers.append(
            table.assign(zone=name, region=first_region + region_of, number=np.arange(1, len(table) + 1))
        )
        footprints = np.array([scene.footprint for _, scene in pairs], object)
        degrees_of = np.asarray(table.geometry.to_crs(4326).values)
        for region in range(zone.region.max() + 1):
            rows, columns = zone.window(region)
            self.regions.append(
                {"zone": name, "rows": [rows.start, rows.stop], "columns": [columns.start, columns.stop]}
            )
            tiles = zone.tiles_of(region)
            area = shapely.union_all(degrees_of[region_of == region])
            grid = degrees.of_grid(grids.window(zone.box, rows, columns))
            near = np.flatnonzero(shapely.intersects(footprints, grid))
            if near.size == 0:
                continue
            groups = cube.datatakes([pairs[k][1] for k in near], area)
            self._add_dates(name, first_region + region, groups, in_degrees, tiles, first_tile, area)
            known = {pairs[k][1].id: pairs[k][0] for k in near}
            for scene in (scene for group in groups for scene in group):
                if scene.id not in self.scenes:
                    self.scenes[scene.id] = _frozen(known[scene.id])

    def _covered(self, group: tuple[Scene, ...]) -> tuple[shapely.Geometry, shapely.Geometry]:
        """What a datatake covers, by the provider, and beyond which nothing is read; kept for other regions."""
        ids = tuple(scene.id for scene in group)
        if ids not in self.covered:
            covered = shapely.union_all([scene.footprint for scene in group])
            self.covered[ids] = covered, covered.buffer(readers.MARGIN)
        return self.covered[ids]

    def _add_dates(
        self, name: str, region: int, groups: list, in_degrees: np.ndarray, tiles: np.ndarray, first: int, area: Any
    ) -> None:
        season = Season.parse(tuple(self.season)) if self.season else Season.at(area.centroid.y)
        timed = pd.DataFrame({key: values for key, (_, values) in cube.coordinates(groups, season).items()})
        leading = cube.near_infrared([group[0] for group in groups])
        for row, group in zip(timed.to_dict("records"), groups, strict=True):
            covered, seen = self._covered(tuple(group))
            hit = tiles[shapely.intersects(seen, in_degrees[tiles])]
            if hit.size == 0:
                continue
            time = int(row.pop("time").to_datetime64().astype("datetime64[us]").astype("int64"))
            del row["item"]
            self.dates.append(
                {
                    "zone": name,
                    "region": region,
                    "time": time,
                    "items": [scene.id for scene in group],
                    "tiles": (hit + first).tolist(),
                    "season": _season_text(season),
                    **row,
                    **leading,
                    "geometry": covered,
                }
            )


def _frozen(item: Any) -> dict[str, Any]:
    """JSON of an item without links, and without the signatures of addresses."""
    facts = json.loads(json.dumps(content(item), default=str))
    facts["links"] = []
    return {**facts, "assets": unsigned(facts["assets"])}

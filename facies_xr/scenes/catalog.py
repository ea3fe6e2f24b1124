"""Searching for scenes: STAC APIs by name or URL, static catalogues and items files."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import shapely

from .. import access, degrees, stac
from .. import outlines as _outlines
from ..answers import Answers
from ..errors import CatalogError, FaciesError, InputError, one_of
from ..seasons import Season, check_years
from . import missions
from .archives import require_unpacked
from .collection import Scenes, newest
from .scene import Scene


def search(
    catalog: str | Path,
    area: Any,
    *,
    years: int | Iterable[int],
    season: Any = None,
    level: str = "TOA",
    sensor: str | Sequence[str] | None = None,
    max_cloud: float = 100.0,
    tiers: Sequence[str] | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Scenes:
    """Scenes of some glaciers at the end of the ablation season of some years.

    Parameters
    ----------
    catalog : str or Path
        Name of a known catalogue, URL of a STAC API, or a local catalogue or items file.
    area : outlines
        Path or GeoDataFrame, or (west, south, east, north) in degrees.
    years : int or iterable of int
        Balance years.
    season : (str, int), optional
        Centre as "MM-DD" and days on either side; by default 20 August +-20 days, 20 February in the south.
    level : {"TOA", "SR"}
        Top-of-atmosphere (Level-1) or surface reflectance (Level-2).
    sensor : str or sequence of str, optional
        For example "sentinel-2" or ("landsat-8", "landsat-9").
    max_cloud : float
        Largest cloud cover of a scene, by the provider's field; scenes without it are kept. [%]
    tiers : sequence of str, optional
        Of the scenes of missions that have tiers, for example ("T1",): Landsat's T1 (fitted to the ground within 12 m),
        T2 and RT (real time). By default all, with a warning where some are not of T1.
    root : path, optional
        Folder that relative hrefs of a catalogue file may not leave; by default the file's own.
    cache : path, optional
        Folder that keeps answers of an API for a day, without signatures of addresses; a search that was stopped asks
        only for what it lacks.

    Returns
    -------
    Scenes
        A pystac.ItemCollection, sorted by time, that shows as a table of what was found by year and sensor.

    Raises
    ------
    CatalogError
        If the catalogue is unknown or unreachable, or nothing was found.
    OutlineError
        If the area is unusable.
    """
    one_of("level", level, ("TOA", "SR"))
    region = _outlines.footprint(area).to_crs(4326).union_all()
    years = check_years(years)
    season = Season.parse(season) if season is not None else Season.at(region.centroid.y, region.centroid.x)
    wanted = _Wanted(region, years, season, level, _sensors(sensor), max_cloud, None if tiers is None else set(tiers))
    if _is_api(str(catalog), level):
        candidates = _asked(str(catalog), wanted, None if cache is None else Answers(cache))
    else:
        candidates = stac.from_file(str(catalog), None if root is None else str(root))
    hits, reasons, errors, other = _hits(candidates, wanted)
    if not hits:
        left_out = ", ".join(f"{n} {why}" for why, n in reasons.items()) or "no item at all"
        hint = f" (first reason: {errors[0]})" if errors else ""
        hint += f"; there are scenes of {_some(other)}" if other else ""
        raise CatalogError(
            f"{access.shown(str(catalog))}: no {level} scene of this area in {_span(years)}, season {season}; "
            f"found {left_out}{hint}. Widen season=, years= or max_cloud=, or choose another catalogue or level."
        )
    if errors:
        warnings.warn(f"{len(errors)} items are left out, the first because: {errors[0]}", stacklevel=2)
    ordered = sorted(hits, key=lambda hit: hit[0].datetime)
    if coarse := sum(scene.tier not in ("", "T1") for scene, _ in ordered):
        warnings.warn(
            f"the geometry of {coarse} of {len(ordered)} scenes is not of tier 1; tiers=('T1',) leaves them out.",
            stacklevel=2,
        )
    scenes, chosen = [scene for scene, _ in ordered], [item for _, item in ordered]
    return Scenes(chosen, season, years, reasons, scenes, region)


def _hits(
    candidates: Iterable[Any], wanted: "_Wanted"
) -> tuple[list[tuple[Scene, pystac.Item]], Counter[str], list[str], set[str]]:
    """Scenes that meet the conditions; how many do not, by reason; what is wrong with unusable ones; days left out."""
    reasons: Counter[str] = Counter()
    hits: dict[str, tuple[Scene, pystac.Item]] = {}
    errors, other = [], set()
    for content in candidates:
        try:
            item = stac.as_item(content)
            scene = missions.resolve(item)
        except FaciesError as error:
            reasons["not usable scenes"] += 1
            errors.append(str(error))
            continue
        if reason := wanted.not_met(scene):
            reasons[reason] += 1
            other.add(f"{scene.datetime:%Y-%m-%d}")
        elif scene.id not in hits:
            hits[scene.id] = scene, item
        else:  # catalogues repeat items across pages and collections, and keep their revisions
            reasons[REPLACED] += scene != hits[scene.id][0]
            hits[scene.id] = max(hits[scene.id], (scene, item), key=_age)
    valid, replaced = newest(scene for scene, _ in hits.values())
    if replaced:
        reasons[REPLACED] += len(replaced)
    return [hits[scene.id] for scene in valid], +reasons, errors, other


def _some(days: set[str], most: int = 5) -> str:
    first, more = sorted(days)[:most], len(days) - most
    return ", ".join(first) + (f" and {more} more days" if more > 0 else "")


def _age(hit: tuple[Scene, pystac.Item]) -> tuple[tuple[Any, ...], str]:
    scene, item = hit
    return scene.revision, str(item.properties.get("updated") or item.properties.get("created") or "")


REPLACED = "replaced by later products of the same acquisition"


@dataclass(frozen=True)
class _Wanted:
    """Conditions of a search, checked on this side, so that every server gives the same answer."""

    region: shapely.Geometry
    years: Sequence[int]
    season: Season
    level: str
    sensors: set[str] | None
    max_cloud: float
    tiers: set[str] | None

    def not_met(self, scene: Scene) -> str | None:
        """Why a scene is left out, None if it is not."""
        day, year = scene.datetime.date(), int(self.season.balance_year(scene.datetime)[0])
        first, last = self.season.window(year)
        if not scene.footprint.intersects(self.region):
            return "elsewhere"
        if year not in self.years or not first <= day <= last:
            return f"outside the season {self.season} of the years"
        if scene.level != self.level:
            return f"of level {scene.level}"
        if self.sensors is not None and scene.sensor not in self.sensors:
            return "of other sensors"
        if self.tiers is not None and scene.tier and scene.tier not in self.tiers:
            return f"of tier {scene.tier}"
        if scene.cloud_cover > self.max_cloud:
            return f"cloudier than {self.max_cloud:g} %"
        return None


def _sensors(sensor: str | Sequence[str] | None) -> set[str] | None:
    if sensor is None:
        return None
    wanted, known = {sensor} if isinstance(sensor, str) else set(sensor), missions.instruments()
    if unknown := wanted - set(known):
        raise InputError(f"unknown sensor {sorted(unknown)}; facies_xr knows {', '.join(known)}.")
    return wanted


def _span(years: Sequence[int]) -> str:
    return str(years[0]) if len(years) == 1 else f"{years[0]}..{years[-1]}"


# -- where items come from --------------------------------------------------------------------------------------


def _is_api(catalog: str, level: str) -> bool:
    """Whether a catalogue is asked, rather than read as a file.

    Raises
    ------
    CatalogError
        If it is neither, or has no such level.
    """
    if catalog in stac.CATALOGS:
        known = stac.CATALOGS[catalog]
        if not known.collections[level]:
            raise CatalogError(
                f"{catalog} has no {level} reflectance ({known.remark}); choose another catalogue or level."
            )
        warnings.warn(f"{catalog}: {known.remark}.", stacklevel=3)
        return True
    if catalog.startswith(("http://", "https://")) and access.suffix(catalog) not in (".json", ".geojson"):
        return True
    if "://" not in catalog and not Path(catalog).is_file():
        raise CatalogError(
            f"catalogue {access.shown(catalog)!r} is neither a file nor one of {', '.join(stac.CATALOGS)}; "
            "make one from local folders with: facies-xr catalog DIR -o catalog.json"
        )
    require_unpacked(Path(catalog))
    return False


def _asked(catalog: str, wanted: _Wanted, answers: Answers | None) -> Iterator[Any]:
    known = stac.CATALOGS.get(catalog)
    collections = known.collections[wanted.level] if known else None
    url = known.url if known else catalog
    return stac.from_api(url, _queries(collections, wanted.region, wanted.years, wanted.season), answers)


def _queries(
    collections: Sequence[str] | None, region: shapely.Geometry, years: Sequence[int], season: Season
) -> Iterator[Mapping[str, Any]]:
    area = shapely.geometry.mapping(degrees.hull(region))
    for year in years:
        first, last = season.window(year)
        yield {"collections": collections, "intersects": area, "datetime": f"{first}/{last}"}

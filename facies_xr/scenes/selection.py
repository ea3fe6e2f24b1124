"""Which scenes are the best of a year."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pystac
import shapely
import xarray as xr
from rich.progress import track

from .. import grids, outlines
from ..errors import CatalogError, InputError
from ..rasters.burn import burn
from . import missions
from .collection import Scenes, scene_of
from .cube import load, season_of
from .scene import Scene

QA_RESOLUTION = 60.0
"""Pixel size at which pixel classes are counted. [m]"""


def best(
    items: Iterable[pystac.Item], area: Any, *, per_year: int = 1, max_cloud: float = 100.0
) -> pystac.ItemCollection:
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
    cube = load(items, area, resolution=QA_RESOLUTION, qa=True)
    scenes = {scene.id: (item, scene) for item in items for scene in [scene_of(item, items)]}
    unclear = _unclear(cube, {name: scene for name, (_, scene) in scenes.items()}, area)
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
    for name in (name for name in scenes if name in names):
        kept.append(scenes[name][0].full_copy())
        kind = str(cube.qa_kind.values[names[name]])
        kept[-1].properties["facies_xr:unclear"] = round(float(unclear[names[name]]), 2)
        kept[-1].properties["facies_xr:judged_by"] = "eo:cloud_cover" if kind == "none" else kind
    if isinstance(items, Scenes):
        return items.kept(kept, [scenes[item.id][1] for item in kept], "not among the best of their year")
    return pystac.ItemCollection(kept, extra_fields=getattr(items, "extra_fields", {}), clone_items=False)


def _unclear(cube: xr.Dataset, scenes: Mapping[str, Scene], area: Any) -> np.ndarray:
    """Share of the glaciers that is cloudy, in shadow of clouds or without data, of each date. [%]"""
    box = grids.geobox(cube)
    region = outlines.footprint(area)
    shapes = region.to_crs(box.crs.to_wkt()).geometry
    inside = burn(shapes, box, all_touched=True).astype(bool)
    target = region.to_crs(4326).union_all()
    classes = {mission.CLASSES.name: mission.CLASSES for mission in missions.MISSIONS.values()}
    shares = np.empty(cube.sizes["time"])
    for t in track(range(shares.size), "judging clouds over the glaciers", transient=True):
        if (kind := str(cube.qa_kind.values[t])) in classes:
            shares[t] = 100 * classes[kind].unclear(cube.qa.isel(time=t).values[inside]).mean()
            continue
        seen = shapely.union_all([scenes[name].footprint for name in str(cube.item.values[t]).split()])
        covered = seen.intersection(target).area / target.area
        shares[t] = 100 - covered * (100 - np.nan_to_num(cube.cloud_cover.values[t], nan=100.0))
    return shares

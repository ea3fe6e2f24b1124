"""Geometries of outlines: repaired, possible in their CRS, with an area, and one for each glacier and date."""

import warnings
from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import OutlineError

POLYGONS = (3, 6)
"""Type numbers of polygons and multipolygons in shapely."""


def repaired(geometry: gpd.GeoSeries, ids: pd.Series, source: str) -> gpd.GeoSeries:
    """Valid polygons; empty where there is none. Invalid rings are repaired, with a warning that names them."""
    shapes = shapely.force_2d(np.asarray(geometry.values, object))
    shapes = np.where(shapely.is_missing(shapes), shapely.Polygon(), shapes)
    broken = np.flatnonzero(~shapely.is_valid(shapes))
    if broken.size:
        endless = [k for k in broken if not np.isfinite(shapely.get_coordinates(shapes[k])).all()]
        if endless:
            raise OutlineError(
                f"{source}: the outline of {ids.iloc[endless[0]]} has coordinates that are no numbers; mend or drop it."
            )
        warnings.warn(
            f"{source}: {broken.size} outlines have invalid rings and are repaired: {_listed(ids.iloc[broken])}.",
            stacklevel=3,
        )
        shapes[broken] = shapely.make_valid(shapes[broken])
    mixed = np.flatnonzero(~np.isin(shapely.get_type_id(shapes), POLYGONS))
    for k in mixed:
        parts = [p for p in shapely.get_parts(shapes[k]) if shapely.get_type_id(p) in POLYGONS and p.area > 0]
        shapes[k] = shapely.union_all(parts) if parts else shapely.Polygon()
    return gpd.GeoSeries(shapes, index=geometry.index, crs=geometry.crs)


def require_possible(geometry: gpd.GeoSeries, source: str) -> None:
    """Refuse coordinates that a CRS in degrees cannot have, such as metres in a GeoJSON file that names no CRS."""
    west, south, east, north = geometry.total_bounds
    if np.isnan(west) or not geometry.crs.is_geographic:
        return
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise OutlineError(
            f"{source}: coordinates from {west:g}, {south:g} to {east:g}, {north:g} are no degrees, but its CRS is "
            f"{geometry.crs.name} (which GeoJSON means where it names none). Set the right one with "
            'GeoDataFrame.set_crs("EPSG:...", allow_override=True).'
        )


def with_area(table: gpd.GeoDataFrame, source: str) -> gpd.GeoDataFrame:
    """The rows that have an area; a warning names the others."""
    bare = (table.geometry.is_empty | ~(shapely.area(table.geometry.values) > 0)).to_numpy()
    if bare.all():
        raise OutlineError(f"{source} has no polygons with an area.")
    if bare.any():
        warnings.warn(
            f"{source}: {bare.sum()} outlines have no polygon and are left out: {_listed(table.glacier[bare])}.",
            stacklevel=3,
        )
    return table[~bare]


def united(table: gpd.GeoDataFrame, columns: Sequence[str]) -> gpd.GeoDataFrame:
    """One row for each value of some columns, where the first of them stands, with the union of their geometries."""
    group = table.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy()
    repeated = np.flatnonzero(np.bincount(group) > 1)
    if not repeated.size:
        return table
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 2))
    first = order[starts[:-1]]
    geometry = np.asarray(table.geometry.values, object).copy()
    for k in repeated:
        members = order[starts[k] : starts[k + 1]]
        geometry[members[0]] = shapely.union_all(geometry[members])
    table = table.set_geometry(gpd.GeoSeries(geometry, index=table.index, crs=table.crs))
    return table.iloc[np.sort(first)]


def _listed(ids: pd.Series) -> str:
    return ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")

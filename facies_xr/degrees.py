"""Areas in longitude and latitude, where the antimeridian and the poles make trouble.

Longitudes run from -180 to 180; an area across the antimeridian has a part on either side of it, as in GeoJSON.
"""

from typing import Any

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer

EDGE_POINTS = 64
"""Points on each edge of a grid whose outline is drawn."""


def of_item(bbox: Any, geometry: Any) -> tuple[float, float, float, float] | None:
    """West, south, east, north of a STAC item, east of west: beyond 180 across the antimeridian.

    The geometry comes first: where items lie across the antimeridian, their boxes are often wrong. None without either.

    Raises
    ------
    ValueError
        If they are no places on the globe.
    """
    try:
        shape = shapely.geometry.shape(geometry) if geometry is not None else shapely.Polygon()
    except Exception as error:  # shapely checks no types
        raise ValueError(f"its geometry is none ({type(error).__name__})") from error
    if not shape.is_empty:
        longitude, latitude = shapely.get_coordinates(shape).T
        longitude = unwrapped(longitude)
        west, south, east, north = map(float, (longitude.min(), latitude.min(), longitude.max(), latitude.max()))
    elif bbox:
        try:
            half = len(bbox) // 2
            west, south, east, north = (float(bbox[k]) for k in (0, 1, half, half + 1))
        except (TypeError, ValueError, OverflowError, IndexError, KeyError):
            raise ValueError(f"its bbox {bbox!r} is no box") from None
        east += 360 if east < west else 0
    else:
        return None
    if west >= 180 and east <= 540:
        west, east = west - 360, east - 360
    if not (-180 <= west <= east <= west + 360 and -90 <= south <= north <= 90):
        raise ValueError(f"its box ({west:g}, {south:g}, {east:g}, {north:g}) is not on the globe")
    return west, south, east, north


def unwrapped(longitude: np.ndarray) -> np.ndarray:
    """Longitudes of one place without the jump at the antimeridian: the western ones beyond 180."""
    return np.where(longitude < 0, longitude + 360, longitude) if np.ptp(longitude) > 180 else longitude


def wrapped(longitude: float) -> float:
    """A longitude between -180 and 180."""
    return (longitude + 180) % 360 - 180


def area(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """A box as geometry; in two parts where it goes beyond 180."""
    return split(shapely.box(west, south, east, north))


def of_grid(box: GeoBox) -> shapely.Geometry:
    """Extent of a projected grid; around a pole, all longitudes."""
    outline = shapely.segmentize(
        shapely.box(*box.boundingbox.bbox), max(box.boundingbox.span_x, box.boundingbox.span_y) / EDGE_POINTS
    )
    x, y = shapely.get_coordinates(outline).T
    longitude, latitude = Transformer.from_crs(box.crs.proj, 4326, always_xy=True).transform(x, y)
    for pole in (90.0, -90.0):
        px, py = Transformer.from_crs(4326, box.crs.proj, always_xy=True).transform(0.0, pole)
        if np.isfinite([px, py]).all() and shapely.contains_xy(outline, px, py):
            nearest = float(min(latitude) if pole > 0 else max(latitude))
            return shapely.box(-180, min(nearest, pole), 180, max(nearest, pole))
    return split(shapely.make_valid(shapely.Polygon(np.column_stack([unwrapped(longitude), latitude]))))


def of_frames(frames: np.ndarray, crs: Any) -> np.ndarray:
    """Small polygons of a projected CRS in longitude and latitude; in two parts across the antimeridian."""
    transformer = Transformer.from_crs(crs, 4326, always_xy=True)
    found = shapely.transform(frames, lambda xy: np.column_stack(transformer.transform(*xy.T)))
    across = np.flatnonzero(np.ptp(shapely.bounds(found)[:, [0, 2]], axis=1) > 180)
    for k in across:
        found[k] = split(shapely.transform(found[k], lambda xy: np.column_stack([unwrapped(xy[:, 0]), xy[:, 1]])))
    return found


def hull(region: shapely.Geometry) -> shapely.Geometry:
    """Convex hull of an area; one on either side where it lies across the antimeridian."""
    west, _, east, _ = region.bounds
    if east - west <= 180:
        return region.convex_hull
    sides = [region.intersection(shapely.box(a, -90, a + 180, 90)).convex_hull for a in (-180, 0)]
    return shapely.MultiPolygon([side for side in sides if side.geom_type == "Polygon"])


def split(polygon: shapely.Geometry) -> shapely.Geometry:
    """A polygon whose longitudes go beyond 180, in two parts."""
    if polygon.bounds[2] <= 180:
        return polygon
    left = polygon.intersection(shapely.box(-180, -90, 180, 90))
    right = shapely.transform(polygon.intersection(shapely.box(180, -90, 540, 90)), lambda xy: xy - (360, 0))
    return shapely.union_all([left, right])

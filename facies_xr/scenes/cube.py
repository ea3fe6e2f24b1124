"""Scenes to a lazy cube of reflectance."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import grids, lazy, outlines
from ..errors import CatalogError, FaciesError, GridError, InputError, MetadataError
from ..seasons import Season
from . import readers, sensors
from .sensors import BANDS, LOW_SUN, Scene

LANDSAT_ORIGIN = 15.0
"""Edges of Landsat's 30 m pixels, modulo 30. [m]"""


def load(
    items: Iterable,
    area: Any = None,
    *,
    resolution: float = 10.0,
    crs: Any = None,
    like: Any = None,
    season: Any = None,
    chunks: int = lazy.CHUNK,
    on_error: Literal["raise", "drop"] = "raise",
) -> xr.Dataset:
    """Lazy cube of reflectance from STAC items; no pixel is read.

    Parameters
    ----------
    items : iterable of pystac.Item
        For example what ``search`` returns.
    area : outlines, optional
        Glacier outlines, or (west, south, east, north) in degrees; by default the scenes' own extent.
    resolution : float
        Pixel size. [m]
    crs : CRS, optional
        Of the grid; by default the UTM zone of the area.
    like : Dataset, DataArray or GeoBox, optional
        Take this grid instead.
    season : (str, int), optional
        Season that names the balance year of each date; by default the one of the search, else of the latitude.
    chunks : int
        Edge of the chunks. [px]
    on_error : {"raise", "drop"}
        What to do with a scene whose metadata are broken: stop, or leave it out with a warning.

    Returns
    -------
    Dataset (time, y, x)
        ``blue green red nir swir1 swir2`` [1] float32, NaN where nothing was observed; ``saturated`` uint8, bit k set
        where a saturated source pixel contributes to band k. One time is one datatake; where its scenes overlap, the
        first in the coordinate ``item`` that has data is taken.

    Raises
    ------
    CatalogError
        Without items, or with items whose ids repeat.
    MetadataError
        If a scene's calibration or sun is unknown, or levels are mixed.
    GridError
        If the grid cannot be made, or no scene touches it.
    """
    if on_error not in ("raise", "drop"):
        raise InputError(f'on_error={on_error!r}: choose "raise" or "drop".')
    season = season or getattr(items, "extra_fields", {}).get("facies_xr:season")
    scenes = _scenes(items, on_error)
    box = _grid(scenes, area, resolution, crs, like)
    datatakes = _datatakes(_touching(scenes, box), area, box)
    ordered = [scene for group in datatakes for scene in group]
    pixels = lazy.mosaic(readers.stack(ordered, box, chunks), [len(g) for g in datatakes], _first_valid)
    return _dataset(pixels, datatakes, box, Season.parse(season) if season else _season(box))


def _scenes(items: Iterable, on_error: str) -> list[Scene]:
    scenes: list[Scene] = []
    for item in items:
        try:
            scene = sensors.resolve(item).calibrated()
        except FaciesError as error:
            if on_error == "raise":
                raise
            warnings.warn(f"left out: {error}", stacklevel=3)
            continue
        if scene.sun_elevation < LOW_SUN:
            warnings.warn(f"scene {scene.id}: the sun stands at only {scene.sun_elevation:.1f} degrees.", stacklevel=3)
        scenes.append(scene)
    if not scenes:
        raise CatalogError("there is no scene to load; search again with other years, season or level.")
    ids = pd.Series([s.id for s in scenes])
    if ids.duplicated().any():
        raise CatalogError(f"item {ids[ids.duplicated()].iloc[0]!r} occurs twice; give each scene once.")
    levels = {s.level for s in scenes}
    if len(levels) > 1:
        raise MetadataError(
            "the items mix top-of-atmosphere (TOA) and surface (SR) reflectance; load each level on its own "
            "(search(..., level='TOA'))."
        )
    return scenes


def _grid(scenes: Sequence[Scene], area: Any, resolution: float, crs: Any, like: Any) -> GeoBox:
    if like is not None:
        return grids.geobox(like)
    if area is None:
        west, south, east, north = np.array([s.bbox for s in scenes]).T
        area = (west.min(), south.min(), east.max(), north.max())
    landsat_alone = all(s.sensor.startswith("landsat") for s in scenes)
    origin = LANDSAT_ORIGIN if landsat_alone and resolution == 30 else 0.0
    return grids.grid(area, resolution, crs=crs, origin=origin)


def _footprint(scene: Scene) -> shapely.Geometry:
    return shapely.box(*scene.bbox)


def _touching(scenes: Sequence[Scene], box: GeoBox) -> list[Scene]:
    ring = box.extent.to_crs("EPSG:4326", resolution=box.affine.a * 50).geom
    found = [s for s in scenes if _footprint(s).intersects(ring)]
    if not found:
        raise GridError(f"none of the {len(scenes)} scenes touches the grid; check the outlines and their CRS.")
    return found


def _datatakes(scenes: Sequence[Scene], area: Any, box: GeoBox) -> list[list[Scene]]:
    """Scenes by datatake, in time; within one, the scene that covers most of the area comes first."""
    grid = box.extent.to_crs("EPSG:4326").geom
    target = grid if area is None else outlines.footprint(area).to_crs(4326).union_all()
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(scene.datatake, []).append(scene)
    covered = {s.id: _footprint(s).intersection(target).area for s in scenes}
    ordered = [sorted(group, key=lambda s: (-covered[s.id], s.id)) for group in groups.values()]
    return sorted(ordered, key=lambda group: (group[0].datetime, group[0].id))


def _first_valid(block: np.ndarray) -> np.ndarray:
    """First scene with data, pixel by pixel: (scene, ...) to (1, ...)."""
    out = block[:1].copy()
    for scene in block[1:]:
        gap = np.isnan(out[0].real)
        out[0][gap] = scene[gap]
    return out


def _season(box: GeoBox) -> Season:
    return Season.at(grids.centre_lonlat(box)[1])


def _dataset(pixels, datatakes: list[list[Scene]], box: GeoBox, season: Season) -> xr.Dataset:
    leading = [group[0] for group in datatakes]
    times = pd.DatetimeIndex([s.datetime for s in leading]).as_unit("ns")
    if times.has_duplicates:
        raise CatalogError(f"two datatakes have the same time {times[times.duplicated()][0]}; leave one out.")
    centres = np.array([((s.bbox[0] + s.bbox[2]) / 2, (s.bbox[1] + s.bbox[3]) / 2) for s in leading])
    timed = {
        "time": times,
        "item": np.array([" ".join(s.id for s in group) for group in datatakes]),
        "sensor": np.array([s.sensor for s in leading]),
        "sun_azimuth": np.array([s.sun_azimuth for s in leading]),
        "sun_elevation": np.array([s.sun_elevation for s in leading]),
        "sun_longitude": centres[:, 0],
        "sun_latitude": centres[:, 1],
        "cloud_cover": np.array([s.cloud_cover for s in leading]),
        "balance_year": season.balance_year(times),
        "calibration": np.array([s.bands["blue"].why for s in leading]),
    }
    coords: dict[str, Any] = {name: ("time", values, dict(_TIMED[name])) for name, values in timed.items()}
    coords["balance_year"][2]["comment"] = f"season {season}"
    level = leading[0].level
    georeferenced = {"grid_mapping": "spatial_ref"}
    data = {
        band: (
            ("time", "y", "x"),
            lazy.real_plane(pixels, k),
            {"units": "1", "long_name": f"{name} reflectance", "standard_name": _STANDARD_NAME[level], **georeferenced},
        )
        for k, (band, name) in enumerate(_LONG_NAME.items())
    }
    data["saturated"] = (("time", "y", "x"), lazy.flag_planes(pixels), {**_SATURATED, **georeferenced})
    return xr.Dataset(data, coords={**coords, **grids.coords(box)}, attrs={"level": level})


_STANDARD_NAME = {"TOA": "toa_bidirectional_reflectance", "SR": "surface_bidirectional_reflectance"}
_LONG_NAME = dict(
    zip(BANDS, ("blue", "green", "red", "near infrared", "shortwave infrared 1", "shortwave infrared 2"), strict=True)
)
_SATURATED: dict[str, Any] = {
    "long_name": "bands to which a saturated source pixel contributes",
    "flag_masks": np.uint8(1) << np.arange(6, dtype="uint8"),
    "flag_meanings": " ".join(BANDS),
}
_SUN = "place that the sun's angles hold for"
_TIMED = {
    "time": {"long_name": "time of the datatake", "standard_name": "time"},
    "item": {"long_name": "scenes of the datatake, in mosaic order"},
    "sensor": {"long_name": "sensor"},
    "sun_azimuth": {
        "units": "degree",
        "standard_name": "solar_azimuth_angle",
        "long_name": "sun azimuth, clockwise from true north",
    },
    "sun_elevation": {"units": "degree", "standard_name": "solar_elevation_angle", "long_name": "sun elevation"},
    "sun_longitude": {"units": "degrees_east", "long_name": _SUN},
    "sun_latitude": {"units": "degrees_north", "long_name": _SUN},
    "cloud_cover": {"units": "percent", "long_name": "cloud cover of the scene"},
    "balance_year": {"long_name": "balance year, named by its end"},
    "calibration": {"long_name": "origin of scale and offset of the blue band"},
}

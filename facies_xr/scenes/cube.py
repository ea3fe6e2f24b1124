"""Scenes to a lazy cube of reflectance."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import access, degrees, grids, lazy, outlines
from ..errors import AccessError, CatalogError, FaciesError, GridError, InputError, MetadataError
from ..seasons import Season
from ..stations import BANDS
from . import readers, sensors
from .sensors import LOW_SUN, Scene

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
    nir: Literal["B08", "B8A"] = "B08",
    qa: bool = False,
    reader: Literal["stackstac", "odc"] = "stackstac",
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
    nir : {"B08", "B8A"}
        Near infrared of Sentinel-2: B08 (10 m) or B8A (20 m), whose spectrum is nearer to Landsat 8's.
    qa : bool
        Load the providers' pixel classes too, where they have them.
    reader : {"stackstac", "odc"}
        Library that makes the graph; the numbers are the same.
    on_error : {"raise", "drop"}
        What to do with a scene whose metadata are broken: stop, or leave it out with a warning.

    Returns
    -------
    Dataset (time, y, x)
        ``blue green red nir swir1 swir2`` [1] float32, NaN where nothing was observed; ``saturated`` uint8, bit k set
        where a saturated source pixel contributes to band k. One time is one datatake; where its scenes overlap, the
        first in the coordinate ``item`` that has data is taken. With ``qa``, also ``qa`` uint16: the classes of
        Landsat's QA_PIXEL or Sentinel-2's SCL, as the coordinate ``qa_kind`` says.

    Raises
    ------
    CatalogError
        Without items, or with items whose ids repeat.
    AccessError
        If a file needs a credential that is not there.
    MetadataError
        If a scene's calibration or sun is unknown, or levels are mixed.
    GridError
        If the grid cannot be made, or no scene touches it.
    """
    if on_error not in ("raise", "drop"):
        raise InputError(f'on_error={on_error!r}: choose "raise" or "drop".')
    if reader not in ("stackstac", "odc"):
        raise InputError(f'reader={reader!r}: choose "stackstac" or "odc".')
    scenes = _scenes(items, nir, on_error)
    box = _grid(scenes, area, resolution, crs, like)
    datatakes = _datatakes(_touching(scenes, box), area, box)
    read = _reader(reader)
    pixels = read(datatakes, box, chunks, BANDS, readers.reflectances)
    cube = _dataset(pixels, datatakes, box, season_of(items, box, season))
    if qa:
        codes = read(datatakes, box, chunks, ["qa"], readers.classes)
        cube["qa"] = ("time", "y", "x"), lazy.codes(codes), {**_QA, "grid_mapping": "spatial_ref"}
        kinds = [next((_QA_KIND[s.sensor] for s in group if s.qa), "none") for group in datatakes]
        cube = cube.assign_coords(qa_kind=("time", np.array(kinds), {"long_name": "origin of the pixel classes"}))
    return cube


def _reader(name: str):
    if name == "stackstac":
        return readers.with_stackstac
    from .odc import with_odc

    return with_odc


def _scenes(items: Iterable, nir: str, on_error: str) -> list[Scene]:
    scenes: list[Scene] = []
    for item in items:
        try:
            scene = sensors.resolve(item, nir)
            for href in scene.files:
                access.check(href)
            scene = scene.calibrated()
        except AccessError:
            raise
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


def _touching(scenes: Sequence[Scene], box: GeoBox) -> list[Scene]:
    grid = degrees.of_grid(box)
    found = [s for s in scenes if s.footprint.intersects(grid)]
    if not found:
        raise GridError(f"none of the {len(scenes)} scenes touches the grid; check the outlines and their CRS.")
    return found


def _datatakes(scenes: Sequence[Scene], area: Any, box: GeoBox) -> list[list[Scene]]:
    """Scenes by datatake, in time; within one, the scene that covers most of the area comes first."""
    target = degrees.of_grid(box) if area is None else outlines.footprint(area).to_crs(4326).union_all()
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(scene.datatake, []).append(scene)
    covered = {s.id: s.footprint.intersection(target).area for s in scenes}
    ordered = [sorted(group, key=lambda s: (-covered[s.id], s.id)) for group in groups.values()]
    return sorted(ordered, key=lambda group: (group[0].datetime, group[0].id))


def season_of(items: Iterable, box: GeoBox, season: Any = None) -> Season:
    """Season that names balance years: as given, else the one of the search, else that of the grid's latitude."""
    told = season or getattr(items, "extra_fields", {}).get("facies_xr:season")
    return Season.parse(told) if told else Season.at(grids.centre_lonlat(box)[1])


def _dataset(pixels, datatakes: list[list[Scene]], box: GeoBox, season: Season) -> xr.Dataset:
    leading = [group[0] for group in datatakes]
    times = pd.DatetimeIndex([s.datetime for s in leading]).as_unit("ns")
    if times.has_duplicates:
        raise CatalogError(f"two datatakes have the same time {times[times.duplicated()][0]}; leave one out.")
    centres = np.array([s.centre for s in leading])
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
    centre = f"{season.month:02d}-{season.day:02d}"
    coords["balance_year"][2].update(season_centre=centre, season_half_width=season.half_width)
    level = leading[0].level
    attrs = {"level": level}
    if narrow := {s.instrument.numbers["nir"] for s in leading if s.sensor == "sentinel-2"}:
        attrs["sentinel_2_nir"] = " ".join(sorted(narrow))
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
    return xr.Dataset(data, coords={**coords, **grids.coords(box)}, attrs=attrs)


_STANDARD_NAME = {"TOA": "toa_bidirectional_reflectance", "SR": "surface_bidirectional_reflectance"}
_LONG_NAME = dict(
    zip(BANDS, ("blue", "green", "red", "near infrared", "shortwave infrared 1", "shortwave infrared 2"), strict=True)
)
_SATURATED: dict[str, Any] = {
    "long_name": "bands to which a saturated source pixel contributes",
    "flag_masks": np.uint8(1) << np.arange(6, dtype="uint8"),
    "flag_meanings": " ".join(BANDS),
}
_QA = {"long_name": "pixel classes of the provider; 0 where there are none"}
_QA_KIND = {name: "SCL" if name == "sentinel-2" else "QA_PIXEL" for name in sensors.SENSORS}
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

"""Scenes to a lazy cube of reflectance."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pystac
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import access, degrees, grids, lazy, outlines, stations
from ..errors import AccessError, CatalogError, FaciesError, GridError, MetadataError, one_of
from ..seasons import Season
from ..stations import BANDS, STANDARD_NAME
from . import missions, readers
from .collection import newest, scene_of
from .scene import LOW_SUN, Scene

READERS = ("facies_xr", "stackstac", "odc")
"""What makes the graph; the pixels are the same."""

PAUSE = pd.Timedelta(minutes=30)
"""Scenes of one pass follow each other within seconds; an orbit takes 100 minutes."""


def load(
    items: Iterable[pystac.Item | Mapping[str, Any]],
    area: Any = None,
    *,
    resolution: float = 10.0,
    crs: Any = None,
    like: Any = None,
    season: Any = None,
    chunks: int = lazy.CHUNK,
    nir: Literal["B08", "B8A"] = "B08",
    qa: bool = False,
    reader: Literal["facies_xr", "stackstac", "odc"] = "facies_xr",
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
    reader : {"facies_xr", "stackstac", "odc"}
        What makes the graph: we or a library; the pixels are the same.
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
    one_of("on_error", on_error, ("raise", "drop"))
    one_of("reader", reader, READERS)
    missions.check_nir(nir)
    scenes = _scenes(items, nir, on_error)
    box = _grid(scenes, area, resolution, crs, like)
    target = degrees.of_grid(box) if area is None else outlines.footprint(area).to_crs(4326).union_all()
    groups = datatakes(_touching(scenes, box), target)
    read = _reader(reader)
    pixels = read(groups, box, chunks, BANDS, readers.reflectances)
    cube = _dataset(pixels, groups, box, season_of(items, box, season))
    if qa:
        codes = read(groups, box, chunks, ["qa"], readers.classes)["qa"]
        cube["qa"] = ("time", "y", "x"), lazy.blockwise(_whole, [codes], "uint16")
        names = [next((missions.of(s).CLASSES.name for s in group if s.qa), "none") for group in groups]
        cube = cube.assign_coords(qa_kind=("time", np.array(names)))
    return stations.dress(cube, "load")


def _reader(name: str) -> readers.Reader:
    if name == "stackstac":
        from .stackstac import with_stackstac

        return with_stackstac
    if name == "odc":
        from .odc import with_odc

        return with_odc
    from .windows import with_windows

    return with_windows


def _scenes(items: Iterable[pystac.Item | Mapping[str, Any]], nir: str, on_error: str) -> list[Scene]:
    scenes: list[Scene] = []
    for item in items:
        try:
            scene = scene_of(item, items, nir)
            for href in scene.files:
                access.check(href)
            scene = missions.calibrated(scene)
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
    valid, replaced = newest(scenes)
    for scene in replaced:
        warnings.warn(f"left out: scene {scene.id} is replaced by a later product of its acquisition.", stacklevel=3)
    return valid


def _grid(scenes: Sequence[Scene], area: Any, resolution: float, crs: Any, like: Any) -> GeoBox:
    if like is not None:
        return grids.geobox(like)
    if area is None:
        west, south, east, north = np.array([s.bbox for s in scenes]).T
        area = (west.min(), south.min(), east.max(), north.max())
    origins = {missions.of(s).ORIGIN.get(resolution, 0.0) for s in scenes}
    return grids.grid(area, resolution, crs=crs, origin=origins.pop() if len(origins) == 1 else 0.0)


def _touching(scenes: Sequence[Scene], box: GeoBox) -> list[Scene]:
    grid = degrees.of_grid(box)
    touching = [s for s in scenes if s.footprint.intersects(grid)]
    if not touching:
        raise GridError(f"none of the {len(scenes)} scenes touches the grid; check the outlines and their CRS.")
    return touching


def datatakes(scenes: Sequence[Scene], target: shapely.Geometry) -> list[list[Scene]]:
    """Scenes by datatake, in time; within one, the scene that covers most of an area in degrees comes first."""
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(scene.datatake, []).append(scene)
    covered = {s.id: s.footprint.intersection(target).area for s in scenes}
    passes = [part for group in groups.values() for part in _passes(group)]
    ordered = [sorted(group, key=lambda s: (-covered[s.id], s.id)) for group in passes]
    return sorted(ordered, key=lambda group: (group[0].datetime, group[0].id))


def _passes(group: Sequence[Scene]) -> list[list[Scene]]:
    """Scenes of one text by passes, between which lies at least an orbit's night side."""
    ordered = sorted(group, key=lambda s: s.datetime)
    passes = [ordered[:1]]
    for scene in ordered[1:]:
        if scene.datetime - passes[-1][-1].datetime > PAUSE:
            passes.append([])
        passes[-1].append(scene)
    return passes


def season_of(items: Iterable[pystac.Item | Mapping[str, Any]], box: GeoBox, season: Any = None) -> Season:
    """Season that names balance years: as given, else the one of the search, else that of the grid's latitude."""
    given = season or getattr(items, "extra_fields", {}).get("facies_xr:season")
    return Season.parse(given) if given else Season.at(*reversed(grids.centre_lonlat(box)))


def coordinates(groups: Sequence[Sequence[Scene]], season: Season) -> dict[str, tuple[str, Any]]:
    """What a cube says of each datatake, along ``time``; as its first scene says it.

    Raises
    ------
    CatalogError
        If two datatakes have the same time.
    """
    leading = [group[0] for group in groups]
    times = pd.DatetimeIndex([s.datetime for s in leading]).as_unit("ns")
    if times.has_duplicates:
        raise CatalogError(f"two datatakes have the same time {times[times.duplicated()][0]}; leave one out.")
    centres = np.array([s.centre for s in leading])
    timed = {
        "time": times,
        "item": np.array([" ".join(s.id for s in group) for group in groups]),
        "sensor": np.array([s.sensor for s in leading]),
        "sun_azimuth": np.array([s.sun_azimuth for s in leading]),
        "sun_elevation": np.array([s.sun_elevation for s in leading]),
        "sun_longitude": centres[:, 0],
        "sun_latitude": centres[:, 1],
        "cloud_cover": np.array([s.cloud_cover for s in leading]),
        "balance_year": season.balance_year(times),
        "calibration": np.array([s.bands["blue"].why for s in leading]),
        "tier": np.array([s.tier for s in leading]),
    }
    return {name: ("time", values) for name, values in timed.items()}


def _dataset(
    pixels: Mapping[str, lazy.Array], groups: Sequence[Sequence[Scene]], box: GeoBox, season: Season
) -> xr.Dataset:
    leading, coords = [group[0] for group in groups], coordinates(groups, season)
    planes, dims = [pixels[band] for band in BANDS], ("time", "y", "x")
    data = {
        band: (dims, lazy.blockwise(np.real, [plane], "float32")) for band, plane in zip(BANDS, planes, strict=True)
    }
    data["saturated"] = (dims, lazy.blockwise(saturated, planes, "uint8"))
    level = leading[0].level
    cube = xr.Dataset(data, {**coords, **grids.coords(box)}, {"level": level, **near_infrared(leading)})
    cube["time"].attrs |= {"long_name": "time of the datatake", "standard_name": "time"}
    cube["tier"].attrs["long_name"] = "tier of the geometry, by the provider"
    cube["balance_year"].attrs |= season.to_attrs()
    for band in BANDS:
        cube[band].attrs["standard_name"] = STANDARD_NAME[level]
    return cube


def near_infrared(scenes: Sequence[Scene]) -> dict[str, str]:
    """Attributes that say which near infrared was taken, of missions that give a choice."""
    attrs = {}
    for name, mission in missions.MISSIONS.items():
        numbers = {s.instrument.numbers["nir"] for s in scenes if mission.NIR and missions.of(s) is mission}
        if numbers:
            attrs[f"{name.replace('-', '_')}_nir"] = " ".join(sorted(numbers))
    return attrs


def saturated(*planes: np.ndarray) -> np.ndarray:
    """One bit a band: set where the imaginary part is positive."""
    return np.packbits(np.stack([plane.imag > 0 for plane in planes]), axis=0, bitorder="little")[0]


def _whole(codes: np.ndarray) -> np.ndarray:
    """Real part as whole numbers, 0 for NaN."""
    return np.nan_to_num(codes.real).astype("uint16")

"""What a worker does: the ground of a tile, then one date after the other on it.

Every pixel comes from the functions of the window and the tile that ``load``, ``add_terrain`` and ``classify`` are made
of, on the grid of the tile's region, so that it is the pixel that these give, bit for bit.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import access, grids, outlines, stations
from ..classes import NODATA
from ..errors import InputError
from ..maps import inference, smoothing
from ..nn import evaluate, patches, registry
from ..scenes import cube as _cube
from ..scenes import missions, readers, windows
from ..scenes.scene import Scene
from ..stations import BANDS
from ..store import TILE
from ..terrain import layers, light
from ..terrain.dem import HIGHEST, open_dem
from ..terrain.proximity import Glaciers
from ..terrain.survey import survey
from .manifest import Manifest

GROUND = ("elevation", "slope", "glacier_index", "proximity")
"""Layers of a tile that are the same on all dates."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a tile lies: on the grid of its region, with what surrounds it."""

    region: int
    rows: slice
    """Of the tile, on the region's grid. [px]"""
    columns: slice
    reach: int
    """Surroundings of the tile that decide its pixels. [px]"""
    margin: int
    """Surroundings of the arrays on which it is computed, in whole absolute tiles of inference. [px]"""
    shape: tuple[int, int]
    """Of the region's grid. [px]"""

    @classmethod
    def of(cls, manifest: Manifest, tile: int) -> "Frame":
        """Frame of a tile of a manifest."""
        row = manifest.tiles.iloc[tile]
        window, steps = manifest.window(row["region"]), manifest.configuration["smooth"]
        shape = tuple(span.stop - span.start for span in window)
        first = [int(k) * TILE - span.start for k, span in zip((row["row"], row["column"]), window, strict=True)]
        rows, columns = (slice(a, min(a + TILE, n)) for a, n in zip(first, shape, strict=True))
        inference_tile = registry.load_model(manifest.configuration["models"][0]["model"]).tile
        smoothed = sum(smoothing.STEPS[name].reach for name in steps)
        reach = math.ceil(smoothed / inference_tile) * inference_tile + patches.REACH
        return cls(int(row["region"]), rows, columns, reach, TILE if steps else inference_tile, shape)

    def grown(self, by: int) -> tuple[slice, slice]:
        """The tile with surroundings, as far as the grid goes."""
        spans = zip((self.rows, self.columns), self.shape, strict=True)
        rows, columns = (slice(max(s.start - by, 0), min(s.stop + by, n)) for s, n in spans)
        return rows, columns

    @property
    def chunks(self) -> dict[str, tuple[int, ...]]:
        """Chunks of the arrays, of which the tile is one."""
        outer = self.grown(self.margin)
        sizes = [
            (whole.start, inner.start, inner.stop, whole.stop)
            for whole, inner in zip(outer, (self.rows, self.columns), strict=True)
        ]
        return {dim: tuple(int(n) for n in np.diff(cuts) if n) for dim, cuts in zip(("y", "x"), sizes, strict=True)}

    def filled(self, values: np.ndarray, blank: Any) -> np.ndarray:
        """Arrays of the computation from values of what decides the tile. (y, x)"""
        (top, bottom), (left, right) = (
            (a.start - b.start, a.stop - b.start)
            for a, b in zip(self.grown(self.reach), self.grown(self.margin), strict=True)
        )
        shape = tuple(s.stop - s.start for s in self.grown(self.margin))
        out = np.full(shape, blank, values.dtype)
        out[top:bottom, left:right] = values
        return out

    @property
    def inner(self) -> dict[str, slice]:
        """The tile within the arrays of the computation."""
        outer = self.grown(self.margin)
        spans = zip(("y", "x"), (self.rows, self.columns), outer, strict=True)
        return {dim: slice(s.start - o.start, s.stop - o.start) for dim, s, o in spans}


@dataclass(frozen=True, eq=False)
class Ground:
    """The terrain of a tile, for all dates; some megabytes."""

    tile: int
    frame: Frame
    layers: Mapping[str, np.ndarray]
    """Of what decides the tile. (y, x)"""
    glaciers: Mapping[str, np.ndarray]
    """Numbers of the glaciers that touch it, and the bounds of each as a whole. (glacier)"""
    lowest: float
    """Of the terrain on the tile. [m]"""
    highest: float
    """Of the terrain that may shade it. [m]"""

    @property
    def static(self) -> dict[str, np.ndarray]:
        """Rasters without time that the store keeps. (y, x)"""
        inner = tuple(
            slice(s.start - near.start, s.stop - near.start)
            for s, near in zip((self.frame.rows, self.frame.columns), self.frame.grown(self.frame.reach), strict=True)
        )
        return {name: self.layers[name][inner] for name in ("elevation", "glacier_index")}


def dem_of(manifest: Manifest, zone: str) -> Any:
    """Elevation model of a zone, as ``add_terrain`` takes it."""
    dem = manifest.configuration["dem"]
    return dem[zone] if isinstance(dem, Mapping) else dem


def bounds(manifest: Manifest, region: int) -> pd.DataFrame:
    """Bounds of all glaciers of a region as wholes: by number, lowest, highest, farthest [m].

    Raises
    ------
    GridError, InputError
        As :func:`facies_xr.add_terrain`.
    """
    box, table = manifest.region_box(region), manifest.glaciers[manifest.glaciers["region"] == region]
    found = _edition(manifest, table, region, check=True).survey
    bare = table["glacier"].to_numpy()[np.isnan(found.lowest) & np.isfinite(found.farthest)]
    if bare.size:
        raise InputError(
            f"the DEM has no elevation on {bare.size} of {len(table)} glaciers of {box.crs}: {', '.join(bare[:5])}. "
            "Choose one that covers them, or leave their outlines out."
        )
    return pd.DataFrame(
        {name: getattr(found, field) for name, field in layers.BOUNDS.items()}, index=table["number"].to_numpy()
    )


def _edition(manifest: Manifest, table: Any, region: int, *, check: bool = False) -> layers.Edition:
    """Survey of some glaciers of a region."""
    box = manifest.region_box(region)
    dem = open_dem(dem_of(manifest, manifest.regions.loc[region, "zone"]), box)
    projected = np.asarray(table.geometry.to_crs(box.crs.to_wkt()).values)
    glaciers = Glaciers(projected, table["number"].to_numpy("int32"), box)
    return layers.Edition(table, glaciers, survey(glaciers, dem, "glacier", check=check), (outlines.digest(table),))


def ground(manifest: Manifest, tile: int) -> Ground:
    """Terrain of a tile; the glaciers that touch it are surveyed as wholes."""
    frame, row = Frame.of(manifest, tile), manifest.tiles.iloc[tile]
    box = manifest.region_box(frame.region)
    near = frame.grown(frame.reach)
    around = grids.window(box, *near)
    table = _touching(manifest, frame.region, around)
    edition = _edition(manifest, table, frame.region)
    source = dem_of(manifest, row["zone"])
    dem = open_dem(source, box)
    sun = manifest.dates.loc[manifest.dates["region"] == frame.region, "sun_elevation"].min()
    extremes = open_dem(source, around).bounds(HIGHEST / math.tan(math.radians(sun)))
    made = {
        "elevation": dem.read(*near),
        "slope": dem.slope(*near),
        "glacier_index": layers.glacier_index(*near, edition),
        "proximity": layers.proximity(*near, edition),
    }
    here = np.isin(edition.glaciers.number, np.unique(made["glacier_index"]))
    of_glaciers = {name: getattr(edition.survey, field)[here] for name, field in layers.BOUNDS.items()}
    of_glaciers["glacier_number"] = edition.glaciers.number[here]
    return Ground(tile, frame, made, of_glaciers, extremes.lowest, extremes.highest)


def _touching(manifest: Manifest, region: int, around: Any) -> Any:
    """Glaciers of a region on a window, and those that touch these, on whose edge their pixels may depend."""
    table = manifest.glaciers[manifest.glaciers["region"] == region]
    shapes = table.geometry
    frame = around.extent.to_crs(table.crs.to_wkt()).geom.buffer(0)
    first = table[shapes.intersects(frame)]
    return table[shapes.intersects(first.geometry.union_all())]


@dataclass(frozen=True, eq=False)
class Done:
    """What was made of one unit."""

    blocks: dict[str, np.ndarray]
    """Rasters of the tile. ([class,] y, x)"""
    seconds: dict[str, float]
    """Spent on each stage."""
    pixels: int
    """With a class."""
    valid: float
    """Their share of the glaciers' pixels."""
    nbytes: int
    """Of source pixels, uncompressed."""
    devices: tuple[str, ...]
    """On which its scores were computed: more than one, where the CPU took what a card had no room for."""


def classified(manifest: Manifest, ground: Ground, date: int, device: str | None = None) -> Done:
    """Maps of one tile on one date.

    Raises
    ------
    SceneReadError
        If a file of a scene cannot be read.
    """
    clock, seconds = time.perf_counter(), {}

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = time.perf_counter() - clock, time.perf_counter()

    bands = _bands(manifest, ground.frame, date)
    lap("read")
    lit = _light(manifest, ground, date)
    lap("features")
    data = _window(manifest, ground, date, {**bands, **lit})
    maps = maps_of(data.chunk({"time": 1, **ground.frame.chunks}, token=f"unit-{ground.tile}-{date}"), manifest, device)
    timed_rasters = [n for n, v in maps.data_vars.items() if {"time", "y", "x"} <= set(v.dims)]
    tile = maps[timed_rasters].isel({"time": 0, **ground.frame.inner})
    with evaluate.noted() as devices:
        blocks = {str(n): v.values for n, v in tile.compute(scheduler="synchronous").data_vars.items()}
    lap("inference")
    ice = int((ground.static["glacier_index"] > 0).sum())
    seen = int((blocks["facies_map"] != NODATA).sum())
    nbytes = sum(v.nbytes for name, v in bands.items() if name != "saturated")
    return Done(blocks, seconds, seen, seen / ice if ice else 0.0, nbytes, tuple(sorted(devices)))


def maps_of(data: xr.Dataset, manifest: Manifest, device: str | None = None) -> xr.Dataset:
    """The maps of a cube, lazily, as the manifest asks for them."""
    options = manifest.configuration
    members = [entry["model"] for entry in options["models"]]
    maps = inference.classify(
        data,
        members if len(members) > 1 else members[0],
        smooth=options["smooth"] or None,
        accept_level=options["accept_level"],
        precision=options["precision"],
        device=device,
    )
    return inference.calibrate(maps) if options["calibrate"] and "calibrator_correct" in maps else maps


def _bands(manifest: Manifest, frame: Frame, date: int) -> dict[str, np.ndarray]:
    """Reflectance of what decides a tile, and where it is saturated."""
    row, box = manifest.dates.iloc[date], manifest.region_box(frame.region)
    nir = manifest.configuration["nir"]
    group = [scene_of(_Item(item, manifest.scenes[item], nir)) for item in row["items"]]
    parts = windows.parts_of(group, box, BANDS, readers.reflectances)
    planes = [windows.merged(*frame.grown(frame.reach), parts[name]) for name in BANDS]
    found = {name: plane.real.astype("float32") for name, plane in zip(BANDS, planes, strict=True)}
    return {**found, "saturated": _cube.saturated(*planes)}


@dataclass(frozen=True)
class _Item:
    """Key of a scene in the cache of a worker."""

    id: str
    content: Mapping[str, Any]
    nir: str

    def __hash__(self) -> int:
        return hash((self.id, self.nir))


@lru_cache(maxsize=256)
def scene_of(item: _Item) -> Scene:
    """Scene of an item, calibrated: a worker reads its metadata once."""
    scene = missions.resolve(item.content, item.nir)
    for href in scene.files:
        access.check(href)
    return missions.calibrated(scene)


def _light(manifest: Manifest, ground: Ground, date: int) -> dict[str, np.ndarray]:
    """Hillshade and shadow mask of what decides a tile."""
    frame, row = ground.frame, manifest.dates.iloc[date]
    box = manifest.region_box(frame.region)
    sun = light.suns(timed(row.to_frame().T), box, None, None)[0]
    dem = open_dem(dem_of(manifest, row["zone"]), box)
    families = light.families_of(manifest.configuration["shadows"])
    lit = light.Light(dem, ground.lowest, ground.highest, families)
    near = frame.grown(frame.reach)
    return {"hillshade": lit.hillshade(*near, sun), "shadow_mask": lit.shadow_mask(*near, sun)}


COORDINATES = tuple(name for name in (*stations.TIMED, "tier") if name != "item")
"""What a manifest says of a date."""


def timed(dates: pd.DataFrame) -> xr.Dataset:
    """Coordinates of dates, as ``load`` gives them, from rows of a manifest."""
    when = pd.DatetimeIndex(dates["time"].astype("int64").to_numpy().astype("datetime64[us]")).as_unit("ns")
    coords: dict[str, Any] = {"time": when}
    for name in COORDINATES:
        values = dates[name].to_numpy()
        kind = stations.TIMED[name].dtype if name in stations.TIMED else "U"
        coords[name] = ("time", values.astype(str if kind == "U" else kind))
    coords["item"] = ("time", np.array([" ".join(items) for items in dates["items"]], str))
    data = xr.Dataset(coords=coords)
    season = dates["season"].iloc[0]
    data["balance_year"].attrs |= {"season_centre": season[0], "season_half_width": season[1]}
    data["time"].attrs |= {"long_name": "time of the datatake", "standard_name": "time"}
    return data


def _window(manifest: Manifest, ground: Ground, date: int, moving: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The cube of one tile on one date, in memory, blank where it decides nothing."""
    frame = ground.frame
    box = grids.window(manifest.region_box(frame.region), *frame.grown(frame.margin))
    data = timed(manifest.dates.iloc[[date]]).assign_coords(grids.coords(box))
    for name, values in moving.items():
        blank = np.nan if values.dtype.kind == "f" else stations.SHADOW_UNKNOWN if name == "shadow_mask" else 0
        data[name] = (("time", "y", "x"), frame.filled(values, blank)[None])
    for name in GROUND:
        values = ground.layers[name]
        data[name] = (("y", "x"), frame.filled(values, 0 if name in ("glacier_index", "proximity") else np.nan))
    for name, values in ground.glaciers.items():
        data[name] = ("glacier", values)
    return data.set_coords("glacier_number").assign_attrs(level=manifest.configuration["level"])

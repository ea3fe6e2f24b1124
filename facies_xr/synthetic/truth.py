"""The truth of a region, tile by tile: what covers the ground, what a satellite sees, reflectance, balance, points."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox
from scipy.ndimage import maximum_filter, minimum_filter

from .. import grids
from ..classes import NODATA, VALUES, cf_flags
from ..seasons import check_years
from . import balance, foreland, observations, sky, spectra, surface, terrain
from .missions import Plan, mission
from .setting import RESOLUTION, TILE, Setting, places

HORIZON = 120
"""Distance within which terrain casts shadows. [px]"""

INNER = (slice(HORIZON, -HORIZON), slice(HORIZON, -HORIZON))


def write_truth(setting: Setting, folder: Path) -> zarr.Group:
    """Write the truth of a region and return its rasters.

    Parameters
    ----------
    setting : Setting
    folder : Path
        Gets ``truth.zarr``, ``truth_balance.csv``, ``truth_glaciers.csv`` and ``points.gpkg``.
    """
    root = zarr.open_group(folder / "truth.zarr", mode="w", zarr_format=3)
    arrays = _create_truth(root, setting.box, setting.plans)
    shape = len(setting.ids), np.unique(setting.weather.year_of()).size
    sums = _Sums(np.zeros((3, *shape)), np.zeros(shape))
    points = []
    for r in range(0, setting.box.height, TILE):
        for c in range(0, setting.box.width, TILE):
            rows, columns = slice(r, min(r + TILE, setting.box.height)), slice(c, min(c + TILE, setting.box.width))
            points += _write_tile(setting, arrays, (rows, columns), sums)
    _write_balance(setting, sums.values / np.maximum(sums.counts, 1), folder)
    pd.DataFrame({"glacier": setting.ids, "pixels": sums.counts[:, -1]}).to_csv(
        folder / "truth_glaciers.csv", index=False
    )
    if points:
        pd.concat(points, ignore_index=True).to_file(folder / "points.gpkg", driver="GPKG")
    return root


@dataclass
class _Sums:
    """Balances of each glacier, added up over its cells."""

    values: np.ndarray
    """Annual and winter balance, cells that gained mass (quantity, glacier, year)."""
    counts: np.ndarray
    """Cells (glacier, year)."""

    def add(self, history: balance.History, on: np.ndarray, index: np.ndarray) -> None:
        """Add cells; ``on`` (year, cell) tells when there is ice."""
        np.add.at(self.counts, index, on.T)
        for k, annual in enumerate((history.balance, history.winter_balance, history.balance > 0)):
            np.add.at(self.values[k], index, (annual * on).T)


@dataclass(frozen=True)
class _Tile:
    """A tile of the region: its terrain, and the balance of its ice."""

    setting: Setting
    x: np.ndarray
    y: np.ndarray
    wide: terrain.Places
    """Terrain with a margin of :data:`HORIZON`."""

    @classmethod
    def of(cls, setting: Setting, rows: slice, columns: slice) -> "_Tile":
        """Tile of a window."""
        high, broad = (slice(span.start - HORIZON, span.stop + HORIZON) for span in (rows, columns))
        wide = setting.landscape.places(*places(setting.box, high, broad))
        return cls(setting, *places(setting.box, rows, columns), wide)

    @cached_property
    def here(self) -> terrain.Places:
        """Terrain of the tile itself."""
        return self.wide[INNER]

    @cached_property
    def ever(self) -> np.ndarray:
        """Where there is ice in any year."""
        years = self.setting.weather.year_of()
        return self.here.glacier(years[0]) >= 0

    def tilt(self, year: float) -> tuple[np.ndarray, np.ndarray]:
        """Downhill gradient, east and north."""
        north, west = np.gradient(self.wide.elevation(year), -RESOLUTION, RESOLUTION)
        return -west[INNER], -north[INNER]

    @cached_property
    def ground(self) -> surface.Ground:
        """What the ice carries."""
        middle, on = self.setting.middle, self.ever
        steep = np.hypot(*self.tilt(middle))[on]
        z = self.here.elevation(middle)[on]
        return surface.ground(self.setting.landscape, self.x[on], self.y[on], z, steep, self.here.number[on])

    def history(self, sums: _Sums) -> balance.History:
        """Balance of the ice, added to the sums of the glaciers."""
        setting, on = self.setting, self.ever
        tilt = tuple(t[on] for t in self.tilt(setting.middle))
        z = self.here.elevation(setting.middle)[on]
        cells = setting.cells(self.x[on], self.y[on], z, tilt, self.here.number[on])
        days = np.array([p.when for p in setting.plans], "datetime64[D]")
        found = balance.run(cells, setting.weather, setting.anomalies, days)
        years = np.unique(setting.weather.year_of())
        sums.add(found, np.stack([self.here.glacier(year)[on] >= 0 for year in years]), cells.group)
        return found


def _write_tile(
    setting: Setting, arrays: dict[str, zarr.Array], at: tuple[slice, slice], sums: _Sums
) -> list[gpd.GeoDataFrame]:
    """Write a tile of all scenes, add to the sums of each glacier's balance, and return labelled points."""
    tile = _Tile.of(setting, *at)
    history = tile.history(sums) if tile.ever.any() else None
    points = []
    for t, plan in enumerate(setting.plans):
        scene = _Scene.of(tile, plan, history, t)
        for name in ("surface", "seen", "cloud_shadow"):
            arrays[name][(t, *at)] = getattr(scene, name)
        arrays["reflectance"][(t, slice(None), *at)] = scene.reflectance.astype("float32")
        if scene.on.any():
            key = plan.seed + at[0].start * 7 + at[1].start
            points.append(scene.points(key))
    return points


@dataclass(frozen=True)
class _Scene:
    """A tile in one scene."""

    tile: _Tile
    plan: Plan
    on: np.ndarray
    """Where there is ice."""
    parts: np.ndarray
    """Fractions of the surfaces, 0 without ice."""
    surface: np.ndarray
    """Class of the ground."""
    seen: np.ndarray
    """With shadow and cloud."""
    cloud_shadow: np.ndarray
    reflectance: np.ndarray
    light: np.ndarray
    """Direct light, relative to that on a level surface."""

    @classmethod
    def of(cls, tile: _Tile, plan: Plan, history: balance.History | None, t: int) -> "_Scene":
        """What is there, and what is seen of it."""
        setting, x, y = tile.setting, tile.x, tile.y
        year = plan.when.year + (plan.when.timetuple().tm_yday - 1) / 365
        on = tile.here.glacier(year) >= 0
        look = spectra.Appearance.draw(plan.seed, plan.fresh_snow)
        sky_, cosine, lit = _light(setting, plan, tile.wide.elevation(year), tile.tilt(year))
        parts = np.zeros((len(spectra.SURFACES), *x.shape))
        level = np.empty((6, *x.shape))
        if history is not None:
            ice, ground = tile.ever, tile.ground
            gx, gy = x[ice], y[ice]
            parts[:, ice] = surface.fractions(
                ground=ground, snow=history.snow[t], firn=history.firn[t], bare=history.bare[t],
                x=gx, y=gy, seed=plan.seed,
            )  # fmt: skip
            level[:, ice] = spectra.reflectance(
                parts[:, ice], look, gx, gy,
                dirt=ground.dirt, crevasses=ground.crevasses, age=np.exp(-history.snow[t] / 0.35),
            )  # fmt: skip
        level[:, ~on] = _around(tile, plan, look, ~on, setting.snow_lines[t], year)
        parts *= on
        light = sky.relative_light(sky_, cosine, lit, on)
        toa = sky.toa_reflectance(level, sky_, light, x, y)
        covered = np.where(on, surface.dominant(parts), NODATA).astype("uint8")
        seen = np.where(lit | ~on, covered, VALUES["shadow"])
        seen = np.where((sky_.cloud(x, y) > sky.OPAQUE) & on, VALUES["cloud"], seen).astype("uint8")
        shade = ((sky_.cloud_shadow(x, y) > 0.3) & (seen != VALUES["cloud"])).astype("uint8")
        return cls(tile, plan, on, parts, covered, seen, shade, toa, light)

    def points(self, key: int) -> gpd.GeoDataFrame:
        """Points that an expert labels."""
        box, on = self.tile.setting.box, self.on
        bright = on & ~np.isin(self.seen, [VALUES["shadow"], VALUES["cloud"]])
        near = observations.smoothed(self.reflectance[3], self.light, bright)
        whole = minimum_filter(self.seen, 3) == maximum_filter(self.seen, 3)
        look = spectra.Appearance.draw(self.plan.seed, self.plan.fresh_snow)
        return observations.label_points(
            x=self.tile.x[on], y=self.tile.y[on], seen=self.seen[on], whole=whole[on], near=near[on],
            parts=self.parts[:, on], crs=box.crs.to_wkt(), seed=key, scene=mission(self.plan, box).id,
            brightness=float(np.exp(look.of("snow"))),
        )  # fmt: skip


def _around(tile: _Tile, plan: Plan, look: spectra.Appearance, off, snow_line: float, year: float) -> np.ndarray:
    """Reflectance of what lies around the ice."""
    land = tile.setting.landscape
    x, y, z = tile.x[off], tile.y[off], tile.here.elevation(year)[off]
    steep = np.hypot(*tile.tilt(year))[off]
    parts = foreland.fractions(
        x, y, z, steep, seed=land.seed, low=land.lowest, line=land.line, snow_line=snow_line, scene=plan.seed
    )
    brightness = np.array([look.of("snow"), look.shared])
    found = foreland.reflectance(parts, x, y, seed=land.seed, brightness=brightness)
    return np.maximum(found - np.array(spectra.PATH)[:, None], 0.002)


def _light(
    setting: Setting, plan: Plan, z_wide: np.ndarray, tilt: tuple[np.ndarray, np.ndarray]
) -> tuple[sky.Sky, np.ndarray, np.ndarray]:
    """Sky of a scene, cosine of the sun's incidence on a tile, and where the sun reaches it."""
    azimuth = plan.sun_azimuth - grids.convergence(setting.box.crs, setting.longitude, setting.latitude)
    drawn = sky.Sky.draw(plan.seed, azimuth, plan.sun_elevation, plan.cloud_cover)
    cosine = sky.incidence(tilt, azimuth, plan.sun_elevation)
    spans = ((HORIZON, z_wide.shape[0] - HORIZON), (HORIZON, z_wide.shape[1] - HORIZON))
    lit = sky.ray_march(z_wide, *spans, azimuth, plan.sun_elevation, RESOLUTION) & (cosine > sky.GRAZING)
    return drawn, cosine, lit


def _write_balance(setting: Setting, means: np.ndarray, folder: Path) -> None:
    years = np.unique(setting.weather.year_of())
    kept = np.flatnonzero(years >= check_years(setting.years)[0])
    table = pd.DataFrame(
        [
            {
                "glacier": name,
                "balance_year": years[j],
                "balance": means[0, k, j],
                "winter_balance": means[1, k, j],
                "accumulation_area_ratio": means[2, k, j],
            }
            for k, name in enumerate(setting.ids)
            for j in kept
        ]
    )
    table.to_csv(folder / "truth_balance.csv", index=False)


def _create_truth(root: zarr.Group, box: GeoBox, plans: list[Plan]) -> dict[str, zarr.Array]:
    n, (h, w) = len(plans), box.shape
    flags = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in cf_flags().items()}
    arrays = {}
    for name in ("surface", "seen", "cloud_shadow"):
        fill = 0 if name == "cloud_shadow" else NODATA
        arrays[name] = root.create_array(
            name, shape=(n, h, w), chunks=(1, TILE, TILE), dtype="uint8", fill_value=fill,
            dimension_names=("time", "y", "x"), attributes={} if name == "cloud_shadow" else flags,
        )  # fmt: skip
    arrays["reflectance"] = root.create_array(
        "reflectance", shape=(n, 6, h, w), chunks=(1, 6, TILE, TILE), dtype="float32", fill_value=np.nan,
        dimension_names=("time", "band", "y", "x"),
    )  # fmt: skip
    coords = xr.Dataset(coords=grids.coords(box))
    times = np.array([p.when for p in plans], "datetime64[us]").astype("int64")
    time = root.create_array("time", shape=(n,), chunks=(n,), dtype="int64", dimension_names=("time",))
    time[:] = times
    time.attrs.update({"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"})
    coords.to_zarr(root.store, mode="a", zarr_format=3, consolidated=False)
    return arrays

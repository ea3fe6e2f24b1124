"""A glacier region with known truth, on disk: catalogue, scenes, outlines, elevation model, records, points, truth.

Everything is a function of one seed. The region's grid is worked through in tiles, so its size is bounded by the
disk, not by the memory.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import rasterio
import rasterio.shutil
import shapely
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.features import shapes
from scipy.ndimage import maximum_filter, minimum_filter

from .. import grids
from ..classes import NODATA, VALUES, cf_flags
from ..seasons import Season, check_years
from . import balance, climate, observations, scenes, surface, terrain
from .noise import fractal

RESOLUTION = 10.0
"""Of the truth. [m]"""

TILE = 512
"""Edge of the tiles in which the region is worked through. [px]"""

RIM = 330.0
"""Terrain without ice around the glaciers. [m]"""

HORIZON = 120
"""Distance within which terrain casts shadows. [px]"""

DEM_YEAR = 2013
DEM_NOISE = 3.0
"""Of the elevation model that users get. [m]"""

SUMMIT = 3400.0


@dataclass(frozen=True)
class Region:
    """Where a built world keeps its files."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """STAC items of the scenes."""
        return self.folder / "catalog.json"

    @property
    def outlines(self) -> Path:
        """Glacier outlines."""
        return self.folder / "outlines.gpkg"

    @property
    def dem(self) -> Path:
        """Elevation model, with its errors."""
        return self.folder / "dem.tif"

    @property
    def observations(self) -> Path:
        """Mass balance records, with their errors."""
        return self.folder / "balance.csv"

    @property
    def points(self) -> Path:
        """Labelled points, with their errors."""
        return self.folder / "points.gpkg"

    def truth(self) -> xr.Dataset:
        """The truth, lazily.

        Returns
        -------
        Dataset (time, y, x)
            ``surface`` (class of the ground), ``seen`` (with shadow and cloud), ``cloud_shadow``, ``reflectance``
            (time, band, y, x).
        """
        return xr.open_zarr(self.folder / "truth.zarr", consolidated=False, decode_coords="all")

    def balance(self) -> pd.DataFrame:
        """True balance of each glacier and year [m w.e.], and the share of its area that gained mass.

        Columns ``glacier``, ``balance_year``, ``balance``, ``winter_balance``, ``accumulation_area_ratio``.
        """
        return pd.read_csv(self.folder / "truth_balance.csv")


@dataclass(frozen=True)
class World:
    """What a synthetic region is made from.

    Parameters
    ----------
    seed : int
        One seed gives one world.
    years : sequence of int
        Balance years.
    sensors : sequence of str
        Of "landsat-5", "landsat-7", "landsat-8", "landsat-9", "sentinel-2".
    scenes_per_year : int
    glaciers : int
        Valley glaciers and one ice cap.
    glacier_length : float
        Typical, of a valley glacier. [m]
    longitude, latitude : float
        Centre. [degree]
    mean_balance : float, optional
        Mean annual balance of the region; by default drawn between -1.1 and -0.2. [m w.e.]
    """

    seed: int = 0
    years: Sequence[int] = (2008, 2010, 2014, 2017, 2020, 2023)
    sensors: Sequence[str] = tuple(scenes.OPERATION)
    scenes_per_year: int = 1
    glaciers: int = 8
    glacier_length: float = 800.0
    longitude: float = 11.85
    latitude: float = 46.9
    mean_balance: float | None = None

    def build(self, folder: str | Path) -> Region:
        """Write the region, unless the folder holds it already.

        The folder appears when it is complete.
        """
        folder = Path(folder)
        description = json.dumps({**asdict(self), "version": VERSION}, default=list)
        mark = folder / "world.json"
        if mark.exists() and mark.read_text() == description:
            return Region(folder)
        if folder.exists():
            shutil.rmtree(folder)
        draft = folder.with_name(folder.name + ".partial")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _Builder(self, draft).build()
        (draft / "world.json").write_text(description)
        os.replace(draft, folder)
        return Region(folder)


VERSION = 8
"""Raised when the same seed gives another world."""


@dataclass(frozen=True)
class _Builder:
    world: World
    folder: Path

    def build(self) -> None:
        truth = self._make_truth()
        self._write_outlines()
        self._write_dem()
        self._write_observations(truth)
        self._write_scenes(truth)

    # -- the plan of the region ---------------------------------------------------------------------------------

    @cached_property
    def season(self) -> Season:
        return Season.at(self.world.latitude)

    @cached_property
    def landscape(self) -> terrain.Landscape:
        crs = grids.utm_crs(self.world.longitude, self.world.latitude)
        x, y = Transformer.from_crs(4326, crs.proj, always_xy=True).transform(self.world.longitude, self.world.latitude)
        return terrain.draw(
            self.world.seed, (round(x), round(y)), self.world.glaciers, self.world.glacier_length, SUMMIT
        )

    @cached_property
    def box(self) -> GeoBox:
        crs = grids.utm_crs(self.world.longitude, self.world.latitude)
        (x, y), half = self.landscape.centre, self.landscape.reach + RIM
        n = 2 * int(half // RESOLUTION)
        left, top = (np.floor(v / RESOLUTION) * RESOLUTION for v in (x - half, y + half))
        return GeoBox((n, n), Affine(RESOLUTION, 0, left, 0, -RESOLUTION, top), crs)

    @cached_property
    def plans(self) -> list[scenes.Plan]:
        place = (self.world.longitude, self.world.latitude)
        years, sensors = check_years(self.world.years), tuple(self.world.sensors)
        return scenes.plan(self.world.seed, years, sensors, self.world.scenes_per_year, place, self.season)

    @cached_property
    def ids(self) -> list[str]:
        return [f"SYN{self.world.seed:03d}-{k + 1:05d}" for k in range(len(self.landscape.glaciers))]

    @cached_property
    def weather(self) -> climate.Weather:
        years = check_years(self.world.years)
        drawn = climate.draw(self.world.seed, years[0], years[-1], self._sample.elevation.mean())
        span = np.unique(drawn.year_of())
        last = np.flatnonzero(span >= years[0])
        target = self.world.mean_balance
        if target is None:
            target = float(np.random.default_rng([self.world.seed, 10]).uniform(-1.1, -0.2))
        anomalies = balance.Anomalies.draw(self.world.seed, len(self.ids), drawn)
        warming = balance.warming_for(self._sample, drawn, anomalies, last, target)
        return _with_fresh_snow(drawn.warmer(warming), self.plans)

    @cached_property
    def anomalies(self) -> balance.Anomalies:
        return balance.Anomalies.draw(self.world.seed, len(self.ids), self.weather)

    @cached_property
    def _sample(self) -> balance.Cells:
        """Some hundred cells that stand for the region's ice."""
        step = max(1, int(np.sqrt(self.box.width * self.box.height / 20_000)))
        x, y = _places(self.box, slice(0, self.box.height), slice(0, self.box.width), step)
        index = self.landscape.glacier(x, y)
        x, y, index = (v[index >= 0] for v in (x, y, index))
        z = self.landscape.elevation(x, y)
        tilt = (z - self.landscape.elevation(x + RESOLUTION, y), z - self.landscape.elevation(x, y + RESOLUTION))
        return self._cells(x, y, z, tuple(t / RESOLUTION for t in tilt), index)

    def _cells(self, x, y, z, tilt, index) -> balance.Cells:
        """Cells of the balance model at places on glaciers; ``tilt`` is the downhill gradient, east and north."""
        north = tilt[1] / np.sqrt(1 + tilt[0] ** 2 + tilt[1] ** 2)
        wind = 0.26 * fractal(x, y, self.world.seed + 11, 260.0, 3) + 0.07 * fractal(
            x, y, self.world.seed + 12, 60.0, 2
        )
        rng = np.random.default_rng([self.world.seed, 11])
        own = rng.normal(0, 0.10, len(self.landscape.glaciers))
        debris = surface.ground(self.landscape, x, y, index).debris
        melt = (1 - 0.35 * north) * (1 - 0.5 * debris)
        return balance.Cells(z, np.exp(wind + own[index] - 0.05), melt, index)

    # -- truth --------------------------------------------------------------------------------------------------

    def _make_truth(self) -> zarr.Group:
        root = zarr.open_group(self.folder / "truth.zarr", mode="w", zarr_format=3)
        arrays = _create_truth(root, self.box, self.plans)
        sums = np.zeros((3, len(self.ids), np.unique(self.weather.year_of()).size))
        counts = np.zeros(len(self.ids))
        points = []
        for r in range(0, self.box.height, TILE):
            for c in range(0, self.box.width, TILE):
                rows, columns = slice(r, min(r + TILE, self.box.height)), slice(c, min(c + TILE, self.box.width))
                points += self._make_tile(arrays, rows, columns, sums, counts)
        self._write_truth_balance(sums / np.maximum(counts, 1)[None, :, None])
        pd.DataFrame({"glacier": self.ids, "pixels": counts}).to_csv(self.folder / "truth_glaciers.csv", index=False)
        if points:
            pd.concat(points, ignore_index=True).to_file(self.folder / "points.gpkg", driver="GPKG")
        return root

    def _make_tile(self, arrays, rows: slice, columns: slice, sums, counts) -> list[gpd.GeoDataFrame]:
        wide = (
            slice(rows.start - HORIZON, rows.stop + HORIZON),
            slice(columns.start - HORIZON, columns.stop + HORIZON),
        )
        z_wide = self.landscape.elevation(*_places(self.box, *wide))
        x, y = _places(self.box, rows, columns)
        index = self.landscape.glacier(x, y)
        on = index >= 0
        north, west = np.gradient(z_wide, -RESOLUTION, RESOLUTION)
        inner = (slice(HORIZON, -HORIZON), slice(HORIZON, -HORIZON))
        tilt = (-west[inner], -north[inner])
        gx, gy, gi = x[on], y[on], index[on]
        if on.any():
            days = np.array([p.when for p in self.plans], "datetime64[D]")
            cells = self._cells(gx, gy, z_wide[inner][on], (tilt[0][on], tilt[1][on]), gi)
            history = balance.run(cells, self.weather, self.anomalies, days)
            np.add.at(counts, gi, 1)
            for k, annual in enumerate((history.balance, history.winter_balance, history.balance > 0)):
                np.add.at(sums[k], gi, annual.T)
            ground = surface.ground(self.landscape, gx, gy, gi)
        points = []
        for t, plan in enumerate(self.plans):
            azimuth = plan.sun_azimuth - grids.convergence(self.box.crs, self.world.longitude, self.world.latitude)
            sky = surface.Sky.draw(plan.seed, azimuth, plan.sun_elevation, plan.cloud_cover)
            cosine = _incidence(tilt, azimuth, plan.sun_elevation)
            spans = ((HORIZON, z_wide.shape[0] - HORIZON), (HORIZON, z_wide.shape[1] - HORIZON))
            lit = surface.ray_march(z_wide, *spans, azimuth, plan.sun_elevation, RESOLUTION) & (
                cosine > surface.GRAZING
            )
            parts = np.zeros((len(surface.SURFACES), *x.shape))
            if on.any():
                parts[:, on] = surface.fractions(
                    ground, history.snow[t], history.firn[t], history.bare[t], gx, gy, plan.seed
                )
            toa = surface.toa_reflectance(parts, on, sky, cosine, lit, x, y)
            covered = np.full(x.shape, NODATA, "uint8")
            covered[on] = surface.dominant(parts[:, on])
            seen = np.where(lit | ~on, covered, VALUES["shadow"])
            seen = np.where((sky.cloud(x, y) > surface.OPAQUE) & on, VALUES["cloud"], seen).astype("uint8")
            at = (t, rows, columns)
            arrays["surface"][at], arrays["seen"][at] = covered, seen
            arrays["cloud_shadow"][at] = ((sky.cloud_shadow(x, y) > 0.3) & (seen != VALUES["cloud"])).astype("uint8")
            arrays["reflectance"][(t, slice(None), rows, columns)] = toa.astype("float32")
            if on.any():
                whole = minimum_filter(seen, 3) == maximum_filter(seen, 3)
                points.append(
                    observations.label_points(
                        gx, gy, seen[on], whole[on], toa[3][on], parts[:, on], self.box.crs.to_wkt(),
                        seed=plan.seed + rows.start * 7 + columns.start, scene=_scene_id(plan, self.box),
                        brightness=float(np.exp(sky.haze + sky.brightness[surface.SURFACES.index("snow")])),
                    )
                )  # fmt: skip
        return points

    def _write_truth_balance(self, means: np.ndarray) -> None:
        years = np.unique(self.weather.year_of())
        kept = np.flatnonzero(years >= check_years(self.world.years)[0])
        table = pd.DataFrame(
            [
                {
                    "glacier": name,
                    "balance_year": years[j],
                    "balance": means[0, k, j],
                    "winter_balance": means[1, k, j],
                    "accumulation_area_ratio": means[2, k, j],
                }
                for k, name in enumerate(self.ids)
                for j in kept
            ]
        )
        table.to_csv(self.folder / "truth_balance.csv", index=False)

    # -- what users get -----------------------------------------------------------------------------------------

    def _write_outlines(self) -> None:
        rows = []
        for name, glacier in zip(self.ids, self.landscape.glaciers, strict=True):
            k = self.ids.index(name)
            box = self._around(glacier)
            index = self.landscape.glacier(*_places(box, slice(0, box.height), slice(0, box.width)))
            parts = [
                shapely.geometry.shape(s)
                for s, v in shapes((index == k).astype("uint8"), transform=box.affine)
                if v == 1
            ]
            largest = max(parts, key=lambda p: p.area)
            rows.append(
                {
                    "rgi_id": name,
                    "glac_name": f"Synthetic {k + 1}",
                    "src_date": date(DEM_YEAR, 8, 20).isoformat(),
                    "geometry": largest.simplify(6.0),
                }
            )
        table = gpd.GeoDataFrame(rows, crs=self.box.crs.to_wkt())
        table.to_file(self.folder / "outlines.gpkg", driver="GPKG")

    def _around(self, glacier) -> GeoBox:
        if isinstance(glacier, terrain.Valley):
            low, high = glacier.line.min(0), glacier.line.max(0)
        else:
            low, high = (np.array(glacier.centre) + s * 1.6 * glacier.radius for s in (-1, 1))
        bounds = (*(low - 300), *(high + 300))
        return GeoBox.from_bbox(bounds, self.box.crs, resolution=RESOLUTION)

    def _write_dem(self) -> None:
        """One arc second, in degrees, with noise, and with a tongue that has thinned since."""
        step = 1 / 3600
        ring = self.box.extent.to_crs("EPSG:4326", resolution=500).boundingbox
        west, south = (np.floor(v / step - 60) * step for v in (ring.left, ring.bottom))
        east, north = (np.ceil(v / step + 60) * step for v in (ring.right, ring.top))
        width, height = round((east - west) / step), round((north - south) / step)
        transform = Affine(step, 0, west, 0, -step, north)
        draft = self.folder / "dem.draft.tif"
        to_grid = Transformer.from_crs(4326, self.box.crs.proj, always_xy=True)
        older = np.mean(check_years(self.world.years)) - DEM_YEAR
        with rasterio.open(draft, "w", driver="GTiff", width=width, height=height, count=1, dtype="float32",
                           crs="EPSG:4326", transform=transform, tiled=True, nodata=-32767) as file:  # fmt: skip
            for r in range(0, height, TILE):
                n = min(TILE, height - r)
                lon, lat = transform * np.meshgrid(np.arange(width) + 0.5, np.arange(r, r + n) + 0.5)
                x, y = to_grid.transform(lon, lat)
                z, index = self.landscape._shape(x, y)
                z = z + DEM_NOISE * fractal(x, y, self.world.seed + 13, 130.0, 3)
                z += np.where(index >= 0, 1.5 * older * np.clip((z.mean() - z) / 400, 0, 1), 0)
                file.write(z.astype("float32"), 1, window=rasterio.windows.Window(0, r, width, n))
        rasterio.shutil.copy(draft, self.folder / "dem.tif", driver="COG", compress="deflate")
        draft.unlink()

    def _write_observations(self, truth) -> None:
        table = pd.read_csv(self.folder / "truth_balance.csv")
        sizes = pd.read_csv(self.folder / "truth_glaciers.csv").set_index("glacier").pixels * RESOLUTION**2 / 1e6
        records = observations.balance_table(table, sizes.to_dict(), self.world.seed)
        records.to_csv(self.folder / "balance.csv", index=False)

    def _write_scenes(self, truth: zarr.Group) -> None:
        items = []
        for t, plan in enumerate(self.plans):
            reflectance = _Slice(truth["reflectance"], t)
            items.append(scenes.write(plan, reflectance, self.box, self.folder, wedge=plan.seed % 5 == 0))
        pystac.ItemCollection(items).save_object(str(self.folder / "catalog.json"))


@dataclass(frozen=True)
class _Slice:
    """One date of a Zarr array, read window by window."""

    array: zarr.Array
    t: int

    def __getitem__(self, key):
        return self.array[(self.t, *key)]


def _create_truth(root: zarr.Group, box: GeoBox, plans) -> dict[str, zarr.Array]:
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


def _scene_id(plan: scenes.Plan, box: GeoBox) -> str:
    return (scenes._Sentinel if plan.sensor == "sentinel-2" else scenes._Landsat)(plan, box).id


def _places(box: GeoBox, rows: slice, columns: slice, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    c, r = np.meshgrid(np.arange(columns.start, columns.stop, step), np.arange(rows.start, rows.stop, step))
    return box.affine * (c + 0.5, r + 0.5)


def _incidence(tilt, azimuth: float, elevation: float) -> np.ndarray:
    east, north = tilt
    a, e = np.radians(azimuth), np.radians(elevation)
    light = np.cos(e) * (np.sin(a) * east + np.cos(a) * north) + np.sin(e)
    return light / np.sqrt(1 + east**2 + north**2)


def _with_fresh_snow(weather: climate.Weather, plans) -> climate.Weather:
    """Snowfall on the two days before some of the scenes."""
    temperature, precipitation = weather.temperature.copy(), weather.precipitation.copy()
    stamps = weather.days.to_numpy().astype("datetime64[D]")
    for plan in plans:
        if plan.fresh_snow:
            day = int(np.searchsorted(stamps, np.datetime64(plan.when, "D")))
            temperature[day - 2 : day + 1] -= 7.0
            precipitation[day - 2 : day] += 0.02
    return climate.Weather(weather.days, temperature, precipitation, weather.height)

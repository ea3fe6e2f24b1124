"""The plan of a region: landscape, grid, scenes, weather, and what the balance of a cell depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from .. import grids
from ..seasons import Season, check_years
from . import balance, climate, scenes, surface, terrain
from .missions import Plan
from .noise import fractal

RESOLUTION = 10.0
"""Of the truth. [m]"""

TILE = 512
"""Edge of the tiles in which the region is worked through. [px]"""

RIM = 330.0
"""Terrain without ice around the glaciers. [m]"""

SUMMIT = 3400.0


@dataclass(frozen=True)
class Setting:
    """What a synthetic region is made from, and what follows from it before anything is written.

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
        At most; where more have grown, the largest.
    glacier_length : float
        Typical, of a glacier; areas are spread widely around a third of its square, up to 50 km2 and more for
        9000 m. [m]
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

    @cached_property
    def season(self) -> Season:
        """End of the ablation season."""
        return Season.at(self.latitude)

    @cached_property
    def landscape(self) -> terrain.Landscape:
        """Terrain and ice."""
        crs = grids.utm_crs(self.longitude, self.latitude)
        x, y = Transformer.from_crs(4326, crs.proj, always_xy=True).transform(self.longitude, self.latitude)
        return terrain.draw(self.seed, (round(x), round(y)), self.glaciers, self.glacier_length, SUMMIT)

    @cached_property
    def box(self) -> GeoBox:
        """The region's grid."""
        crs = grids.utm_crs(self.longitude, self.latitude)
        (x, y), half = self.landscape.centre, self.landscape.reach + RIM
        n = 2 * int(half // RESOLUTION)
        left, top = (np.floor(v / RESOLUTION) * RESOLUTION for v in (x - half, y + half))
        return GeoBox((n, n), Affine(RESOLUTION, 0, left, 0, -RESOLUTION, top), crs)

    @cached_property
    def plans(self) -> list[Plan]:
        """Scenes, in their order."""
        place = (self.longitude, self.latitude)
        years, sensors = check_years(self.years), tuple(self.sensors)
        return scenes.plan(self.seed, years, sensors, self.scenes_per_year, place, self.season)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the glaciers, in the landscape's order."""
        return [f"SYN{self.seed:03d}-{k + 1:05d}" for k in range(len(self.landscape.glaciers))]

    @cached_property
    def weather(self) -> climate.Weather:
        """Weather with which the region has its mean balance."""
        years = check_years(self.years)
        drawn = climate.draw(self.seed, years[0], years[-1], self.sample.elevation.mean())
        span = np.unique(drawn.year_of())
        last = np.flatnonzero(span >= years[0])
        target = self.mean_balance
        if target is None:
            target = float(np.random.default_rng([self.seed, 10]).uniform(-1.1, -0.2))
        anomalies = balance.Anomalies.draw(self.seed, len(self.ids), drawn)
        warming = balance.warming_for(self.sample, drawn, anomalies, last, target)
        return _with_fresh_snow(drawn.warmer(warming), self.plans)

    @cached_property
    def anomalies(self) -> balance.Anomalies:
        """How the years of a glacier differ from those of the region."""
        return balance.Anomalies.draw(self.seed, len(self.ids), self.weather)

    @cached_property
    def sample(self) -> balance.Cells:
        """Some hundred cells that stand for the region's ice."""
        step = max(1, int(np.sqrt(self.box.width * self.box.height / 3_000)))
        x, y = places(self.box, slice(0, self.box.height), slice(0, self.box.width), step)
        on = self.landscape.places(x, y).glacier(self.middle) >= 0
        x, y = x[on], y[on]
        at, east, south = (
            self.landscape.places(x + dx, y - dy) for dx, dy in ((0, 0), (RESOLUTION, 0), (0, RESOLUTION))
        )
        z = at.elevation(self.middle)
        tilt = (z - east.elevation(self.middle)) / RESOLUTION, (south.elevation(self.middle) - z) / RESOLUTION
        return self.cells(x, y, z, tilt, at.number)

    @cached_property
    def middle(self) -> float:
        """Year whose terrain the balances hold for."""
        return float(np.mean(check_years(self.years)))

    @cached_property
    def snow_lines(self) -> np.ndarray:
        """Elevation above which half of the glacier cells have snow, of each scene. [m]"""
        days = np.array([p.when for p in self.plans], "datetime64[D]")
        snow = balance.run(self.sample, self.weather, self.anomalies, days).snow
        z = self.sample.elevation
        order = np.argsort(z)
        lines = []
        for covered in (snow > 0.05)[:, order]:
            wrong = np.concatenate([[0], np.cumsum(covered)]) + np.concatenate([np.cumsum(~covered[::-1])[::-1], [0]])
            lines.append(np.append(z[order], z.max() + 100)[np.argmin(wrong)])
        return np.array(lines)

    def cells(self, x, y, z, tilt, index) -> balance.Cells:
        """Cells of the balance model at places on glaciers; ``tilt`` is the downhill gradient, east and north."""
        north = tilt[1] / np.sqrt(1 + tilt[0] ** 2 + tilt[1] ** 2)
        steep = np.hypot(*tilt)
        drift = 0.13 * fractal(x, y, self.seed + 11, 12 * self.landscape.spacing, 3)
        wind = drift + 0.13 * self.landscape.hollow(x, y) + 0.05 * fractal(x, y, self.seed + 12, 60.0, 2)
        rng = np.random.default_rng([self.seed, 11])
        own = rng.normal(0, 0.10, len(self.landscape.glaciers))
        debris = surface.ground(self.landscape, x, y, z, steep, index).debris
        melt = (1 - 0.35 * north) * (1 - 0.5 * debris)
        shed = 0.5 * np.clip((steep - 0.6) / 0.6, 0, 1)
        return balance.Cells(z, np.exp(wind + own[index] - 0.05 - shed), melt, index)


def places(box: GeoBox, rows: slice, columns: slice, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """X and y of the pixel centres of a window. [m]"""
    c, r = np.meshgrid(np.arange(columns.start, columns.stop, step), np.arange(rows.start, rows.stop, step))
    return box.affine * (c + 0.5, r + 0.5)


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

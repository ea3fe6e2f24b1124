"""Scenes as each mission writes them: digital numbers, native pixels and zone, gaps, saturation, metadata.

A scene is resampled from the region's true top-of-atmosphere reflectance, window by window, and written as
cloud-optimised GeoTIFFs with a STAC item in the form of a real provider.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import xarray as xr
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from .. import grids, lazy
from ..errors import InputError
from ..rasters import write_cog
from ..scenes.sun import position
from ..stations import BANDS
from .missions import Plan, mission

OPERATION = {
    "landsat-5": (1984, 2011),
    "landsat-7": (1999, 2021),
    "landsat-8": (2013, 2100),
    "landsat-9": (2022, 2100),
    "sentinel-2": (2016, 2100),
}
"""First and last year in which a sensor takes scenes here."""

CLOUD_COVER = (0.0, 6.0, 15.0, 35.0)
"""Cloud cover of scenes. [%]"""

FRESH_SNOW = 0.15
"""Share of scenes taken after it snowed in summer."""


def plan(seed: int, years, sensors, per_year: int, place: tuple[float, float], season) -> list[Plan]:
    """Scenes of some years: all sensors equally often where they can, days within the season, none twice for a sensor.

    Raises
    ------
    InputError
        If a year has more scenes than its season has days.
    """
    days = 2 * season.half_width + 1
    if per_year > days:
        raise InputError(f"scenes_per_year={per_year}: the season has {days} days; a sensor takes one scene a day.")
    rng = np.random.default_rng([seed, 5])
    plans: list[Plan] = []
    for year in years:
        able = [s for s in sensors if OPERATION[s][0] <= year <= OPERATION[s][1]]
        for k in range(per_year if able else 0):
            sensor = min(reversed(able), key=lambda s: sum(p.sensor == s for p in plans))
            away = int(rng.integers(-season.half_width, season.half_width + 1))
            used = {(p.when.date() - season.centre(year)).days for p in plans if p.sensor == sensor}
            while away in used:  # the next free day
                away = (away + 1 + season.half_width) % days - season.half_width
            day = season.centre(year) + timedelta(days=away)
            noon = 12 - place[0] / 15
            hours = noon - rng.uniform(1.4, 2.2)
            when = datetime(day.year, day.month, day.day) + timedelta(hours=hours, seconds=float(rng.integers(0, 60)))
            when = when.replace(microsecond=int(rng.integers(0, 1000)) * 1000)
            cover = float(rng.choice(CLOUD_COVER, p=(0.55, 0.2, 0.15, 0.1)))
            key = seed * 100_000 + year * 10 + k
            plans.append(Plan(key, sensor, when, *position(when, *place), cover, rng.random() < FRESH_SNOW))
    return plans


def write(plan: Plan, truth: Any, box: GeoBox, folder: Path, wedge: bool) -> pystac.Item:
    """Write one scene and return its item, with hrefs relative to ``folder``.

    Parameters
    ----------
    plan : Plan
    truth : array (band, y, x)
        Reflectance on ``box``; anything that can be sliced, a Zarr array too.
    box : GeoBox
        The region's grid.
    folder : Path
        Where the scene's own folder is made.
    wedge : bool
        Cut a corner off, as the edge of an orbit would.
    """
    taken_by, shift = mission(plan, box), np.random.default_rng([plan.seed, 6]).normal(0, 5, 2)
    home = folder / "scenes" / taken_by.id
    home.mkdir(parents=True)
    for k, band in enumerate(BANDS):
        target = taken_by.grid(band)

        def numbers(rows: slice, columns: slice, k: int = k, target: GeoBox = target) -> np.ndarray:
            values = _resample(truth, k, box, grids.window(target, rows, columns), shift)
            out = taken_by.encode(values, k)
            out[taken_by.gaps(target, rows, columns)] = 0
            if wedge:
                out[_wedge(target, rows, columns)] = 0
            return out

        chunks = lazy.regular_chunks(tuple(target.shape))
        values = lazy.from_windows(numbers, chunks, taken_by.dtype)
        array = xr.DataArray(values, grids.coords(target), ("y", "x"), name=band)
        write_cog(array, home / taken_by.file(band), blocksize=256)
    taken_by.write_metadata(home)
    return taken_by.item(home.relative_to(folder))


def _resample(truth, band: int, source: GeoBox, target: GeoBox, shift) -> np.ndarray:
    """Mean reflectance of each target pixel, NaN beyond the source; the scene lies ``shift`` metres off."""
    n = max(1, round(target.affine.a / source.affine.a))
    inner = (np.arange(n) + 0.5) / n
    u = (np.arange(target.width)[:, None] + inner).ravel()
    v = (np.arange(target.height)[:, None] + inner).ravel()
    x, y = target.affine * np.meshgrid(u, v)
    if target.crs != source.crs:
        x, y = Transformer.from_crs(target.crs.proj, source.crs.proj, always_xy=True).transform(x, y)
    columns, rows = ~source.affine * (np.asarray(x) + shift[0], np.asarray(y) + shift[1])
    columns, rows = columns - 0.5, rows - 0.5
    r0, r1 = max(int(rows.min()) - 2, 0), min(int(rows.max()) + 3, source.height)
    c0, c1 = max(int(columns.min()) - 2, 0), min(int(columns.max()) + 3, source.width)
    if r0 >= r1 or c0 >= c1:
        return np.full((target.height, target.width), np.nan)
    near = np.asarray(truth[band, r0:r1, c0:c1], "float64")
    fine = map_coordinates(near, [rows - r0, columns - c0], order=1, mode="constant", cval=np.nan)
    return fine.reshape(target.height, n, target.width, n).mean((1, 3))


def _wedge(box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
    r, c = np.ogrid[rows, columns]
    return (c / box.width) + 0.35 * (r / box.height) > 1.22

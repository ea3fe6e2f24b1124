"""From maps to one row a glacier and date: areas, accumulation area, snow line, albedo, and what they rest on.

All glaciers are tabulated in one pass: each block gives counts of (glacier, elevation, class), which are added up.
The counts are whole numbers, so the result does not depend on the chunks.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import label as components

from .. import grids, lazy
from ..classes import CLASSES, NAMES, NODATA, VALUES
from ..errors import InputError, MissingVariableError
from ..seasons import Season

BAND = 20
"""Height of an elevation band. [m]"""

MIN_COVERAGE = 0.8
"""Share of a glacier that must be seen."""

MIN_BAND_COVERAGE = 0.5
"""Share that must be seen of the bands around the snow line."""

MIN_ALBEDO_COVERAGE = 0.8
"""Share of the seen area whose albedo must be known."""

SIEVE = 10_000.0
"""Smallest patch of snow that counts for the lowest snow. [m2]"""

STRAY_SNOW = len(CLASSES)
"""Code of snow in patches below the sieve, beside the flag values."""

ALBEDO_STEP = 1e-4
"""Albedo is summed in whole numbers of this, so that the order of the blocks does not matter."""

HIDDEN = ("shadow", "cloud")
"""Classes that hide the surface."""


def statistics(maps: xr.Dataset, *, classes: tuple[str, ...] = ("snow",), season=None) -> xr.Dataset:
    """Glacier statistics of maps; computes them once, for all glaciers.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` or a store gives them, with glaciers and elevation.
    classes : tuple of str
        Classes that count as accumulation area.
    season : (str, int), optional
        Season from whose centre days are counted; by default that of the latitude.

    Returns
    -------
    Dataset (time, glacier)
        ``class_area`` (time, glacier, facies_class) [km2], ``glacier_area`` [km2], ``coverage``,
        ``accumulation_area_ratio``, ``snow_line_altitude`` [m], ``lowest_snow`` [m], ``albedo``, ``scene_date``,
        ``days_from_season_centre``, and per glacier the mean, lowest and highest elevation.

    Raises
    ------
    MissingVariableError
        If the maps have no glaciers, elevation or time.

    Notes
    -----
    The ratio is relative to the area of the outline. Pixels that are hidden (nodata, shadow, cloud) take the share
    of their elevation band, or of the nearest band that is seen. Below 80 % coverage, or 50 % in the bands around
    the snow line, ratio and snow line are NaN.

    The snow line is the elevation at which the share of snow in the bands passes one half; where it passes more
    than once, the passage that leaves least snow below and least bare surface above. ``lowest_snow`` is the 5th
    percentile of the elevations of snow in patches of at least 1 ha (Maslov et al. 2026, Eq. 2).
    """
    for name in ("facies_map", "glacier_index", "elevation"):
        if name not in maps:
            raise MissingVariableError(f"statistics need {name!r}; classify a cube that went through fx.add_terrain.")
    if "time" not in maps.dims:
        raise MissingVariableError("statistics need a time; give the maps one with maps.expand_dims(time=[...]).")
    if unknown := set(classes) - set(NAMES):
        raise InputError(f"unknown classes {sorted(unknown)}; there are {', '.join(NAMES)}.")
    box = grids.geobox(maps)
    pixel = abs(box.affine.a * box.affine.e) * 1e-6
    season = Season.parse(season) if season is not None else Season.at(grids.centre_lonlat(box)[1])
    tables = _tabulate(maps, box.affine.a)
    numbers = maps["glacier_number"].values
    rows = [[_row(table[table["glacier"] == number], classes) for number in numbers] for table in tables]
    values = {name: np.array([[row[name] for row in date] for date in rows]) for name in _NUMBERS}
    areas = np.array([[row["class_area"] for row in date] for date in rows]) * pixel
    dims = ("time", "glacier")
    data: dict[str, tuple] = {
        name: (dims, values[name], attrs) for name, attrs in _NUMBERS.items() if name not in _OF_GLACIER
    }
    data["class_area"] = ((*dims, "facies_class"), areas, {"units": "km2", "long_name": "area of each class"})
    for name in _OF_GLACIER:
        scale = pixel if name == "glacier_area" else 1
        of_glacier = (dims, values[name]) if "time" in maps["glacier_index"].dims else ("glacier", values[name][0])
        data[name] = (of_glacier[0], of_glacier[1] * scale, _NUMBERS[name])
    times = maps["time"].values
    days = season.days_from_centre(times)
    data["scene_date"] = ("time", times, {"long_name": "time of the scene"})
    data["days_from_season_centre"] = ("time", days, {"long_name": f"days from the season's centre, {season}"})
    coords = {n: c for n, c in maps.coords.items() if set(c.dims) <= {"time", "glacier"} and n != "spatial_ref"}
    result = xr.Dataset(data, coords={**coords, "facies_class": np.array(NAMES)}, attrs=dict(maps.attrs))
    if "balance_year" not in result.coords:
        result = result.assign_coords(balance_year=("time", season.balance_year(times)))
    return result.assign_attrs(accumulation_classes=" ".join(classes))


_NUMBERS = {
    "coverage": {"units": "1", "long_name": "share of the glacier that was seen"},
    "accumulation_area_ratio": {"units": "1", "long_name": "accumulation area relative to the glacier's area"},
    "snow_line_altitude": {"units": "m", "long_name": "elevation at which the share of snow passes one half"},
    "lowest_snow": {"units": "m", "long_name": "5th percentile of the elevations of snow"},
    "albedo": {"units": "1", "long_name": "mean albedo index of the seen surface"},
    "glacier_area": {"units": "km2", "long_name": "area of the outline on the grid"},
    "mean_elevation": {"units": "m", "long_name": "mean elevation"},
    "min_elevation": {"units": "m", "long_name": "lowest elevation"},
    "max_elevation": {"units": "m", "long_name": "highest elevation"},
}
_OF_GLACIER = ("glacier_area", "mean_elevation", "min_elevation", "max_elevation")


# -- counting ---------------------------------------------------------------------------------------------------


def _tabulate(maps: xr.Dataset, resolution: float) -> list[pd.DataFrame]:
    """For each date counts by glacier, metre of elevation and class, and sums of albedo."""
    smallest = max(1, round(SIEVE / resolution**2))
    labels = lazy.as_dask(maps["facies_map"])
    sieved = lazy.map_tiles(_Sieve(smallest), [labels], channels=1, dtype="uint8", tile=lazy.CHUNK, reach=smallest)[0]
    arrays = [sieved, lazy.as_dask(maps["glacier_index"]), lazy.as_dask(maps["elevation"])]
    if "albedo" in maps:
        arrays.append(lazy.as_dask(maps["albedo"]))
    parts = lazy.tabulate(_count, arrays)
    tables = []
    for date in parts:
        table = pd.concat(date).groupby(["glacier", "height", "code"], as_index=False).sum()
        tables.append(table)
    return tables


@dataclass(frozen=True)
class _Sieve:
    """Gives snow in small patches a code of its own."""

    smallest: int

    def __call__(self, blocks: list[np.ndarray], inside: tuple[slice, slice]) -> np.ndarray:
        labels = blocks[0]
        patches, count = components(labels == VALUES["snow"])
        size = np.bincount(patches.ravel(), minlength=count + 1)
        stray = (patches > 0) & (size[patches] < self.smallest)
        return np.where(stray, STRAY_SNOW, labels)[inside][None].astype("uint8")


def _count(
    codes: np.ndarray, index: np.ndarray, elevation: np.ndarray, albedo: np.ndarray | None = None
) -> pd.DataFrame:
    """Counts of one block, pixels of unknown elevation at height -9999."""
    on = index > 0
    known = np.isfinite(elevation[on])
    height = np.where(known, np.floor(np.where(known, elevation[on], 0)), -9999).astype("int64")
    table = pd.DataFrame({"glacier": index[on], "height": height, "code": codes[on], "pixels": 1})
    bright = np.full(len(table), np.nan) if albedo is None else albedo[on]
    table["with_albedo"] = np.isfinite(bright).astype("int64")
    table["albedo"] = np.rint(np.nan_to_num(bright) / ALBEDO_STEP).astype("int64")
    return table.groupby(["glacier", "height", "code"], as_index=False).sum()


# -- one glacier on one date ------------------------------------------------------------------------------------


def _row(table: pd.DataFrame, classes: tuple[str, ...]) -> dict:
    """Statistics from the counts of a glacier."""
    area = int(table.pixels.sum())
    out: dict = dict.fromkeys(_NUMBERS, np.nan)
    out["glacier_area"] = area
    by_code = table.groupby("code").pixels.sum()
    counts = np.array([by_code.get(v, 0) for v in range(len(NAMES))], float)
    counts[VALUES["snow"]] += by_code.get(STRAY_SNOW, 0)
    out["class_area"] = counts
    if area == 0:
        return out
    known = table[table.height > -9999]
    if len(known):
        out["mean_elevation"] = float(np.average(known.height + 0.5, weights=known.pixels))
        out["min_elevation"], out["max_elevation"] = float(known.height.min()), float(known.height.max() + 1)
    hidden = [VALUES[name] for name in HIDDEN] + [NODATA]
    seen = table[~table.code.isin(hidden)]
    out["coverage"] = seen.pixels.sum() / area
    if seen.pixels.sum() and seen.with_albedo.sum() >= MIN_ALBEDO_COVERAGE * seen.pixels.sum():
        out["albedo"] = seen.albedo.sum() * ALBEDO_STEP / seen.with_albedo.sum()
    snow = table[table.code == VALUES["snow"]]
    if len(snow) and out["coverage"] >= MIN_COVERAGE:
        out["lowest_snow"] = _percentile(snow.height.to_numpy(), snow.pixels.to_numpy(), 5)
    wanted = [VALUES[name] for name in classes] + ([STRAY_SNOW] if "snow" in classes else [])
    bands = _bands(known, hidden, wanted)
    if bands is None or out["coverage"] < MIN_COVERAGE:
        return out
    line, where = _passage(bands)
    around = bands[max(where - 1, 0) : where + 1]
    if around.seen.sum() < MIN_BAND_COVERAGE * around.pixels.sum():
        return out
    out["accumulation_area_ratio"] = float((bands.share * bands.pixels).sum() / bands.pixels.sum())
    if (bands.share > 0).any():
        out["snow_line_altitude"] = line
    return out


def _bands(table: pd.DataFrame, hidden: list[int], wanted: list[int]) -> pd.DataFrame | None:
    """Elevation bands with their pixels, the seen ones, and the share of wanted classes; hidden bands filled."""
    band = table.height // BAND * BAND
    bands = pd.DataFrame({"pixels": table.pixels.groupby(band).sum()})
    is_seen = ~table.code.isin(hidden)
    bands["seen"] = table.pixels.where(is_seen, 0).groupby(band).sum()
    bands["wanted"] = table.pixels.where(table.code.isin(wanted), 0).groupby(band).sum()
    if bands.empty or not bands.seen.any():
        return None
    share = (bands.wanted / bands.seen.where(bands.seen > 0)).to_numpy()
    known = np.flatnonzero(np.isfinite(share))
    nearest = known[np.abs(np.arange(share.size)[:, None] - known).argmin(1)]
    return bands.assign(share=share[nearest])


def _passage(bands: pd.DataFrame) -> tuple[float, int]:
    """Elevation at which the share passes one half, and the position of the first band above it."""
    share, pixels = bands.share.to_numpy(), bands.pixels.to_numpy()
    snow_below = np.concatenate([[0], np.cumsum(share * pixels)])
    bare = (1 - share) * pixels
    bare_above = np.concatenate([np.cumsum(bare[::-1])[::-1], [0]])
    k = int(np.argmin(snow_below + bare_above))
    edges = bands.index.to_numpy(float)
    if k == 0:
        return edges[0], 0
    if k == len(bands):
        return edges[-1] + BAND, k
    low, high = share[k - 1], share[k]
    middle = edges[k - 1] + BAND / 2
    gap = edges[k] - edges[k - 1]
    passed = (0.5 - low) / (high - low) if high > low else 0.5
    return float(middle + np.clip(passed, 0, 1) * gap), k


def _percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """Percentile of counted metres, to the middle of the metre."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    k = int(np.searchsorted(passed, percent / 100 * passed[-1]))
    return float(values[order][k]) + 0.5

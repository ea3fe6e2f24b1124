"""Glaciers with daily weather, geometry and balances of each year, and the layout in which they were published."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from ...errors import InputError
from .files import FEATURES, Scales

LAPSE_RATE = -0.0060
"""With which published temperatures are brought to the glacier's height. [K m-1]"""

FIRST_YEAR = 1990
SPIN_UP = 5
"""Balance years whose snow is made before the first that counts."""

SEASONS = ("annual", "winter", "summer")
UNKNOWN = -1.0
"""What the network reads where there are no facies."""

MAP_CHANNELS = len(FEATURES) - 6
"""Eight classes and their confidence."""

FILES = ("temperature.nc", "precipitation.nc", "dem.nc", "outlines.nc", "orography.nc", "total_smb.csv")


@dataclass(frozen=True)
class Year:
    """A balance year of a glacier, as the models take it."""

    year: int
    seasons: Mapping[str, tuple[Tensor, Tensor]]
    """Temperature [degC] and precipitation [m w.e. per day] (time, y, x) of winter and summer, or of the whole year;
    both end days included."""
    dates: Mapping[str, np.ndarray]
    """Days of each season."""
    outline: Tensor
    """Share of the glacier in each pixel (y, x)."""
    fields: Tensor
    """Channels of the corrector but the first three (12, y, x), scaled."""
    climate: Tensor
    """Monthly means over the glacier (2, month), scaled."""
    observed: Mapping[str, float] = field(default_factory=dict)
    """Glacier-wide balance of each season that has one. [m w.e.]"""
    points: pd.DataFrame | None = None
    """Columns ``season, row, column, balance, weight, begin, end``."""

    @property
    def whole(self) -> list[tuple[Tensor, Tensor]]:
        """Weather of the seasons, in their order."""
        return list(self.seasons.values())


@dataclass(frozen=True)
class Glacier:
    """All that is known of a glacier on its grid."""

    name: str
    weather: xr.Dataset
    """``temperature`` at the height of the reanalysis [degC] and ``precipitation`` [m w.e. per day] (time, y, x)."""
    geometry: xr.Dataset
    """``elevation``, ``elevation_std`` [m] and ``outline`` (year, y, x), ``orography`` (y, x) [m]."""
    totals: pd.DataFrame
    """Dates and balances of each year, by year."""
    points: pd.DataFrame
    """Measurements with ``row`` and ``column``."""
    facies: xr.DataArray | None = None
    """Shares of the eight classes, and confidence (year, band, y, x)."""
    scales: Scales = field(default_factory=Scales)
    first_year: int = FIRST_YEAR
    last_year: int = 9999
    spin_up: int = SPIN_UP
    repeated: bool = False
    """Whether the spin-up is its first year again and again, so that all years are left, instead of its first years."""
    counted: frozenset[int] | None = None
    """Balance years whose records count; all after the spin-up by default."""
    geodetic: pd.DataFrame | None = None
    """Means of several years: columns ``first_year, last_year, balance, error``. [m w.e. a-1]"""
    kept: bool = False
    """Whether years stay in memory once they are made."""
    _made: dict[tuple[int, bool, torch.dtype], "Year"] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def years(self) -> list[int]:
        """Balance years with dates, spin-up included."""
        return [int(y) for y in self.totals.index if self.first_year <= y <= self.last_year]

    @property
    def spinning(self) -> list[int]:
        """Years that are run for their snow alone."""
        return self.years[:1] * self.spin_up if self.repeated else self.years[: self.spin_up]

    @property
    def run(self) -> list[int]:
        """Years after the spin-up."""
        return self.years if self.repeated else self.years[self.spin_up :]

    @property
    def studied(self) -> list[int]:
        """Balance years that count."""
        return [year for year in self.run if self.counted is None or year in self.counted]

    def year(self, year: int, *, facies: bool = False, dtype: torch.dtype = torch.float32) -> Year:
        """One balance year.

        Raises
        ------
        InputError
            If the year has no dates, the weather does not reach over it or is missing on the glacier, or the outline
            is empty.
        """
        key = (year, facies, dtype)
        made = self._made.get(key)
        if made is None:
            if facies:
                plain = self.year(year, dtype=dtype)
                made = replace(plain, fields=self._fields(self._geometry(year), year, True).to(dtype))
            else:
                made = self._year(year, dtype)
            if self.kept:
                self._made[key] = made
        return made

    def _geometry(self, year: int) -> xr.Dataset:
        geometry = self.geometry.sel(year=year) if year in self.geometry.year else None
        if geometry is None or not float(geometry.outline.sum()) > 0:
            raise InputError(f"{self.name}: the outline of {year} is empty; leave the year out, or give an outline.")
        return geometry

    def _year(self, year: int, dtype: torch.dtype) -> Year:
        if year not in self.totals.index:
            raise InputError(f"{self.name}: balance year {year} has no dates.")
        row, geometry = self.totals.loc[year], self._geometry(year)
        begin, middle, end = (row[f"{name}_date"] for name in ("begin", "midseason", "end"))
        if not (pd.isna(middle) or begin < middle < end):
            raise InputError(f"{self.name}: the midseason of {year}, {middle:%Y-%m-%d}, is not within its year.")
        parts = {"annual": (begin, end)} if pd.isna(middle) else {"winter": (begin, middle), "summer": (middle, end)}
        higher = (LAPSE_RATE * (geometry.elevation - self.geometry.orography).astype("float32")).values
        whole = self._weather(year, begin, end, geometry.outline)
        warm, wet = whole.temperature.values + higher, np.array(whole.precipitation.values)
        days = pd.DatetimeIndex(whole.time.values)
        run = {name: slice(days.get_loc(first), days.get_loc(last) + 1) for name, (first, last) in parts.items()}
        outline = geometry.outline.values
        return Year(
            year,
            {n: tuple(torch.from_numpy(a[some]).to(dtype) for a in (warm, wet)) for n, some in run.items()},  # type: ignore[misc]
            {n: days.values[some].astype("datetime64[D]") for n, some in run.items()},
            torch.from_numpy(np.array(outline)).to(dtype),
            self._fields(geometry, year, False).to(dtype),
            self._climate(warm, wet, days, outline).to(dtype),
            {s: float(row[f"{s}_balance"]) for s in SEASONS if np.isfinite(row[f"{s}_balance"])},
            weighted(self.points[self.points.year == year], begin, middle, end),
        )

    def _weather(self, year: int, first: pd.Timestamp, last: pd.Timestamp, outline: xr.DataArray) -> xr.Dataset:
        found = self.weather.sel(time=slice(first, last))
        if found.sizes["time"] != (last - first).days + 1:
            known = self.weather.time.values[[0, -1]].astype("datetime64[D]")
            raise InputError(
                f"{self.name}: the weather of {year} ({first:%Y-%m-%d} to {last:%Y-%m-%d}) lacks days; it reaches from "
                f"{known[0]} to {known[1]}."
            )
        missing = np.isnan(found.temperature + found.precipitation).any("time") & (outline > 0)
        if bool(missing.any()):
            raise InputError(
                f"{self.name}: the weather of {year} is missing in {int(missing.sum())} pixels of the glacier."
            )
        return xr.broadcast(found, outline.drop_vars("year", errors="ignore"))[0].transpose("time", "y", "x")

    def _fields(self, geometry: xr.Dataset, year: int, facies: bool) -> Tensor:
        outline, scales = geometry.outline.values, self.scales
        maps = np.full((MAP_CHANNELS, *outline.shape), UNKNOWN, "float32")
        if facies and self.facies is not None and year in self.facies.year:
            maps = np.nan_to_num(self.facies.sel(year=year).values)
        high = geometry.elevation.values / scales.elevation, geometry.elevation_std.values / scales.elevation_std
        return torch.from_numpy(np.concatenate([np.stack([outline, *high]), maps]).astype("float32"))

    def _climate(self, warm: np.ndarray, wet: np.ndarray, days: pd.DatetimeIndex, outline: np.ndarray) -> Tensor:
        """Means of calendar months over the glacier, of the days that the year has of them."""
        inside = outline > 0
        share = outline[inside].astype("float64") / outline[inside].sum(dtype="float64")
        daily = np.stack([field[:, inside] @ share for field in (warm, wet)])
        month = days.values.astype("datetime64[M]")
        first = np.flatnonzero(np.diff(month, prepend=month[:1] - 1))
        means = np.add.reduceat(daily, first, axis=1) / np.diff(first, append=len(month))
        means /= np.array([[self.scales.temperature], [self.scales.precipitation]])
        return torch.from_numpy(means.astype("float32"))


AGREEMENT = 6.355375070295649
"""Days between a measurement's date and the model's after which it counts 1/e; origin undocumented. [day]"""


def weighted(points: pd.DataFrame, begin: pd.Timestamp, middle: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Measurements with the weight that their dates give them: exp(-(D/s)^2) at either end."""
    ends = {"annual": (begin, end), "winter": (begin, middle), "summer": (middle, end)}
    points = points[points.season.isin(ends)]
    if points.empty:
        return points.assign(weight=0.0)
    apart = [
        (points[name] - pd.to_datetime(points.season.map({season: dates[k] for season, dates in ends.items()}))).dt.days
        for k, name in enumerate(("begin", "end"))
    ]
    weight = np.exp(-((apart[0] / AGREEMENT) ** 2) - (apart[1] / AGREEMENT) ** 2)
    return points.assign(weight=weight).dropna(subset="weight")


def read(folder: str | Path, name: str, *, last_year: int = 9999, scales: Scales | None = None) -> Glacier:
    """A glacier of the published data set (4TU, doi 10.4121/5ea53bc3-2c85-42bb-89d1-606c8ed1d80a).

    Parameters
    ----------
    folder : path
        With a folder for each glacier: NetCDF files of weather, elevation, outlines, orography and, where there are,
        facies; tables of balances.
    name : str
        Of the glacier's folder.

    Raises
    ------
    InputError
        If a file is missing.
    """
    home = Path(folder) / name
    if missing := [file for file in FILES if not (home / file).is_file()]:
        raise InputError(f"glacier {name!r} in {folder}: there is no {', '.join(missing)}.")
    with xr.open_dataset(home / "temperature.nc") as warm, xr.open_dataset(home / "precipitation.nc") as wet:
        weather = xr.Dataset(
            {"temperature": warm["temperature_2m"], "precipitation": wet["total_precipitation_sum"]}
        ).load()
    with xr.open_dataset(home / "dem.nc") as dem, xr.open_dataset(home / "outlines.nc") as outlines, \
            xr.open_dataset(home / "orography.nc") as low:  # fmt: skip
        geometry = xr.Dataset(
            {"elevation": dem["z"], "elevation_std": dem["zstddev"], "outline": outlines["outlines"],
             "orography": low["elevation"], "spatial_ref": dem["spatial_ref"]}
        ).load()  # fmt: skip
    facies = None
    if (home / "facies.nc").is_file():
        with xr.open_dataset(home / "facies.nc") as maps:
            facies = maps["facies"].load()
    dates = ["begin_date", "midseason_date", "end_date"]
    totals = pd.read_csv(home / "total_smb.csv", parse_dates=dates).set_index("year")
    points = _points(home / "point_smb.csv", geometry)
    return Glacier(name, weather, geometry, totals, points, facies, scales or Scales(), last_year=last_year)


def _points(path: Path, geometry: xr.Dataset) -> pd.DataFrame:
    """Measurements in the pixels that hold them; those outside the grid are left out."""
    from pyproj import Transformer

    names = {"balance_code": "season", "begin_date": "begin", "end_date": "end"}
    columns = ["year", *names, "latitude", "longitude", "balance"]
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)
    table = table.rename(columns=names)
    table["begin"], table["end"] = pd.to_datetime(table.begin), pd.to_datetime(table.end)
    to_grid = Transformer.from_crs("EPSG:4326", geometry.spatial_ref.attrs["crs_wkt"], always_xy=True)
    place = dict(zip("xy", to_grid.transform(table.longitude.to_numpy(float), table.latitude.to_numpy(float)),
                     strict=True))  # fmt: skip
    for axis, name in (("y", "row"), ("x", "column")):
        centres = geometry[axis].values
        size = centres[1] - centres[0]
        table[name] = np.floor((np.asarray(place[axis]) - centres[0]) / size + 0.5).astype(int)
    inside = table.row.between(0, geometry.sizes["y"] - 1) & table.column.between(0, geometry.sizes["x"] - 1)
    return table[inside].reset_index(drop=True)

"""Temperature-index balances of real glaciers, years left out, beside a constant and a regression on weather.

Hintereisferner and Vernagtferner with monthly ERA5-Land, 1982 to 2018; Bellingshausen Dome (King George Island) with
daily ERA5, whose balance year begins in April; Artesonraju (Peru) with hours of a station, whose one whole year can
only show how far off the published model is. Published models a and c stand beside them with the same weather, in the
Oetztal also on grids of 100 m, with an ``elevation_std`` of ours (:func:`grid_of`), because theirs is not told. ::

    python examples/temperature_index.py SHARED
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import rasterio.features
import rasterio.warp
import torch
import xarray as xr
from scipy.ndimage import generic_filter

from facies_xr import metrics
from facies_xr.smb import judge
from facies_xr.smb.climate.bands import Bands, problem_of
from facies_xr.smb.climate.daily import days, without_gaps
from facies_xr.smb.climate.reading import read
from facies_xr.smb.climate.weather import weather
from facies_xr.smb.degreeday.parameters import resolved
from facies_xr.smb.glaunti import models, published
from facies_xr.smb.glaunti.files import Scales
from facies_xr.smb.glaunti.grids import BANDS as FACIES
from facies_xr.smb.glaunti.loss import mean_over, years
from facies_xr.smb.methods.glaunti import glaciers_of
from facies_xr.smb.methods.temperature_index import CENTRE, TemperatureIndex, balances
from facies_xr.smb.methods.yardsticks import RecordsMean
from facies_xr.smb.problem import Problem

BAND = 50.0
"""Height of a band. [m]"""


def hypsometry(heights: dict[str, np.ndarray], position: tuple[float, float]) -> xr.Dataset:
    """Areas of bands of glaciers, of the heights of their pixels."""
    every = np.concatenate(list(heights.values()))
    edges = np.arange(np.floor(every.min() / BAND) * BAND, every.max() + BAND, BAND)
    areas = [np.histogram(h, edges)[0].astype(float) for h in heights.values()]
    places = {n: ("glacier", np.full(len(areas), v)) for n, v in zip(("longitude", "latitude"), position, strict=True)}
    return xr.Dataset(
        {"band_area": (("glacier", "elevation_band"), np.array(areas))},
        {"glacier": list(heights), "elevation_band": edges[:-1] + BAND / 2, **places},
    )


def records(data: Path, ids: dict[str, int], years: range) -> pd.DataFrame:
    """Annual balances of the WGMS. [m w.e.]"""
    tables = []
    for glacier, number in ids.items():
        table = pd.read_csv(data / "smb_wgms" / "mbdata" / f"mbdata_WGMS-{number:05d}.csv")
        table = table[table.YEAR.isin(years)].dropna(subset="ANNUAL_BALANCE")
        tables.append(pd.DataFrame(
            {"glacier": glacier, "balance_year": table.YEAR, "balance": table.ANNUAL_BALANCE / 1000}
        ))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def oetztal(data: Path) -> Problem:
    """Hintereisferner and Vernagtferner."""
    home = data / "hintereisferner"
    names = {"RGI60-11.00897": "Hintereisferner", "RGI60-11.00787": "Vernagtferner"}
    outlines = gpd.read_file(home / "rgi_oetztal.shp")
    outlines["Name"] = outlines["Name"].fillna("")
    found, grids = {}, {}
    with rasterio.open(home / "srtm_oetztal.tif") as dem:
        height = dem.read(1)
        for own, name in (("Hintereisferner", "Hintereis"), ("Vernagtferner", "Vernagt")):
            mine = outlines[outlines.Name.str.contains(name, case=False) | outlines.RGIId.map(names).eq(own)]
            mask = rasterio.features.rasterize(mine.to_crs(dem.crs).geometry, height.shape, transform=dem.transform)
            found[own] = height[mask == 1]
            grids[own] = warped(dem, mine.geometry)
    climate = weather([home / f"sel_era5_land_monthly_{n}_1981-2018.nc" for n in ("t2m", "prcp")])
    with xr.open_dataset(home / "sel_era5_land_invariant.nc") as invariant:
        climate["height"] = (invariant["z"][0] / 9.80665).drop_vars("time").load()
    bands = hypsometry(found, (10.79, 46.83))
    ids = {"Hintereisferner": 491, "Vernagtferner": 489}
    return replace(problem_of(bands, climate, records(data, ids, range(1982, 2019))), grids=grids)


def warped(dem: rasterio.DatasetReader, shapes: gpd.GeoSeries, cell: float = 100.0) -> xr.Dataset:
    """A glacier on cells of UTM 32N with some room about it."""
    shapes = shapes.to_crs("EPSG:32632")
    west, south, east, north = shapes.total_bounds
    left, top = np.floor(west / cell) * cell - 5 * cell, np.ceil(north / cell) * cell + 5 * cell
    shape = int((top - south) / cell) + 5, int((east - left) / cell) + 5
    transform = rasterio.transform.from_origin(left, top, cell, cell)
    high = np.empty(shape, "float32")
    rasterio.warp.reproject(rasterio.band(dem, 1), high, dst_transform=transform, dst_crs="EPSG:32632",
                            resampling=rasterio.warp.Resampling.bilinear)  # fmt: skip
    mask = rasterio.features.rasterize(shapes, shape, transform=transform)
    return grid_of(high, mask, top - cell * (np.arange(shape[0]) + 0.5), left + cell * (np.arange(shape[1]) + 0.5))


def grid_of(high: np.ndarray, mask: np.ndarray, y: np.ndarray, x: np.ndarray) -> xr.Dataset:
    """Geometry as model c takes it; ``elevation_std`` is the deviation of heights among 3 x 3 cells, ours. [m]"""
    around = generic_filter(high.astype(float), np.std, 3, mode="nearest")
    fields = {"elevation": high, "elevation_std": around, "outline": mask}
    named = {n: (("y", "x"), f.astype("float32")) for n, f in fields.items()}
    facies = (("year", "band", "y", "x"), np.full((1, len(FACIES), *high.shape), np.nan, "float32"))
    return xr.Dataset({**named, "facies": facies}, {"y": y, "x": x, "year": [0], "band": list(FACIES)})


def bellingshausen(data: Path) -> Problem:
    """Bellingshausen Dome, in the south."""
    home = data / "era5_bellingshausen_kgi"
    raw = read(home / "era5_daily_kgi_2006_2013.nc", units={"temperature": "K", "precipitation": "m"})
    climate = without_gaps(days(raw)).assign(height=raw["height"])
    with xr.open_dataset(home / "bell_static.nc") as static:
        heights = {"Bellingshausen": static["HGT"].values[static["MASK"].values == 1]}
    return problem_of(hypsometry(heights, (-58.9, -62.16)), climate, records(data, {"Bellingshausen": 6833},
                                                                            range(2008, 2013)))  # fmt: skip


def artesonraju(data: Path) -> Problem:
    """Artesonraju, in the tropics; the balance year is taken from September on."""
    home = data / "artesonraju_peru"
    table = pd.read_csv(home / "data_aws_peru.csv.gz", sep="\t", parse_dates=["TIMESTAMP"])
    station = table.rename(columns={"TIMESTAMP": "time"}).set_index("time")[["Tair_aws", "Ptotal_aws"]].to_xarray()
    climate = weather(station, accumulated="step", names={"temperature": "Tair_aws", "precipitation": "Ptotal_aws"},
                      units={"temperature": "K", "precipitation": "mm"})  # fmt: skip
    climate = climate.expand_dims(glacier=["Artesonraju"]).assign(height=("glacier", [4910.0]))
    with xr.open_dataset(home / "Peru_static_50m.nc") as static:
        heights = {"Artesonraju": static["HGT"].values[static["MASK"].values == 1]}
    return problem_of(
        hypsometry(heights, (-77.63, -8.96)), climate, records(data, {"Artesonraju": 3292}, range(2017, 2018))
    )


@dataclass(frozen=True)
class Line:
    """Balance on the mean temperature of the summer half of the year and the precipitation of the winter half."""

    def fit(self, problem: Problem, rows: np.ndarray) -> "Line":
        """Least squares for each glacier."""
        table = predictors(problem)
        lines = {}
        for glacier in np.unique(problem.glacier[rows]):
            own = rows[problem.glacier[rows] == glacier]
            lines[glacier] = np.linalg.lstsq(table[own], problem.observed[own], rcond=None)[0]
        object.__setattr__(self, "lines", lines)
        return self

    def predict(self, problem: Problem, rows: np.ndarray) -> judge.Prediction:
        """The line."""
        table = predictors(problem)
        mean = [table[k] @ self.lines[problem.glacier[k]] for k in rows]  # type: ignore[attr-defined]
        return judge.Prediction.nothing(len(rows))._replace(mean=np.array(mean))


def predictors(problem: Problem) -> np.ndarray:
    """1, temperature of the warm half, precipitation of the cold half of each balance year."""
    assert problem.forcing is not None
    south = float(np.nanmean(problem.position[1])) < 0
    start = 4 if south else 10
    time = problem.forcing["time"].to_index()
    year = time.year + (time.month >= start)
    cold = ((time.month - start) % 12) < 6
    rows = []
    for glacier, balance_year in zip(problem.glacier, problem.balance_year, strict=True):
        own = problem.forcing.sel(glacier=glacier)
        warm = own["temperature"].values[(year == balance_year) & ~cold].mean()
        rows.append([1.0, warm, own["precipitation"].values[(year == balance_year) & cold].sum()])
    return np.array(rows)


def model_a(bands: Bands, data: Path) -> np.ndarray:
    """Balances (glacier, year) by the published parameters. [m w.e.]"""
    p = resolved(published.read(data / "oracle_glaunti" / "params" / "a.npz").parameters)
    names = ("precipitation_factor", "degree_day_factor_snow", "ice_to_snow", "rain_centre")
    same = {name: np.full(len(bands.glaciers), float(getattr(p, name))) for name in names}
    return bands.run(p, {**same, "warming": np.zeros(len(bands.glaciers))})[0]


def on_grid(problem: Problem, data: Path, name: str) -> np.ndarray:
    """Balances of the problem's rows by a published model on the grids. [m w.e.]"""
    model = models.opened(data / "oracle_glaunti" / "params" / f"{name}.npz")
    found = {}
    for glacier in glaciers_of(problem, np.arange(len(problem))).values():
        with torch.no_grad():
            for year, outcome in years(model, replace(glacier, scales=Scales())):
                found[glacier.name, year.year] = float(mean_over(outcome.balance["annual"], year.outline))
    return np.array([found[str(g), y] for g, y in zip(problem.glacier, problem.balance_year, strict=True)])


def table_of(problem: Problem, data: Path) -> pd.DataFrame:
    """Scores of each glacier, years left out."""
    splits = judge.splits(problem, "year")
    bands = Bands.of(problem)
    where = bands.locate(problem.glacier, problem.balance_year)
    untouched = {
        "published model a": model_a(bands, data)[where],
        "published priors, sharp store": balances(bands, np.tile(CENTRE, (len(bands.glaciers), 1)), 100.0)[0][where],
    }
    found = {
        "constant": judge.out_of_fold(problem, RecordsMean(), splits).mean,
        "line on weather": judge.out_of_fold(problem, Line(), splits).mean,
        "temperature-index": judge.out_of_fold(problem, TemperatureIndex(), splits).mean,
        **untouched,
    }
    if problem.grids is not None:
        found |= {f"published model {name}, on a grid": on_grid(problem, data, name) for name in ("a", "c")}
    rows = []
    for glacier in bands.glaciers:
        own = problem.glacier == glacier
        for name, mean in found.items():
            score = metrics.regression(problem.observed[own], mean[own])
            anomaly = metrics.regression(*(v[own] - v[own].mean() for v in (problem.observed, mean)))
            rows.append({"glacier": glacier, "method": name, **{k: score[k] for k in ("n", "r", "rmse", "bias")},
                         "anomaly_rmse": anomaly["rmse"]})  # fmt: skip
    return pd.DataFrame(rows)


def of_means(problem: Problem) -> pd.DataFrame:
    """Calibrated on means of decades alone, as a geodetic balance is one, and judged on the years."""
    spans = [(1982, 1990), (1991, 2000), (2001, 2010), (2011, 2018)]
    table = problem.rows.assign(span=pd.cut(problem.rows.balance_year, [1981, 1990, 2000, 2010, 2018], labels=False))
    means = table.groupby(["glacier", "span"])["observed"].mean().reset_index()
    rows = [(g, *spans[k], b, 0.1) for g, k, b in means.itertuples(index=False)]
    geodetic = pd.DataFrame(rows, columns=["glacier", "first_year", "last_year", "balance", "error"])
    fitted = TemperatureIndex(geodetic=geodetic).fit(problem, np.array([], int))
    modelled = fitted.predict(problem, np.arange(len(problem))).mean
    scores = {}
    for glacier in np.unique(problem.glacier):
        own = problem.glacier == glacier
        scores[glacier] = metrics.regression(problem.observed[own], modelled[own])
    return pd.DataFrame(scores).T[["n", "r", "rmse", "bias"]]


def main() -> None:
    """Print the tables."""
    data = Path(sys.argv[1]) / "data"
    alps = oetztal(data)
    tables = [table_of(problem, data) for problem in (alps, bellingshausen(data))]
    print(pd.concat(tables).to_string(index=False, float_format="%.2f"))
    print("\ncalibrated on four multi-year means alone, judged on the years:")
    print(of_means(alps).to_string(float_format="%.2f"))
    peru = artesonraju(data)
    bands = Bands.of(peru, "09-01")
    modelled, measured = model_a(bands, data)[0, 0], peru.observed[0]
    print(f"\nArtesonraju 2017: {modelled:.2f} by the published model a, {measured:.2f} measured")


if __name__ == "__main__":
    main()

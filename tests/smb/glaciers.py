"""Small glaciers with weather, geometry, facies and balances that a known model has made."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import xarray as xr

from facies_xr.smb.degreeday.parameters import free
from facies_xr.smb.glaunti.dataset import MAP_CHANNELS, Glacier
from facies_xr.smb.glaunti.loss import by_season, mean_over, years
from facies_xr.smb.glaunti.models import TemperatureIndex


def glacier(seed=0, *, size=(9, 10), first=2001, count=4, seasons=True) -> Glacier:
    """A glacier without records."""
    rng = np.random.default_rng(seed)
    time = pd.date_range(f"{first - 1}-10-01", f"{first + count - 1}-10-01", freq="D")
    season = -6 + 9 * np.cos(2 * np.pi * (time.dayofyear.to_numpy() - 205) / 365.25)
    warm = (season + rng.normal(0, 3, len(time)))[:, None, None] + np.zeros(size)
    wet = (rng.gamma(0.5, 0.01, len(time)))[:, None, None] + np.zeros(size)
    y, x = 5.15e6 - 100.0 * np.arange(size[0]), 4e5 + 100.0 * np.arange(size[1])
    grid = {"y": y, "x": x}
    weather = xr.Dataset(
        {"temperature": (("time", "y", "x"), warm.astype("float32")),
         "precipitation": (("time", "y", "x"), wet.astype("float32"))},
        {"time": time, **grid},
    )  # fmt: skip
    high = 2600 + 60.0 * np.arange(size[0])[::-1, None] + rng.normal(0, 5, size)
    outline = np.zeros(size, "float32")
    outline[1:-1, 1:-1] = 1
    numbers = np.arange(first, first + count)

    def yearly(field):
        return (("year", "y", "x"), np.broadcast_to(field, (count, *size)).astype("float32"))

    geometry = xr.Dataset(
        {"elevation": yearly(high), "elevation_std": yearly(20.0), "outline": yearly(outline),
         "orography": (("y", "x"), np.full(size, 2700, "float32"))},
        {"year": numbers, **grid},
    )  # fmt: skip
    share = rng.dirichlet(np.ones(MAP_CHANNELS - 1), size).transpose(2, 0, 1)
    maps = np.concatenate([share, np.full((1, *size), 0.8)])
    facies = xr.DataArray(
        np.broadcast_to(maps, (count, *maps.shape)).astype("float32"),
        {"year": numbers, **grid},
        ("year", "band", "y", "x"),
    )
    begin = pd.to_datetime([f"{n - 1}-10-01" for n in numbers])
    middle = pd.to_datetime([f"{n}-04-30" for n in numbers]) if seasons else pd.NaT
    totals = pd.DataFrame(
        {"begin_date": begin, "midseason_date": middle, "end_date": pd.to_datetime([f"{n}-10-01" for n in numbers]),
         "annual_balance": np.nan, "winter_balance": np.nan, "summer_balance": np.nan},
        index=pd.Index(numbers, name="year"),
    )  # fmt: skip
    names = ["year", "season", "begin", "end", "row", "column", "balance"]
    points = pd.DataFrame({n: pd.Series(dtype=float) for n in names})
    points[["begin", "end"]] = points[["begin", "end"]].astype("datetime64[ns]")
    return Glacier(f"g{seed}", weather, geometry, totals, points, facies, first_year=first, spin_up=1, kept=True)


def recorded(glacier: Glacier, parameters, error=0.0, seed=0) -> Glacier:
    """The glacier with annual balances, and those of two points a year, of a model with known parameters."""
    rng, model = np.random.default_rng(seed), TemperatureIndex(free(parameters, dtype=torch.float32))
    totals, points = glacier.totals.copy(), []
    with torch.no_grad():
        for year, outcome in years(model, glacier):
            balance = by_season(outcome.balance)["annual"]
            totals.loc[year.year, "annual_balance"] = float(mean_over(balance, year.outline)) + rng.normal(0, error)
            for row in (2, 6):
                points.append((year.year, "annual", *totals.loc[year.year, ["begin_date", "end_date"]], row, 4,
                               float(balance[row, 4]) + rng.normal(0, error)))  # fmt: skip
    names = ["year", "season", "begin", "end", "row", "column", "balance"]
    return replace(glacier, totals=totals, points=pd.DataFrame(points, columns=names))

"""What monthly weather costs a temperature-index model: days made of months against the days themselves.

The weather is that of the synthetic world, whose days are known, on a glacier of 1000 m; all figures are **synthetic**.
Days are made of the months' means and sums with several spreads of temperature about the month's course; "own" is that
of these days, month by month. ::

    python examples/monthly_weather.py
"""

import numpy as np
import pandas as pd
import torch
import xarray as xr

from facies_xr.smb.climate.daily import SPREAD, from_months
from facies_xr.smb.degreeday.fast import Days, Weather, periods
from facies_xr.smb.degreeday.parameters import priors
from facies_xr.synthetic import climate

YEARS = range(1991, 2021)
BANDS = np.arange(2300.0, 3300.0, 50.0)
"""Middles of equal bands. [m]"""

LAPSE_RATE = -0.0060
SHOULDER = (4, 5, 9, 10)
"""Months about 0 degC."""


def days_of(seed: int) -> xr.Dataset:
    """Daily weather of whole months, with a balance year before the first."""
    drawn = climate.draw(seed, YEARS[0], YEARS[-1], 2800.0)
    named = {"temperature": ("time", drawn.temperature, {"units": "degC"}),
             "precipitation": ("time", drawn.precipitation, {"units": "m"})}  # fmt: skip
    return xr.Dataset(named, {"time": drawn.days}).sel(time=slice(f"{YEARS[0] - 2}-10-01", None))


def balances(daily: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Balances of the months (month, band), and glacier-wide ones of the years. [m w.e.]"""
    time = daily.time.to_index()
    first = np.flatnonzero(time.day == 1)
    bounds = zip(first, [*first[1:], len(time)], strict=True)
    day, end = np.arange(len(time)), np.full(len(time), -1)
    for k, (_, after) in enumerate(bounds):
        end[after - 1] = k
    tensors = [torch.tensor(daily[n].values[:, None], dtype=torch.float32) for n in ("temperature", "precipitation")]
    offset = torch.tensor(LAPSE_RATE * (BANDS - 2800), dtype=torch.float32)
    weather = Weather(tensors[0], tensors[1], torch.zeros(len(BANDS), dtype=torch.int64), offset)
    with torch.no_grad():
        monthly = periods(priors(), weather, Days(day, np.ones(len(time)), end), 0.03, store="conserving").balance
    year = (time[first].year + (time[first].month >= 10)).to_numpy()
    annual = [monthly[year == y].mean(1).sum() for y in YEARS]
    return monthly.numpy(), np.array(annual)


def own_spread(daily: xr.Dataset) -> float:
    """Deviation of days about the course that months give without any spread. [K]"""
    apart = daily["temperature"] - from_months(months_of(daily), spread=0.0)["temperature"]
    return float(apart.std())


def months_of(daily: xr.Dataset) -> xr.Dataset:
    """Means of temperature, and of precipitation a day."""
    monthly = daily.resample(time="MS").mean()
    return monthly.map(lambda v: v.assign_attrs(daily[v.name].attrs))


def table(daily: xr.Dataset) -> pd.DataFrame:
    """Errors of the balances by days of months."""
    truth, annual = balances(daily)
    own = own_spread(daily)
    month = daily.time.to_index()[daily.time.to_index().day == 1].month
    shoulder = np.isin(month, SHOULDER)
    rows = []
    for spread in (0.0, 2.0, 3.0, own, SPREAD, 6.0):
        monthly, years = balances(from_months(months_of(daily), spread=spread))
        rows.append({
            "spread": "own" if spread == own else f"{spread:.1f}{' (default)' if spread == SPREAD else ''}",
            "spread_is": spread,
            "bias": (years - annual).mean(), "rmse": np.sqrt(((years - annual) ** 2).mean()),
            "r": np.corrcoef(years, annual)[0, 1],
            "shoulder_bias": 4 * (monthly - truth)[shoulder].mean(),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("spread")


def main() -> None:
    """Print the table."""
    found = [table(days_of(seed)) for seed in range(3)]
    print(pd.concat(found).groupby(level=0, sort=False).mean().to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()

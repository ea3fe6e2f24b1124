"""Mass balance of every cell: a temperature-index model over a stack of annual layers.

Melt takes the winter's snow first, then firn, newest first, then ice. What is left of the snow on 30 September is a
new layer of firn; a layer older than 15 years is ice. Snow on bare ice, exposed firn and years without any
accumulation area occur by themselves.
"""

from dataclasses import dataclass

import numba
import numpy as np

from .climate import LAPSE_RATE, PRECIPITATION_GRADIENT, SNOW_BELOW, Weather

FIRN_AGE = 15
"""Age at which firn is ice. [year]"""

DEGREE_DAY_FACTORS = (0.0042, 0.0052, 0.0068)
"""Melt of snow, firn and ice. [m w.e. K-1 d-1]"""


@dataclass(frozen=True)
class Cells:
    """What the balance of a cell depends on besides the weather; arrays of one size."""

    elevation: np.ndarray
    """[m]"""
    accumulation: np.ndarray
    """Precipitation relative to that of the height: wind, avalanches."""
    melt: np.ndarray
    """Melt relative to that of the height: exposure, debris."""
    group: np.ndarray
    """Row of the local anomalies that holds for the cell."""


@dataclass(frozen=True)
class Anomalies:
    """How the years of a glacier differ from those of the region; arrays (group, year)."""

    warmth: np.ndarray
    """[K]"""
    wetness: np.ndarray
    """Relative precipitation."""

    @classmethod
    def draw(cls, seed: int, groups: int, weather: Weather) -> "Anomalies":
        """Anomalies that leave about two thirds of the variance of the balance to the region."""
        rng = np.random.default_rng([seed, 3])
        shape = groups, np.unique(weather.year_of()).size
        return cls(rng.normal(0, 0.55, shape), np.exp(rng.normal(0, 0.20, shape)))


@dataclass(frozen=True)
class History:
    """What the model keeps."""

    balance: np.ndarray
    """Annual balance (year, cell). [m w.e.]"""
    winter_balance: np.ndarray
    """Largest cumulative balance of the year (year, cell). [m w.e.]"""
    snow: np.ndarray
    """Snow of the balance year on the days asked for (day, cell). [m w.e.]"""
    firn: np.ndarray
    """Firn on those days (day, cell). [m w.e.]"""
    bare: np.ndarray
    """Days since the snow melted away (day, cell); 0 under snow. [day]"""


def run(cells: Cells, weather: Weather, anomalies: Anomalies, days: np.ndarray, factors=DEGREE_DAY_FACTORS) -> History:
    """Run the balance of all cells.

    Parameters
    ----------
    cells : Cells
    weather : Weather
    anomalies : Anomalies
    days : ndarray of datetime64
        Days whose state is kept, any order.
    factors : tuple of float
        Degree-day factors of snow, firn, ice. [m w.e. K-1 d-1]
    """
    stamps = weather.days.to_numpy().astype("datetime64[D]")
    wanted = np.searchsorted(stamps, np.asarray(days, "datetime64[D]"))
    keep = np.full(stamps.size, -1, "int64")
    order = np.unique(wanted)
    keep[order] = np.arange(order.size)
    year = weather.year_of()
    above = cells.elevation - weather.height
    balance, winter, snow, firn, bare = _run(
        cooling=(LAPSE_RATE * above).astype("float64"),
        wetting=((1 + PRECIPITATION_GRADIENT * above) * cells.accumulation).astype("float64"),
        melting=cells.melt.astype("float64"),
        group=cells.group.astype("int64"),
        warmth=anomalies.warmth,
        wetness=anomalies.wetness,
        temperature=weather.temperature,
        precipitation=weather.precipitation,
        year=(year - year[0]).astype("int64"),
        keep=keep,
        kept=order.size,
        ddf_snow=factors[0],
        ddf_firn=factors[1],
        ddf_ice=factors[2],
    )
    position = np.searchsorted(order, wanted)
    return History(balance, winter, snow[position], firn[position], bare[position])


@numba.njit(nogil=True, cache=True)
def _run(
    cooling, wetting, melting, group, warmth, wetness,
    temperature, precipitation, year, keep, kept, ddf_snow, ddf_firn, ddf_ice,
):  # fmt: skip
    cells, years = cooling.size, year[-1] + 1
    balance = np.zeros((years, cells), np.float32)
    winter = np.zeros((years, cells), np.float32)
    snow_on, firn_on = np.zeros((kept, cells), np.float32), np.zeros((kept, cells), np.float32)
    bare_on = np.zeros((kept, cells), np.float32)
    layers = np.zeros(FIRN_AGE)
    for c in range(cells):
        layers[:] = 0.0
        snow = 0.0
        since = 0.0
        total = 0.0
        highest = 0.0
        for d in range(year.size):
            t = temperature[d] + cooling[c] + warmth[group[c], year[d]]
            if t < SNOW_BELOW:
                fall = precipitation[d] * wetting[c] * wetness[group[c], year[d]]
                snow += fall
                total += fall
            if t > 0:
                heat = t * melting[c]  # positive degree days not yet spent
                melt = min(snow, heat * ddf_snow)
                snow -= melt
                total -= melt
                heat -= melt / ddf_snow
                k = 0
                while heat > 1e-12 and k < FIRN_AGE:
                    melt = min(layers[k], heat * ddf_firn)
                    layers[k] -= melt
                    total -= melt
                    heat -= melt / ddf_firn
                    k += 1
                if heat > 1e-12:
                    total -= heat * ddf_ice
            highest = max(highest, total)
            since = 0.0 if snow > 0.01 else since + 1
            if keep[d] >= 0:
                snow_on[keep[d], c] = snow
                firn_on[keep[d], c] = layers.sum()
                bare_on[keep[d], c] = since
            if d + 1 == year.size or year[d + 1] != year[d]:
                balance[year[d], c] = total
                winter[year[d], c] = highest
                for k in range(FIRN_AGE - 1, 0, -1):
                    layers[k] = layers[k - 1]
                layers[0] = snow
                snow = 0.0
                total = 0.0
                highest = 0.0
    return balance, winter, snow_on, firn_on, bare_on


def warming_for(cells: Cells, weather: Weather, anomalies: Anomalies, years: np.ndarray, target: float) -> float:
    """Warming with which the mean balance of some years is a target. [K; m w.e.]"""
    low, high = -8.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        history = run(cells, weather.warmer(middle), anomalies, np.array([], "datetime64[D]"))
        if history.balance[years].mean() > target:
            low = middle
        else:
            high = middle
    return (low + high) / 2

"""Daily weather of a region: temperature and precipitation at one height, with years that differ."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

LAPSE_RATE = -0.0065
"""Change of temperature with height. [K m-1]"""

PRECIPITATION_GRADIENT = 0.0004
"""Relative change of precipitation with height. [m-1]"""

SNOW_BELOW = 1.0
"""Precipitation falls as snow below this temperature. [degC]"""

SPIN_UP = 22
"""Years before the first balance year, so that firn has its age. [year]"""


@dataclass(frozen=True)
class Weather:
    """Daily weather at the reference height."""

    days: pd.DatetimeIndex
    temperature: np.ndarray
    """[degC]"""
    precipitation: np.ndarray
    """[m w.e. per day]"""
    height: float
    """Reference height. [m]"""

    def warmer(self, by: float) -> "Weather":
        """The same weather, warmer by a number of degrees. [K]"""
        return replace(self, temperature=self.temperature + by)

    def year_of(self) -> np.ndarray:
        """Balance year of each day: October to September, named by its end."""
        return (self.days.year + (self.days.month >= 10)).to_numpy("int32")


def draw(seed: int, first_year: int, last_year: int, height: float) -> Weather:
    """Weather from the spin-up to the end of the last balance year."""
    rng = np.random.default_rng([seed, 2])
    days = pd.date_range(f"{first_year - SPIN_UP - 1}-10-01", f"{last_year}-09-30", freq="D")
    phase = 2 * np.pi * (days.dayofyear.to_numpy() - 205) / 365.25  # warmest on 24 July
    year = (days.year + (days.month >= 10)).to_numpy() - (first_year - SPIN_UP)
    count = year.max() + 1

    summer = rng.normal(0, 0.75, count) + 0.03 * (np.arange(count) - count / 2)
    winter = rng.normal(0, 1.2, count)
    warm = np.clip(np.cos(phase), 0, 1)
    anomaly = summer[year] * warm + winter[year] * (1 - warm)
    temperature = -4.5 + 8.0 * np.cos(phase) + anomaly + _red_noise(rng, days.size, 0.75, 2.6)

    wetness = np.exp(rng.normal(0, 0.18, count))
    wet = rng.random(days.size) < 0.42
    amount = rng.gamma(0.8, 1.0, days.size) * (1 - 0.25 * np.cos(phase))
    precipitation = wet * amount / 0.8 / 0.42 * 1.75 / 365.25 * wetness[year]
    return Weather(days, temperature, precipitation, height)


def _red_noise(rng, size: int, memory: float, deviation: float) -> np.ndarray:
    white = rng.normal(0, deviation * np.sqrt(1 - memory**2), size)
    out = np.empty(size)
    out[0] = white[0]
    for k in range(1, size):
        out[k] = memory * out[k - 1] + white[k]
    return out

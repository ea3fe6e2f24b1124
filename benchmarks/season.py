"""The end of a season from few and from many scenes: bias, error, coverage of intervals, good scenes lost, and trends.

    python benchmarks/season.py

Glaciers whose true accumulation area ratio sinks through each season at a rate of its own, seen on random days with
errors; nothing else changes from year to year, but the number of scenes.
"""

import numpy as np
import pandas as pd
import xarray as xr

from facies_xr.classes import NAMES
from facies_xr.maps.series import DAY, FLAGS, RULES, end_of_season
from facies_xr.seasons import Season

RATE = -0.0025
"""Mean change of the ratio. [1/day]"""

CENTRE = Season(8, 20, 20)


def sensors(year: int) -> int:
    """Clear scenes of a season: one of Landsat 5, more with Landsat 7 and 8, ten with two Sentinel-2."""
    return 1 + (year >= 1990) + (year >= 1999) + (year >= 2013) + 2 * (year >= 2016) + 4 * (year >= 2018)


def statistics_of(counts: dict[int, int], error: float, *, glaciers: int = 200, seed: int = 0, rate: float = RATE,
                  weather: float = 0.08) -> tuple[xr.Dataset, xr.DataArray]:  # fmt: skip
    """Statistics of scenes that err, and the true ratio on the day for which the end of the season is given.

    Parameters
    ----------
    counts : dict
        Number of scenes of each balance year.
    error : float
        Standard deviation of a scene's error.
    rate : float
        Mean change of the ratio; that of a season and glacier varies by half of it. [1/day]
    weather : float
        Standard deviation of the true ratio from year to year.
    """
    rng = np.random.default_rng(seed)
    of_glacier = 0.5 + 0.05 * rng.standard_normal(glaciers)
    ratios, times, truth = [], [], []
    for year, count in counts.items():
        state = of_glacier + weather * rng.standard_normal() + 0.03 * rng.standard_normal(glaciers)
        own_rate = rate * (1 + 0.5 * rng.standard_normal(glaciers))
        days = np.sort(rng.integers(-20, 21, count))
        truth.append(state)
        times += [np.datetime64(CENTRE.centre(year)) + np.timedelta64(int(day), "D") for day in days]
        ratios += list(state + own_rate * (days[:, None] - DAY) + error * rng.standard_normal((count, glaciers)))
    ratio, time = np.array(ratios), pd.DatetimeIndex(times)
    names = [f"g{k:03d}" for k in range(glaciers)]
    area = np.zeros((*ratio.shape, len(NAMES)))
    area[..., NAMES.index("snow")], area[..., NAMES.index("ice")] = ratio, 1 - ratio
    bands = np.clip(4 * ratio[..., None] - np.array([3, 2, 1, 0]), 0, 1)
    tg, low, high = ("time", "glacier"), np.full(glaciers, 2200.0), np.full(glaciers, 3200.0)
    data = {
        "accumulation_area_ratio": (tg, ratio),
        "class_area": ((*tg, "facies_class"), area),
        "coverage": (tg, np.ones_like(ratio)),
        "snow_line_altitude": (tg, high - 1000 * np.clip(ratio, 0, 1)),
        "band_accumulation": ((*tg, "elevation_band"), bands),
        "band_coverage": ((*tg, "elevation_band"), np.ones_like(bands)),
        "band_area": (("glacier", "elevation_band"), np.full((glaciers, 4), 0.25)),
        "days_from_season_centre": ("time", CENTRE.days_from_centre(time)),
        **{name: ("glacier", value) for name, value in (
            ("glacier_area", np.ones(glaciers)), ("min_elevation", low), ("max_elevation", high),
            ("mean_elevation", (low + high) / 2), ("cut_by_edge", np.zeros(glaciers, bool)))},
    }  # fmt: skip
    coords = {
        "time": time,
        "glacier": names,
        "facies_class": list(NAMES),
        "elevation_band": 2325.0 + 250 * np.arange(4),
        "balance_year": ("time", CENTRE.balance_year(time), CENTRE.to_attrs()),
    }
    true = xr.DataArray(np.array(truth).T, dims=("glacier", "balance_year"),
                        coords={"glacier": names, "balance_year": list(counts)})  # fmt: skip
    return xr.Dataset(data, coords=coords), true


def trend(annual: xr.DataArray) -> tuple[float, float]:
    """Change of a series of years and its standard error. [1/year]"""
    years = annual.balance_year.values - annual.balance_year.values.mean()
    change = (years * annual.values).sum() / (years**2).sum()
    residual = annual.values - annual.values.mean() - change * years
    return float(change), float(np.sqrt((residual**2).sum() / (len(years) - 2) / (years**2).sum()))


def main() -> None:
    """Print the tables."""
    counts = {2000 + k: n for k, n in enumerate([*range(1, 13)] * 3)}
    number = xr.DataArray(list(counts.values()), dims="balance_year")
    for error in (0.02, 0.054, 0.1):
        stats, true = statistics_of(counts, error)
        print(f"\nerror of a scene {error}: bias by number of scenes")
        print("rule            " + " ".join(f"{n:6d}" for n in range(1, 13)))
        for rule in RULES:
            found = end_of_season(stats, rule=rule)
            away = found.accumulation_area_ratio - true
            print(f"{rule:15s} " + " ".join(f"{float(away[:, number == n].mean()):6.3f}" for n in range(1, 13)))
            if rule == "depletion":
                inside = (found.accumulation_area_ratio_lower <= true) & (true <= found.accumulation_area_ratio_upper)
                print("   rms error    " + " ".join(
                    f"{float(np.sqrt((away[:, number == n] ** 2).mean())):6.3f}" for n in range(1, 13)))  # fmt: skip
                print("   covered      " + " ".join(
                    f"{float(inside[:, number == n].mean()):6.3f}" for n in range(1, 13)))  # fmt: skip
        lost = 1 - float(found.scenes.sum()) / (sum(counts.values()) * found.sizes["glacier"])
        print(f"   good scenes taken for fresh snow: {lost:.2%}")
        assert not (found["flags"] & FLAGS["no_scene"]).any()
    print("\na world without trend, 1984 to 2024: trend of the mean ratio per decade, and its 95 % interval")
    stats, true = statistics_of({year: sensors(year) for year in range(1984, 2025)}, 0.054)
    for rule in RULES:
        found = end_of_season(stats, rule=rule).accumulation_area_ratio
        for text, annual in (("", found.mean("glacier")), (" less the truth", (found - true).mean("glacier"))):
            change, uncertain = trend(annual)
            print(f"{rule + text:28s} {10 * change:+.4f} +- {19.6 * uncertain:.4f}")


if __name__ == "__main__":
    main()

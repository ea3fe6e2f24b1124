"""Seasons of several glaciers, with records that follow them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr.smb.records import read

from ..maps.test_series import season_of


@pytest.fixture(scope="session")
def many():
    """Statistics of twelve glaciers in eight years, and records that follow them."""
    rng = np.random.default_rng(0)
    seasons, records = [], []
    for g in range(12):
        ratios = np.clip(rng.uniform(0.1, 0.9) + rng.normal(0, 0.15, 8), 0, 1)
        dates = [f"{2010 + k}-08-20" for k in range(8)]
        seasons.append(season_of(ratios, dates=dates, glacier=f"g{g:02d}"))
        for k, ratio in enumerate(ratios):
            records.append((f"g{g:02d}", 2010 + k, -1.6 + 3.0 * ratio + rng.normal(0, 0.2), 100 * ratio))
    table = pd.DataFrame(records, columns=["glacier", "balance_year", "balance", "accumulation_area_ratio"])
    table["accumulation_area_ratio"] /= 100
    return xr.concat(seasons, "glacier", data_vars="minimal", coords="minimal", join="override"), table


@pytest.fixture(scope="session")
def fog(shared):
    """The records of the Fluctuations of Glaciers browser: Europe to 2023."""
    with pytest.warns(UserWarning, match="74 annual balances are reconstructed, not measured, and left out"):
        return read(shared / "smb_wgms" / "fog_browser_2024")

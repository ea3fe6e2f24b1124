"""Scores and the yardsticks beside them."""

import numpy as np
import pytest
import xarray as xr

from facies_xr.smb.evaluate import scores


def test_yardsticks_stand_beside_the_score():
    rng = np.random.default_rng(0)
    observed = rng.normal(-0.5, 0.8, (6, 5))
    smb = xr.Dataset(
        {
            "observed": (("glacier", "balance_year"), observed),
            "balance_out_of_fold": (("glacier", "balance_year"), observed),
        }
    )
    table = scores(smb)
    assert table.loc["model, glacier left out", "rmse"] == 0
    expected = [observed[np.arange(6) != g].mean() for g in range(6) for _ in range(5)]
    error = np.array(expected) - observed.ravel()
    assert table.loc["mean of the other glaciers", "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    same = [observed[np.arange(6) != g, y].mean() for g in range(6) for y in range(5)]
    assert table.loc["other glaciers, same year", "mae"] == pytest.approx(
        np.abs(np.array(same) - observed.ravel()).mean()
    )

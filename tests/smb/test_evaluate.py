"""Scores and the yardsticks beside them."""

import numpy as np
import pytest
import xarray as xr

from facies_xr.smb.balance import fit, smb
from facies_xr.smb.evaluate import scores


def test_yardsticks_stand_beside_the_score():
    rng = np.random.default_rng(0)
    observed = rng.normal(-0.5, 0.8, (6, 5))
    balances = xr.Dataset(
        {
            "observed": (("glacier", "balance_year"), observed),
            "balance_out_of_fold": (("glacier", "balance_year"), observed),
        }
    )
    table = scores(balances)
    assert table.loc["model, glacier left out", "rmse"] == 0
    expected = [observed[np.arange(6) != g].mean() for g in range(6) for _ in range(5)]
    error = np.array(expected) - observed.ravel()
    assert table.loc["training mean, glacier left out", "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    same = [observed[np.arange(6) != g, y].mean() for g in range(6) for y in range(5)]
    assert table.loc["other glaciers of region and year", "mae"] == pytest.approx(
        np.abs(np.array(same) - observed.ravel()).mean()
    )


def test_three_protocols_and_their_yardsticks_stand_on_the_same_rows(many):
    stats, records = many
    balances = smb(stats, records)
    table = scores(balances)
    for left_out in ("glacier", "year", "glacier and year"):
        for name in ("model", "training mean", "ceiling: recorded accumulation area"):
            assert table.loc[f"{name}, {left_out} left out", "n"] == 96
        model, mean = (table.loc[f"{name}, {left_out} left out", "rmse"] for name in ("model", "training mean"))
        assert model < 0.5 * mean
        assert 0.85 < table.loc[f"model, {left_out} left out", "within_interval"] <= 1
    assert table.loc["other glaciers of region and year", "n"] == 96
    by_year = smb(stats, records, leave_out="year")
    error = (by_year.balance_out_of_fold - by_year.observed).values
    assert table.loc["model, year left out", "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    # On the recorded ratios that the records follow, only their noise of .2 is left.
    assert table.loc["ceiling: recorded accumulation area, glacier and year left out", "rmse"] < 0.25


def test_neither_the_glacier_nor_the_year_is_in_the_fit(many):
    """The record of a glacier is the same wherever its own and its year's records are moved."""
    stats, records = many
    options = {"method": "pooled", "leave_out": "glacier and year"}
    found = smb(stats, records, **options)
    here = found.fold.sel(glacier="g03", balance_year=2013)
    fold = found.fold.to_series()
    glaciers, years = (fold[fold == int(here)].index.unique(name) for name in ("glacier", "balance_year"))
    moved = records.glacier.isin(glaciers) | records.balance_year.isin(years)
    again = smb(stats, records.assign(balance=records.balance + 2.0 * moved), **options)
    where = {"glacier": glaciers, "balance_year": years}
    np.testing.assert_array_equal(again.balance_out_of_fold.sel(where), found.balance_out_of_fold.sel(where))


def test_the_mean_of_region_and_year_is_of_other_glaciers_of_the_region():
    """Two regions whose years have nothing in common: the yardstick knows them, one mean a year would not."""
    rng = np.random.default_rng(0)
    years = rng.normal(0, 1, (2, 8))
    observed = years[np.arange(12) // 6] + rng.normal(0, 0.1, (12, 8))
    balances = xr.Dataset(
        {name: (("glacier", "balance_year"), observed) for name in ("observed", "balance_out_of_fold")},
        {"longitude": ("glacier", np.repeat([10.0, 7.0], 6)), "latitude": ("glacier", np.repeat([46.8, 61.5], 6))},
    )
    table = scores(balances)
    assert table.loc["other glaciers of region and year", "rmse"] < 0.15
    assert table.loc["training mean, glacier left out", "rmse"] > 0.6


def test_a_model_that_came_fitted_is_not_called_held_out(many):
    stats, records = many
    records = records.drop(columns="accumulation_area_ratio")  # no ceiling, which is fitted in each fold
    table = scores(smb(stats, records, model=fit(stats, records)), model="balance")
    assert table.index[0] == "model, balance as it came"
    assert not any(name.startswith("model, ") and name.endswith("left out") for name in table.index)


def test_nine_records_have_an_interval():
    """r = .79 of n = 9: from .26 to .95 (Fisher's z, as the published score would have it)."""
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 9))
    x, e = ((v - v.mean()) / v.std() for v in (x, e - np.polyval(np.polyfit(x, e, 1), x)))
    shape = (3, 3)
    balances = xr.Dataset(
        {
            "observed": (("glacier", "balance_year"), x.reshape(shape)),
            "balance_out_of_fold": (("glacier", "balance_year"), (0.79 * x + np.sqrt(1 - 0.79**2) * e).reshape(shape)),
        }
    )
    row = scores(balances).iloc[0]
    assert row.r == pytest.approx(0.79)
    assert (row.r_lower, row.r_upper) == pytest.approx((0.26, 0.95), abs=0.01)
    # chi-squared with 9 degrees of freedom: 2.700 and 19.023
    assert (row.rmse_lower, row.rmse_upper) == pytest.approx(
        (row.rmse * np.sqrt(9 / 19.023), row.rmse * np.sqrt(9 / 2.700)), rel=1e-3
    )

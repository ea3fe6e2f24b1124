"""Balances: records that are read or refused, a regression that recovers what is known, honest folds."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr import folds, metrics
from facies_xr.errors import InputError
from facies_xr.smb import regression
from facies_xr.smb.evaluate import scores


def rows_of(n_glaciers=10, n_years=7, *, noise=0.2, seed=0, albedo=True):
    """Predictors and balances that follow Eq. 2 exactly, plus noise."""
    rng = np.random.default_rng(seed)
    glacier, year = np.divmod(np.arange(n_glaciers * n_years), n_years)
    snow = rng.uniform(0, 1, glacier.size)
    line = -0.5 + 0.9 * (1 - snow) + rng.normal(0, 0.05, glacier.size)
    bright = 0.3 + 0.3 * snow + rng.normal(0, 0.05, glacier.size)
    balance = -1.6 + 2.5 * snow - 0.4 * line + 1.0 * bright + rng.normal(0, noise, glacier.size)
    return pd.DataFrame(
        {
            "glacier": [f"g{k}" for k in glacier],
            "balance_year": 2010 + year,
            "snow_fraction": snow,
            "snow_line_relative": line,
            "albedo": bright if albedo else np.nan,
            "observed": balance,
            "flags": 0,
        }
    )


def test_ridge_recovers_the_coefficients():
    model = regression.Ridge.fit(rows_of(40, 10, noise=0.01), regression.PREDICTORS)
    np.testing.assert_allclose(model.weights / model.spread, [2.5, -0.4, 1.0], atol=0.15)


def test_ridge_is_the_closed_form():
    from sklearn.linear_model import Ridge

    rows = rows_of()
    model = regression._solve(
        rows[list(regression.PREDICTORS)].to_numpy(), rows.observed.to_numpy(), regression.PREDICTORS, 3.0
    )
    z = (rows[list(regression.PREDICTORS)] - model.centre) / model.spread
    other = Ridge(alpha=3.0).fit(z, rows.observed)
    np.testing.assert_allclose(model.weights, other.coef_, rtol=1e-10)
    assert model.intercept == pytest.approx(other.intercept_)


def test_rows_without_albedo_are_predicted_without_it():
    rows = rows_of()
    rows.loc[::3, "albedo"] = np.nan
    model = regression.Model.fit(rows)
    found = model.predict(rows)
    assert np.isfinite(found).all()
    without = rows.albedo.isna().to_numpy()
    np.testing.assert_array_equal(found[without], model.short.predict(rows)[without])


def test_a_glacier_is_never_in_its_own_fit():
    rows = rows_of(noise=0.0)
    odd = rows.glacier == "g3"
    rows.loc[odd, "observed"] += 5  # only a fit that saw g3 can know
    fold = pd.Series(folds.by_group(rows.glacier.to_numpy(), 6), index=rows.index)
    found = regression._predicted(rows, rows, fold)
    error = found.balance_out_of_fold - rows.observed
    assert (error[odd] < -4).all()
    same_fold = found.groupby("fold").glacier.unique()
    assert sum("g3" in g for g in same_fold) == 1


def test_prediction_intervals_cover_glaciers_that_were_held_out():
    covered = []
    for seed in range(12):
        rows = rows_of(9, 6, noise=0.35, seed=seed)
        new = rows_of(30, 6, noise=0.35, seed=1000 + seed)
        fold = pd.Series(folds.by_group(rows.glacier.to_numpy(), 6), index=rows.index)
        held_out = pd.Series(np.nan, rows.index)
        for k in np.unique(fold):
            held_out[fold == k] = regression.Model.fit(rows[fold != k]).predict(rows[fold == k])
        low, high = regression._interval(new, rows, (rows.observed - held_out).to_numpy())
        covered.append(((new.observed >= low) & (new.observed <= high)).mean())
    assert 0.90 <= np.mean(covered) <= 0.99


def scene_statistics(ratios, *, days=None, coverage=1.0, years=None):
    """Statistics of one glacier with given accumulation area ratios on some dates."""
    n = len(ratios)
    times = pd.DatetimeIndex(years if years is not None else [f"{2010 + k}-08-20" for k in range(n)])
    data = {
        "coverage": (("time", "glacier"), np.full((n, 1), coverage)),
        "accumulation_area_ratio": (("time", "glacier"), np.array(ratios, float)[:, None]),
        "lowest_snow": (("time", "glacier"), np.where(np.array(ratios) > 0, 2500.0, np.nan)[:, None]),
        "albedo": (("time", "glacier"), np.full((n, 1), 0.5)),
        "days_from_season_centre": ("time", np.zeros(n) if days is None else days),
        "mean_elevation": ("glacier", [2700.0]),
        "min_elevation": ("glacier", [2200.0]),
        "max_elevation": ("glacier", [3200.0]),
    }
    coords = {"time": times, "glacier": ["g"], "balance_year": ("time", times.year.to_numpy("int32"))}
    return xr.Dataset(data, coords=coords)


def flags_of(row):
    return {name for name, bit in regression.FLAGS.items() if row["flags"] & bit}


def test_the_scene_with_the_least_snow_stands_for_the_season():
    stats = scene_statistics([0.6, 0.4, 0.45], years=["2015-08-05", "2015-08-20", "2015-08-30"])
    row = regression.predictors(stats).iloc[0]
    assert row.snow_fraction == 0.4
    assert row.snow_line_relative == pytest.approx((2500 - 2700) / 1000)


def test_fresh_snow_is_flagged_and_not_taken():
    stats = scene_statistics([np.nan, 0.4, 0.9], years=["2015-08-05", "2015-08-20", "2015-08-30"])
    assert regression.predictors(stats).iloc[0].snow_fraction == 0.4
    only_fresh = scene_statistics([0.3, 0.9], days=[-40, 10], years=["2015-07-11", "2015-08-30"])
    row = regression.predictors(only_fresh).iloc[0]
    assert flags_of(row) & {"fresh_snow", "outside_season"}


def test_no_snow_puts_the_line_at_the_top():
    row = regression.predictors(scene_statistics([0.0])).iloc[0]
    assert row.snow_line_relative == pytest.approx((3200 - 2700) / 1000)
    assert flags_of(row) >= {"no_snow", "censored"}


def test_an_unseen_year_has_no_predictors():
    row = regression.predictors(scene_statistics([np.nan], coverage=0.3)).iloc[0]
    assert np.isnan(row.snow_fraction)
    assert "low_coverage" in flags_of(row)


# -- folds and scores -------------------------------------------------------------------------------------------


def test_folds_keep_groups_together_and_balanced():
    rng = np.random.default_rng(0)
    groups = rng.choice(list("abcdefghij"), 200)
    fold = folds.by_group(groups, 6)
    assert set(fold) == set(range(6))
    assert all(len(set(fold[groups == g])) == 1 for g in "abcdefghij")
    for train, test in folds.splits(fold):
        assert not set(groups[train]) & set(groups[test])
    with pytest.raises(InputError, match="two groups"):
        folds.by_group(np.array(["a", "a"]), 3)


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


def test_metrics_against_scikit_learn():
    from sklearn.metrics import f1_score, jaccard_score, mean_absolute_error, r2_score

    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 8, (2, 3000))
    counts = metrics.confusion(label, predicted, 8)
    np.testing.assert_allclose(metrics.f1(counts), f1_score(label, predicted, average=None))
    np.testing.assert_allclose(metrics.iou(counts), jaccard_score(label, predicted, average=None))
    o, p = rng.normal(size=(2, 50))
    found = metrics.regression(np.append(o, np.nan), np.append(p, 1))
    assert found["n"] == 50
    assert found["r2"] == pytest.approx(r2_score(o, p))
    assert found["mae"] == pytest.approx(mean_absolute_error(o, p))


@pytest.mark.parametrize(("n", "expected"), [(500, 0.12), (1000, 0.086), (3000, 0.050), (10_000, 0.027)])
def test_a_perfect_classifier_has_a_calibration_error(n, expected):
    # Measured on simulated confidences of a classifier that is right with exactly its confidence.
    confidence = np.random.default_rng(0).beta(4, 1.5, n)
    assert metrics.null_calibration_error(confidence, 100, equal_count=False) == pytest.approx(expected, abs=0.02)

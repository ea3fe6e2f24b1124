"""Balances: records that are read or refused, a regression that recovers what is known, honest folds."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr import folds, metrics
from facies_xr.errors import InputError
from facies_xr.smb import regression
from facies_xr.smb.evaluate import scores, scores_by_glacier
from facies_xr.smb.fitted import Fit

from ..maps.test_series import season_of


def flags_of(row):
    return {name for name, bit in regression.FLAGS.items() if row["flags"] & bit}


def test_predictors_of_a_season():
    stats = season_of([0.6, 0.4, 0.45], dates=["2015-08-05", "2015-08-20", "2015-08-30"])
    row = regression.predictors(stats, rule="least snow").iloc[0]
    assert row.snow_fraction == 0.4
    assert row.snow_line_relative == pytest.approx((2500 - 2700) / 1000)
    assert row.albedo == 0.5
    assert row.scenes == 3


def test_no_snow_puts_the_line_at_the_top():
    row = regression.predictors(season_of([0.0])).iloc[0]
    assert row.snow_line_relative == pytest.approx((3200 - 2700) / 1000)
    assert flags_of(row) >= {"no_snow", "censored"}


def test_an_unseen_year_has_no_predictors():
    row = regression.predictors(season_of([np.nan], coverage=0.3)).iloc[0]
    assert np.isnan(row.snow_fraction)
    assert "low_coverage" in flags_of(row)


def test_a_glacier_of_one_pixel_has_no_relief():
    stats = season_of([0.5]).assign(min_elevation=("glacier", [2700.0]), max_elevation=("glacier", [2701.0]))
    row = regression.predictors(stats).iloc[0]
    assert np.isnan(row.snow_line_relative)
    assert "no_relief" in flags_of(row)


# -- balances ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
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


def test_balances_of_statistics(many):
    stats, records = many
    found = regression.smb(stats, records)
    assert found.sizes == {"glacier": 12, "balance_year": 8}
    table = scores(found)
    model = table.loc["model, glacier left out"]
    assert model.n == 96
    assert model.rmse < 0.3
    assert model.r_lower < model.r < model.r_upper
    assert table.loc["ceiling: recorded accumulation area", "rmse"] == pytest.approx(0.2, abs=0.05)
    inside = (found.observed >= found.balance_lower) & (found.observed <= found.balance_upper)
    assert 0.9 < float(inside.mean()) <= 1
    assert 0.9 < model.within_interval <= 1
    by_glacier = scores_by_glacier(found)
    assert len(by_glacier) == 12
    assert (by_glacier.n == 8).all()
    assert by_glacier.rmse.pow(2).mean() ** 0.5 == pytest.approx(model.rmse)


@pytest.mark.parametrize(
    ("method", "leave_out"), [("eq2", "glacier"), ("pooled", "glacier"), ("pooled", "year"), ("eq3", "year")]
)
def test_nothing_is_in_its_own_fit(many, method, leave_out):
    stats, records = many
    odd = (records.glacier == "g03") if leave_out == "glacier" else (records.balance_year == 2013)
    moved = records.assign(balance=records.balance + 5 * odd)  # only a fit that saw them can know
    plain = regression.smb(stats, records, method=method, leave_out=leave_out)
    found = regression.smb(stats, moved, method=method, leave_out=leave_out)
    where = {"glacier": "g03"} if leave_out == "glacier" else {"balance_year": 2013}
    assert found.attrs["leave_out"] == leave_out
    if method != "pooled":  # whose variances are estimated anew by the fits that saw the odd ones
        np.testing.assert_allclose(
            found.balance_out_of_fold.sel(where), plain.balance_out_of_fold.sel(where), atol=1e-9
        )
    assert float((found.observed - found.balance_out_of_fold).sel(where).mean()) > 3.5
    assert len(np.unique(found.fold.sel(where))) == 1


def test_expected_areas_take_the_place_of_the_maps(many):
    stats, records = many
    wrong = stats.assign(
        accumulation_area_ratio=stats.accumulation_area_ratio * 0 + 0.5,
        band_accumulation=stats.band_accumulation * 0 + 0.5,
        accumulation_area_ratio_expected=stats.accumulation_area_ratio,
        band_accumulation_expected=stats.band_accumulation,
    )
    right, found = regression.smb(stats, records), regression.smb(wrong, records, areas="expected")
    xr.testing.assert_equal(found.balance, right.balance)
    assert found.attrs["areas"] == "expected"
    assert float(regression.smb(wrong, records).snow_fraction.std()) == 0


def test_eq3_leaves_each_year_out(many):
    stats, records = many
    found = regression.smb(stats, records, method="eq3")
    assert found.attrs["leave_out"] == "year"
    assert len(np.unique(found.fold)) == 8
    assert scores(found).loc["model, year left out", "rmse"] < 0.4


def test_a_fit_is_applied_to_glaciers_without_records(many, tmp_path):
    stats, records = many
    fitted = regression.smb(stats, records[records.glacier < "g09"])
    path = Fit.load(fitted).save(tmp_path / "fit.json")
    new = stats.sel(glacier=["g09", "g10", "g11"])
    for model in (path, fitted, Fit.load(path)):
        found = regression.smb(new, model=model)
        xr.testing.assert_allclose(found.balance, fitted.balance.sel(glacier=new.glacier))
        assert np.isnan(found.observed).all()
        assert np.isnan(found.balance_out_of_fold).all()
        assert (found.balance_lower < found.balance_upper).all()
    judged = regression.smb(new, records, model=path)
    assert metrics.regression(judged.observed.values, judged.balance.values)["rmse"] < 0.35


def test_rows_that_no_fit_may_rest_on(many):
    stats, records = many
    cut = stats.assign(cut_by_edge=("glacier", stats.glacier.values == "g02"))
    found = regression.smb(cut, records)
    assert (found.flags.sel(glacier="g02") & regression.FLAGS["cut_by_edge"] > 0).all()
    assert (found.fold.sel(glacier="g02") == -1).all()
    assert "g02" not in set(Fit.load(found).rows.glacier)
    assert np.isfinite(found.balance.sel(glacier="g02")).all()


def test_years_without_scenes_are_gaps(many):
    stats, records = many
    found = regression.smb(stats.isel(time=[0, 1, 2, 5, 6, 7]), records)
    gap = found.sel(balance_year=[2013, 2014])
    assert (gap.flags == regression.FLAGS["no_scene"] | regression.FLAGS["no_albedo"]).all()
    assert np.isnan(gap.balance).all()
    assert np.isnat(gap.scene_date).all()
    assert np.isfinite(gap.observed).any()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "magic"}, r"method='magic': choose among regression \(which is pooled\), eq2, eq3, pooled"),
        ({"leave_out": "month"}, "leave_out='month'"),
        ({"rule": "any"}, "rule='any'"),
        ({"observations": None}, "needs observations"),
        ({"areas": "all"}, "areas='all': choose 'map' or 'expected'"),
        ({"areas": "expected"}, r"needs maps with probability and calibrated confidence"),
    ],
)
def test_what_is_not_possible_is_named(many, options, match):
    stats, records = many
    with pytest.raises(InputError, match=match):
        regression.smb(stats, **{"observations": records, **options})


def test_rows_that_no_fit_may_rest_on_are_not_scored(many):
    stats, records = many
    early = stats.copy(deep=True)
    days = early.days_from_season_centre.values.copy()
    days[0] = -50
    early["days_from_season_centre"] = ("time", days)
    wrong = records.assign(balance=records.balance + 2.0 * (records.balance_year == 2010))
    balances = regression.smb(early, wrong)
    found = scores(balances).loc["model, glacier left out"]
    assert scores_by_glacier(balances).n.sum() == found.n
    assert found.n == 84
    assert found.rmse < 0.35


def test_statistics_know_what_they_were_made_with(many):
    stats, records = many
    made = stats.assign_attrs(accumulation_classes="snow", season="08-20 +-20 d")
    with pytest.raises(InputError, match="made with accumulation_classes 'snow', not 'snow firn'"):
        regression.smb(made, records, classes=("snow", "firn"))
    with pytest.raises(InputError, match="made with season '08-20"):
        regression.smb(made, records, season=("09-10", 20))
    with pytest.raises(InputError, match="not both"):
        regression.smb(made, records, model=regression.smb(made, records), leave_out="year")


def test_ids_that_are_numbers(many):
    stats, records = many
    numbered = stats.assign_coords(glacier=np.arange(12))
    names = {f"g{k:02d}": str(k) for k in range(12)}
    found = regression.smb(numbered, records.assign(glacier=records.glacier.map(names)))
    assert np.isfinite(found.balance).all()


def test_too_few_records_are_told(many):
    stats, records = many
    with pytest.raises(InputError, match="3 records of 1 glaciers match a usable scene, the regression needs 8 of 2"):
        regression.smb(stats, records.head(3))


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

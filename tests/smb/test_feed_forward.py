"""FF-FCNN among the balance methods: the same folds, rows and yardsticks; refused without its climate."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr.errors import InputError
from facies_xr.smb import judge
from facies_xr.smb.balance import fit
from facies_xr.smb.features.build import candidates
from facies_xr.smb.features.problem import with_features
from facies_xr.smb.features.variables import Configuration
from facies_xr.smb.fitted import Fit
from facies_xr.smb.methods.named import EVERY, WITH_WEATHER
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.problem import of_statistics

from ..maps.test_series import season_of

GLACIERS = [f"g{k}" for k in range(8)]


@pytest.fixture(scope="module")
def weathered():
    """Statistics of eight glaciers in seven years, months of each, and records that follow summer and snow."""
    rng = np.random.default_rng(0)
    time = pd.date_range("2002-10", "2010-09", freq="MS")
    season = -4 + 9 * np.cos(2 * np.pi * (time.month.to_numpy() - 7) / 12)
    warm = season + rng.normal(0, 1.2, (8, len(time)))
    snow = np.maximum(rng.gamma(4, 0.001, (8, len(time))), 1e-4)
    climate = xr.Dataset(
        {"t2m": (("glacier", "time"), warm + 273.15, {"units": "K"}),
         "sf": (("glacier", "time"), snow, {"units": "m of water equivalent"})},
        {"glacier": GLACIERS, "time": time},
    )  # fmt: skip
    dates = [f"{2004 + k}-08-20" for k in range(7)]
    seasons = [season_of(rng.uniform(0.2, 0.8, 7), dates=dates, glacier=g) for g in GLACIERS]
    stats = xr.concat(seasons, "glacier", data_vars="minimal", coords="minimal", join="override")
    stats = stats.assign_coords(longitude=("glacier", np.full(8, 10.0)), latitude=("glacier", np.full(8, 46.0)))
    made = candidates(climate, stats)["candidates"].sel(balance_year=range(2004, 2011))
    balance = -0.4 * (made.sel(feature="t2m_summer") - 4) + 2.0 * (made.sel(feature="sf_accumulation") - 0.8) - 0.5
    balance = balance + 0.1 * rng.standard_normal(balance.shape)
    records = balance.rename("balance").reset_coords(drop=True).to_dataframe().reset_index()
    return stats, records, climate


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Fewer and shorter networks than by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EVERY, "ff-fcnn", FeedForward(Settings(epochs=600, patience=40), members=4, trees=50))
        yield


@pytest.fixture(scope="module")
def fitted(weathered):
    stats, records, climate = weathered
    return fit(stats, records, method="ff-fcnn", climate=climate)


@pytest.fixture(scope="module")
def found(weathered):
    stats, records, climate = weathered
    return fx.smb(stats, records, method="ff-fcnn", climate=climate)


def test_it_is_judged_beside_the_yardsticks_on_the_rows_of_the_others(weathered, found):
    stats, records, _ = weathered
    assert found.attrs["method_name"] == "ff-fcnn"
    assert found.attrs["leave_out"] == "glacier"
    other = fx.smb(stats, records, method="eq2")
    np.testing.assert_array_equal(found["fold"], other["fold"])
    np.testing.assert_array_equal(found["observed"].notnull(), other["observed"].notnull())
    scores, of_other = fx.scores(found), fx.scores(other)
    for name in ("training mean, glacier left out", "training mean, glacier and year left out",
                 "other glaciers of region and year"):  # fmt: skip
        pd.testing.assert_series_equal(scores.loc[name], of_other.loc[name])
    model = scores.loc["model, glacier left out"]
    assert model.n == 56
    assert model.rmse < 0.6 * scores.loc["training mean, glacier left out", "rmse"]
    assert 0.75 < model.within_interval <= 1


def test_the_judge_says_what_the_frame_says(weathered, found):
    stats, records, climate = weathered
    problem = with_features(of_statistics(stats), climate, stats)
    assert {"t2m_summer", "pdd_annual", "albedo_summer", "z_median", "log10_area"} <= set(problem.predictors)
    assert set(problem.required) <= {f"{v}_{w}" for v in ("t2m", "sf", "pdd") for w in Configuration().windows}
    observed = problem.rows.drop(columns="observed").merge(records.rename(columns={"balance": "observed"}))
    again = judge.out_of_fold(
        type(problem)(observed, problem.predictors, problem.optional), EVERY["ff-fcnn"], judge.splits(
            type(problem)(observed, problem.predictors, problem.optional), "glacier")
    )  # fmt: skip
    table = found["balance_out_of_fold"].to_series().reindex(
        pd.MultiIndex.from_frame(observed[["glacier", "balance_year"]]))  # fmt: skip
    np.testing.assert_allclose(again.mean, table.to_numpy(), atol=2e-3)


def test_a_fit_is_kept_and_applied_to_the_same_features(weathered, found, fitted, tmp_path):
    stats, _, climate = weathered
    path = fitted.save(tmp_path / "fit.json")
    again = fx.smb(stats, model=Fit.load(path), climate=climate)
    np.testing.assert_allclose(again["balance"], found["balance"], atol=1e-4)
    with pytest.raises(InputError, match=r"it was made with features '.* of t2m sf pdd', the maps '.* of t2m pdd'"):
        fx.smb(stats, model=path, climate=climate[["t2m"]])


def test_what_is_missing_is_named(weathered):
    stats, records, climate = weathered
    assert "ff-fcnn" in WITH_WEATHER
    for wrong in ({"method": "ff-fcnn"}, {"method": "eq2", "climate": climate}):
        with pytest.raises(InputError, match="climate= goes with method temperature-index, ff-fcnn, glaunti, which"):
            fx.smb(stats, records, **wrong)
    with pytest.raises(InputError, match="climate= goes with method"):
        fit(stats, records, method="ff-fcnn")
    for given, message in (
        (climate.isel(glacier=slice(0, 7)), "the climate has no glacier g7"),
        (climate.isel(time=slice(0, 12)), "none of the balance years 2004 to 2010; it has 2003 to 2003"),
        (climate[["sf"]].rename(sf="rain"), "no variable that is known"),
        (climate.assign(t2m=climate.t2m.assign_attrs(units="degC")), r"t2m .* degC, where -95 to 60"),
        (
            climate.drop_vars("glacier").rename(glacier="station"),
            "must be of cells, with latitude and longitude, or of glaciers",
        ),
    ):
        with pytest.raises(InputError, match=message):
            fx.smb(stats, records, method="ff-fcnn", climate=given)
    cells = climate.isel(glacier=0, drop=True)
    with pytest.raises(InputError, match="where the glaciers are is not known"):
        fx.smb(stats.drop_vars(["longitude", "latitude"]), records, method="ff-fcnn", climate=cells)


def test_the_fit_says_which_feature_it_lacks(weathered, fitted):
    stats, _, climate = weathered
    problem = with_features(of_statistics(stats), climate, stats)
    with pytest.raises(InputError, match="this fit takes the feature 't2m_summer', which is not there"):
        fitted.fitted.predict(type(problem)(problem.rows.drop(columns="t2m_summer")), np.arange(3))

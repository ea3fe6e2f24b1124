"""The temperature-index method in the frame of balance methods: recovery, intervals, geodetic balances, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr.errors import InputError
from facies_xr.smb import judge
from facies_xr.smb.climate.bands import Bands, problem_of
from facies_xr.smb.methods.temperature_index import (
    APART,
    CENTRE,
    STORE_SHARPNESS,
    WIDE,
    TemperatureIndex,
    balances,
    common_of,
)

SHARPNESS = STORE_SHARPNESS


def weather(first=1990, last=2012, seed=0):
    time = pd.date_range(f"{first}-10-01", f"{last}-10-01", freq="D")
    rng = np.random.default_rng(seed)
    year, day = time.year.to_numpy() - first, time.dayofyear.to_numpy()
    warm = -4 + 8 * np.cos(2 * np.pi * (day - 205) / 365.25) + rng.normal(0, 1, year.max() + 1)[year]
    temperature = warm + rng.normal(0, 3, len(time))
    rain = rng.gamma(0.5, 0.008, len(time)) * (1 + 0.3 * rng.normal(0, 1, year.max() + 1)[year]).clip(0.3)
    return time, temperature, rain


def world(glaciers=5, error=0.15, seed=1):
    """Glaciers whose parameters are known, and records of their balances with errors."""
    rng = np.random.default_rng(seed)
    time, temperature, rain = weather()
    names = [f"g{k}" for k in range(glaciers)]
    bands = 2500.0 + 100 * np.arange(10)
    area = rng.uniform(0.1, 1, (glaciers, 10))
    hypsometry = xr.Dataset(
        {"band_area": (("glacier", "elevation_band"), area)},
        {"glacier": names, "elevation_band": bands, "latitude": ("glacier", np.full(glaciers, 46.0)),
         "longitude": ("glacier", np.full(glaciers, 10.0))},
    )  # fmt: skip
    climate = xr.Dataset(
        {"temperature": (("glacier", "time"), temperature + rng.normal(0, 0.5, (glaciers, 1))),
         "precipitation": (("glacier", "time"), np.tile(rain, (glaciers, 1))),
         "height": ("glacier", np.full(glaciers, 2900.0))},
        {"glacier": names, "time": time},
    )  # fmt: skip
    records = pd.DataFrame([(g, y, 0.0) for g in names for y in range(1991, 2013)],
                           columns=["glacier", "balance_year", "balance"])  # fmt: skip
    problem = problem_of(hypsometry, climate, records)
    truth = CENTRE + rng.normal(0, 1, (glaciers, 5)) * [0.2, 0.15, 0.15, 0.2, 0.5] + [0.1, 0.2, 0, 0, 0.3]
    modelled, _ = balances(Bands.of(problem), truth, SHARPNESS)
    records["balance"] = modelled.ravel() + rng.normal(0, error, modelled.size)
    return problem_of(hypsometry, climate, records), truth, modelled


@pytest.fixture(scope="module")
def known():
    return world()


def test_derivatives_are_those_of_finite_differences(known):
    problem, truth, _ = known
    bands = Bands.of(problem)
    _, jacobian = balances(bands, truth, SHARPNESS)
    for k in range(5):
        step = np.zeros(5)
        step[k] = 0.005
        apart = (balances(bands, truth + step, SHARPNESS)[0] - balances(bands, truth - step, SHARPNESS)[0]) / 0.01
        differing = np.abs(jacobian[..., k] - apart) > 0.03 * np.abs(jacobian[..., k]).max()
        assert differing.mean() < 0.05, k  # where firn comes or goes within the step, neither is the derivative


def test_recovers_balances_and_parameters_within_their_regions(known):
    problem, truth, modelled = known
    fitted = TemperatureIndex().fit(problem, np.arange(len(problem)))
    assert fitted.error == pytest.approx(0.15, abs=0.06)
    prediction = fitted.predict(problem, np.arange(len(problem)))
    apart = prediction.mean - modelled.ravel()
    assert np.sqrt((apart**2).mean()) < 0.12  # the truth, which no record shows without its error of .15
    within = (problem.observed > prediction.lower) & (problem.observed < prediction.upper)
    assert within.mean() > 0.9
    distances = []
    for k in range(5):
        own, covariance = fitted.sets[f"g{k}"]
        distances.append((own - truth[k]) @ np.linalg.solve(covariance, own - truth[k]))
    assert np.mean(distances) < 15  # of 5 on average, if all were linear


def test_years_and_glaciers_left_out(known):
    problem, _, _ = known
    spread = problem.observed.std()
    for left_out, most in (("year", 0.3), ("glacier", 0.95)):
        found = judge.out_of_fold(problem, TemperatureIndex(), judge.splits(problem, left_out)[:2])
        there = np.isfinite(found.mean)
        rmse = np.sqrt(((found.mean - problem.observed)[there] ** 2).mean())
        assert there.sum() >= 10
        assert rmse < most * spread, left_out
        assert ((problem.observed > found.lower) & (problem.observed < found.upper))[there].mean() > 0.8


def test_geodetic_balances_alone(known):
    problem, _, modelled = known
    rows = [(f"g{k}", y, y + 9, modelled[k, y - 1991 : y - 1981].mean(), 0.05) for k in range(5) for y in (1991, 2001)]
    table = pd.DataFrame(rows, columns=["glacier", "first_year", "last_year", "balance", "error"])
    fitted = TemperatureIndex(geodetic=table).fit(problem, np.array([], int))
    means = fitted.predict(problem, np.arange(len(problem))).mean.reshape(5, -1)
    for glacier, first, last, balance, _ in rows:
        own = means[int(glacier[1]), first - 1991 : last - 1990].mean()
        assert own == pytest.approx(balance, abs=0.1)
    r = np.corrcoef(means.ravel(), modelled.ravel())[0, 1]
    assert r > 0.9  # annual balances, of which it saw none
    with pytest.raises(InputError, match="lies outside of the weather"):
        TemperatureIndex(geodetic=table.assign(last_year=2030)).fit(problem, np.array([], int))


def test_a_fit_is_kept(known):
    problem, _, _ = known
    fitted = TemperatureIndex().fit(problem, np.arange(0, len(problem), 3))
    again = TemperatureIndex().from_dict(json.loads(json.dumps(fitted.to_dict())))
    rows = np.arange(len(problem))
    np.testing.assert_allclose(again.predict(problem, rows), fitted.predict(problem, rows))
    assert again.parameters("g0")["ice_to_snow"] > 1
    with pytest.raises(ValueError, match="not possible"):
        TemperatureIndex().from_dict({**fitted.to_dict(), "common": [1e6] * 5})


def test_what_does_not_fit_is_refused(known):
    from dataclasses import replace

    problem, _, _ = known
    rows = np.arange(len(problem))
    fit = TemperatureIndex().fit
    with pytest.raises(InputError, match="needs weather"):
        fit(replace(problem, forcing=None), rows)
    short = problem.forcing.sel(time=slice(None, "2005-12-31"))
    with pytest.raises(InputError, match=r"records of 2006, 2007, .* lie outside of the weather"):
        fit(replace(problem, forcing=short), rows)
    holed = problem.forcing.copy(deep=True)
    holed["temperature"][2, 100:104] = np.nan
    with pytest.raises(InputError, match="glacier g2 is missing on 4 days"):
        fit(replace(problem, forcing=holed), rows)
    with pytest.raises(InputError, match="which height"):
        fit(replace(problem, forcing=problem.forcing.drop_vars("height")), rows)
    with pytest.raises(InputError, match="no whole balance year"):
        fit(replace(problem, forcing=problem.forcing.isel(time=slice(0, 300))), rows)
    bare = problem.hypsometry.copy(deep=True)
    bare["band_area"][1] = 0
    with pytest.raises(InputError, match="g1 has no area"):
        fit(replace(problem, hypsometry=bare), rows)


def test_the_southern_balance_year_begins_in_april(known):
    from dataclasses import replace

    problem, _, _ = known
    south = replace(problem, rows=problem.rows.assign(latitude=-62.0))
    assert Bands.of(south).years[0] == 1992
    assert Bands.of(problem).years[0] == 1991


@pytest.fixture(scope="module")
def mapped(known):
    """Statistics of maps of the known glaciers in some of the years, and their records."""
    from ..maps.test_series import season_of

    problem, _, _ = known
    seasons = []
    for k in range(5):
        ratios = np.linspace(0.2, 0.8, 10)
        season = season_of(ratios, dates=[f"{2001 + j}-08-20" for j in range(10)], glacier=f"g{k}")
        seasons.append(season)
    stats = xr.concat(seasons, "glacier", data_vars="minimal", coords="minimal", join="override")
    stats = stats.drop_vars([n for n in ("band_area", "band_coverage", "band_accumulation") if n in stats])
    stats = stats.drop_dims("elevation_band", errors="ignore").merge(problem.hypsometry, compat="override")
    records = problem.rows[["glacier", "balance_year"]].assign(balance=problem.observed)
    forcing = problem.forcing.sel(time=slice("2000-10-01", "2010-10-01"))
    return stats, records[records.balance_year.between(2001, 2010)], forcing


@pytest.mark.filterwarnings("ignore")
def test_beside_the_regressions(mapped):
    import facies_xr as fx

    stats, records, climate = mapped
    found = fx.smb(stats, records, method="temperature-index", climate=climate)
    assert found.attrs["method_name"] == "temperature-index"
    assert found.balance_out_of_fold.notnull().all()
    scores = fx.scores(found)
    assert scores.loc["model, year left out", "rmse"] < 0.6 * scores.loc["training mean, year left out", "rmse"]
    assert not any(name.startswith("model, glacier") for name in scores.index)  # not without maps and weather
    for wrong in ({"method": "pooled", "climate": climate}, {"method": "temperature-index"}):
        with pytest.raises(InputError, match="climate= goes with method temperature-index"):
            fx.smb(stats, records, **wrong)


class Watched(TemperatureIndex):
    """Notes the records of each fit, and what it is asked about."""

    def fit(self, problem, rows):
        fitted = super().fit(problem, rows)
        keys = list(zip(problem.glacier, problem.balance_year, strict=True))
        LOG.append(({keys[k] for k in rows}, set()))
        asked, predict = LOG[-1][1], fitted.predict

        class Asked:
            def predict(self, problem, rows):
                asked.update(keys[k] for k in rows)
                return predict(problem, rows)

        return Asked()


LOG = []


@pytest.mark.filterwarnings("ignore")
def test_scores_refit_in_every_fold_and_no_fit_knows_what_it_is_judged_on(mapped, monkeypatch):
    """Each scheme leaves out what it says; glaciers left out are what ``leave_out="glacier"`` itself predicts."""
    import facies_xr as fx
    from facies_xr.smb.methods.named import EVERY

    stats, records, climate = mapped
    records, climate = records[records.balance_year < 2004], climate.sel(time=slice("2000-10-01", "2003-10-01"))
    found = fx.smb(stats, records, method="temperature-index", climate=climate)
    LOG.clear()
    monkeypatch.setitem(EVERY, "temperature-index", Watched())
    table = fx.scores(found, maps=stats, climate=climate)
    monkeypatch.undo()
    schemes = {"glacier": 5, "glacier and year": 5 * 3}
    assert len(LOG) == sum(schemes.values())
    for number, (seen, asked) in enumerate(LOG):
        assert asked
        assert not {g for g, _ in seen} & {g for g, _ in asked}
        if number >= schemes["glacier"]:
            assert not {y for _, y in seen} & {y for _, y in asked}
    for name in ("year", "glacier", "glacier and year"):
        assert table.loc[f"model, {name} left out", "n"] == len(records)
    of_glaciers = fx.smb(stats, records, method="temperature-index", climate=climate, leave_out="glacier")
    apart = (of_glaciers.balance_out_of_fold - of_glaciers.observed).values
    assert table.loc["model, glacier left out", "rmse"] == pytest.approx(np.sqrt(np.nanmean(apart**2)), rel=1e-6)
    with pytest.raises(InputError, match="go together"):
        fx.scores(found, maps=stats)
    with pytest.raises(InputError, match="not those of the balances: they lack g3"):
        fx.scores(found, maps=stats.isel(glacier=slice(0, 3)), climate=climate)
    with pytest.raises(InputError, match="by pooled rest on no weather"):
        fx.scores(found.assign_attrs(method_name="pooled"), maps=stats, climate=climate)


def test_the_common_set_is_that_of_the_joint_normal_distribution():
    """Of linear balances: mean and covariance of (common, sets) solved as one; one glacier has no record."""
    rng = np.random.default_rng(3)
    prior, apart, centre = np.diag(WIDE**-2.0), np.diag(APART**-2.0), CENTRE + rng.normal(0, 1, 5)
    told = []
    for records in (7, 3, 0):
        design = rng.normal(0, 3, (records, 5))
        told.append((design.T @ design, design.T @ rng.normal(0, 5, records)))
    covariance = np.array([np.linalg.inv(h + apart) for h, _ in told])
    own = np.array([c @ (b + apart @ centre) for c, (_, b) in zip(covariance, told, strict=True)])
    found, spread = common_of(own, covariance, centre)
    whole, right = np.zeros((20, 20)), np.zeros(20)
    whole[:5, :5], right[:5] = prior + 3 * apart, prior @ CENTRE
    for k, (h, b) in enumerate(told):
        at = slice(5 * (k + 1), 5 * (k + 2))
        whole[at, at], right[at] = h + apart, b
        whole[:5, at] = whole[at, :5] = -apart
    joint = np.linalg.inv(whole)
    np.testing.assert_allclose(found, (joint @ right)[:5], rtol=1e-8)
    np.testing.assert_allclose(spread, joint[:5, :5], rtol=1e-8)

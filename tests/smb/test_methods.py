"""Balance methods: closed forms, scikit-learn, known truth, honest intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

from facies_xr import folds, metrics
from facies_xr.smb import judge
from facies_xr.smb.methods.censored import bent, class_of
from facies_xr.smb.methods.named import METHODS
from facies_xr.smb.methods.per_glacier import PerGlacier
from facies_xr.smb.methods.pooled import Pooled, PooledFit
from facies_xr.smb.methods.ridge import Line, Ridge
from facies_xr.smb.problem import REQUIRED

from .tables import fitted, predicted, problem_of, rows_of

ONLY = ("snow_fraction",)


def test_ridge_recovers_the_coefficients():
    line = fitted(Ridge(), rows_of(40, 10, noise=0.01)).line
    np.testing.assert_allclose(line.weights[1:] / line.standard.spread, [2.5, -0.4, 1.0], atol=0.15)


def test_ridge_is_scikit_learns():
    from sklearn.linear_model import Ridge as Reference

    rows = rows_of()
    model = fitted(Line(3.0), rows)
    other = Reference(alpha=3.0).fit(model.standard(model.design), rows.observed)
    np.testing.assert_allclose(model.weights, [other.intercept_, *other.coef_], rtol=1e-10)


def test_a_ridges_strength_is_that_of_the_smallest_error_on_other_glaciers():
    """With many records of a strong relation the strength must not matter; with pure noise it must be large."""
    rows = rows_of(40, 10, noise=0.05)
    assert fitted(Ridge(), rows).strength < 10
    rng = np.random.default_rng(0)
    assert fitted(Ridge(), rows.assign(observed=rng.normal(size=len(rows)))).strength >= 100


def test_a_line_for_each_glacier_is_scipys():
    rows = rows_of(3, 9, slope=1.0)
    rows = rows.drop(rows.index[rows.glacier == "g0-2"][3:])  # three records are too few
    found, low, high = predicted(fitted(PerGlacier(0.0), rows), rows)
    for glacier in ("g0-0", "g0-1"):
        own = (rows.glacier == glacier).to_numpy()
        line = linregress(rows.snow_fraction[own], rows.observed[own])
        np.testing.assert_allclose(found[own], line.intercept + line.slope * rows.snow_fraction[own])
    assert np.isnan(found[(rows.glacier == "g0-2").to_numpy()]).all()
    known = np.isfinite(found)
    assert (low[known] < found[known]).all()
    assert (found[known] < high[known]).all()


def test_the_interval_of_a_line_is_the_textbooks():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [1.1, 1.9, 3.2, 3.8, 5.1]
    rows = pd.DataFrame({"glacier": "g", "balance_year": range(5), "snow_fraction": x, "observed": y})
    _, low, high = predicted(fitted(PerGlacier(0.0), rows, ONLY), rows.assign(snow_fraction=6.0), ONLY)
    # slope 0.99, intercept 0.05, s^2 = 0.107 / 3, t(3, .975) = 3.18245, by hand
    half = 3.18245 * np.sqrt(0.107 / 3 * (1 + 1 / 5 + 9 / 10))
    assert low[0] == pytest.approx(5.99 - half, abs=1e-4)
    assert high[0] == pytest.approx(5.99 + half, abs=1e-4)


def test_a_ridge_line_for_each_glacier_is_scikit_learns():
    from sklearn.linear_model import Ridge as Reference

    rows = rows_of(3, 9, slope=1.0)
    found = predicted(fitted(PerGlacier(2.0), rows), rows).mean
    for _, of_glacier in rows.groupby("glacier"):
        x = (of_glacier[["snow_fraction"]] - of_glacier.snow_fraction.mean()) / of_glacier.snow_fraction.std(ddof=0)
        line = Reference(alpha=2.0).fit(x, of_glacier.observed)
        np.testing.assert_allclose(found[of_glacier.index], line.predict(x))


def test_four_records_of_a_glacier_are_enough_to_leave_one_out():
    """The protocol of the paper: two glaciers, four and five years, nine records judged; three records are too few."""
    rows = rows_of(3, 5, noise=0.05)
    rows = rows.drop(index=[0, 10, 11]).reset_index(drop=True)
    problem = problem_of(rows, ONLY)
    mean = judge.out_of_fold(problem, METHODS["eq3"], folds.splits(folds.by_group(problem.balance_year, 9))).mean
    assert np.isfinite(mean).tolist() == [True] * 9 + [False] * 3
    # A line through three noisy points may be anything; the ridge's is not.
    noisy = problem_of(rows_of(40, 4, noise=1.0, seed=2), ONLY)
    splits = list(folds.splits(folds.by_group(noisy.balance_year, 4)))
    rmse = {
        name: np.sqrt(np.nanmean((judge.out_of_fold(noisy, method, splits).mean - noisy.observed) ** 2))
        for name, method in (("ridge", PerGlacier()), ("line", PerGlacier(0.0)))
    }
    assert rmse["ridge"] < 0.95 * rmse["line"]


def test_pooled_is_the_gaussian_that_it_says():
    """Against the dense covariance of the records: the mean of a conditional normal, and the likelihood."""
    rows, spread = rows_of(5, 6, glacier=0.5, year=0.3), np.array([2.0, 1.5, 0.5, 0.8])
    model = PooledFit(problem_of(rows, REQUIRED), (2.0, 0.7, 0.3, 0.4), tuple(spread))
    new = rows_of(2, 6, seed=3).assign(glacier=["g0-1"] * 6 + ["new"] * 6)

    def covariance(a, b):
        x, z = (model.standard(bent(table[list(REQUIRED)].to_numpy())) for table in (a, b))
        same = (a.glacier.to_numpy()[:, None] == b.glacier.to_numpy()).astype(float)
        year = (a.balance_year.to_numpy()[:, None] == b.balance_year.to_numpy()).astype(float)
        return 1e8 + 2.0 * x @ z.T + same * (0.7 + 0.3 * np.outer(x[:, 0], z[:, 0])) + 0.4 * year

    own, of_new = (spread[np.digitize(table.snow_fraction, [0.005, 0.3, 0.7])] for table in (rows, new))
    k = covariance(rows, rows) + np.diag(own)
    y = rows.observed.to_numpy()
    mean, low, high = predicted(model, new, REQUIRED)
    np.testing.assert_allclose(mean, covariance(new, rows) @ np.linalg.solve(k, y), atol=1e-4)
    noise = y @ np.linalg.solve(k, y) / (len(y) - 1)
    variance = np.diag(covariance(new, new) - covariance(new, rows) @ np.linalg.solve(k, covariance(rows, new)))
    degrees = np.where(new.glacier == "new", 4, 29)
    expected = 2 * student.ppf(0.975, degrees) * np.sqrt(noise * (variance + of_new))
    np.testing.assert_allclose(high - low, expected, rtol=1e-3)
    # Differences of the likelihood between two ratios, the variance of e profiled out.
    other = PooledFit(problem_of(rows, REQUIRED), (2.0, 0.7, 0.3, 4.0), tuple(spread))

    def dense(ratio):
        full = k + (ratio - 0.4) * (rows.balance_year.to_numpy()[:, None] == rows.balance_year.to_numpy())
        scale = y @ np.linalg.solve(full, y) / (len(y) - 1)
        minus_two_log_density = np.linalg.slogdet(scale * full)[1] + y @ np.linalg.solve(scale * full, y)
        return minus_two_log_density - np.log(scale)  # the free intercept takes one degree of freedom

    found = [m.minus_two_log_likelihood(m.ratios) for m in (model, other)]
    assert found[1] - found[0] == pytest.approx(dense(4.0) - dense(0.4), abs=1e-3)


def test_pooled_finds_the_variances():
    model = fitted(Pooled(), rows_of(60, 12, noise=0.3, glacier=0.6, year=0.45)).fitted((True, True))
    spread = np.array(model.spread)[class_of(model.records.design)]
    noise = np.sqrt(model.posterior[2] * spread.mean())
    assert noise == pytest.approx(0.3, rel=0.1)
    assert np.sqrt(model.ratios[1]) * noise == pytest.approx(0.6, rel=0.25)
    drawn = np.random.default_rng(77).normal(0, 0.45, 12)
    assert np.sqrt(model.ratios[3]) * noise == pytest.approx(drawn.std(), rel=0.35)
    none = fitted(Pooled(), rows_of(60, 12, noise=0.3)).fitted((True, True))
    assert max(none.ratios[1], none.ratios[3]) < 0.05


def test_a_glacier_with_two_records_borrows_strength():
    """Its next year: better than all glaciers' line, and better than what two records alone could tell."""
    errors = {name: [] for name in ("eq2", "pooled", "own mean")}
    for seed in range(6):
        rows = rows_of(20, 8, noise=0.2, seed=seed, glacier=0.7)
        few = rows.groupby("glacier").head(2)
        later = rows.drop(few.index).groupby("glacier").tail(1)
        for name in ("eq2", "pooled"):
            errors[name] += list(predicted(fitted(METHODS[name], few), later).mean - later.observed)
        own = few.groupby("glacier")["observed"].mean()
        errors["own mean"] += list(own.loc[later.glacier].to_numpy() - later.observed)
    rmse = {name: np.sqrt(np.mean(np.square(e))) for name, e in errors.items()}
    assert rmse["pooled"] < 0.75 * min(rmse["eq2"], rmse["own mean"])


@pytest.mark.parametrize("method", ["eq2", "pooled"])
def test_intervals_cover_glaciers_that_nobody_measured(method):
    covered = []
    for seed in range(16):
        rows, new = (rows_of(n, 6, noise=0.3, seed=s, glacier=0.3) for n, s in ((9, seed), (30, 1000 + seed)))
        _, low, high = predicted(fitted(METHODS[method], rows), new)
        covered.append(((new.observed >= low) & (new.observed <= high)).mean())
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("method", ["eq3", "pooled"])
def test_intervals_cover_further_years_of_glaciers_with_records(method):
    covered = []
    for seed in range(16):
        rows = rows_of(12, 12, noise=0.3, seed=seed, glacier=0.5, slope=0.4)
        past, later = rows[rows.balance_year < 2017], rows[rows.balance_year >= 2017]
        _, low, high = predicted(fitted(METHODS[method], past), later)
        covered.append(((later.observed >= low) & (later.observed <= high)).mean())
    assert 0.91 <= np.mean(covered) <= 0.99


def test_on_real_accumulation_areas_pooling_is_the_best(fog):
    """WGMS records since 2000: what the package's default rests on (examples/wgms.py prints the table)."""
    rows = fog.rename(columns={"accumulation_area_ratio": "snow_fraction", "balance": "observed"})
    rows = rows[(rows.balance_year >= 2000) & rows.snow_fraction.between(0, 1)].reset_index(drop=True)
    problem, found = problem_of(rows, ONLY), {}
    for name in ("eq2", "pooled"):
        mean, low, high = judge.out_of_fold(problem, METHODS[name], folds.splits(problem.balance_year % 4))
        inside = (problem.observed >= low) & (problem.observed <= high)
        found[name] = metrics.regression(problem.observed, mean)["rmse"], inside.mean()
    assert found["pooled"][0] < found["eq2"][0] < 0.65
    assert all(0.91 <= covered <= 0.98 for _, covered in found.values())


@pytest.mark.parametrize("method", ["eq2", "pooled"])
def test_a_predictor_that_never_varies(method):
    """Its spread is rounding noise; nothing may be divided by it."""
    rows = rows_of(4, 7).assign(snow_line_relative=0.1 + 0.2, snow_fraction=0.1)
    found = predicted(fitted(METHODS[method], rows, REQUIRED), rows.assign(snow_fraction=0.11), REQUIRED).mean
    assert np.abs(found).max() < 5


def test_a_line_needs_snow_that_varies():
    rows = rows_of(2, 6).assign(snow_fraction=0.1 + 0.2)
    assert np.isnan(predicted(fitted(PerGlacier(), rows), rows).mean).all()


def test_an_interval_depends_on_its_own_row_only():
    fit, new = fitted(Ridge(), rows_of()), rows_of(5, 6, seed=4)
    whole, one = predicted(fit, new), predicted(fit, new.iloc[[7]])
    np.testing.assert_allclose(np.array(one)[:, 0], np.array(whole)[:, 7], atol=1e-12)


def test_balances_that_never_vary():
    rows = rows_of().assign(observed=-0.5)
    np.testing.assert_allclose(predicted(fitted(Pooled(), rows), rows).mean, -0.5, atol=1e-6)

"""Regressions: closed forms, scikit-learn, known truth, honest intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, multivariate_normal

from facies_xr import metrics
from facies_xr.errors import InputError
from facies_xr.smb import models
from facies_xr.smb.fitted import Fit

SHORT = ("snow_fraction", "snow_line_relative")


def rows_of(n_glaciers=10, n_years=7, *, noise=0.2, seed=0, glacier=0.0, slope=0.0, year=0.0):
    """Predictors, and balances that follow Eq. 2, with what is particular to glaciers and years, plus noise."""
    rng = np.random.default_rng(seed)
    g, y = np.divmod(np.arange(n_glaciers * n_years), n_years)
    snow = rng.uniform(0, 1, g.size)
    line = -0.5 + 0.9 * (1 - snow) + rng.normal(0, 0.05, g.size)
    bright = 0.3 + 0.3 * snow + rng.normal(0, 0.05, g.size)
    balance = -1.6 + 2.5 * snow - 0.4 * line + 1.0 * bright + rng.normal(0, noise, g.size)
    balance += rng.normal(0, glacier, n_glaciers)[g] + rng.normal(0, slope, n_glaciers)[g] * (snow - 0.5)
    balance += np.random.default_rng(77).normal(0, year, n_years)[y]
    return pd.DataFrame(
        {
            "glacier": [f"g{seed}-{k}" for k in g],
            "balance_year": 2010 + y,
            "snow_fraction": snow,
            "snow_line_relative": line,
            "albedo": bright,
            "observed": balance,
            "flags": 0,
        }
    )


def test_ridge_recovers_the_coefficients():
    model = models.Ridge.fit(rows_of(40, 10, noise=0.01))
    np.testing.assert_allclose(model.weights[1:] / model.standard.spread, [2.5, -0.4, 1.0], atol=0.15)


def test_ridge_is_scikit_learns():
    from sklearn.linear_model import Ridge

    rows = rows_of()
    model = models.Ridge.with_strength(rows, models.PREDICTORS, 3.0)
    other = Ridge(alpha=3.0).fit(model.standard(rows), rows.observed)
    np.testing.assert_allclose(model.weights, [other.intercept_, *other.coef_], rtol=1e-10)


def test_a_ridges_strength_is_that_of_the_smallest_error_on_other_glaciers():
    """With many records of a strong relation the strength must not matter; with pure noise it must be large."""
    rows = rows_of(40, 10, noise=0.05)
    assert models.Ridge.fit(rows).strength < 10
    rng = np.random.default_rng(0)
    assert models.Ridge.fit(rows.assign(observed=rng.normal(size=len(rows)))).strength >= 100


def test_a_line_for_each_glacier_is_scipys():
    rows = rows_of(3, 9, slope=1.0)
    rows = rows.drop(rows.index[rows.glacier == "g0-2"][3:])  # three records are too few
    model = models.PerGlacier.fit(rows)
    found, (low, high) = model.predict(rows), model.interval(rows)
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
    low, high = models.PerGlacier.fit(rows).interval(rows.assign(snow_fraction=6.0))
    # slope 0.99, intercept 0.05, s^2 = 0.107 / 3, t(3, .975) = 3.18245, by hand
    half = 3.18245 * np.sqrt(0.107 / 3 * (1 + 1 / 5 + 9 / 10))
    assert low[0] == pytest.approx(5.99 - half, abs=1e-4)
    assert high[0] == pytest.approx(5.99 + half, abs=1e-4)


def test_pooled_is_the_gaussian_that_it_says():
    """Against the dense covariance of the records: the mean of a conditional normal, and the likelihood."""
    rows = rows_of(5, 6, glacier=0.5, year=0.3)
    model = models.Pooled.restored(rows, SHORT, {"ratios": [2.0, 0.7, 0.3, 0.4]})
    new = rows_of(2, 6, seed=3).assign(glacier=["g0-1"] * 6 + ["new"] * 6)

    def covariance(a, b):
        x, z = model.standard(a), model.standard(b)
        same = (a.glacier.to_numpy()[:, None] == b.glacier.to_numpy()).astype(float)
        year = (a.balance_year.to_numpy()[:, None] == b.balance_year.to_numpy()).astype(float)
        return 1e8 + 2.0 * x @ z.T + same * (0.7 + 0.3 * np.outer(x[:, 0], z[:, 0])) + 0.4 * year

    k = covariance(rows, rows) + np.eye(len(rows))
    y = rows.observed.to_numpy()
    np.testing.assert_allclose(model.predict(new), covariance(new, rows) @ np.linalg.solve(k, y), atol=1e-4)
    noise = y @ np.linalg.solve(k, y) / (len(y) - 1)
    variance = np.diag(covariance(new, new) - covariance(new, rows) @ np.linalg.solve(k, covariance(rows, new)))
    low, high = model.interval(new)
    degrees = np.where(new.glacier == "new", 4, 29)
    expected = 2 * models.student.ppf(0.975, degrees) * np.sqrt(noise * (variance + 1))
    np.testing.assert_allclose(high - low, expected, rtol=1e-3)
    # Differences of the likelihood between two ratios, the variance of e profiled out.
    other = models.Pooled.restored(rows, SHORT, {"ratios": [2.0, 0.7, 0.3, 4.0]})

    def dense(ratio):
        full = k + (ratio - 0.4) * (rows.balance_year.to_numpy()[:, None] == rows.balance_year.to_numpy())
        scale = y @ np.linalg.solve(full, y) / (len(y) - 1)
        density = multivariate_normal(np.zeros(len(y)), scale * full, allow_singular=False).logpdf(y)
        return -2 * density - np.log(scale)  # the free intercept takes one degree of freedom

    found = [m._minus_two_log_likelihood(m.ratios) for m in (model, other)]
    assert found[1] - found[0] == pytest.approx(dense(4.0) - dense(0.4), abs=1e-3)


def test_pooled_finds_the_variances():
    rows = pd.concat([rows_of(60, 12, noise=0.3, glacier=0.6, year=0.45)])
    model = models.Pooled.fit(rows)
    noise = np.sqrt(model._posterior[2])
    assert noise == pytest.approx(0.3, rel=0.1)
    assert np.sqrt(model.ratios[1]) * noise == pytest.approx(0.6, rel=0.25)
    drawn = np.random.default_rng(77).normal(0, 0.45, 12)
    assert np.sqrt(model.ratios[3]) * noise == pytest.approx(drawn.std(), rel=0.35)
    none = models.Pooled.fit(rows_of(60, 12, noise=0.3))
    assert max(none.ratios[1], none.ratios[3]) < 0.05


def test_a_glacier_with_two_records_borrows_strength():
    """Its next year: better than all glaciers' line, and better than what two records alone could tell."""
    errors = {name: [] for name in ("eq2", "pooled", "own mean")}
    for seed in range(6):
        rows = rows_of(20, 8, noise=0.2, seed=seed, glacier=0.7)
        few = rows.groupby("glacier").head(2)
        later = rows.drop(few.index).groupby("glacier").tail(1)
        for name in ("eq2", "pooled"):
            errors[name] += list(models.METHODS[name].fit(few).predict(later) - later.observed)
        own = few.groupby("glacier")["observed"].mean()
        errors["own mean"] += list(own.loc[later.glacier].to_numpy() - later.observed)
    rmse = {name: np.sqrt(np.mean(np.square(e))) for name, e in errors.items()}
    assert rmse["pooled"] < 0.75 * min(rmse["eq2"], rmse["own mean"])


@pytest.mark.parametrize("method", ["eq2", "pooled"])
def test_intervals_cover_glaciers_that_nobody_measured(method):
    covered = []
    for seed in range(16):
        rows, new = (rows_of(n, 6, noise=0.3, seed=s, glacier=0.3) for n, s in ((9, seed), (30, 1000 + seed)))
        low, high = models.METHODS[method].fit(rows).interval(new)
        covered.append(((new.observed >= low) & (new.observed <= high)).mean())
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("method", ["eq3", "pooled"])
def test_intervals_cover_further_years_of_glaciers_with_records(method):
    covered = []
    for seed in range(16):
        rows = rows_of(12, 12, noise=0.3, seed=seed, glacier=0.5, slope=0.4)
        past, later = rows[rows.balance_year < 2017], rows[rows.balance_year >= 2017]
        low, high = models.METHODS[method].fit(past).interval(later)
        covered.append(((later.observed >= low) & (later.observed <= high)).mean())
    assert 0.91 <= np.mean(covered) <= 0.99


def test_on_real_accumulation_areas_pooling_is_the_best(shared):
    """WGMS records since 2000: what the package's default rests on (examples/wgms.py prints the table)."""
    from facies_xr.smb import observations

    records = observations.read(shared / "smb_wgms" / "fog_browser_2024")
    rows = records.rename(columns={"accumulation_area_ratio": "snow_fraction", "balance": "observed"})
    rows = rows[(rows.balance_year >= 2000) & rows.snow_fraction.between(0, 1)].reset_index(drop=True)
    years = rows.balance_year.to_numpy() % 4
    found = {}
    for name in ("eq2", "pooled"):
        out, inside = np.empty(len(rows)), np.empty(len(rows), bool)
        for k in range(4):
            test = years == k
            model = models.METHODS[name].fit(rows[~test], ("snow_fraction",))
            low, high = model.interval(rows[test])
            out[test] = model.predict(rows[test])
            inside[test] = (rows.observed[test] >= low) & (rows.observed[test] <= high)
        found[name] = metrics.regression(rows.observed.to_numpy(), out)["rmse"], inside.mean()
    assert found["pooled"][0] < found["eq2"][0] < 0.65
    assert all(0.91 <= covered <= 0.98 for _, covered in found.values())


# -- fits that are kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", models.METHODS)
def test_a_fit_is_the_same_after_a_file(method, tmp_path):
    rows = rows_of(glacier=0.4, year=0.3)
    rows.loc[::3, "albedo"] = np.nan
    fit = Fit.of(rows, method)
    again = Fit.load(fit.save(tmp_path / "fit.json"))
    new = pd.concat([rows_of(3, 7, seed=5), rows])
    np.testing.assert_allclose(again.predict(new), fit.predict(new), atol=1e-9)
    np.testing.assert_allclose(again.interval(new), fit.interval(new), atol=1e-9)


def test_rows_without_albedo_are_predicted_without_it():
    rows = rows_of()
    rows.loc[::3, "albedo"] = np.nan
    fit = Fit.of(rows, "eq2")
    found, without = fit.predict(rows), rows.albedo.isna().to_numpy()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[without], fit.short.predict(rows[without]))
    rows.loc[4, "snow_fraction"] = np.nan
    assert np.isnan(fit.predict(rows)[4])
    assert np.isnan(fit.interval(rows)[:, 4]).all()


@pytest.mark.parametrize(
    ("text", "match"),
    [("{", "not a fit"), ('{"format": "another"}', "its format is 'another'"), ("[]", "not a fit")],
)
def test_what_is_not_a_fit_is_refused(tmp_path, text, match):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(InputError, match=match):
        Fit.load(tmp_path / "fit.json")
    with pytest.raises(InputError, match="no such file"):
        Fit.load(tmp_path / "nothing.json")


# -- what a review found ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["eq2", "pooled"])
def test_a_predictor_that_never_varies(method):
    """Its spread is rounding noise; nothing may be divided by it."""
    rows = rows_of(4, 7).assign(snow_line_relative=0.1 + 0.2, snow_fraction=0.1)
    found = models.METHODS[method].fit(rows, SHORT).predict(rows.assign(snow_fraction=0.11))
    assert np.abs(found).max() < 5


def test_a_line_needs_snow_that_varies():
    rows = rows_of(2, 6).assign(snow_fraction=0.1 + 0.2)
    assert np.isnan(models.PerGlacier.fit(rows).predict(rows)).all()


def test_an_interval_depends_on_its_own_row_only():
    fit, new = models.Ridge.fit(rows_of()), rows_of(5, 6, seed=4)
    whole = fit.interval(new)
    np.testing.assert_allclose(fit.interval(new.iloc[[7]])[:, 0], whole[:, 7], atol=1e-12)


def test_albedo_of_one_glacier_is_not_enough():
    rows = rows_of(3, 25)
    rows.loc[rows.glacier != "g0-1", "albedo"] = np.nan
    fit = Fit.of(rows, "eq2")
    assert fit.full is None
    assert np.isfinite(fit.interval(rows)).all()


def test_balances_that_never_vary():
    rows = rows_of().assign(observed=-0.5)
    np.testing.assert_allclose(models.Pooled.fit(rows).predict(rows), -0.5, atol=1e-6)


def test_ratios_that_cannot_be_are_refused(tmp_path):
    text = Fit.of(rows_of(), "pooled").to_json()
    import json

    broken = json.loads(text)
    broken["short"]["ratios"][0] = -1
    (tmp_path / "fit.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="not positive"):
        Fit.load(tmp_path / "fit.json")
    with pytest.raises(InputError, match="no such file"):
        Fit.load(text)
    with pytest.raises(InputError, match="no such file"):
        Fit.load(5)

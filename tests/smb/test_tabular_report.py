"""The nested evaluation of tables: what is chosen is chosen inside, what is scored is what it says."""

import json
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import Ridge

from facies_xr.errors import InputError
from facies_xr.smb import judge
from facies_xr.smb.features.variables import MONTHS
from facies_xr.smb.methods.base import Prediction
from facies_xr.smb.methods.tabular import protocol
from facies_xr.smb.methods.tabular.ablations import ablations, variants
from facies_xr.smb.methods.tabular.baselines import DAYS, DegreeDays, Estimated, baselines
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.methods.tabular.report import evaluate, stability
from facies_xr.smb.methods.tabular.scores import by_glacier, crps, groups_of, paired, scores
from facies_xr.smb.methods.tabular.search import SPACE, settings
from facies_xr.smb.methods.yardsticks import GlacierMean, RecordsMean

from .tabular import problem_of, table_of

NETWORK = FeedForward(Settings((6,), rate=1e-2, epochs=60, patience=30), k=3, members=2, trees=0)
FAMILIES = {
    "training mean": RecordsMean(), "glacier mean": GlacierMean(),
    "ridge": {f"k={k}": Estimated(Ridge(), k, trees=0) for k in (1, 4)},
    "network": {"fast": NETWORK, "still": NETWORK.with_(rate=0.0)},
}  # fmt: skip


def test_crps_is_the_integral_that_defines_it():
    for o, m, s in ((0.3, 0.0, 0.5), (-1.0, 0.2, 0.1), (0.0, 0.0, 2.0)):
        below = quad(lambda x, m=m, s=s: norm.cdf(x, m, s) ** 2, -20, o)[0]
        integral = below + quad(lambda x, m=m, s=s: norm.sf(x, m, s) ** 2, o, 20)[0]
        assert crps(np.array([o]), np.array([m]), np.array([s]))[0] == pytest.approx(integral, abs=1e-6)
    np.testing.assert_allclose(crps(np.array([0.3]), np.array([-0.2]), np.zeros(1)), 0.5)


def test_scores_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    problem = problem_of(table_of(12, 20))
    o = problem.observed
    mean, sigma = o + rng.normal(0, 0.3, o.size), 0.3
    found = scores(problem, Prediction(mean, mean - 1.96 * sigma, mean + 1.96 * sigma))
    assert found["rmse"] == pytest.approx(np.sqrt(((mean - o) ** 2).mean()))
    assert found["rmse_lower"] < found["rmse"] < found["rmse_upper"]
    assert found["r2_lower"] < found["r2"] < found["r2_upper"]
    assert found["within_interval"] == pytest.approx(0.95, abs=0.04)
    assert found["within_90"] == pytest.approx(0.90, abs=0.05)
    assert found["crps"] == pytest.approx(0.3 / np.sqrt(np.pi), rel=0.1)  # of a normal distribution that is right
    tail = o <= np.quantile(o, 0.1)
    assert found["rmse_lowest"] == pytest.approx(np.sqrt(((mean - o)[tail] ** 2).mean()))
    assert found["rmse_positive"] == pytest.approx(np.sqrt(((mean - o)[o > 0] ** 2).mean()))
    level = pd.Series(o).groupby(problem.glacier).transform("mean").to_numpy()
    assert scores(problem, Prediction(level, level, level))["r2_anomalies"] == pytest.approx(0)
    assert by_glacier(problem, Prediction(o + 1, o, o))["g3"] == {"n": 20, "rmse": 1.0, "bias": 1.0}


def test_intervals_are_of_glaciers_where_there_are_enough_then_of_years():
    names = [groups_of(problem_of(table_of(*size)), np.ones(size[0] * size[1], bool))[0]
             for size in ((9, 3), (2, 30), (3, 3))]  # fmt: skip
    assert names == ["glacier", "balance_year", "row"]
    problem = problem_of(table_of(10, 30))
    off = (problem.glacier == "g0") * 2.0  # one glacier has all of the error, so draws of glaciers differ much
    found = scores(problem, Prediction(problem.observed + off, *np.full((2, 300), np.nan)))
    assert found["rmse_lower"] == 0
    assert found["rmse_upper"] > 1.5 * found["rmse"]


def test_pairs_tell_a_better_method_from_the_same_one():
    problem, rng = problem_of(table_of(12, 20)), np.random.default_rng(0)
    o, nothing = problem.observed, np.full(240, np.nan)
    good, bad = (Prediction(o + rng.normal(0, s, o.size), nothing, nothing) for s in (0.2, 0.4))
    found = paired(problem, good, bad)
    assert found["upper"] < 0
    assert found["rmse_difference"] == pytest.approx(-0.2, abs=0.05)
    assert found["p"] < 0.01
    alike = Prediction(o + rng.normal(0, 0.2, o.size), nothing, nothing)
    assert paired(problem, good, alike)["p"] > 0.05
    assert paired(problem, good, good)["p"] == 1


@pytest.mark.parametrize("scheme", protocol.SCHEMES)
def test_settings_are_chosen_on_training_rows_in_groups(scheme):
    problem = problem_of(table_of(7, 24))
    for train, test in protocol.outer(problem, scheme):
        for fit, check in protocol.inner(problem, train, scheme):
            assert not set(fit) & set(check)
            assert set(fit) | set(check) <= set(train) - set(test)
            if "glacier" in scheme:
                assert not set(problem.glacier[fit]) & set(problem.glacier[check])
            if "block" in scheme:
                assert np.abs(problem.balance_year[fit][:, None] - problem.balance_year[check]).min() >= 2
    two = problem_of(table_of(2, 24))
    train, _ = protocol.outer(two, "glacier")[0]
    for fit, check in protocol.inner(two, train, "glacier"):  # one glacier is left: its years are split
        assert np.abs(two.balance_year[fit][:, None] - two.balance_year[check]).min() >= 2


def test_a_held_out_target_changes_neither_what_is_chosen_nor_what_is_said():
    """T2, nested: of one fold of glaciers the records are moved by 5 m w.e."""
    rows = table_of(6, 8)
    problem = problem_of(rows)
    splits = protocol.outer(problem, "glacier")
    test = splits[0][1]
    moved = problem_of(rows.assign(observed=rows.observed + 5.0 * np.isin(np.arange(len(rows)), test)))
    one, other = (evaluate(p, FAMILIES, ("glacier",)) for p in (problem, moved))
    for name in ("ridge", "network"):
        assert one["chosen"]["glacier"][name][0] == other["chosen"]["glacier"][name][0]
        a, b = (np.array(r["predictions"]["glacier"][name][0])[test] for r in (one, other))
        np.testing.assert_array_equal(a, b)
    assert one["chosen"]["glacier"]["network"] == ["fast"] * 6
    assert one["chosen"]["glacier"]["ridge"] == ["k=4"] * 6
    assert one["made_of"] != other["made_of"]


def test_the_report_holds_what_is_needed_to_make_it_again(tmp_path):
    problem = problem_of(table_of(8, 24).assign(albedo_summer=0.4))
    report = evaluate(problem, FAMILIES, ("random", "block"), reference="training mean", out=tmp_path / "r.json")
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved == report
    assert set(saved["versions"]) == {"python", "facies_xr", "numpy", "pandas", "scikit-learn", "scipy", "torch"}
    tested = np.sort(np.concatenate(saved["folds"]["block"]))
    np.testing.assert_array_equal(tested, np.arange(len(problem)))
    table = pd.DataFrame(saved["scores"]).set_index(["left out", "method"])
    assert table.loc[("block", "ridge"), "skill"] > 0.5
    assert table.loc[("block", "glacier mean"), "skill"] == 0
    pairs = pd.DataFrame(saved["paired"]).set_index(["left out", "method"])
    assert pairs.loc[("block", "ridge"), "upper"] < 0
    assert set(saved["stability"]["block"]) <= set(problem.predictors)
    assert saved["stability"]["block"]["t0"] == saved["stability"]["block"]["t1"] == 1
    assert set(saved["by_glacier"]["block"]["ridge"]) == {f"g{k}" for k in range(8)}
    predictions = Prediction(*(np.array(part, float) for part in saved["predictions"]["block"]["ridge"]))
    assert scores(problem, predictions)["rmse"] == pytest.approx(table.loc[("block", "ridge"), "rmse"])


@dataclass(frozen=True)
class Counting:
    """A mean that counts how often it is fitted."""

    fits: list = field(default_factory=list, repr=False)

    def fit(self, problem, rows):
        self.fits.append(rows)
        return RecordsMean().fit(problem, rows)


def test_a_report_that_was_begun_goes_on(tmp_path):
    problem, method, out = problem_of(table_of()), Counting(), tmp_path / "report.json"
    evaluate(problem, {"mean": method}, ("glacier",), out=out)
    assert len(method.fits) == 8
    again = evaluate(problem, {"mean": method, "glacier mean": GlacierMean()}, ("glacier", "random"), out=out)
    assert len(method.fits) == 8 + 8 + 5  # other schemes are another protocol, and judged anew
    evaluate(problem, {"mean": method, "ridge": Estimated(Ridge())}, ("glacier", "random"), out=out)
    assert len(method.fits) == 8 + 8 + 5
    assert {row["method"] for row in again["scores"]} == {"mean", "glacier mean"}
    evaluate(problem.take(np.arange(40)), {"mean": method}, ("glacier",), out=out)
    assert len(method.fits) == 8 + 8 + 5 + 5
    out.write_text("[]")
    with pytest.raises(InputError, match="is not a report of evaluate"):
        evaluate(problem, {"mean": method}, ("glacier",), out=out)


def test_frozen_glaciers_are_judged_once_and_change_nothing_else():
    rows = table_of(10, 8)
    problem, listed = protocol.freeze(problem_of(rows))
    moved = problem_of(rows.assign(observed=rows.observed + 2.0 * rows.glacier.isin(listed["glaciers"])))
    one, other = (evaluate(p, FAMILIES, ("glacier",)) for p in (problem, protocol.frozen(moved, listed)))
    held = np.isin(rows.glacier, listed["glaciers"])
    assert one["test_glaciers"] == listed["glaciers"]
    for name in FAMILIES:
        a, b = (r["predictions"]["glacier"][name][0] for r in (one, other))
        assert a == b
        np.testing.assert_array_equal([v is None for v in a], held)
        assert one["predictions"]["test glaciers"][name] == other["predictions"]["test glaciers"][name]
    last = [row for row in one["scores"] if row["left out"] == "test glaciers"]
    assert {row["n"] for row in last} == {held.sum()}


def test_folds_of_ones_own_may_not_split_a_glacier():
    problem = problem_of(table_of(6, 8))
    own = np.repeat([0, 1, 2], 16)
    report = evaluate(problem, {"mean": RecordsMean()}, (), fold=own)
    assert [len(test) for test in report["folds"]["given"]] == [16, 16, 16]
    with pytest.raises(InputError, match="glacier 'g0' is among the training rows and the test rows"):
        evaluate(problem, {"mean": RecordsMean()}, (), fold=np.arange(48) % 2)
    with pytest.raises(InputError, match="all rows are in one fold"):
        protocol.given(problem, np.zeros(48))


def test_the_space_holds_small_networks_and_strategies_where_there_is_an_albedo():
    problem = problem_of(table_of())
    found = settings(problem, NETWORK, 30)
    assert len(found) == 32
    assert next(iter(found.values())).settings.hidden == (40, 20, 10, 5)
    assert {m.strategy for m in found.values()} == {"A"}
    assert {m.settings.hidden for m in found.values()} == set(SPACE["hidden"])
    assert all(m.members == 2 and m.settings.epochs == 60 for m in found.values())
    names = (*problem.predictors, "albedo_summer")
    albedo = replace(problem, rows=problem.rows.assign(albedo_summer=0.4), predictors=names)
    assert {m.strategy for m in settings(albedo, NETWORK, 30).values()} == {"A", "B"}
    assert list(settings(problem, NETWORK, 5)) == list(settings(problem, NETWORK, 5))


def test_stability_is_the_share_of_folds():
    rows = table_of(8, 8)
    rng = np.random.default_rng(0)
    rows["t5"] = rows.observed + 0.1 * rng.standard_normal(64)  # tells all, but one glacier drowns it
    rows["t5"] = np.where(rows.glacier == "g0", 1000 * rng.standard_normal(64), rows.t5)
    found = stability(problem_of(rows), protocol.outer(problem_of(rows), "glacier"), 1, trees=0)
    assert found["t0"] == pytest.approx(7 / 8)
    assert found["t5"] == pytest.approx(1 / 8)


def climate_table(snow=1.2, melt=0.004, shift=(1.0, 1.0, 1.0)):
    rng = np.random.default_rng(0)
    g, y = np.divmod(np.arange(3 * 15), 15)
    rows = pd.DataFrame({"glacier": [f"g{k}" for k in g], "balance_year": 1990 + y})
    for k, name in enumerate(MONTHS):
        rows[f"t2m_{name}"] = -8 * np.cos(2 * np.pi * (k - 3) / 12) + rng.normal(0, 1.5, len(rows))
        rows[f"tp_{name}"] = rng.gamma(4, 0.001, len(rows))
    drawn = rng.standard_normal((len(rows), 400_000 // len(rows)))
    balance = np.zeros(len(rows))
    for name, days in zip(MONTHS, DAYS, strict=True):
        days_of = rows[f"t2m_{name}"].to_numpy()[:, None] + np.array(shift)[g][:, None] + 4.0 * drawn
        balance += days * rows[f"tp_{name}"].to_numpy() * snow * (days_of < 1).mean(1)
        balance -= days * melt * np.maximum(days_of, 0).mean(1)
    return rows.assign(observed=balance)


def test_a_temperature_index_finds_the_parameters_of_simulated_days():
    problem = problem_of(climate_table())
    fit = DegreeDays().fit(problem, np.arange(45))
    offset, weights = fit.sets[None]
    assert offset == 1.0
    np.testing.assert_allclose(weights, [1.2, 0.004], rtol=0.03)
    assert scores(problem, fit.predict(problem, np.arange(45)))["r2"] > 0.99
    apart = problem_of(climate_table(shift=(-2.0, 0.0, 3.0)))
    own = DegreeDays(own=True).fit(apart, np.arange(45))
    assert [own.sets[g][0] for g in ("g0", "g1", "g2")] == [-2.0, 0.0, 3.0]
    without = DegreeDays(own=True).fit(apart, np.arange(30))
    of_all = DegreeDays().fit(apart, np.arange(30))
    strange = np.arange(30, 45)  # a glacier that it never saw has the parameters of all
    np.testing.assert_array_equal(without.predict(apart, strange).mean, of_all.predict(apart, strange).mean)
    assert {"temperature index", "temperature index, per glacier"} <= set(baselines(problem))
    assert "temperature index" not in baselines(problem_of(table_of()))
    with pytest.raises(InputError, match="needs the column 't2m_oct'"):
        DegreeDays().fit(problem_of(table_of()), np.arange(9))


def test_each_part_of_the_network_is_left_out_in_turn():
    rows = table_of().assign(z_median=3000.0, longitude=10.0, latitude=46.0)
    rows["albedo_summer"] = np.where(rows.balance_year < 2004, np.nan, 0.4)
    names = (*(f"t{k}" for k in range(6)), "z_median", "albedo_summer")
    problem = replace(problem_of(rows), predictors=names, optional=names)
    found = variants(problem, NETWORK)
    assert set(found["with location"].features) - set(names) == {"longitude", "latitude"}
    assert set(names) - set(found["no topography"].features) == {"z_median"}
    assert set(names) - set(found["no albedo"].features) == {"albedo_summer"}
    assert found["strategy B"].strategy == "B"
    assert found["no noise"].settings.sigma == 0 == found["no L1"].settings.l1
    assert found["weights by loss"].settings.gamma > 0
    assert {found[f"k={k}"].k for k in (5,)} == {5}
    with pytest.warns(UserWarning, match="a network can remember a glacier"):
        table, report = ablations(problem, NETWORK, ("glacier",))
    assert set(table.method) == set(found)
    assert table.rmse_difference.isna().sum() == 1
    assert set(report["predictions"]["glacier"]) == set(found)
    with pytest.raises(InputError, match="no column of features"):
        ablations(replace(problem, predictors=()), NETWORK)


def test_a_place_that_stands_for_the_glacier_gains_only_where_rows_are_left_out_at_random():
    """Glaciers have levels of their own, which their place tells and nothing else does."""
    rng, rows = np.random.default_rng(3), table_of(10, 12, signal=0.0, features=2)
    g = rows.glacier.str[1:].astype(int).to_numpy()
    rows = rows.assign(observed=rng.permutation(np.linspace(-1.5, 1.5, 10))[g] + 0.1 * rng.standard_normal(g.size))
    rows = rows.assign(longitude=rng.uniform(5, 15, 10)[g], latitude=rng.uniform(44, 48, 10)[g])
    steep = Settings((16,), rate=3e-2, epochs=300, patience=150, l1=0.0, sigma=0.0)
    base = FeedForward(steep, k=None, members=2, groups="balance_year")
    problem = problem_of(rows)
    place = base.with_(features=(*problem.predictors, "longitude", "latitude"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = evaluate(problem, {"without": base, "with": place}, ("random", "glacier"))
    r2 = {(row["left out"], row["method"]): row["r2"] for row in report["scores"]}
    assert r2["random", "with"] > r2["random", "without"] + 0.4
    assert r2["glacier", "with"] < 0.1


def test_the_network_has_no_skill_on_noise():
    """T1 of the network itself: 109 rows, 271 candidates, selection and stopping inside."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame(rng.standard_normal((109, 271)), columns=[f"t{k}" for k in range(271)])
        rows = rows.assign(glacier=[f"g{k}" for k in rng.integers(0, 10, 109)], balance_year=np.arange(109),
                           observed=rng.standard_normal(109))  # fmt: skip
        problem = problem_of(rows)
        method = FeedForward(Settings(epochs=100, patience=40), k=20, members=2, trees=0)
        out = judge.out_of_fold(problem, method, protocol.outer(problem, "random"))
        found.append(scores(problem, out)["r2"])
    assert np.mean(found) <= 0.05

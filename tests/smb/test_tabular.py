"""FF-FCNN: what must hold of selection, fits and protocol, whatever the scores are."""

import json
import os
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from facies_xr import folds, metrics
from facies_xr.cli import app
from facies_xr.errors import InputError
from facies_xr.smb import judge
from facies_xr.smb.methods.tabular import protocol, report
from facies_xr.smb.methods.tabular import table as tables
from facies_xr.smb.methods.tabular.baselines import DegreeDays, Estimated
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.methods.tabular.scores import scores
from facies_xr.smb.methods.tabular.selection import Selection
from facies_xr.smb.problem import Problem

from .tabular import problem_of, table_of

QUICK = Settings(hidden=(6, 3), rate=1e-2, epochs=60, patience=30)


@pytest.mark.parametrize("leak", [True, False])
def test_selection_outside_the_folds_makes_skill_of_noise(leak):
    """T1: ten tables of pure noise, 109 rows and 271 candidates."""
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((109, 271)), rng.standard_normal(109)
        fold, out = folds.by_group(rng.permutation(109), 5), np.empty(109)
        if leak:
            x = Selection(20, trees=0).fit(x, y).transform(x)
        for train_rows, test in folds.splits(fold):
            model = Ridge() if leak else make_pipeline(Selection(20, trees=0), Ridge())
            out[test] = model.fit(x[train_rows], y[train_rows]).predict(x[test])
        found.append(metrics.regression(y, out)["r2"])
    assert np.mean(found) > 0.1 if leak else np.mean(found) <= 0.05


def test_a_held_out_target_changes_nothing_fitted():
    """T2: features, units and weights."""
    rows = table_of()
    test = np.flatnonzero(rows.glacier == "g3")
    method = FeedForward(QUICK, k=3, members=2, trees=20)
    kept = np.setdiff1d(np.arange(len(rows)), test)
    moved = rows.assign(observed=rows.observed + 5.0 * (rows.glacier == "g3"))
    one, other = (method.fit(problem_of(r), kept).to_dict() for r in (rows, moved))
    assert one == other
    assert method.fit(problem_of(moved), np.arange(len(rows))).to_dict() != one


def test_selection_drops_what_is_empty_constant_or_said_twice():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(60)
    a = y + 0.5 * rng.standard_normal(60)
    x = np.column_stack([a, a + 0.01 * rng.standard_normal(60), np.full(60, np.nan), np.ones(60), rng.random(60)])
    gaps = a.copy()
    gaps[:20] = np.nan
    found = Selection(5, trees=20).fit(np.column_stack([x, gaps]), y)
    assert len(set(found.kept_) & {0, 1}) == 1
    assert not set(found.kept_) & {2, 3, 5}
    with pytest.raises(ValueError, match="none of the 2 columns varies"):
        Selection().fit(x[:, 2:4], y)


def test_frozen_glaciers_are_refused():
    problem = problem_of(table_of(), held_back=frozenset({"g2"}))
    method = FeedForward(QUICK, k=None, members=1)
    with pytest.raises(InputError, match="1 test glaciers are among the rows of a fit, g2 first"):
        method.fit(problem, np.arange(len(problem)))
    with pytest.raises(InputError, match="g2 first"):
        judge.out_of_fold(problem, method, judge.splits(problem, "glacier"))


def test_fits_made_together_are_those_made_alone():
    problem = problem_of(table_of())
    method, splits = FeedForward(QUICK, k=3, members=2, trees=20), judge.splits(problem_of(table_of()), "glacier")
    together = judge.out_of_fold(problem, method, splits)
    for train_rows, test in splits[:2]:
        alone = method.fit(problem, train_rows).predict(problem, test)
        np.testing.assert_allclose(together.mean[test], alone.mean, atol=5e-3)


def test_nested_choice_takes_the_network_that_can_learn():
    problem = problem_of(table_of(noise := 8))
    good = FeedForward(Settings((6,), rate=1e-2, epochs=150), k=None, members=2)
    dull = good.with_(rate=0.0)
    _, chosen = judge.nested(problem, {"dull": dull, "good": good}, folds.nested(problem.glacier, 3, 2))
    assert chosen == ["good"] * 3
    assert noise == 8


def test_strategy_b_fits_rows_with_albedo_only():
    rows = table_of().assign(albedo_summer=lambda t: np.where(t.balance_year < 2004, np.nan, 0.4))
    names = ("t0", "t1", "albedo_summer")
    problem, every = Problem(rows, names, names), np.arange(len(rows))
    b = FeedForward(QUICK, k=None, members=1, strategy="B")
    assert (rows.balance_year[b.of_strategy(problem, every)] >= 2004).all()
    np.testing.assert_array_equal(b.with_(strategy="A").of_strategy(problem, every), every)
    moved = replace_observed(problem, rows.balance_year < 2004)
    assert b.fit(problem, every).to_dict() == b.fit(moved, every).to_dict()


def replace_observed(problem, where):
    rows = problem.rows.assign(observed=problem.rows.observed + 3.0 * where)
    return Problem(rows, problem.predictors, problem.optional)


def test_a_fit_comes_back_from_json():
    problem, method = problem_of(table_of()), FeedForward(QUICK, k=3, members=2, trees=20)
    fit = method.fit(problem, np.arange(len(problem)))
    again = method.from_dict(json.loads(json.dumps(fit.to_dict())))
    np.testing.assert_allclose(again.predict(problem, np.arange(9)), fit.predict(problem, np.arange(9)), atol=1e-5)
    for change in ({"weights": fit.to_dict()["weights"][:1]}, {"spread": [0.0] * 3}, {"activation": "sine"}):
        with pytest.raises(ValueError, match=r"layer|units|activation|argument"):
            method.from_dict({**fit.to_dict(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"smb_error": lambda t: 0.1}, "'smb_error' is made of the balance, by its name"),
        ({"t9": lambda t: 2 * t.observed + 1}, "'t9' is 'observed' under another name"),
        ({"t9": lambda t: np.nan}, "'t9' is empty"),
        ({"balance_year": lambda t: 2000}, "g0 in 2000 twice"),
        ({"observed": lambda t: 1000 * t.observed}, r"is it in mm w\.e\.\?"),
        ({"t2m_jul": lambda t: 275.0 + t.t0}, "'t2m_jul' has a median of 27.*degrees Celsius"),
        ({"tp_jul": lambda t: 120.0 + t.t0}, r"'tp_jul' is 1.*, where 0 to 10\.85 is possible in its unit"),
        (
            {"t_rain": lambda t: np.where(t.glacier == "g2", 900.0, 0.9) + 0.01 * t.t0},
            "'t_rain' of glacier g2 is 9.* in the median, of the others 0.9.*: a thousand times off",
        ),
        ({"observed": lambda t: t.observed / 1000}, r"observed is 0\.00.* m w\.e\. at most, a thousandth"),
        ({"t_Bw": lambda t: t.t0}, "'t_Bw' is made of the balance, by its name"),
        ({"t9": lambda t: np.exp(t.observed)}, "'t9' is 'observed' under another name: their ranks"),
        (
            {"t9": lambda t: t.observed + 3.0 * t.glacier.str[1:].astype(int)},
            "'t9' is 'observed' under another name: their anomalies",
        ),
    ],
)
def test_bad_tables_are_named(change, message):
    rows = table_of().assign(**change)
    names = [name for name in rows if name.startswith(("t", "smb"))]
    with pytest.raises(InputError, match=message):
        tables.problem_of(rows, "observed", "glacier", "balance_year", names)


def test_places_and_balances_are_no_features_unless_asked_for():
    rows = table_of().assign(lat=46.0, lon=10.0, err_dmdtda=0.1)
    problem = tables.problem_of(rows, "observed", "glacier", "balance_year")
    assert problem.predictors == tuple(f"t{k}" for k in range(6))
    with pytest.raises(InputError, match="no column 'name'"):
        tables.problem_of(rows, "observed", "name")
    with pytest.warns(UserWarning, match="lat among the features: a network can remember a glacier by its place"):
        asked = tables.problem_of(rows, "observed", "glacier", "balance_year", ["t0", "lat"])
    assert asked.predictors == ("t0", "lat")


def test_stakes_are_several_rows_a_glacier_and_year():
    rows = table_of(4, 6)
    twice = pd.concat([rows.assign(stake="a"), rows.assign(stake="b", observed=rows.observed - 9.0)])
    with pytest.raises(InputError, match="twice"):
        tables.problem_of(twice, "observed", "glacier", "balance_year")
    assert len(tables.problem_of(twice, "observed", "glacier", "balance_year", site="stake")) == 48
    with pytest.raises(InputError, match="g0 in 2000 at a twice"):
        tables.problem_of(twice.assign(stake="a"), "observed", "glacier", "balance_year", site="stake")


def test_folds_share_no_glacier_and_keep_a_year_of_distance():
    """T9."""
    problem = problem_of(table_of(5, 24))
    for scheme in ("glacier", "block", "glacier and block"):
        splits = protocol.outer(problem, scheme)
        np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(len(problem)))
        for train_rows, test in splits:
            if "glacier" in scheme:
                tables.require_apart(problem, train_rows, test)
            if "block" in scheme:
                away = problem.balance_year[train_rows][:, None] - problem.balance_year[test]
                assert np.abs(away).min() >= 2
    with pytest.raises(InputError, match="3 years make no 6 blocks"):
        protocol.outer(problem_of(table_of(5, 3)), "block")
    with pytest.raises(InputError, match="all rows are of one glacier"):
        protocol.outer(problem_of(table_of(1, 24)), "glacier")


def test_frozen_glaciers_are_known_by_their_hash():
    problem, listed = protocol.freeze(problem_of(table_of(10, 8)))
    assert len(listed["glaciers"]) == 2
    assert protocol.frozen(problem, listed).held_back == problem.held_back == frozenset(listed["glaciers"])
    with pytest.raises(InputError, match="not those that were hashed"):
        protocol.frozen(problem, {**listed, "glaciers": ["g0", "g1"]})
    with pytest.raises(InputError, match="3 glaciers are too few"):
        protocol.freeze(problem_of(table_of(3, 8)))


def test_selection_outside_the_folds_flatters_real_records_and_a_temperature_index_needs_none(shared):
    """T11: Hintereisferner and Vernagtferner, blocks of years left out."""
    table = pd.read_csv(shared / "smb_oetztal_era5land" / "otztal_annual_smb_era5land.csv")
    features = [name for name in table if name.startswith(("t2m_", "tp_"))]
    problem = tables.problem_of(table, "y", "name", "year", features)
    splits = list(folds.splits(problem.balance_year))
    nested = Estimated(make_pipeline(Selection(8, trees=0), Ridge()))
    leaky = Estimated(Ridge())
    chosen = Selection(8, trees=0).fit(problem.design, problem.observed).kept_
    few = problem.using(tuple(problem.predictors[k] for k in chosen))
    r2 = {
        "nested": scores(problem, judge.out_of_fold(problem, nested, splits))["r2"],
        "leaky": scores(few, judge.out_of_fold(few, leaky, splits))["r2"],
        "index": scores(problem, judge.out_of_fold(problem, DegreeDays(), splits))["r2"],
    }
    assert r2["nested"] < r2["leaky"]
    assert r2["index"] > 0.3


@pytest.mark.slow
def test_the_command_line_evaluates_a_table(tmp_path, capsys):
    table_of(4, 12).to_csv(tmp_path / "table.csv", index=False)
    options = [
        "--target",
        "observed",
        "--groups",
        "glacier",
        "--year",
        "balance_year",
        "--epochs",
        "10",
        "--settings",
        "1",
        "--json",
        "--out",
    ]
    app(
        ["smb", "evaluate", str(tmp_path / "table.csv"), *options, str(tmp_path / "report.json")], standalone_mode=False
    )
    found = json.loads((tmp_path / "report.json").read_text())
    assert {row["method"] for row in found["scores"]} >= {"training mean", "ridge", "random forest", "network"}
    assert set(found["folds"]) == set(protocol.SCHEMES)
    assert "r2_anomalies" in capsys.readouterr().out


def test_the_command_line_reads_its_table_once(tmp_path, monkeypatch):
    """The folds of one's own are of the rows that are judged, though the file be a pipe; what is wrong is one error."""
    rows = table_of(4, 12)
    rows.assign(own=np.arange(len(rows)) % 3).to_csv(tmp_path / "table.csv", index=False)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((tmp_path / "table.csv").read_bytes()), daemon=True)
    writer.start()
    seen = {}

    def judged(problem, families, schemes, fold, **rest):
        seen.update(fold=fold, rows=len(problem), features=problem.predictors)
        columns = ("n", "r2", "rmse", "rmse_lower", "rmse_upper", "bias", "r2_anomalies", "crps", "within_90")
        return {"scores": [{"left out": "own", "method": "none", **dict.fromkeys(columns, 0.0)}]}

    monkeypatch.setattr(report, "evaluate", judged)
    command = ["smb", "evaluate", str(pipe), "--target", "observed", "--groups", "glacier", "--year", "balance_year"]
    app([*command, "--fold", "own", "--json"], standalone_mode=False)
    np.testing.assert_array_equal(seen["fold"], np.arange(seen["rows"]) % 3)
    assert "own" not in seen["features"]
    command[2] = str(tmp_path / "table.csv")
    with pytest.raises(InputError, match="no column 'mine' of folds"):
        app([*command, "--fold", "mine"], standalone_mode=False)
    command[2] = str(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"none.csv cannot be read"):
        app(command, standalone_mode=False)

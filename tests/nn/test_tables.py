"""Tables against scikit-learn, by hand, and their intervals against how often they cover."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.nn import figures, tables
from facies_xr.nn.crossval import Outcome
from facies_xr.nn.labels import Samples


def predictions(n=3000, seed=0, accuracy=0.7, classes=8):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    predicted = np.where(rng.random(n) < accuracy, label, rng.integers(0, 8, n))
    return label, predicted, rng.choice([f"g{k}" for k in range(12)], n)


def test_scores_are_those_of_scikit_learn():
    label, predicted, _ = predictions(classes=6)  # two classes are predicted, but have no labels
    found = tables.scores(label, predicted)
    columns = precision_recall_fscore_support(label, predicted, labels=range(6), zero_division=0)
    for name, expected in zip(tables.SCORES, columns, strict=False):
        np.testing.assert_allclose(found[name][list(NAMES[:6])], 100 * expected)
        assert found[name][list(NAMES[6:])].isna().all()
        assert found[name]["average"] == pytest.approx(100 * expected.mean())


def test_groups_and_glaciers_and_confusion():
    label, predicted, glacier = predictions()
    found = tables.by_group(label, predicted, glacier)
    mine = glacier == "g3"
    np.testing.assert_allclose(
        found.loc["g3"][list(tables.SCORES)].to_numpy(float), tables.scores(label[mine], predicted[mine])
    )
    assert found.loc["g3", ("n", "average")] == mine.sum()
    assert found["n"]["ice"].sum() == (label == 0).sum()
    each = tables.glacier_wise(label, predicted, glacier)
    values = each.drop(["mean", "sd"])
    assert each["mean"] == pytest.approx(np.mean(values))
    assert each["sd"] == pytest.approx(np.std(values, ddof=1))
    np.testing.assert_array_equal(tables.confusion(label, predicted), confusion_matrix(label, predicted))


def test_intervals_hold_their_value_and_are_zero_where_nothing_varies():
    label, predicted, glacier = predictions()
    found = tables.intervals(label, predicted, glacier, draws=200)
    pd.testing.assert_series_equal(found["value"], tables.scores(label, predicted), check_names=False)
    assert ((found.lower < found.value) & (found.value < found.upper)).all()
    same = tables.intervals(np.tile(label[:50], 4), np.tile(predicted[:50], 4), np.repeat(list("abcd"), 50), draws=50)
    np.testing.assert_allclose(same.lower, same.upper)  # four glaciers that are alike
    with pytest.raises(InputError, match="at least two, there are 1"):
        tables.intervals(label, predicted, np.zeros(label.size))


def test_intervals_cover_the_truth_when_glaciers_differ():
    """Recall of a class whose chance differs by glacier; 95 % of 20 glaciers, some less for a bootstrap of few."""
    rng = np.random.default_rng(0)
    covered = []
    for k in range(100):
        glacier = np.repeat(np.arange(20), 40)
        chance = rng.beta(4, 2, 20)[glacier]
        label = np.zeros(glacier.size, int)
        predicted = np.where(rng.random(glacier.size) < chance, 0, 1)
        row = tables.intervals(label, predicted, glacier, draws=150, seed=k).loc[("recall", "ice")]
        covered.append(row.lower <= 100 * 4 / 6 <= row.upper)
    assert 0.88 <= np.mean(covered) <= 0.99


def outcome(protocol="published"):
    label, predicted, glacier = predictions(600)
    fold = np.char.replace(glacier, "g", "").astype(int) % 6
    score = np.eye(8, dtype="float32")[predicted]
    pruned = np.zeros((6, 600), bool)
    pruned[:, :60] = True
    if protocol == "nested":
        pruned &= fold != np.arange(6)[:, None]
    samples = Samples(np.zeros((600, 1, 1, 1)), label, glacier, glacier)
    return Outcome(protocol, samples, fold, np.eye(8, dtype="float32")[label], score, score, pruned, [], [])


def test_the_tables_of_an_outcome_start_with_the_unpruned():
    found = outcome()
    region, sensor = np.where(found.fold < 3, "Alps", "Iceland"), np.where(np.arange(600) % 2, "landsat-8", "")
    made = tables.of_outcome(found, region=region, sensor=sensor, draws=20)
    assert next(iter(made)) == "unpruned"
    assert (made["before"]["value"].dropna() == 100).all()
    label, predicted = found.samples.label, found.after.argmax(1)
    pd.testing.assert_series_equal(
        made["pruned"]["value"], tables.scores(label[60:], predicted[60:]), check_names=False
    )
    assert list(made["regions"].index) == ["Alps", "Iceland"]
    assert list(made["sensors"].index) == ["landsat-8"]
    assert made["sensors"].loc["landsat-8", ("n", "average")] == 300
    assert made["pruned labels"].loc["all", "pruned"] == pytest.approx(10)
    nested = tables.of_outcome(outcome("nested"), draws=20)
    assert "pruned" not in nested
    assert nested["pruned labels"].loc["all", "pruned"] == pytest.approx(10)


def test_tables_on_disk_are_those_in_memory(tmp_path):
    made = tables.of_outcome(outcome(), region=np.full(600, "A & B_1"), draws=20)
    written = tables.write(made, tmp_path)
    assert {p.suffix for p in written} == {".csv", ".tex"}
    again = pd.read_csv(tmp_path / "unpruned.csv", index_col=[0, 1])
    np.testing.assert_allclose(again, made["unpruned"], atol=0.01)
    text = (tmp_path / "regions.tex").read_text()
    assert text.count(r"\\") == 2
    assert r"A \& B\_1 & " in text
    assert text.startswith(r"\begin{tabular}{l" + "r" * 36 + "}")
    assert "--" in tables.latex(pd.DataFrame({"f1": [np.nan, 3.2]}))


def test_figures_show_the_numbers():
    made = tables.of_outcome(outcome(), draws=20)
    confidence = np.random.default_rng(0).uniform(0.2, 1, 4000)
    right = np.random.default_rng(1).random(4000) < confidence
    page = figures.page(made, {"calibrated": (confidence, right)})
    bars, matrix, curve = page.axes
    np.testing.assert_allclose([b.get_height() for b in bars.patches], made["unpruned"].loc["f1", "value"])
    assert matrix.texts[0].get_text() == f"{made['unpruned'].loc[('recall', 'ice'), 'value']:.0f}"
    x, y = curve.lines[1].get_data()
    np.testing.assert_allclose(x, y, atol=0.12)
    plt.close(page)

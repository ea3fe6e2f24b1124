"""Pruning against the definition of the confident joint, and against errors that were put in."""

import numpy as np
import pytest

from facies_xr.classes import NAMES, VALUES
from facies_xr.errors import InputError
from facies_xr.nn import confident

pytest.importorskip("cleanlab")


def scored(n, seed, sharpness=3.0):
    """Labels, and scores of a fair model of them."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(NAMES), n)
    logits = rng.normal(size=(n, len(NAMES)))
    logits[np.arange(n), label] += sharpness
    score = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return label, score, rng


def confidently_wrong(label, score):
    """Off-diagonal cells of the confident joint (Northcutt et al. 2021, Eq. 1 and 2), of classes that may be pruned."""
    threshold = np.array([score[label == k, k].mean() for k in range(len(NAMES))])
    above = score >= threshold
    guess = np.where(above, score, -1).argmax(1)
    return np.flatnonzero(above.any(1) & (guess != label) & np.isin(label, confident.FACIES))


@pytest.mark.parametrize("seed", range(4))
def test_issues_are_the_off_diagonal_cells_of_the_confident_joint(seed):
    label, score, rng = scored(2000, seed)
    given = confident.with_errors(label, 0.08, "uniform", rng)
    found, expected = confident.issues(given, score, cap=1), confidently_wrong(given, score)
    assert len(found) > 50
    assert len(np.setxor1d(found, expected)) <= 0.03 * len(expected)  # cleanlab skips samples whose label is its argmax


def test_no_class_loses_more_than_its_cap_and_the_worst_go_first():
    label, score, rng = scored(3000, 0)
    given = confident.with_errors(label, 0.3, "uniform", rng)
    every, some = confident.issues(given, score, cap=1), confident.issues(given, score, cap=0.1)
    assert set(some) < set(every)
    own = score[np.arange(label.size), given]
    for value in confident.FACIES:
        mine = given[some] == value
        assert mine.sum() == np.floor(0.1 * (given == value).sum())
        left = np.setdiff1d(every[given[every] == value], some)
        assert own[some][mine].max() <= own[left].min()


def test_only_facies_are_pruned_and_clean_labels_stay():
    label, score, _ = scored(2000, 1, sharpness=9)
    assert confident.issues(label, score).size <= 2
    given = label.copy()
    for name in ("shadow", "water", "cloud"):
        given[label == VALUES["ice"]] = VALUES[name]
        assert not np.isin(given[confident.issues(given, score, cap=1)], [VALUES[name]]).any()


def test_classes_without_labels_do_not_matter():
    label, score, _ = scored(1500, 2)
    keep = np.isin(label, [0, 3, 5])
    label[keep & (np.arange(1500) % 10 == 0)] = 5
    found = confident.issues(label[keep], score[keep], cap=1)
    joint = np.where(np.isin(np.arange(8), [0, 3, 5]), score[keep], 0)
    again = confident.issues(label[keep], joint / joint.sum(1, keepdims=True), cap=1)
    assert found.size > 20
    assert np.isin(label[keep][found], [0, 3, 5]).all()
    np.testing.assert_array_equal(found, again)
    assert confident.issues(np.zeros(5, int), score[:5]).size == 0


@pytest.mark.parametrize("kind", ["uniform", "transition"])
def test_errors_that_are_put_in_are_as_many_as_asked_for(kind):
    label = np.random.default_rng(0).integers(0, 8, 5000)
    given = confident.with_errors(label, 0.08, kind, np.random.default_rng(1))
    facies = np.isin(label, confident.FACIES)
    wrong = given != label
    assert wrong.sum() == round(0.08 * facies.sum())
    assert not wrong[~facies].any()
    assert np.isin(given[wrong], confident.FACIES).all()
    near = [NAMES[g] in confident.NEIGHBOURS[NAMES[t]] for g, t in zip(given[wrong], label[wrong], strict=True)]
    assert (np.mean(near) > 0.85) == (kind == "transition")


def test_scores_that_are_not_numbers_are_named():
    label, score, _ = scored(50, 0)
    score[3, 0] = np.nan
    with pytest.raises(InputError, match="finite scores"):
        confident.issues(label, score)

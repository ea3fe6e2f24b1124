"""Folds: every sample held out once, no group on both sides, at any depth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facies_xr import folds
from facies_xr.errors import InputError

GROUPS = st.lists(st.sampled_from("abcdefghij"), min_size=3, max_size=60).map(np.array)


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


@given(GROUPS, st.integers(3, 6), st.integers(2, 6))
def test_nested_folds_never_split_a_group(groups, outer, inner):
    if np.unique(groups).size < 3:
        with pytest.raises(InputError, match="at least three groups"):
            list(folds.nested(groups, outer, inner))
        return
    with pytest.raises(InputError, match="three outer folds"):
        list(folds.nested(groups, 2, inner))
    seen = np.zeros(groups.size, int)
    for train, test, parts in folds.nested(groups, outer, inner):
        seen[test] += 1
        assert sorted([*train, *test]) == list(range(groups.size))
        assert not set(groups[train]) & set(groups[test])
        checked = np.zeros(groups.size, int)
        for fit, check in parts:
            checked[check] += 1
            assert sorted([*fit, *check]) == sorted(train)
            assert fit.size
            assert not set(groups[fit]) & set(groups[check])
        assert (checked[train] == 1).all()
        assert (checked[test] == 0).all()
    assert (seen == 1).all()


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=60))
def test_crossed_folds_share_neither_with_what_is_held_out(pairs):
    first, second = np.array(pairs).T
    seen = np.zeros(first.size, int)
    for train, test in folds.crossed(first, second):
        seen[test] += 1
        assert not set(first[train]) & set(first[test])
        assert not set(second[train]) & set(second[test])
        assert (first[train] >= 0).all()
        assert (second[train] >= 0).all()
    np.testing.assert_array_equal(seen, (first >= 0) & (second >= 0))


def test_samples_without_a_fold_are_on_no_side():
    fold = np.array([0, -1, 1, 0, -1])
    assert [(a.tolist(), b.tolist()) for a, b in folds.splits(fold)] == [([2], [0, 3]), ([0, 3], [2])]

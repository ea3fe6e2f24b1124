"""Cross-validation: the only loop of it, against a plain one written here."""

from dataclasses import dataclass

import numpy as np

from facies_xr import folds
from facies_xr.smb import judge
from facies_xr.smb.methods.base import Prediction

from .tables import problem_of, rows_of


@dataclass(frozen=True)
class MeanOf:
    """The training rows' mean, off by so much."""

    off: float = 0.0
    title = "mean"
    leaves_out = "glacier"

    def fit(self, problem, rows):
        return Constant(problem.observed[rows].mean() + self.off, tuple(rows))

    def from_dict(self, saved):
        return Constant(**saved)


@dataclass(frozen=True)
class Constant:
    value: float
    rows: tuple

    def predict(self, problem, rows):
        assert not set(rows) & set(self.rows)
        return Prediction(*(np.full(len(rows), self.value + end) for end in (0, -1, 1)))

    def to_dict(self):
        return {"value": self.value, "rows": self.rows}


def test_a_row_is_predicted_by_the_usable_rows_of_other_folds():
    rows = rows_of(6, 5)
    rows.loc[::4, "observed"] = np.nan
    problem = problem_of(rows)
    fold = folds.by_group(problem.glacier, 3)
    fold[:3] = -1
    mean, lower, upper = judge.out_of_fold(problem, MeanOf(), folds.splits(fold))
    for k in range(len(rows)):
        others = rows.observed[(fold != fold[k]) & (fold >= 0)].dropna()
        np.testing.assert_allclose(mean[k], others.mean() if fold[k] >= 0 else np.nan)
    np.testing.assert_allclose(upper - lower, np.where(fold >= 0, 2, np.nan))


def test_the_inner_folds_choose_and_the_outer_ones_judge():
    """The choice rests on training rows alone: a row that is far off changes no choice of the part that holds it."""
    rows = rows_of(8, 4)
    candidates = {off: MeanOf(off) for off in (-3.0, 0.0, 3.0)}

    def judged(table):
        problem = problem_of(table)
        return judge.nested(problem, candidates, folds.nested(problem.glacier, 4, 3))

    (mean, _, _), chosen = judged(rows)
    assert chosen == [0.0] * 4
    problem = problem_of(rows)
    np.testing.assert_array_equal(
        mean, judge.out_of_fold(problem, MeanOf(), folds.splits(folds.by_group(problem.glacier, 4))).mean
    )
    fold = folds.by_group(problem.glacier, 4)
    (moved, _, _), chosen = judged(rows.assign(observed=rows.observed + 100 * (fold == 2)))
    assert chosen[2] == 0.0
    np.testing.assert_array_equal(moved[fold == 2], mean[fold == 2])

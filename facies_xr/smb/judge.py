"""Cross-validation of balance methods: what a method says of rows whose records it never saw.

This is the only loop over folds; whatever is chosen or judged goes through it.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from .. import folds
from ..errors import InputError
from ..folds import Split
from .methods.base import Fits, Prediction
from .problem import Problem

Name = TypeVar("Name", bound=Hashable)

LEFT_OUT = ("glacier", "year", "glacier and year")
"""What is held out together: a glacier of which nothing is known, a year of which no glacier is known, or both."""

FOLDS = 6
"""Folds of glaciers; of years each is one, but next to glaciers they are six, too."""


def splits(problem: Problem, leave_out: str) -> list[Split]:
    """Training and test rows of a problem; rows of glaciers, or of years, without records are in neither.

    Parameters
    ----------
    problem : Problem
    leave_out : str
        One of :data:`LEFT_OUT`.

    Raises
    ------
    InputError
        If all records are of one glacier, or of one year.
    """
    if leave_out == "glacier and year":
        return list(folds.crossed(_fold(problem, "glacier", FOLDS), _fold(problem, "year", FOLDS)))
    return list(folds.splits(_fold(problem, leave_out, FOLDS if leave_out == "glacier" else len(problem))))


def _fold(problem: Problem, leave_out: str, most: int) -> np.ndarray:
    """Fold of each row, that of its group among the usable rows; -1 where it has none."""
    groups = problem.glacier if leave_out == "glacier" else problem.balance_year
    recorded = groups[problem.usable]
    if np.unique(recorded).size < 2:
        raise InputError(f"all records are of one {leave_out}; with leave_out={leave_out!r} nothing is left to fit.")
    fold_of = dict(zip(recorded, folds.by_group(recorded, most), strict=True))
    return np.array([fold_of.get(group, -1) for group in groups])


def out_of_fold(problem: Problem, method: Fits, splits: Iterable[Split]) -> Prediction:
    """Balances of held-out rows by fits to the usable rows of their training sets.

    Parameters
    ----------
    problem : Problem
    method : Fits
    splits : iterable of (ndarray of int, ndarray of int)
        Training and test rows, as ``folds.splits`` gives them.

    Returns
    -------
    Prediction
        Of all rows of the problem, NaN where a row is in no test set. [m w.e.]
    """
    return _held_out(problem, ((method, train, test) for train, test in splits))


def best(problem: Problem, candidates: Mapping[Name, Fits], splits: Iterable[Split]) -> Name:
    """Name of the candidate with the smallest squared error of held-out rows; of equals the first.

    Rows of which any candidate says nothing count for none.
    """
    splits = list(splits)
    errors = np.array([(out_of_fold(problem, m, splits).mean - problem.observed) ** 2 for m in candidates.values()])
    comparable = np.isfinite(errors).all(0)
    return list(candidates)[int(np.argmin(errors[:, comparable].sum(1)))]


def nested(
    problem: Problem,
    candidates: Mapping[Name, Fits],
    parts: Iterable[tuple[np.ndarray, np.ndarray, list[Split]]],
) -> tuple[Prediction, list[Name]]:
    """Balances of held-out rows by the candidate that the training rows themselves choose.

    Parameters
    ----------
    problem : Problem
    candidates : mapping of Fits
    parts : iterable of (train, test, inner splits)
        As ``folds.nested`` gives them.

    Returns
    -------
    Prediction
        As :func:`out_of_fold` gives it.
    list
        Name of the candidate of each part.
    """
    parts = list(parts)
    chosen = [best(problem, candidates, inner) for _, _, inner in parts]
    tasks = ((candidates[name], train, test) for name, (train, test, _) in zip(chosen, parts, strict=True))
    return _held_out(problem, tasks), chosen


def _held_out(problem: Problem, tasks: Iterable[tuple[Fits, np.ndarray, np.ndarray]]) -> Prediction:
    out = Prediction.nothing(len(problem))
    for method, train, test in tasks:
        train = train[problem.usable[train]]
        if train.size:
            out.put(test, method.fit(problem, train).predict(problem, test))
    return out

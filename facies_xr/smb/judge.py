"""Cross-validation of balance methods: what a method says of rows whose records it never saw.

This is the only loop over folds; whatever is chosen or judged goes through it.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from .. import folds
from ..errors import InputError
from ..folds import Split
from .methods.base import Fits, FitsAll, Prediction, Predicts
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
    return _best_of_each(problem, candidates, [list(splits)])[0]


def nested(
    problem: Problem,
    candidates: Mapping[Name, Fits],
    parts: Iterable[tuple[np.ndarray, np.ndarray, list[Split]]],
    *,
    refitted: Mapping[Name, Fits] | None = None,
) -> tuple[Prediction, list[Name]]:
    """Balances of held-out rows by the candidate that the training rows themselves choose.

    Parameters
    ----------
    problem : Problem
    candidates : mapping of Fits
    parts : iterable of (train, test, inner splits)
        As ``folds.nested`` gives them.
    refitted : mapping of Fits, optional
        What the chosen name stands for when it is fitted to all training rows, such as the same method with more
        members; by default the candidate.

    Returns
    -------
    Prediction
        As :func:`out_of_fold` gives it.
    list
        Name of the candidate of each part.
    """
    parts = list(parts)
    chosen = _best_of_each(problem, candidates, [inner for _, _, inner in parts])
    last = candidates if refitted is None else refitted
    tasks = ((last[name], train, test) for name, (train, test, _) in zip(chosen, parts, strict=True))
    return _held_out(problem, tasks), chosen


def _best_of_each(problem: Problem, candidates: Mapping[Name, Fits], parts: list[list[Split]]) -> list[Name]:
    """The best candidate of each part, all fits of which are made in one go."""
    tasks = [(m, *split) for inner in parts for m in candidates.values() for split in inner]
    each = iter(_predicted(problem, tasks))
    chosen = []
    for inner in parts:
        errors = np.full((len(candidates), len(problem)), np.nan)
        for of_candidate in errors:
            for _, test in inner:
                of_candidate[test] = next(each).mean - problem.observed[test]
        comparable = np.isfinite(errors).all(0)
        chosen.append(list(candidates)[int(np.argmin((errors[:, comparable] ** 2).sum(1)))])
    return chosen


Task = tuple[Fits, np.ndarray, np.ndarray]


def _held_out(problem: Problem, tasks: Iterable[Task]) -> Prediction:
    out, tasks = Prediction.nothing(len(problem)), list(tasks)
    for (_, _, test), prediction in zip(tasks, _predicted(problem, tasks), strict=True):
        out.put(test, prediction)
    return out


def _predicted(problem: Problem, tasks: list[Task]) -> Iterator[Prediction]:
    """What each method says of its test rows; methods with ``fit_all`` make all their fits at once."""
    trained = [train[problem.usable[train]] for _, train, _ in tasks]
    together: dict[type, list[int]] = {}
    for k, (method, _, _) in enumerate(tasks):
        if isinstance(method, FitsAll) and trained[k].size:
            together.setdefault(type(method), []).append(k)
    made: dict[int, Predicts] = {}
    for kind, several in together.items():
        jobs = [(tasks[k][0], trained[k]) for k in several]
        made |= dict(zip(several, kind.fit_all(problem, jobs), strict=True))  # type: ignore[attr-defined]
    for k, (method, _, test) in enumerate(tasks):
        problem.require_free(trained[k])
        if not trained[k].size:
            yield Prediction.nothing(len(test))
        else:
            yield (made.pop(k) if k in made else method.fit(problem, trained[k])).predict(problem, test)

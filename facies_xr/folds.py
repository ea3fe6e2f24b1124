"""Folds for cross-validation: indices only, and no glacier on both sides."""

from collections.abc import Iterator

import numpy as np

from .errors import InputError

Split = tuple[np.ndarray, np.ndarray]
"""Indices of the training samples and of the samples held out."""


def by_group(groups: np.ndarray, count: int) -> np.ndarray:
    """Fold of each sample, so that no group is split and folds are about equally large.

    Parameters
    ----------
    groups : ndarray (n)
        For example the glacier of each sample.
    count : int
        Folds; fewer where there are fewer groups.

    Returns
    -------
    ndarray (n) of int
        0 .. folds - 1. The largest groups are dealt first, each to the smallest fold; ties by the group's name.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count = min(count, names.size)
    if count < 2:
        raise InputError(f"cross-validation needs at least two groups, there are {names.size}.")
    filled = np.zeros(count, int)
    fold_of = np.empty(names.size, int)
    for k in sorted(range(names.size), key=lambda k: (-sizes[k], str(names[k]))):
        fold_of[k] = int(filled.argmin())
        filled[fold_of[k]] += sizes[k]
    return fold_of[inverse]


def stratified(groups: np.ndarray, count: int, *strata: np.ndarray) -> np.ndarray:
    """Fold of each sample, so that no group is split and folds are alike in size and in every stratum.

    Parameters
    ----------
    groups : ndarray (n)
        For example the glacier of each sample.
    count : int
        Folds.
    *strata : ndarray (n)
        What folds shall share evenly, for example class, region and class of area.

    Returns
    -------
    ndarray (n) of int
        0 .. count - 1. The largest groups are dealt first, each to the fold where the sum of squares of what the
        folds hold of each stratum, relative to all of it, grows least.

    Raises
    ------
    InputError
        If there are fewer groups than folds.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if count < 2 or names.size < count:
        raise InputError(
            f"{count} folds need as many groups (glaciers) at least, and folds are two or more; there are {names.size}."
        )
    holds = [np.full((names.size, 1), 1 / names.size), sizes[:, None] / groups.size]
    for stratum in strata:
        kinds, kind = np.unique(stratum, return_inverse=True)
        counts = np.bincount(inverse * kinds.size + kind, minlength=names.size * kinds.size)
        table = counts.reshape(names.size, kinds.size)
        holds.append(table / table.sum(0))
    vectors = np.concatenate(holds, 1)
    filled, fold_of = np.zeros((count, vectors.shape[1])), np.full(names.size, -1)
    for dealt, k in enumerate(sorted(range(names.size), key=lambda k: (-sizes[k], str(names[k])))):
        growth = ((filled + vectors[k]) ** 2 - filled**2).sum(1)
        empty = np.array([f not in fold_of for f in range(count)])
        if names.size - dealt == empty.sum():  # as many are left as folds without any
            growth[~empty] = np.inf
        fold_of[k] = int(growth.argmin())
        filled[fold_of[k]] += vectors[k]
    return fold_of[inverse]


def splits(fold: np.ndarray) -> Iterator[Split]:
    """Training and test indices of each fold; samples of a negative fold are in neither."""
    for k in np.unique(fold[fold >= 0]):
        yield np.flatnonzero((fold != k) & (fold >= 0)), np.flatnonzero(fold == k)


def crossed(first: np.ndarray, second: np.ndarray) -> Iterator[Split]:
    """Training and test indices of each pair of two sorts of folds; the training samples are of neither.

    ::

                    years          held out: glacier fold 1 and year fold 2
        glaciers    t t . t        t: training, #: test
                    . . # .
                    t t . t
    """
    in_both = (first >= 0) & (second >= 0)
    for j, k in np.unique(np.column_stack([first, second])[in_both], axis=0):
        yield (
            np.flatnonzero(in_both & (first != j) & (second != k)),
            np.flatnonzero((first == j) & (second == k)),
        )


def nested(groups: np.ndarray, outer: int, inner: int) -> Iterator[tuple[np.ndarray, np.ndarray, list[Split]]]:
    """Outer folds, each with inner folds of its training samples; no group is split by either.

    Parameters
    ----------
    groups : ndarray (n)
    outer : int
        Number of outer folds, at least three, so that each training set has two groups; fewer where there are fewer.
    inner : int
        Number of inner folds; fewer where there are fewer groups.

    Yields
    ------
    train, test : ndarray of int
        Samples of the outer fold.
    inner : list of (ndarray of int, ndarray of int)
        Of the training samples: those to fit on and those to choose by.

    Raises
    ------
    InputError
        If there are fewer than three groups or outer folds.
    """
    if outer < 3:
        raise InputError(f"outer={outer}: nested cross-validation needs at least three outer folds.")
    if (n := np.unique(groups).size) < 3:
        raise InputError(f"nested cross-validation needs at least three groups, there are {n}.")
    for train, test in splits(by_group(groups, outer)):
        yield train, test, [(train[fit], train[check]) for fit, check in splits(by_group(groups[train], inner))]

"""Folds for cross-validation: indices only, and no glacier on both sides."""

from collections.abc import Iterator

import numpy as np

from .errors import InputError


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


def splits(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test indices of each fold."""
    for k in np.unique(fold):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

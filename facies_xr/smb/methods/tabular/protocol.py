"""How rows are left out: at random, by glacier, by block of years, both; test glaciers; folds that a user gives."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .... import folds
from ....errors import InputError, one_of
from ....folds import Split
from ...problem import Problem
from .table import require_apart

SCHEMES = ("random", "glacier", "block", "glacier and block")
BLOCKS = 6
"""Contiguous blocks of years, each left out with a gap of one year on either side."""

GROUPS = 10
"""Folds of glaciers; each glacier is one where there are fewer."""

RANDOM = 5
INNER = 3
"""Folds, blocks and groups by which a setting is chosen, on training rows alone."""

SEED = 0


def blocks(problem: Problem, count: int = BLOCKS) -> np.ndarray:
    """Block of contiguous years of each row."""
    years = np.unique(problem.balance_year)
    if years.size < count:
        raise InputError(f"{years.size} years make no {count} blocks; give fewer folds.")
    of_year = np.arange(years.size) * count // years.size
    return of_year[np.searchsorted(years, problem.balance_year)]


def outer(
    problem: Problem, scheme: str, count: int = BLOCKS, *, groups: int = GROUPS, random: int = RANDOM
) -> list[Split]:
    """Splits of a scheme; training years are at least a year away from a block that is left out.

    Parameters
    ----------
    problem : Problem
    scheme : str
        One of :data:`SCHEMES`.
    count, groups, random : int
        Blocks of years, folds of glaciers, folds of rows at random.

    Raises
    ------
    InputError
        If there are fewer glaciers, or years, than folds need.
    """
    one_of("scheme", scheme, SCHEMES)
    if scheme == "random":
        order = np.random.default_rng(SEED).permutation(len(problem))
        return list(folds.splits(order % random))
    glaciers = np.unique(problem.glacier)
    if "glacier" in scheme and glaciers.size < 2:
        raise InputError("all rows are of one glacier; leave blocks of years out.")
    by_glacier = folds.by_group(problem.glacier, min(glaciers.size, groups)) if "glacier" in scheme else None
    if scheme == "glacier" and by_glacier is not None:
        return list(folds.splits(by_glacier))
    by_block, every, result = blocks(problem, count), np.arange(len(problem)), []
    for block in range(count):
        years = problem.balance_year[by_block == block]
        away = (problem.balance_year < years.min() - 1) | (problem.balance_year > years.max() + 1)
        for fold in [None] if by_glacier is None else np.unique(by_glacier):
            here = (by_block == block) & (True if by_glacier is None else by_glacier == fold)
            train = away & (True if by_glacier is None else by_glacier != fold)
            if here.any() and train.any():
                result.append((every[train], every[here]))
    return result


def inner(problem: Problem, train: np.ndarray, scheme: str, count: int = INNER) -> list[Split]:
    """Splits of training rows, grouped as the scheme groups; by blocks of years where one glacier is left.

    Where glaciers and years are left out, two groups of glaciers are crossed with two blocks. With too few years for
    blocks the rows are split by glacier, and one row after the other where there is neither.
    """
    few = problem.take(train)
    glaciers, years = np.unique(few.glacier).size, np.unique(few.balance_year).size
    by = scheme
    if "glacier" in by and glaciers < 2:
        by = "block"
    if "block" in by and years < 4:
        by = "glacier" if glaciers >= 2 else "random"
    count = min(2 if by == "glacier and block" else count, years if "block" in by else count)
    found = outer(few, by, count, groups=count, random=count)
    return [(train[fit], train[check]) for fit, check in found]


def given(problem: Problem, fold: np.ndarray) -> list[Split]:
    """Splits by folds that a user gives, such as a column of the table.

    Raises
    ------
    InputError
        If there are fewer than two, or a glacier is in several.
    """
    _, number = np.unique(fold, return_inverse=True)
    if number.max() < 1:
        raise InputError("all rows are in one fold; give two at least.")
    splits = list(folds.splits(number))
    for train, test in splits:
        require_apart(problem, train, test)
    return splits


def freeze(problem: Problem, share: float = 0.2) -> tuple[Problem, dict[str, Any]]:
    """The problem with test glaciers that no fit may see, and their list with its hash.

    Every so many glaciers in the order of their mean balance is one, at least two.
    """
    means = pd.Series(problem.observed).groupby(problem.glacier).mean().sort_values(kind="stable")
    count = max(2, int(np.ceil(share * len(means))))
    if len(means) - count < 2:
        raise InputError(f"{len(means)} glaciers are too few to set {count} aside for the end.")
    chosen = means.index[np.linspace(0, len(means) - 1, 2 * count + 1)[1::2].round().astype(int)]
    ids = sorted(map(str, chosen))
    listed = {"glaciers": ids, "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()}
    return frozen(problem, listed), listed


def frozen(problem: Problem, listed: Mapping[str, Any]) -> Problem:
    """The problem with the test glaciers of a list.

    Raises
    ------
    InputError
        If the list is not the one that was hashed.
    """
    ids = list(listed["glaciers"])
    if hashlib.sha256("\n".join(ids).encode()).hexdigest() != listed["sha256"]:
        raise InputError("the frozen test glaciers are not those that were hashed; freeze anew, and start anew.")
    return replace(problem, held_back=frozenset(ids))

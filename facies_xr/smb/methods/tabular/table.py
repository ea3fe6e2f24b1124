"""Tables of features, a row a glacier and balance year, and what is refused in them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ....errors import InputError
from ...layouts import LIMITS
from ...problem import Problem

PLACE = ("lat", "latitude", "lon", "longitude")
"""Where a glacier lies: never a feature unless asked for, for a network can remember a glacier by it."""

DERIVED = ("smb", "balance", "dmdt", "err_", "mass_balance")
"""Parts of names of columns that are made of a balance."""

SAME = 0.9999
"""Absolute correlation with the target beyond which a column is the target."""

KELVIN = 100.0
"""No monthly mean temperature is as high. [degree Celsius]"""


def problem_of(table: pd.DataFrame | str | Path, target: str, groups: str, year: str | None = None,
               features: Iterable[str] | None = None) -> Problem:  # fmt: skip
    """A problem from a table.

    Parameters
    ----------
    table : DataFrame or path of a CSV file
    target : str
        Column of the balance. [m w.e.]
    groups : str
        Column of the glacier.
    year : str, optional
        Column of the balance year; by default "year", or rows are of years of their own.
    features : iterable of str, optional
        Columns of the features; by default all columns of numbers but target, groups, year, place, and those whose
        name says that they are made of a balance.

    Raises
    ------
    InputError
        If a column is missing, empty, or the target under another name, a row is there twice, or balances are a
        thousand times off.
    """
    rows = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    year = year or ("year" if "year" in rows else None)
    if missing := [name for name in (target, groups, *([year] if year else []), *(features or ())) if name not in rows]:
        raise InputError(
            f"the table has no column {missing[0]!r}; it has {', '.join(map(str, rows.columns[:12]))}, ..."
        )
    named = {"observed": rows[target].astype(float), "glacier": rows[groups].astype(str),
             "balance_year": rows[year].astype(int) if year else np.arange(len(rows))}  # fmt: skip
    chosen = list(features) if features is not None else _usual(rows, {target, groups, year})
    made = pd.concat([rows[chosen].astype(float), pd.DataFrame(named)], axis=1)
    _require_rows(made, target)
    _require_features(made, chosen, target)
    for ours, theirs in (("longitude", "lon"), ("latitude", "lat")):
        if theirs in rows and ours not in made:
            made[ours] = rows[theirs].astype(float)
    return Problem(made.reset_index(drop=True), tuple(chosen), tuple(chosen))


def _usual(rows: pd.DataFrame, taken: set) -> list[str]:
    numbers = rows.select_dtypes("number").columns
    return [n for n in numbers if n not in taken and n.lower() not in PLACE and not _derived(n)]


def _derived(name: str) -> bool:
    return any(part in name.lower() for part in DERIVED)


def _require_rows(rows: pd.DataFrame, target: str) -> None:
    twice = rows.duplicated(["glacier", "balance_year"])
    if twice.any():
        worst = rows[twice].iloc[0]
        raise InputError(f"the table has {worst.glacier} in {worst.balance_year} twice; keep one row of each.")
    limit = LIMITS["balance"].high
    large = rows.observed.abs() > limit
    if large.any():
        worst = rows.observed[large].iloc[0]
        raise InputError(
            f"{target} {worst:g} is not possible in m w.e. ({LIMITS['balance'].source}); is it in mm w.e.?"
        )


def _require_features(rows: pd.DataFrame, features: list[str], target: str) -> None:
    if not features:
        raise InputError("the table has no column of features.")
    known = rows.observed.notna()
    for name in features:
        column = rows[name]
        if column.isna().all():
            raise InputError(f"feature {name!r} is empty; leave it out.")
        if name == target or _derived(name):
            raise InputError(f"feature {name!r} is made of the balance, by its name; leave it out.")
        both = known & column.notna()
        if both.sum() > 3 and column[both].std() > 0 and abs(column[both].corr(rows.observed[both])) > SAME:
            raise InputError(f"feature {name!r} is {target!r} under another name: they correlate by 1; leave it out.")
        if name.lower().startswith(("t2m", "temp")) and column.median() > KELVIN:
            raise InputError(f"feature {name!r} has a median of {column.median():g}: give it in degrees Celsius.")


def require_apart(problem: Problem, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse a glacier that both trains and tests.

    Raises
    ------
    InputError
    """
    if both := sorted(set(problem.glacier[train]) & set(problem.glacier[test])):
        raise InputError(f"glacier {both[0]!r} is among the training rows and the test rows; keep it in one.")

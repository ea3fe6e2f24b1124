"""Tables of features, a row a glacier and balance year, and what is refused in them."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ....errors import InputError
from ...features.variables import limits
from ...layouts import LIMITS
from ...problem import Problem

PLACE = ("lat", "latitude", "lon", "longitude")
"""Where a glacier lies: never a feature unless asked for, for a network can remember a glacier by it."""

DERIVED = ("smb", "balance", "dmdt", "err_", "dhdt")
"""Parts of names of columns that are made of a balance."""

DERIVED_WORDS = ("mb", "ba", "bw", "bs", "bn", "netto", "ela")
"""Whole words of such names: annual, winter, summer and net balance; the line where it is 0."""

SAME = 0.9999
"""Absolute correlation with the target beyond which a column is the target."""

KELVIN = 100.0
"""No monthly mean temperature is as high. [degree Celsius]"""

WATER = ("tp", "sf", "sd", "smlt", "prcp", "precip", "precipitation", "snow", "snowfall", "rain")
"""Words of names of columns that hold water, whose glaciers differ by a factor of ten, not by a thousand."""

THOUSAND = 300.0
"""Ratio of two glaciers' medians beyond which they are in different units."""

SMALLEST = 0.02
"""No table of ten balances lies within as little of 0. [m w.e.]"""


def problem_of(table: pd.DataFrame | str | Path, target: str, groups: str, year: str | None = None,
               features: Iterable[str] | None = None, *, site: str | None = None) -> Problem:  # fmt: skip
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
    site : str, optional
        Column of the place on the glacier, of tables with several rows a glacier and year, such as stakes, whose
        balances may be larger than a glacier's.

    Raises
    ------
    InputError
        If a column is missing, empty, or the target under another name, a row is there twice, or numbers are a
        thousand times off.
    """
    rows = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    year = year or ("year" if "year" in rows else None)
    wanted = (target, groups, *([year] if year else []), *([site] if site else []), *(features or ()))
    if missing := [name for name in wanted if name not in rows]:
        raise InputError(
            f"the table has no column {missing[0]!r}; it has {', '.join(map(str, rows.columns[:12]))}, ..."
        )
    named = {"observed": rows[target].astype(float), "glacier": rows[groups].astype(str),
             "balance_year": rows[year].astype(int) if year else np.arange(len(rows))}  # fmt: skip
    chosen = list(features) if features is not None else _usual(rows, {target, groups, year, site})
    made = pd.concat([rows[chosen].astype(float), pd.DataFrame(named)], axis=1)
    _require_rows(made, target, rows[site] if site else None)
    _require_features(made, chosen, target)
    if place := [name for name in chosen if name.lower() in PLACE]:
        warnings.warn(
            f"{' and '.join(place)} among the features: a network can remember a glacier by its place; compare with "
            "and without, one glacier left out.",
            stacklevel=2,
        )
    for ours, theirs in (("longitude", "lon"), ("latitude", "lat")):
        if theirs in rows and ours not in made:
            made[ours] = rows[theirs].astype(float)
    return Problem(made.reset_index(drop=True), tuple(chosen), tuple(chosen))


def _usual(rows: pd.DataFrame, taken: set) -> list[str]:
    numbers = rows.select_dtypes("number").columns
    return [n for n in numbers if n not in taken and n.lower() not in PLACE and not derived(n)]


def derived(name: str) -> bool:
    """Whether a column is made of a balance, by its name."""
    words = re.split(r"[^a-z]+", name.lower())
    return any(part in name.lower() for part in DERIVED) or any(word in DERIVED_WORDS for word in words)


def _require_rows(rows: pd.DataFrame, target: str, site: pd.Series | None) -> None:
    keys = rows[["glacier", "balance_year"]].assign(site="" if site is None else site.to_numpy())
    twice = keys.duplicated()
    if twice.any():
        worst = keys[twice].iloc[0]
        at = f" at {worst.site}" if site is not None else ""
        raise InputError(f"the table has {worst.glacier} in {worst.balance_year}{at} twice; keep one row of each.")
    limit = LIMITS["balance" if site is None else "summer_balance"]
    most = max(-limit.low, limit.high) * (1 if site is None else 2)
    large = rows.observed.abs() > most
    if large.any():
        worst = rows.observed[large].iloc[0]
        raise InputError(f"{target} {worst:g} is not possible in m w.e. ({limit.source}); is it in mm w.e.?")
    if rows.observed.notna().sum() >= 10 and rows.observed.abs().max() < SMALLEST:
        raise InputError(
            f"{target} is {rows.observed.abs().max():g} m w.e. at most, a thousandth of what balances are; was it "
            "divided by 1000 twice?"
        )


def _require_features(rows: pd.DataFrame, features: list[str], target: str) -> None:
    if not features:
        raise InputError("the table has no column of features.")
    for name in features:
        column = rows[name]
        if column.isna().all():
            raise InputError(f"feature {name!r} is empty; leave it out.")
        if name == target or derived(name):
            raise InputError(f"feature {name!r} is made of the balance, by its name; leave it out.")
        if how := _same(rows, name):
            raise InputError(f"feature {name!r} is {target!r} under another name: {how} correlate by 1; leave it out.")
        if name.lower().startswith(("t2m", "temp")) and column.median() > KELVIN:
            raise InputError(f"feature {name!r} has a median of {column.median():g}: give it in degrees Celsius.")
        _require_unit(rows, name)


def _same(rows: pd.DataFrame, name: str) -> str:
    """What of a column and of the target is the same, if anything: they, their ranks, or anomalies of glaciers."""
    both = rows[[name, "observed", "glacier"]].dropna()
    if len(both) <= 3 or both[name].std() == 0:
        return ""
    pair = both[[name, "observed"]]
    forms = {"they": pair}
    if len(both) >= 10:
        forms |= {"their ranks": pair.rank(), "their anomalies": pair - pair.groupby(both.glacier).transform("mean")}
    for how, form in forms.items():
        if form.std().min() > 0 and abs(form[name].corr(form.observed)) > SAME:
            return how
    return ""


def _require_unit(rows: pd.DataFrame, name: str) -> None:
    column, possible = rows[name], limits(name)
    if possible is not None:
        low, high = possible
        off = (column < low) | (column > high)
        if off.any():
            raise InputError(
                f"feature {name!r} is {column[off].iloc[0]:g}, where {low:g} to {high:g} is possible in its unit "
                "(facies_xr.smb.features.variables); convert it."
            )
    if set(re.split(r"[^a-z]+", name.lower())) & set(WATER):
        medians = column.groupby(rows.glacier).median()
        medians = medians[medians > 0]
        usual = medians.median()
        far = medians[(medians > THOUSAND * usual) | (medians < usual / THOUSAND)]
        if len(far) and len(medians) > 1:
            raise InputError(
                f"feature {name!r} of glacier {far.index[0]} is {far.iloc[0]:g} in the median, of the others {usual:g}:"
                " a thousand times off; is it in mm there and in m elsewhere?"
            )


def require_apart(problem: Problem, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse a glacier that both trains and tests.

    Raises
    ------
    InputError
    """
    if both := sorted(set(problem.glacier[train]) & set(problem.glacier[test])):
        raise InputError(f"glacier {both[0]!r} is among the training rows and the test rows; keep it in one.")

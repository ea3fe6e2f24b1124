"""What a balance method is: ``fit(problem, rows)``, and what that gives predicts rows with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from ..layouts import FIRST_YEAR, LIMITS
from ..problem import POSSIBLE, Problem

COVERED = 0.95
"""Probability that a new record lies between ``lower`` and ``upper``."""

TAILS = ((1 - COVERED) / 2, (1 + COVERED) / 2)

LAST_YEAR = 2200
"""Balance years of a saved fit are not later. [year]"""

POSITION = ("longitude", "latitude")

CONSTANT = 1e-9
"""Predictors that vary less do not vary."""


class Prediction(NamedTuple):
    """Balances of some rows, NaN where nothing can be said. [m w.e.]"""

    mean: np.ndarray
    lower: np.ndarray
    """Ends of the 95 % interval of a new record."""
    upper: np.ndarray

    @classmethod
    def nothing(cls, rows: int) -> "Prediction":
        """Of rows of which nothing is known."""
        return cls(*np.full((3, rows), np.nan))

    def put(self, rows: np.ndarray, values: "Prediction") -> None:
        """Set some rows."""
        for mine, theirs in zip(self, values, strict=True):
            mine[rows] = theirs


class Predicts(Protocol):
    """What was fitted to records."""

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances of some rows of a problem, which need not be that of the records."""


class Fits(Protocol):
    """A way from records to balances: all that can be judged."""

    def fit(self, problem: Problem, rows: np.ndarray) -> Predicts:
        """Fit to some rows, which have records."""


@runtime_checkable
class FitsAll(Fits, Protocol):
    """A method that makes many fits faster together than one by one."""

    @classmethod
    def fit_all(cls, problem: Problem, tasks: Any) -> list[Any]:
        """Fits of several methods of this class to several sets of rows: pairs (method, rows)."""


class Fitted(Predicts, Protocol):
    """A method fitted to records, which can be kept."""

    def to_dict(self) -> dict[str, Any]:
        """As lists, numbers and texts, for the method's ``from_dict``."""


class Method(Protocol):
    """A way from records to balances that users choose by name."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def leaves_out(self) -> str:
        """What is held out together to judge it: "glacier" or "year"."""

    def fit(self, problem: Problem, rows: np.ndarray) -> Fitted:
        """Fit to some rows, which have records."""

    def from_dict(self, saved: Mapping[str, Any]) -> Fitted:
        """What ``Fitted.to_dict`` gave."""


@dataclass(frozen=True)
class Standard:
    """Predictors in units of their spread among the records."""

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, design: np.ndarray) -> "Standard":
        """Centre and spread of (row, predictor)."""
        centre, spread = design.mean(0), design.std(0)
        return cls(centre, np.where(spread > CONSTANT * np.maximum(1, np.abs(centre)), spread, 1.0))

    def __call__(self, design: np.ndarray) -> np.ndarray:
        """Standardised (row, predictor)."""
        return (design - self.centre) / self.spread


def records_to_dict(problem: Problem) -> dict[str, Any]:
    """The predictors' names and the records with them."""
    names = ["glacier", "balance_year", "observed", *problem.predictors]
    columns = problem.rows[names].astype({"glacier": str, "balance_year": int}).to_dict("list")
    for name, values in zip(POSITION, problem.position, strict=True):
        columns[name] = [None if np.isnan(value) else value for value in values.tolist()]
    return {"predictors": list(problem.predictors), "records": columns}


def records_from_dict(saved: Mapping[str, Any]) -> Problem:
    """The problem of records that :func:`records_to_dict` gave.

    Raises
    ------
    ValueError, KeyError, TypeError
        If they are not such records, or a number among them is not possible.
    """
    names = tuple(map(str, saved["predictors"]))
    if not names or not set(names) <= set(POSSIBLE) or len(set(names)) < len(names):
        raise ValueError(f"its predictors are {names}, not some of {', '.join(POSSIBLE)}")
    columns = {name: saved["records"][name] for name in ("glacier", "balance_year", "observed", *names, *POSITION)}
    if any(isinstance(value, list | dict | bool) for column in columns.values() for value in column):
        raise ValueError("its records are not a table")
    rows = pd.DataFrame({name: list(column) for name, column in columns.items()})
    rows = rows.astype(
        {"glacier": str, "balance_year": int, "observed": float, **dict.fromkeys((*names, *POSITION), float)}
    )
    balance = LIMITS["balance"]
    limits = {"observed": (balance.low, balance.high), "balance_year": (FIRST_YEAR, LAST_YEAR), **POSSIBLE}
    limits |= {name: (LIMITS[name].low, LIMITS[name].high) for name in POSITION}
    for name in ("observed", "balance_year", *names, *POSITION):
        low, high = limits[name]
        wrong = ~(rows[name].between(low, high) | (rows[name].isna() & (name in POSITION)))
        if wrong.any():
            worst = rows[name][wrong].iloc[0]
            raise ValueError(f"{name} {worst:g} among its records is not between {low:g} and {high:g}")
    if rows.duplicated(["glacier", "balance_year"]).any():
        raise ValueError("it has two records of one glacier and year")
    if rows.glacier.nunique() < 2:
        raise ValueError("its records are not of two glaciers")
    return Problem(rows, names)


def between(value: Any, name: str, low: float, high: float) -> float:
    """A number of a saved fit.

    Raises
    ------
    ValueError
        If it is not between two bounds.
    """
    if isinstance(value, bool | str) or not low <= float(value) <= high:
        raise ValueError(f"{name} {value!r} is not between {low:g} and {high:g}")
    return float(value)

"""Rows with an optional predictor by a fit with it, rows without by a fit without."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..problem import Problem
from .base import Fitted, Method, Prediction

MIN_RECORDS = 20
MIN_GLACIERS = 3
"""Records with all predictors, and glaciers with such, that a fit with the optional ones needs."""


@dataclass(frozen=True)
class WithOptional:
    """Two fits of one method: to the records that have all predictors, and to all records without the optional ones."""

    method: Method

    @property
    def title(self) -> str:
        """That of the method."""
        return self.method.title

    @property
    def leaves_out(self) -> str:
        """What the method leaves out."""
        return self.method.leaves_out

    def fit(self, problem: Problem, rows: np.ndarray) -> "TwoFits":
        """Fit to records."""
        complete = rows[np.isfinite(problem.design[rows]).all(1)]
        enough = len(complete) >= MIN_RECORDS and np.unique(problem.glacier[complete]).size >= MIN_GLACIERS
        full = self.method.fit(problem, complete) if enough and problem.optional else None
        short = self.method.fit(problem.using(problem.required), rows)
        return TwoFits(full, short, problem.predictors, problem.required)

    def from_dict(self, saved: Mapping[str, Any]) -> "TwoFits":
        """What ``to_dict`` gave."""
        short, full = saved["short"], saved["full"]
        required = tuple(map(str, short["predictors"]))
        predictors = required if full is None else tuple(map(str, full["predictors"]))
        if not set(required) <= set(predictors):
            raise ValueError(f"its predictors {predictors} lack some of {required}")
        fitted = None if full is None else self.method.from_dict(full)
        return TwoFits(fitted, self.method.from_dict(short), predictors, required)


@dataclass(frozen=True)
class TwoFits:
    """A fit for rows with all predictors, and one for the others."""

    full: Fitted | None
    """None if too few records have all predictors."""
    short: Fitted
    predictors: tuple[str, ...]
    """Of the full fit."""
    required: tuple[str, ...]
    """Of the short fit."""

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record; NaN where a required predictor is missing. [m w.e.]"""
        short, full = problem.using(self.required), problem.using(self.predictors)
        known = np.isfinite(short.design[rows]).all(1)
        complete = np.isfinite(full.design[rows]).all(1) & (self.full is not None)
        out = Prediction.nothing(len(rows))
        for fitted, with_names, here in ((self.short, short, known & ~complete), (self.full, full, complete)):
            if fitted is not None and here.any():
                out.put(here, fitted.predict(with_names, rows[here]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Both fits."""
        return {"full": None if self.full is None else self.full.to_dict(), "short": self.short.to_dict()}

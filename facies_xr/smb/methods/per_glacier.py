"""Eq. 3 of Maslov et al. (2026): a line on the snow fraction for each glacier."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..problem import Problem
from .base import CONSTANT, TAILS, Prediction, between, records_from_dict, records_to_dict

MIN_YEARS = 4
"""Records of a glacier that its line needs, one of which may be held out."""

STRENGTH = 3.0
"""Of the ridge, in records: as strong as three more that tell of no slope. With 0, 1, 3, 10 the records of the World
Glacier Monitoring Service since 2000, years left out, have an RMSE of .581, .570, .565, .596 m w.e."""

STRONGEST = 1e3


@dataclass(frozen=True)
class PerGlacier:
    """A ridge line on the first predictor, the snow fraction, for each glacier with at least four records.

    A line through three points may be anything; the ridge draws its slope towards 0.
    """

    strength: float = STRENGTH
    """Relative to the number of records, the snow fraction in units of its spread on the glacier."""
    title: ClassVar[str] = "Eq. 3 of Maslov et al. (2026): a line for each glacier"
    leaves_out: ClassVar[str] = "year"

    def fit(self, problem: Problem, rows: np.ndarray) -> "PerGlacierFit":
        """Fit to records of glaciers of which the problem has enough."""
        numbers = pd.Series(problem.glacier[problem.usable]).value_counts()
        rows = rows[pd.Series(problem.glacier[rows]).map(numbers).to_numpy() >= MIN_YEARS]
        return PerGlacierFit(problem.take(rows), self.strength)

    def from_dict(self, saved: Mapping[str, Any]) -> "PerGlacierFit":
        """What ``to_dict`` gave.

        Raises
        ------
        ValueError
            If no glacier has enough records for a line.
        """
        strength = between(saved["strength"], "strength", 0.0, STRONGEST)
        fitted = PerGlacierFit(records_from_dict(saved), strength)
        if fitted.lines.empty:
            raise ValueError(f"no glacier has {MIN_YEARS} records")
        return fitted


@dataclass(frozen=True)
class PerGlacierFit:
    """A line for each glacier with enough records."""

    records: Problem
    strength: float

    @cached_property
    def lines(self) -> pd.DataFrame:
        """For each glacier: n, mean and (ridge's) squares of the snow fraction, mean balance, slope, residual."""
        lines = {}
        for glacier, where in self.records.rows.groupby("glacier").indices.items():
            x, y = self.records.design[where, 0], self.records.observed[where]
            squares = ((x - x.mean()) ** 2).sum()
            if x.size < MIN_YEARS - 1 or np.ptp(x) <= CONSTANT:
                continue
            squares *= 1 + self.strength / x.size
            slope = ((x - x.mean()) * (y - y.mean())).sum() / squares
            residual = y - y.mean() - slope * (x - x.mean())
            variance = (residual**2).sum() / (x.size - 2)
            lines[glacier] = {"n": x.size, "x": x.mean(), "squares": squares, "y": y.mean(), "slope": slope,
                              "variance": variance}  # fmt: skip
        return pd.DataFrame.from_dict(lines, "index", columns=["n", "x", "squares", "y", "slope", "variance"])

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record; NaN for glaciers with fewer records. [m w.e.]"""
        line = self.lines.reindex(problem.glacier[rows]).astype(float)
        away = problem.design[rows, 0] - line.x.to_numpy()
        mean = line.y.to_numpy() + line.slope.to_numpy() * away
        spread = np.sqrt(line.variance.to_numpy() * (1 + 1 / line.n.to_numpy() + away**2 / line.squares.to_numpy()))
        half = student.ppf(TAILS[1], line.n.to_numpy() - 2) * spread
        return Prediction(mean, mean - half, mean + half)

    def to_dict(self) -> dict[str, Any]:
        """The records and the strength."""
        return {**records_to_dict(self.records), "strength": self.strength}

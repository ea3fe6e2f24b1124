"""Eq. 2 of Maslov et al. (2026): one regression for all glaciers.

balance = b0 + b1 A_snow/A + b2 (h_snow - h_mean)/(h_max - h_min) + b3 albedo, with h_snow the 5th percentile of the
elevations of snow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ... import folds
from .. import judge
from ..problem import Problem
from .base import TAILS, Prediction, Standard, between, records_from_dict, records_to_dict
from .censored import class_of

STRENGTHS = np.logspace(-3, 3, 13)
CHOOSING = 5
"""Folds of glaciers by which the strength is chosen."""

FOLDS = 6
"""Folds of glaciers whose residuals make the interval."""

DRAWS = 400
ENOUGH = 30
"""Records of a class of accumulation area ratios that make an interval of their own."""


@dataclass(frozen=True)
class Line:
    """Ridge of a given strength on standardised predictors, without an interval."""

    strength: float

    def fit(self, problem: Problem, rows: np.ndarray) -> "LineFit":
        """Fit to records."""
        return LineFit(problem.design[rows], problem.observed[rows], self.strength)


@dataclass(frozen=True)
class LineFit:
    """Intercept and weights of standardised predictors."""

    design: np.ndarray
    """Predictors of the records. (record, predictor)"""
    observed: np.ndarray
    strength: float

    @cached_property
    def standard(self) -> Standard:
        """Units of the predictors."""
        return Standard.of(self.design)

    @cached_property
    def weights(self) -> np.ndarray:
        """Intercept and weights of the standardised predictors. [m w.e.]"""
        return self.resampled(np.ones((1, len(self.observed))))[0]

    def resampled(self, multiplicity: np.ndarray) -> np.ndarray:
        """Intercept and weights for the records taken so many times. (draw, 1 + predictor)"""
        design = self.with_one(self.design)
        penalty = self.strength * np.diag([0.0, *np.ones(design.shape[1] - 1)])
        normal = np.einsum("dn,ni,nj->dij", multiplicity, design, design, optimize=True) + penalty
        right = np.einsum("dn,ni,n->di", multiplicity, design, self.observed, optimize=True)
        return np.linalg.solve(normal, right[..., None])[..., 0]

    def with_one(self, design: np.ndarray) -> np.ndarray:
        """Standardised predictors behind a column of ones."""
        return np.column_stack([np.ones(len(design)), self.standard(design)])

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances, without an interval. [m w.e.]"""
        mean = self.weights[0] + self.standard(problem.design[rows]) @ self.weights[1:]
        return Prediction.nothing(len(rows))._replace(mean=mean)


@dataclass(frozen=True)
class Ridge:
    """Ridge whose strength is chosen by glaciers left out of the records."""

    title: ClassVar[str] = "Eq. 2 of Maslov et al. (2026): ridge, the same for all glaciers"
    leaves_out: ClassVar[str] = "glacier"

    def fit(self, problem: Problem, rows: np.ndarray) -> "RidgeFit":
        """Fit to records."""
        records = problem.take(rows)
        strength = STRENGTHS[STRENGTHS.size // 2]
        if np.unique(records.glacier).size > 2:
            splits = list(folds.splits(folds.by_group(records.glacier, CHOOSING)))
            strength = judge.best(records, {s: Line(s) for s in STRENGTHS}, splits)
        return RidgeFit(records, float(strength))

    def from_dict(self, saved: Mapping[str, Any]) -> "RidgeFit":
        """What ``to_dict`` gave."""
        return RidgeFit(records_from_dict(saved), between(saved["strength"], "strength", STRENGTHS[0], STRENGTHS[-1]))


@dataclass(frozen=True)
class RidgeFit:
    """A line, with an interval that adds a residual of glaciers that were held out to fits on resampled glaciers.

    The residual is one of records with about the same accumulation area ratio, if there are enough of these.
    """

    records: Problem
    strength: float

    @cached_property
    def line(self) -> LineFit:
        """Fitted to all records."""
        return Line(self.strength).fit(self.records, np.arange(len(self.records)))

    @cached_property
    def residuals(self) -> np.ndarray:
        """Of glaciers that were held out. [m w.e.]"""
        splits = folds.splits(folds.by_group(self.records.glacier, FOLDS))
        return self.records.observed - judge.out_of_fold(self.records, Line(self.strength), splits).mean

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record. [m w.e.]"""
        rng = np.random.default_rng(0)
        glacier_of, glaciers = pd.factorize(self.records.glacier)
        drawn = rng.multinomial(len(glaciers), np.full(len(glaciers), 1 / len(glaciers)), DRAWS)
        weights = self.line.resampled(drawn[:, glacier_of].astype(float))
        draws = weights @ self.line.with_one(problem.design[rows]).T
        classes, of_records = class_of(problem.design[rows]), class_of(self.records.design)
        for k in np.unique(classes):
            alike = self.residuals[of_records == k]
            residuals = alike if alike.size >= ENOUGH else self.residuals
            draws[:, classes == k] += np.random.default_rng(k).choice(residuals, (DRAWS, 1))
        return Prediction(self.line.predict(problem, rows).mean, *np.quantile(draws, TAILS, axis=0))

    def to_dict(self) -> dict[str, Any]:
        """The records and the strength."""
        return {**records_to_dict(self.records), "strength": self.strength}

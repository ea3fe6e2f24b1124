"""Partial pooling: Eq. 2 with what is particular to a glacier and to a year, as far as the records tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.stats import t as student

from ..problem import Problem
from .base import TAILS, Prediction, Standard, between, records_from_dict, records_to_dict

PRIOR = (3.0, 0.2, 0.15, 0.5)
"""Variances of the slope, of glaciers, of their slopes and of years relative to that of the residual: what the records
of the World Glacier Monitoring Service since 1980 have (``examples/wgms.py``)."""

PRIOR_SPREAD = 1.0
"""Standard deviation of the logarithms of these ratios."""

LIKELY = (float(np.exp(-9)), float(np.exp(7)))
"""Bounds of these ratios."""


@dataclass(frozen=True)
class Pooled:
    """A regression between one for all glaciers and one for each.

    balance = b0 + x b + u(glacier) + v(glacier) snow fraction + w(year) + e

    b, u, v, w and e are normal with mean 0; the four ratios of their variances to that of e are the likeliest ones
    (restricted likelihood, b0 free, and ``PRIOR`` for what few records cannot tell). A glacier with many records gets
    its own line, one with two a compromise, one without records Eq. 2; a year with records of other glaciers gets
    their anomaly.
    """

    title: ClassVar[str] = "partial pooling between glaciers and years"
    leaves_out: ClassVar[str] = "glacier"

    def fit(self, problem: Problem, rows: np.ndarray) -> "PooledFit":
        """Fit to records."""
        records, start = problem.take(rows), np.log(PRIOR)
        model = PooledFit(records, PRIOR)

        def cost(logarithms: np.ndarray) -> float:
            away = (logarithms - start) / PRIOR_SPREAD
            return model.minus_two_log_likelihood(np.exp(logarithms)) + (away**2).sum()

        best = minimize(cost, start, method="L-BFGS-B", bounds=[tuple(np.log(LIKELY))] * len(PRIOR))
        return PooledFit(records, tuple(map(float, np.exp(best.x))))

    def from_dict(self, saved: Mapping[str, Any]) -> "PooledFit":
        """What ``to_dict`` gave.

        Raises
        ------
        ValueError
            If the ratios are not four numbers that a fit can give.
        """
        ratios = tuple(between(ratio, "a ratio of variances", *LIKELY) for ratio in saved["ratios"])
        if len(ratios) != len(PRIOR):
            raise ValueError(f"there are {len(ratios)} ratios of variances, not {len(PRIOR)}")
        return PooledFit(records_from_dict(saved), ratios)


@dataclass(frozen=True)
class PooledFit:
    """The most probable coefficients, given the ratios of the variances."""

    records: Problem
    ratios: tuple[float, ...]
    """Variance of b, u, v and w relative to that of e."""

    @cached_property
    def standard(self) -> Standard:
        """Units of the predictors."""
        return Standard.of(self.records.design)

    @cached_property
    def _levels(self) -> tuple[pd.Index, pd.Index]:
        return pd.Index(pd.unique(self.records.glacier)), pd.Index(pd.unique(self.records.balance_year))

    def _columns(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """(row, 1 + predictors + glaciers + glaciers + years); what the records do not know is 0."""
        x = self.standard(problem.design[rows])
        glaciers, years = self._levels
        of_glacier = glaciers.get_indexer(problem.glacier[rows])[:, None] == np.arange(len(glaciers))
        of_year = years.get_indexer(problem.balance_year[rows])[:, None] == np.arange(len(years))
        return np.hstack([np.ones((len(x), 1)), x, of_glacier, of_glacier * x[:, :1], of_year])

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray, float]:
        z, y = self._columns(self.records, np.arange(len(self.records))), self.records.observed
        return z.T @ z, z.T @ y, float(y @ y)

    def _prior(self, ratios) -> np.ndarray:
        """Variance of each column's coefficient, relative to that of e; of the intercept it is boundless."""
        glaciers, years = self._levels
        counts = len(self.records.predictors), len(glaciers), len(glaciers), len(years)
        return np.concatenate([[1e8], np.repeat(ratios, counts)])

    def minus_two_log_likelihood(self, ratios) -> float:
        """Restricted likelihood of some ratios, but for a constant."""
        gram, right, square = self._products
        prior = self._prior(ratios)
        factor = cho_factor(gram + np.diag(1 / prior), lower=True)
        rest = max(square - right @ cho_solve(factor, right), 1e-12)
        degrees = len(self.records) - 1
        return degrees * np.log(rest / degrees) + 2 * np.log(np.diag(factor[0])).sum() + np.log(prior[1:]).sum()

    @cached_property
    def posterior(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean of the coefficients, their covariance relative to the variance of e, and that variance."""
        gram, right, square = self._products
        covariance = np.linalg.inv(gram + np.diag(1 / self._prior(self.ratios)))
        mean = covariance @ right
        return mean, covariance, max(float(square - right @ mean), 0.0) / (len(self.records) - 1)

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record. [m w.e.]"""
        z, (coefficients, covariance, noise) = self._columns(problem, rows), self.posterior
        glaciers, years = self._levels
        known_glacier = glaciers.get_indexer(problem.glacier[rows]) >= 0
        known_year = years.get_indexer(problem.balance_year[rows]) >= 0
        _, u, v, w = self.ratios
        x = self.standard(problem.design[rows])[:, 0]
        unknown = np.where(known_glacier, 0, u + v * x**2) + np.where(known_year, 0, w)
        spread = np.sqrt(noise * (1 + unknown + np.einsum("ni,ij,nj->n", z, covariance, z)))
        degrees = np.where(known_glacier, len(self.records), len(glaciers)) - 1
        half = student.ppf(TAILS[1], np.maximum(degrees, 1)) * spread
        mean = z @ coefficients
        return Prediction(mean, mean - half, mean + half)

    def to_dict(self) -> dict[str, Any]:
        """The records and the ratios of the variances."""
        return {**records_to_dict(self.records), "ratios": list(self.ratios)}

"""Partial pooling: Eq. 2 with what is particular to a glacier and to a region's year, as far as the records tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.stats import t as student

from ..problem import Problem
from ..regions import Regions
from .base import COVERED, TAILS, Prediction, Standard, between, records_from_dict, records_to_dict
from .censored import bent, class_of

PRIOR = {
    (True, True): (1.1, 0.3, 0.3, 1.2),
    (True, False): (1.3, 0.4, 0.3, 0.0),
    (False, True): (0.7, 0.0, 0.0, 1.2),
    (False, False): (0.8, 0.0, 0.0, 0.0),
}
"""Variances of the slopes b, of glaciers u, of their slopes v and of a region's years w relative to that of the
residual, for rows of which (the glacier, the region's year) has records: what the records of the World Glacier
Monitoring Service since 1980 have (``examples/wgms.py``). Zero: there is no such term."""

SPREAD = (2.6, 0.8, 0.4, 1.0)
"""Variance of the residual in each class of accumulation area ratios relative to the mean one, in the same records."""

RECORDS_OF_SPREAD = 20
"""Records of a class that weigh as much as ``SPREAD``."""

PRIOR_SPREAD = 1.0
"""Standard deviation of the logarithms of these ratios."""

LIKELY = (float(np.exp(-9)), float(np.exp(7)))
"""Bounds of these ratios."""

STEP = 300.0
"""Glaciers within this distance of one another are of one region. It matters little: with glaciers left out the World
Glacier Monitoring Service's records since 2000 have an RMSE of .399, .401 and .395 m w.e. with 150, 300 and 600 km.
[km]"""

LEAST_SPREAD = (0.1, 0.06)
"""Least unit of the two columns of the bend: where hardly a record passes it, no row is many units away."""

YEARS = 10_000
"""More than there are years of a region."""


@dataclass(frozen=True)
class Pooled:
    """A regression between one for all glaciers and one for each.

    balance = b0 + x b + u(glacier) + v(glacier) snow fraction + w(region, year) + e

    x are the predictors, the snow fraction bent (:mod:`.censored`); b, u, v, w and e are normal with mean 0, the
    variance of e depending on the snow fraction; the ratios of their variances to that of e are the likeliest ones
    (restricted likelihood, b0 free, and ``PRIOR`` for what few records cannot tell). A glacier with many records gets
    its own line, one with two a compromise; a year in which other glaciers of the region have records gets their
    anomaly.

    What is known of a row decides which terms its fit has: where neither glacier nor year have records, the fit is
    Eq. 2, bent. A slope next to w is that between the glaciers of one year, a slope next to u that between the years
    of one glacier; neither holds for a row whose w or u is not known.
    """

    title: ClassVar[str] = "partial pooling between glaciers and between the years of a region"
    leaves_out: ClassVar[str] = "glacier"

    def fit(self, problem: Problem, rows: np.ndarray) -> "Cases":
        """Fit to records."""
        return Cases(problem.take(rows))

    def from_dict(self, saved: Mapping[str, Any]) -> "Cases":
        """What ``to_dict`` gave.

        Raises
        ------
        ValueError
            If the ratios are not numbers that a fit can give.
        """
        records, fits = records_from_dict(saved), {}
        for (case, prior), of_case in zip(PRIOR.items(), saved["cases"], strict=True):
            ratios = tuple(
                between(ratio, "a ratio of variances", *(LIKELY if usual else (0.0, 0.0)))
                for usual, ratio in zip(prior, of_case["ratios"], strict=True)
            )
            spread, width = (
                tuple(between(number, f"a {name}", *LIKELY) for _, number in zip(SPREAD, of_case[name], strict=True))
                for name in ("spread", "width")
            )
            fits[case] = PooledFit(records, ratios, spread, width)
        return Cases(records, fits)


@dataclass(frozen=True)
class Cases:
    """A fit for each case of what is known of a row: (its glacier, its region's year); made when it is asked for."""

    records: Problem
    fits: dict[tuple[bool, bool], "PooledFit"] = field(default_factory=dict)

    def fitted(self, case: tuple[bool, bool]) -> "PooledFit":
        """The fit of a case."""
        if case not in self.fits:
            self.fits[case] = widened(likeliest(self.records, PRIOR[case]), case)
        return self.fits[case]

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record. [m w.e.]"""
        glacier, year = PooledFit(self.records, PRIOR[True, True]).known(problem, rows)
        out = Prediction.nothing(len(rows))
        for case in PRIOR:
            here = (glacier == case[0]) & (year == case[1])
            if here.any():
                out.put(here, self.fitted(case).predict(problem, rows[here]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """The records and the ratios of the variances."""
        cases = [
            {"ratios": list(fitted.ratios), "spread": list(fitted.spread), "width": list(fitted.width)}
            for fitted in map(self.fitted, PRIOR)
        ]
        return {**records_to_dict(self.records), "cases": cases}


def likeliest(records: Problem, prior: tuple[float, ...]) -> "PooledFit":
    """The fit with the likeliest ratios of the variances, the spread by classes taken from its residuals."""
    usual = PooledFit(records, prior, SPREAD)
    return _likeliest(replace(usual, spread=usual.spread_of_residuals()), prior)


def widened(fitted: "PooledFit", case: tuple[bool, bool]) -> "PooledFit":
    """The fit whose intervals would have held 95 % of the records, had their glacier or year been left out.

    Parameters
    ----------
    fitted : PooledFit
    case : (bool, bool)
        Whether glaciers, and regions' years, of the rows to be predicted have records; those that have none are left
        out by turns, and what both ask for adds up.
    """
    records = fitted.records
    rows = np.arange(len(records))
    sorts = [groups for known, groups in zip(case, fitted.levels(records, rows), strict=True) if not known] or [rows]
    classes, scale = class_of(records.design), np.ones(len(SPREAD))
    for groups in sorts:
        away = fitted.left_out(groups, new_glacier=not case[0])
        for k in range(len(SPREAD)):
            of_class = away[classes == k]
            if (n := of_class.size) > 0:
                needed = np.quantile(of_class, min(COVERED * (1 + 1 / n), 1.0))
                scale[k] += n * max(needed - 1, 0) / (RECORDS_OF_SPREAD + n)
    return replace(fitted, width=tuple(map(float, scale)))


def _likeliest(fitted: "PooledFit", prior: tuple[float, ...]) -> "PooledFit":
    terms = np.array(prior) > 0
    centre = np.log(np.array(prior)[terms])

    def ratios(logarithms: np.ndarray) -> tuple[float, ...]:
        full = np.zeros(len(prior))
        full[terms] = np.exp(logarithms)
        return tuple(map(float, full))

    def cost(logarithms: np.ndarray) -> float:
        away = (logarithms - centre) / PRIOR_SPREAD
        return fitted.minus_two_log_likelihood(ratios(logarithms)) + (away**2).sum()

    start = np.log(np.array(fitted.ratios)[terms])
    best = minimize(cost, start, method="L-BFGS-B", bounds=[tuple(np.log(LIKELY))] * len(start))
    return replace(fitted, ratios=ratios(best.x))


@dataclass(frozen=True)
class PooledFit:
    """The most probable coefficients, given the ratios of the variances."""

    records: Problem
    ratios: tuple[float, ...]
    """Variance of b, u, v and w relative to that of e; 0 where there is no such term."""
    spread: tuple[float, ...] = (1.0,) * len(SPREAD)
    """Variance of e in each class of accumulation area ratios, relative to that of e."""
    width: tuple[float, ...] = (1.0,) * len(SPREAD)
    """By which the intervals in each class are wider than those of normal errors."""

    @cached_property
    def standard(self) -> Standard:
        """Units of the predictors."""
        standard = Standard.of(bent(self.records.design))
        least = np.append(np.zeros(self.records.design.shape[1]), LEAST_SPREAD)
        return Standard(standard.centre, np.maximum(standard.spread, least))

    @cached_property
    def regions(self) -> Regions:
        """Of the glaciers with records."""
        return Regions.of(self.records.position, STEP)

    @cached_property
    def _glaciers(self) -> pd.Index:
        return pd.Index(pd.unique(self.records.glacier))

    @cached_property
    def _years(self) -> pd.Index:
        return pd.Index(np.unique(self._codes(self.records, np.arange(len(self.records)))))

    def _codes(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """A number for each region and year, -1 where the region has no records."""
        region = self.regions(problem.position[:, rows])
        return np.where(region >= 0, region * YEARS + problem.balance_year[rows].astype(int), -1)

    def known(self, problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the glacier, and whether the region's year, of each row have records."""
        glacier, year = self.levels(problem, rows)
        return glacier >= 0, year >= 0

    def levels(self, problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position of each row's glacier and region's year among those with records, -1 if it is not among them."""
        return self._glaciers.get_indexer(problem.glacier[rows]), self._years.get_indexer(self._codes(problem, rows))

    def _columns(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """(row, 1 + bent predictors + glaciers + glaciers + years); what the records do not know is 0.

        ::

            1 | x1 x2 x3 | . 1 . . | .  x1 . . | . . 1 . .
                           own line's           year of
                           offset and slope     the region
        """
        x = self.standard(bent(problem.design[rows]))
        glacier, year = self.levels(problem, rows)
        of_glacier = (glacier[:, None] == np.arange(len(self._glaciers))).astype(float)
        of_year = (year[:, None] == np.arange(len(self._years))).astype(float)
        blocks = x, of_glacier, of_glacier * x[:, :1], of_year
        return np.hstack(
            [np.ones((len(x), 1)), *(block for block, ratio in zip(blocks, self.ratios, strict=True) if ratio)]
        )

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray, float]:
        z, y = self._columns(self.records, np.arange(len(self.records))), self.records.observed
        weighted = z / self._spread_of(self.records.design)[:, None]
        return weighted.T @ z, weighted.T @ y, float((y**2 / self._spread_of(self.records.design)).sum())

    def _spread_of(self, design: np.ndarray) -> np.ndarray:
        """Variance of e of each row relative to that of e."""
        return np.array(self.spread)[class_of(design)]

    def spread_of_residuals(self) -> tuple[float, ...]:
        """Variance of the residuals in each class relative to the mean, drawn to ``SPREAD`` where records are few."""
        coefficients, _, noise = self.posterior
        residual = self.records.observed - self._columns(self.records, np.arange(len(self.records))) @ coefficients
        classes = class_of(self.records.design)
        number = np.bincount(classes, minlength=len(SPREAD))
        squares = np.bincount(classes, residual**2, len(SPREAD)) / max(noise, 1e-12)
        drawn = (RECORDS_OF_SPREAD * np.array(SPREAD) + squares) / (RECORDS_OF_SPREAD + number)
        return tuple(map(float, np.clip(drawn * number.sum() / (number @ drawn), *LIKELY)))

    def _prior(self, ratios) -> np.ndarray:
        """Variance of each column's coefficient, relative to that of e; of the intercept it is boundless."""
        glaciers, years = len(self._glaciers), len(self._years)
        counts = self.standard.centre.size, glaciers, glaciers, years
        terms = [np.repeat(ratio, count) for ratio, count in zip(ratios, counts, strict=True) if ratio]
        return np.concatenate([[1e8], *terms])

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

    def left_out(self, groups: np.ndarray, *, new_glacier: bool) -> np.ndarray:
        """Distance of each record from its prediction without its group, relative to half the interval.

        Without a group c the coefficients are those of the normal equations less c's part of them, so no fit is
        repeated (the variances stay): with H = Zc C Zc' / spread, residuals r become (1 - H)^-1 r.
        """
        z = self._columns(self.records, np.arange(len(self.records)))
        (coefficients, covariance, noise), own = self.posterior, self._spread_of(self.records.design)
        residual, away = self.records.observed - z @ coefficients, np.empty(len(z))
        half = student.ppf(TAILS[1], np.maximum(self._degrees(new_glacier), 1))
        for group in np.unique(groups):
            c = np.flatnonzero(groups == group)
            leverage = z[c] @ covariance @ z[c].T
            rest = np.linalg.inv(np.eye(c.size) - leverage / own[c])
            spread = np.sqrt(noise * (own[c] + np.diag(rest @ leverage)))
            away[c] = np.abs(rest @ residual[c]) / (half * spread)
        return away

    def _degrees(self, new_glacier) -> np.ndarray:
        """Degrees of freedom of an interval."""
        return np.where(new_glacier, len(self._glaciers), len(self.records)) - 1

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record. [m w.e.]"""
        z, (coefficients, covariance, noise) = self._columns(problem, rows), self.posterior
        glacier, year = self.known(problem, rows)
        _, u, v, w = self.ratios
        x = self.standard(bent(problem.design[rows]))[:, 0]
        unknown = np.where(glacier, 0, u + v * x**2) + np.where(year, 0, w)
        own = self._spread_of(problem.design[rows])
        spread = np.sqrt(noise * (own + unknown + np.einsum("ni,ij,nj->n", z, covariance, z)))
        half = student.ppf(TAILS[1], np.maximum(self._degrees(~glacier), 1)) * spread
        half *= np.array(self.width)[class_of(problem.design[rows])]
        mean = z @ coefficients
        return Prediction(mean, mean - half, mean + half)

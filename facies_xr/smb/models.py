"""Regressions of balance on what maps show: one for all glaciers, one for each, and one between the two.

Each is fitted to a table of records with its predictors, and predicts a table with an interval for a new record.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.stats import t as student

from .. import folds

PREDICTORS = ("snow_fraction", "snow_line_relative", "albedo")
COVERED = 0.95
STRENGTHS = np.logspace(-3, 3, 13)
FOLDS = 6
DRAWS = 400
MIN_YEARS = 4
"""Records of a glacier that Eq. 3 needs."""

PRIOR = (3.0, 0.2, 0.15, 0.5)
"""Variances of the slope, of glaciers, of their slopes and of years relative to that of the residual: what the records
of the World Glacier Monitoring Service since 1980 have (``examples/wgms.py``)."""

PRIOR_SPREAD = 1.0
"""Standard deviation of the logarithms of these ratios."""

CONSTANT = 1e-9
"""Predictors that vary less do not vary."""

_TAILS = ((1 - COVERED) / 2, (1 + COVERED) / 2)


class Model(Protocol):
    """What every regression can do."""

    rows: pd.DataFrame
    """The records."""
    title: ClassVar[str]
    leaves_out: ClassVar[str]
    """What is held out together to judge it: "glacier" or "year"."""

    @classmethod
    def fit(cls, rows: pd.DataFrame, names: tuple[str, ...] = PREDICTORS) -> Self:
        """Fit to records: columns ``glacier``, ``balance_year``, ``observed`` [m w.e.] and those of ``names``."""

    @classmethod
    def restored(cls, rows: pd.DataFrame, names: tuple[str, ...], hyperparameters: dict) -> Self:
        """The fit to these records that had these hyperparameters."""

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the records alone do not give at once."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Balances; NaN where the records do not suffice. [m w.e.]"""

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """Ends of the 95 % interval of a new record of each row. (2, row) [m w.e.]"""


@dataclass(frozen=True)
class Standard:
    """Predictors in units of their spread among the records."""

    names: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, names: tuple[str, ...]) -> "Standard":
        """Centre and spread of some columns."""
        x = rows[list(names)].to_numpy(float)
        centre, spread = x.mean(0), x.std(0)
        return cls(names, centre, np.where(spread > CONSTANT * np.maximum(1, np.abs(centre)), spread, 1.0))

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        """Standardised (row, predictor)."""
        return (rows[list(self.names)].to_numpy(float) - self.centre) / self.spread


# -- Eq. 2: one regression for all glaciers ---------------------------------------------------------------------


@dataclass(frozen=True)
class Ridge(Model):
    """Eq. 2 of Maslov et al. (2026): ridge on standardised predictors, shared by all glaciers.

    The strength is chosen by validation on glaciers left out of the rows. The interval adds a residual of glaciers
    that were held out to fits on resampled glaciers.
    """

    rows: pd.DataFrame
    standard: Standard
    strength: float
    title: ClassVar[str] = "Eq. 2 of Maslov et al. (2026): ridge, the same for all glaciers"
    leaves_out: ClassVar[str] = "glacier"

    @classmethod
    def fit(cls, rows: pd.DataFrame, names: tuple[str, ...] = PREDICTORS) -> "Ridge":
        """Fit to records; columns ``glacier``, ``observed`` and those of ``names``."""
        strength = STRENGTHS[STRENGTHS.size // 2]
        if rows.glacier.nunique() > 2:
            parts = list(folds.splits(folds.by_group(rows.glacier.to_numpy(), 5)))
            errors = [
                sum(
                    ((cls.with_strength(rows.iloc[fit], names, s).predict(rows.iloc[test]) - rows.observed.iloc[test])
                     ** 2).sum()
                    for fit, test in parts
                )
                for s in STRENGTHS
            ]  # fmt: skip
            strength = STRENGTHS[int(np.argmin(errors))]
        return cls.with_strength(rows, names, strength)

    @classmethod
    def with_strength(cls, rows: pd.DataFrame, names: tuple[str, ...], strength: float) -> "Ridge":
        """Fit with a given strength."""
        return cls(rows, Standard.of(rows, names), float(strength))

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The strength of the ridge."""
        return {"strength": self.strength}

    @classmethod
    def restored(cls, rows: pd.DataFrame, names: tuple[str, ...], hyperparameters: dict) -> "Ridge":
        """The fit that had these hyperparameters."""
        return cls.with_strength(rows, names, hyperparameters["strength"])

    @cached_property
    def weights(self) -> np.ndarray:
        """Intercept and weights of the standardised predictors. [m w.e.]"""
        return self._solved(np.ones((1, len(self.rows))))[0]

    def _solved(self, multiplicity: np.ndarray) -> np.ndarray:
        """Intercept and weights for the rows taken so many times. (draw, 1 + predictor)"""
        design = np.column_stack([np.ones(len(self.rows)), self.standard(self.rows)])
        penalty = self.strength * np.diag([0.0, *np.ones(design.shape[1] - 1)])
        normal = np.einsum("dn,ni,nj->dij", multiplicity, design, design, optimize=True) + penalty
        right = np.einsum("dn,ni,n->di", multiplicity, design, self.rows.observed.to_numpy(float), optimize=True)
        return np.linalg.solve(normal, right[..., None])[..., 0]

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Balances. [m w.e.]"""
        return self.weights[0] + self.standard(rows) @ self.weights[1:]

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """Ends of the interval of a new record of each row. (2, row) [m w.e.]"""
        rng = np.random.default_rng(0)
        owner, glaciers = pd.factorize(self.rows.glacier)
        drawn = rng.multinomial(len(glaciers), np.full(len(glaciers), 1 / len(glaciers)), DRAWS)
        weights = self._solved(drawn[:, owner].astype(float))
        design = np.column_stack([np.ones(len(rows)), self.standard(rows)])
        draws = weights @ design.T + rng.choice(self._held_out, (DRAWS, 1))
        return np.quantile(draws, _TAILS, axis=0)

    @cached_property
    def _held_out(self) -> np.ndarray:
        """Residuals of glaciers that were held out."""
        residual = np.empty(len(self.rows))
        for fit, test in folds.splits(folds.by_group(self.rows.glacier.to_numpy(), FOLDS)):
            held_out = self.with_strength(self.rows.iloc[fit], self.standard.names, self.strength)
            residual[test] = self.rows.observed.iloc[test] - held_out.predict(self.rows.iloc[test])
        return residual


# -- Eq. 3: one for each glacier --------------------------------------------------------------------------------


@dataclass(frozen=True)
class PerGlacier(Model):
    """Eq. 3 of Maslov et al. (2026): a line on the snow fraction for each glacier with at least four records."""

    rows: pd.DataFrame
    title: ClassVar[str] = "Eq. 3 of Maslov et al. (2026): a line for each glacier"
    leaves_out: ClassVar[str] = "year"

    @classmethod
    def fit(cls, rows: pd.DataFrame, names: tuple[str, ...] = PREDICTORS) -> "PerGlacier":
        """Fit to records; columns ``glacier``, ``snow_fraction``, ``observed``."""
        return cls(rows)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """None."""
        return {}

    @classmethod
    def restored(cls, rows: pd.DataFrame, names: tuple[str, ...], hyperparameters: dict) -> "PerGlacier":
        """The same fit."""
        return cls(rows)

    @cached_property
    def lines(self) -> pd.DataFrame:
        """For each glacier: n, mean and sum of squares of the snow fraction, mean balance, slope, residual."""
        found = {}
        for glacier, own in self.rows.groupby("glacier"):
            x, y = own.snow_fraction.to_numpy(float), own.observed.to_numpy(float)
            squares = ((x - x.mean()) ** 2).sum()
            if len(own) < MIN_YEARS or np.ptp(x) <= CONSTANT:
                continue
            slope = ((x - x.mean()) * (y - y.mean())).sum() / squares
            residual = y - y.mean() - slope * (x - x.mean())
            variance = (residual**2).sum() / (len(own) - 2)
            found[glacier] = {"n": len(own), "x": x.mean(), "squares": squares, "y": y.mean(), "slope": slope,
                              "variance": variance}  # fmt: skip
        return pd.DataFrame.from_dict(found, "index", columns=["n", "x", "squares", "y", "slope", "variance"])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Balances; NaN for glaciers with fewer records. [m w.e.]"""
        line = self.lines.reindex(rows.glacier).astype(float)
        return line.y.to_numpy() + line.slope.to_numpy() * (rows.snow_fraction.to_numpy(float) - line.x.to_numpy())

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """Ends of the interval of a new record of each row. (2, row) [m w.e.]"""
        line = self.lines.reindex(rows.glacier).astype(float)
        away = (rows.snow_fraction.to_numpy(float) - line.x.to_numpy()) ** 2 / line.squares.to_numpy()
        spread = np.sqrt(line.variance.to_numpy() * (1 + 1 / line.n.to_numpy() + away))
        half = student.ppf(_TAILS[1], line.n.to_numpy() - 2) * spread
        return self.predict(rows) + np.array([[-1.0], [1.0]]) * half


# -- between the two --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pooled(Model):
    """Partial pooling: Eq. 2 with what is particular to a glacier and to a year, as far as the records tell it.

    balance = b0 + x b + u(glacier) + v(glacier) snow fraction + w(year) + e

    b, u, v, w and e are normal with mean 0; the four ratios of their variances to that of e are the likeliest ones
    (restricted likelihood, b0 free, and ``PRIOR`` for what few records cannot tell). A glacier with many records gets
    its own line, one with two a compromise, one without records Eq. 2; a year with records of other glaciers gets
    their anomaly.
    """

    rows: pd.DataFrame
    standard: Standard
    ratios: tuple[float, float, float, float]
    """Variance of b, u, v and w relative to that of e."""
    title: ClassVar[str] = "partial pooling between glaciers and years"
    leaves_out: ClassVar[str] = "glacier"

    @classmethod
    def fit(cls, rows: pd.DataFrame, names: tuple[str, ...] = PREDICTORS) -> "Pooled":
        """Fit to records; columns ``glacier``, ``balance_year``, ``observed`` and those of ``names``."""
        start = np.log(PRIOR)
        model = cls.restored(rows, names, {"ratios": PRIOR})

        def cost(logarithms: np.ndarray) -> float:
            away = (logarithms - start) / PRIOR_SPREAD
            return model._minus_two_log_likelihood(np.exp(logarithms)) + (away**2).sum()

        best = minimize(cost, start, method="L-BFGS-B", bounds=[(-9, 7)] * 4)
        return cls.restored(rows, names, {"ratios": np.exp(best.x)})

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The ratios of the variances."""
        return {"ratios": list(map(float, self.ratios))}

    @classmethod
    def restored(cls, rows: pd.DataFrame, names: tuple[str, ...], hyperparameters: dict) -> "Pooled":
        """The fit that had these hyperparameters."""
        b, u, v, w = (float(ratio) for ratio in hyperparameters["ratios"])
        if min(b, u, v, w) <= 0:
            raise ValueError("a ratio of variances is not positive")
        return cls(rows, Standard.of(rows, names), (b, u, v, w))

    @cached_property
    def _levels(self) -> tuple[pd.Index, pd.Index]:
        return pd.Index(self.rows.glacier.unique()), pd.Index(self.rows.balance_year.unique())

    def _design(self, rows: pd.DataFrame) -> np.ndarray:
        """(row, 1 + predictors + glaciers + glaciers + years); what the records do not know is 0."""
        x = self.standard(rows)
        glaciers, years = self._levels
        own = (glaciers.get_indexer(rows.glacier)[:, None] == np.arange(len(glaciers))).astype(float)
        year = (years.get_indexer(rows.balance_year)[:, None] == np.arange(len(years))).astype(float)
        return np.hstack([np.ones((len(rows), 1)), x, own, own * x[:, :1], year])

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray, float]:
        z, y = self._design(self.rows), self.rows.observed.to_numpy(float)
        return z.T @ z, z.T @ y, float(y @ y)

    def _prior(self, ratios) -> np.ndarray:
        """Variance of each column's coefficient, relative to that of e; of the intercept it is boundless."""
        glaciers, years = self._levels
        counts = len(self.standard.names), len(glaciers), len(glaciers), len(years)
        return np.concatenate([[1e8], np.repeat(ratios, counts)])

    def _minus_two_log_likelihood(self, ratios) -> float:
        gram, right, square = self._products
        prior = self._prior(ratios)
        factor = cho_factor(gram + np.diag(1 / prior), lower=True)
        rest = max(square - right @ cho_solve(factor, right), 1e-12)
        degrees = len(self.rows) - 1
        return degrees * np.log(rest / degrees) + 2 * np.log(np.diag(factor[0])).sum() + np.log(prior[1:]).sum()

    @cached_property
    def _posterior(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean of the coefficients, their covariance relative to the variance of e, and that variance."""
        gram, right, square = self._products
        covariance = np.linalg.inv(gram + np.diag(1 / self._prior(self.ratios)))
        mean = covariance @ right
        return mean, covariance, float((square - right @ mean) / (len(self.rows) - 1))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Balances. [m w.e.]"""
        return self._design(rows) @ self._posterior[0]

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """Ends of the interval of a new record of each row. (2, row) [m w.e.]"""
        z, (mean, covariance, noise) = self._design(rows), self._posterior
        glaciers, years = self._levels
        known_glacier, known_year = rows.glacier.isin(glaciers).to_numpy(), rows.balance_year.isin(years).to_numpy()
        _, u, v, w = self.ratios
        x = self.standard(rows)[:, 0]
        unknown = np.where(known_glacier, 0, u + v * x**2) + np.where(known_year, 0, w)
        spread = np.sqrt(noise * (1 + unknown + np.einsum("ni,ij,nj->n", z, covariance, z)))
        degrees = np.where(known_glacier, len(self.rows), len(glaciers)) - 1
        half = student.ppf(_TAILS[1], np.maximum(degrees, 1)) * spread
        return z @ mean + np.array([[-1.0], [1.0]]) * half


METHODS: dict[str, type[Model]] = {"eq2": Ridge, "eq3": PerGlacier, "pooled": Pooled}

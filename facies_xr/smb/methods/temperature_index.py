"""A temperature-index model over the elevation bands of each glacier, calibrated on its records.

The referee's fair baseline of papers/002. Five parameters are fitted by least squares with exact derivatives: one set
for each glacier, drawn towards what all have in common as strongly as its records are few. Records may be annual
balances, geodetic means of several years, or both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ...errors import InputError
from ..climate.bands import Bands
from ..degreeday.parameters import SMOOTH, priors
from ..problem import Problem
from .base import Prediction, between

FITTED = ("precipitation_factor", "degree_day_factor_snow", "ice_to_snow", "rain_centre", "warming")
"""Fitted as logarithms but the last two, of the ice ratio that less 1. ``warming`` shifts the melting air. [K]"""

CENTRE = np.array([
    *(SMOOTH[name].free(SMOOTH[name].prior) for name in FITTED[:4]), 0.0
])  # fmt: skip
"""Before any record: the published priors."""

WIDE = np.array([0.5, 0.35, 0.4, 0.7, 2.0])
"""Standard deviation of the common set about them. Degree-day factors of snow lie between 2.5 and 11.6 mm K-1 d-1
(Hock 2003, table 1)."""

APART = np.array([0.35, 0.2, 0.2, 0.3, 1.0])
"""Standard deviation of a glacier's set about the common one."""

STORE_SHARPNESS = 100.0
"""Of the snow store, (m w.e.)-1: a dry cold month makes 3 cm of phantom snow, not 17, and at 5 degC bare ice melts at
1.45 times the factor of snow where 1.5 is asked for, not at 1.07; published is 20."""

STEPS, ROUNDS, SETTLED = 25, 4, 1e-2
"""Of least squares: steps, rounds for the common set and the error of a balance, and what is no step, in spreads."""

LEAST_ERROR, FIRST_ERROR = 0.1, 0.4
"""Of a modelled annual balance. [m w.e.]"""

NORMAL = 1.959964


@dataclass(frozen=True)
class TemperatureIndex:
    """Calibration of each glacier, drawn towards what all have in common."""

    sharpness: float = STORE_SHARPNESS
    geodetic: pd.DataFrame | None = None
    """Further records: columns ``glacier, first_year, last_year, balance, error`` [m w.e. a-1], of balance years."""
    year_start: str | None = None
    """First day of the balance year as month-day; by default 10-01 in the north, 04-01 in the south."""
    title: ClassVar[str] = "temperature-index model, calibrated for each glacier"
    leaves_out: ClassVar[str] = "year"
    needs_weather: ClassVar[bool] = True

    def fit(self, problem: Problem, rows: np.ndarray) -> "TemperatureIndexFit":
        """Fit to records.

        Raises
        ------
        InputError
            If the problem has no weather, weather is missing, or a record lies outside of it.
        """
        bands = Bands.of(problem, self.year_start)
        where, observed = bands.locate(problem.glacier[rows], problem.balance_year[rows]), problem.observed[rows]
        if (outside := where[1] < 0).any():
            years = ", ".join(map(str, np.unique(problem.balance_year[rows][outside])[:6]))
            raise InputError(
                f"records of {years} lie outside of the weather, which has the balance years {bands.years[0]} to "
                f"{bands.years[-1]}; leave them out, or give longer weather."
            )
        targets = _Targets.of(bands, where, observed, self.geodetic)
        error, common, own = FIRST_ERROR, CENTRE, np.tile(CENTRE, (len(bands.glaciers), 1))

        def residuals(free: np.ndarray) -> _Residuals:
            return targets.against(*balances(bands, free, self.sharpness), error)

        for _ in range(ROUNDS):
            own, covariance = least_squares(residuals, own, common, APART)
            told = float(np.sum(1 - np.diagonal(covariance, axis1=1, axis2=2) / APART**2))
            error = targets.error(residuals(own)[0], error, told)
            common, spread = common_of(own, covariance, common)
        own, covariance = least_squares(residuals, own, common, APART)
        follows = covariance / APART**2  # how a glacier's set goes with the common one
        covariance = covariance + follows @ spread @ follows.transpose(0, 2, 1)
        owner = residuals(own)[2]
        sets = {g: (own[k], covariance[k]) for k, g in enumerate(bands.glaciers) if (owner == k).any()}
        return TemperatureIndexFit(
            sets, common, spread + np.diag(APART**2), float(error), self.sharpness, self.year_start
        )

    def from_dict(self, saved: Mapping[str, Any]) -> "TemperatureIndexFit":
        """What ``to_dict`` gave."""
        sets = {str(g): _set(v["parameters"], v["covariance"]) for g, v in saved["glaciers"].items()}
        common, spread = _set(saved["common"], saved["covariance"])
        error = between(saved["error"], "error", 0.0, 10.0)
        start = saved["year_start"]
        return TemperatureIndexFit(sets, common, spread, error, between(saved["sharpness"], "sharpness", 1.0, 1e6),
                                   None if start is None else str(start))  # fmt: skip


_Residuals = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Residuals and their derivatives in units of their errors, and the set of parameters that each depends on."""


def least_squares(
    residuals: Callable[[np.ndarray], _Residuals], free: np.ndarray, centre: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sets of numbers with the least squares, each by Levenberg's and Marquardt's steps, all at once.

    Parameters
    ----------
    residuals : callable
        Of (set, parameter).
    free : ndarray (set, parameter)
        To start from.
    centre, spread : ndarray (parameter,)
        Of a normal distribution that the numbers have beforehand.

    Returns
    -------
    ndarray (set, parameter)
    ndarray (set, parameter, parameter)
        Covariance, to first order.
    """

    def judged(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        residual, jacobian, owner = residuals(at)
        cost = (((at - centre) / spread) ** 2).sum(1)
        np.add.at(cost, owner, residual**2)
        pull, hessian = -(at - centre) / spread**2, np.tile(np.diag(spread**-2.0), (len(at), 1, 1))
        np.add.at(pull, owner, jacobian * residual[:, None])
        np.add.at(hessian, owner, jacobian[:, :, None] * jacobian[:, None, :])
        return cost, pull, hessian

    damping = np.full(len(free), 1e-2)
    cost, pull, hessian = judged(free)
    for _ in range(STEPS):
        damped = hessian * (1 + damping[:, None, None] * np.eye(free.shape[1]))
        step = np.linalg.solve(damped, pull[..., None])[..., 0]
        trial = free + np.clip(step, -2 * spread, 2 * spread)
        found = judged(trial)
        better = found[0] < cost
        damping = np.where(better, damping / 3, np.minimum(damping * 4, 1e8))
        free = np.where(better[:, None], trial, free)
        cost, pull = np.where(better, found[0], cost), np.where(better[:, None], found[1], pull)
        hessian = np.where(better[:, None, None], found[2], hessian)
        if (np.abs(step) < SETTLED * spread).all():
            break
    return free, np.linalg.inv(hessian)


def common_of(own: np.ndarray, covariance: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What glaciers' sets have in common, each as far as its records tell of it, and its covariance.

    Parameters
    ----------
    own : ndarray (glacier, parameter)
        Sets, drawn towards a centre.
    covariance : ndarray (glacier, parameter, parameter)
        Of each, given that centre.
    centre : ndarray (parameter,)

    Notes
    -----
    With ``A = diag(APART^2)`` and C the covariance of a set, its records tell ``A^-1 - A^-1 C A^-1`` of the common one
    (the set itself is integrated out), which beforehand has ``CENTRE`` and ``WIDE``.
    """
    pull = APART**-2.0
    told = np.diag(pull) - pull[:, None] * covariance * pull
    of_records = np.linalg.solve(covariance, own[..., None])[..., 0] - pull * centre
    drawn = pull * (covariance @ of_records[..., None])[..., 0]
    spread = np.linalg.inv(np.diag(WIDE**-2.0) + told.sum(0))
    return spread @ (CENTRE / WIDE**2 + drawn.sum(0)), spread


def _set(parameters: Any, covariance: Any) -> tuple[np.ndarray, np.ndarray]:
    values, spread = np.asarray(parameters, float), np.asarray(covariance, float)
    if values.shape != CENTRE.shape or spread.shape != (len(CENTRE),) * 2:
        raise ValueError(f"a set of parameters has not {len(CENTRE)} numbers and their covariance")
    if not (np.isfinite(values).all() and np.isfinite(spread).all() and (np.abs(values - CENTRE) < 20 * WIDE).all()):
        raise ValueError("a parameter is not possible")
    return values, spread


def balances(bands: Bands, free: np.ndarray, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Glacier-wide annual balances, and their derivatives to the free numbers.

    Parameters
    ----------
    bands : Bands
    free : ndarray (glacier, parameter)
        In the order of :data:`FITTED`.
    sharpness : float
        Of the snow store. [(m w.e.)-1]

    Returns
    -------
    ndarray (glacier, year)
        [m w.e.]
    ndarray (glacier, year, parameter)
    """
    values = {name: (np.exp(free[:, k]) if k < 2 else free[:, k]) for k, name in enumerate(FITTED)}
    values["ice_to_snow"] = 1 + np.exp(free[:, 2])
    balance, changes = bands.run(priors()._replace(store_sharpness=sharpness), values)
    changes["ice_to_snow"] *= (values["ice_to_snow"] - 1)[:, None]
    return balance, np.stack([changes[name] for name in FITTED], -1)


@dataclass(frozen=True)
class _Targets:
    """What balances are held against: annual ones, and means of years."""

    where: tuple[np.ndarray, np.ndarray]
    observed: np.ndarray
    means: list[tuple[int, slice, float, float]]
    """Glacier, years, balance and its error."""

    @classmethod
    def of(cls, bands: Bands, where: tuple[np.ndarray, np.ndarray], observed: np.ndarray,
           geodetic: pd.DataFrame | None) -> "_Targets":  # fmt: skip
        means = []
        for row in geodetic.itertuples() if geodetic is not None else ():
            if row.glacier not in bands.glaciers:
                continue
            first, last = (int(np.searchsorted(bands.years, y)) for y in (row.first_year, row.last_year))
            if row.first_year < bands.years[0] or row.last_year > bands.years[-1]:
                raise InputError(
                    f"the geodetic balance of {row.glacier} from {row.first_year} to {row.last_year} lies outside of "
                    f"the weather, which has the balance years {bands.years[0]} to {bands.years[-1]}."
                )
            means.append((bands.glaciers.index(row.glacier), slice(first, last + 1), row.balance, row.error))
        return cls(where, observed, means)

    def against(self, balance: np.ndarray, jacobian: np.ndarray, error: float) -> "_Residuals":
        """Residuals and derivatives in units of their errors, and the glacier of each."""
        of_means = [((b - balance[g, years].mean()) / e, jacobian[g, years].mean(0) / e, g)
                    for g, years, b, e in self.means]  # fmt: skip
        residual = [(self.observed - balance[self.where]) / error, [m[0] for m in of_means]]
        derivative = [jacobian[self.where] / error, np.reshape([m[1] for m in of_means], (-1, len(CENTRE)))]
        return (np.concatenate(residual), np.concatenate(derivative),
                np.concatenate([self.where[0], np.array([m[2] for m in of_means], int)]))  # fmt: skip

    def error(self, residual: np.ndarray, before: float, parameters: float) -> float:
        """Standard deviation of an annual balance about the modelled one."""
        n = len(self.observed)
        if n <= parameters:
            return before
        return max(float(np.sqrt((residual[:n] ** 2).sum() / (n - parameters))) * before, LEAST_ERROR)


@dataclass(frozen=True)
class TemperatureIndexFit:
    """Parameters of each glacier, and those that all have in common."""

    sets: Mapping[str, tuple[np.ndarray, np.ndarray]]
    """Free numbers and their covariance."""
    common: np.ndarray
    strange: np.ndarray
    """Covariance of a glacier without records."""
    error: float
    """[m w.e.]"""
    sharpness: float
    year_start: str | None

    def parameters(self, glacier: str) -> dict[str, float]:
        """Of a glacier, in their units; of one without records those in common."""
        free = self.sets.get(glacier, (self.common, self.strange))[0]
        values = {name: float(np.exp(v) if k < 2 else v) for k, (name, v) in enumerate(zip(FITTED, free, strict=True))}
        return {**values, "ice_to_snow": float(1 + np.exp(free[2]))}

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record; NaN outside of the weather. [m w.e.]"""
        bands = Bands.of(problem, self.year_start)
        known = [self.sets.get(g, (self.common, self.strange)) for g in bands.glaciers]
        balance, jacobian = balances(bands, np.array([k[0] for k in known]), self.sharpness)
        glacier, year = bands.locate(problem.glacier[rows], problem.balance_year[rows])
        own = jacobian[glacier, year]
        variance = np.einsum("ni,nij,nj->n", own, np.array([k[1] for k in known])[glacier], own)
        mean = np.where(year >= 0, balance[glacier, year], np.nan)
        half = NORMAL * np.sqrt(self.error**2 + variance)
        return Prediction(mean, mean - half, mean + half)

    def to_dict(self) -> dict[str, Any]:
        """Numbers alone."""
        glaciers = {g: {"parameters": p.tolist(), "covariance": c.tolist()} for g, (p, c) in self.sets.items()}
        return {"glaciers": glaciers, "common": self.common.tolist(), "covariance": self.strange.tolist(),
                "error": self.error, "sharpness": self.sharpness, "year_start": self.year_start}  # fmt: skip

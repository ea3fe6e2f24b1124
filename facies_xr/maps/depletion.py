"""The state of glaciers on one day near the end of ablation, from scenes on several days that err.

Within a season a statistic of a glacier, such as its accumulation area ratio, is taken as

    y(t) = a + b t + e,    b ~ N(rate, spread^2),    e ~ N(0, error^2),    t: days from the day asked for

a is its state on that day, b its change per day, which varies from season to season about a rate common to all, and e
the error of a scene::

    ratio  |  o                          one scene: a follows from it along the common rate
           |     ` o  .                  many: they have a rate of their own, drawn towards the common one
           |        o   ` .  o
           |               o  ` a        the least of them lies the lower the more there are, whatever the glacier does
           +-------------------|--> t
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

HETEROGENEITY = 0.5
"""Standard deviation of the rates of seasons, relative to the common one."""

HUBER = 1.5
"""Residual, in errors of a scene, beyond which a scene pulls no stronger."""

NORMAL = 1.96
"""Standard errors on either side that hold 95 %."""

FEW = 20
"""Pairs of scenes that an expected error weighs as much as."""

_ITERATIONS = 10


@dataclass(frozen=True)
class Expected:
    """What is known of a statistic before any scene."""

    error: float
    """Of a scene."""
    rate: float
    """Size of its change. [1/day]"""


@dataclass(frozen=True)
class Depletion:
    """How a statistic changes within seasons, and how scenes err."""

    rate: float
    """Common change. [1/day]"""
    spread: float
    """Standard deviation of a season's rate about it, with what is not known of it. [1/day]"""
    error: float
    """Standard deviation of a scene's error."""

    @classmethod
    def of(
        cls, value: np.ndarray, days: np.ndarray, season: np.ndarray, taken: np.ndarray, expected: Expected
    ) -> "Depletion":
        """From all seasons of all glaciers; what scenes do not tell remains as expected.

        Parameters
        ----------
        value : ndarray (scene, glacier)
            In the order of time.
        days : ndarray (scene)
        season : ndarray (scene)
            Scenes with the same number are of one season.
        taken : ndarray (scene, glacier) of bool
            Values that count.
        expected : Expected

        Notes
        -----
        The rate is the repeated median of the slopes between scenes of one season, weighted by the days between them
        (Siegel 1982, doi:10.1093/biomet/69.1.242): each scene has the median of its slopes to the others, the rate is
        the median of these. Neither fresh snow nor a single error turns it: no scene ever weighs more than the others
        of its season together. The error follows from the median difference of scenes that follow each other.
        """
        value = np.where(taken, value, np.nan)
        rate = _rate(value, days, season)
        steps = np.concatenate([np.empty(0), *_steps(value, days, season, rate)])
        known = 1.4826 * np.median(np.abs(steps)) if steps.size else 0.0
        error = float(np.sqrt((FEW * expected.error**2 + steps.size * known**2) / (FEW + steps.size)))
        information = _squares(taken, days, season) / error**2
        uncertainty = 1 / (information + expected.rate**-2)
        rate *= information * uncertainty
        return cls(rate, float(np.sqrt((HETEROGENEITY * rate) ** 2 + uncertainty)), error)

    def state(self, value: np.ndarray, days: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State of each glacier on the day from which days are counted, and its standard error.

        Parameters
        ----------
        value : ndarray (scene, glacier)
            Of one season.
        days : ndarray (scene)
        taken : ndarray (scene, glacier) of bool

        Returns
        -------
        state, error : ndarray (glacier)
            NaN without scenes.
        """
        y, t, prior = np.where(taken, value, 0.0), days[:, None].astype(float), self.spread**-2
        weight = taken.astype(float)
        for _ in range(_ITERATIONS):
            total = np.where(taken.any(0), weight.sum(0), np.nan)
            middle, mean = (weight * t).sum(0) / total, (weight * y).sum(0) / total
            squares = (weight * (t - middle) ** 2).sum(0) / self.error**2
            products = (weight * (t - middle) * (y - mean)).sum(0) / self.error**2
            rate = (products + self.rate * prior) / (squares + prior)
            state = mean - rate * middle
            residual = np.abs(np.where(taken, y - state - rate * t, 0))
            weight = taken * np.minimum(1, HUBER * self.error / np.maximum(residual, 1e-12))
        return state, np.sqrt(self.error**2 / total + middle**2 / (squares + prior))


def fresh_snow(
    ratio: np.ndarray, order: np.ndarray, telling: np.ndarray, rise: float, witnesses: int = 2
) -> np.ndarray:
    """Where the accumulation area ratio lies above those of several earlier scenes.

    A single earlier scene proves nothing: it may itself be falsely low.

    Parameters
    ----------
    ratio : ndarray (scene, glacier)
        Of one season, in the order of time.
    order : ndarray (scene)
        Number of strictly earlier scenes.
    telling : ndarray (scene)
        Whether a scene is near enough to the end of ablation to be compared with.
    rise : float
        What the ratio must have risen by.
    witnesses : int
        Number of scenes that it must have risen since.
    """
    fresh = np.zeros(ratio.shape, bool)
    for k, earlier in enumerate(order):
        below = ratio[:earlier][telling[:earlier]] < ratio[k] - rise
        fresh[k] = below.sum(0) >= witnesses
    return fresh


def _seasons(season: np.ndarray) -> Iterator[np.ndarray]:
    for number in np.unique(season):
        yield np.flatnonzero(season == number)


def _rate(value: np.ndarray, days: np.ndarray, season: np.ndarray) -> float:
    """Repeated median of the slopes between the scenes of a season; 0 where no season has two."""
    slopes, weights = [np.zeros(1)], [np.zeros(1)]
    for scenes in _seasons(season):
        for k in scenes:
            others = scenes[days[scenes] != days[k]]
            slope = (value[others] - value[k]) / (days[others] - days[k])[:, None]
            apart = np.abs(days[others] - days[k])[:, None] * np.isfinite(slope)
            slopes.append(_weighted_median(slope, apart))
            weights.append(apart.sum(0))
    return float(_weighted_median(np.concatenate(slopes), np.concatenate(weights)))


def _steps(value: np.ndarray, days: np.ndarray, season: np.ndarray, rate: float) -> Iterator[np.ndarray]:
    """Differences of scenes that follow each other, without the common change, as errors of one scene."""
    for scenes in _seasons(season):
        step = np.diff(value[scenes], axis=0) - rate * np.diff(days[scenes])[:, None]
        yield step[np.isfinite(step)] / np.sqrt(2)


def _squares(taken: np.ndarray, days: np.ndarray, season: np.ndarray) -> float:
    """Sum of the squared days from the middle of each season of each glacier."""
    total = 0.0
    for scenes in _seasons(season):
        weight, t = taken[scenes].astype(float), days[scenes].astype(float)[:, None]
        count = np.maximum(weight.sum(0), 1)
        total += float(((weight * t**2).sum(0) - (weight * t).sum(0) ** 2 / count).sum())
    return total


def _weighted_median(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Along the first axis; what weighs nothing may be NaN."""
    if not value.size:
        return np.full(value.shape[1:], np.nan)
    order = np.argsort(value, axis=0)
    passed = np.cumsum(np.take_along_axis(weight, order, 0), 0)
    middle = (passed < passed[-1] / 2).sum(0, keepdims=True)
    return np.take_along_axis(np.take_along_axis(value, order, 0), middle, 0)[0]

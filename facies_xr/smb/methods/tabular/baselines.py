"""What the network stands beside: ridge, trees, and a temperature index, each with the settings that it may choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr

from ....errors import InputError
from ...features.variables import MONTHS
from ...problem import Problem
from ..base import Fits, Prediction, Standard
from ..yardsticks import GlacierMean, RecordsMean

SEED = 0
DAYS = np.array([31, 30, 31, 31, 28.25, 31, 30, 31, 30, 31, 31, 30])
"""Of the months of a balance year from October on."""

SPREAD = 4.0
"""Standard deviation of temperatures over a month and the glacier's elevations. [K]"""

OFFSETS = np.arange(-6, 6.1, 0.5)
"""Of temperature, that are tried. [K]"""

RAIN = 1.0
"""Temperature below which precipitation is snow. [degC]"""

FEWEST = 6
"""Records of a glacier that three parameters of its own need."""

Families = Mapping[str, Mapping[str, Fits]]
"""Methods by name, each a choice of settings by name."""


@dataclass(frozen=True)
class Estimated:
    """A scikit-learn estimator as a balance method, without an interval."""

    estimator: Any
    k: int | None = None
    """Features that are selected from training rows before; None: the estimator sees all, gaps among them."""
    trees: int = 100

    def fit(self, problem: Problem, rows: np.ndarray) -> "EstimatedFit":
        """Fit to records."""
        from sklearn.base import clone

        from .selection import ranked

        problem.require_free(rows)
        x, y = problem.design[rows], problem.observed[rows]
        if self.k is None:
            return EstimatedFit(clone(self.estimator).fit(x, y))
        selection = ranked(x, y, self.trees, SEED)
        kept = selection.ranked_[: self.k]
        medians = selection.medians_[kept]
        filled = _filled(x[:, kept], medians)
        standard = Standard.of(filled)
        return EstimatedFit(clone(self.estimator).fit(standard(filled), y), kept, medians, standard)


@dataclass(frozen=True)
class EstimatedFit:
    """A fitted estimator, and what stands before it."""

    estimator: Any
    kept: np.ndarray | None = None
    medians: np.ndarray | None = None
    standard: Standard | None = None

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances. [m w.e.]"""
        x = problem.design[rows]
        if self.kept is not None and self.medians is not None and self.standard is not None:
            x = self.standard(_filled(x[:, self.kept], self.medians))
        return Prediction.nothing(len(rows))._replace(mean=self.estimator.predict(x))


def _filled(x: np.ndarray, medians: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), medians, x)


@dataclass(frozen=True)
class DegreeDays:
    """balance = a snowfall - b degree days, of temperatures shifted by c: three parameters, by least squares."""

    own: bool = False
    """Whether a glacier with six records at least has parameters of its own; others have those of all."""
    per_day: bool = True
    """Whether ``tp_MONTH`` is that of a mean day; else the month's sum. [m]"""
    needs: ClassVar[tuple[str, ...]] = tuple(f"{name}_{month}" for name in ("t2m", "tp") for month in MONTHS)

    def fit(self, problem: Problem, rows: np.ndarray) -> "DegreeDaysFit":
        """Fit to records.

        Raises
        ------
        InputError
            If the table lacks a month of ``t2m_MONTH`` [degC] or ``tp_MONTH``.
        """
        problem.require_free(rows)
        if missing := [name for name in self.needs if name not in problem.rows]:
            raise InputError(f"a temperature index needs the column {missing[0]!r}.")
        sets = {None: self._least_squares(problem, rows)}
        if self.own:
            for glacier in np.unique(problem.glacier[rows]):
                mine = rows[problem.glacier[rows] == glacier]
                if mine.size >= FEWEST:
                    sets[glacier] = self._least_squares(problem, mine)
        return DegreeDaysFit(sets, self.per_day)

    def _least_squares(self, problem: Problem, rows: np.ndarray) -> tuple[float, np.ndarray]:
        tried = []
        for offset in OFFSETS:
            design = snow_and_melt(problem, rows, offset, self.per_day)
            weights, *_ = np.linalg.lstsq(design, problem.observed[rows], rcond=None)
            tried.append((float(((design @ weights - problem.observed[rows]) ** 2).sum()), offset, weights))
        _, offset, weights = min(tried, key=lambda one: one[0])
        return float(offset), weights


@dataclass(frozen=True)
class DegreeDaysFit:
    """Offsets [K] and weights of snowfall and degree days, by glacier; those of all under None."""

    sets: Mapping[Any, tuple[float, np.ndarray]]
    per_day: bool

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances, without an interval. [m w.e.]"""
        mean = np.empty(len(rows))
        for glacier in np.unique(problem.glacier[rows]):
            here = problem.glacier[rows] == glacier
            offset, weights = self.sets.get(glacier, self.sets[None])
            mean[here] = snow_and_melt(problem, rows[here], offset, self.per_day) @ weights
        return Prediction.nothing(len(rows))._replace(mean=mean)


def snow_and_melt(problem: Problem, rows: np.ndarray, offset: float, per_day: bool) -> np.ndarray:
    """Snowfall [m] and degree days of each row, temperatures normal about the month's mean. (row, 2)"""
    table = problem.rows.iloc[rows]
    t = table[[f"t2m_{m}" for m in MONTHS]].to_numpy() + offset
    p = table[[f"tp_{m}" for m in MONTHS]].to_numpy() * (DAYS if per_day else 1.0)
    z = t / SPREAD
    degrees = SPREAD * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)) * DAYS
    return np.column_stack([(p * ndtr((RAIN - t) / SPREAD)).sum(1), -degrees.sum(1)])


def fitting(ks: tuple[int, ...], problem: Problem) -> tuple[int, ...]:
    """Numbers of features to choose among, none beyond what the problem has."""
    return tuple(sorted({min(k, len(problem.predictors)) for k in ks}))


def baselines(
    problem: Problem, ks: tuple[int, ...] = (5, 10, 20), *, trees: int = 100, per_day: bool = True
) -> Families:
    """Means, ridge, random forest, boosted trees, and where the table has months a temperature index.

    Parameters
    ----------
    problem : Problem
    ks : tuple of int
        Features that may be selected, inside each fold.
    trees : int
        Of the forest, and of the selection.
    per_day : bool
        As :class:`DegreeDays` takes it.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import RidgeCV

    models = {
        "ridge": RidgeCV(np.logspace(-2, 3, 11)),
        "random forest": RandomForestRegressor(trees, min_samples_leaf=3, random_state=SEED),
        "boosted trees": HistGradientBoostingRegressor(max_iter=100, min_samples_leaf=5, random_state=SEED),
    }
    families: dict[str, dict[str, Fits]] = {
        "training mean": {"": RecordsMean()},
        "glacier mean": {"": GlacierMean()},
        **{
            name: {f"k={k}": Estimated(model, k, trees) for k in fitting(ks, problem)} for name, model in models.items()
        },
    }
    if set(DegreeDays.needs) <= set(problem.rows):
        families["temperature index"] = {"": DegreeDays(per_day=per_day)}
        families["temperature index, per glacier"] = {"": DegreeDays(own=True, per_day=per_day)}
    return families

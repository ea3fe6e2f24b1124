"""What a balance method must be compared with: means of records, without any map."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..problem import Problem
from ..regions import Regions
from .base import Prediction
from .pooled import STEP


@dataclass(frozen=True)
class RecordsMean:
    """The mean of the records."""

    def fit(self, problem: Problem, rows: np.ndarray) -> "MeanFit":
        """Fit to records."""
        return MeanFit(float(problem.observed[rows].mean()))


@dataclass(frozen=True)
class MeanFit:
    """A mean. [m w.e.]"""

    mean: float

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """The mean, without an interval. [m w.e.]"""
        return Prediction.nothing(len(rows))._replace(mean=np.full(len(rows), self.mean))


@dataclass(frozen=True)
class GlacierMean:
    """The mean of a glacier's records; of a glacier without any, that of all."""

    def fit(self, problem: Problem, rows: np.ndarray) -> "GlacierMeanFit":
        """Fit to records."""
        means = pd.Series(problem.observed[rows]).groupby(problem.glacier[rows]).mean()
        return GlacierMeanFit(means, float(problem.observed[rows].mean()))


@dataclass(frozen=True)
class GlacierMeanFit:
    """Means of glaciers, and of all. [m w.e.]"""

    means: pd.Series
    of_all: float

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """The mean, without an interval. [m w.e.]"""
        mean = self.means.reindex(problem.glacier[rows]).fillna(self.of_all).to_numpy()
        return Prediction.nothing(len(rows))._replace(mean=mean)


@dataclass(frozen=True)
class RegionMean:
    """The mean of the records of a region and year; where there are none, that of all records."""

    def fit(self, problem: Problem, rows: np.ndarray) -> "RegionMeanFit":
        """Fit to records."""
        regions = Regions.of(problem.position[:, rows], STEP)
        region = regions(problem.position[:, rows])
        means = pd.Series(problem.observed[rows]).groupby([region, problem.balance_year[rows]]).mean()
        return RegionMeanFit(regions, means, float(problem.observed[rows].mean()))


@dataclass(frozen=True)
class RegionMeanFit:
    """Means of regions and years, and of all. [m w.e.]"""

    regions: Regions
    means: pd.Series
    of_all: float

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """The mean, without an interval. [m w.e.]"""
        region = self.regions(problem.position[:, rows])
        keys = pd.MultiIndex.from_arrays([region, problem.balance_year[rows]])
        mean = self.means.reindex(keys).fillna(self.of_all).to_numpy()
        return Prediction.nothing(len(rows))._replace(mean=mean)

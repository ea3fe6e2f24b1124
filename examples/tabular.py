"""FF-FCNN beside its baselines on real tables: the figures of docs/tabular.md.

    python examples/tabular.py SHARED [REPORT.json]   # some minutes on two cores

Hintereisferner and Vernagtferner 1982 to 2018, annual balances and monthly ERA5-Land temperature and precipitation.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from facies_xr.smb.methods.base import Prediction
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.methods.tabular.protocol import baselines, evaluate
from facies_xr.smb.methods.tabular.table import problem_of
from facies_xr.smb.problem import Problem

MONTHS = ("oct", "nov", "dec", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep")
DAYS = np.array([31, 30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30])
SPREAD = 4.0
"""Standard deviation of temperatures over a month and the glacier's elevations. [K]"""

OFFSETS = np.arange(-6, 6.1, 0.5)


@dataclass(frozen=True)
class TemperatureIndex:
    """balance = a snowfall - b degree days, of temperatures shifted by c: three parameters, by least squares."""

    def fit(self, problem: Problem, rows: np.ndarray) -> "TemperatureIndexFit":
        """Fit to records."""
        tried = []
        for offset in OFFSETS:
            design = _snow_and_melt(problem, rows, offset)
            weights, *_ = np.linalg.lstsq(design, problem.observed[rows], rcond=None)
            tried.append((float(((design @ weights - problem.observed[rows]) ** 2).sum()), offset, weights))
        _, offset, weights = min(tried, key=lambda one: one[0])
        return TemperatureIndexFit(offset, weights)


@dataclass(frozen=True)
class TemperatureIndexFit:
    """Offset [K], and weights of snowfall and degree days."""

    offset: float
    weights: np.ndarray

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances, without an interval. [m w.e.]"""
        return Prediction.nothing(len(rows))._replace(mean=_snow_and_melt(problem, rows, self.offset) @ self.weights)


def _snow_and_melt(problem: Problem, rows: np.ndarray, offset: float) -> np.ndarray:
    """Snowfall [m] and degree days of each row, temperatures normal about the month's mean. (row, 2)"""
    table = problem.rows.iloc[rows]
    t = table[[f"t2m_{m}" for m in MONTHS]].to_numpy() + offset
    p = table[[f"tp_{m}" for m in MONTHS]].to_numpy() * DAYS
    z = t / SPREAD
    degrees = SPREAD * (z * norm.cdf(z) + norm.pdf(z)) * DAYS
    return np.column_stack([(p * norm.cdf((1 - t) / SPREAD)).sum(1), degrees.sum(1)])


def main() -> None:
    """Print the table."""
    path = Path(sys.argv[1]) / "data" / "smb_oetztal_era5land" / "otztal_annual_smb_era5land.csv"
    table = pd.read_csv(path)
    features = [name for name in table if name.startswith(("t2m_", "tp_"))]
    problem = problem_of(table, "y", "name", "year", features)
    paper = FeedForward(Settings(epochs=500, patience=60), k=8, members=5, trees=100)
    methods = {
        **baselines(),
        "temperature index, 3 parameters": TemperatureIndex(),
        "network 40-20-10-5": paper,
        "network 8": paper.with_(hidden=(8,)),
        "network 8, L1 .01": paper.with_(hidden=(8,), l1=1e-2),
        "network 40-20-10-5, no noise": paper.with_(sigma=0.0),
        "network 40-20-10-5, weights by loss": paper.with_(gamma=0.5),
    }
    report = evaluate(problem, methods)
    print(pd.DataFrame(report["scores"]).round(3).drop(columns=["mae"]).to_string(index=False))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()

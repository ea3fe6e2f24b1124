"""What records alone say of balance and accumulation area: no scene, no map.

    python examples/wgms.py SHARED

Glaciers of the Fluctuations of Glaciers browser with at least eight years of both: correlation of annual balance with
the accumulation area ratio and with the altitude of the equilibrium line, and the slopes. Then the three regressions on
the accumulation area ratio since 2000, with glaciers and with years left out: the ceiling for what maps can reach.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from facies_xr import folds, metrics
from facies_xr.smb import judge
from facies_xr.smb.methods.named import METHODS
from facies_xr.smb.methods.pooled import Pooled
from facies_xr.smb.problem import Problem
from facies_xr.smb.records import read

PREDICTORS = ("snow_fraction",)


def by_glacier(records: pd.DataFrame, predictor: str, least: int = 8) -> pd.DataFrame:
    """Correlation and slope of each glacier with enough years."""
    rows = {}
    for glacier, own in records.dropna(subset=[predictor]).groupby("glacier"):
        if len(own) >= least and own[predictor].std() > 0:
            slope = np.polyfit(own[predictor], own["balance"], 1)[0]
            rows[glacier] = {"years": len(own), "r": own["balance"].corr(own[predictor]), "slope": slope}
    return pd.DataFrame(rows).T


def judged(rows: pd.DataFrame, method: str, leave_out: str) -> dict[str, float]:
    """Scores of a method on what it did not see, and the share of records within its 95 % interval."""
    problem = Problem(rows.reset_index(drop=True), PREDICTORS)
    groups = problem.glacier if leave_out == "glacier" else problem.balance_year
    fold = folds.by_group(groups, 6 if leave_out == "glacier" else np.unique(groups).size)
    mean, lower, upper = judge.out_of_fold(problem, METHODS[method], folds.splits(fold))
    known, inside = np.isfinite(mean), (problem.observed >= lower) & (problem.observed <= upper)
    return metrics.regression(problem.observed, mean) | {
        "within interval": inside[known].mean() if known.any() else np.nan
    }


def main() -> None:
    """Print medians and quartiles."""
    records = read(Path(sys.argv[1]) / "data" / "smb_wgms" / "fog_browser_2024")
    for predictor, unit in (("accumulation_area_ratio", 1.0), ("equilibrium_line_altitude", 100.0)):
        table = by_glacier(records, predictor)
        low, middle, high = (table.slope * unit).quantile([0.25, 0.5, 0.75])
        print(
            f"{predictor}: {len(table)} glaciers, {int(table.years.sum())} years, median r {table.r.median():.2f}, "
            f"slope {middle:.2f} m w.e. per {unit:g} (quartiles {low:.2f}, {high:.2f})"
        )
    rows = records.rename(columns={"accumulation_area_ratio": "snow_fraction", "balance": "observed"})
    since = rows[(rows.balance_year >= 1980) & rows.snow_fraction.between(0, 1)].reset_index(drop=True)
    ratios = Pooled().fit(Problem(since, PREDICTORS), np.arange(len(since))).ratios
    print("variance ratios of slope, glaciers, their slopes and years since 1980:", np.round(ratios, 2))
    rows = rows[(rows.balance_year >= 2000) & rows.snow_fraction.between(0, 1)].reset_index(drop=True)
    few = rows.sample(frac=1, random_state=0).groupby("glacier").head(3).sort_index()
    ways = [("glacier", "eq2"), ("glacier", "pooled"), ("year", "eq2"), ("year", "eq3"), ("year", "pooled")]
    for text, part in (("all records", rows), ("three records of each glacier", few)):
        table = pd.DataFrame({f"{m}, {w} left out": judged(part, m, w) for w, m in ways}).T
        print(f"{text}\n{table.round(2).to_string()}")


if __name__ == "__main__":
    main()

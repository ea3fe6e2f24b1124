"""What records alone say of balance and accumulation area: no scene, no map.

    python examples/wgms.py SHARED

Glaciers of the Fluctuations of Glaciers browser with at least eight years of both: correlation of annual balance with
the accumulation area ratio and with the altitude of the equilibrium line, and the slopes. Then the methods on the
accumulation area ratio since 2000, the ceiling for what maps can reach, beside yardsticks that need no map: with
glaciers, with years, with both and with whole regions left out, and by accumulation area ratio. At last what the day
of the survey and its system tell beside the ratio, where the WGMS's overview of seasons knows them.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from facies_xr import folds, metrics
from facies_xr.smb import judge
from facies_xr.smb.methods.base import Fits, Prediction
from facies_xr.smb.methods.named import METHODS
from facies_xr.smb.methods.pooled import PRIOR, STEP, likeliest
from facies_xr.smb.methods.ridge import Line
from facies_xr.smb.methods.yardsticks import RecordsMean, RegionMean
from facies_xr.smb.observations import read
from facies_xr.smb.problem import Problem
from facies_xr.smb.regions import Regions

JUDGED: dict[str, Fits] = {
    "records' mean": RecordsMean(),
    "region's mean of the year": RegionMean(),
    **{name: METHODS[name] for name in ("eq2", "pooled", "eq3")},
}
CLASSES = {"0": (-1, 0), "0 to .3": (0, 0.3), ".3 to .7": (0.3, 0.7), "above .7": (0.7, 1)}
NORTH = 55.0  # degree; beyond it are Scandinavia's glaciers


def by_glacier(records: pd.DataFrame, predictor: str, least: int = 8) -> pd.DataFrame:
    """Correlation and slope of each glacier with enough years."""
    rows = {}
    for glacier, of_glacier in records.dropna(subset=[predictor]).groupby("glacier"):
        if len(of_glacier) >= least and of_glacier[predictor].std() > 0:
            slope = np.polyfit(of_glacier[predictor], of_glacier["balance"], 1)[0]
            r = of_glacier["balance"].corr(of_glacier[predictor])
            rows[glacier] = {"years": len(of_glacier), "r": r, "slope": slope}
    return pd.DataFrame(rows).T


def score(problem: Problem, prediction: Prediction, here: np.ndarray) -> dict[str, float]:
    """Scores of some rows, and the share of their records within the 95 % interval."""
    mean, lower, upper = (ends[here] for ends in prediction)
    observed, known = problem.observed[here], np.isfinite(lower)
    inside = (observed >= lower) & (observed <= upper)
    row = metrics.regression(observed, mean)
    return {name: row[name] for name in ("n", "r", "rmse", "bias")} | {
        "within": inside[known].mean() if known.any() else np.nan
    }


def judged(problem: Problem, splits: list[folds.Split]) -> pd.DataFrame:
    """Scores of every method and yardstick on what it did not see; RMSE in Scandinavia and elsewhere."""
    rows, north = {}, problem.position[1] > NORTH
    for name, method in JUDGED.items():
        prediction = judge.out_of_fold(problem, method, splits)
        if np.isfinite(prediction.mean).any():
            rows[name] = score(problem, prediction, np.full(len(problem), True)) | {
                "rmse, Scandinavia": score(problem, prediction, north)["rmse"],
                "rmse, elsewhere": score(problem, prediction, ~north)["rmse"],
            }
    return pd.DataFrame(rows).T


def dated(folder: Path, records: pd.DataFrame) -> pd.DataFrame:
    """Records with the days from 30 September to their survey, and whether their system is that of fixed dates."""
    overview = pd.read_csv(folder / "mb_overview_seasonal_mb_time_periods_20220301.csv")
    overview = overview.rename(columns={"Year": "balance_year"}).assign(glacier=overview.WGMS_ID.astype(str))
    table = records.merge(overview[["glacier", "balance_year", "END_PERIOD", "TIME_SYSTEM"]])
    end = pd.to_datetime(table.END_PERIOD, errors="coerce")
    days = (end - pd.to_datetime(table.balance_year.astype(str) + "-09-30")).dt.days.astype(float)
    table = table.assign(days_to_survey=days, fixed_date=(table.TIME_SYSTEM == "FXD").astype(float))
    return table[(table.days_to_survey.abs() < 90) & table.snow_fraction.notna()].reset_index(drop=True)


def of_snow(rows: pd.DataFrame, first_year: int, last_year: int = 9999) -> Problem:
    """Records with an accumulation area ratio of some years."""
    known = rows.balance_year.between(first_year, last_year) & rows.snow_fraction.notna()
    return Problem(rows[known].reset_index(drop=True), ("snow_fraction",))


def main() -> None:
    """Print the tables."""
    warnings.filterwarnings("ignore", message=".*reconstructed")
    records = read(Path(sys.argv[1]) / "data" / "smb_wgms" / "fog_browser_2024")
    measured = records.assign(
        equilibrium_line_altitude=records.equilibrium_line_altitude.where(records.equilibrium_line_bound == "")
    )
    for predictor, unit in (("accumulation_area_ratio", 1.0), ("equilibrium_line_altitude", 100.0)):
        table = by_glacier(measured, predictor)
        low, middle, high = (table.slope * unit).quantile([0.25, 0.5, 0.75])
        print(
            f"{predictor}: {len(table)} glaciers, {int(table.years.sum())} years, median r {table.r.median():.2f}, "
            f"slope {middle:.2f} m w.e. per {unit:g} (quartiles {low:.2f}, {high:.2f})"
        )
    rows = records.rename(columns={"accumulation_area_ratio": "snow_fraction", "balance": "observed"})
    since = of_snow(rows, 1980)
    for case, prior in PRIOR.items():
        fit = likeliest(since, prior)
        print(
            "since 1980, records of (glacier, region's year)", case, "variance ratios", np.round(fit.ratios, 2),
            "spread by accumulation area ratio", np.round(fit.spread, 2),
        )  # fmt: skip
    problem = of_snow(rows, 2000)
    few = problem.take(problem.rows.sample(frac=1, random_state=0).groupby("glacier").head(3).sort_index().index)
    for text, part in (("all records since 2000", problem), ("three records of each glacier", few)):
        for leave_out in judge.LEFT_OUT:
            print(f"{text}, {leave_out} left out\n{judged(part, judge.splits(part, leave_out)).round(3).to_string()}")
    region = Regions.of(problem.position, STEP)(problem.position)
    print("regions:", {int(k): int((region == k).sum()) for k in np.unique(region)}, "records")
    print(f"region left out\n{judged(problem, list(folds.splits(region))).round(3).to_string()}")
    for text, part in (("since 2000", problem), ("before 2000", of_snow(rows, 1885, 1999))):
        for name in ("eq2", "pooled"):
            prediction = judge.out_of_fold(part, METHODS[name], judge.splits(part, "glacier"))
            snow = part.design[:, 0]
            table = {"all": score(part, prediction, snow >= 0)}
            table |= {label: score(part, prediction, (snow > a) & (snow <= b)) for label, (a, b) in CLASSES.items()}
            print(f"{text}, {name}, glacier left out, by accumulation area ratio")
            print(pd.DataFrame(table).T.round(3).to_string())
    table = dated(Path(sys.argv[1]) / "data" / "smb_wgms", rows)
    for more in ((), ("days_to_survey",), ("fixed_date",)):
        part = Problem(table, ("snow_fraction", *more))
        found = {
            leave_out: judge.out_of_fold(part, Line(1.0), judge.splits(part, leave_out))
            for leave_out in judge.LEFT_OUT[:2]
        }
        line = Line(1.0).fit(part, np.arange(len(part)))
        print(
            f"{len(part)} dated records, snow fraction {' '.join(more)}:",
            {f"{name} left out": round(score(part, p, part.usable)["rmse"], 4) for name, p in found.items()},
            "weight per unit", np.round(line.weights[1:] / line.standard.spread, 4),
        )  # fmt: skip


if __name__ == "__main__":
    main()

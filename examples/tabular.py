"""FF-FCNN without leakage, step by step, in less than a minute: Hintereisferner and Vernagtferner, 1982 to 2018.

    python examples/tabular.py SHARED

Months of ERA5-Land become candidate features. The same network and the same lines are judged with features chosen on
all rows, as is often published, and inside each fold; beside them stands what needs no learning machine at all. Every
method on four ways of leaving out, with its settings chosen inside: ``pipelines/balance_tables.py``.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from facies_xr.smb import judge
from facies_xr.smb.features.build import candidates, table
from facies_xr.smb.methods.base import Fits
from facies_xr.smb.methods.tabular import protocol
from facies_xr.smb.methods.tabular.baselines import DegreeDays, Estimated
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.methods.tabular.report import stability
from facies_xr.smb.methods.tabular.scores import scores
from facies_xr.smb.methods.tabular.selection import ranked
from facies_xr.smb.methods.tabular.table import problem_of
from facies_xr.smb.methods.yardsticks import RecordsMean
from facies_xr.smb.problem import Problem

K = 8
"""Features that are selected."""


def rows_of(data: Path) -> Problem:
    """Records with candidates: two variables and the degree days made of them, in 16 windows each."""
    home = data / "hintereisferner"
    months = [home / f"sel_era5_land_monthly_{name}_1981-2018.nc" for name in ("t2m", "prcp")]
    records = pd.read_csv(data / "smb_oetztal_era5land" / "otztal_annual_smb_era5land.csv")
    records = records.rename(columns={"name": "glacier", "year": "balance_year", "y": "balance"})
    places = records.drop_duplicates("glacier").rename(columns={"lon": "longitude", "lat": "latitude"})
    features = candidates(months, places[["glacier", "longitude", "latitude"]])
    print(f"{features.attrs['columns']} candidates of {', '.join(places.glacier)}, such as:")
    print(features[["units", "definition"]].to_dataframe().iloc[[9, 14, 28, 47]].to_string(), "\n")
    rows = records[["glacier", "balance_year", "balance"]].merge(table(features), on=["glacier", "balance_year"])
    return problem_of(rows, "balance", "glacier", "balance_year")


def main() -> None:
    """Print what leakage is worth, and what is left without it."""
    problem = rows_of(Path(sys.argv[1]) / "data")
    splits = protocol.outer(problem, "block")  # six blocks of years, with a year's distance

    network = FeedForward(Settings((8,), epochs=300, patience=60), k=K, members=5, trees=50)
    ridge = RidgeCV(np.logspace(-2, 3, 11))
    best = ranked(problem.design, problem.observed, 50).ranked_[:K]  # of all rows: those to be predicted, too
    leaky = problem.using(tuple(problem.predictors[k] for k in best))
    judged: dict[str, tuple[Problem, Fits]] = {
        "mean of the training records": (problem, RecordsMean()),
        "ridge, features of all rows (leaks)": (leaky, Estimated(ridge, K, 0)),
        "ridge, features of each fold": (problem, Estimated(ridge, K, 50)),
        "network, features of all rows (leaks)": (leaky, network.with_(k=None)),
        "network, features of each fold": (problem, network),
        "temperature index, three parameters": (problem, DegreeDays(per_day=False)),
    }
    found = {name: scores(of, judge.out_of_fold(of, method, splits)) for name, (of, method) in judged.items()}
    shown = pd.DataFrame(found).T[["n", "r2", "r2_lower", "r2_upper", "rmse", "r2_anomalies"]]
    print("years left out in six blocks:")
    print(shown.astype({"n": int}).round(2).to_string(), "\n")
    print(f"share of the folds that select a feature among their {K}:")
    print(stability(problem, splits, K, trees=50).round(2).to_string())


if __name__ == "__main__":
    main()

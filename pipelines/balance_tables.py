"""Networks, trees, lines and temperature indices on real tables of balances: the figures of docs/tabular.md.

    nice python pipelines/balance_tables.py SHARED REPORTS [TABLE ...]     # begun, it goes on; an hour on two cores

Tables: oetztal, candidates, ablations, scandinavia, norway, stakes. REPORTS is a folder, a report a table.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facies_xr.smb.features.variables import MONTHS
from facies_xr.smb.methods.tabular import ablations as parts
from facies_xr.smb.methods.tabular import protocol
from facies_xr.smb.methods.tabular.baselines import baselines
from facies_xr.smb.methods.tabular.method import FeedForward
from facies_xr.smb.methods.tabular.network import Settings
from facies_xr.smb.methods.tabular.report import evaluate
from facies_xr.smb.methods.tabular.search import settings
from facies_xr.smb.methods.tabular.table import problem_of
from facies_xr.smb.methods.temperature_index import TemperatureIndex
from facies_xr.smb.problem import Problem

NETWORK = FeedForward(Settings(epochs=500, patience=60), members=5, trees=100)
LARGE = FeedForward(Settings(epochs=300, patience=45), members=3, trees=50)
"""For thousands of rows."""

LARGEST = LARGE.with_(epochs=150, patience=30)

ON_BANDS = "temperature index on elevation bands"


def oetztal(data: Path) -> Problem:
    """Hintereisferner and Vernagtferner, 1982 to 2018; with weather and elevation bands."""
    table = pd.read_csv(data / "smb_oetztal_era5land" / "otztal_annual_smb_era5land.csv")
    features = [name for name in table if name.startswith(("t2m_", "tp_"))]
    problem = problem_of(table, "y", "name", "year", features)
    import temperature_index  # the example, which reads weather and hypsometry

    banded = temperature_index.oetztal(data)
    assert banded.forcing is not None and banded.hypsometry is not None  # noqa: PT018
    ours = {"Hintereisferner": "HINTEREIS F.", "Vernagtferner": "VERNAGT F."}
    named = [ours[g] for g in banded.forcing["glacier"].values]
    assert set(named) == set(problem.glacier), set(problem.glacier)
    at = {"glacier": named}
    return replace(problem, forcing=banded.forcing.assign_coords(at), hypsometry=banded.hypsometry.assign_coords(at))


def candidates(data: Path) -> Problem:
    """The same records with our candidates: windows and degree days of the same months."""
    import tabular  # the example

    return tabular.rows_of(data)


def scandinavia(data: Path) -> Problem:
    """3417 glaciers, means of two decades from elevation models (Hugonnet et al. 2021)."""
    table = pd.read_csv(data / "smb_scandinavia_geodetic" / "df_all.csv")
    table["year"] = table.period.str[-4:].astype(int)
    climate = [name for name in table if name.startswith(("prcp_", "temp_"))]
    table["log10_area"] = np.log10(table.area)
    features = [*climate, "PDD", "rain", "snow", "zmin", "zmed", "zmax", "slope", "log10_area"]
    return problem_of(table, "dmdtda", "rgi_id", "year", features)


def norway(data: Path) -> Problem:
    """Annual balances of 32 glaciers, with the decades' mean climate and the topography of the table above."""
    annual = pd.read_csv(data / "smb_norway_nve" / "massbalance_gw_Norway.csv", sep=";", encoding="utf-8-sig",
                         na_values="NA")  # fmt: skip
    annual = annual.dropna(subset=["RGIID", "Ba"]).query("2001 <= Year <= 2020")
    geodetic = pd.read_csv(data / "smb_scandinavia_geodetic" / "df_all.csv")
    annual["period"] = np.where(annual.Year <= 2010, "2000-2010", "2010-2020")
    table = annual.merge(geodetic, left_on=["RGIID", "period"], right_on=["rgi_id", "period"])
    climate = [name for name in table if name.startswith(("prcp_", "temp_"))]
    table = table.drop_duplicates(["RGIID", "Year"])
    return problem_of(table, "Ba", "RGIID", "Year", [*climate, "PDD", "rain", "snow", "zmin", "zmed", "zmax", "slope"])


def stakes(data: Path) -> Problem:
    """Net balances of Norwegian stakes, with their topography; no climate."""
    table = pd.read_csv(data / "smb_norway_nve" / "stake_mb_norway_cleaned_ids_latlon_wattributes.csv.gz")
    table = table.dropna(subset=["balance_netto"])
    table["year"] = pd.to_datetime(table.dt_curr_year_min_date, dayfirst=True, format="mixed").dt.year
    table = table.dropna(subset=["year", "RGIID"])
    table["aspect_sin"], table["aspect_cos"] = np.sin(table.aspect), np.cos(table.aspect)
    table["site"] = table.location_id.astype(str) + " " + table.stake_no.astype(str) + " " + table.utm_east.astype(str)
    table = table.drop_duplicates(["RGIID", "year", "site"])
    features = ["altitude", "topo", "slope", "aspect_sin", "aspect_cos", "slope_factor", "dis_from_border"]
    return problem_of(table, "balance_netto", "RGIID", "year", features, site="site")


def families(problem: Problem, network: FeedForward, drawn: int, trees: int, per_day: bool) -> dict[str, Any]:
    """Baselines, the network with its settings chosen, and as published."""
    found = {**baselines(problem, trees=trees, per_day=per_day), "network, chosen": settings(problem, network, drawn),
             "network, as published": network}  # fmt: skip
    return found if problem.forcing is None else {**found, ON_BANDS: TemperatureIndex()}


def main() -> None:
    """Evaluate and print."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    data, reports = Path(sys.argv[1]) / "data", Path(sys.argv[2])
    reports.mkdir(parents=True, exist_ok=True)
    plans: dict[str, tuple[Any, FeedForward, int, int, tuple[str, ...], dict[str, Any]]] = {
        "oetztal": (oetztal, NETWORK, 12, 100, protocol.SCHEMES, {}),
        "candidates": (candidates, NETWORK, 6, 100, ("glacier", "block", "glacier and block"), {}),
        "norway": (norway, NETWORK, 6, 100, ("glacier", "block"), {"blocks": 4}),
        "stakes": (stakes, LARGE, 3, 50, ("glacier", "block"), {"blocks": 4, "groups": 6}),
        "scandinavia": (scandinavia, LARGEST, 0, 30, ("glacier",), {"groups": 5}),
        "decades": (scandinavia, LARGEST, 0, 30, ("glacier and block",), {"blocks": 2, "groups": 5}),
    }
    for name in sys.argv[3:] or [*plans, "ablations"]:
        if name == "ablations":
            table, _ = parts.ablations(oetztal(data), NETWORK.with_(k=10), ("random", "glacier", "block"),
                                       out=reports / "ablations.json")  # fmt: skip
            print(table.round(3).to_string(index=False))
            continue
        of, network, drawn, trees, schemes, options = plans[name]
        problem = of(data)
        reference = "temperature index" if name in ("oetztal", "candidates") else "training mean"
        methods = families(problem, network, drawn, trees, name != "candidates")
        report = evaluate(problem, methods, schemes, reference=reference, out=reports / f"{name}.json", shown=True,
                          **options)  # fmt: skip
        table = pd.DataFrame(report["scores"]).drop(columns=["rmse_positive", "spearman"])
        print(f"{name}: {len(problem)} rows, {np.unique(problem.glacier).size} glaciers, {len(problem.predictors)} "
              f"features{', of ' + ' '.join(MONTHS) if name == 'oetztal' else ''}")  # fmt: skip
        print(table.round(3).to_string(index=False))
        print(pd.DataFrame(report["paired"]).round(3).to_string(index=False))


if __name__ == "__main__":
    main()

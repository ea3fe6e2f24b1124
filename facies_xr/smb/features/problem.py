"""From the problem of some maps to that of candidate features."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ..climate.bands import OF_SCENES
from ..problem import FLAGS, Problem
from . import albedo, topography
from .build import candidates, table
from .variables import ABOVE_CELL, ALBEDO, TOPOGRAPHY


def with_features(problem: Problem, climate: Any, stats: xr.Dataset | None = None) -> Problem:
    """A problem whose predictors are candidate features: each row counts that has a record and a climate.

    Parameters
    ----------
    problem : Problem
        With longitude and latitude of its glaciers, unless the climate is of glaciers.
    climate : Dataset or path or list of paths
        Monthly climate, as :func:`.monthly.read` takes it, or the candidates that :func:`.build.candidates` gives.
    stats : Dataset, optional
        Statistics of maps, whose albedo and elevation bands become features beside the climate.

    Raises
    ------
    InputError
        If a glacier or all balance years of the problem lie outside of the climate.
    """
    made = climate if isinstance(climate, xr.Dataset) and "candidates" in climate else _made(problem, climate, stats)
    if missing := sorted(set(map(str, problem.glacier)) - set(made["glacier"].values.astype(str))):
        raise InputError(f"the features have no glacier {', '.join(missing[:3])}.")
    years = made["balance_year"].values
    wanted = np.isin(years, problem.balance_year)
    rows = table(made.isel(balance_year=np.flatnonzero(wanted))) if wanted.any() else pd.DataFrame()
    if not len(rows):
        raise InputError(
            f"the climate has none of the balance years {problem.balance_year.min()} to {problem.balance_year.max()}; "
            f"it has {years.min()} to {years.max()}."
        )
    names = [name for name in rows.columns[2:] if rows[name].notna().any()]
    of_climate = [name for name in names if name not in (ALBEDO, ABOVE_CELL, *TOPOGRAPHY)]
    needed = [name for name in of_climate if rows[name].notna().all()] or of_climate[:1]
    kept = problem.rows.drop(columns=[name for name in names if name in problem.rows])
    if "flags" in kept:
        kept = kept.assign(flags=kept["flags"] & ~sum(FLAGS[name] for name in OF_SCENES))
    joined = kept.assign(glacier=kept["glacier"].astype(str)).merge(rows, "left", ["glacier", "balance_year"])
    variables = dict.fromkeys(name.split("_")[0] for name in of_climate)
    definitions = {**problem.definitions, "features": f"{len(names)} of {' '.join(variables)}"}
    return replace(
        problem, rows=joined, predictors=tuple(names), optional=tuple(n for n in names if n not in needed),
        definitions=definitions,
    )  # fmt: skip


def _made(problem: Problem, climate: Any, stats: xr.Dataset | None) -> xr.Dataset:
    places = problem.rows.reindex(columns=["glacier", "longitude", "latitude"]).drop_duplicates("glacier")
    cells = not (isinstance(climate, xr.Dataset) and "glacier" in climate.dims)
    if cells and places.isna().any(axis=None):
        raise InputError("where the glaciers are is not known; give the climate of each: climate (glacier, time).")
    return candidates(
        climate,
        places,
        albedo=albedo.of_statistics(stats) if stats is not None and "albedo" in stats else None,
        topography=topography.of_statistics(stats) if stats is not None and "band_area" in stats else None,
    )

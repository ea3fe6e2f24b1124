"""GlaUnTI in the frame of balance methods: a temperature-index model on the maps' grid, corrected by a network.

The sounder choices of :mod:`facies_xr.smb.glaunti`: a snow store that keeps its mass, bounded corrections, once a year
and only from what lies on the glacier.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from safetensors import SafetensorError
from safetensors.torch import load, save

from ...errors import InputError
from ..climate.bands import require_whole, whole_years, year_start_of
from ..degreeday.parameters import SMOOTH, free
from ..glaunti.dataset import Glacier
from ..glaunti.files import Saved, Scales
from ..glaunti.loss import Weights, by_season, mean_over, years
from ..glaunti.models import Corrected, TemperatureIndex, of_saved, to_saved
from ..glaunti.train import Settings, new_corrector, train
from ..problem import Problem
from .base import Prediction, between

SPIN_UP = 2
"""Times that the first year is run for its snow. [year]"""

OPTIONS = {"limit": 1.0, "masked": True, "anew": "year", "store": "conserving"}
"""Of the corrector: within a factor of e and a degree."""

VALIDATES = 5
"""Of so many glaciers one chooses the epoch, if there are as many."""

CALIBRATION = Settings(learning_rate=2e-2, epochs=40, weights=Weights(total=1.0, parameters=0.01))
"""Of the temperature-index model, the same for all glaciers."""

CORRECTION = Settings(epochs=30, batch=4, weights=Weights(total=1.0, size=0.1, roughness=0.2, ratio=0.1))
"""Of the corrector; records are glacier-wide balances alone, and the published penalties leave them no correction."""

SCALES = Scales(elevation_std=100.0)
LEAST_ERROR = 0.1
"""Of a modelled annual balance. [m w.e.]"""

NORMAL = 1.959964


@dataclass(frozen=True)
class GlaUnTI:
    """One temperature-index model for all glaciers, and networks that correct it in each pixel and year."""

    calibration: Settings = CALIBRATION
    correction: Settings = CORRECTION
    members: int = 1
    """Networks from different first weights, whose mean is taken."""
    facies: bool = True
    """Whether they read the maps (the published model d) or not (c)."""
    year_start: str | None = None
    """First day of the balance year as month-day; by default 10-01 in the north, 04-01 in the south."""
    title: ClassVar[str] = "GlaUnTI, a temperature-index model corrected from facies maps"
    leaves_out: ClassVar[str] = "glacier"
    needs_weather: ClassVar[bool] = True

    def fit(self, problem: Problem, rows: np.ndarray) -> "GlaUnTIFit":
        """Fit to records.

        Raises
        ------
        InputError
            If the problem has no weather or no maps, or a record lies outside of the weather.
        """
        known = glaciers_of(problem, rows, self.year_start)
        glaciers = list(known.values())
        apart = glaciers[::VALIDATES] if len(glaciers) >= VALIDATES else []
        seen = [g for g in glaciers if not any(g is other for other in apart)]
        start = TemperatureIndex(free(dtype=torch.float32), store=str(OPTIONS["store"]))
        train(start, seen, apart, self.calibration, shown=False)
        models = []
        for number in range(self.members):
            settings = replace(self.correction, seed=self.correction.seed + number)
            model = new_corrector(start, seed=settings.seed, **OPTIONS)  # type: ignore[arg-type]
            model.facies = self.facies
            train(model, seen, apart, settings, shown=False)
            models.append(model)
        modelled = _at(models, known, problem.glacier[rows], problem.balance_year[rows]).mean(0)
        wrong = (modelled - problem.observed[rows]) ** 2
        unseen = wrong[np.isin(problem.glacier[rows].astype(str), [g.name for g in apart])]
        worst = max(part.mean() for part in (wrong, unseen) if part.size)
        return GlaUnTIFit(models, max(float(np.sqrt(worst)), LEAST_ERROR), self.year_start)

    def from_dict(self, saved: Mapping[str, Any]) -> "GlaUnTIFit":
        """What ``to_dict`` gave."""
        models = [_model(member) for member in saved["members"]]
        if not models:
            raise ValueError("it has no network")
        start = saved["year_start"]
        return GlaUnTIFit(models, between(saved["error"], "error", 0.0, 10.0), None if start is None else str(start))


def _model(member: Mapping[str, Any]) -> Corrected:
    try:
        tensors = load(base64.b64decode(member["tensors"], validate=True))
        options = {"limit": between(member["limit"], "limit", 0.0, 10.0), "masked": True, "anew": str(member["anew"]),
                   "store": str(member["store"]), "facies": bool(member["facies"])}  # fmt: skip
        if set(tensors) < {f"parameter.{name}" for name in SMOOTH}:
            raise ValueError("it lacks parameters")
        found = of_saved(Saved("corrector", tensors, **options))  # type: ignore[arg-type]
    except (SafetensorError, RuntimeError, InputError, KeyError) as error:
        raise ValueError(f"a network is damaged: {str(error)[:200]}") from error
    assert isinstance(found, Corrected)
    return found


def glaciers_of(problem: Problem, rows: np.ndarray, year_start: str | None = None) -> dict[str, Glacier]:
    """The glaciers of some rows, as the models take them, with these rows' records alone.

    Raises
    ------
    InputError
        If the problem has no weather or no maps, or a row lies outside of the weather.
    """
    if problem.forcing is None or problem.grids is None:
        raise InputError('method "glaunti" needs weather and maps: maps.facies.smb(records, climate=..., method=...).')
    start = year_start or year_start_of(problem)
    table = pd.DataFrame({"glacier": problem.glacier[rows].astype(str), "year": problem.balance_year[rows],
                          "balance": problem.observed[rows]})  # fmt: skip
    forcing = problem.forcing.sel(glacier=list(table.glacier.unique())).transpose("time", "glacier", ...)
    require_whole(forcing)
    periods = whole_years(forcing["time"].values, start)
    if outside := sorted(set(table.year) - set(periods)):
        raise InputError(
            f"records of {', '.join(map(str, outside[:6]))} lie outside of the weather, which has the balance years "
            f"{min(periods)} to {max(periods)}; leave them out, or give longer weather."
        )
    stamps = pd.DatetimeIndex(forcing["time"].values)
    dates = pd.DataFrame(
        [(stamps[first], pd.NaT, stamps[last]) for first, last in periods.values()],
        pd.Index(list(periods), name="year"), ["begin_date", "midseason_date", "end_date"],
    )  # fmt: skip
    return {
        name: _glacier(name, forcing.sel(glacier=name), problem.grids[name], dates, mine.set_index("year")["balance"])
        for name, mine in table.groupby("glacier")
    }


def _glacier(name: str, weather: xr.Dataset, grid: xr.Dataset, dates: pd.DataFrame, balance: pd.Series) -> Glacier:
    years_run = [year for year in dates.index if balance.index.min() <= year <= balance.index.max()]
    totals = dates.loc[years_run].assign(winter_balance=np.nan, summer_balance=np.nan)
    totals["annual_balance"] = balance.reindex(years_run)
    still = grid[["elevation", "elevation_std", "outline"]].expand_dims(year=years_run)
    low = xr.full_like(grid["elevation"], float(weather["height"]))
    points = pd.DataFrame(columns=["year", "season", "begin", "end", "row", "column", "balance"])
    return Glacier(
        name, weather[["temperature", "precipitation"]], still.assign(orography=low), totals,
        points, grid["facies"], SCALES, first_year=years_run[0], spin_up=SPIN_UP, repeated=True, kept=True,
    )  # fmt: skip


@dataclass(frozen=True)
class GlaUnTIFit:
    """Trained networks over one temperature-index model."""

    models: list[Corrected]
    error: float
    """[m w.e.]"""
    year_start: str | None

    def predict(self, problem: Problem, rows: np.ndarray) -> Prediction:
        """Balances with the interval of a new record; NaN outside of the weather, and where a glacier has no map."""
        prediction = Prediction.nothing(len(rows))
        if problem.forcing is None or problem.grids is None:
            raise InputError('method "glaunti" needs weather and maps: smb(maps, records, climate=..., method=...).')
        periods = whole_years(problem.forcing["time"].values, self.year_start or year_start_of(problem))
        glacier, year = problem.glacier.astype(str)[rows], problem.balance_year[rows]
        known = np.isin(year, list(periods)) & np.isin(glacier, list(problem.grids))
        if not known.any():
            return prediction
        glaciers = glaciers_of(problem, rows[known], self.year_start)
        each = _at(self.models, glaciers, glacier[known], year[known])
        half = NORMAL * np.sqrt(self.error**2 + each.var(0))
        mean = each.mean(0)
        prediction.put(np.flatnonzero(known), Prediction(mean, mean - half, mean + half))
        return prediction

    def to_dict(self) -> dict[str, Any]:
        """Numbers and texts; tensors as safetensors in base64."""
        members = []
        for model in self.models:
            saved = to_saved(model)
            tensors = {n: t.detach().contiguous().clone() for n, t in saved.tensors.items()}
            members.append({
                "tensors": base64.b64encode(save(tensors)).decode(), "limit": saved.limit,
                "anew": saved.anew, "store": saved.store, "facies": saved.facies,
            })  # fmt: skip
        return {"members": members, "error": self.error, "year_start": self.year_start}


def _at(models: list[Corrected], glaciers: Mapping[str, Glacier], glacier: np.ndarray, year: np.ndarray) -> np.ndarray:
    """Balances (model, row) of glaciers in some years. [m w.e.]"""
    found = [dict(_balances(model, glaciers.values())) for model in models]
    at = list(zip(glacier.astype(str).tolist(), year.tolist(), strict=True))
    return np.array([[member[place] for place in at] for member in found])


def _balances(model: Corrected, glaciers: Iterable[Glacier]) -> Iterable[tuple[tuple[str, int], float]]:
    """Glacier-wide annual balances by glacier and year. [m w.e.]"""
    with torch.no_grad():
        for glacier in glaciers:
            for year, outcome in years(model, glacier):
                annual = by_season(outcome.balance)["annual"]
                yield (glacier.name, year.year), float(mean_over(annual, year.outline))

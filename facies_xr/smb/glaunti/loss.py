"""What training minimises: squared errors of points and of glaciers, and what keeps parameters near where they were."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from ..degreeday.parameters import SMOOTH
from .dataset import SEASONS, Glacier, Year
from .models import Model, Outcome, RecurrentModel


@dataclass(frozen=True)
class Weights:
    """Of the terms of the loss (papers/002)."""

    total: float = 0.1
    """Of glacier-wide balances, beside 1 for points."""
    geodetic: float = 1e-3
    """Of squared errors of means of years in units of the means' own errors: one of .1 m w.e. counts as a
    glacier-wide balance does. [(m w.e.)2]"""
    parameters: float = 0.1
    """Of the free numbers' relative distance from the priors."""
    size: float = 5.0
    """Of the corrections' squares."""
    roughness: float = 20.0
    """Of their spread over the glacier."""
    ratio: float = 5.0
    """Of the difference between those of snow's factor and of the ice ratio."""


def mean_over(field: Tensor, outline: Tensor) -> Tensor:
    """Mean over the glacier, whatever lies outside of it."""
    return (torch.where(outline > 0, field, 0.0) * outline).sum((-2, -1)) / outline.sum()


def by_season(balance: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the annual balance, the sum of winter and summer."""
    return {"annual": balance["winter"] + balance["summer"], **balance} if "winter" in balance else dict(balance)


def years(
    model: Model,
    glacier: Glacier,
    *,
    daily: bool = False,
    dtype: torch.dtype = torch.float32,
    state: Tensor | None = None,
) -> Iterator[tuple[Year, Outcome]]:
    """The years of a glacier after those of the spin-up, one after the other."""
    spin_up = len(glacier.spinning)
    for number, year in enumerate([*glacier.spinning, *glacier.run]):
        spinning = number < spin_up
        data = glacier.year(year, facies=model.facies, dtype=dtype)
        if state is None:
            state = model.start(data)
        outcome = model.run(data, state, spin_up=spinning, daily=daily and not spinning)
        state = outcome.state
        if not spinning:
            yield data, outcome


def terms(model: Model, glacier: Glacier, weights: Weights | None = None, *, dtype: torch.dtype = torch.float32
          ) -> dict[str, Tensor]:  # fmt: skip
    """Mean squared errors of a glacier's years that count, and regularisers.

    Returns
    -------
    dict of Tensor
        ``point_SEASON`` and ``total_SEASON`` [(m w.e.)2] of those seasons that have any, ``geodetic`` (in units of
        their errors, of those all of whose years count), ``parameters`` and ``corrections``, already weighted.
    """
    weights = weights or Weights()
    points: dict[str, list[tuple[Tensor, Tensor]]] = {season: [] for season in SEASONS}
    totals: dict[str, list[Tensor]] = {season: [] for season in SEASONS}
    corrections, annual, studied = [], {}, frozenset(glacier.studied)
    for year, outcome in years(model, glacier, dtype=dtype):
        if year.year not in studied:
            continue
        balance = by_season(outcome.balance)
        annual[year.year] = mean_over(balance["annual"], year.outline)
        for season, field in balance.items():
            if season in year.observed:
                totals[season].append((mean_over(field, year.outline) - year.observed[season]) ** 2)
            if year.points is not None and len(found := year.points[year.points.season == season]):
                modelled = field[found.row.to_numpy(), found.column.to_numpy()]
                observed, weight = (torch.tensor(found[n].to_numpy(float), dtype=dtype) for n in ("balance", "weight"))
                points[season].append((weight * (modelled - observed) ** 2, weight))
        if outcome.corrections is not None:
            for d in outcome.corrections.reshape(-1, *outcome.corrections.shape[-3:]):
                corrections.append(correction_penalty(d, year.outline, weights))
    found_terms = {}
    for season in SEASONS:
        if points[season]:
            squares, weight = (torch.cat([pair[k] for pair in points[season]]).sum() for k in (0, 1))
            found_terms[f"point_{season}"] = squares / weight
        if totals[season]:
            found_terms[f"total_{season}"] = torch.stack(totals[season]).mean()
    if (squares := against_means(annual, glacier)) is not None:
        found_terms["geodetic"] = squares
    if not isinstance(model, RecurrentModel):
        found_terms["parameters"] = weights.parameters * parameter_penalty(model.free)  # type: ignore[attr-defined]
    if corrections:
        found_terms["corrections"] = torch.stack(corrections).mean()
    return found_terms


def against_means(annual: Mapping[int, Tensor], glacier: Glacier) -> Tensor | None:
    """Mean squared error of the means of years, in units of their errors; None without any.

    Raises
    ------
    InputError
        If one has years that are not run.
    """
    found = []
    for row in glacier.geodetic.itertuples() if glacier.geodetic is not None else ():
        wanted = range(int(row.first_year), int(row.last_year) + 1)
        if not set(wanted) <= set(glacier.run):
            raise InputError(
                f"the geodetic balance of {glacier.name} from {row.first_year} to {row.last_year} has years that are "
                f"not run; these are {glacier.run[0]} to {glacier.run[-1]}."
            )
        if set(wanted) <= annual.keys():
            mean = torch.stack([annual[year] for year in wanted]).mean()
            found.append(((mean - float(row.balance)) / float(row.error)) ** 2)
    return torch.stack(found).mean() if found else None


def parameter_penalty(free: Mapping[str, Tensor]) -> Tensor:
    """Squared distance of the free numbers from the priors', relative to these."""
    priors = {name: parameter.free(parameter.prior) for name, parameter in SMOOTH.items()}
    return torch.stack([((free[name] - prior) / prior) ** 2 for name, prior in priors.items()]).sum()


AREA = 1e-6
"""Added to the area of the glacier, as published. [pixel]"""


def correction_penalty(d: Tensor, outline: Tensor, weights: Weights) -> Tensor:
    """Of the corrections of a year: their size, their roughness, and snow's factor going apart from the ice ratio."""

    def mean(field: Tensor) -> Tensor:
        return (torch.where(outline > 0, field, 0.0) * outline).sum((-2, -1)) / (outline.sum() + AREA)

    size = mean(d**2).sum()
    roughness = mean((d - mean(d)[:, None, None]) ** 2).sum()
    return weights.size * size + weights.roughness * roughness + weights.ratio * mean((d[1] - d[2]) ** 2)


def error(found: Mapping[str, Tensor], weights: Weights | None = None) -> Tensor:
    """The errors alone: what models are chosen by."""
    weights = weights or Weights()
    weight = {"point": 1.0, "total": weights.total, "geodetic": weights.geodetic}
    kinds = {name: name.partition("_")[0] for name in found}
    return sum(weight[kinds[name]] * value for name, value in found.items() if kinds[name] in weight)  # type: ignore[return-value]


def loss(found: Mapping[str, Tensor], weights: Weights | None = None) -> Tensor:
    """Errors and regularisers."""
    return error(found, weights) + sum(found[name] for name in ("parameters", "corrections") if name in found)

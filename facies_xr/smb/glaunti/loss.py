"""What training minimises: squared errors of points and of glaciers, and what keeps parameters near where they were."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..degreeday.parameters import SMOOTH
from .dataset import SEASONS, SPIN_UP, Glacier, Year
from .models import Model, Outcome, RecurrentModel


@dataclass(frozen=True)
class Weights:
    """Of the terms of the loss (papers/002)."""

    total: float = 0.1
    """Of glacier-wide balances, beside 1 for points."""
    parameters: float = 0.1
    """Of the free numbers' relative distance from the priors."""
    size: float = 5.0
    """Of the corrections' squares."""
    roughness: float = 20.0
    """Of their spread over the glacier."""
    ratio: float = 5.0
    """Of the difference between those of snow's factor and of the ice ratio."""


def mean_over(field: Tensor, outline: Tensor) -> Tensor:
    """Mean over the glacier."""
    return (field * outline).sum((-2, -1)) / outline.sum()


def by_season(balance: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the annual balance, the sum of winter and summer."""
    return {"annual": balance["winter"] + balance["summer"], **balance} if "winter" in balance else dict(balance)


def years(
    model: Model,
    glacier: Glacier,
    *,
    spin_up: int = SPIN_UP,
    daily: bool = False,
    dtype: torch.dtype = torch.float32,
    state: Tensor | None = None,
) -> Iterator[tuple[Year, Outcome]]:
    """The years of a glacier that count, after those of the spin-up, one after the other."""
    for number, year in enumerate(glacier.years):
        spinning = number < spin_up
        data = glacier.year(year, facies=model.facies, dtype=dtype)
        if state is None:
            state = model.start(data)
        outcome = model.run(data, state, spin_up=spinning, daily=daily and not spinning)
        state = outcome.state
        if not spinning:
            yield data, outcome


def terms(model: Model, glacier: Glacier, weights: Weights | None = None, *, spin_up: int = SPIN_UP,
          dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:  # fmt: skip
    """Mean squared errors and regularisers of a glacier.

    Returns
    -------
    dict of Tensor
        ``point_SEASON`` and ``total_SEASON`` [(m w.e.)2] of those seasons that have any, ``parameters`` and
        ``corrections``, already weighted.
    """
    weights = weights or Weights()
    points: dict[str, list[tuple[Tensor, Tensor]]] = {season: [] for season in SEASONS}
    totals: dict[str, list[Tensor]] = {season: [] for season in SEASONS}
    corrections = []
    for year, outcome in years(model, glacier, spin_up=spin_up, dtype=dtype):
        balance = by_season(outcome.balance)
        for season, field in balance.items():
            if season in year.observed:
                totals[season].append((mean_over(field, year.outline) - year.observed[season]) ** 2)
            if year.points is not None and len(found := year.points[year.points.season == season]):
                modelled = field[found.row.to_numpy(), found.column.to_numpy()]
                observed, weight = (torch.tensor(found[n].to_numpy(float), dtype=dtype) for n in ("balance", "weight"))
                points[season].append((weight * (modelled - observed) ** 2, weight))
        if outcome.corrections is not None:
            corrections.append(correction_penalty(outcome.corrections, year.outline, weights))
    found_terms = {}
    for season in SEASONS:
        if points[season]:
            squares, weight = (torch.cat([pair[k] for pair in points[season]]).sum() for k in (0, 1))
            found_terms[f"point_{season}"] = squares / weight
        if totals[season]:
            found_terms[f"total_{season}"] = torch.stack(totals[season]).mean()
    if not isinstance(model, RecurrentModel):
        found_terms["parameters"] = weights.parameters * parameter_penalty(model.free)  # type: ignore[attr-defined]
    if corrections:
        found_terms["corrections"] = torch.stack(corrections).mean()
    return found_terms


def parameter_penalty(free: Mapping[str, Tensor]) -> Tensor:
    """Squared distance of the free numbers from the priors', relative to these."""
    priors = {name: parameter.free(parameter.prior) for name, parameter in SMOOTH.items()}
    return torch.stack([((free[name] - prior) / prior) ** 2 for name, prior in priors.items()]).sum()


AREA = 1e-6
"""Added to the area of the glacier, as published. [pixel]"""


def correction_penalty(d: Tensor, outline: Tensor, weights: Weights) -> Tensor:
    """Of the corrections of a year: their size, their roughness, and snow's factor going apart from the ice ratio."""

    def mean(field: Tensor) -> Tensor:
        return (field * outline).sum((-2, -1)) / (outline.sum() + AREA)

    size = mean(d**2).sum()
    roughness = mean((d - mean(d)[:, None, None]) ** 2).sum()
    return weights.size * size + weights.roughness * roughness + weights.ratio * mean((d[1] - d[2]) ** 2)


def error(found: Mapping[str, Tensor], weights: Weights | None = None) -> Tensor:
    """The errors alone: what models are chosen by."""
    weight = (weights or Weights()).total
    return sum(
        (value if name.startswith("point") else weight * value)
        for name, value in found.items()
        if name.startswith(("point", "total"))
    )  # type: ignore[return-value]


def loss(found: Mapping[str, Tensor], weights: Weights | None = None) -> Tensor:
    """Errors and regularisers."""
    return error(found, weights) + sum(found[name] for name in ("parameters", "corrections") if name in found)

"""What a balance is due to, and what weather it would take: integrated gradients and inverse optimisation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .optimise import Adam, descend

Balance = Callable[[Tensor, Tensor], Tensor]
"""From temperature and precipitation (time, ...) to one number. [m w.e.]"""


class Attribution(NamedTuple):
    """Shares of the difference between the balance in some weather and that in its baseline. [m w.e.]"""

    temperature: Tensor
    """(time, ...)."""
    precipitation: Tensor
    balance: float
    baseline: float


def integrated_gradients(
    balance: Balance,
    weather: tuple[Tensor, Tensor],
    baseline: tuple[Tensor, Tensor],
    *,
    points: int = 100,
) -> Attribution:
    """Integrated gradients along the straight way from a baseline to the weather (Sundararajan et al. 2017).

    Parameters
    ----------
    balance : callable
        Of temperature and precipitation, for example glacier-wide.
    weather, baseline : (Tensor, Tensor)
        Temperature [degC] and precipitation [m w.e. per day] (time, ...); a baseline is for example the climatology.
    points : int
        At which gradients are taken, both ends included; their plain mean is used, as published.

    Notes
    -----
    ``(x - x0) mean_alpha grad f(x0 + alpha (x - x0))``. All shares together are the difference of the balances but for
    the error of the sum; that of ``points`` can so be checked.
    """
    totals = [torch.zeros_like(x) for x in weather]
    values = {}
    for alpha in torch.linspace(0, 1, points, dtype=torch.float64).tolist():
        between = [(x0 + alpha * (x - x0)).requires_grad_() for x, x0 in zip(weather, baseline, strict=True)]
        value = balance(*between)
        values[alpha] = float(value.detach())
        for total, gradient in zip(totals, torch.autograd.grad(value, between), strict=True):
            total += gradient / points
    shares = [(x - x0) * total for x, x0, total in zip(weather, baseline, totals, strict=True)]
    return Attribution(shares[0], shares[1], values[1.0], values[0.0])


class Inverse(NamedTuple):
    """A search for a shift of the temperature."""

    shift: float
    """That with the smallest absolute balance. [K]"""
    balance: float
    """With it. [m w.e.]"""
    path: Tensor
    """Shift, objective and balance of each step (step, 3)."""


PENALTY = 1e-4
"""Of the squared shift beside the squared balance, as published. [(m w.e.)2 K-2]"""


def warming_for_balance(
    balance: Callable[[Tensor], Tensor], *, settings: Adam | None = None, dtype: torch.dtype = torch.float64
) -> Inverse:
    """The uniform shift of temperature with which a balance is nought.

    Parameters
    ----------
    balance : callable
        Of the shift [K], in m w.e., for example the mean of some years.
    settings : Adam
        200 steps of .05 K by default, as published.
    dtype : torch dtype
    """
    shift = torch.zeros((), dtype=dtype, requires_grad=True)
    found: list[tuple[float, float, float]] = []
    latest: list[float] = []

    def objective() -> Tensor:
        value = balance(shift)
        latest.append(float(value.detach()))
        return PENALTY * shift**2 + value**2

    for step in descend(objective, [shift], settings or Adam(learning_rate=5e-2, steps=200)):
        found.append((float(shift.detach()), step.value, latest[-1]))
    best = min(found, key=lambda row: abs(row[2]))
    return Inverse(best[0], best[2], torch.tensor(found, dtype=torch.float64))

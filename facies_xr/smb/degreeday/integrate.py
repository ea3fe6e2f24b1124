"""Days one after the other: the balance of a period, and the snow at its end."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from .parameters import Number
from .steps import After, Step


class Run(NamedTuple):
    """Daily balances and snow, (time, ...). [m w.e.]"""

    balance: Tensor
    snow: Tensor


def weights(days: int) -> list[float]:
    """Share of each day in a period that has both its end days, which it has in common with its neighbours."""
    if days < 1:
        raise InputError(f"a period of {days} days has no balance.")
    if days == 1:
        return [0.5]
    return [0.5, *[1.0] * (days - 2), 0.5]


def bare(p, like: Tensor) -> Tensor:
    """Snow at the start where none is known: the centre of the depletion curve, as published. [m w.e.]"""
    return torch.as_tensor(p.depletion_centre, dtype=like.dtype).expand(like.shape)


def days(
    step: Step, p, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0
) -> Iterator[After]:
    """Each day of a period, (time, ...) taken apart once, so that gradients cost a day a day."""
    for t, rain, weight in zip(temperature.unbind(0), precipitation.unbind(0), weights(len(temperature)), strict=True):
        after = step(p, t, rain, snow, weight, warming)
        snow = after.snow
        yield after


def period(step: Step, p, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0) -> After:
    """Balance of a period, and the snow at its end.

    Parameters
    ----------
    step : Step
        One of :mod:`facies_xr.smb.degreeday.steps`.
    p : Smooth, Classical or Single
        Parameters.
    temperature, precipitation : Tensor (time, ...)
        Of each day, both end days included. [degC; m w.e. per day]
    snow : Tensor (...)
        Before the first day. [m w.e.]
    warming : float or Tensor (...)
        Added to the temperature that melts. [K]
    """
    total = torch.zeros_like(temperature[0])
    for after in days(step, p, temperature, precipitation, snow, warming):
        total = total + after.balance
        snow = after.snow
    return After(total, snow)


def series(step: Step, p, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0) -> Run:
    """As :func:`period`, day by day."""
    daily = list(days(step, p, temperature, precipitation, snow, warming))
    return Run(torch.stack([after.balance for after in daily]), torch.stack([after.snow for after in daily]))

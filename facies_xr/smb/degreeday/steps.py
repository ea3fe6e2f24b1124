r"""One day of a temperature-index model, as a pure function of the day and of the snow before it.

All take and return tensors of one shape, whatever it is: (y, x), (band,), a number. Balance and snow in m w.e.,
temperature in degC, precipitation in m w.e. per day; ``weight`` is the day's share of its period (1/2 for the days at
its ends), ``warming`` is added to the temperature that melts, and not to that which tells snow from rain.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus as _softplus

from .parameters import Classical, Number, Single, Smooth

LEAST_SNOW = 1e-8
"""The snow-covered fraction of less is nought to float32. [m w.e.]"""


class After(NamedTuple):
    """What a day gives."""

    balance: Tensor
    """[m w.e.]"""
    snow: Tensor
    """[m w.e.]"""


class Step(Protocol):
    """A day of a model with its parameters ``p``."""

    def __call__(self, p, temperature: Tensor, precipitation: Tensor, snow: Tensor, weight: Number = 1.0,
                 warming: Number = 0.0) -> After:  # fmt: skip
        """Balance of the day, and the snow after it."""


def softplus(x: Tensor, sharpness: Number) -> Tensor:
    """A smooth ``max(x, 0)``: ln(1 + exp(k x)) / k."""
    return _softplus(sharpness * x, threshold=40.0) / sharpness


def snowfall(p: Smooth | Single, temperature: Tensor, precipitation: Tensor) -> Tensor:
    """Solid precipitation, the logistic share of the total; rain runs off. [m w.e.]"""
    return p.precipitation_factor * precipitation * torch.sigmoid(p.rain_steepness * (p.rain_centre - temperature))


def covered(p: Smooth, snow: Tensor) -> Tensor:
    """Snow-covered fraction, a Hill curve of the snow: S^k / (S^k + S_c^k)."""
    centre = torch.as_tensor(p.depletion_centre, dtype=snow.dtype)
    return torch.sigmoid(p.depletion_steepness * (snow.clamp(min=LEAST_SNOW) / centre).log())


def smooth(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, weight: Number = 1.0,
           warming: Number = 0.0) -> After:  # fmt: skip
    r"""The published smooth model, whose gradients never vanish.

    Notes
    -----
    ``A = k_P P sig(k_sr (T_sr - T))``, ``T+ = sp_kT(T + warming)``, ``phi = S^k/(S^k + S_c^k)``,
    ``b = w (A - f_s T+ (phi + rho (1 - phi)))``, ``S' = sp_kS(S + w (A - f_s phi T+))`` (papers/002). The softplus of
    the store makes snow out of nothing near S = 0, and keeps some on melting ice: :func:`conserving` does not.
    """
    fallen = snowfall(p, temperature, precipitation)
    melt = p.degree_day_factor_snow * softplus(temperature + warming, p.warmth_sharpness)
    phi = covered(p, snow)
    balance = weight * (fallen - melt * (phi + p.ice_to_snow * (1 - phi)))
    return After(balance, softplus(snow + weight * (fallen - melt * phi), p.store_sharpness))


def classical(p: Classical, temperature: Tensor, precipitation: Tensor, snow: Tensor, weight: Number = 1.0,
              warming: Number = 0.0) -> After:  # fmt: skip
    """The published model with thresholds; nothing flows through its snow-covered fraction, which is 0 or 1."""
    solid = ((p.rain_left + p.rain_length - temperature) / p.rain_length).clamp(0, 1)
    fallen = p.precipitation_factor * precipitation * solid
    melt = p.degree_day_factor_snow * (temperature + warming).clamp(min=0)
    phi = (snow > p.depletion_centre).to(snow.dtype)
    balance = weight * (fallen - melt * (phi + p.ice_to_snow * (1 - phi)))
    return After(balance, (snow + weight * (fallen - melt * phi)).clamp(min=0))


def single(p: Single, temperature: Tensor, precipitation: Tensor, snow: Tensor, weight: Number = 1.0,
           warming: Number = 0.0) -> After:  # fmt: skip
    """One degree-day factor for snow and ice; the snow passes through untouched, days do not depend on one another."""
    melt = p.degree_day_factor * softplus(temperature + warming, p.warmth_sharpness)
    return After(weight * (snowfall(p, temperature, precipitation) - melt), snow)


SHARPNESS = 8.0
"""Of the smooth least of two in :func:`conserving`; at equal supply and demand .92 of either melts."""

TINY = 1e-30
"""No water at all. [m w.e.]"""


def conserving(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, weight: Number = 1.0,
               warming: Number = 0.0) -> After:  # fmt: skip
    r"""A smooth model that keeps its mass, and in which bare ice melts at the factor of ice.

    Notes
    -----
    Of the snow there is, ``V = S + w A``, as much melts as the warmth ``M = w f_s T+`` asks for, smoothly:
    ``m = M V / (M^n + V^n)^(1/n)`` with n = 8, so 0 <= m <= min(M, V) and ``S' = V - m`` exactly. The warmth left over
    melts ice: ``b = w A - m - rho (M - m)``. The depletion curve and the store's sharpness are not used.
    """
    fallen = weight * snowfall(p, temperature, precipitation)
    demand = weight * p.degree_day_factor_snow * softplus(temperature + warming, p.warmth_sharpness)
    supply = snow + fallen
    least = torch.minimum(demand, supply)
    ratio = least / torch.maximum(demand, supply).clamp(min=TINY)
    melt = least / (1 + ratio**SHARPNESS) ** (1 / SHARPNESS)
    return After(fallen - melt - p.ice_to_snow * (demand - melt), supply - melt)


STEPS: dict[str, Step] = {"published": smooth, "classical": classical, "single": single, "conserving": conserving}
"""By the name of the snow store; "published" is the smooth one of papers/002."""

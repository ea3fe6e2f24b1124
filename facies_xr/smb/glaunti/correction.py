"""How corrections act on the parameters, and what the network is told that only the model itself can say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..degreeday import fast
from ..degreeday.parameters import Smooth

WARMER, WETTER = 0.5, 1.05
"""Shifts with which the model is asked how its balance reacts. [K, 1]"""

BALANCE_SCALE = 10.0
"""Of the balance without corrections, where the network reads it. [m w.e.]"""


def corrected(p: Smooth, corrections: Tensor | None) -> tuple[Smooth, Tensor | float]:
    """Parameters in each pixel, and what warms the melting air. [K]

    Parameters
    ----------
    p : Smooth
    corrections : Tensor (5, y, x), optional
        Logarithms of the factors of precipitation, snow's factor and ice ratio; shifts of the rain's centre and of
        the melting warmth. [K]
    """
    if corrections is None:
        return p, 0.0
    d = corrections
    return p._replace(
        precipitation_factor=p.precipitation_factor * d[0].exp(),
        degree_day_factor_snow=p.degree_day_factor_snow * d[1].exp(),
        ice_to_snow=p.ice_to_snow * d[2].exp(),
        rain_centre=p.rain_centre + d[3],
    ), d[4]


def first_guess(p: Smooth, seasons: Sequence[tuple[Tensor, Tensor]], snow: Tensor, store: str = fast.PUBLISHED
                ) -> Tensor:  # fmt: skip
    """The balance of a year without corrections, and how it changes in warmer and in wetter air.

    Parameters
    ----------
    p : Smooth
    seasons : sequence of (temperature, precipitation)
        Of the year's periods, (time, y, x). [degC; m w.e. per day]
    snow : Tensor (y, x)
        At the start of the year. [m w.e.]
    store : {"published", "conserving"}

    Returns
    -------
    Tensor (3, y, x)
        The first over 10 m w.e.; no gradient flows through it.
    """
    with torch.no_grad():

        def year(warmer: float, wetter: float) -> Tensor:
            state, total = snow, torch.zeros_like(snow)
            for temperature, precipitation in seasons:
                after = fast.period(p, temperature + warmer, precipitation * wetter, state, store=store)
                total, state = total + after.balance, after.snow
            return total

        plain = year(0, 1)
        return torch.stack([plain / BALANCE_SCALE, year(WARMER, 1) - plain, year(0, WETTER) - plain])

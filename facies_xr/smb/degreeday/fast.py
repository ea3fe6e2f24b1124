"""The smooth model over a period, by the fastest way there is for the tensors at hand."""

from torch import Tensor

from . import integrate, steps
from .parameters import Number, Smooth
from .steps import After


def period(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0) -> After:
    """As :func:`facies_xr.smb.degreeday.integrate.period` with the published step."""
    return integrate.period(steps.smooth, p, temperature, precipitation, snow, warming)

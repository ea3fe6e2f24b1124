"""Parameters of temperature-index models: names, units, priors, and how free numbers become possible ones.

What is optimised is free (any real number, "raw"); :func:`resolved` turns it into what the equations use. The published
values are those of GlaUnTI (papers/002; its model a and its priors).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from ...errors import InputError

Number: TypeAlias = float | Tensor


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model."""

    prior: float
    """In its unit."""
    unit: str
    transform: str = "log"
    """"log" keeps it above 0, "log above 1" above 1, "identity" leaves it free."""
    trainable: bool = True
    published: str = ""
    """What the published program calls the free number."""

    def free(self, value: float) -> float:
        """The free number of a value."""
        least = {"log": 0.0, "log above 1": 1.0, "identity": -math.inf}[self.transform]
        if not value > least:
            raise InputError(f"{self.published or 'a parameter'} of {value!r} is not above {least:g}.")
        return value if self.transform == "identity" else math.log(value - least)

    def resolve(self, free: Tensor) -> Tensor:
        """The value of a free number."""
        if self.transform == "identity":
            return free
        return free.exp() + 1 if self.transform == "log above 1" else free.exp()


class Smooth(NamedTuple):
    """Of the smooth models; numbers or fields, in the units of :data:`SMOOTH`."""

    precipitation_factor: Number
    degree_day_factor_snow: Number
    ice_to_snow: Number
    rain_steepness: Number
    rain_centre: Number
    depletion_steepness: Number
    depletion_centre: Number
    warmth_sharpness: Number
    store_sharpness: Number


class Classical(NamedTuple):
    """Of the model with thresholds; used as they are."""

    precipitation_factor: Number
    degree_day_factor_snow: Number
    ice_to_snow: Number
    rain_left: Number
    """Below it all precipitation is snow. [degC]"""
    rain_length: Number
    """Until all of it is rain. [K]"""
    depletion_centre: Number
    """Snow above which the surface is snow. [m w.e.]"""


class Single(NamedTuple):
    """Of the model with one degree-day factor and no snow store."""

    precipitation_factor: Number
    degree_day_factor: Number
    rain_steepness: Number
    rain_centre: Number
    warmth_sharpness: Number


SMOOTH: dict[str, Parameter] = {
    "precipitation_factor": Parameter(1.4, "1", published="prec_scale_log"),
    "degree_day_factor_snow": Parameter(0.0049, "m w.e. K-1 d-1", published="ddf_snow_log"),
    "ice_to_snow": Parameter(1.5, "1", "log above 1", published="ddf_relative_ice_minus_one_log"),
    "rain_steepness": Parameter(1.5, "K-1", published="snow_to_rain_steepness_log"),
    "rain_centre": Parameter(1.0, "degC", "identity", published="snow_to_rain_centre"),
    "depletion_steepness": Parameter(3.0, "1", published="snow_depletion_steepness_log"),
    "depletion_centre": Parameter(0.03, "m w.e.", published="snow_depletion_centre_log"),
    "warmth_sharpness": Parameter(10.0, "K-1", trainable=False, published="t_softplus_sharpness_log"),
    "store_sharpness": Parameter(20.0, "(m w.e.)-1", trainable=False, published="swe_softplus_sharpness_log"),
}
"""The smooth model's parameters, in the order of the published regulariser."""

SINGLE: dict[str, Parameter] = {
    "precipitation_factor": Parameter(1.4, "1", published="prec_scale_log"),
    "degree_day_factor": Parameter(0.006125, "m w.e. K-1 d-1", published="ddf_log"),
    "rain_steepness": Parameter(1.5, "K-1", published="snow_to_rain_steepness_log"),
    "rain_centre": Parameter(1.0, "degC", "identity", published="snow_to_rain_centre"),
    "warmth_sharpness": Parameter(10.0, "K-1", trainable=False, published="t_softplus_sharpness_log"),
}

TRAINABLE = tuple(name for name, parameter in SMOOTH.items() if parameter.trainable)

CLASSICAL = Classical(1.4, 0.0049, 1.5, 1.0 - 2 / 1.5, 4 / 1.5, 0.03)
"""Centre and slope at the centre as the smooth model's priors."""

P = TypeVar("P", Smooth, Single)


def free(values: Mapping[str, float] | None = None, *, of: Mapping[str, Parameter] = SMOOTH,
         dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:  # fmt: skip
    """Free numbers of parameters; of those that are not given, the priors.

    Parameters
    ----------
    values : mapping of float, optional
        By name, in the units of ``of``.
    of : mapping of Parameter
        :data:`SMOOTH` or :data:`SINGLE`.
    dtype : torch dtype

    Raises
    ------
    InputError
        If there is no parameter of a name, or a value is not possible.
    """
    values = values or {}
    if unknown := set(values) - set(of):
        raise InputError(f"there is no parameter {', '.join(sorted(unknown))}; choose among {', '.join(of)}.")
    return {n: torch.tensor(p.free(float(values.get(n, p.prior))), dtype=dtype) for n, p in of.items()}


def resolved(raw: Mapping[str, Tensor]) -> Smooth:
    """What the smooth equations use, of free numbers by name."""
    return Smooth(**{name: parameter.resolve(raw[name]) for name, parameter in SMOOTH.items()})


def resolved_single(raw: Mapping[str, Tensor]) -> Single:
    """What the equations with one degree-day factor use, of free numbers by name."""
    return Single(**{name: parameter.resolve(raw[name]) for name, parameter in SINGLE.items()})


def priors() -> Smooth:
    """The priors of the smooth model."""
    return resolved(free())

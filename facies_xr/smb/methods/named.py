"""Balance methods by name; a further one is a file beside this and a row of ``METHODS``."""

from ...errors import InputError
from .base import Method
from .glaunti import GlaUnTI
from .optional import WithOptional
from .per_glacier import PerGlacier
from .pooled import Pooled
from .ridge import Ridge
from .tabular.method import FeedForward
from .temperature_index import TemperatureIndex

METHODS: dict[str, Method] = {
    "eq2": WithOptional(Ridge()),
    "eq3": WithOptional(PerGlacier()),
    "pooled": WithOptional(Pooled()),
}

WITH_WEATHER: dict[str, Method] = {
    "temperature-index": TemperatureIndex(),
    "ff-fcnn": FeedForward(),
    "glaunti": GlaUnTI(),
}
"""Those that rest on weather: days over the elevation bands, features of months, days on a grid."""

ON_GRIDS = ("glaunti",)
"""Those that need the maps pixel by pixel."""

EVERY = METHODS | WITH_WEATHER

DEFAULT = "pooled"
"""What ``method="regression"`` stands for."""


def method_named(name: str) -> str:
    """A method's own name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name == "regression":
        return DEFAULT
    if name not in EVERY:
        raise InputError(f"method={name!r}: choose among regression (which is {DEFAULT}), {', '.join(EVERY)}.")
    return name

"""The eight surface classes, their flag values and colours (Maslov et al. 2026, section 2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

NODATA = 255
"""Flag value of a pixel that has no class: outside the glaciers, or inside but not observed."""


@dataclass(frozen=True)
class SurfaceClass:
    """One surface class."""

    name: str
    value: int
    """Flag value in ``facies_map``, and index in ``facies_class``."""
    color: str
    is_facies: bool
    """False for what hides the glacier's surface (shadow, water, cloud)."""
    meaning: str


CLASSES = (
    SurfaceClass("ice", 0, "#4a9fd8", True, "bare glacier ice"),
    SurfaceClass("snow", 1, "#f4f7fb", True, "seasonal snow of the current balance year"),
    SurfaceClass("debris", 2, "#8a6f55", True, "rock or sediment on the glacier"),
    SurfaceClass("firn", 3, "#b9a7d9", True, "snow that survived at least one summer"),
    SurfaceClass("shadow", 4, "#2b2b38", False, "cast or self shadow"),
    SurfaceClass("refrozen-like", 5, "#3fc9b0", True, "refrozen meltwater, superimposed ice"),
    SurfaceClass("water", 6, "#1f4fa3", False, "supraglacial water"),
    SurfaceClass("cloud", 7, "#f2c14e", False, "cloud"),
)

NAMES = tuple(c.name for c in CLASSES)
COLORS = tuple(c.color for c in CLASSES)
VALUES = {c.name: c.value for c in CLASSES}
FACIES = tuple(c.name for c in CLASSES if c.is_facies)


def cf_flags() -> dict[str, Any]:
    """CF attributes of a map of these classes."""
    return {
        "flag_values": np.arange(len(CLASSES), dtype="uint8"),
        "flag_meanings": " ".join(name.replace("-", "_") for name in NAMES),
        "flag_colors": " ".join(COLORS),
    }

"""Facts that others wrote: cast with a name, and held against the range that nature and missions set.

Items, metadata files and tables hold texts where numbers belong, placeholders, and slips of a power of ten. What reads
them takes each fact from here, so that a wrong one is an error that names it.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import pandas as pd
from pyproj import CRS
from pyproj.exceptions import CRSError

from .errors import MetadataError

MISSING = ("", "nan", "none", "null", "<na>")
"""What tools write where a text is missing."""

LONGEST = 200
"""Of a value as an error shows it. [characters]"""


@dataclass(frozen=True)
class Range:
    """What a number can be."""

    low: float
    high: float
    units: str
    source: str
    """Why there is nothing beyond."""

    def __str__(self) -> str:
        units = "" if self.units == "1" else f" {self.units}"
        return f"{self.low:g} to {self.high:g}{units} ({self.source})"


def shown(value: Any) -> str:
    """A value as an error shows it: short, and without what would steer a terminal."""
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def number(where: str, name: str, value: Any, within: Range | None = None) -> float:
    """A finite number.

    Parameters
    ----------
    where, name : str
        What holds the fact, and its name there.
    value : object
        A number, or text that is one.
    within : Range, optional

    Raises
    ------
    MetadataError
        If it is no number, not finite, or out of the range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        cast = float(value)
    except (TypeError, ValueError, OverflowError):
        raise MetadataError(f"{where}: {name} is {shown(value)}, which is no number.") from None
    if not math.isfinite(cast):
        raise MetadataError(f"{where}: {name} is {cast}, which is no finite number.")
    if within is not None and not within.low <= cast <= within.high:
        raise MetadataError(f"{where}: {name} is {cast:g}, which is not within {within}.")
    return cast


def text(where: str, name: str, value: Any) -> str:
    """Text that is not empty and can be shown.

    Raises
    ------
    MetadataError
    """
    if not isinstance(value, str) or value.strip().lower() in MISSING:
        raise MetadataError(f"{where}: {name} is {shown(value)}, which is no text.")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Cf") for letter in value):
        raise MetadataError(f"{where}: {name} is {shown(value)}, which holds control characters.")
    return value


def mapping(where: str, name: str, value: Any) -> Mapping[str, Any]:
    """Names with values.

    Raises
    ------
    MetadataError
    """
    if not isinstance(value, Mapping):
        raise MetadataError(f"{where}: {name} is {shown(value)}, not names with values.")
    return value


FIRST_YEAR = 1972
"""Launch of the first Landsat."""


def time(where: str, name: str, value: Any) -> pd.Timestamp:
    """Time of a scene without a zone (UTC), in whole microseconds.

    Raises
    ------
    MetadataError
        If it is no time, or one at which no satellite took scenes.
    """
    try:
        when = pd.Timestamp(text(where, name, value))
        when = (when.tz_convert(None) if when.tzinfo else when).floor("us")
    except (ValueError, OverflowError, TypeError):
        raise MetadataError(f"{where}: {name} is {shown(value)}, which is no time.") from None
    last = date.today().year + 1
    if when is pd.NaT or not FIRST_YEAR <= when.year <= last:
        raise MetadataError(f"{where}: {name} is {shown(value)}, not a time from {FIRST_YEAR} to {last}.")
    return when


def crs(where: str, name: str, value: Any) -> str:
    """Code of a CRS that there is.

    Raises
    ------
    MetadataError
    """
    code = text(where, name, value)
    if not _is_crs(code):
        raise MetadataError(f"{where}: {name} is {shown(value)}, which is no coordinate reference system.")
    return code


@lru_cache(maxsize=256)
def _is_crs(code: str) -> bool:
    try:
        CRS.from_user_input(code)
    except CRSError:
        return False
    return True

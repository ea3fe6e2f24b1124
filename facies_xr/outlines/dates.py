"""Dates of outlines as people write them: each is a day, unknown, or refused with its value."""

import re
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OutlineError

FIRST_YEAR = 1800
"""No outline is older: the moraines of the Little Ice Age's end are the oldest that are mapped as outlines."""

UNKNOWN = ("", "nan", "nat", "none", "null", "<na>", "n/a", "-", "0", "-9999", "-9999999", "99999999")
"""What stands for an unknown date; the long numbers are RGI 6's."""

_MIDDLE = {"month": "07", "day": "15"}
"""What RGI 6's 99 is read as: an unknown day is the month's middle, an unknown month that of the year (1 July)."""


def parse(column: pd.Series, source: str) -> pd.Series:
    """Dates of a column.

    Parameters
    ----------
    column : Series
        ISO 8601; ``YYYYMMDD``, where 99 stands for an unknown month or day; a year, which is its 1 July; or day, month
        and year with dots, dashes or slashes. These may also be numbers. Where only some other date of the column
        tells which is the day, that decides.
    source : str
        Of the column, for messages.

    Returns
    -------
    Series of datetime64
        NaT where the date is not known.

    Raises
    ------
    OutlineError
        With the value, if it is no date, could be two, or lies in the future or before 1800.
    """
    if column.dtype.kind == "M":
        found = _naive(column)
        _require_possible(found, column, source)
        return found
    texts = column.map(_text, na_action=None).astype(str)
    day_first = _day_first(texts)
    known = {text: _day(text, day_first) for text in texts.unique()}
    bad = [text for text, day in known.items() if day is None]
    if bad:
        raise OutlineError(
            f"{source}: column {column.name!r} has the date {bad[0]!r}, which "
            f"{'could be two days' if _numbers(bad[0]) else 'cannot be read'}; write dates as YYYY-MM-DD, and leave "
            "unknown ones empty."
        )
    found = pd.to_datetime(texts.map(known))
    _require_possible(found, texts, source)
    return found


def _require_possible(found: pd.Series, column: pd.Series, source: str) -> None:
    impossible = found.notna() & ((found.dt.year < FIRST_YEAR) | (found.dt.year > datetime.now().year + 1))
    if impossible.any():
        raise OutlineError(
            f"{source}: column {column.name!r} has the date {str(column[impossible].iloc[0])!r}; outlines are from "
            f"{FIRST_YEAR} to today."
        )


def _naive(column: pd.Series) -> pd.Series:
    """Days in universal time, without a zone."""
    return column.dt.tz_convert(None) if column.dt.tz is not None else column


def _text(value: Any) -> str:
    if value is None or value is pd.NaT:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else str(int(value)) if float(value).is_integer() else repr(float(value))
    return re.sub(r"^(\d+)\.0*$", r"\1", str(value).strip())


def _numbers(text: str) -> tuple[int, int, int] | None:
    """First and second number and year of a date that ends with the year."""
    match = re.fullmatch(r"(\d{1,2})([-./])(\d{1,2})\2(\d{4})", text)
    return (int(match[1]), int(match[3]), int(match[4])) if match else None


def _day_first(texts: pd.Series) -> bool | None:
    """Whether the day stands first in dates with dashes or slashes; None if none of them tells."""
    found = [numbers for text in texts.unique() if "." not in text and (numbers := _numbers(text))]
    first, second = any(n[0] > 12 for n in found), any(n[1] > 12 for n in found)
    return first if first != second else None


def _day(text: str, day_first: bool | None) -> Any:
    """Day of a text, NaT if it stands for an unknown one, None if it is none or could be two."""
    if text.lower() in UNKNOWN:
        return pd.NaT
    if numbers := _numbers(text):
        a, b, in_year = numbers
        if "." in text or a == b:
            day_first = True
        if day_first is None:
            return None
        return _stamp(f"{in_year:04d}-{b:02d}-{a:02d}" if day_first else f"{in_year:04d}-{a:02d}-{b:02d}")
    if match := re.fullmatch(r"(\d{4})(\d\d)?(\d\d)?", text):
        year, month, day = match.groups()
        if month in (None, "99"):
            return _stamp(f"{year}-{_MIDDLE['month']}-01") if day in (None, "99") or month == "99" else None
        if day is None:
            return None  # six digits could be two years, or a day, month and short year
        return _stamp(f"{year}-{month}-{_MIDDLE['day'] if day == '99' else day}")
    if re.match(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}", text):
        return _stamp(text.replace("/", "-"))
    if re.fullmatch(r"\d{4}-\d\d", text):
        return _stamp(f"{text}-{_MIDDLE['day']}")
    return None


def _stamp(text: str) -> pd.Timestamp | None:
    try:
        found = pd.to_datetime(text, utc=True).tz_convert(None)
        return found.as_unit("ns")
    except (ValueError, OverflowError):  # OutOfBoundsDatetime too
        return None

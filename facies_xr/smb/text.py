"""Tables as people save them: separators, encodings, decimal commas, typographic minus signs."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "-", "--"})
"""Texts that mean "missing", in lower case."""

SEPARATORS = (",", ";", "\t")
LARGEST = 500_000_000
"""Tables of records are smaller. [byte]"""

_WHOLE = re.compile(r"^(\d+)\.0+$")
_DATE = re.compile(
    r"((?P<year>\d{4})(-?)(?P<month>\d\d)\3(?P<day>\d\d)(\.0)?"
    r"|(?P<day_first>\d{1,2})\.(?P<month_first>\d{1,2})\.(?P<year_first>\d{4}))([T ].*)?"
)
_COMMA = re.compile(r"[-+]?\d+,\d+")


def table(path: Path, is_header: Callable[[set[str]], bool]) -> pd.DataFrame:
    """A table of texts, its columns in lower case.

    Parameters
    ----------
    path : Path
        With comments above its header; commas, semicolons or tabs; UTF-8, UTF-16 or Latin-1.
    is_header : callable
        Whether a line with these names, in lower case, is the header; else the first line is.

    Raises
    ------
    InputError
        If it is not such a table, or names a column twice.
    """
    if path.stat().st_size > LARGEST:
        raise InputError(f"observations {str(path)!r} are larger than {LARGEST // 10**6} MB; give a table of balances.")
    lines = _decoded(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = next((k for k, line in enumerate(lines) if is_header(set(_names(line)))), 0)
    names = _names(lines[header])
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(f"observations {str(path)!r} have two columns named {repeated[0]!r}; keep one.")
    try:
        body = io.StringIO("\n".join(lines[header + 1 :]))
        rows = list(csv.reader(body, delimiter=_separator(lines[header]), escapechar="\\"))
    except csv.Error as error:
        raise InputError(f"observations {str(path)!r} are not a CSV table: {error}") from error
    rows = [row for row in rows if any(map(str.strip, row))]
    if long := next((row for row in rows if len(row) > len(names) and any(map(str.strip, row[len(names) :]))), None):
        raise InputError(
            f"observations {str(path)!r}: a row has {len(long)} fields, the header {len(names)}: "
            f"{','.join(long)[:80]!r}."
        )
    padded = [(row + [""] * len(names))[: len(names)] for row in rows]
    return pd.DataFrame(padded, columns=names, dtype=str)


def texts(column: pd.Series) -> pd.Series:
    """Stripped texts, None where missing."""

    def one(value: object) -> str | None:
        text = str(value).strip()
        return None if text.lower() in MISSING else text

    return column.map(one, na_action="ignore").astype(object).where(column.notna(), None)


def identifiers(column: pd.Series) -> pd.Series:
    """Texts that name something: 491.0, an id that went through a number, is 491; 00491 stays what it is."""
    return texts(column).map(lambda text: text and _WHOLE.sub(r"\1", text))


def numbers(column: pd.Series, source: str, name: str) -> pd.Series:
    """Numbers of a column of texts or numbers; NaN where missing.

    Raises
    ------
    InputError
        If a value is no finite number.
    """

    def one(text: str | None) -> float:
        if text is None:
            return np.nan
        plain = text.replace("\u2212", "-").replace("\u2013", "-")
        if _COMMA.fullmatch(plain):
            plain = plain.replace(",", ".")
        try:
            value = float(plain)
        except ValueError:
            value = np.inf
        if not np.isfinite(value):
            raise InputError(f"{source}: {name} {text[:40]!r} is not a number.")
        return value

    return texts(column).map(one).astype(float)


def dates(column: pd.Series, source: str, name: str) -> pd.Series:
    """Days of a column of texts or dates; NaT where missing, or where day or month are not known (WGMS: 99).

    2013-09-24, 20130924 and 24.09.2013 are understood, with or without a time behind them.

    Raises
    ------
    InputError
        If a value is no date.
    """

    def one(text: str | None) -> pd.Timestamp:
        if text is None or (found := _DATE.fullmatch(text)) is None:
            if text is None or not text.strip("9.0"):
                return pd.NaT
            raise InputError(f"{source}: {name} {text[:40]!r} is not a date; write it as 2013-09-24.")
        parts = {key: int(value) for key, value in found.groupdict().items() if value is not None}
        year, month, day = (parts.get(key, parts.get(f"{key}_first", 0)) for key in ("year", "month", "day"))
        if 99 in (month, day) or year == 9999:
            return pd.NaT
        try:
            return pd.Timestamp(year, month, day)
        except ValueError:
            raise InputError(f"{source}: {name} {text[:40]!r} is not a day of the calendar.") from None

    return pd.Series(pd.to_datetime(texts(column).map(one)), dtype="datetime64[ns]")


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _names(line: str) -> list[str]:
    return [name.strip().strip("\"'").strip().lower() for name in line.split(_separator(line))]

"""Mass balance records: the layouts in which they are published, or one's own table."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError

PLAUSIBLE = 10.0
"""No glacier-wide annual balance is larger. [m w.e.]"""

BALANCES = ("balance", "winter_balance", "summer_balance")


@dataclass(frozen=True)
class Layout:
    """How a publisher names its columns."""

    name: str
    columns: dict[str, str]
    """Their names of ours; those in ``needed`` must be there."""
    factor: float
    """To m w.e."""
    needed: tuple[str, ...] = ("glacier", "balance_year", "balance")
    spare_id: tuple[str, str] | None = None
    """Prefix and column of an id for rows whose own is missing."""

    def fits(self, table: pd.DataFrame) -> bool:
        """Whether a table has the columns that must be there."""
        return {self.columns[name] for name in self.needed} <= set(table.columns)


_OWN = {
    name: name
    for name in (
        "glacier",
        "balance_year",
        *BALANCES,
        "name",
        "longitude",
        "latitude",
        "system",
        "accumulation_area_ratio",
    )
}
_WGMS = {"balance": "ANNUAL_BALANCE", "winter_balance": "WINTER_BALANCE", "summer_balance": "SUMMER_BALANCE",
         "name": "NAME"}  # fmt: skip

LAYOUTS = (
    Layout("own table", _OWN, 1.0),
    Layout("WGMS by RGI id", {"glacier": "RGI_ID", "balance_year": "YEAR", **_WGMS}, 1e-3),
    Layout(
        "WGMS Fluctuations of Glaciers browser",
        {"glacier": "WGMS_ID", "balance_year": "SURVEY_YEAR", "longitude": "LONGITUDE", "latitude": "LATITUDE",
         "accumulation_area_ratio": "AAR", "equilibrium_line_altitude": "ELA", **_WGMS},
        1e-3,
    ),
    Layout(
        "NVE",
        {"glacier": "RGIID", "balance_year": "Year", "balance": "Ba", "winter_balance": "Bw", "summer_balance": "Bs"},
        1.0,
        spare_id=("NVE-", "BREID"),
    ),
)  # fmt: skip
"""Layouts that are told apart by their columns."""


def read(observations: Any, *, units: str | None = None) -> pd.DataFrame:
    """Annual balances, a row a glacier and year.

    Parameters
    ----------
    observations : path, list of paths, or DataFrame
        A CSV file, or a folder of them: an own table with the columns ``glacier, balance_year, balance``, the WGMS's
        two layouts (``RGI_ID, YEAR, ANNUAL_BALANCE``; ``WGMS_ID, SURVEY_YEAR, ANNUAL_BALANCE``), or NVE's
        (``RGIID, Year, Ba``).
    units : {"m w.e.", "mm w.e."}, optional
        Of an own table; m w.e. by default. The published layouts have units of their own.

    Returns
    -------
    DataFrame
        Columns ``glacier`` (str), ``balance_year`` (int), ``balance``, ``winter_balance``, ``summer_balance``
        [m w.e.], ``name``, ``longitude``, ``latitude`` [degree], ``accumulation_area_ratio``,
        ``equilibrium_line_altitude`` [m] (without its > or <), ``system`` (such as fixed-date or floating-date);
        what a layout does not have is missing. Rows without an annual balance are left out.

    Raises
    ------
    InputError
        If a file cannot be read, columns are missing, a year repeats, or the balances cannot be in that unit.
    """
    if units not in (None, "m w.e.", "mm w.e."):
        raise InputError(f'units={units!r}: choose "m w.e." or "mm w.e.".')
    found = pd.concat([_read(source, table, units) for source, table in _tables(observations)], ignore_index=True)
    repeated = found.duplicated(["glacier", "balance_year"])
    if repeated.any():
        twice = found[repeated].iloc[0]
        raise InputError(f"the observations have two records of {twice.balance_year} of {twice.glacier}; keep one.")
    return found


def _read(source: str, table: pd.DataFrame, units: str | None) -> pd.DataFrame:
    layout = next((layout for layout in LAYOUTS if layout.fits(table)), None)
    if layout is None:
        wanted = " or ".join(", ".join(layout.columns[name] for name in layout.needed) for layout in LAYOUTS)
        raise InputError(f"{source} has columns {', '.join(map(str, table.columns))}; it needs {wanted}.")
    if units is not None and layout is not LAYOUTS[0]:
        raise InputError(f"{source} is in the layout of {layout.name}, which has units of its own; leave units out.")
    factor = 1e-3 if units == "mm w.e." else layout.factor
    found = pd.DataFrame({ours: table[theirs] for ours, theirs in layout.columns.items() if theirs in table})
    if layout.spare_id is not None:
        prefix, column = layout.spare_id
        found["glacier"] = found["glacier"].fillna(prefix + table[column].astype(str))
    found = found.dropna(subset=list(layout.needed)).reindex(columns=list(COLUMNS))
    try:
        found = found.astype(
            {"glacier": str, "balance_year": int, "name": str, "system": str, **dict.fromkeys(BALANCES, float)}
        )
        for name in ("longitude", "latitude", "accumulation_area_ratio"):
            found[name] = found[name].astype(float)
        found["equilibrium_line_altitude"] = (
            found["equilibrium_line_altitude"].astype(str).str.lstrip("<>").astype(float)
        )
    except ValueError as error:
        raise InputError(f"{source}: a year or a balance is not a number: {error}") from error
    found[list(BALANCES)] *= factor
    if layout.factor == 1e-3:
        found["accumulation_area_ratio"] /= 100
    if found.empty:
        raise InputError(f"{source} has no annual balance.")
    _require_unit(source, found, factor)
    return found


COLUMNS = (
    "glacier", "balance_year", *BALANCES, "name", "longitude", "latitude", "accumulation_area_ratio",
    "equilibrium_line_altitude", "system",
)  # fmt: skip


def _require_unit(source: str, found: pd.DataFrame, factor: float) -> None:
    """Refuse balances that are a thousand times off."""
    large = found.balance.abs() > PLAUSIBLE
    if large.any():
        worst = found[large].iloc[0]
        unit, other = ("m", "mm") if factor == 1 else ("mm", "m")
        raise InputError(
            f"{source}: balance {worst.balance / factor:g} of {worst.glacier} in {worst.balance_year} is not possible "
            f"in {unit} w.e.; are the numbers in {other} w.e.?"
        )
    if factor != 1 and np.median(found.balance.abs()) < PLAUSIBLE * 1e-3:
        raise InputError(f"{source}: the balances are all below 10 mm w.e.; are they in m w.e.?")


def _tables(observations: Any) -> Iterable[tuple[str, pd.DataFrame]]:
    if isinstance(observations, pd.DataFrame):
        return [("the table of observations", observations)]
    paths = observations if isinstance(observations, list | tuple) else [observations]
    if len(paths) == 1 and isinstance(paths[0], str | Path) and Path(paths[0]).is_dir():
        paths = sorted(Path(paths[0]).glob("*.csv"))
        if not paths:
            raise InputError(f"observations {str(observations)!r}: the folder has no CSV file.")
    return [(str(path), _table(path)) for path in paths]


def _table(path: Any) -> pd.DataFrame:
    """A CSV file in any of the layouts: with comments above its header, commas or semicolons, UTF-8 or Latin-1."""
    if not isinstance(path, str | Path) or not Path(path).is_file():
        raise InputError(f"observations {str(path)!r}: no such file; give a CSV file or a DataFrame.")
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.splitlines()
    marks = {layout.columns["balance_year"] for layout in LAYOUTS}
    header = next(
        (k for k, line in enumerate(lines) if marks & {c.strip('" ') for c in line.replace(";", ",").split(",")}), 0
    )
    try:
        separator = ";" if lines and lines[header].count(";") > lines[header].count(",") else ","
        return pd.read_csv(StringIO("\n".join(lines[header:])), sep=separator, escapechar="\\")
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"observations {str(path)!r} are not a CSV table: {error}") from error

"""Mass balance records: read from the layouts in which they are published, or from one's own table."""

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError, one_of
from . import release, text
from .layouts import (
    BALANCES,
    BANDS,
    BOUNDS,
    COLUMNS,
    DATES,
    FIRST_YEAR,
    LAYOUTS,
    LIMITS,
    MARKS,
    SHARE_MARKS,
    TEXTS,
    Layout,
)  # fmt: skip

UNITS = ("m w.e.", "mm w.e.")
_YEARS = {layout.columns["balance_year"].lower() for layout in LAYOUTS}


def read(observations: Any, *, units: str | None = None, reconstructed: bool = False) -> pd.DataFrame:
    """Annual balances, a row a glacier and year.

    Parameters
    ----------
    observations : path, list of paths, or DataFrame
        A CSV file, or a folder of them, in a layout of ``layouts.LAYOUTS``: an own table with the columns ``glacier,
        balance_year`` (or ``year``)``, balance``, the WGMS's (``RGI_ID, YEAR, ANNUAL_BALANCE``; ``WGMS_ID, SURVEY_YEAR,
        ANNUAL_BALANCE``; ``WGMS_ID, YEAR, ANNUAL_BALANCE``; ``glacier_id, year, annual_balance``), or NVE's (``RGIID,
        Year, Ba``). Rows of elevation bands are left out. Of a release of the WGMS, unpacked, its folder or the table
        of balances in it: positions, survey days, equilibrium lines and accumulation areas are taken from its others.
    units : {"m w.e.", "mm w.e."}, optional
        Of an own table; m w.e. by default. The published layouts have units of their own.
    reconstructed : bool
        Whether to take annual and seasonal balances that the publisher's remarks call reconstructed. They are no
        measurements: by default annual ones are left out, which a warning says, and seasonal ones missing.

    Returns
    -------
    DataFrame
        Columns ``glacier`` (str), ``balance_year`` (int), ``balance``, ``winter_balance``, ``summer_balance``
        [m w.e.], ``name``, ``longitude``, ``latitude`` [degree], ``accumulation_area_ratio``,
        ``equilibrium_line_altitude`` [m], ``equilibrium_line_bound`` (> or < where the line was above or below the
        glacier, so that the altitude is censored), ``system`` (such as fixed-date or floating-date),
        ``reconstructed`` ("annual", "winter" or both), ``survey_begin`` and ``survey_end`` (days of the field
        work); what a layout does not have is missing. Rows without an annual balance are left out.

    Raises
    ------
    InputError
        If a file cannot be read, columns are missing, a year repeats, or a number is not possible (``layouts.LIMITS``).
    """
    if units is not None:
        one_of("units", units, UNITS)
    tables = [_read(source, table, units, reconstructed) for source, table in _tables(observations)]
    records = pd.concat(tables, ignore_index=True)
    _require_once(records)
    if records.empty:
        raise InputError("all annual balances are reconstructed; reconstructed=True takes them.")
    if left_out := sum(table.attrs["reconstructed"] for table in tables):
        warnings.warn(
            f"{left_out} annual balances are reconstructed, not measured, and left out; reconstructed=True takes them.",
            stacklevel=2,
        )
    return records


def _require_once(records: pd.DataFrame) -> None:
    """Refuse two records of one glacier and year, saying whether they differ."""
    repeated = records[records.duplicated(["glacier", "balance_year"], keep=False)]
    if len(repeated):
        first = repeated.iloc[0]
        versions = repeated[(repeated.glacier == first.glacier) & (repeated.balance_year == first.balance_year)]
        values = " and ".join(f"{value:g}" for value in versions.balance)
        number = len(repeated.drop_duplicates(["glacier", "balance_year"]))
        others = f"; {number - 1} more years are given more than once" if number > 1 else ""
        raise InputError(
            f"the observations have two records of {first.balance_year} of {first.glacier} ({values} m w.e.){others}; "
            "keep one of each."
        )


def _tables(observations: Any) -> Iterator[tuple[str, pd.DataFrame]]:
    if isinstance(observations, pd.DataFrame):
        yield "the table of observations", observations.rename(columns=lambda name: str(name).strip().lower())
        return
    paths = list(observations) if isinstance(observations, list | tuple) else [observations]
    folder = len(paths) == 1 and isinstance(paths[0], str | Path) and Path(paths[0]).is_dir()
    if folder:
        home = release.folder(Path(paths[0]))
        paths = sorted(path for path in home.glob("*.csv") if not path.name.startswith("._"))
    if not paths:
        raise InputError(f"observations {str(observations)!r}: the folder has no CSV file.")
    others: list[str] = []
    for path in paths:
        if not isinstance(path, str | Path) or not Path(path).is_file():
            raise InputError(f"observations {str(path)!r}: no such file; give a CSV file or a DataFrame.")
        if zipfile.is_zipfile(path):
            raise InputError(f"observations {str(path)!r} are an archive; unpack it and give its folder.")
        table = text.table(Path(path), lambda names: bool(_YEARS & names))
        if folder and len(others) < len(paths) - 1 and not _holds_balances(str(path), table):
            others.append(Path(path).name)
        else:
            yield str(path), release.completed(table, Path(path), _beside)
    if others:
        warnings.warn(f"{len(others)} files hold no annual balances: {', '.join(others[:5])}.", stacklevel=4)


def _beside(path: Path) -> pd.DataFrame:
    return text.table(path, lambda names: bool({"id", "wgms_id"} & names))


def _holds_balances(source: str, table: pd.DataFrame) -> bool:
    """Whether a table is in one of the layouts, and not of elevation bands only."""
    return any(layout.fits(table) for layout in LAYOUTS) and not _of_whole_glaciers(source, table).empty


def _read(source: str, table: pd.DataFrame, units: str | None, reconstructed: bool) -> pd.DataFrame:
    """Records of a table in any of the layouts; the attribute ``reconstructed`` counts those left out."""
    layout = next((layout for layout in LAYOUTS if layout.fits(table)), None)
    if layout is None:
        if release.is_overview(table):
            raise InputError(f"{source} is the WGMS's table of surveys (E); give its balances (EE, mass_balance.csv).")
        nearest = min(LAYOUTS, key=lambda layout: len(layout.missing(table)))
        names = sorted({layout.name for layout in LAYOUTS if not layout.own})
        raise InputError(
            f"{source} has columns {', '.join(map(str, table.columns))}; it needs glacier, balance_year, balance "
            f"[m w.e.], or those of {'; '.join(names)}. As {nearest.name} it lacks {', '.join(nearest.missing(table))}."
        )
    if units is not None and not layout.own:
        raise InputError(f"{source} is in the layout of {layout.name}, which has units of its own; leave units out.")
    if table.columns.has_duplicates:
        raise InputError(f"{source} has two columns of one name: {', '.join(map(str, table.columns))}; keep one.")
    table = _of_whole_glaciers(source, table.reset_index(drop=True))
    if table.empty:
        raise InputError(f"{source} holds balances of elevation bands only; give those of whole glaciers.")
    factor = 1e-3 if units == "mm w.e." else layout.factor
    records = _parsed(source, table, layout, factor)
    if records.empty:
        raise InputError(f"{source} has no annual balance.")
    _require_possible(source, records, factor)
    made_up = records["reconstructed"].str.contains("annual") & (not reconstructed) & (not layout.own)
    if not reconstructed and not layout.own:
        seasonal = records["reconstructed"].str.contains("winter")
        records.loc[seasonal, ["winter_balance", "summer_balance"]] = np.nan
    kept = records[~made_up]
    kept.attrs["reconstructed"] = int(made_up.sum())
    return kept


def _of_whole_glaciers(source: str, table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows of elevation bands."""
    for names in BANDS:
        if set(names) <= set(table.columns):
            ends = table[list(names)].apply(lambda column: text.numbers(column, source, str(column.name)))
            table = table[(ends.isna() | ends.abs().isin(MARKS)).all(axis=1).to_numpy()]
    return table.reset_index(drop=True)


def _parsed(source: str, table: pd.DataFrame, layout: Layout, factor: float) -> pd.DataFrame:
    """Texts as numbers in our units, missing marks as missing; rows with a glacier, a year and a balance."""
    columns = {ours: table[theirs.lower()] for ours, theirs in layout.columns.items() if theirs.lower() in table}
    empty = pd.Series([None] * len(table), dtype=object)
    ids = text.identifiers(columns["glacier"])
    if layout.spare_id is not None and layout.spare_id[1].lower() in table:
        prefix, column = layout.spare_id
        ids = ids.fillna(prefix + text.identifiers(table[column.lower()]))
    if "remarks" in columns:
        columns["reconstructed"] = text.texts(columns["remarks"]).map(_reconstructed)
    if "equilibrium_line_altitude" in columns:
        altitude = text.texts(columns["equilibrium_line_altitude"])
        columns["equilibrium_line_altitude"] = altitude.map(lambda value: value and value.lstrip("<>"))
        bound = text.texts(columns.get("equilibrium_line_bound", empty)).str.lower().map(BOUNDS)
        written = altitude.str[:1].map(BOUNDS)
        columns["equilibrium_line_bound"] = written.where(written.notna(), bound)
    records = pd.DataFrame({"glacier": ids})
    for name in COLUMNS[1:]:
        column = columns.get(name, empty)
        if name in TEXTS:
            records[name] = text.texts(column).fillna("")
            continue
        if name in DATES:
            records[name] = text.dates(column, source, layout.columns.get(name, name))
            continue
        values = text.numbers(column, source, layout.columns.get(name, name))
        marks = values.abs().isin(MARKS)
        if name == "accumulation_area_ratio":
            marks |= values.isin(SHARE_MARKS)
        records[name] = values.mask(marks)
    records = records.dropna(subset=list(layout.needed)).reset_index(drop=True)
    records[list(BALANCES)] *= factor
    if layout.percent:
        records["accumulation_area_ratio"] /= 100
    broken = records.balance_year % 1 != 0
    if broken.any():
        raise InputError(f"{source}: balance year {records.balance_year[broken].iloc[0]:g} is not a whole year.")
    return records.astype({"glacier": str})[list(COLUMNS)]


def _reconstructed(remark: str | None) -> str:
    """Which balances a remark calls reconstructed."""
    if remark is None or "reconstruct" not in remark.lower():
        return ""
    return " ".join(name for name in ("annual", "winter") if f"{name} balance" in remark.lower()) or "annual"


def _require_possible(source: str, records: pd.DataFrame, factor: float) -> None:
    """Refuse numbers beyond the limits, balances that are a thousand times off before all; years become integers."""
    _require_unit(source, records, factor)
    years, last = records.balance_year, date.today().year + 1
    wrong = ~years.between(FIRST_YEAR, last)
    if wrong.any():
        raise InputError(
            f"{source}: balance year {years[wrong].iloc[0]:g} of {records.glacier[wrong].iloc[0]} is not between "
            f"{FIRST_YEAR} and {last}."
        )
    records["balance_year"] = years.astype(int)
    for name, limit in LIMITS.items():
        wrong = ~(records[name].between(limit.low, limit.high) | records[name].isna())
        if wrong.any():
            worst = records[wrong].iloc[0]
            raise InputError(
                f"{source}: {name} {worst[name]:g} {limit.unit} of {worst.glacier} in {worst.balance_year} is not "
                f"between {limit.low:g} and {limit.high:g} ({limit.source}); correct it, or leave it empty if it is "
                "missing."
            )


def _require_unit(source: str, records: pd.DataFrame, factor: float) -> None:
    limit = LIMITS["balance"].high
    large = records.balance.abs() > limit
    if large.any():
        worst = records[large].iloc[0]
        unit, other = ("m", "mm") if factor == 1 else ("mm", "m")
        raise InputError(
            f"{source}: balance {worst.balance / factor:g} of {worst.glacier} in {worst.balance_year:g} is not "
            f"possible in {unit} w.e. ({LIMITS['balance'].source}); is it missing, or are the numbers in {other} w.e.?"
        )
    if factor != 1 and np.median(records.balance.abs()) < limit * 1e-3:
        raise InputError(f"{source}: the balances are all below {limit:g} mm w.e.; are they in m w.e.?")

"""Tables of a WGMS release beside that of its balances: where its glaciers lie, and how each year was surveyed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import InputError
from . import text


@dataclass(frozen=True)
class Part:
    """A table that is joined to the balances of its release."""

    files: tuple[str, ...]
    """Patterns of its name."""
    keys: dict[str, str]
    """Columns of the balances, and what they are called here."""
    columns: tuple[str, ...]
    """What it adds, if the balances do not have it."""


PARTS = (
    Part(("glacier.csv",), {"glacier_id": "id"}, ("longitude", "latitude")),
    Part(("glacier.csv", "*-A-GLACIER.csv"), {"wgms_id": "wgms_id"}, ("name", "longitude", "latitude")),
    Part(
        ("mass_balance_overview.csv", "*-E-MASS-BALANCE-OVERVIEW.csv"),
        {"wgms_id": "wgms_id", "year": "year"},
        ("time_system", "begin_period", "end_period", "ela_prefix", "ela", "aar"),
    ),
)
"""Of the Fluctuations of Glaciers since 2025, and until 2024 (A, E beside EE; glacier.csv since 2022)."""


def folder(path: Path) -> Path:
    """Where the tables of a release lie: in ``data/``, where it is a data package."""
    return path / "data" if not any(path.glob("*.csv")) and any(path.glob("data/*.csv")) else path


def is_overview(table: pd.DataFrame) -> bool:
    """Whether a table tells of surveys, not of balances."""
    return {"wgms_id", "year", "time_system"} <= set(table.columns)


def completed(table: pd.DataFrame, path: Path, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Balances with what the other tables of their release say of their glaciers and years.

    Parameters
    ----------
    table : DataFrame
        Texts, the names of columns in lower case.
    path : Path
        The file that it was read from; the others lie beside it.
    read : callable
        Reads a file as such a table.

    Raises
    ------
    InputError
        If another table has two rows for a glacier, or for its year.
    """
    for part in PARTS:
        missing = [name for name in part.columns if name not in table]
        if not (missing and set(part.keys) <= set(table.columns)):
            continue
        for other in sorted({found for pattern in part.files for found in path.parent.glob(pattern)} - {path}):
            rows = read(other)
            if not set(part.keys.values()) <= set(rows.columns):
                continue
            table = _joined(table, rows, part, [name for name in missing if name in rows], other)
            break
    return table


def _joined(table: pd.DataFrame, rows: pd.DataFrame, part: Part, names: list[str], other: Path) -> pd.DataFrame:
    theirs = rows[list(part.keys.values())].apply(text.identifiers).set_axis(list(part.keys), axis=1)
    there = rows[names].join(theirs).dropna(subset=list(part.keys))
    twice = there.duplicated(list(part.keys))
    if twice.any():
        key = ", ".join(f"{name} {there[twice][ours].iloc[0]}" for ours, name in part.keys.items())
        raise InputError(f"{str(other)!r} has two rows of {key}; keep one.")
    ours = table[list(part.keys)].apply(text.identifiers)
    found = ours.merge(there, how="left", on=list(part.keys))
    return table.assign(**{name: found[name].to_numpy() for name in names})

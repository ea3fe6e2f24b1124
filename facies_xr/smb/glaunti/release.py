"""The published data set of GlaUnTI, fetched when a user asks, and its glaciers by fold.

Its record was not reachable here: the layout of the answer is that of 4TU.ResearchData's interface (that of figshare),
and was tried on loopback alone.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...nn.releases import File, Release, described
from .dataset import Glacier, read
from .files import Scales

RECORD = "https://data.4tu.nl/v2/articles/5ea53bc3-2c85-42bb-89d1-606c8ed1d80a"
"""Of the data set, doi:10.4121/5ea53bc3-2c85-42bb-89d1-606c8ed1d80a."""

CITE = "doi:10.4121/5ea53bc3-2c85-42bb-89d1-606c8ed1d80a"

SPLITS = {"test": (0,), "validation": (1,), "training": (2, 3, 4, 5)}
"""Folds of papers/002."""


def dataset(record: str = RECORD) -> Release:
    """The data set, as its record describes it now: files, sizes, checksums (MD5) and licence.

    Raises
    ------
    AccessError
        If the record cannot be had, or is not one.
    """

    def file_of(entry: dict) -> File:
        checksum = f"md5:{entry.get('computed_md5') or entry['supplied_md5']}"
        return File(Path(str(entry["name"])).name, str(entry["download_url"]), checksum, int(entry["size"]))

    return described("glaunti", record, file_of, lambda found: found["license"]["name"], CITE)


def index(folder: str | Path) -> pd.DataFrame:
    """Glaciers of the data set in a folder, wherever in it ``index.csv`` lies.

    Returns
    -------
    DataFrame
        Columns ``name, fold, region, max_year, home``; the last is the folder of the glaciers' folders.

    Raises
    ------
    InputError
        If there is no index, are several, or one lacks a column.
    """
    found = sorted(Path(folder).rglob("index.csv"))
    if len(found) != 1:
        raise InputError(f"{folder} has {len(found) or 'no'} index.csv; give the folder of one data set.")
    table = pd.read_csv(found[0])
    if missing := [name for name in ("name", "fold", "region", "max_year") if name not in table]:
        raise InputError(f"{found[0]} lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")
    return table.assign(home=str(found[0].parent))


def glacier(folder: str | Path, name: str) -> Glacier:
    """One glacier of the data set, by the name of its folder.

    Raises
    ------
    InputError
        If there is no such data set, or no glacier of that name.
    """
    table = index(folder)
    row = table[table.name == name]
    if row.empty:
        raise InputError(f"{folder} has no glacier {name!r}; it has {', '.join(map(str, table.name[:6]))}, ...")
    return read(row.home.iloc[0], name, last_year=int(row.max_year.iloc[0]))


def glaciers(folder: str | Path, folds: Iterable[int] | None = None, *, kept: bool = False, scales: Scales | None = None
             ) -> list[Glacier]:  # fmt: skip
    """Glaciers of some folds of the data set, up to the last year of each.

    Parameters
    ----------
    folder : path
        With the data set.
    folds : iterable of int, optional
        All by default; those of :data:`SPLITS`.
    kept : bool
        Whether their years stay in memory.
    scales : Scales, optional
        Those of a model that is to read them.

    Raises
    ------
    InputError
        If there is no such data set, or no glacier of these folds.
    """
    table = index(folder)
    wanted = table if folds is None else table[table.fold.isin(list(folds))]
    if wanted.empty:
        raise InputError(f"{folder} has no glacier of folds {folds}; it has {sorted(set(table.fold))}.")
    return [replace(read(row.home, row.name, last_year=int(row.max_year), scales=scales), kept=kept)
            for row in wanted.itertuples(index=False)]  # fmt: skip

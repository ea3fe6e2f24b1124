"""Balances as a table for people and spreadsheets."""

import os
from pathlib import Path

import xarray as xr

OF_GLACIER = ("glacier_name", "longitude", "latitude")


def write_csv(smb: xr.Dataset, path: str | Path) -> Path:
    """Write balances as CSV, a row for each glacier and balance year; whole, or not at all.

    Parameters
    ----------
    smb : Dataset (glacier, balance_year)
        As ``smb`` gives it.
    path : path
    """
    path = Path(path)
    table = smb.to_dataframe().reset_index()
    # A reopened store lists coordinates in the order of its files; the table has one of its own.
    known = [name for name in OF_GLACIER if name in table]
    table = table[["glacier", "balance_year", *known, *smb.data_vars]]
    draft = path.with_suffix(".draft")
    table.to_csv(draft, index=False)
    os.replace(draft, path)
    return path

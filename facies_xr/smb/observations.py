"""Mass balance records: the layout of the World Glacier Monitoring Service, or one's own table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError

PLAUSIBLE = 10.0
"""No glacier-wide annual balance is larger. [m w.e.]"""

LAYOUTS = {
    "own table": ({"glacier": "glacier", "balance_year": "balance_year", "balance": "balance"}, 1.0),
    "WGMS": ({"RGI_ID": "glacier", "YEAR": "balance_year", "ANNUAL_BALANCE": "balance"}, 1e-3),
}
"""Columns of each layout and the factor to m w.e."""


def read(observations: Any) -> pd.DataFrame:
    """Annual balances, a row a glacier and year.

    Parameters
    ----------
    observations : path or DataFrame
        Columns ``glacier, balance_year, balance`` [m w.e.], or ``RGI_ID, YEAR, ANNUAL_BALANCE`` [mm w.e.].

    Returns
    -------
    DataFrame
        Columns ``glacier`` (str), ``balance_year`` (int), ``balance`` [m w.e.]; rows without a balance left out.

    Raises
    ------
    InputError
        If the file cannot be read, columns are missing, a year repeats, or the balances cannot be in that unit.
    """
    if isinstance(observations, pd.DataFrame):
        source, table = "the table of observations", observations
    else:
        source = str(observations)
        if not isinstance(observations, str | Path) or not Path(observations).is_file():
            raise InputError(f"observations {source!r}: no such file; give a CSV file or a DataFrame.")
        try:
            table = pd.read_csv(observations)
        except (ValueError, pd.errors.ParserError) as error:
            raise InputError(f"observations {source!r} are not a CSV table: {error}") from error
    layout = next((fit for fit in LAYOUTS.values() if set(fit[0]) <= set(table.columns)), None)
    if layout is None:
        wanted = " or ".join(", ".join(columns) for columns, _ in LAYOUTS.values())
        raise InputError(f"{source} has columns {', '.join(map(str, table.columns))}; it needs {wanted}.")
    columns, factor = layout
    found = table[list(columns)].rename(columns=columns).dropna()
    try:
        found = found.astype({"glacier": str, "balance_year": int, "balance": float})
    except ValueError as error:
        raise InputError(f"{source}: a year or a balance is not a number: {error}") from error
    found["balance"] *= factor
    if found.empty:
        raise InputError(f"{source} has no annual balance.")
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
    repeated = found.duplicated(["glacier", "balance_year"])
    if repeated.any():
        twice = found[repeated].iloc[0]
        raise InputError(f"{source}: {twice.glacier} has two records of {twice.balance_year}; keep one.")
    return found.reset_index(drop=True)

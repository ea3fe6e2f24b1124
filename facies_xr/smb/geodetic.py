"""Mean balances of several years from elevation models, in the layouts of Hugonnet et al. (2021)."""

from pathlib import Path

import pandas as pd

from ..errors import InputError

COLUMNS = {"rgiid": "glacier", "rgi_id": "glacier", "period": "period", "dmdtda": "balance", "err_dmdtda": "error"}
LARGEST = 8.0
"""Of a mean balance. [m w.e. a-1]"""


def read(table: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Geodetic balances for :class:`facies_xr.smb.methods.temperature_index.TemperatureIndex`.

    Parameters
    ----------
    table : path or DataFrame
        Columns ``rgiid`` (or ``rgi_id``), ``period`` (``2000-01-01_2010-01-01`` or ``2000-2010``), ``dmdtda`` and
        ``err_dmdtda`` [m w.e. a-1], which rest on a density of 850 +- 60 kg m-3 and on areas that change between the
        dates (Hugonnet et al. 2021).

    Returns
    -------
    DataFrame
        ``glacier, first_year, last_year, balance, error``: balance years from that after the first date to that of
        the second, so that 2000 to 2010 are the years 2001 to 2010. [m w.e. a-1]

    Raises
    ------
    InputError
        If a column is missing, a period is not understood, or a balance or its error is not possible.
    """
    if not isinstance(table, pd.DataFrame) and not Path(table).is_file():
        raise InputError(f"geodetic balances {table}: no such file.")
    raw = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    found = raw.rename(columns={c: COLUMNS[c.lower()] for c in raw.columns if c.lower() in COLUMNS})
    if missing := [name for name in ("glacier", "period", "balance", "error") if name not in found]:
        raise InputError(f"the geodetic balances lack {', '.join(missing)}; there are {', '.join(raw.columns)}.")
    years = found["period"].astype(str).str.extract(r"^(\d{4})(?:-\d\d-\d\d)?[_-](\d{4})(?:-\d\d-\d\d)?$")
    if years.isna().any(axis=None):
        raise InputError(f"period {found['period'][years.isna().any(axis=1)].iloc[0]!r} is not two years or dates.")
    ends = years.astype(int)
    for name in ("balance", "error"):
        found[name] = pd.to_numeric(found[name], errors="coerce")
    wrong = ~(found["balance"].abs() <= LARGEST) | ~(found["error"] > 0) | (ends[1] <= ends[0])
    if wrong.any():
        worst = found[wrong].iloc[0]
        raise InputError(
            f"geodetic balance {worst.balance:g} +- {worst.error:g} m w.e. a-1 of {worst.glacier} in {worst.period} "
            "is not possible; correct it."
        )
    return pd.DataFrame({
        "glacier": found["glacier"].astype(str), "first_year": ends[0] + 1, "last_year": ends[1],
        "balance": found["balance"].astype(float), "error": found["error"].astype(float),
    })  # fmt: skip

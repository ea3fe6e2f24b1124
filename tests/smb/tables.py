"""Tables of records and predictors that follow a known law, and methods fitted to them."""

import numpy as np
import pandas as pd

from facies_xr.smb.problem import OPTIONAL, REQUIRED, Problem

ALL = REQUIRED + OPTIONAL


def rows_of(n_glaciers=10, n_years=7, *, noise=0.2, seed=0, glacier=0.0, slope=0.0, year=0.0):
    """Predictors, and balances that follow Eq. 2, with what is particular to glaciers and years, plus noise."""
    rng = np.random.default_rng(seed)
    g, y = np.divmod(np.arange(n_glaciers * n_years), n_years)
    snow = rng.uniform(0, 1, g.size)
    line = -0.5 + 0.9 * (1 - snow) + rng.normal(0, 0.05, g.size)
    bright = 0.3 + 0.3 * snow + rng.normal(0, 0.05, g.size)
    balance = -1.6 + 2.5 * snow - 0.4 * line + 1.0 * bright + rng.normal(0, noise, g.size)
    balance += rng.normal(0, glacier, n_glaciers)[g] + rng.normal(0, slope, n_glaciers)[g] * (snow - 0.5)
    balance += np.random.default_rng(77).normal(0, year, n_years)[y]
    return pd.DataFrame(
        {
            "glacier": [f"g{seed}-{k}" for k in g],
            "balance_year": 2010 + y,
            "snow_fraction": snow,
            "snow_line_relative": line,
            "albedo": bright,
            "observed": balance,
            "flags": 0,
        }
    )


def problem_of(rows, names=ALL, **options):
    """The problem of a table."""
    return Problem(rows.reset_index(drop=True), names, **options)


def fitted(method, rows, names=ALL):
    """A method fitted to all rows of a table."""
    return method.fit(problem_of(rows, names), np.arange(len(rows)))


def predicted(fit, rows, names=ALL):
    """What a fit says of all rows of a table."""
    return fit.predict(problem_of(rows, names), np.arange(len(rows)))

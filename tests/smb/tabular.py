"""A table of balances whose features are partly noise."""

import numpy as np
import pandas as pd

from facies_xr.smb.problem import Problem


def table_of(glaciers=8, years=8, features=6, *, signal=1.0, seed=0):
    rng = np.random.default_rng(seed)
    g, y = np.divmod(np.arange(glaciers * years), years)
    x = rng.standard_normal((g.size, features))
    rows = pd.DataFrame(x, columns=[f"t{k}" for k in range(features)])
    observed = -0.5 + signal * (0.5 * x[:, 0] - 0.4 * x[:, 1]) + 0.2 * rng.standard_normal(g.size)
    return rows.assign(glacier=[f"g{k}" for k in g], balance_year=2000 + y, observed=observed)


def problem_of(rows, **options):
    names = tuple(c for c in rows if c.startswith("t"))
    return Problem(rows, names, names, **options)

"""What a second look at the labels changed (Maslov et al. 2026, Table 1)."""

import geopandas as gpd
import numpy as np
import pandas as pd

from ..classes import NAMES
from ..errors import InputError


def statistics(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Agreement and distribution shift of two versions of the labels of the same scenes.

    Parameters
    ----------
    before, after : DataFrame
        Columns ``class`` (a name), and ``item`` and point ``geometry``, or else ``point``, the id of a point; points
        may be added or deleted in between.

    Returns
    -------
    DataFrame
        Rows are the classes and "total"; columns ``before`` and ``after`` (numbers of labels), ``agreement`` (share
        of the labels before that are unchanged after: a deleted point is changed [%]) and ``shift`` (change of the
        number of labels, relative to that before [%]).

    Raises
    ------
    InputError
        If a column is missing, or a point is there twice.
    """
    old, new = (_by_point(table, name) for table, name in ((before, "before"), (after, "after")))
    same = (old == new.reindex(old.index)).to_numpy()
    rows = {}
    for name in (*NAMES, "total"):
        mine = np.ones(old.size, bool) if name == "total" else (old == name).to_numpy()
        count = int(new.size if name == "total" else (new == name).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            agreement, shift = (100 * np.float64(v) / mine.sum() for v in (same[mine].sum(), count - mine.sum()))
        rows[name] = {"before": int(mine.sum()), "after": count, "agreement": agreement, "shift": shift}
    return pd.DataFrame.from_dict(rows, "index")


def _by_point(table: pd.DataFrame, name: str) -> pd.Series:
    keys = ["point"] if "point" in table.columns else ["item", "geometry"]
    if missing := [c for c in ("class", *keys) if c not in table.columns]:
        raise InputError(f"the labels {name} have no column {', '.join(missing)}.")
    found = pd.DataFrame({k: table[k] for k in keys if k != "geometry"})
    if "geometry" in keys:
        points = gpd.GeoSeries(table["geometry"], crs=getattr(table, "crs", None))
        found["x"], found["y"] = points.x.to_numpy(), points.y.to_numpy()
    index = pd.MultiIndex.from_frame(found)
    if index.has_duplicates:
        raise InputError(f"the labels {name} have {index.duplicated().sum()} points twice; keep one label of each.")
    return pd.Series(table["class"].to_numpy(object), index)

"""Rows of an outline table that are no ice: GLIMS lists rocks, lakes and glaciers that are gone beside the ice."""

import warnings
from collections import Counter

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

ICE = "glac_bound"
"""Value of GLIMS's ``line_type`` for ice."""

ROCK = "intrnl_rock"
"""Value of GLIMS's ``line_type`` for rock inside the ice."""

GONE = "gone"
"""Value of GLIMS's ``glac_stat`` for a glacier that has melted away."""


def only_ice(
    table: gpd.GeoDataFrame, kind: pd.Series | None, status: pd.Series | None, source: str
) -> gpd.GeoDataFrame:
    """The ice of a table: rocks are cut out of it, other kinds of rows and glaciers that are gone are left out.

    Parameters
    ----------
    table : GeoDataFrame
        Columns ``glacier``, ``date`` and ``geometry``. A rock belongs to the ice of its glacier and date.
    kind, status : Series or None
        GLIMS's ``line_type`` and ``glac_stat``.
    source : str
        For the warning that says what was cut out and left out.
    """
    ice, rock = np.ones(len(table), bool), np.zeros(len(table), bool)
    said = []
    if kind is not None:
        kinds = kind.fillna("").astype(str).str.strip().str.lower()
        ice &= kinds.isin((ICE, "", "none")).to_numpy()
        rock = (kinds == ROCK).to_numpy()
        if rock.any():
            said.append(f"{rock.sum()} of line_type {ROCK} are cut out of the ice")
        others = Counter(kinds[~ice & ~rock])
        said += [f"{count} of line_type {name} are left out" for name, count in sorted(others.items())]
    if status is not None:
        gone = (status.fillna("").astype(str).str.strip().str.lower() == GONE).to_numpy()
        if (gone & ice).any():
            said.append(f"{(gone & ice).sum()} of glac_stat {GONE} are left out")
        ice, rock = ice & ~gone, rock & ~gone
    if said:
        warnings.warn(f"{source}: of {len(table)} rows {', '.join(said)}.", stacklevel=4)
    return _cut(table[ice], table[rock]) if rock.any() else table[ice]


def _cut(ice: gpd.GeoDataFrame, rocks: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Ice without the rocks of its glacier and date."""
    holes = {key: shapely.union_all(part.values) for key, part in rocks.geometry.groupby(_keys(rocks))}
    keys, geometry = _keys(ice), np.asarray(ice.geometry.values, object).copy()
    for row in np.flatnonzero(keys.isin(holes)):
        geometry[row] = shapely.difference(geometry[row], holes[keys.iloc[row]])
    return ice.set_geometry(gpd.GeoSeries(geometry, index=ice.index, crs=ice.crs))


def _keys(table: gpd.GeoDataFrame) -> pd.Series:
    return table.glacier + "\n" + table.date.astype(str)

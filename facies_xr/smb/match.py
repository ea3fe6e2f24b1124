"""Which glacier of a map a record is of."""

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError

NEAREST = 2.0
"""Records are matched to a glacier by position up to this distance, and if the next is twice as far. [km]"""


def match(records: pd.DataFrame, maps: xr.Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records with the ids of the glaciers on a map: by id, else by name, else by position.

    Parameters
    ----------
    records : DataFrame
        As ``records.read`` gives them.
    maps : Dataset
        With the coordinates of ``glacier`` that ``add_terrain`` gives.

    Returns
    -------
    records : DataFrame
        Those of glaciers on the map, ``glacier`` being the map's id.
    report : DataFrame
        A row for each glacier of the records: its id, name, number of records, the map's ``glacier`` (missing where
        there is none), and ``by``: "id", "name", "position", or why it was not matched.
    """
    on_map = pd.DataFrame({"glacier": maps["glacier"].values})
    for ours, theirs in (("name", "glacier_name"), ("longitude", "longitude"), ("latitude", "latitude")):
        on_map[ours] = maps[theirs].values if theirs in maps.coords else np.nan
    rows = []
    for glacier, own in records.groupby("glacier", sort=False):
        first = own.iloc[0]
        found, by = _match(str(glacier), first, on_map)
        rows.append({"record": glacier, "name": first["name"], "records": len(own), "glacier": found, "by": by})
    report = pd.DataFrame(rows)
    ids = dict(zip(report["record"], report["glacier"], strict=True))
    matched = records.assign(glacier=records["glacier"].map(ids)).dropna(subset=["glacier"])
    twice = matched.duplicated(["glacier", "balance_year"])
    if twice.any():
        worst = matched[twice].iloc[0]
        raise InputError(
            f"two records of {worst.balance_year} fall on glacier {worst.glacier}; leave one of the sources out."
        )
    return matched.reset_index(drop=True), report


def _match(glacier: str, record: pd.Series, on_map: pd.DataFrame) -> tuple[Any, str]:
    if glacier in set(on_map["glacier"]):
        return glacier, "id"
    name = _plain(record["name"])
    same = on_map[on_map["name"].map(_plain) == name] if name else on_map.iloc[:0]
    if len(same) == 1:
        return same["glacier"].iloc[0], "name"
    if not np.isfinite(record["longitude"]) or on_map["longitude"].isna().all():
        return None, f"{len(same)} glaciers of that name" if len(same) else "no such id or name, no position"
    away = _kilometres(record["longitude"], record["latitude"], on_map["longitude"], on_map["latitude"])
    order = np.argsort(away)
    nearest, following = away[order[0]], away[order[1]] if len(order) > 1 else np.inf
    if nearest > NEAREST:
        return None, f"nearest glacier {nearest:.1f} km away"
    if following < 2 * nearest:
        return None, f"two glaciers within {following:.1f} km"
    return on_map["glacier"].iloc[order[0]], "position"


def _plain(name: Any) -> str:
    """Letters and digits of a name, without accents and case; empty where there is none."""
    text = unicodedata.normalize("NFKD", str(name)).casefold()
    return "" if text in ("", "nan") else "".join(c for c in text if c.isalnum())


def _kilometres(lon: float, lat: float, lons: pd.Series, lats: pd.Series) -> np.ndarray:
    """Distance along great circles."""
    a, b, c, d = (np.radians(np.asarray(v, float)) for v in (lon, lat, lons, lats))
    h = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return 2 * 6371 * np.arcsin(np.sqrt(h))

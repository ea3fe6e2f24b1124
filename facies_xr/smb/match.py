"""Which glacier of a map a record is of."""

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from .regions import kilometres
from .text import identifiers

NEAREST = 2.0
"""Records are matched to a glacier by position up to this distance, and if the next is twice as far. [km]"""

FAR = 100.0
"""A record further from a glacier is not its record, whatever its id or name; the largest glaciers are as long. [km]"""


def match(records: pd.DataFrame, maps: xr.Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records with the ids of the glaciers on a map: by id, else by name, else by position; never from far away.

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
    on_map = pd.DataFrame(
        {"glacier": maps["glacier"].values, "id": identifiers(maps["glacier"].to_series()).to_numpy()}
    )
    for ours, theirs in (("name", "glacier_name"), ("longitude", "longitude"), ("latitude", "latitude")):
        on_map[ours] = maps[theirs].values if theirs in maps.coords else np.nan
    rows = []
    for glacier, of_glacier in records.groupby("glacier", sort=False):
        first = of_glacier.iloc[0]
        matched_to, by = _match(str(glacier), first, on_map)
        rows.append(
            {"record": glacier, "name": first["name"], "records": len(of_glacier), "glacier": matched_to, "by": by}
        )
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
    """The map's glacier of a record and by what, or None and why not."""
    away = kilometres(record["longitude"], record["latitude"], on_map["longitude"], on_map["latitude"])
    name = _plain(record["name"])
    too_far = None
    for by, same in (
        ("id", (on_map["id"] == glacier).to_numpy()),
        ("name", (on_map["name"].map(_plain) == name).to_numpy() & bool(name)),
    ):
        near = same & ~(away > FAR)
        if near.sum() == 1:
            return on_map["glacier"][near].iloc[0], by
        if same.any() and not near.any():
            too_far = f"the glacier of that {by} is {np.nanmin(away[same]):.0f} km away"
    if too_far is not None and not np.nanmin(away) <= NEAREST:
        return None, too_far
    if np.isnan(away).all():
        return None, f"{near.sum()} glaciers of that name" if near.any() else "no such id or name, no position"
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

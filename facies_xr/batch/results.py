"""What comes of a run: maps to open, one table of all glaciers, balances, files for other tools."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from .. import store as _store
from ..maps.series import end_of_season
from ..maps.statistics import DRAWS, statistics
from ..smb.balance import smb as _smb
from .archive import BOOK, Archive

TABLE = "glaciers.parquet"

COLUMNS = {
    "coverage": "coverage",
    "accumulation_area_ratio": "accumulation_area_ratio",
    "snow_line_altitude": "snow_line_altitude",
    "albedo": "albedo",
    "cloud_share": "cloud_share",
    "shadow_share": "shadow_share",
}
"""Columns of the glacier table besides class areas, by the statistic that they hold."""


def open_maps(store: str | Path) -> xr.Dataset | xr.DataTree:
    """Open the maps of a store, or of the archive of a batch run, lazily.

    Parameters
    ----------
    store : path
        As ``write`` or ``facies_xr.batch.run`` made it.

    Returns
    -------
    Dataset or DataTree
        Of a store, or an archive of one zone, its maps; of several zones a tree with a node for each.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    if not isinstance(store, str | Path) or BOOK not in _store.place_of(store).children():
        return _store.open_store(store)
    archive = Archive.at(store)
    zones = {zone: _store.open_store(archive.zone(zone)) for zone in archive.manifest().zones}
    return next(iter(zones.values())) if len(zones) == 1 else xr.DataTree.from_dict(zones)


def region_maps(archive: Archive, region: int) -> xr.Dataset:
    """Maps of the glaciers of a region on their dates, lazily."""
    manifest = archive.manifest()
    zone = manifest.regions.loc[region, "zone"]
    rows, columns = manifest.window(region)
    dates = manifest.dates[manifest.dates["region"] == region]
    times = np.unique(dates["time"].astype("int64").to_numpy()).astype("datetime64[us]").astype("datetime64[ns]")
    maps = _store.open_store(archive.zone(zone))
    mine = manifest.glaciers.loc[manifest.glaciers["region"] == region, "glacier"].tolist()
    return maps.sel(time=times).isel(y=rows, x=columns, glacier=np.flatnonzero(np.isin(maps["glacier"].values, mine)))


def finished(archive: Archive) -> dict[int, bool]:
    """Whether all units of each region that has some are done."""
    manifest = archive.manifest()
    region_of = manifest.tiles["region"].to_numpy()
    left = {int(region_of[tile]) for tile, _ in archive.pending()}
    return {region: region not in left for region in np.unique(region_of[manifest.units[:, 0]]).tolist()}


def statistics_of(archive: Archive, region: int, *, draws: int = 0) -> xr.Dataset:
    """Statistics of all glaciers of a region, in one pass over its tiles, computed."""
    return statistics(region_maps(archive, region), draws=draws).compute()


def glaciers(store: str | Path, *, partial: bool = False) -> str:
    """The glacier table: one row a glacier and date, of the regions that are finished, as GeoParquet.

    What is there is kept: a region is counted once, when it is finished.

    Parameters
    ----------
    store : path
        Archive of a run.
    partial : bool
        Count regions with failed units too; what failed is missing from their coverage.

    Returns
    -------
    str
        Path or address of ``glaciers.parquet`` in the archive.
    """
    archive = Archive.at(store)
    counted = archive.place.keys(f"{BOOK}/glaciers")
    for region, done in finished(archive).items():
        part = f"{BOOK}/glaciers/{region}.parquet"
        if (done or partial) and part not in counted:
            archive.write_table(part, _table(archive, region))
    parts = [archive.read_table(key) for key in sorted(archive.place.keys(f"{BOOK}/glaciers"))]
    if parts:
        archive.write_table(TABLE, pd.concat(parts, ignore_index=True))
    return f"{archive.address}/{TABLE}"


def _table(archive: Archive, region: int) -> gpd.GeoDataFrame:
    """Rows of the glaciers of a region: areas of the classes, ratios, snow line, albedo, confidence."""
    maps = region_maps(archive, region)
    stats, dated = statistics(maps, draws=0).compute(), ["time", "glacier"]
    rows = stats[[*COLUMNS]].reset_coords(drop=True).to_dataframe(dim_order=dated)
    areas = stats["class_area"].to_dataset("facies_class").reset_coords(drop=True).to_dataframe(dim_order=dated)
    areas = areas.add_prefix("area_").add_suffix("_km2")
    rows = rows.join(areas).join(_confidence(maps)).reset_index()
    rows["balance_year"] = rows["time"].map(dict(zip(stats.time.values, stats.balance_year.values, strict=True)))
    rows["zone"] = archive.manifest().regions.loc[region, "zone"]
    outlines = archive.manifest().outlines(region).set_index("glacier").geometry
    return gpd.GeoDataFrame(rows, geometry=outlines.reindex(rows["glacier"]).to_numpy(), crs=outlines.crs)


def _confidence(maps: xr.Dataset) -> pd.Series:
    """Mean confidence of the classified pixels of each glacier and date."""
    numbers = np.asarray(maps["glacier_number"].values)
    size, index = int(numbers.max()) + 1, maps["glacier_index"].values.ravel()
    means = []
    for t in range(maps.sizes["time"]):
        values = maps["confidence"].isel(time=t).values.ravel()
        known = np.isfinite(values)
        count = np.bincount(index[known], minlength=size)[numbers]
        total = np.bincount(index[known], values[known], minlength=size)[numbers]
        means.append(np.divide(total, count, out=np.full(count.size, np.nan), where=count > 0))
    level = pd.MultiIndex.from_product([maps["time"].values, maps["glacier"].values], names=["time", "glacier"])
    return pd.Series(np.concatenate(means), index=level, name="confidence")


def seasons(store: str | Path, **options: Any) -> xr.Dataset:
    """End of season of all glaciers of the finished regions of an archive.

    Parameters
    ----------
    store : path
    options
        Of :func:`facies_xr.end_of_season`.
    """
    archive = Archive.at(store)
    done = [region for region, complete in finished(archive).items() if complete]
    parts = [end_of_season(statistics_of(archive, region), **options) for region in done]
    return xr.concat(parts, "glacier", data_vars="minimal", coords="minimal", compat="override", join="outer")


def smb(store: str | Path | xr.DataTree, observations: Any = None, **options: Any) -> xr.Dataset:
    """Balances of all glaciers of an archive by one fit to all records, whatever their zones.

    Parameters
    ----------
    store : path or DataTree
        Archive of a run, or what :func:`open_maps` gives of it.
    observations : path or DataFrame
    options
        Of :func:`facies_xr.smb`.

    Returns
    -------
    Dataset (glacier, balance_year)
    """
    expected = options.get("areas") == "expected"
    classes, draws = options.get("classes") or ("snow",), DRAWS if expected else 0
    parts = [statistics(maps, classes=classes, draws=draws).compute() for maps in _all_maps(store)]
    return _smb(joined(parts), observations, **options)


def joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Statistics of several regions as one Dataset: all dates, all glaciers, NaN where they do not meet."""
    if len(parts) == 1:
        return parts[0]
    bands = np.unique(np.concatenate([part["elevation_band"].values for part in parts]))
    fill = {"band_area": 0.0, "cut_by_edge": False}
    parts = [
        part.reindex(elevation_band=bands, fill_value={k: v for k, v in fill.items() if k in part}) for part in parts
    ]
    times = np.unique(np.concatenate([part["time"].values for part in parts]))
    of_time = {}
    for name in [n for n in (*parts[0].data_vars, *parts[0].coords) if parts[0][n].dims == ("time",) and n != "time"]:
        known = {t: v for part in parts for t, v in zip(part["time"].values, part[name].values, strict=True)}
        of_time[name] = ("time", np.array([known[t] for t in times]), parts[0][name].attrs)
    spread = [part.drop_vars(list(of_time)).reindex(time=times) for part in parts]
    whole = xr.concat(spread, "glacier", data_vars="minimal", coords="minimal", compat="override", join="exact")
    coords = {n: v for n, v in of_time.items() if n in parts[0].coords}
    data = {n: v for n, v in of_time.items() if n not in coords}
    return whole.assign(data).assign_coords(coords)


def _all_maps(store: str | Path | xr.DataTree) -> Iterator[xr.Dataset]:
    if isinstance(store, xr.DataTree):
        yield from (node.to_dataset() for node in store.leaves)
        return
    archive = Archive.at(store)
    for region, done in finished(archive).items():
        if done:
            yield region_maps(archive, region)

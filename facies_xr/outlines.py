"""Glacier outlines: RGI 6 and 7, GLIMS, or the user's own, as one table.

``read`` gives a GeoDataFrame with the columns ``glacier`` (id), ``name``, ``date`` and ``geometry``, in the order of
the source. Ids are never invented: an outline without one is refused.
"""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from .errors import OutlineError

ID_COLUMNS = ("glacier", "rgi_id", "RGIId", "RGIID", "rgiid", "glac_id", "GLIMSId", "glims_id", "anlys_id")
NAME_COLUMNS = ("name", "glac_name", "Name", "NAME")
DATE_COLUMNS = ("date", "src_date", "BgnDate", "anlys_time")


def read(outlines: Any, *, id_column: str | None = None) -> gpd.GeoDataFrame:
    """Glacier outlines as one table, a row a glacier.

    Parameters
    ----------
    outlines : path or GeoDataFrame
        Any vector file that GDAL reads (shapefile, GeoPackage, GeoJSON).
    id_column : str, optional
        Column that holds the ids; by default the first of the RGI's and GLIMS's names that exists.

    Returns
    -------
    GeoDataFrame
        Columns ``glacier``, ``name``, ``date``, ``geometry``; parts with the same id and date are united and
        invalid rings repaired, with a warning that names them.

    Raises
    ------
    OutlineError
        If the file cannot be read, has no CRS, no id column, missing ids, or no polygon.
    """
    source, table = _table(outlines)
    if table.crs is None:
        raise OutlineError(f"{source} has no CRS; set it with GeoDataFrame.set_crs(...) or add the .prj file.")
    if table.empty:
        raise OutlineError(f"{source} has no outlines.")
    column = id_column or _first(table, ID_COLUMNS)
    if column is None or column not in table:
        looked = id_column or ", ".join(ID_COLUMNS)
        raise OutlineError(
            f"{source} has no glacier ids: looked for {looked}; it has {', '.join(map(str, table.columns))}. "
            "Name the column that identifies a glacier 'glacier'."
        )
    ids = table[column]
    if ids.isna().any() or (ids.astype(str).str.strip() == "").any():
        rows = np.flatnonzero(ids.isna() | (ids.astype(str).str.strip() == ""))
        raise OutlineError(f"{source}: {rows.size} outlines have no id in column {column!r} (first: row {rows[0]}).")
    name, when = _first(table, NAME_COLUMNS), _first(table, DATE_COLUMNS)
    _report_repairs(source, ids, table.geometry)
    result = gpd.GeoDataFrame(
        {
            "glacier": ids.astype(str),
            "name": table[name].fillna("").astype(str) if name else "",
            "date": _dates(table[when]) if when else pd.NaT,
        },
        geometry=[_polygonal(g) for g in table.geometry],
        crs=table.crs,
    )
    empty = result.geometry.is_empty
    if empty.all():
        raise OutlineError(f"{source} has no polygons with an area.")
    result = result[~empty]
    if result.glacier.duplicated().any():
        result = result.dissolve(["glacier", "date"], sort=False, dropna=False, as_index=False)
    return result[["glacier", "name", "date", "geometry"]].reset_index(drop=True)


def nearest(table: gpd.GeoDataFrame, when: Any) -> gpd.GeoDataFrame:
    """One outline for each glacier, nearest to a time; of equals the earlier, undated ones last.

    Parameters
    ----------
    table : GeoDataFrame
        As :func:`read` gives it.
    when : datetime64
    """
    if not table.glacier.duplicated().any():
        return table
    away = (table.date - pd.Timestamp(when)).abs()
    ranked = table.assign(_away=away).sort_values(["_away", "date"], na_position="last", kind="stable")
    kept = ranked.drop_duplicates("glacier").index
    return table.loc[table.index.isin(kept)].reset_index(drop=True)


def footprint(outlines: Any) -> gpd.GeoDataFrame:
    """Area of interest as a GeoDataFrame, from outlines or from (west, south, east, north) in degrees."""
    if isinstance(outlines, tuple | list) and len(outlines) == 4 and all(np.isreal(v) for v in outlines):
        west, south, east, north = map(float, outlines)
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise OutlineError(
                f"area {tuple(outlines)} is not (west, south, east, north) in degrees; "
                "areas across the antimeridian must be mapped in two parts."
            )
        return gpd.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=4326)
    return read(outlines)


def digest(table: gpd.GeoDataFrame) -> str:
    """Short hash of ids, dates and geometries, to tell one set of outlines from another."""
    hashed = hashlib.sha256("\n".join(table.glacier).encode())
    hashed.update(table.date.to_numpy("datetime64[D]").astype("int64").tobytes())
    for geometry in shapely.to_wkb(table.geometry.values):
        hashed.update(geometry)
    return hashed.hexdigest()[:16]


def _table(outlines: Any) -> tuple[str, gpd.GeoDataFrame]:
    if isinstance(outlines, gpd.GeoDataFrame):
        return "the GeoDataFrame of outlines", outlines
    if not isinstance(outlines, str | Path):
        raise OutlineError(f"outlines must be a path or a GeoDataFrame, not {type(outlines).__name__}.")
    if not Path(outlines).exists() and "://" not in str(outlines):
        raise OutlineError(f"outlines {str(outlines)!r}: no such file.")
    try:
        return str(outlines), gpd.read_file(outlines)
    except Exception as error:  # pyogrio raises several types; all mean the same to the user
        raise OutlineError(f"outlines {str(outlines)!r} cannot be read: {error}") from error


def _first(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in table.columns), None)


def _dates(column: pd.Series) -> pd.Series:
    """Dates, also in RGI 6's YYYYMMDD form, where 99 stands for an unknown month or day."""
    text = column.astype(str).str.replace(r"^(\d{4})99\d\d$", r"\g<1>0701", regex=True)
    text = text.str.replace(r"^(\d{4})(\d\d)99$", r"\g<1>\g<2>15", regex=True)
    compact = text.str.fullmatch(r"\d{8}")
    dates = pd.to_datetime(text.where(~compact), errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)
    return dates.fillna(pd.to_datetime(text.where(compact), errors="coerce", format="%Y%m%d"))


def _report_repairs(source: str, ids: pd.Series, geometry: gpd.GeoSeries) -> None:
    broken = ids[~geometry.is_valid & geometry.notna()]
    if len(broken):
        shown = ", ".join(map(str, broken[:5])) + (", ..." if len(broken) > 5 else "")
        warnings.warn(f"{source}: {len(broken)} outlines have invalid rings and are repaired: {shown}.", stacklevel=3)


def _polygonal(geometry):
    """Valid polygons of a geometry, or an empty one."""
    if geometry is None or geometry.is_empty:
        return shapely.Polygon()
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    parts = [p for p in shapely.get_parts(geometry) if p.geom_type in ("Polygon", "MultiPolygon") and p.area > 0]
    return shapely.union_all(parts) if parts else shapely.Polygon()

"""Glacier outlines: RGI 6 and 7, GLIMS, or the user's own, as one table.

``read`` gives a GeoDataFrame with the columns ``glacier`` (id), ``name``, ``date`` and ``geometry``, in the order of
the source. Ids are never invented: an outline without one is refused.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from .. import access
from ..errors import OutlineError
from . import dates, kinds, polygons

ID_COLUMNS = ("glacier", "rgi_id", "RGIId", "glac_id", "GLIMSId", "glims_id", "anlys_id")
NAME_COLUMNS = ("name", "glac_name")
DATE_COLUMNS = ("date", "src_date", "BgnDate", "year", "anlys_time")
"""Columns in the order in which they are looked for, in any case ("Glacier", though, is where names stand)."""

POINTERS = (b"<OGRVRTDataSource", b"<OGRWFSDataSource", b"<GDALG", b'"gdal_streamed_alg"')
"""Beginnings of files that lead to other files or servers."""


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
        Columns ``glacier``, ``name``, ``date``, ``geometry``. Parts with the same id and date are united, invalid
        rings repaired, GLIMS's rocks cut out of the ice and its other lines left out; warnings name what was changed.

    Raises
    ------
    OutlineError
        If the file cannot be read, has no CRS or coordinates that its CRS cannot have, no id column, missing ids,
        dates that cannot be read, or no polygon.
    """
    source, table = _table(outlines)
    if table.crs is None:
        raise OutlineError(f"{source} has no CRS; set it with GeoDataFrame.set_crs(...) or add the .prj file.")
    if table.empty:
        raise OutlineError(f"{source} has no outlines.")
    ids = _ids(table, id_column, source)
    geometry = polygons.repaired(table.geometry, ids, source)
    polygons.require_possible(geometry, source)
    name, when = _first(table, NAME_COLUMNS), _first(table, DATE_COLUMNS)
    result = gpd.GeoDataFrame(
        {
            "glacier": ids,
            "name": table[name].fillna("").astype(str).replace("None", "") if name else "",
            "date": dates.parse(table[when], source) if when else pd.NaT,
        },
        geometry=geometry,
    )
    result["date"] = result.date.astype("datetime64[ns]")
    result = kinds.only_ice(result, _column(table, "line_type"), _column(table, "glac_stat"), source)
    result = polygons.united(polygons.with_area(result, source), ("glacier", "date"))
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
    """Area of interest as a GeoDataFrame.

    Parameters
    ----------
    outlines : path, GeoDataFrame, GeoSeries, shapely geometry, or (west, south, east, north) in degrees
        Outlines, polygons that stand for an area, or its bounds. A shapely geometry has no CRS: it is in degrees.

    Raises
    ------
    OutlineError
        If it is none of these, or not in degrees.
    """
    if isinstance(outlines, np.ndarray | tuple | list) and len(outlines) == 4 and np.ndim(outlines) == 1:
        return _bounds(outlines)
    if isinstance(outlines, shapely.Geometry):
        outlines = gpd.GeoSeries([outlines], crs=4326)
    if isinstance(outlines, gpd.GeoSeries):
        source = "the area"
        if outlines.crs is None:
            raise OutlineError("the area, a GeoSeries, has no CRS; set it with set_crs(...).")
        named = pd.Series([f"polygon {k}" for k in range(len(outlines))])
        geometry = polygons.repaired(outlines.reset_index(drop=True), named, source)
        polygons.require_possible(geometry, source)
        return polygons.with_area(gpd.GeoDataFrame({"glacier": named}, geometry=geometry), source)[["geometry"]]
    return read(outlines)


def _bounds(bounds: Iterable[Any]) -> gpd.GeoDataFrame:
    try:
        west, south, east, north = (float(v) for v in bounds)
    except (TypeError, ValueError):
        west = south = east = north = np.nan
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise OutlineError(
            f"area {tuple(bounds)} is not (west, south, east, north) in degrees; "
            "areas across the antimeridian must be mapped in two parts, bounds in metres given as outlines with a CRS."
        )
    return gpd.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=4326)


def digest(table: gpd.GeoDataFrame) -> str:
    """Short hash of ids, dates and geometries, to tell one set of outlines from another."""
    hashed = hashlib.sha256("\n".join(table.glacier).encode())
    hashed.update(table.date.to_numpy("datetime64[D]").astype("int64").tobytes())
    for geometry in shapely.to_wkb(table.geometry.values):
        hashed.update(geometry)
    return hashed.hexdigest()[:16]


def _table(outlines: Any) -> tuple[str, gpd.GeoDataFrame]:
    if isinstance(outlines, gpd.GeoDataFrame):
        if outlines.active_geometry_name is None:
            raise OutlineError("the GeoDataFrame of outlines has no geometry; set it with set_geometry(...).")
        return "the GeoDataFrame of outlines", outlines
    if not isinstance(outlines, str | Path):
        raise OutlineError(
            f"outlines must be a path or a GeoDataFrame with a column 'glacier', not {type(outlines).__name__}."
        )
    shown = access.shown(str(outlines))
    if not access.is_remote(str(outlines)):
        _require_file(Path(outlines), shown)
    try:
        table = gpd.read_file(outlines)
    except Exception as error:  # pyogrio raises several types; all mean the same to the user
        raise OutlineError(f"outlines {shown!r} cannot be read: {access.reason(error)}") from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise OutlineError(f"outlines {shown!r} has a table without geometry.")
    return shown, table


def _require_file(path: Path, shown: str) -> None:
    if not path.exists():
        raise OutlineError(f"outlines {shown!r}: no such file.")
    if path.name.startswith("._"):
        raise OutlineError(f"outlines {shown!r} is a note of macOS beside a file; take the file without '._'.")
    if not (path.is_file() or path.is_dir()):
        raise OutlineError(f"outlines {shown!r} is neither a file nor a folder.")
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(4096)
        if any(pointer in head for pointer in POINTERS):
            raise OutlineError(f"outlines {shown!r} leads to other files; give these themselves.")


def _ids(table: gpd.GeoDataFrame, id_column: str | None, source: str) -> pd.Series:
    """Ids as texts; numbers without a fraction, as a shapefile keeps them, as whole ones."""
    column = id_column if id_column is not None else _first(table, ID_COLUMNS, exact="glacier")
    if column is None or column not in table:
        looked = id_column or ", ".join(ID_COLUMNS)
        raise OutlineError(
            f"{source} has no glacier ids: looked for {looked}; it has {', '.join(map(str, table.columns))}. "
            "Name the column that identifies a glacier 'glacier'."
        )
    values = table[column]
    ids = values.map(_id_text)
    missing = np.flatnonzero(ids == "")
    if missing.size:
        raise OutlineError(
            f"{source}: {missing.size} outlines have no id in column {column!r} (first: row {missing[0]})."
        )
    return ids


def _id_text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else str(int(value)) if float(value).is_integer() else repr(float(value))
    text = "" if value is None or value is pd.NA else str(value).strip()
    return "" if text.lower() in ("nan", "none", "<na>", "null") else text


def _first(table: pd.DataFrame, names: Iterable[str], exact: str = "") -> str | None:
    """First of some columns that a table has, in any case; one name may have to be written as it is."""
    by_name = {str(column).lower(): column for column in reversed(table.columns)}
    for name in names:
        found = name if name in table.columns else None if name == exact else by_name.get(name.lower())
        if found is not None:
            return found
    return None


def _column(table: pd.DataFrame, name: str) -> pd.Series | None:
    found = _first(table, (name,))
    return None if found is None else table[found]

"""Search for the scenes of many glaciers with few requests, and keep the answers beside the manifest."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import shapely

from .. import access, stac
from ..errors import CatalogError, StoreError
from ..scenes.catalog import search

CELL = 4.0
"""Edge of the cells in which an API is searched: a request for each and each year, never one for a glacier. [degree]"""


def place_for(path: Path) -> Path:
    """Folder for the answers beside a manifest, which can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise StoreError(
            f"no manifest can be written to {path}: {access.reason(error)}. Choose another place."
        ) from error
    return path.with_name(f"{path.name}.searches")


def searches(catalog: str | Path, table: gpd.GeoDataFrame) -> Iterator[tuple[np.ndarray, gpd.GeoDataFrame]]:
    """Glaciers that are searched for together, and their outlines; a file is read once."""
    place = table.geometry.to_crs(4326).representative_point()
    x, y = place.x.to_numpy(), place.y.to_numpy()
    remote = str(catalog) in stac.CATALOGS or access.is_remote(str(catalog))
    cells = np.column_stack([np.floor(x / CELL), np.floor(y / CELL)]) if remote else (y >= 0)[:, None]
    for cell in np.unique(cells, axis=0):
        rows = np.flatnonzero((cells == cell).all(1))
        yield rows, table.iloc[rows]


def searched(
    catalog: str | Path, table: gpd.GeoDataFrame, years: Sequence[int], season: Any, wanted: dict[str, Any]
) -> Sequence[pystac.Item]:
    """What a search gives, nothing where there is nothing."""
    try:
        found: Any = search(catalog, _around(table), years=years, season=season, **wanted)
        return found
    except CatalogError as error:
        if ": no " not in str(error):
            raise
        warnings.warn(str(error), stacklevel=4)
        return []


def _around(table: gpd.GeoDataFrame) -> gpd.GeoSeries:
    """Simple area that holds some glaciers: their boxes, those that touch made one."""
    parts = shapely.get_parts(table.geometry.to_crs(4326).values)  # of one across the antimeridian, either side
    boxes = shapely.box(*shapely.bounds(parts).T)
    return gpd.GeoSeries([part for part in shapely.get_parts(shapely.union_all(boxes))], crs=4326)

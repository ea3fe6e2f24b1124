"""Labelled points and a cube to a store of patches."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from pyogrio.errors import DataSourceError

from .. import grids
from ..errors import InputError
from . import labels
from .patchstore import PatchStore, writing

COORDINATES = ("longitude", "latitude")


def read(path: str | Path) -> gpd.GeoDataFrame:
    """Labelled points of a file.

    Parameters
    ----------
    path : str or Path
        A file of points that geopandas reads, such as a GeoPackage, or a CSV with the columns ``longitude`` and
        ``latitude`` [degree]; with ``class`` (a name), and ``item`` (id of the scene) or ``date``.

    Raises
    ------
    InputError
        If there is no such file, it has other columns, or what it holds are no points.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"points file {path} does not exist.")
    try:
        if path.suffix.lower() == ".csv":
            table = pd.read_csv(path)
            if missing := [c for c in COORDINATES if c not in table.columns]:
                raise InputError(f"{path} has no column {', '.join(missing)}.")
            place = gpd.points_from_xy(table["longitude"], table["latitude"], crs=4326)
            points = gpd.GeoDataFrame(table.drop(columns=list(COORDINATES)), geometry=place)
        else:
            points = gpd.read_file(path)
    except (DataSourceError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as points: {error}") from error
    if "geometry" not in points or points.crs is None or not (points.geometry.geom_type == "Point").all():
        raise InputError(f"{path} must hold points with a coordinate reference system, and nothing else.")
    nowhere = ~np.isfinite(np.column_stack([points.geometry.x, points.geometry.y])).all(1)
    if nowhere.any():
        raise InputError(f"{path}: {nowhere.sum()} rows have no coordinates.")
    return points


def with_items(points: gpd.GeoDataFrame, cube: xr.Dataset) -> gpd.GeoDataFrame:
    """Points with the column ``item``, found by their ``date`` where it is missing.

    Raises
    ------
    InputError
        If they have neither, or the cube has no scene of a date, or several.
    """
    if "item" in points.columns:
        return points
    if "date" not in points.columns:
        raise InputError("the points have neither 'item', the id of the scene, nor 'date'.")
    try:
        days = pd.to_datetime(points["date"]).dt.strftime("%Y-%m-%d")
    except (ValueError, TypeError) as error:
        raise InputError(f"the dates of the points cannot be read: {error}") from error
    scenes = pd.Series(cube["item"].values.astype(str), pd.DatetimeIndex(cube["time"].values).strftime("%Y-%m-%d"))
    wanted = scenes[scenes.index.isin(days)]
    if (twice := wanted.index[wanted.index.duplicated()]).size:
        raise InputError(f"the cube has several scenes of {twice[0]}; name the scene of each point, in 'item'.")
    if missing := sorted(set(days) - set(scenes.index)):
        raise InputError(f"the cube has no scene of {', '.join(missing[:3])}; it has {', '.join(scenes.index)}.")
    return points.assign(item=days.map(wanted.str.split().str[0]).to_numpy())


def to_store(
    path: str | Path,
    cube: xr.Dataset,
    points: gpd.GeoDataFrame,
    feature_set: int,
    *,
    folds: Mapping[str, int] | None = None,
) -> PatchStore:
    """Store of the patches at labelled points of a cube, one scene after the other.

    Parameters
    ----------
    path : str or Path
    cube : Dataset (time, y, x)
        With the features of the set, glaciers, and the coordinate ``item``.
    points : GeoDataFrame
        As :func:`read` gives them. Those outside the glaciers, on invalid pixels or with too little context are left
        out, as in inference.
    feature_set : int
    folds : mapping, optional
        Fold of each glacier.

    Raises
    ------
    InputError
        If a point lies beyond the cube, two are of one place in one scene, or a glacier has no fold.
    """
    points = with_items(points, cube)
    _refuse_beyond(points, cube)
    named = cube["sensor"].values.tolist() if "sensor" in cube.coords else [""] * cube.sizes["time"]
    sensor = dict(zip(cube["item"].values.tolist(), named, strict=True))
    with writing(path, feature_set) as out:
        for samples in labels.scene_by_scene(cube, points, feature_set):
            if len(samples):
                out.append(samples, fold=assigned(samples.glacier, folds), sensor=sensor[str(samples.scene[0])])
    return PatchStore(path)


def _refuse_beyond(points: gpd.GeoDataFrame, cube: xr.Dataset) -> None:
    box = grids.geobox(cube)
    place = points.to_crs(box.crs.to_wkt()).geometry
    columns, rows = ~box.affine * (place.x.to_numpy(), place.y.to_numpy())
    beyond = ~((rows >= 0) & (columns >= 0) & (rows < box.height) & (columns < box.width))
    if beyond.any():
        raise InputError(
            f"{beyond.sum()} of {len(points)} points lie beyond the cube, the first in row {int(beyond.argmax())} of "
            "the table; leave them out, or load a cube that holds them."
        )


def assigned(glacier: np.ndarray, folds: Mapping[str, int] | None) -> np.ndarray:
    """Fold of each sample, -1 without folds.

    Raises
    ------
    InputError
        If a glacier has none.
    """
    if folds is None:
        return np.full(glacier.size, -1)
    if missing := sorted(set(glacier.tolist()) - set(folds)):
        raise InputError(f"the folds do not say where glacier {', '.join(missing[:3])} belongs.")
    return np.array([folds[g] for g in glacier.tolist()], "int64")

"""Labelled points to training samples: the context of each point, as inference would see it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import geopandas as gpd
import numpy as np
import xarray as xr

from .. import grids
from ..classes import VALUES
from ..errors import InputError
from . import features, packed, patches, prepare

COLUMNS = ("class", "item", "geometry")


@dataclass(frozen=True, eq=False)
class Samples:
    """Training samples; arrays of one length."""

    patches: np.ndarray
    """(n, feature, 33, 33) float32: relative to the glacier, not scaled to any bounds, NaN where nothing is near."""
    label: np.ndarray
    """Class. int64"""
    glacier: np.ndarray
    """Id of the glacier."""
    scene: np.ndarray
    """Id of the scene."""
    longitude: np.ndarray = None  # type: ignore[assignment]
    """Of the point; NaN where it is not known. [degree]"""
    latitude: np.ndarray = None  # type: ignore[assignment]
    """Of the point; NaN where it is not known. [degree]"""

    def __post_init__(self) -> None:
        for name in ("longitude", "latitude"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(self.label.size, np.nan))

    def __len__(self) -> int:
        return self.label.size

    def __getitem__(self, rows) -> "Samples":
        patches = self.patches.part(rows) if hasattr(self.patches, "part") else self.patches[rows]
        return Samples(patches, **{f.name: getattr(self, f.name)[rows] for f in fields(self)[1:]})

    @classmethod
    def concat(cls, parts: list["Samples"]) -> "Samples":
        """Samples of several regions."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def sample(cube: xr.Dataset, points: gpd.GeoDataFrame, feature_set: int) -> Samples:
    """Samples at labelled points of a cube; the features of each labelled scene are computed.

    Parameters
    ----------
    cube : Dataset (time, y, x)
        With the features of the set, glaciers, and the coordinate ``item``.
    points : GeoDataFrame
        Columns ``class`` (a name), ``item`` (id of the scene) and point geometry.
    feature_set : int

    Returns
    -------
    Samples
        Points outside the glaciers, on invalid pixels or with too little context are left out, as in inference.

    Raises
    ------
    InputError
        If a column is missing or a class is unknown.
    """
    return Samples.concat(list(scene_by_scene(cube, points, feature_set)))


def scene_by_scene(cube: xr.Dataset, points: gpd.GeoDataFrame, feature_set: int) -> Iterator[Samples]:
    """As :func:`sample`, the samples of one scene after the other, so that only one is in memory."""
    missing = [c for c in COLUMNS if c not in points.columns]
    if missing:
        raise InputError(f"the points have no column {', '.join(missing)}; they have {', '.join(points.columns)}.")
    if unknown := set(points["class"]) - set(VALUES):
        raise InputError(f"unknown classes {sorted(unknown)}; there are {', '.join(VALUES)}.")
    features.require_dataset(cube)
    features.require(cube, feature_set)
    cube = packed.unpacked(cube, features.FEATURE_SETS[feature_set])
    box = grids.geobox(cube)
    points = points.to_crs(box.crs.to_wkt())
    found = False
    for t, items in enumerate(cube["item"].values):
        mine = points[points["item"].isin(str(items).split())]
        if len(mine):
            found = True
            yield _scene(cube.isel(time=t), mine, box, feature_set)
    if not found:
        raise InputError("none of the points lies in a scene of the cube; their column 'item' must hold scene ids.")


def _scene(scene: xr.Dataset, points: gpd.GeoDataFrame, box, feature_set: int) -> Samples:
    names = features.FEATURE_SETS[feature_set]
    planes = scene[[*names, "glacier_index"]].compute()
    whole = (slice(0, box.height), slice(0, box.width))
    index = planes["glacier_index"].values
    window = prepare.Window.of(features.stack([planes[n].values for n in names], names), names, index, whole)
    c, r = (np.floor(v).astype(int) for v in ~box.affine * (points.geometry.x.values, points.geometry.y.values))
    usable = (r >= 0) & (c >= 0) & (r < box.height) & (c < box.width)
    usable[usable] = window.wanted[r[usable], c[usable]]
    r, c = r[usable], c[usable]

    variables = features.glacier_variables(names)
    scale = features.GlacierScale.of(scene, variables) if variables else None
    out = np.empty((r.size, len(names), patches.SIZE, patches.SIZE), "float32")
    for sight in window.by_glacier(scale):
        row, column = r - sight.part[0].start, c - sight.part[1].start
        mine = (row >= 0) & (column >= 0) & (row < sight.wanted.shape[0]) & (column < sight.wanted.shape[1])
        mine[mine] = sight.wanted[row[mine], column[mine]]
        out[mine] = patches.cut(sight.features, row[mine], column[mine])
    ids = scene["glacier"].values[np.searchsorted(scene["glacier_number"].values, index[r, c])]
    label = points["class"][usable].map(VALUES).to_numpy("int64")
    place = points.geometry[usable].to_crs(4326)
    scenes = np.full(r.size, str(scene["item"].item()))
    return Samples(out, label, ids.astype(str), scenes, place.x.to_numpy(), place.y.to_numpy())

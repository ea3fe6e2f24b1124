"""Labelled points to training samples: the context of each point, as inference would see it."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import xarray as xr

from .. import grids
from ..classes import VALUES
from ..errors import InputError
from . import features, patches

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

    def __len__(self) -> int:
        return self.label.size

    def __getitem__(self, rows) -> "Samples":
        return Samples(self.patches[rows], self.label[rows], self.glacier[rows], self.scene[rows])

    @classmethod
    def concat(cls, parts: list["Samples"]) -> "Samples":
        """Samples of several regions."""
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("patches", "label", "glacier", "scene")))


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
    missing = [c for c in COLUMNS if c not in points.columns]
    if missing:
        raise InputError(f"the points have no column {', '.join(missing)}; they have {', '.join(points.columns)}.")
    if unknown := set(points["class"]) - set(VALUES):
        raise InputError(f"unknown classes {sorted(unknown)}; there are {', '.join(VALUES)}.")
    features.require(cube, feature_set)
    box = grids.geobox(cube)
    points = points.to_crs(box.crs.to_wkt())
    found = []
    for t, items in enumerate(cube["item"].values):
        mine = points[points["item"].isin(str(items).split())]
        if len(mine):
            found.append(_scene(cube.isel(time=t), mine, box, feature_set))
    if not found:
        raise InputError("none of the points lies in a scene of the cube; their column 'item' must hold scene ids.")
    return Samples.concat(found)


def _scene(scene: xr.Dataset, points: gpd.GeoDataFrame, box, feature_set: int) -> Samples:
    names = [*features.FEATURE_SETS[feature_set], "glacier_index"]
    planes = scene[names].compute()
    index = planes["glacier_index"].values
    raw = features.stack([planes[n].values for n in names[:-1]], feature_set)
    valid = np.isfinite(raw).all(0)
    whole = (slice(0, box.height), slice(0, box.width))
    usable = valid & (index > 0) & (patches.valid_share(patches.frame(valid, whole)) >= 0.5)
    c, r = (np.floor(v).astype(int) for v in ~box.affine * (points.geometry.x.values, points.geometry.y.values))
    inside = (r >= 0) & (c >= 0) & (r < box.height) & (c < box.width)
    inside[inside] = usable[r[inside], c[inside]]
    r, c, kept = r[inside], c[inside], points[inside]

    source = patches.sources(valid)
    nothing = np.full(len(raw), np.nan, "float32")
    scale = features.GlacierScale.of(scene)
    out = np.empty((r.size, len(raw), patches.SIZE, patches.SIZE), "float32")
    numbers = index[r, c]
    for number in np.unique(numbers):
        own = features.relative_to(raw, index, scale, int(number)) if feature_set > 1 else raw
        framed = patches.frame(patches.fill(own, source, nothing), whole)
        mine = numbers == number
        out[mine] = patches.cut(framed, r[mine], c[mine])
    ids = scene["glacier"].values[np.searchsorted(scene["glacier_number"].values, numbers)]
    return Samples(
        out, kept["class"].map(VALUES).to_numpy("int64"), ids.astype(str), np.full(r.size, str(scene["item"].item()))
    )

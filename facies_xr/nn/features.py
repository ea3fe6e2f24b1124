"""The four feature sets and the scaling that belongs to a glacier (Maslov et al. 2026, section 2).

Elevation and proximity are relative to the glacier of the pixel in the middle of a patch: its context keeps that
scale where it reaches into a neighbour, and its proximity is 0 there. The scaling to the bounds of the training data
belongs to the classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import GridError, MissingVariableError
from ..stations import BANDS

FEATURES = (*BANDS, "elevation", "slope", "shadow_mask", "hillshade", "proximity")
"""All features, in the order of the network's channels."""

FEATURE_SETS = {1: FEATURES[:6], 2: FEATURES[:8], 3: FEATURES[:10], 4: FEATURES[:11]}

_SHADOW_UNKNOWN = 255


@dataclass(frozen=True, eq=False)
class GlacierScale:
    """Bounds of each glacier, looked up by its number; NaN in the fields that a feature set does not need."""

    number: np.ndarray
    elevation_min: np.ndarray
    elevation_max: np.ndarray
    proximity_max: np.ndarray

    @classmethod
    def of(cls, scene: xr.Dataset) -> "GlacierScale":
        """Bounds as ``add_terrain`` gives them, at one date."""
        order = np.argsort(scene.glacier_number.values)
        names = ("glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max")
        return cls(scene.glacier_number.values[order], *(scene[n].values[order] for n in names))

    @classmethod
    def by_date(cls, cube: xr.Dataset) -> "list[GlacierScale]":
        """Bounds at each date of a cube; one for all where they do not change."""
        dates = cube.sizes.get("time", 1)
        if "time" not in cube["glacier_elevation_min"].dims:
            return [cls.of(cube)] * dates
        return [cls.of(cube.isel(time=t)) for t in range(dates)]

    def row(self, number: int) -> int:
        """Position of a glacier."""
        k = int(np.searchsorted(self.number, number))
        if k == self.number.size or self.number[k] != number:
            raise MissingVariableError(f"glacier_index holds {number}, which glacier_number does not know.")
        return k


def require(cube: xr.Dataset, feature_set: int) -> None:
    """Refuse a cube that lacks what a feature set needs, naming all that is missing.

    Raises
    ------
    MissingVariableError
    GridError
        If a variable is not on (time, y, x) or (y, x).
    """
    missing = [name for name in FEATURE_SETS[feature_set] if name not in cube]
    if feature_set > 1:
        missing += [n for n in ("glacier_index", "glacier_elevation_min", "glacier_elevation_max") if n not in cube]
    if feature_set == 4:
        missing += [n for n in ("glacier_proximity_max",) if n not in cube]
    if missing:
        bands = [name for name in missing if name in BANDS]
        remedy = "load it with fx.load" if bands else "add it with fx.add_terrain(cube, dem, outlines)"
        has = ", ".join(map(str, cube.data_vars)) or "nothing"
        raise MissingVariableError(
            f"feature set {feature_set} needs {', '.join(repr(m) for m in missing)}; the cube has {has}. "
            f"Either {remedy}, or choose a model of a smaller feature set."
        )
    for name in (*FEATURE_SETS[feature_set], *(["glacier_index"] if "glacier_index" in cube else [])):
        if cube[name].dims not in (("time", "y", "x"), ("y", "x")):
            raise GridError(f"{name!r} has dims {cube[name].dims}; it must be (time, y, x) or (y, x).")


def stack(planes: Sequence[np.ndarray], feature_set: int) -> np.ndarray:
    """Features of one window as (feature, y, x) float32, NaN where a feature is unknown."""
    out = np.stack([np.asarray(p, "float32") for p in planes])
    if feature_set >= 3:
        shadow = out[FEATURES.index("shadow_mask")]
        shadow[shadow == _SHADOW_UNKNOWN] = np.nan
    return out


def relative_to(features: np.ndarray, index: np.ndarray, scale: GlacierScale, number: int) -> np.ndarray:
    """Features with elevation and proximity relative to one glacier.

    Notes
    -----
    elevation: (z - zmin) / (zmax - zmin); proximity: d / dmax inside the glacier, 0 outside. A glacier without
    relief has elevation 0, one without extent proximity 0.
    """
    out, k = features.copy(), scale.row(number)
    if len(out) > 6:
        low, high = scale.elevation_min[k], scale.elevation_max[k]
        out[6] = (out[6] - low) / (high - low) if high > low else np.where(np.isnan(out[6]), np.nan, 0)
    if len(out) > 10:
        largest = scale.proximity_max[k]
        known = np.isfinite(out[10])
        out[10] = np.where(index == number, out[10] / largest if largest > 0 else 0, 0)
        out[10][~known] = np.nan
    return out

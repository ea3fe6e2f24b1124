"""Features by name, the sets of them, and the scaling that belongs to a glacier (Maslov et al. 2026, section 2).

Elevation and proximity are relative to the glacier of the pixel in the middle of a patch: its context keeps that
scale where it reaches into a neighbour, and its proximity is 0 there. The scaling to the bounds of the training data
belongs to the classifier.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from ..errors import GridError, InputError, MissingVariableError
from ..stations import BANDS, SHADOW_UNKNOWN

Array = Any
"""Of NumPy or torch."""


def relative_elevation(elevation: Array, lowest: float, highest: float) -> Array:
    """Elevation between the ends of a glacier, 0 at its lowest pixel and 1 at its highest; 1/2 without relief.

    Parameters
    ----------
    elevation : array
        [m]
    lowest, highest : float
        Of the glacier. [m]
    """
    if highest > lowest:
        return (elevation - lowest) / (highest - lowest)
    return elevation * 0 + 0.5


@dataclass(frozen=True)
class GlacierScaling:
    """How a feature is made relative to one glacier."""

    needs: tuple[str, ...]
    """Variables of the glaciers that it needs."""
    apply: Callable[..., Array]
    """``apply(values, on_glacier, *of_the_glacier)``, the last in the order of ``needs``."""


def _to_elevation_range(values: Array, on_glacier: Array, lowest: float, highest: float) -> Array:
    return relative_elevation(values, lowest, highest)


def _to_largest_proximity(values: Array, on_glacier: Array, largest: float) -> Array:
    """Distance relative to the largest inside the glacier, 0 outside, and 0 for a glacier without extent."""
    nothing = values * 0  # NaN stays NaN
    return array_namespace(values).where(on_glacier, values / largest, nothing) if largest > 0 else nothing


ELEVATION_RANGE = GlacierScaling(("glacier_elevation_min", "glacier_elevation_max"), _to_elevation_range)
LARGEST_PROXIMITY = GlacierScaling(("glacier_proximity_max",), _to_largest_proximity)


@dataclass(frozen=True)
class Feature:
    """A variable of the cube that a network sees."""

    name: str
    scaling: GlacierScaling | None = None
    """How it is made relative to a glacier; None: it stays as it is."""
    unknown: int | None = None
    """Flag that marks a gap, besides NaN."""
    unit: str = "reflectance must be 0..1, not DN"
    """What its numbers must be, for messages."""


MARKS = (-9999.0, -32768.0, -32767.0, 65535.0)
"""Numbers that tools write where they know nothing, and that no feature can have."""

FEATURES = {
    feature.name: feature
    for feature in (
        *(Feature(band) for band in BANDS),
        Feature("elevation", ELEVATION_RANGE, unit="elevation and the glaciers' bounds must have one unit, metres"),
        Feature("slope", unit="slope must be in degrees"),
        Feature("shadow_mask", unknown=SHADOW_UNKNOWN, unit="shadow_mask must be 0, 1 or 255"),
        Feature("hillshade", unit="hillshade must be 0..1"),
        Feature("proximity", LARGEST_PROXIMITY, unit="proximity and glacier_proximity_max must have one unit, metres"),
    )
}
"""All features by name."""

FEATURE_SETS: dict[int, tuple[str, ...]] = {
    1: BANDS,
    2: (*BANDS, "elevation", "slope"),
    3: (*BANDS, "elevation", "slope", "shadow_mask", "hillshade"),
    4: (*BANDS, "elevation", "slope", "shadow_mask", "hillshade", "proximity"),
}
"""Features of each set, in the order of the network's channels."""


def glacier_variables(names: Iterable[str]) -> tuple[str, ...]:
    """Variables of the glaciers that features need; none if no feature is relative to a glacier."""
    scalings = (FEATURES[name].scaling for name in names)
    return tuple(needed for scaling in scalings if scaling is not None for needed in scaling.needs)


@dataclass(frozen=True, eq=False)
class GlacierScale:
    """What the scaling of features needs to know of each glacier, looked up by its number."""

    number: np.ndarray
    """Increasing."""
    values: Mapping[str, np.ndarray]
    """By name of the variable."""

    @classmethod
    def of(cls, scene: xr.Dataset, variables: Sequence[str]) -> "GlacierScale":
        """Variables of the glaciers as ``add_terrain`` gives them, at one date."""
        order = np.argsort(scene["glacier_number"].values)
        return cls(scene["glacier_number"].values[order], {name: scene[name].values[order] for name in variables})

    @classmethod
    def by_date(cls, cube: xr.Dataset, variables: Sequence[str]) -> "list[GlacierScale | None]":
        """Scale at each date of a cube, one for all where it does not change; None without variables."""
        dates = cube.sizes.get("time", 1)
        if not variables:
            return [None] * dates
        if not any("time" in cube[name].dims for name in variables):
            return [cls.of(cube, variables)] * dates
        return [cls.of(cube.isel(time=t), variables) for t in range(dates)]

    def of_glacier(self, number: int, scaling: GlacierScaling) -> list[float]:
        """Values of one glacier that a scaling needs.

        Raises
        ------
        MissingVariableError
            If there is no such glacier.
        """
        k = int(np.searchsorted(self.number, number))
        if k == self.number.size or self.number[k] != number:
            raise MissingVariableError(f"glacier_index holds {number}, which glacier_number does not know.")
        return [self.values[name][k] for name in scaling.needs]


def require_dataset(cube: Any) -> None:
    """Refuse what is no Dataset, such as one array of all bands.

    Raises
    ------
    InputError
    """
    if isinstance(cube, xr.Dataset):
        return
    if isinstance(cube, xr.DataArray):
        of_bands = next((str(dim) for dim in cube.dims if dim not in ("time", "y", "x")), None)
        remedy = "cube.to_dataset(name=...)" if of_bands is None else f"cube.to_dataset({of_bands!r})"
        raise InputError(
            f"the cube is one DataArray ({', '.join(map(str, cube.dims))}); a Dataset with one variable for each "
            f"feature is needed. Make it with {remedy}, and name the bands {', '.join(BANDS)}."
        )
    raise InputError(f"the cube is of type {type(cube).__name__}; give an xarray.Dataset.")


def require(cube: xr.Dataset, feature_set: int) -> None:
    """Refuse a cube that lacks what a feature set needs, naming all that is missing.

    Raises
    ------
    MissingVariableError
    GridError
        If a variable is not on (time, y, x) or (y, x).
    """
    names = FEATURE_SETS[feature_set]
    of_glaciers = glacier_variables(names)
    missing = [n for n in (*names, *(("glacier_index",) if of_glaciers else ()), *of_glaciers) if n not in cube]
    if missing:
        without_bands = bool(set(missing) & set(BANDS))
        if "facies_map" in cube:
            remedy = "give the cube that these maps were made from"
        else:
            remedy = "load it with fx.load" if without_bands else "add it with fx.add_terrain(cube, dem, outlines)"
        has = ", ".join(map(str, cube.data_vars)) or "nothing"
        raise MissingVariableError(
            f"feature set {feature_set} needs {', '.join(repr(m) for m in missing)}; the cube has {has}"
            f"{_of_bands(cube) if without_bands else ''}. Either {remedy}, or choose a model of a smaller feature set."
        )
    for name in (*names, *(["glacier_index"] if "glacier_index" in cube else [])):
        if cube[name].dims not in (("time", "y", "x"), ("y", "x")):
            raise GridError(f"{name!r} has dims {cube[name].dims}; it must be (time, y, x) or (y, x).")


def _of_bands(cube: xr.Dataset) -> str:
    """What to say of a variable that may hold all bands."""
    for name, variable in cube.data_vars.items():
        others = [dim for dim in variable.dims if dim not in ("time", "y", "x")]
        if others and {"y", "x"} <= set(variable.dims):
            return f" ({name!r} has a dimension {others[0]!r}: make it variables with to_dataset({others[0]!r}))"
    return ""


def stack(planes: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Features of one window as (feature, y, x) float32, NaN where a feature is unknown.

    Parameters
    ----------
    planes : sequence of ndarray (y, x)
    names : sequence of str
        Of the features, in the same order.
    """
    return marked(np.stack([np.asarray(plane, "float32") for plane in planes]), names)


def marked(features: Array, names: Sequence[str]) -> Array:
    """Features (feature, y, x) with NaN where a flag or a mark says that they are unknown."""
    xp = array_namespace(features)
    for k, name in enumerate(names):
        if (flag := FEATURES[name].unknown) is not None:
            features[k] = xp.where(features[k] == flag, xp.nan, features[k])
    missing = xp.any(_is_mark(features), axis=0)
    if set(BANDS) <= set(names):
        missing = missing | unmeasured(xp.stack([features[names.index(band)] for band in BANDS]))
    if bool(xp.any(missing)):
        warnings.warn(
            f"pixels with {', '.join(f'{mark:g}' for mark in MARKS)}, or with 0 in every band, count as missing; set "
            "them to NaN, or tag them with the attribute _FillValue.",
            stacklevel=2,
        )
        features = xp.where(missing, xp.nan, features)
    return features


def unmeasured(bands: Array) -> Array:
    """Where a band holds what other tools write for nothing, or all bands are 0, as no surface is under any sky.

    Parameters
    ----------
    bands : array (band, ...)
        Reflectance. [1]
    """
    xp = array_namespace(bands)
    return xp.any(_is_mark(bands), axis=0) | xp.all(bands == 0, axis=0)


def _is_mark(values: Array) -> Array:
    """Where values are :data:`MARKS`."""
    return reduce(or_, (values == mark for mark in MARKS))


def relative_to(features: Array, names: Sequence[str], index: Array, scale: GlacierScale, number: int) -> Array:
    """Features (feature, y, x) relative to one glacier, those that are not relative as they are.

    Parameters
    ----------
    features : array (feature, y, x)
    names : sequence of str
        Of the features, in the same order.
    index : array (y, x)
        Number of the glacier of each pixel.
    scale : GlacierScale
    number : int
        Of the glacier.
    """
    out = array_namespace(features).asarray(features, copy=True)
    for k, name in enumerate(names):
        if (scaling := FEATURES[name].scaling) is not None:
            out[k] = scaling.apply(out[k], index == number, *scale.of_glacier(number, scaling))
    return out

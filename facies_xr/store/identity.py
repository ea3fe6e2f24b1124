"""What decides the values of a store: its inputs, by content and not by name."""

import hashlib
import json
from typing import Any

import numpy as np
import xarray as xr

from ..errors import StoreError

RESULTS = 1
"""Raised with each version of the package in which the values of a product change."""

FREE_ATTRIBUTES = ("software", "device", "grid_mapping", "coordinates")
"""Attributes that may differ between the run that created a store and one that continues it."""

ON_THE_GRID = ("x", "y", "spatial_ref")
"""Variables that say no more than the grid, which is compared as such."""

OF_A_MISSION = "_nir"
"""End of attributes that only dates of one mission state; those of others neither contradict nor lose them."""

SHOWN = 3
"""Differences that an error names."""


def identity(data: xr.Dataset) -> dict[str, Any]:
    """What must agree between a store and data that continue it, besides the grid and the scenes of each date.

    By content: attributes of the Dataset and of its variables, dims and kinds of variables, and the values of the
    small ones that are the same for all dates, such as glacier ids, bounds and calibrators.
    """
    parts: dict[str, Any] = {"attributes": _deciding(data.attrs), "package": {"results": RESULTS}}
    for name, variable in data.variables.items():
        if name in ON_THE_GRID:
            continue
        sizes = {str(d): n for d, n in zip(variable.dims, variable.shape, strict=True) if d != "time"}
        parts[f"variable {name}"] = {"sizes": sizes, "dtype": variable.dtype.kind, **_deciding(variable.attrs)}
        if "time" not in variable.dims and variable.dims[-2:] != ("y", "x"):
            parts[f"variable {name}"]["values"] = _digest(variable.values)
    return json.loads(json.dumps(parts, default=_plain, sort_keys=True))


def joined(stored: dict[str, Any], data: xr.Dataset) -> xr.Dataset:
    """Data with what a store states of missions that they have no date of."""
    known = {k: v for k, v in stored["attributes"].items() if k.endswith(OF_A_MISSION)}
    return data.assign_attrs({**known, **data.attrs})


def require_identity(stored: dict[str, Any], given: dict[str, Any], path: Any) -> None:
    """Refuse data whose identity is not that of a store, naming the first differences.

    Raises
    ------
    StoreError
    """
    differences = []
    for part in sorted(stored.keys() | given.keys()):
        old, new = stored.get(part), given.get(part)
        if old is None or new is None:
            differences.append(
                f"it has {'no' if old is None else 'a'} {part}, these data have {'one' if old is None else 'none'}"
            )
            continue
        differences += [
            f"{part}: {key} is {_short(old.get(key))} there and {_short(new.get(key))} here"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and not (key.endswith(OF_A_MISSION) and key not in old)
        ]
    if differences:
        more = len(differences) - SHOWN
        shown = "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise StoreError(
            f"{path} holds other results ({shown}). Write to another path, or delete the store to replace it."
        )


def _deciding(attributes: dict[Any, Any]) -> dict[str, Any]:
    """Attributes that count; a name does not where the digest of its content stands."""
    named = {k.removesuffix("_digest") for k in attributes if k.endswith("_digest")}
    return {str(k): v for k, v in attributes.items() if k not in FREE_ATTRIBUTES and k not in named}


def _digest(values: np.ndarray) -> str:
    """Hash of values, the same after a way through a store."""
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype("int64")
    text = values.dtype.kind in "OUT"
    content = json.dumps(values.tolist(), default=str).encode() if text else np.ascontiguousarray(values).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."

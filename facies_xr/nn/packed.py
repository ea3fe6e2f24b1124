"""Variables as other tools leave them: packed in whole numbers, with marks where nothing is known.

xarray unpacks a file when it opens it with ``mask_and_scale``, and the attributes of packing go to the encoding. Where
they are still attributes, the numbers are packed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import lazy
from ..errors import InputError
from ..stations import BANDS

MARKS = ("_FillValue", "missing_value", "nodata", "nodatavals")
"""Attributes that tell which numbers stand for a gap."""

SCALE, OFFSET = (1e-7, 1.0), (-1.0, 1.0)
"""Of reflectance: from 1 / 2^23 to no scale at all; and within the reflectance of a bright surface."""

SCALED = 2.0
"""Numbers up to this are reflectance, and no packed reflectance."""


def unpacked(cube: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """The cube with some of its variables unpacked, lazily: scaled, and NaN where their attributes mark a gap.

    Parameters
    ----------
    cube : Dataset
    names : iterable of str
        Variables; those that are missing, or have no such attributes, are left as they are.

    Raises
    ------
    InputError
        If an attribute is no number, or scale or offset cannot be those of a reflectance; when computed, if a
        variable says that it is packed but holds reflectances.
    """
    changed = {}
    for name in names:
        if name not in cube:
            continue
        packing = _Packing.of(cube[name])
        if packing.marks or (packing.scale, packing.offset) != (1, 0):
            attrs = {k: v for k, v in cube[name].attrs.items() if k not in (*MARKS, "scale_factor", "add_offset")}
            changed[name] = (cube[name].dims, lazy.blockwise(packing, [cube[name].data], "float32"), attrs)
    return cube.assign(changed)


@dataclass(frozen=True)
class _Packing:
    name: str
    marks: tuple[float, ...]
    scale: float
    offset: float

    @classmethod
    def of(cls, variable: xr.DataArray) -> "_Packing":
        marks = [number for mark in MARKS for number in _numbers(variable, mark, ())]
        (scale,), (offset,) = _numbers(variable, "scale_factor", 1.0), _numbers(variable, "add_offset", 0.0)
        if variable.name in BANDS:
            for attribute, value, (low, high) in (("scale_factor", scale, SCALE), ("add_offset", offset, OFFSET)):
                if not low <= value <= high:
                    raise InputError(
                        f"{variable.name}: {attribute}={value:g} cannot be that of a reflectance, which lies between "
                        f"{low:g} and {high:g}; correct the attribute, or scale the band and remove it."
                    )
        return cls(str(variable.name), tuple(m for m in marks if not np.isnan(m)), scale, offset)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        # A mark of a float32 variable is meant as that variable holds it: 1e20 is not float32(1e20).
        with np.errstate(over="ignore"):
            marks = np.array(self.marks, values.dtype if values.dtype.kind == "f" else "float64")
        missing = np.isin(values, marks)
        out = values.astype("float64")
        if self.name in BANDS and self.scale < 0.1:
            largest = np.abs(out[~missing & np.isfinite(out)]).max(initial=0)
            if 0 < largest <= SCALED and not _whole(out[~missing]):
                raise InputError(
                    f"{self.name} says scale_factor={self.scale:g}, but its numbers, up to {largest:.3g}, are "
                    "reflectances already; remove the attribute."
                )
        out = out * self.scale + self.offset
        out[missing] = np.nan
        return out.astype("float32")


def _whole(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return bool((known == np.round(known)).all())


def _numbers(variable: xr.DataArray, attribute: str, default: Any) -> tuple[float, ...]:
    value = variable.attrs.get(attribute, default)
    try:
        numbers = tuple(float(number) for number in np.atleast_1d(value))
        if attribute not in MARKS and (len(numbers) != 1 or not np.isfinite(numbers[0])):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"{variable.name}: its attribute {attribute}={value!r} is not a number.") from None
    return numbers

"""Broadband albedo from the bands of a scene."""

import numpy as np
import xarray as xr

from ..nn.features import unmeasured
from ..stations import BANDS, CLASSIFY

LIANG = {"blue": 0.356, "red": 0.130, "nir": 0.373, "swir1": 0.085, "swir2": 0.072}
"""Weights of the narrow-to-broadband shortwave albedo, used for every sensor; constant ``LIANG_OFFSET``."""
LIANG_OFFSET = -0.0018


def liang(cube: xr.Dataset) -> xr.DataArray:
    """Shortwave broadband albedo; on top-of-atmosphere reflectance it is an index, not an albedo.

    Parameters
    ----------
    cube : Dataset
        ``blue red nir swir1 swir2`` [1] and, if the sensor can saturate, ``saturated``.

    Returns
    -------
    DataArray
        0..1, NaN where a band is missing or saturated. [1]

    Notes
    -----
    a = .356 blue + .130 red + .373 nir + .085 swir1 + .072 swir2 - .0018

    References
    ----------
    Liang, S. (2001): Narrowband to broadband conversions of land surface albedo I. Remote Sensing of Environment 76.
    """
    planes = [cube[name] for name in (*LIANG, *(["saturated"] if "saturated" in cube else []))]
    albedo = xr.apply_ufunc(_albedo, *planes, dask="parallelized", output_dtypes=["float32"])
    return albedo.assign_attrs(CLASSIFY["albedo"].attributes, level=cube.attrs.get("level", "unknown"))


def _albedo(*planes: np.ndarray) -> np.ndarray:
    """Of the bands of ``LIANG`` and, if it is known, which of the bands are saturated."""
    bands, saturated = np.stack(np.broadcast_arrays(*planes[: len(LIANG)])), planes[len(LIANG) :]
    total = np.zeros_like(bands[0])
    for weight, band in zip(LIANG.values(), bands, strict=True):
        total = total + weight * band
    unknown = unmeasured(bands)
    for flags in saturated:
        unknown = unknown | (flags & np.uint8(sum(1 << BANDS.index(band) for band in LIANG))) != 0
    return np.where(unknown, np.nan, (total + LIANG_OFFSET).clip(0, 1)).astype("float32")

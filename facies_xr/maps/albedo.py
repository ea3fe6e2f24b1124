"""Broadband albedo from the bands of a scene."""

import numpy as np
import xarray as xr

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
    total = (
        sum((weight * cube[band] for band, weight in LIANG.items()), start=xr.zeros_like(cube["blue"])) + LIANG_OFFSET
    )
    if "saturated" in cube:
        bits = sum(1 << BANDS.index(band) for band in LIANG)
        total = total.where((cube["saturated"] & np.uint8(bits)) == 0)
    total = total.clip(0, 1).astype("float32")
    total.attrs = CLASSIFY["albedo"].attributes | {"level": cube.attrs.get("level", "unknown")}
    return total

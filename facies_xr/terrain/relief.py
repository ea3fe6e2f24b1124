"""Slope and hillshade after Horn (1981), by xarray-spatial's slope and aspect.

xarray-spatial's own ``hillshade`` is not used: it ignores the cell size in one release line and mirrors north and
south in the other (docs/decisions.md).
"""

import numpy as np
import xarray as xr

MARGIN = 1
"""Pixels around a window that the gradient needs."""

DEGREE = np.float32(np.pi) / np.float32(180)
"""As ``np.radians`` has it, which takes ten times as long. [radian]"""


def slope_and_aspect(elevation: np.ndarray, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the terrain, and the direction that it faces.

    Parameters
    ----------
    elevation : ndarray (y + 2, x + 2)
        With one pixel of surroundings. [m]
    resolution : float
        Pixel size. [m]

    Returns
    -------
    slope : ndarray (y, x) of float32
        [degree]
    aspect : ndarray (y, x) of float32
        Clockwise from the grid's north; -1 on flat ground. [degree]

    References
    ----------
    Horn, B. K. P. (1981): Hill shading and the reflectance map. Proceedings of the IEEE 69, 14-47.
    """
    from xrspatial import aspect, slope

    raster = xr.DataArray(elevation.astype("float32"), dims=("y", "x"), attrs={"res": (resolution, resolution)})
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return slope(raster).values[inner], aspect(raster).values[inner]


def incidence(slope: np.ndarray, aspect: np.ndarray, sun_azimuth: float, sun_elevation: float) -> np.ndarray:
    """Cosine of the angle at which sunlight falls on the terrain; negative where it turns away.

    Parameters
    ----------
    slope, aspect : ndarray (y, x)
        As :func:`slope_and_aspect` gives them. [degree]
    sun_azimuth : float
        Clockwise from the grid's north. [degree]
    sun_elevation : float
        [degree]

    Notes
    -----
    cos i = cos z cos s + sin z sin s cos(a - aspect), z the sun's zenith angle, a its azimuth, s the slope.
    """
    tilt, zenith = slope * DEGREE, np.radians(90.0 - sun_elevation)
    facing = (sun_azimuth - np.maximum(aspect, 0)) * DEGREE
    return np.cos(zenith) * np.cos(tilt) + np.sin(zenith) * np.sin(tilt) * np.cos(facing)

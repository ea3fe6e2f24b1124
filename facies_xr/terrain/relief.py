"""Slope, aspect and hillshade after Horn (1981).

Slope and aspect are those of xarray-spatial to the last bit, five times as fast. An angle is a polynomial that the
compiler makes vector code of, and that errs by less than ``SURE``. Where so much could change the float32 that it is
rounded to, and on flat ground and voids, it is computed anew with the functions of C: one pixel in some ten thousands.
"""

import math

import numba
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

MARGIN = 1
"""Pixels around a window that the gradient needs."""

DEGREE = np.float32(np.pi) / np.float32(180)
"""As ``np.radians`` has it, which takes ten times as long. [radian]"""

SURE = 1e-11
"""More than the relative error of an angle."""

DEGREES_OF_SLOPE = 57.29578
"""Degrees in a radian as xarray-spatial has them for the slope."""

NARROW = math.tan(math.pi / 8)
"""Of the tangents that the polynomial is for: others are brought there by a turn of 45 or 90 degrees."""


def _arctan_by_tangent(square: np.ndarray) -> np.ndarray:
    tangent = np.sqrt(square)
    return np.arctan(tangent) / tangent


_C = tuple(
    Chebyshev.interpolate(_arctan_by_tangent, 8, domain=[0, NARROW**2]).convert(kind=Polynomial).coef.tolist()
)  # the relative error is below 1e-12


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
    z = np.ascontiguousarray(elevation, "float32")
    slope, aspect = np.empty((2, z.shape[0] - 2 * MARGIN, z.shape[1] - 2 * MARGIN), "float32")
    _fill(z, float(resolution), slope, aspect)
    return slope, aspect


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fill(z, size, slope, aspect):
    height, width = slope.shape
    sure = np.empty(width, np.bool_)
    for r in range(height):
        north, own, south = z[r], z[r + 1], z[r + 2]
        for c in range(width):
            dx, dy = _gradient(north, own, south, c)
            steep = angle(math.sqrt(dx * dx + dy * dy) / (8 * size), 1.0) * DEGREES_OF_SLOPE
            turned = math.degrees(angle(dy, dx))
            facing = _clockwise_from_north(math.copysign(turned if dx < 0 else 180.0 - turned, dy))
            slope[r, c], aspect[r, c] = steep, facing
            sure[c] = (np.float32(steep * (1 - SURE)) == np.float32(steep * (1 + SURE))) & (
                np.float32(facing - 360 * SURE) == np.float32(facing + 360 * SURE)
            )
        for c in range(width):
            if not sure[c]:
                dx, dy = _gradient(north, own, south, c)
                slope[r, c] = _exact_slope(dx / (8 * size), dy / (8 * size))
                aspect[r, c] = _exact_aspect(dx / 8, dy / 8)


@numba.njit(inline="always", error_model="numpy")
def _gradient(north, own, south, c):
    """Eight times the rise of the terrain per pixel, to the east and to the south."""
    east = np.float64(south[c + 2]) + 2.0 * own[c + 2] + north[c + 2]
    west = np.float64(south[c]) + 2.0 * own[c] + north[c]
    below = np.float64(south[c]) + 2.0 * south[c + 1] + south[c + 2]
    above = np.float64(north[c]) + 2.0 * north[c + 1] + north[c + 2]
    return east - west, below - above


@numba.njit(inline="always", error_model="numpy")
def angle(y, x):
    """Arcus tangent of abs(y / x); NaN where it has none. [radian]"""
    steep = abs(y) > abs(x)
    low, high = (abs(x), abs(y)) if steep else (abs(y), abs(x))
    wide = low > NARROW * high
    tangent = (low - high) / (low + high) if wide else low / high
    s = tangent * tangent
    tail = _C[4] + s * (_C[5] + s * (_C[6] + s * (_C[7] + s * _C[8])))
    angle = tangent * (_C[0] + s * (_C[1] + s * (_C[2] + s * (_C[3] + s * tail))))
    angle = angle + math.pi / 4 if wide else angle
    return math.pi / 2 - angle if steep else angle


@numba.njit(inline="always", error_model="numpy")
def _clockwise_from_north(angle):
    """Of an angle counted from the east against the clock. [degree]"""
    return 360.0 - angle + 90.0 if angle > 90.0 else 90.0 - angle


@numba.njit(error_model="numpy")
def _exact_slope(dx, dy):
    return np.arctan(math.sqrt(dx * dx + dy * dy)) * DEGREES_OF_SLOPE


@numba.njit(error_model="numpy")
def _exact_aspect(dx, dy):
    if dx == 0 and dy == 0:
        return -1.0
    return _clockwise_from_north(np.arctan2(dy, -dx) * (180 / np.pi))


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

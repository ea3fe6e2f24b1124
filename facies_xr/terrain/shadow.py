"""Cast shadow by sweeping fixed lines away from the sun.

The sweep walks over the terrain row by row (or column by column, whichever the sun is closer to), away from the sun.
Parallel lines, fixed to the absolute grid, carry the height of the shadow's edge: at each step it sinks by the sun's
slope, and the terrain lifts it where it stands higher. A pixel lies in shadow if it is below the edge interpolated
between the two lines that bracket it. Two families of lines, half a pixel apart, keep the bracket narrow, and a line
that passes a column between two rows also sees the terrain there.

Because a line carries a maximum of sources, each sunk by the same operations wherever the sweep began, a window with
enough margin gives the same pixels, bit for bit, as any other.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np

NO_EDGE = np.float32(-1e30)
"""Height of the shadow's edge where nothing stands sunward (not -inf, which could meet itself)."""


@dataclass(frozen=True)
class Sweep:
    """How a sun's light crosses a grid."""

    transposed: bool
    """Walk over columns, not rows."""
    step: int
    """+1 walks with growing row (column) numbers, -1 against them."""
    drift: float
    """Columns per row that the light moves as row numbers grow. [px]"""
    drop: float
    """Fall of the light per row walked. [m]"""

    @classmethod
    def of(cls, sun_azimuth: float, sun_elevation: float, resolution: float) -> "Sweep":
        """Sweep for a sun; the azimuth is clockwise from the grid's north. [degree, degree, m]"""
        azimuth = math.radians(sun_azimuth)
        rows, columns = math.cos(azimuth) / resolution, -math.sin(azimuth) / resolution  # per metre, away from the sun
        transposed = abs(rows) < abs(columns)
        if transposed:
            rows, columns = columns, rows
        drift = columns / rows
        return cls(
            transposed,
            1 if rows > 0 else -1,
            0.0 if abs(drift) < 1e-9 else drift,
            math.tan(math.radians(sun_elevation)) / abs(rows),
        )

    def margin(self, lowest: float, highest: float) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels that a window needs before and after it, along rows and along columns.

        Parameters
        ----------
        lowest, highest : float
            Any lower bound of the terrain in the window and upper bound of the terrain sunward of it. [m]
        """
        ulp = float(np.spacing(np.float32(max(abs(highest), abs(lowest), 1.0))))
        walked = math.ceil(max(highest - lowest, 0) / (self.drop - ulp)) + 3 if self.drop > ulp else 1 << 30
        aside = math.ceil(abs(self.drift) * walked) + 3
        along = (walked, 3) if self.step > 0 else (3, walked)
        # Light that moves to higher columns as it walks comes from lower ones.
        across = (aside, 3) if self.drift * self.step > 0 else (3, aside)
        return (across, along) if self.transposed else (along, across)


def cast_shadow(elevation: np.ndarray, sweep: Sweep, corner: tuple[int, int]) -> np.ndarray:
    """Where the terrain lies in the shadow of other terrain.

    Parameters
    ----------
    elevation : ndarray (y, x) of float32
        NaN blocks no light and lies in no shadow. [m]
    sweep : Sweep
        Of the sun.
    corner : (int, int)
        Absolute row and column of the first pixel.

    Returns
    -------
    ndarray (y, x) of bool
        Self-shading (cos i <= 0) is not included.
    """
    z = np.asarray(elevation, "float32")
    first_row, first_column = corner
    if sweep.transposed:
        z, first_row, first_column = z.T, first_column, first_row
    z = np.ascontiguousarray(z[:: sweep.step])
    start = first_row if sweep.step > 0 else -(first_row + z.shape[0] - 1)
    shaded = np.zeros(z.shape, np.bool_)
    _sweep(z, start, first_column, sweep.drift * sweep.step, np.float32(sweep.drop), shaded)
    shaded = shaded[:: sweep.step]
    return np.ascontiguousarray(shaded.T if sweep.transposed else shaded)


@numba.njit(nogil=True, cache=True)
def _sweep(z, start, first_column, s, h, shaded):
    """Walk over rows of z, of absolute numbers R = start + r.

    Line k of family g lies at the absolute column k + s R + g/2: n whole columns and a fraction f on from k, so that
    at each row the line between columns c and c + 1 stands in slot c + (first_column - n - lowest).
    """
    height, width = z.shape
    shifts = (math.floor(s * start), math.floor(s * (start + height)))
    lowest = first_column - max(shifts) - 3
    edge = np.full((2, width + max(shifts) - min(shifts) + 6), NO_EDGE)
    for r in range(1, height):
        _shade(z, r, edge, first_column - lowest, s, h, start + r, shaded)
        for g in range(2):
            _rise(z, r - 1, edge[g], first_column - lowest, s, h, start + r - 1, 0.5 * g)


@numba.njit(nogil=True, cache=True)
def _shade(z, r, edge, base, s, h, R, shaded):
    """Shade row r by row r - 1, where the light crosses it, and by the edge as it stood at row r - 2."""
    width = z.shape[1]
    n0, n1 = math.floor(s * R), math.floor(s * R + 0.5)
    f0, f1 = s * R - n0, s * R + 0.5 - n1
    if f0 < f1:
        right, left, a = edge[0, base - n0 :], edge[1, base - n1 - 1 :], f0
    else:
        right, left, a = edge[1, base - n1 :], edge[0, base - n0 - 1 :], f1
    # The nearest lines lie a to the right of each pixel and 1/2 - a to its left.
    to_left, to_right = np.float32(2.0 * a), np.float32(1.0 - 2.0 * a)
    before, own, out, two = z[r - 1], z[r], shaded[r], np.float32(2.0) * h
    aside, ahead = np.float32(abs(s)), np.float32(1.0 - abs(s))
    side = -1 if s > 0 else 1 if s < 0 else 0
    for c in range(width):
        far = left[c] * to_left + right[c] * to_right - two
        out[c] = own[c] < far
    for c in range(max(0, -side), min(width, width - side)):
        near = before[c + side] * aside + before[c] * ahead - h
        out[c] |= own[c] < near


@numba.njit(nogil=True, cache=True)
def _rise(z, r, edge, base, s, h, R, half):
    """Let the edge sink by one step and take in row r, and what its lines pass between rows r - 1 and r."""
    width = z.shape[1]
    shift = s * R + half
    n = math.floor(shift)
    f = np.float32(shift - n)
    lines, row = edge[base - n - 1 :], z[r]  # lines[c + 1] lies between columns c and c + 1
    for c in range(width + 1):
        lines[c] -= h
    for c in range(width - 1):
        here = row[c] + f * (row[c + 1] - row[c])
        lines[c + 1] = here if here > lines[c + 1] else lines[c + 1]
    if f == 0 and row[width - 1] > lines[width]:
        lines[width] = row[width - 1]
    before = s * (R - 1) + half
    m = math.floor(before)
    if r == 0 or m == n:
        return
    if s > 0 and shift > n:
        column, u = n, (n - before) / s
    elif s < 0 and before > m:
        column, u = m, (m - before) / s
    else:
        return  # the lines pass the column on a row, which has been taken in
    later, earlier = np.float32(u), np.float32(1.0 - u)
    fall = np.float32(1.0 - u) * h
    lines, last = edge[base - column :], z[r - 1]
    for c in range(width):
        here = last[c] * earlier + row[c] * later - fall
        lines[c] = here if here > lines[c] else lines[c]

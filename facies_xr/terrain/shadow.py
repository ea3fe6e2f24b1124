"""Cast shadow by sweeping fixed lines away from the sun.

The sweep walks over the terrain row by row (or column by column, whichever the sun is closer to), away from the sun.
Parallel lines, fixed to the absolute grid, carry the height of the shadow's edge: at each step it sinks by the sun's
slope, and the terrain lifts it where it stands higher. A pixel lies in shadow if it is below the edge interpolated
between the two lines that bracket it. Two families of lines, half a pixel apart, keep the bracket narrow, and a line
that passes a column between two rows also sees the terrain there.

Because a line carries a maximum of sources, each sunk by the same operations wherever the sweep began, a window with
enough margin gives the same pixels, bit for bit, as any other. And because the edge and two rows are all that a sweep
knows of what it has passed, terrain can be shaded in bands, each handing them to the next (:class:`Front`).

The compiled loops, and a drawing of the lines, are in :mod:`.walk`.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np

from .walk import walk_columns, walk_rows

EARTH_RADIUS = 6_371_000.0 / (1 - 0.13)
"""Of the sphere on which light runs straight, with mean refraction. [m]"""

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

    families: int = 2
    """Families of lines: 2, half a pixel apart and with crossings, or 1, cheaper and less exact."""

    @classmethod
    def of(cls, sun_azimuth: float, sun_elevation: float, resolution: float, families: int = 2) -> "Sweep":
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
            families,
        )

    def margin(
        self, lowest: float, highest: float, drop: float | None = None
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels that a window needs before and after it, along rows and along columns.

        Parameters
        ----------
        lowest, highest : float
            Any lower bound of the terrain in the window and upper bound of the terrain sunward of it. [m]
        drop : float, optional
            Least fall of the light per row walked, where it is not the same everywhere. [m]
        """
        drop = self.drop if drop is None else drop
        ulp = float(np.spacing(np.float32(max(abs(highest), abs(lowest), 1.0))))
        walked = math.ceil(max(highest - lowest, 0) / (drop - ulp)) + 3 if drop > ulp else 1 << 30
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
    return Front.before(sweep, elevation.shape, corner).shade(elevation)[0]


@dataclass(frozen=True, eq=False)
class Front:
    """What a sweep carries from one band of the terrain to the next: the shadow's edge, and the last two rows.

    Bands are cut across the walk, rows of the grid (columns of a transposed sweep), and shaded in the order in which
    the light passes them. Cut in any way, they give the same pixels as the terrain in one piece.
    """

    sweep: Sweep
    edges: np.ndarray
    """Height of the shadow's edge on each line. (family, line) float32 [m]"""
    base: int
    """Line k lies at the absolute column k + s R: at every row R, the line between columns c and c + 1 of the window
    stands in slot base + c - n, n the whole columns of its shift."""
    next_row: int
    """R of the next row; R counts rows in the order of the walk."""
    passed: np.ndarray
    """The last two rows, or columns, as they lie on the grid; fewer at the beginning. [m]"""

    @classmethod
    def before(cls, sweep: Sweep, shape: tuple[int, ...], corner: tuple[int, int]) -> "Front":
        """Front before terrain of a shape, whose first pixel has an absolute row and column."""
        length, width = shape[::-1] if sweep.transposed else shape
        first = corner[1 if sweep.transposed else 0]
        start = first if sweep.step > 0 else -(first + length - 1)
        shifts = sorted(math.floor(sweep.drift * sweep.step * R) for R in (start, start + length))
        edges = np.full((sweep.families, width + shifts[1] - shifts[0] + 6), NO_EDGE)
        none = np.empty((width, 0) if sweep.transposed else (0, width), "float32")
        return cls(sweep, edges, shifts[1] + 3, start, none)

    def shade(self, band: np.ndarray) -> tuple[np.ndarray, "Front"]:
        """Shadow in the next band (y, x), and the front behind it."""
        sweep, axis = self.sweep, 1 if self.sweep.transposed else 0
        count, known = band.shape[axis], self.passed.shape[axis]
        parts = [self.passed, band] if sweep.step > 0 else [band, self.passed]
        z = np.ascontiguousarray(np.concatenate(parts, axis) if known else band, "float32")
        shaded, edges = np.zeros(z.shape, np.bool_), self.edges.copy()
        walk = walk_columns if sweep.transposed else walk_rows
        s, h = sweep.drift * sweep.step, np.float32(sweep.drop)
        walk(
            z=z,
            known=known,
            step=sweep.step,
            start=self.next_row - known,
            base=self.base,
            s=s,
            h=h,
            edges=edges,
            shaded=shaded,
        )
        ahead = slice(-2, None) if sweep.step > 0 else slice(None, 2)
        own = slice(known, None) if sweep.step > 0 else slice(None, count)
        last, inner = ((slice(None), ahead), (slice(None), own)) if axis else (ahead, own)
        return shaded[inner], Front(sweep, edges, self.base, self.next_row + count, z[last].copy())


def flattened(elevation: np.ndarray, by_row: np.ndarray, by_column: np.ndarray) -> np.ndarray:
    """Elevation over the plane that touches the Earth where the sun's elevation holds. [m]

    There the light runs straight and parallel, so that a sweep needs no other rule: terrain a distance t along the
    light stands t^2 / 2R lower, R the Earth's radius with refraction.

    Parameters
    ----------
    elevation : ndarray (y, x) of float32
        [m]
    by_row, by_column : ndarray (y), (x)
        Their sum is the distance from that place, along the light. [m]
    """
    return _flattened(elevation, by_row, by_column, 2 * EARTH_RADIUS)


@numba.njit(nogil=True, cache=True)
def _flattened(z, by_row, by_column, diameter):
    out = np.empty(z.shape, np.float32)
    for r in range(z.shape[0]):
        for c in range(z.shape[1]):
            away = by_row[r] + by_column[c]
            out[r, c] = z[r, c] - away * away / diameter
    return out

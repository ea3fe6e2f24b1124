"""Glaciers as wholes: their boundaries, bounds of elevation and largest distance, in passes over absolute tiles.

Nothing here loops over the raster for a glacier: a pass burns each tile that holds ice once, whatever the number of
glaciers on it.
"""

import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numba
import numpy as np

from ..errors import InputError, one_of
from .dem import HIGHEST, LOWEST, Dem, hash_of
from .proximity import TILE, Boundary, Glaciers, distances, rim

STEEPEST = 45.0
"""Median slope of glaciers above which heights are not taken for metres. [degree]"""


@dataclass(frozen=True, eq=False)
class Survey:
    """Bounds of each glacier, over all its pixels on the grid's extension; NaN where it has none."""

    boundaries: Mapping[int, Boundary]
    """By the glacier's number."""
    lowest: np.ndarray
    """[m]"""
    highest: np.ndarray
    """[m]"""
    farthest: np.ndarray
    """[m]"""
    void: float
    """Share of the glaciers' pixels that have no elevation."""
    heights: Mapping[tuple[int, int], bytes]
    """Hashes of the elevation on each tile that holds ice."""


def survey(glaciers: Glaciers, dem: Dem, boundary: str, *, check: bool = True) -> Survey:
    """Survey of all glaciers.

    Parameters
    ----------
    glaciers : Glaciers
    dem : Dem
    boundary : {"glacier", "complex"}
        What distances are measured from.
    check : bool
        Refuse heights that cannot be metres; a few glaciers, which may all be steep, are no ground for that.

    Raises
    ------
    InputError
        If the heights cannot be metres, or the boundary is not known.
    """
    one_of("boundary", boundary, ("glacier", "complex"))
    united = boundary == "complex"
    tiles = glaciers.tiles()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = zip(tiles, pool.map(partial(_look, dem, glaciers, united), tiles), strict=True)
        seen = {at: tile for at, tile in looks if tile is not None}
        rims = [np.empty((0, 3), "int64"), *(tile.rim for tile in seen.values())]
        boundaries = Boundary.by_number(np.concatenate(rims))
        if united:
            boundaries = dict.fromkeys(boundaries, Boundary.united(list(boundaries.values())))
        far = list(pool.map(partial(_far, glaciers, boundaries), seen))
    lowest, highest, farthest = (np.full(glaciers.number.max() + 1, np.nan, "float32") for _ in range(3))
    for number, distance in chain.from_iterable(far):
        farthest[number] = np.fmax(farthest[number], distance * glaciers.box.affine.a)
    for tile in seen.values():
        lowest[tile.numbers] = np.fmin(lowest[tile.numbers], tile.lowest)
        highest[tile.numbers] = np.fmax(highest[tile.numbers], tile.highest)
    if check:
        _require_metres(dem.name, lowest, highest, sum(tile.slopes for tile in seen.values()))
    void = sum(tile.void for tile in seen.values()) / max(sum(tile.pixels for tile in seen.values()), 1)
    lowest, highest, farthest = (v[glaciers.number] for v in (lowest, highest, farthest))
    heights = {at: tile.heights for at, tile in seen.items()}
    return Survey(boundaries, lowest, highest, farthest, void, heights)


@dataclass(frozen=True, eq=False)
class _Tile:
    """What one tile shows of its glaciers."""

    numbers: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    slopes: np.ndarray
    """Pixels by slope. [degree]"""
    rim: np.ndarray
    """(pixel, (number, row, column))"""
    pixels: int
    void: int
    """Pixels without elevation."""
    heights: bytes
    """Hash of the elevation."""


def _look(dem: Dem, glaciers: Glaciers, united: bool, at: tuple[int, int]) -> _Tile | None:
    """None where a tile has no ice."""
    if not glaciers.tile(*at).any():
        return None
    rows, columns = (slice(k * TILE - 1, (k + 1) * TILE + 1) for k in at)
    index, z = glaciers.index(rows, columns), dem.read(rows, columns)
    numbers, lowest, highest, slopes, pixels, void = _bounds(index, z, dem.box.affine.a)
    edge = rim(index, (at[0] * TILE, at[1] * TILE), united=united)
    return _Tile(numbers, lowest, highest, slopes, edge, pixels, void, hash_of(z[1:-1, 1:-1]))


@numba.njit(nogil=True, cache=True)
def _bounds(index, z, resolution):
    """What a tile has of its glaciers, but the rim and the hash; both arrays with one pixel of surroundings."""
    size = index.max() + 1
    lowest, highest = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    seen, slopes = np.zeros(size, np.int64), np.zeros(91, np.int64)
    pixels, void = 0, 0
    for r in range(1, index.shape[0] - 1):
        for c in range(1, index.shape[1] - 1):
            k, height = index[r, c], z[r, c]
            if k == 0:
                continue
            pixels += 1
            seen[k] += 1
            if math.isnan(height):
                void += 1
            elif not (height >= lowest[k] and height <= highest[k]):  # NaN at first
                lowest[k] = height if not height >= lowest[k] else lowest[k]
                highest[k] = height if not height <= highest[k] else highest[k]
            tilt = math.hypot(z[r + 1, c] - z[r - 1, c], z[r, c + 1] - z[r, c - 1]) / (2 * resolution)
            if math.isfinite(tilt):
                slopes[int(math.degrees(math.atan(tilt)))] += 1
    numbers = np.flatnonzero(seen)
    return numbers, lowest[numbers], highest[numbers], slopes, pixels, void


def _require_metres(name: str, lowest: np.ndarray, highest: np.ndarray, slopes: np.ndarray) -> None:
    """Refuse heights that no glacier has: feet, centimetres, or something else."""
    if np.isnan(highest).all():
        return
    top, bottom = float(np.nanmax(highest)), float(np.nanmin(lowest))
    if bottom <= LOWEST:
        raise InputError(
            f"DEM {name}: glaciers reach down to {bottom:.0f} m, and no land lies below {LOWEST:.0f} m; if that is a "
            "mark of voids, declare it as nodata."
        )
    steep = int(np.searchsorted(slopes.cumsum(), slopes.sum() / 2))
    if top > HIGHEST or steep > STEEPEST:
        raise InputError(
            f"DEM {name}: glaciers rise to {top:.0f} and have a median slope of {steep:.0f} degrees, which cannot be "
            f"in metres (at most {HIGHEST:.0f} m and {STEEPEST:.0f} degrees); are the heights in feet or centimetres?"
        )


def _far(glaciers: Glaciers, boundaries: Mapping[int, Boundary], at: tuple[int, int]) -> list[tuple[int, float]]:
    """Largest distance of each glacier's pixels on a tile, by number. [px]"""
    found = distances(boundaries, glaciers.tile(*at), (at[0] * TILE, at[1] * TILE))
    return [(number, distance.max()) for number, _, _, distance in found]

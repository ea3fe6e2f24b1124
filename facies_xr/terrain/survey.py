"""Glaciers as wholes: their boundaries, bounds of elevation and largest distance, in passes over absolute tiles.

Nothing here loops over the raster for a glacier: a pass burns each tile that holds ice once, whatever the number of
glaciers on it.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

import numpy as np

from .. import grids
from ..errors import InputError, one_of
from .dem import HIGHEST, LOWEST, Dem, hash_of
from .proximity import TILE, Boundary, Glaciers, distances, rim

STEEPEST = 45.0
"""Median slope of glaciers above which heights are not taken for metres. [degree]"""

KEPT = 128
"""Tiles of ``glacier_index`` that are kept during a pass, of 1 MiB each."""


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
    burnt = lru_cache(maxsize=KEPT)(glaciers.tile)
    tiles = glaciers.tiles()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(pool.map(partial(_look, dem, burnt, united), tiles))
        boundaries = Boundary.by_number(np.concatenate([tile.rim for tile in seen]))
        if united:
            boundaries = dict.fromkeys(boundaries, Boundary.united(list(boundaries.values())))
        far = list(pool.map(partial(_far, burnt, boundaries), tiles))
    lowest, highest, farthest = (np.full(glaciers.number.max() + 1, np.nan, "float32") for _ in range(3))
    for number, distance in chain.from_iterable(far):
        farthest[number] = np.fmax(farthest[number], distance * glaciers.box.affine.a)
    for tile in seen:
        lowest[tile.numbers] = np.fmin(lowest[tile.numbers], tile.lowest)
        highest[tile.numbers] = np.fmax(highest[tile.numbers], tile.highest)
    if check:
        _require_metres(dem.name, lowest, highest, np.sum([tile.slopes for tile in seen], 0))
    void = sum(tile.void for tile in seen) / max(sum(tile.pixels for tile in seen), 1)
    lowest, highest, farthest = (v[glaciers.number] for v in (lowest, highest, farthest))
    heights = {at: tile.heights for at, tile in zip(tiles, seen, strict=True) if tile.pixels}
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


def _look(dem: Dem, burnt: Callable[[int, int], np.ndarray], united: bool, at: tuple[int, int]) -> _Tile:
    rows, columns = (slice(k * TILE, (k + 1) * TILE) for k in at)
    around = slice(rows.start - 1, rows.stop + 1), slice(columns.start - 1, columns.stop + 1)
    inside = burnt(*at)
    r, c = np.nonzero(inside)
    if r.size == 0:
        nothing = np.empty((0, 3), "int64")
        return _Tile(
            numbers=np.empty(0, int),
            lowest=np.empty(0),
            highest=np.empty(0),
            slopes=np.zeros(91, "int64"),
            rim=nothing,
            pixels=0,
            void=0,
            heights=b"",
        )
    index = grids.from_tiles(burnt, TILE, *around, np.empty((TILE + 2, TILE + 2), "int32"))
    z = dem.read(*around)
    numbers, which = np.unique(inside[r, c], return_inverse=True)
    lowest, highest = (np.full(numbers.size, np.nan, "float32") for _ in range(2))
    np.fmin.at(lowest, which, z[r + 1, c + 1])
    np.fmax.at(highest, which, z[r + 1, c + 1])
    tilt = np.hypot(z[r + 2, c + 1] - z[r, c + 1], z[r + 1, c + 2] - z[r + 1, c]) / (2 * dem.box.affine.a)
    slopes = np.bincount(np.degrees(np.arctan(tilt[np.isfinite(tilt)])).astype(int), minlength=91)
    corner = rows.start, columns.start
    return _Tile(
        numbers=numbers,
        lowest=lowest,
        highest=highest,
        slopes=slopes,
        rim=rim(index, corner, united=united),
        pixels=r.size,
        void=int(np.isnan(z[r + 1, c + 1]).sum()),
        heights=hash_of(z[1:-1, 1:-1]),
    )


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


def _far(
    burnt: Callable[[int, int], np.ndarray], boundaries: Mapping[int, Boundary], at: tuple[int, int]
) -> list[tuple[int, float]]:
    """Largest distance of each glacier's pixels on a tile, by number. [px]"""
    found = distances(boundaries, burnt(*at), (at[0] * TILE, at[1] * TILE))
    return [(number, distance.max()) for number, _, _, distance in found]

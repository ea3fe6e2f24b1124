"""Glaciers as wholes: their boundaries, bounds of elevation and largest distance, in passes over absolute tiles.

Nothing here loops over the raster for a glacier: a pass burns each tile that holds ice once, whatever the number of
glaciers on it.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from .. import grids
from ..errors import InputError, one_of
from .dem import HIGHEST, LOWEST, Dem, hash_of
from .proximity import TILE, Boundary, Glaciers, apart, rim

STEEPEST = 45.0
"""Median slope of glaciers above which heights are not taken for metres. [degree]"""

CELL = 8
"""Edge of the cells in which the largest distance is looked for. [px]"""

SHORT = 4000
"""Pixels of a boundary up to which it is searched together with others, so that none costs a search tree of its own."""

TOGETHER = 200_000
"""Pixels of boundaries in one such tree."""

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
    lowest, highest = (np.full(glaciers.number.max() + 1, np.nan, "float32") for _ in range(2))
    for tile in seen:
        lowest[tile.numbers] = np.fmin(lowest[tile.numbers], tile.lowest)
        highest[tile.numbers] = np.fmax(highest[tile.numbers], tile.highest)
    if check:
        _require_metres(dem.name, lowest, highest, np.sum([tile.slopes for tile in seen], 0))
    boundaries = Boundary.by_number(np.concatenate([tile.rim for tile in seen]))
    if united:
        boundaries = dict.fromkeys(boundaries, Boundary.united(list(boundaries.values())))
    cells = np.concatenate([tile.cells for tile in seen])
    farthest = _farthest(glaciers, burnt, boundaries, cells) * glaciers.box.affine.a
    void = sum(tile.void for tile in seen) / max(sum(tile.pixels for tile in seen), 1)
    lowest, highest, farthest = (v[glaciers.number].astype("float32") for v in (lowest, highest, farthest))
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
    cells: np.ndarray
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
            cells=nothing,
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
        cells=_cells(inside, r, c, corner),
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


# -- the largest distance ---------------------------------------------------------------------------------------
#
# The distance changes by at most 1 from a pixel to the next. So one pixel of every cell is measured; then only those
# cells are halved, again and again, which could hold a larger distance than any of these pixels has.


def _cells(inside: np.ndarray, r: np.ndarray, c: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """One pixel of each glacier in each cell, of those of a tile. (pixel, (number, row, column))"""
    found = np.column_stack([inside[r, c], r + corner[0], c + corner[1]]).astype("int64")
    keys = (found[:, 0] * (TILE // CELL) + r // CELL) * (TILE // CELL) + c // CELL
    return found[np.unique(keys, return_index=True)[1]]


def _farthest(glaciers: Glaciers, burnt, boundaries: Mapping[int, Boundary], cells: np.ndarray) -> np.ndarray:
    """Largest distance of any pixel of each glacier, by number. [px]"""
    out = np.full(glaciers.number.max() + 1, np.nan)

    def hopeful(cells: np.ndarray, size: int) -> np.ndarray:
        """Measure one pixel of each cell; the cells that may hold a larger distance than has been measured."""
        distance = distances(boundaries, cells)
        np.fmax.at(out, cells[:, 0], distance)
        return cells[distance + math.hypot(size - 1, size - 1) > out[cells[:, 0]]]

    for tile, part in _by_tile(hopeful(cells, CELL)):
        inside, size = burnt(*tile), CELL
        while size > 1 and len(part):
            size //= 2
            part = hopeful(_halved(part, inside, tile, size), size)
    return out


def _by_tile(cells: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Cells (number, row, column) of each tile."""
    tiles = cells[:, 1:] // TILE
    order = np.lexsort(tiles.T[::-1])
    cuts = np.flatnonzero((np.diff(tiles[order], axis=0) != 0).any(1)) + 1
    for part in np.split(order, cuts):
        if part.size:
            yield (int(tiles[part[0], 0]), int(tiles[part[0], 1])), cells[part]


def _halved(cells: np.ndarray, inside: np.ndarray, tile: tuple[int, int], size: int) -> np.ndarray:
    """One pixel of the glacier in each quarter, of ``size`` pixels, of the cells that it reaches into."""
    corner = cells[:, 1:] // (2 * size) * (2 * size) - np.multiply(tile, TILE)
    steps = np.arange(2 * size)
    r, c = (corner[:, k, None] + steps for k in (0, 1))
    own = inside[r[:, :, None], c[:, None, :]] == cells[:, 0, None, None]
    quarters = own.reshape(-1, 2, size, 2, size).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, size * size)
    which, y, x = np.nonzero(quarters.any(-1))
    first = quarters[which, y, x].argmax(-1)
    row = corner[which, 0] + y * size + first // size + tile[0] * TILE
    column = corner[which, 1] + x * size + first % size + tile[1] * TILE
    return np.column_stack([cells[which, 0], row, column])


def distances(boundaries: Mapping[int, Boundary], pixels: np.ndarray) -> np.ndarray:
    """Distance of pixels (number, row, column) from the boundary of their glacier. [px]"""
    out = np.empty(len(pixels))
    order = np.argsort(pixels[:, 0], kind="stable")
    numbers, first = np.unique(pixels[order, 0], return_index=True)
    parts = np.split(order, first[1:])[: numbers.size]
    together: list[int] = []
    points = 0
    for k, number in enumerate(numbers.tolist()):
        size = boundaries[number].rows.size
        if size > SHORT:
            _, rows, columns = pixels[parts[k]].T
            out[parts[k]] = boundaries[number].distance(rows, columns)
            continue
        together.append(k)
        points += size
        if points > TOGETHER:
            _measure(boundaries, numbers, parts, together, pixels, out)
            together, points = [], 0
    if together:
        _measure(boundaries, numbers, parts, together, pixels, out)
    return out


def _measure(boundaries, numbers, parts, which: list[int], pixels: np.ndarray, out: np.ndarray) -> None:
    mine = np.concatenate([parts[k] for k in which])
    out[mine] = apart({number: boundaries[number] for number in numbers[which].tolist()}, pixels[mine])

"""Digital elevation models: a file, tiles, a DataArray or a catalogue, seen on a grid and beyond its edges."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import access, grids, rasters, stac
from ..errors import GridError, InputError
from . import heights, relief
from .heights import shown_name

COARSENING = 16
"""Pixels of the grid in a pixel of the coarse grid on which bounds are taken."""

KEPT = 128
"""Tiles of elevation that a process keeps, of 1 MiB each."""

LOWEST, HIGHEST = -430.0, 8849.0
"""No terrain stands below the shore of the Dead Sea, none above Mount Everest. [m]"""

MARGIN = 50_000.0
"""Tiles of a catalogue are taken up to this distance from the grid, for the shadows that fall onto it. [m]"""


@dataclass(frozen=True)
class Dem:
    """An elevation model on a grid."""

    raster: rasters.Raster | rasters.ArrayRaster | rasters.Tiles
    box: GeoBox
    name: str

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Made once: that of a grid takes its CRS as text, and every tile that is kept is looked up by it."""
        return hash((self.raster, self.box, self.name))

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "_hash"}  # other processes hash otherwise

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Elevation of a window, which may lie outside the grid. [m]

        Returns
        -------
        ndarray (y, x) of float32
            NaN where the model has no data.
        """
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start), "float32")
        return grids.from_tiles(partial(_tile, self), rasters.TILE, rows, columns, out)

    def slope_and_aspect(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Slope and aspect of a window, as :func:`relief.slope_and_aspect` gives them; not to be written into."""
        return _relief(self, rows.start, rows.stop, columns.start, columns.stop)

    def slope(self, rows: slice, columns: slice) -> np.ndarray:
        """Slope of a window. [degree]"""
        return self.slope_and_aspect(rows, columns)[0]

    def bounds(self, reach: float) -> "Bounds":
        """Bounds of the terrain on the grid and within a distance of it. [m]"""
        coarse = self.box.zoom_out(COARSENING)
        pad = int(np.ceil(reach / coarse.affine.a)) + 1
        return Bounds(self._extremes("min", coarse, 1), self._extremes("max", coarse, pad), pad)

    def missing(self, y: tuple[int, int], x: tuple[int, int]) -> float:
        """Share of the grid and its margins, in pixels before and after it, where there is no elevation."""
        coarse = self.box.zoom_out(COARSENING)
        rows, columns = (
            slice(-(before // COARSENING), n + after // COARSENING)
            for n, (before, after) in zip(coarse.shape, (y, x), strict=True)
        )
        return float(np.isnan(rasters.read_window(self.raster, coarse, rows, columns)[0]).mean())

    def _extremes(self, kind: str, coarse: GeoBox, pad: int) -> np.ndarray:
        rows, columns = (slice(-pad, n + pad) for n in coarse.shape)
        values = rasters.read_window(replace(self.raster, resampling=kind), coarse, rows, columns)[0]
        if np.isnan(values).all():
            raise GridError(f"DEM {self.name} has no data on the grid; choose one that covers the glaciers.")
        return values


@dataclass(frozen=True, eq=False)
class Bounds:
    """Extremes of the terrain in each pixel of a coarse grid."""

    low: np.ndarray
    """With one pixel of surroundings. (y + 2, x + 2) [m]"""
    high: np.ndarray
    """With ``pad`` pixels of surroundings. (y + 2 pad, x + 2 pad) [m]"""
    pad: int

    @property
    def lowest(self) -> float:
        """Lowest terrain on the grid. [m]"""
        return float(np.nanmin(self.low))

    @property
    def highest(self) -> float:
        """Highest terrain from which shadow can fall onto the grid. [m]"""
        return float(np.nanmax(self.high))

    def digest(self, heights: Mapping[tuple[int, int], bytes]) -> str:
        """Hash of the elevation as the layers of a cube see it, whatever the model's name.

        Parameters
        ----------
        heights : mapping
            Hashes of the elevation on the tiles that hold ice, by row and column. The rest of the grid counts by its
            extremes, from which shadows are reckoned.
        """
        around = self.pad - 1  # how far the sun can reach is not the model's
        inner = self.high[around : self.high.shape[0] - around, around : self.high.shape[1] - around]
        hashed = hashlib.sha256(hash_of(self.low) + hash_of(inner))
        for at in sorted(heights):
            hashed.update(repr(at).encode() + heights[at])
        return hashed.hexdigest()[:16]


def hash_of(elevation: np.ndarray) -> bytes:
    """Hash of heights; any void is as any other, -0 as 0."""
    values = np.ascontiguousarray(elevation + np.float32(0), "float32")
    values[np.isnan(values)] = np.nan
    return hashlib.sha256(values.data).digest()


@lru_cache(maxsize=KEPT)
def _tile(dem: Dem, row: int, column: int) -> np.ndarray:
    """Elevation of an absolute tile; windows overlap and dates share them, so some are kept."""
    rows, columns = (slice(k * rasters.TILE, (k + 1) * rasters.TILE) for k in (row, column))
    return rasters.read_window(dem.raster, dem.box, rows, columns)[0]


@lru_cache(maxsize=KEPT // 4)
def _relief(dem: Dem, top: int, bottom: int, left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Kept for the lights of all dates."""
    m = relief.MARGIN
    z = dem.read(slice(top - m, bottom + m), slice(left - m, right + m))
    return relief.slope_and_aspect(z, dem.box.affine.a)


def open_dem(dem: Any, box: GeoBox) -> Dem:
    """Elevation model on a grid.

    Parameters
    ----------
    dem : path, list of paths, DataArray (y, x), or name of a catalogue
        Heights [m]: a file, a folder or list of tiles of one model, an array, or "earth-search" or
        "planetary-computer" for Copernicus GLO-30.
    box : GeoBox
        Target grid.

    Raises
    ------
    InputError
        If it cannot be opened, holds anything but one band of heights, or a folder holds several products.
    GridError
        If it has no CRS or place.
    """
    if isinstance(dem, xr.DataArray):
        return Dem(heights.of_array(dem), box, str(dem.name or "DataArray"))
    if isinstance(dem, str) and dem in stac.CATALOGS:
        return _tiles(stac.dem_tiles(dem, box.buffered(MARGIN)), box, f"Copernicus GLO-30 of {dem}")
    if isinstance(dem, str | Path):
        dem = heights.in_folder(Path(dem)) if not access.is_remote(str(dem)) and Path(dem).is_dir() else [dem]
    if isinstance(dem, Sequence) and dem and all(isinstance(part, str | Path) for part in dem):
        files, name = [str(part) for part in dem], shown_name(dem[0])
        if len(files) == 1:
            return Dem(heights.of_file(files[0]), box, name)
        return _tiles(files, box, f"{name} and {len(files) - 1} more")
    raise InputError(f"the DEM must be a path, a list of paths, a DataArray or a catalogue's name, not {dem!r}.")


def _tiles(hrefs: Sequence[str], box: GeoBox, name: str) -> Dem:
    return Dem(rasters.Tiles(tuple(heights.of_file(href) for href in hrefs)), box, name)

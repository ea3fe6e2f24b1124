"""Digital elevation models: a file or a DataArray, seen on a grid and beyond its edges."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from .. import grids, rasters
from ..errors import GridError, InputError

COARSENING = 16
"""Pixels of the grid in a pixel of the coarse grid on which bounds are taken."""

HIGHEST = 8849.0
"""No terrain rises above it. [m]"""


@dataclass(frozen=True)
class Dem:
    """An elevation model on a grid."""

    raster: rasters.Raster | rasters.ArrayRaster
    box: GeoBox
    name: str

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Elevation of a window, which may lie outside the grid. [m]

        Returns
        -------
        ndarray (y, x) of float32
            NaN where the model has no data.
        """
        return rasters.read_window(self.raster, self.box, rows, columns)[0]

    def bounds(self, reach: float) -> tuple[float, float]:
        """Lowest terrain on the grid and highest within a distance of it. [m]"""
        coarse = self.box.zoom_out(COARSENING)
        pad = int(np.ceil(reach / coarse.affine.a)) + 1
        return self._extreme("min", coarse, 1), self._extreme("max", coarse, pad)

    def _extreme(self, kind: str, coarse: GeoBox, pad: int) -> float:
        raster = replace(self.raster, resampling=kind)
        rows, columns = (slice(-pad, n + pad) for n in coarse.shape)
        values = rasters.read_window(raster, coarse, rows, columns)[0]
        if np.isnan(values).all():
            raise GridError(f"DEM {self.name} has no data on the grid; choose one that covers the glaciers.")
        return float(np.nanmin(values) if kind == "min" else np.nanmax(values))


def open_dem(dem: Any, box: GeoBox) -> Dem:
    """Elevation model on a grid.

    Parameters
    ----------
    dem : path or DataArray (y, x)
        Heights. [m]
    box : GeoBox
        Target grid.

    Raises
    ------
    InputError
        If it cannot be opened or has more than one band.
    GridError
        If it has no CRS.
    """
    if isinstance(dem, xr.DataArray):
        dem = dem.squeeze(drop=True)
        if dem.ndim != 2:
            raise InputError(f"the DEM has dims {dem.dims}; give one band (y, x).")
        return Dem(rasters.ArrayRaster(dem.values, grids.any_geobox(dem)), box, str(dem.name or "DataArray"))
    if not isinstance(dem, str | Path):
        raise InputError(f"the DEM must be a path or a DataArray, not {type(dem).__name__}.")
    try:
        with rasterio.open(dem) as file:
            if file.crs is None:
                raise GridError(f"DEM {dem} has no CRS; write one into it, for example with gdal_edit.py -a_srs.")
            if file.count != 1:
                raise InputError(f"DEM {dem} has {file.count} bands; give a file with one.")
    except rasterio.errors.RasterioError as error:
        raise InputError(f"DEM {dem} cannot be opened: {error}") from error
    return Dem(rasters.Raster(str(dem)), box, Path(dem).name)

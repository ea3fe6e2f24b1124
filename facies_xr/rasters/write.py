"""Arrays to GeoTIFF, through rioxarray."""

from pathlib import Path
from threading import Lock
from typing import Any

import dask
import rasterio.shutil
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr


def write_cog(array: xr.DataArray, path: Path, **options: Any) -> None:
    """Write an array as a cloud-optimised GeoTIFF, chunk by chunk if it is lazy, on threads of this process.

    Parameters
    ----------
    array : DataArray (y, x)
        With its CRS; ``attrs["nodata"]`` is written as such.
    path : Path
    **options
        Of GDAL's driver COG.
    """
    draft = path.with_suffix(".draft.tif")
    with dask.config.set(scheduler="threads"):  # whatever client there is: the file and its lock are of this process
        array.rio.to_raster(draft, tiled=True, compress="deflate", lock=Lock())
    rasterio.shutil.copy(draft, path, driver="COG", compress="deflate", **options)
    draft.unlink()

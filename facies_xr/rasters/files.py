"""One band of a file, or an array in memory, read on a grid."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .. import access
from .bilinear import interpolate
from .warp import Extent, along, needed, on_grid

T = TypeVar("T")


@dataclass(frozen=True)
class Raster:
    """One band of one file."""

    href: str
    nodata: float | None = None
    """Number that means no data, where the file does not say so itself."""
    saturated_from: float | None = None
    """Smallest number that means a saturated detector, if that is to be flagged."""
    resampling: str = "bilinear"
    driver: str | None = None
    """Format that the file must have, by GDAL's name; by default any."""

    def read(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Values, and a saturation flag, on one window of a grid.

        Parameters
        ----------
        box : GeoBox
            The whole grid.
        rows, columns : slice
            An absolute tile of it; any other window would make the result depend on the window.

        Returns
        -------
        ndarray (1 or 2, y, x) of float32
            Values (NaN: no source pixel with data contributes); then, with ``saturated_from``, the weight of
            saturated source pixels.
        """
        return self._opened(
            lambda file: on_grid(
                Extent.of(file),
                lambda part: self._layers(file, part),
                count=self.layers,
                box=box,
                rows=rows,
                columns=columns,
                resampling=self.resampling,
            )
        )

    def read_direct(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray | None:
        """Values and flag on any window of a grid that runs along the file's own pixels, None if it does not.

        Then a target pixel needs four source pixels whose weights follow from its row and column alone, and GDAL's
        warper can be spared. The rule is the same: the source pixel at its centre must have data, others weigh anew.
        """
        if self.resampling != "bilinear":
            return None
        return self._opened(lambda file: self._interpolated(file, box, rows, columns))

    def pixels(self, part: Window) -> np.ndarray:
        """Values and flag of a window of the file itself."""
        return self._opened(lambda file: self._layers(file, part))

    def extent(self) -> Extent:
        """Where the file's pixels lie."""
        return self._opened(Extent.of)

    @property
    def layers(self) -> int:
        """Number of layers that :meth:`read` returns."""
        return 1 if self.saturated_from is None else 2

    def _opened(self, use: Callable[[DatasetReader], T]) -> T:
        """What a function makes of the open file."""

        def read() -> T:
            with access.opened(self.href, self.driver) as file:
                return use(file)

        return access.retried(read, self.href)

    def _interpolated(self, file: DatasetReader, box: GeoBox, rows: slice, columns: slice) -> np.ndarray | None:
        source = Extent.of(file)
        positions = along(source, box)
        if positions is None:
            return None
        out = np.zeros((self.layers, rows.stop - rows.start, columns.stop - columns.start), "float32")
        (v0, dv), (u0, du) = positions
        top, bottom = needed(v0, dv, rows, source.height)
        left, right = needed(u0, du, columns, source.width)
        if top >= bottom or left >= right:
            out[0] = np.nan
            return out
        raw = file.read(1, window=Window(left, top, right - left, bottom - top))
        values = raw.astype("float32")
        values[self._missing(file, raw)] = np.nan
        place = {"v0": v0, "dv": dv, "first_row": rows.start, "top": top,
                 "u0": u0, "du": du, "first_column": columns.start, "left": left}  # fmt: skip
        interpolate(values, **place, out=out[0])
        if self.saturated_from is not None and (flag := raw >= self.saturated_from).any():
            interpolate(np.where(np.isnan(values), np.nan, flag).astype("float32"), **place, out=out[1])
            np.nan_to_num(out[1], copy=False)
        return out

    def _missing(self, file: DatasetReader, raw: np.ndarray) -> np.ndarray:
        missing = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
        for nodata in {self.nodata, file.nodata}:
            if nodata is not None and not math.isnan(nodata):
                missing |= raw == nodata
        return missing

    def _layers(self, file: DatasetReader, part: Window) -> np.ndarray:
        raw = file.read(1, window=part)
        pixels = np.empty((self.layers, *raw.shape), "float32")
        pixels[0] = raw
        if self.saturated_from is not None:
            pixels[1] = raw >= self.saturated_from
        pixels[:, self._missing(file, raw)] = np.nan
        return pixels


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """An array in memory, read like a file."""

    values: np.ndarray
    box: GeoBox | Extent
    resampling: str = "bilinear"
    layers: int = 1

    def read(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Values on one window of a grid; see :meth:`Raster.read`."""
        source = Extent(CRS.from_user_input(self.box.crs.to_wkt()), self.box.transform, *self.values.shape)

        def layers(part: Window) -> np.ndarray:
            return np.asarray(self.values[part.toslices()], "float32")[None]

        return on_grid(source, layers, count=1, box=box, rows=rows, columns=columns, resampling=self.resampling)

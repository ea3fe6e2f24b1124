"""One band of a file, or an array in memory, read on a grid."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .. import access
from .bilinear import interpolate
from .extent import Extent
from .voids import marked, scaled, undeclared
from .warp import along, needed, on_grid

T = TypeVar("T")


def version(href: str) -> tuple:
    """State of a local file and what lies beside it: sizes and times of change.

    A file on the web says neither for certain: each call gives a state of its own, so that none of its pixels is kept
    beyond what is made of this one.
    """
    if access.is_remote(href):
        return (uuid4().hex,)
    path = href.removeprefix("file://")
    states = ((end, path + end) for end in ("", ".aux.xml", ".msk", ".ovr"))
    found = [(end, os.stat(name)) for end, name in states if os.path.exists(name)]
    return tuple((end, state.st_mtime_ns, state.st_size) for end, state in found)


@dataclass(frozen=True)
class Header:
    """What a file says of itself."""

    driver: str
    crs: Any
    transform: Affine
    count: int
    dtype: str
    scale: float
    offset: float

    @classmethod
    def of(cls, file: DatasetReader) -> "Header":
        """Header of an open file, of its first band."""
        return cls(
            driver=file.driver,
            crs=file.crs,
            transform=file.transform,
            count=file.count,
            dtype=file.dtypes[0],
            scale=file.scales[0],
            offset=file.offsets[0],
        )


@dataclass(frozen=True)
class Raster:
    """One band of one file."""

    href: str
    nodata: float | None = None
    """Number that means no data, where the file does not say so itself."""
    saturated_from: float | None = None
    """Smallest number that means a saturated detector, if that is to be flagged."""
    resampling: str = "bilinear"
    voids: tuple[float, ...] = ()
    """Numbers that mean no data though nothing declares them; it is said where they do."""
    scale: float = 1.0
    offset: float = 0.0
    """What numbers are multiplied by, and what is added."""
    driver: str | None = None
    """Format that the file must have, by GDAL's name; by default any."""
    version: tuple = ()
    """State of the file (:func:`version`): what is kept of it is not taken for its successor's."""

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

    def header(self) -> Header:
        """What the file says of itself."""
        return self._opened(Header.of)

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
        values, raw = self._values(file, Window(left, top, right - left, bottom - top))
        place = {"v0": v0, "dv": dv, "first_row": rows.start, "top": top,
                 "u0": u0, "du": du, "first_column": columns.start, "left": left}  # fmt: skip
        interpolate(values, **place, out=out[0])
        if self.saturated_from is not None and (flag := raw >= self.saturated_from).any():
            interpolate(np.where(np.isnan(values), np.nan, flag).astype("float32"), **place, out=out[1])
            np.nan_to_num(out[1], copy=False)
        return out

    def _values(self, file: DatasetReader, part: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values of a window, NaN where there is no data, and the numbers that the file holds."""
        raw = file.read(1, window=part)
        missing = marked(raw, [mark for mark in (self.nodata, file.nodata) if mark is not None])
        if MaskFlags.per_dataset in file.mask_flag_enums[0]:  # a mask in the file or beside it
            missing |= file.read_masks(1, window=part) == 0
        missing |= undeclared(raw, missing, self.voids, access.shown(self.href))
        values = scaled(raw, self.scale, self.offset)
        values[missing] = np.nan
        return values, raw

    def _layers(self, file: DatasetReader, part: Window) -> np.ndarray:
        values, raw = self._values(file, part)
        if self.saturated_from is None:
            return values[None]
        return np.stack([values, np.where(np.isnan(values), np.nan, raw >= self.saturated_from).astype("float32")])


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

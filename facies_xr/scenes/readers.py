"""Readers: lists of rasters to lazy arrays, under one contract.

A reader gets scenes and a grid and returns a Dask array (scene, band, y, x) of complex64: the real part is
reflectance (NaN where no source pixel has data), the imaginary part is positive where a saturated source pixel
contributes. Both come from one read of the source.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
import shapely
import stackstac
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from .. import rasters
from ..errors import GridError, SceneReadError
from .sensors import BANDS, Scene

MISSING = np.complex64(complex(np.nan, 0))


@dataclass(frozen=True)
class _Source:
    """One band of one scene: the file and what its numbers mean."""

    scene: str
    raster: rasters.Raster
    scale: float
    offset: float


@dataclass(frozen=True)
class _BandReader:
    """Reads one band on windows of one grid (stackstac's Reader protocol)."""

    source: _Source
    box: GeoBox

    def read(self, window: Window) -> np.ndarray:
        rows, columns = (slice(*map(int, span)) for span in window.toranges())
        try:
            values, saturated = rasters.read_window(self.source.raster, self.box, rows, columns)
        except (OSError, rasterio.errors.RasterioError) as error:
            raise SceneReadError(self.source.scene, self.source.raster.href, _first_line(error)) from error
        out = np.empty(values.shape, "complex64")
        out.real = values * np.float32(self.source.scale) + np.float32(self.source.offset)
        out.imag = np.nan_to_num(saturated)
        return out

    def close(self) -> None:
        """Nothing stays open between reads."""


@dataclass(frozen=True)
class _Readers:
    """Makes the reader of a file; stands where stackstac expects a Reader class."""

    sources: Mapping[str, _Source]
    box: GeoBox

    def __call__(self, *, url: str, **options) -> _BandReader:
        return _BandReader(self.sources[url], self.box)


def stack(scenes: Sequence[Scene], box: GeoBox, chunks: int):
    """Scenes as one lazy array, read by stackstac's graph and our reader.

    Returns
    -------
    dask Array (scene, band, y, x) of complex64
    """
    if box.crs.epsg is None:
        raise GridError(f"the grid's CRS {box.crs} has no EPSG code, which stackstac needs; choose one that has.")
    sources = {_key(s, b): _source(s, b) for s in scenes for b in BANDS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        table = stackstac.stack(
            [_plain_item(scene, box) for scene in scenes],
            assets=list(BANDS),
            epsg=box.crs.epsg,
            resolution=box.affine.a,
            bounds=tuple(box.boundingbox.bbox),
            snap_bounds=False,
            xy_coords=False,
            properties=False,
            band_coords=False,
            sortby_date=False,
            rescale=False,
            dtype=np.dtype("complex64"),
            fill_value=MISSING,
            chunksize=chunks,
            reader=_Readers(sources, box),
        )
    return table.data


def _key(scene: Scene, band: str) -> str:
    return f"{scene.id}/{band}"


def _source(scene: Scene, band: str) -> _Source:
    found = scene.bands[band]
    assert found.scale is not None
    assert found.offset is not None
    raster = rasters.Raster(found.href, found.nodata, found.saturated_from)
    return _Source(scene.id, raster, found.scale, found.offset)


def _plain_item(scene: Scene, box: GeoBox) -> dict:
    """The little that stackstac needs; its own reading of STAC (scale, CRS, bounds) is bypassed."""
    bounds = _bounds_on(scene, box)
    return {
        "id": scene.id,
        "properties": {"datetime": scene.datetime.isoformat(), "proj:epsg": box.crs.epsg, "proj:bbox": bounds},
        "assets": {band: {"href": _key(scene, band)} for band in BANDS},
    }


def _bounds_on(scene: Scene, box: GeoBox) -> list[float]:
    """Bounds of a scene on the grid, generous: outside of them nothing is read, within them the reader decides."""
    from pyproj import Transformer

    west, south, east, north = scene.bbox
    margin = 0.02
    outline = shapely.segmentize(shapely.box(west - margin, south - margin, east + margin, north + margin), 0.05)
    lon, lat = shapely.get_coordinates(outline).T
    x, y = Transformer.from_crs(4326, box.crs.proj, always_xy=True).transform(lon, np.clip(lat, -90, 90))
    grid = box.boundingbox
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return list(grid.bbox)
    own = [min(x), min(y), max(x), max(y)]
    if own[0] >= grid.right or own[2] <= grid.left or own[1] >= grid.top or own[3] <= grid.bottom:
        # stackstac would silently leave the scene out; a sliver keeps its place, and its pixels stay missing.
        return [grid.left, grid.bottom, grid.left + 1e-3, grid.bottom + 1e-3]
    return own


def _first_line(error: BaseException) -> str:
    return str(error.__cause__ or error).splitlines()[0]

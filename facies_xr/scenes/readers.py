"""Bands of scenes as sources of pixels, for whichever library makes the graph.

A reader gets datatakes (lists of scenes, the first valid one wins), a grid and names of bands, and returns for each
band a Dask array (datatake, y, x) of complex64: the real part is reflectance (NaN where no source pixel has data), the
imaginary part is positive where a saturated source pixel contributes. Both come from one read of the source, made by
:class:`BandReader` for all of them, so that their cubes are equal bit for bit; they differ in their graphs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.windows import Window

from .. import access, rasters
from ..errors import SceneReadError
from . import missions
from .scene import Scene

MARGIN = 0.02
"""Added to the box of a scene, which providers draw around its data with some freedom. [degree]"""

MISSING = np.complex64(complex(np.nan, 0))
"""A pixel that no source has."""


@dataclass(frozen=True)
class Source:
    """One band of one scene: the file and what its numbers mean."""

    scene: str
    raster: rasters.Raster
    scale: float
    offset: float


Sources = Callable[[Scene], Mapping[str, Source]]
"""Makes the sources of a scene, by band: :func:`reflectances` or :func:`classes`."""

Reader = Callable[[Sequence[Sequence[Scene]], GeoBox, int, Sequence[str], Sources], dict[str, Any]]
"""``reader(datatakes, grid, edge of the chunks [px], bands, sources)`` gives a lazy array of each band."""


@dataclass(frozen=True)
class BandReader:
    """Reads one band on windows of one grid (stackstac's Reader protocol)."""

    source: Source
    box: GeoBox

    def read(self, window: Window) -> np.ndarray:
        """Value and saturation of a window of the grid, as one complex number a pixel."""
        rows, columns = (slice(*map(int, span)) for span in window.toranges())
        try:
            layers = rasters.read_window(self.source.raster, self.box, rows, columns)
        except (OSError, rasterio.errors.RasterioError) as error:
            raise SceneReadError(
                self.source.scene, access.shown(self.source.raster.href), access.reason(error)
            ) from error
        out = np.zeros(layers[0].shape, "complex64")
        out.real = layers[0] * np.float32(self.source.scale) + np.float32(self.source.offset)
        if len(layers) > 1:
            out.imag = np.nan_to_num(layers[1])
        return out

    def close(self) -> None:
        """Nothing stays open between reads."""


def driver(href: str) -> str:
    """Format in which a file of a scene comes; one of another (a VRT of any name) could lead to other files."""
    return "JP2OpenJPEG" if access.suffix(href) in (".jp2", ".j2k") else "GTiff"


def reflectances(scene: Scene) -> dict[str, Source]:
    """The six bands of a scene."""
    sources = {}
    for name, band in scene.bands.items():
        assert band.scale is not None
        assert band.offset is not None
        raster = rasters.Raster(band.href, band.nodata, band.saturated_from, driver=driver(band.href))
        sources[name] = Source(scene.id, raster, band.scale, band.offset)
    return sources


def classes(scene: Scene) -> dict[str, Source]:
    """The pixel classes of a scene, resampled to the nearest and never scaled; none where it has none."""
    if scene.qa is None:
        return {}
    raster = rasters.Raster(scene.qa, missions.of(scene).CLASSES.fill, resampling="nearest", driver=driver(scene.qa))
    return {"qa": Source(scene.id, raster, 1.0, 0.0)}


def key(scene: Scene, band: str) -> str:
    """Name under which the libraries know a band of a scene; never a file, whose name may hold a signature."""
    return f"scene:///{scene.id}/{band}"


def bounds_on(scene: Scene, box: GeoBox) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a scene on a grid, generous: beyond them nothing is read. [m]"""
    west, south, east, north = scene.bbox
    outline = shapely.segmentize(shapely.box(west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN), 0.05)
    lon, lat = shapely.get_coordinates(outline).T
    x, y = Transformer.from_crs(4326, box.crs.proj, always_xy=True).transform(lon, np.clip(lat, -90, 90))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return box.boundingbox.bbox
    return min(x), min(y), max(x), max(y)

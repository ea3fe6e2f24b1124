"""Readers: lists of rasters to lazy arrays, under one contract.

A reader gets datatakes (lists of scenes, the first valid one wins) and a grid, and returns a Dask array
(datatake, band, y, x) of complex64: the real part is reflectance (NaN where no source pixel has data), the imaginary
part is positive where a saturated source pixel contributes. Both come from one read of the source, made by one class
for both libraries, so that their cubes are equal bit for bit; stackstac and odc-stac differ in their graphs: odc-stac
merges the scenes of a datatake within one task.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
import shapely
import stackstac
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from .. import access, lazy, rasters
from ..errors import GridError, SceneReadError
from .sensors import Scene

MARGIN = 0.02
"""Added to the box of a scene, which providers draw around its data with some freedom. [degree]"""

MISSING = np.complex64(complex(np.nan, 0))


@dataclass(frozen=True)
class Source:
    """One band of one scene: the file and what its numbers mean."""

    scene: str
    raster: rasters.Raster
    scale: float
    offset: float


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


@dataclass(frozen=True)
class _Nothing:
    """Reads a band that a scene does not have."""

    def read(self, window: Window) -> np.ndarray:
        return np.full((int(window.height), int(window.width)), MISSING)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Readers:
    """Makes the reader of a file; stands where stackstac expects a Reader class."""

    sources: Mapping[str, Source]
    box: GeoBox

    def __call__(self, *, url: str, **options) -> "BandReader | _Nothing":
        return BandReader(self.sources[url], self.box) if url in self.sources else _Nothing()


def reflectances(scene: Scene) -> dict[str, Source]:
    """The six bands of a scene."""
    found = {}
    for name, band in scene.bands.items():
        assert band.scale is not None
        assert band.offset is not None
        raster = rasters.Raster(band.href, band.nodata, band.saturated_from)
        found[name] = Source(scene.id, raster, band.scale, band.offset)
    return found


def classes(scene: Scene) -> dict[str, Source]:
    """The pixel classes of a scene, resampled to the nearest and never scaled; none where it has none."""
    if scene.qa is None:
        return {}
    return {"qa": Source(scene.id, rasters.Raster(scene.qa, scene.qa_fill, resampling="nearest"), 1.0, 0.0)}


def with_stackstac(
    datatakes: Sequence[Sequence[Scene]],
    box: GeoBox,
    chunks: int,
    names: Sequence[str],
    sources_of: Callable[[Scene], Mapping[str, Source]],
):
    """Datatakes as one lazy array, on stackstac's graph.

    Parameters
    ----------
    datatakes : sequence of sequences of Scene
        In mosaic order.
    box : GeoBox
        Target grid.
    chunks : int
        Edge of the chunks. [px]
    names : sequence of str
        Bands.
    sources_of : callable
        :func:`reflectances` or :func:`classes`.

    Returns
    -------
    dask Array (datatake, band, y, x) of complex64
    """
    if box.crs.epsg is None:
        raise GridError(
            f"the grid's CRS {box.crs} has no EPSG code, which stackstac needs; choose one that has, or reader='odc'."
        )
    scenes = [scene for group in datatakes for scene in group]
    sources = {key(s, name): source for s in scenes for name, source in sources_of(s).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        table = stackstac.stack(
            [_plain_item(scene, box, names) for scene in scenes],
            assets=list(names),
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
    return lazy.mosaic(table.data, [len(group) for group in datatakes], _first_valid)


def _first_valid(block: np.ndarray) -> np.ndarray:
    """First scene with data, pixel by pixel: (scene, ...) to (1, ...)."""
    out = block[:1].copy()
    for scene in block[1:]:
        gap = np.isnan(out[0].real)
        out[0][gap] = scene[gap]
    return out


def key(scene: Scene, band: str) -> str:
    """Name under which the libraries know a band of a scene; never a file, whose name may hold a signature."""
    return f"scene:///{scene.id}/{band}"


def _plain_item(scene: Scene, box: GeoBox, names: Sequence[str]) -> dict:
    """The little that stackstac needs; its own reading of STAC (scale, CRS, bounds) is bypassed."""
    bounds = _bounds_on(scene, box)
    return {
        "id": scene.id,
        "properties": {"datetime": scene.datetime.isoformat(), "proj:epsg": box.crs.epsg, "proj:bbox": bounds},
        "assets": {name: {"href": key(scene, name)} for name in names},
    }


def _bounds_on(scene: Scene, box: GeoBox) -> list[float]:
    """Bounds of a scene on the grid, generous: outside of them nothing is read, within them the reader decides."""
    from pyproj import Transformer

    west, south, east, north = scene.bbox
    outline = shapely.segmentize(shapely.box(west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN), 0.05)
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

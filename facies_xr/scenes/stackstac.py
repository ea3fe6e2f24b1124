"""stackstac's graph over our reader (``load(..., reader="stackstac")``)."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import stackstac
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from .. import lazy
from ..errors import GridError
from . import readers
from .scene import Scene


@dataclass(frozen=True)
class _Nothing:
    """Reads a band that a scene does not have."""

    def read(self, window: Window) -> np.ndarray:
        return np.full((int(window.height), int(window.width)), readers.MISSING)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Readers:
    """Makes the reader of a file; stands where stackstac expects a Reader class."""

    sources: Mapping[str, readers.Source]
    box: GeoBox

    def __call__(self, *, url: str, **options) -> "readers.BandReader | _Nothing":
        return readers.BandReader(self.sources[url], self.box) if url in self.sources else _Nothing()


def with_stackstac(
    datatakes: Sequence[Sequence[Scene]], box: GeoBox, chunks: int, names: Sequence[str], sources_of: readers.Sources
):
    """Datatakes as lazy arrays of each band; see :mod:`facies_xr.scenes.readers`."""
    if box.crs.epsg is None:
        raise GridError(
            f"the grid's CRS {box.crs} has no EPSG code, which stackstac needs; choose one that has, or another reader."
        )
    scenes = [scene for group in datatakes for scene in group]
    sources = {readers.key(s, name): source for s in scenes for name, source in sources_of(s).items()}
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
            fill_value=readers.MISSING,
            chunksize=chunks,
            reader=_Readers(sources, box),
        )
    merged = lazy.mosaic(table.data, [len(group) for group in datatakes], _first_valid)
    return {name: merged[:, k] for k, name in enumerate(names)}


def _first_valid(block: np.ndarray) -> np.ndarray:
    """First scene with data, pixel by pixel: (scene, ...) to (1, ...)."""
    out = block[:1].copy()
    for scene in block[1:]:
        gap = np.isnan(out[0].real)
        out[0][gap] = scene[gap]
    return out


def _plain_item(scene: Scene, box: GeoBox, names: Sequence[str]) -> dict:
    """The little that stackstac needs; its own reading of STAC (scale, CRS, bounds) is bypassed."""
    return {
        "id": scene.id,
        "properties": {
            "datetime": scene.datetime.isoformat(),
            "proj:epsg": box.crs.epsg,
            "proj:bbox": _bounds_on(scene, box),
        },
        "assets": {name: {"href": readers.key(scene, name)} for name in names},
    }


def _bounds_on(scene: Scene, box: GeoBox) -> list[float]:
    left, bottom, right, top = readers.bounds_on(scene, box)
    grid = box.boundingbox
    if left >= grid.right or right <= grid.left or bottom >= grid.top or top <= grid.bottom:
        # stackstac would silently leave the scene out; a sliver keeps its place, and its pixels stay missing.
        return [grid.left, grid.bottom, grid.left + 1e-3, grid.bottom + 1e-3]
    return [left, bottom, right, top]

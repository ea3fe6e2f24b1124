"""odc-stac's graph over our reader (``load(..., reader="odc")``).

odc-loader asks its driver to open a source and to read the part of it that one chunk of the grid needs. The driver
here answers with the pixels of our own reader, in the same complex numbers.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import odc.stac
import pystac
import shapely
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from . import readers
from .scene import Scene

FIRST = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""Stands for the time of the first datatake: odc-stac sorts by time, and ours are in order already."""


def with_odc(
    datatakes: Sequence[Sequence[Scene]], box: GeoBox, chunks: int, names: Sequence[str], sources_of: readers.Sources
):
    """Datatakes as lazy arrays of each band; see :mod:`facies_xr.scenes.readers`."""
    sources = {
        readers.key(scene, name): readers.BandReader(source, box)
        for group in datatakes
        for scene in group
        for name, source in sources_of(scene).items()
    }
    items = [_plain_item(scene, names, number) for number, group in enumerate(datatakes) for scene in group]
    table = odc.stac.load(
        items,
        list(names),
        geobox=box,
        chunks={"y": chunks, "x": chunks},
        groupby="datatake",
        preserve_original_order=True,
        dtype="complex64",
        nodata=np.nan,
        resampling="bilinear",
        fuse_func=f"{__name__}.{keep_first.__name__}",
        driver=_Driver(sources),
    )
    return {band: table[band].data for band in names}


def keep_first(merged: np.ndarray, scene: np.ndarray) -> None:
    """Fill the gaps of a mosaic; odc-loader's own rule does not know complex numbers."""
    gap = np.isnan(merged.real)
    merged[gap] = scene[gap]


def _plain_item(scene: Scene, names: Sequence[str], number: int) -> pystac.Item:
    """The little that odc-stac needs to find the chunks that a scene touches."""
    when = FIRST + datetime.timedelta(seconds=number)
    outline = shapely.box(*scene.footprint.buffer(readers.MARGIN).bounds)
    item = pystac.Item(scene.id, shapely.geometry.mapping(outline), list(outline.bounds), when, {"datatake": number})
    for band in names:
        item.add_asset(
            band, pystac.Asset(readers.key(scene, band), media_type=pystac.MediaType.GEOTIFF, roles=["data"])
        )
    return item


@dataclass(frozen=True)
class _Part:
    """Reads one band on the grids of chunks."""

    reader: readers.BandReader | None

    def read(self, cfg: Any, dst_geobox: GeoBox, **_) -> tuple[tuple[slice, slice], np.ndarray]:
        """Pixels of a chunk, and where in it they lie."""
        if self.reader is None:
            return (slice(0, 0), slice(0, 0)), np.empty((0, 0), "complex64")
        column, row = ~self.reader.box.affine * (dst_geobox.affine.c, dst_geobox.affine.f)
        height, width = dst_geobox.shape
        pixels = self.reader.read(Window(round(column), round(row), width, height))
        return (slice(0, height), slice(0, width)), pixels


@dataclass(frozen=True)
class _Driver:
    """odc-loader's ReaderDriver protocol."""

    sources: Mapping[str, readers.BandReader]
    md_parser: Any = None
    dask_reader: Any = None
    aux_reader: Any = None

    def new_load(self, geobox: GeoBox, *, chunks: Any = None) -> None:
        """No state is shared by the reads of a load."""

    def finalise_load(self, load_state: Any) -> Any:
        """Nothing to finish."""
        return load_state

    def capture_env(self) -> dict[str, Any]:
        """Options and credentials are taken from the worker's environment at each read."""
        return {}

    @contextmanager
    def restore_env(self, env: Any, load_state: Any) -> Iterator[None]:
        """Nothing to restore."""
        yield

    def open(self, src: Any, ctx: Any) -> _Part:
        """Reader of one source."""
        return _Part(self.sources.get(src.uri))

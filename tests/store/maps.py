"""Maps for the tests of the store, and what a store holds."""

from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from facies_xr import grids
from facies_xr.errors import SceneReadError
from facies_xr.store import record

BOX = GeoBox.from_bbox((600000, 5100000, 606000, 5107000), crs="EPSG:32632", resolution=10)
SMALL = GeoBox.from_bbox((600000, 5100000, 605200, 5105300), crs="EPSG:32632", resolution=10)
"""Two tiles by two, of which three are slivers."""


def random_maps(days, *, chunks=300, box=BOX, broken=None, **attrs):
    """Maps whose content depends on the date alone, so that any order of writing must give the same."""
    times = np.array(days, "datetime64[ns]")
    shape = tuple(box.shape)
    seeds = [int(t.astype("datetime64[D]").astype(int)) for t in times]
    labels = np.stack([np.random.default_rng(s).integers(0, 8, shape, "uint8") for s in seeds])
    lazy_labels = da.from_array(labels, chunks=(1, chunks, chunks))
    items = np.array([f"scene-{str(t)[:10]}" for t in times])
    if broken is not None:

        def read(block, block_info=None):
            (start, _), *_ = block_info[0]["array-location"]
            if items[start] == broken:
                raise SceneReadError(broken, "/data/B2.TIF", "truncated file")
            return block

        lazy_labels = lazy_labels.map_blocks(read, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    flags = {"flag_values": np.arange(8, dtype="uint8"), "flag_meanings": "a b c d e f g h"}
    return xr.Dataset(
        {
            "facies_map": (("time", "y", "x"), lazy_labels, flags),
            "confidence": (("time", "y", "x"), (lazy_labels / 8).astype("float32")),
            "probability": (("time", "facies_class", "y", "x"), da.stack([lazy_labels / 2] * 2, 1).astype("f4")),
            "elevation": (("y", "x"), da.ones(shape, chunks=chunks, dtype="float32")),
            "glacier_index": (("y", "x"), np.ones(shape, "int32")),
            "glacier_elevation_min": ("glacier", np.arange(3.0)),
        },
        coords={
            "time": times,
            "item": ("time", items),
            "glacier": ["RGI-1", "RGI-2", "RGI-10"],
            **grids.coords(box),
        },
        attrs={"classifier": "one", **attrs},
    )


def chunk_bytes(path) -> dict:
    """Content of every file of a store but the metadata, by relative path."""
    metadata = "zarr.json", *record.FILES
    files = [f for f in Path(path).rglob("*") if f.is_file() and f.name not in metadata]
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


def assert_same(found: xr.Dataset, expected: xr.Dataset):
    for name in expected.variables:
        if name != "spatial_ref":
            np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=str(name))

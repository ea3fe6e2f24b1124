"""The layout of a store: arrays, their encodings, the georeference. Everything but tiles and ledger entries.

A layout is small. It is made beside the store in ``ledger/next``, for all dates, and moved in when the record that
commits it stands::

    build(data, next)  ->  record (with a checksum of each file)  ->  settle: move the files in
                       |                                          |
            a kill here: thrown away                   a kill here: moved in by the next writer
"""

import warnings
from collections.abc import Hashable
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore
from zarr_cm import proj, spatial

from .. import access, lazy
from ..classes import NODATA
from ..errors import StoreError
from .identity import identity
from .place import Place
from .record import FORMAT, Record, checksum

TILE = 512
"""Edge of a tile, which is one chunk of every raster. [px]"""

PENDING, DONE, DROPPED = 0, 1, 2
"""Ledger codes of a tile: not computed, finished, left empty because its scene could not be read."""

COMPRESSION: dict[str, dict[str, Any]] = {
    "zstd": {},
    "lz4": {"compressors": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")},
}
"""Encodings of rasters of real numbers; others have Zarr's own, zstd. A store keeps what it was begun with."""

FASTEST = "lz4"
"""Of a new store: a third of the time of zstd and, with bytes of equal weight side by side, a fifth less room."""

TIME_ENCODING = {
    "dtype": "int64",
    "units": "microseconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
}
STORE_ATTRIBUTES = ("facies_xr_store", "zarr_conventions", "proj:", "spatial:")
"""Attributes, or their beginnings, that belong to the store and not to the data in it."""

DESCRIPTION = ("Conventions", "title", "history", "source", "references")
"""Attributes of the CF conventions that a store adds, and that data keep when they are opened."""

NEXT = "ledger/next"
"""Where a layout is made."""


def prepared(data: xr.Dataset) -> xr.Dataset:
    """Dataset as a store holds it.

    Without what it remembers of another store and without secrets of addresses, times in whole microseconds, small
    variables in memory.

    Raises
    ------
    StoreError
        If two dates are the same, or one is missing.
    """
    data = data.drop_encoding()
    data.attrs = _showable({k: v for k, v in data.attrs.items() if not k.startswith(STORE_ATTRIBUTES + DESCRIPTION)})
    for name, variable in data.variables.items():
        attributes = _showable(variable.attrs)
        if variable.dtype.kind in "UOT":
            shown = np.array([access.shown(str(value)) for value in variable.values.ravel()], object)
            data[name] = (variable.dims, shown.reshape(variable.shape), attributes)
        elif variable.dtype.kind == "M":
            data[name] = (variable.dims, variable.values.astype("datetime64[us]"), attributes)
        elif name in rasters(data) or name in data.indexes:
            data[name].attrs = attributes
        else:
            data[name] = (variable.dims, variable.values, attributes)
    if "time" in data.dims:
        if data["time"].dtype.kind != "M" or np.isnat(data["time"].values).any():
            raise StoreError("a date of the data is missing; give each step of time a date (datetime64).")
        if data.indexes["time"].has_duplicates:
            raise StoreError(
                "two dates of the data are the same to the microsecond; merge them into one (a datatake is one date)."
            )
    return data


def _showable(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes without what no store may tell: passwords and signatures of addresses."""

    def shown(value: Any) -> Any:
        if isinstance(value, str):
            return access.shown(value)
        return [shown(each) for each in value] if isinstance(value, list | tuple) else value

    return {key: shown(value) for key, value in attributes.items()}


def rasters(data: xr.Dataset) -> dict[str, xr.Variable]:
    """Variables that are cut into tiles."""
    return {str(n): v.variable for n, v in data.data_vars.items() if v.dims[-2:] == ("y", "x")}


def grid_of(box: GeoBox) -> dict[str, Any]:
    """A grid for the record."""
    crs = f"EPSG:{box.crs.epsg}" if box.crs.epsg else box.crs.to_wkt()
    return {"crs": crs, "shape": list(box.shape), "transform": list(box.affine)[:6]}


def geobox_of(grid: dict[str, Any]) -> GeoBox:
    """The grid that a record declares."""
    return GeoBox(tuple(grid["shape"]), Affine(*grid["transform"]), grid["crs"])


def commit(
    data: xr.Dataset,
    place: Place,
    box: GeoBox,
    dropped: dict[str, str] | None = None,
    compression: str = FASTEST,
) -> Record:
    """Give a store the layout of some data, whose dates stand in the order of the arrays."""
    place.remove_below(NEXT)
    files = build(data, box, compression)
    for name, content in files.items():
        place.write(f"{NEXT}/{name}", content)
    times = data["time"].values.astype("int64").tolist() if "time" in data.dims else []
    record = Record(
        grid=grid_of(box),
        identity=identity(data),
        rasters={name: list(map(str, variable.dims)) for name, variable in sorted(rasters(data).items())},
        dates=times,
        items=[str(item) for item in data["item"].values] if times and "item" in data.variables else [],
        dropped=dropped or {},
        files={name: checksum(content) for name, content in files.items()},
        compression=compression,
    )
    record.write(place)
    settle(place, record)
    return record


def settle(place: Place, record: Record) -> None:
    """Move in what of a committed layout still lies beside the store; throw away what was never committed."""
    if place.children(NEXT):
        lying = place.read_all(f"{NEXT}/{name}" for name in record.files)
        for (name, expected), content in zip(record.files.items(), lying, strict=True):
            if checksum(content) == expected:
                place.move(f"{NEXT}/{name}", name)
    place.remove_below(NEXT)


def damaged(place: Place, record: Record) -> list[tuple[str, str]]:
    """Files of the layout that are not as they were written, and what is wrong with each."""
    states = map(checksum, place.read_all(record.files))
    return [
        (name, "missing" if state == "missing" else "damaged")
        for (name, expected), state in zip(record.files.items(), states, strict=True)
        if state != expected
    ]


def build(data: xr.Dataset, box: GeoBox, compression: str) -> dict[str, bytes]:
    """Files of the layout of some data, by their keys; rasters without their pixels."""
    template = data.copy()
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in rasters(data).items():
        chunks = tuple(
            {"time": 1, "y": TILE, "x": TILE}.get(str(d), n) for d, n in zip(variable.dims, variable.shape, strict=True)
        )
        whole = lazy.blank(variable.shape, variable.shape, variable.dtype)
        template[name] = (variable.dims, whole, {**variable.attrs, "grid_mapping": "spatial_ref"})
        packing = COMPRESSION[compression] if variable.dtype.kind == "f" else {}
        encoding[name] = {"chunks": chunks, **packing, **_fill_encoding(variable)}
    for key, variable in template.variables.items():
        if key in encoding:
            continue
        encoding[key] = {"chunks": variable.shape} if variable.ndim else {}
        if variable.dtype.kind == "M":
            encoding[key] |= TIME_ENCODING
        elif variable.dtype.kind == "f":
            encoding[key]["_FillValue"] = None
    template.attrs |= {"facies_xr_store": FORMAT, **_description(data), **georeference(box)}
    made: dict[str, Any] = {}
    group = MemoryStore(made)
    template.to_zarr(
        group,
        mode="w-",
        compute=False,
        zarr_format=3,
        consolidated=False,
        encoding=encoding,
        safe_chunks=False,
        write_empty_chunks=True,
    )
    _build_ledger(data, group, box)
    with warnings.catch_warnings():  # that consolidated metadata are an extension of Zarr's format 3
        warnings.simplefilter("ignore", UserWarning)
        zarr.consolidate_metadata(group, zarr_format=3)
    return {key: made[key].to_bytes() for key in sorted(made)}


def _build_ledger(data: xr.Dataset, group: MemoryStore, box: GeoBox) -> None:
    """Arrays of the ledger, whose chunks are the entries of :mod:`facies_xr.store.tile`."""
    book = zarr.open_group(group, mode="r+").create_group("ledger")
    cells = tuple(-(-n // TILE) for n in box.shape)
    for kind, names in kinds(data).items():
        lead = (data.sizes["time"],) if kind == "timed" else ()
        book.create_array(
            kind,
            shape=(*lead, *cells, len(names) + 2),
            chunks=(*(1 for _ in lead), 1, 1, len(names) + 2),
            dtype="uint32",
            fill_value=PENDING,
            compressors=None,
            dimension_names=(*("time" for _ in lead), "tile_y", "tile_x", f"entry_{kind}"),
            attributes={"entry": ["code", *names, "checksum of this entry"]},
        )


def kinds(data: xr.Dataset) -> dict[str, list[str]]:
    """Names of the rasters with and without time, where there are such, in order."""
    names = {
        kind: sorted(n for n, v in rasters(data).items() if ("time" in v.dims) == (kind == "timed"))
        for kind in ("timed", "static")
    }
    return {kind: each for kind, each in names.items() if each}


def _fill_encoding(variable: xr.Variable) -> dict[str, Any]:
    """Zarr fill values: NaN for floats, the no-data flag for classes, 0 for other integers."""
    if variable.dtype.kind == "f":
        return {"_FillValue": np.array(np.nan, variable.dtype)}
    is_flag = "flag_values" in variable.attrs
    return {"fill_value": NODATA if is_flag else 0}


def _description(data: xr.Dataset) -> dict[str, str]:
    """Attributes that the CF conventions ask of a file; without a time, so that the same results are the same bytes."""
    made_by = f"facies_xr {version('facies_xr')}"
    return {
        "Conventions": "CF-1.11",
        "title": "Glacier facies maps" if "facies_map" in data else "Rasters of glaciers",
        "history": f"{made_by}: write",  # without a time: the same data give the same bytes
        "source": f"{made_by}, classifier {data.attrs.get('classifier', 'none')}",
        "references": "Maslov et al. (2026), doi:10.31223/X5QN1V",
    }


def georeference(box: GeoBox) -> dict[str, Any]:
    """Georeference in the Zarr conventions ``proj:`` and ``spatial:`` (v0.1)."""
    crs = {"code": f"EPSG:{box.crs.epsg}"} if box.crs.epsg else {"wkt2": box.crs.to_wkt()}
    extent = spatial.create(
        dimensions=["y", "x"],
        transform_type="affine",
        transform=list(box.affine)[:6],
        shape=list(box.shape),
        bbox=list(box.boundingbox.bbox),
        registration="pixel",
    )
    declared: dict[str, Any] = {**proj.create_convention_attrs(**crs)}
    return dict(spatial.insert(declared, extent))

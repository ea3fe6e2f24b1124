"""Where heights come from: files with their voids, units and formats, folders as providers ship them, arrays."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import rasterio
import xarray as xr

from .. import access, grids, rasters
from ..errors import GridError, InputError

DRIVERS = {
    ".tif": "GTiff", ".tiff": "GTiff", ".hgt": "SRTMHGT", ".bil": "EHdr", ".asc": "AAIGrid", ".img": "HFA",
    ".dt1": "DTED", ".dt2": "DTED", ".jp2": "JP2OpenJPEG", ".vrt": "VRT",
}  # fmt: skip
"""Formats in which heights are opened, by the suffix of the file; none that leads to servers."""

IN_FOLDERS = tuple(suffix for suffix in DRIVERS if suffix not in (".jp2", ".vrt"))
"""Suffixes of the files that are looked for in a folder."""

VOIDS = (-9999.0, -32767.0, -32768.0, -99999.0, 32767.0, 65535.0)
"""Numbers that stand for voids where no tag says so: none is a height of land in metres."""

SCALES, OFFSETS = (1e-4, 10.0), (-15_000.0, 15_000.0)
"""Metres to a number of a file, from tenths of a millimetre to decametres, and where its numbers begin. [m]"""

LAYOUTS = {
    "Copernicus": r"copernicus_dsm_.*_dem\.(tiff?|dt[12])",
    "ALOS": r"(alpsmlc30_)?[ns]\d{3}[ew]\d{3}_(ave_)?dsm\.tiff?",
    "NASADEM or SRTM": r"(nasadem_hgt_)?[ns]\d\d_?[ew]\d{3}(_[13]arc_v\d)?\.(hgt|bil|dt[12]|tiff?)",
    "SRTM of CGIAR": r"srtm_\d\d_\d\d\.(tiff?|asc)",
    "TanDEM-X": r"tdm1_e?dem_.*_e?dem(_w84|_egm)?\.tiff?",
    "ASTER": r"astgtm.*_dem\.tiff?",
    "ArcticDEM or REMA": r".*_\d+m?_v\d[.\d]*_.*dem\.tiff?",
}
"""Names of the files that hold heights, among masks, error models and previews, by the model that is shipped so."""


def of_array(dem: xr.DataArray) -> rasters.ArrayRaster:
    """Heights of a DataArray, with the voids, scale and offset that its attributes declare.

    Raises
    ------
    InputError
        If it has another dim than y and x, holds no numbers, or declares what cannot be.
    GridError
        If it has no georeference.
    """
    dem = dem.squeeze(drop=True)
    if set(dem.dims) != {"y", "x"}:
        raise InputError(f"the DEM has dims {dem.dims}; give one band (y, x).")
    if dem.dtype.kind not in "iuf":
        raise InputError(f"the DEM holds {dem.dtype}; give heights in metres.")
    box = grids.any_geobox(dem)
    name = str(dem.name or "DataArray")
    marks = [dem.attrs.get(key) for key in ("_FillValue", "missing_value", "fill_value", "nodata")]
    marks += list(np.atleast_1d(dem.attrs.get("nodatavals", ())))
    try:
        declared = [float(mark) for mark in marks if mark is not None]
        scale, offset = (float(dem.attrs.get(key, of)) for key, of in (("scale_factor", 1), ("add_offset", 0)))
    except (TypeError, ValueError) as error:
        raise InputError(f"DEM {name}: its attributes declare what is no number: {error}.") from error
    require_scale(scale, offset, name)
    raw = np.asarray(dem.transpose("y", "x").values)
    missing = rasters.marked(raw, declared)
    missing |= rasters.undeclared(raw, missing, VOIDS if scale == 1 and offset == 0 else (), name)
    values = rasters.scaled(raw, scale, offset)
    values[missing] = np.nan
    return rasters.ArrayRaster(values, box)


def of_file(href: str) -> rasters.Raster:
    """Heights of a file, with the voids, scale and offset that it and its sidecars declare.

    Raises
    ------
    InputError
        If it cannot be opened, has more than one band or none of numbers, or declares what cannot be.
    GridError
        If it has no CRS or place.
    """
    access.check(href)
    shown = access.shown(href)
    if not access.is_remote(href) and not href.startswith(("/vsizip/", "/vsitar/")):
        _require_file(Path(href.removeprefix("file://")), shown)
    driver = DRIVERS.get(Path(urlsplit(href).path if access.is_remote(href) else href).suffix.lower())
    try:
        with access.anew(href):
            header = rasters.Raster(href, driver=driver).header()
    except (OSError, rasterio.errors.RasterioError) as error:
        raise InputError(f"DEM {shown} cannot be opened: {access.reason(error)}") from error
    if header.driver not in DRIVERS.values():
        raise InputError(f"DEM {shown} is a {header.driver} file; give a GeoTIFF, or a DataArray.")
    if header.crs is None:
        raise GridError(f"DEM {shown} has no CRS; write one into it, for example with gdal_edit.py -a_srs.")
    if header.transform.is_identity:
        raise GridError(f"DEM {shown} says not where it lies; write its bounds into it with gdal_edit.py -a_ullr.")
    if header.count != 1:
        raise InputError(f"DEM {shown} has {header.count} bands; give a file with one.")
    if np.dtype(header.dtype).kind not in "iuf":
        raise InputError(f"DEM {shown} holds {header.dtype}; give heights in metres.")
    require_scale(header.scale, header.offset, shown)
    plain = header.scale == 1 and header.offset == 0
    return rasters.Raster(
        href,
        voids=VOIDS if plain else (),
        scale=header.scale,
        offset=header.offset,
        driver=driver,
        version=rasters.version(href),
    )


def require_scale(scale: float, offset: float, name: str) -> None:
    """Refuse a scale or an offset that turns no number into a height in metres."""
    if not (SCALES[0] <= scale <= SCALES[1] and OFFSETS[0] <= offset <= OFFSETS[1]):
        raise InputError(
            f"DEM {name} declares the scale {scale:g} and the offset {offset:g}, which make no metres (a scale of "
            f"{SCALES[0]:g} to {SCALES[1]:g}, an offset of {OFFSETS[0]:g} to {OFFSETS[1]:g}); mend its header."
        )


def _require_file(path: Path, shown: str) -> None:
    if not path.is_file():
        raise InputError(f"DEM {shown} cannot be opened: {'not a plain file' if path.exists() else 'no such file'}.")
    with path.open("rb") as file:
        head = file.read(1_000_000)
    if b"<VRTDataset" not in head[:4096]:
        return
    if path.suffix.lower() != ".vrt":
        raise InputError(f"DEM {shown} is no raster, but a VRT that leads to other files; give these, as a list.")
    for name in re.findall(rb"<(?:SourceFilename|SourceDataset)[^>]*>([^<]*)<", head):
        if b"://" in name or name.strip().startswith((b"/vsi", b"<")) or name.lower().endswith(b".vrt"):
            raise InputError(f"DEM {shown} leads to {access.shown(name.decode(errors='replace'))}; give that itself.")


def in_folder(folder: Path) -> list[Path]:
    """Files of heights in and below a folder: those of a model that is known, else those of one product.

    Raises
    ------
    InputError
        If there is none, or more than one product; the message lists what lies there.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IN_FOLDERS and not _hidden(p, folder))
    if not files:
        raise InputError(f"DEM folder {folder} holds no file of heights ({', '.join(IN_FOLDERS)}).")
    known = {model: [p for p in files if re.fullmatch(pattern, p.name.lower())] for model, pattern in LAYOUTS.items()}
    models = [model for model, its_files in known.items() if its_files]
    if len(models) == 1:
        return known[models[0]]
    if not models and len({_product(p) for p in files}) == 1:
        return files
    which = f"the models {' and '.join(models)}" if models else "files of more than one product"
    raise InputError(f"DEM folder {folder} holds {which}: {_listed(files)}. Give the files of heights as a list.")


def _hidden(path: Path, folder: Path) -> bool:
    """Notes of macOS ("._a.tif", "__MACOSX") and hidden files."""
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def _product(path: Path) -> str:
    """Name of a file without the numbers that tell one tile from another."""
    return re.sub(r"(?<![a-z])[nsew]?\d+", "#", path.name.lower())


def _listed(files: Iterable[Path]) -> str:
    names = [p.name for p in files]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def shown_name(dem: Any) -> str:
    """Name of a file as it may be shown: without its folder, credentials and signature."""
    return Path(access.shown(str(dem))).name

"""Results as files that other tools open: GeoTIFFs of the maps, tables of glaciers with their geometry."""

import os
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import rasterio
import rasterio.shutil
import rioxarray as rioxarray
import xarray as xr
from matplotlib.colors import to_rgb

from . import grids, stations
from . import outlines as _outlines
from .classes import CLASSES, NODATA
from .errors import InputError, one_of

EXTENSIONS = tuple(
    f"https://{name}/schema.json"
    for name in (
        "stac-extensions.github.io/projection/v2.0.0",
        "stac-extensions.github.io/raster/v2.0.0",
        "stac-extensions.github.io/classification/v2.0.0",
        "stac-extensions.github.io/mlm/v1.4.0",
        "stac-extensions.github.io/processing/v1.2.0",
    )
)
"""STAC extensions by which the files are described."""

TABLES = {".gpkg": "GeoPackage", ".parquet": "GeoParquet", ".csv": "CSV"}
"""Kinds of tables by the ending of their file."""


def to_cog(maps: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write each date of some maps as cloud-optimised GeoTIFFs: facies with their colours and names, and confidence.

    Parameters
    ----------
    maps : Dataset ([time,] y, x)
        As ``classify`` or a store gives them.
    folder : path
        Gets ``facies_DATE.tif`` (uint8, nodata 255, colour table; the classes' names beside it in ``.aux.xml``) and
        ``confidence_DATE.tif`` (float32, nodata NaN), and ``items.json``, which describes them as STAC items. A file is
        there whole, or not at all.

    Returns
    -------
    list of Path

    Raises
    ------
    MissingVariableError
        If there is no ``facies_map``.
    GridError
        If the maps have no georeference.
    """
    stations.require(
        maps, "classify", ["facies_map"], for_what="to_cog()", remedy="Give what classify() or a store gives"
    )
    grids.geobox(maps)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [maps.isel(time=t) for t in range(maps.sizes["time"])] if "time" in maps.dims else [maps]
    made = [date_to_cog(scene, folder) for scene in scenes]
    if items := [item for _, item in made if item is not None]:
        save_items(items, folder)
    return [path for paths, _ in made for path in paths]


def date_to_cog(scene: xr.Dataset, folder: Path) -> tuple[list[Path], pystac.Item | None]:
    """The files of one date in a folder that is there, and their STAC item; none of maps without time."""
    crs = grids.geobox(scene).crs.to_wkt()
    when = f"_{pd.Timestamp(scene.time.values):%Y-%m-%dT%H%M%S}" if "time" in scene.coords else ""
    facies = _raster(scene["facies_map"], crs, NODATA)
    paths = [_cog(facies, folder / f"facies{when}.tif", "mode", _colours())]
    _name_classes(paths[0])
    if "confidence" in scene:
        confidence = _raster(scene["confidence"], crs, np.nan)
        paths.append(_cog(confidence, folder / f"confidence{when}.tif", "average"))
    return paths, _item(scene, paths) if when else None


def save_items(items: list[pystac.Item], folder: Path) -> None:
    """Describe the files of a folder, whole or not at all."""
    draft = folder / ".draft-items.json"
    pystac.ItemCollection(items).save_object(str(draft))
    os.replace(draft, folder / "items.json")


def to_table(data: xr.Dataset, path: str | Path, *, outlines: Any = None) -> Path:
    """Write statistics or balances as a table with a row for each glacier and date, or balance year, and a geometry.

    Parameters
    ----------
    data : Dataset
        As ``statistics``, ``end_of_season`` or ``smb`` give it.
    path : path
        Ends in ``.gpkg``, ``.parquet`` or ``.csv``; replaced if it is there, whole or not at all.
    outlines : path or GeoDataFrame, optional
        Geometry of the glaciers; by default a point inside each.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending is another, or there is nothing by glacier to write.
    """
    path = Path(path)
    one_of("the ending of the table", path.suffix.lower(), TABLES)
    table = _rows(data, outlines)
    draft = path.with_name(f".draft-{path.name}")
    if path.suffix.lower() == ".csv":
        pd.DataFrame(table.drop(columns="geometry")).to_csv(draft, index=False)
    elif path.suffix.lower() == ".gpkg":
        table.to_file(draft, driver="GPKG", layer=path.stem)
    else:
        try:
            table.to_parquet(draft, index=False)
        except ImportError as error:
            raise InputError(f'{path}: GeoParquet needs pyarrow; pip install "facies_xr[parquet]".') from error
    os.replace(draft, path)
    return path


def _rows(data: xr.Dataset, outlines: Any) -> gpd.GeoDataFrame:
    shapes = [set(v.dims) for v in data.data_vars.values()]
    step = next((dim for dim in ("time", "balance_year") if {"glacier", dim} in shapes), None)
    if step is None:
        raise InputError(
            "to_table() writes what statistics(), end_of_season() or smb() give, values by glacier and date or balance "
            f"year; the dataset has dims {', '.join(map(str, data.dims)) or 'none'}."
        )
    dims = {"glacier", step}
    kept = data[[name for name, v in data.data_vars.items() if set(v.dims) <= dims and v.dims]]
    kept = kept.drop_vars([name for name, c in kept.coords.items() if not c.dims or not set(c.dims) <= dims])
    table = kept.compute().to_dataframe(dim_order=["glacier", step]).reset_index()
    table["glacier"] = table["glacier"].astype(str)
    if outlines is not None:
        known = _outlines.read(outlines).drop_duplicates("glacier").set_index("glacier").geometry
        return gpd.GeoDataFrame(table, geometry=known.reindex(table.glacier).to_numpy(), crs=known.crs)
    stations.require(data, "add_terrain", ["longitude", "latitude"], for_what="to_table()", remedy="Give outlines=")
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table.longitude, table.latitude), crs=4326)


def _item(scene: xr.Dataset, paths: list[Path]) -> pystac.Item:
    """STAC item of one date: where, when, which classes, by which model."""
    box = grids.geobox(scene)
    footprint = box.extent.to_crs(4326)
    classes = [
        {"value": c.value, "name": c.name, "description": c.meaning, "color_hint": c.color.removeprefix("#").upper()}
        for c in CLASSES
    ]
    item = pystac.Item(
        id=paths[0].stem,
        geometry=footprint.json,
        bbox=list(footprint.boundingbox),
        datetime=pd.Timestamp(scene.time.values).to_pydatetime(warn=False),
        properties={
            "proj:code": f"EPSG:{box.crs.epsg}" if box.crs.epsg else None,
            "proj:wkt2": box.crs.to_wkt(),
            "proj:shape": list(box.shape),
            "proj:transform": list(box.affine)[:6],
            "mlm:name": str(scene.attrs.get("classifier", "unknown")),
            "mlm:architecture": "network",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": "pytorch",
            "processing:software": {"facies_xr": version("facies_xr")},
            "derived_from": str(scene["item"].item()).split() if "item" in scene.coords else [],
        },
        stac_extensions=list(EXTENSIONS),
    )
    for path in paths:
        kind = path.stem.split("_")[0]
        band: dict[str, Any] = {"data_type": "uint8", "nodata": NODATA, "classification:classes": classes}
        if kind == "confidence":
            band = {"data_type": "float32", "nodata": "nan"}
        media = pystac.MediaType.COG
        item.add_asset(kind, pystac.Asset(path.name, media_type=media, roles=["data"], extra_fields={"bands": [band]}))
    return item


def _colours() -> dict[int, tuple[int, ...]]:
    shown = {c.value: (*(round(255 * v) for v in to_rgb(c.color)), 255) for c in CLASSES}
    return {**shown, NODATA: (0, 0, 0, 0)}


def _raster(array: xr.DataArray, crs: str, nodata: float) -> xr.DataArray:
    return array.drop_encoding().rio.write_crs(crs).rio.write_nodata(nodata)


def _cog(array: xr.DataArray, path: Path, overviews: str, colours: dict[int, tuple[int, ...]] | None = None) -> Path:
    """Cloud-optimised GeoTIFF of an array, by way of a plain one, since only that can take a colour table."""
    plain, draft = (path.with_name(f".{kind}-{path.name}") for kind in ("plain", "draft"))
    array.load().rio.to_raster(plain, driver="GTiff", compress="deflate", tiled=True)
    if colours is not None:
        with rasterio.open(plain, "r+") as file:
            file.write_colormap(1, colours)
    rasterio.shutil.copy(plain, draft, driver="COG", compress="deflate", overview_resampling=overviews)
    plain.unlink()
    os.replace(draft, path)
    return path


def _name_classes(path: Path) -> None:
    """Names of the classes, which a GeoTIFF itself cannot hold, in the file beside it that GDAL reads with it."""
    root = ET.Element("PAMDataset")
    names = ET.SubElement(ET.SubElement(root, "PAMRasterBand", band="1"), "CategoryNames")
    for surface in CLASSES:
        ET.SubElement(names, "Category").text = surface.name
    ET.ElementTree(root).write(path.with_name(path.name + ".aux.xml"))

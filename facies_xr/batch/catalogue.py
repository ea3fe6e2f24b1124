"""The outputs of a run as a static STAC catalogue: a collection, an item for each zone and date, one for each model."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from ..classes import CLASSES, NODATA
from ..nn import patches, registry
from .archive import Archive
from .results import TABLE

FOLDER = "stac"
COLLECTION = f"{FOLDER}/collection.json"
CORE = "1.1.0"
EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
MAPS = [EXTENSION.format(name) for name in ("projection/v2.0.0", "processing/v1.2.0", "classification/v2.0.0")]
MODEL = [EXTENSION.format(name) for name in ("mlm/v1.4.0", "classification/v2.0.0")]
ZARR = "application/vnd.zarr; version=3"
TASK = "semantic-segmentation"


def catalogue(store: str | Path) -> str:
    """Write the static STAC catalogue of an archive, into ``stac/`` in it; addresses are relative.

    Parameters
    ----------
    store : path
        Archive of a run.

    Returns
    -------
    str
        Path or address of the collection.

    Raises
    ------
    StoreError
        If the path is no archive.

    References
    ----------
    STAC 1.1.0; Machine Learning Model extension 1.4.0, whose items describe the classifiers.
    """
    archive = Archive.at(store)
    maps = [item for zone in archive.manifest().zones for item in _maps(archive, zone)]
    boxes = np.array([item["bbox"] for item in maps])
    bbox = [*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()]
    times = sorted(item["properties"]["datetime"] for item in maps)
    models = [model_item(entry["model"], bbox, times) for entry in archive.manifest().configuration["models"]]
    for item in maps:
        item["links"] += [_link("derived_from", f"./{model['id']}.json") for model in models]
    collection = {
        "type": "Collection",
        "stac_version": CORE,
        "id": "glacier-facies-maps",
        "description": "Glacier facies, confidence and albedo, tile by tile, made by facies_xr.",
        "license": "other",
        "extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [[times[0], times[-1]]]}},
        "links": [_link("root", "./collection.json"), *(_link("item", f"./{i['id']}.json") for i in (*maps, *models))],
        "assets": {},
    }
    if TABLE in archive.place.children():
        collection["assets"] = {"glaciers": _asset(f"../{TABLE}", "application/vnd.apache.parquet", "glacier table")}
    for item in (*maps, *models):
        _write(archive, f"{FOLDER}/{item['id']}.json", item)
    _write(archive, COLLECTION, collection)
    return f"{archive.address}/{COLLECTION}"


def _maps(archive: Archive, zone: str) -> list[dict[str, Any]]:
    """An item for each date of a zone: where it has tiles, of which scenes."""
    manifest = archive.manifest()
    frames, box = manifest.tiles.geometry.to_crs(4326).to_numpy(), manifest.box(zone)
    found = []
    for time, rows in manifest.dates[manifest.dates["zone"] == zone].groupby("time"):
        when = pd.Timestamp(int(time), unit="us", tz="UTC")
        tiles = np.unique(np.concatenate([np.asarray(t, int) for t in rows["tiles"]]))
        properties = {
            "datetime": _text(when),
            "proj:code": f"EPSG:{box.crs.epsg}",
            "proj:shape": list(box.shape),
            "proj:transform": list(box.affine)[:6],
            "processing:software": {"facies_xr": version("facies_xr")},
            "derived_from": sorted({item for items in rows["items"] for item in items}),
        }
        name = f"{zone}-{when:%Y%m%dT%H%M%S}"
        item = _item(name, shapely.union_all(frames[tiles]), properties, MAPS)
        item["assets"]["maps"] = {
            **_asset(f"../{zone}", ZARR, "maps of the zone, time along one axis"),
            "bands": [{"name": "facies_map", "data_type": "uint8", "nodata": NODATA,
                       "classification:classes": _classes()}],
        }  # fmt: skip
        found.append(item)
    return found


def model_item(place: str, bbox: list[float], times: list[str]) -> dict[str, Any]:
    """An item for a classifier, by the mlm extension: where and when it was used, what goes in and comes out."""
    model = registry.load_model(place)
    properties = {
        "datetime": None,
        "start_datetime": times[0],
        "end_datetime": times[-1],
        "mlm:name": model.name,
        "mlm:architecture": f"{model.network.kind} ({model.architecture})",
        "mlm:framework": "pytorch",
        "mlm:tasks": [TASK],
        "mlm:input": [
            {
                "name": "features of a pixel and its surroundings",
                "bands": list(model.features),
                "input": {
                    "shape": [-1, len(model.features), patches.SIZE, patches.SIZE],
                    "dim_order": ["batch", "bands", "height", "width"],
                    "data_type": "float32",
                },
            }
        ],
        "mlm:output": [
            {
                "name": "scores of the classes",
                "tasks": [TASK],
                "result": {"shape": [-1, len(CLASSES)], "dim_order": ["batch", "class"], "data_type": "float32"},
                "classification:classes": _classes(),
            }
        ],
    }
    item = _item(f"model-{model.digest[:16]}", shapely.box(*bbox), properties, MODEL)
    href = Path(place).as_uri() if Path(place).suffix else f"facies_xr/models/{place}.safetensors"
    item["assets"]["model"] = {
        **_asset(href, "application/octet-stream; framework=pytorch", "weights and all that goes with them"),
        "roles": ["mlm:model", "mlm:weights"],
        "bands": [{"name": name} for name in model.features],
        "mlm:artifact_type": "safetensors",
    }
    return item


def _item(name: str, shape: Any, properties: dict[str, Any], extensions: list[str]) -> dict[str, Any]:
    links = [_link(kind, "./collection.json") for kind in ("root", "parent", "collection")]
    return {
        "type": "Feature",
        "stac_version": CORE,
        "stac_extensions": extensions,
        "id": name,
        "collection": "glacier-facies-maps",
        "geometry": shapely.geometry.mapping(shape),
        "bbox": list(shape.bounds),
        "properties": properties,
        "links": links,
        "assets": {},
    }


def _link(kind: str, href: str) -> dict[str, str]:
    return {"rel": kind, "href": href, "type": "application/json"}


def _asset(href: str, media: str, title: str) -> dict[str, Any]:
    return {"href": href, "type": media, "title": title, "roles": ["data"]}


def _classes() -> list[dict[str, Any]]:
    return [{"value": c.value, "name": c.name, "description": c.meaning} for c in CLASSES]


def _text(when: pd.Timestamp) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _write(archive: Archive, key: str, document: dict[str, Any]) -> None:
    archive.place.write(key, json.dumps(document, indent=1).encode())

"""The eight readers of what others made: valid inputs, the damage they suffer, what must hold of what is read."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

import facies_xr as fx
from facies_xr import outlines
from facies_xr.nn.classifier import Classifier
from facies_xr.scenes import landsat, sentinel2
from facies_xr.scenes.missions import resolve
from facies_xr.smb import records as balances
from facies_xr.smb.fitted import Fit
from facies_xr.smb.methods.named import METHODS
from facies_xr.smb.problem import OPTIONAL, REQUIRED, Problem
from facies_xr.synthetic.safe import write_safe

from . import damage, plausible


@dataclass(frozen=True)
class Reader:
    """A reader, with what can be done to its inputs."""

    valid: list
    """Inputs that must be read."""
    damaged: Callable[[Random, Any], bytes]
    encoded: Callable[[Any], bytes]
    """A valid input as it stands in a file."""
    read: Callable[[bytes], Any]
    complaints: Callable[[Any], Iterable[str]]
    """What cannot be in what was read."""


@dataclass(frozen=True)
class Sources:
    """Where valid inputs come from."""

    region: Any
    """A synthetic region on disk."""
    world: Any
    data: Path | None
    """Real files, if they are there."""
    folder: Path
    """For the inputs."""

    def real(self, pattern: str) -> list[Path]:
        """Real files of a pattern."""
        return sorted(self.data.glob(pattern)) if self.data else []

    def items(self) -> list[dict]:
        """Items of the region's catalogue."""
        return json.loads(Path(self.region.catalog).read_text())["features"]


def _json(document: Any) -> bytes:
    return damage.as_text(document).encode("utf-8", "replace")


def stac(sources: Sources) -> Reader:
    """One item of a catalogue, as text."""
    documents = sources.items()
    for path in sources.real("stac_items/*.json"):
        found = json.loads(path.read_text())
        for item in found.get("features", [found]) if isinstance(found, dict) else []:
            try:
                resolve(item)
                documents.append(item)
            except fx.errors.FaciesError:  # radar, elevation, and so on
                pass
    likely = ("properties", "bbox", "geometry", "id", "assets", "raster:bands", "href")
    return Reader(
        documents,
        lambda rng, item: _json(damage.of_document(rng, item, likely)),
        _json,
        lambda raw: [resolve(json.loads(raw))],
        plausible.scenes,
    )


def search(sources: Sources) -> Reader:
    """A file of items, as users come by it."""
    path = sources.folder / "items.json"
    items = [{**item, "assets": _absolute(item["assets"], Path(sources.region.catalog).parent)}
             for item in sources.items()]  # fmt: skip
    footprint = outlines.read(sources.region.outlines).to_crs(4326).total_bounds
    area = tuple(float(v) for v in footprint)

    def damaged(rng: Random, document: dict) -> bytes:
        raw = _json(damage.of_document(rng, document, ("properties", "bbox", "geometry", "id", "type", "features")))
        return damage.of_bytes(rng, raw) if rng.random() < 0.3 else raw

    def read(raw: bytes) -> list:
        path.write_bytes(raw)
        return [resolve(item) for item in fx.search(path, area, years=sources.world.years)]

    valid = [{"type": "FeatureCollection", "features": items}, {"type": "FeatureCollection", "features": items[:1]}]
    return Reader(valid, damaged, _json, read, plausible.scenes)


def _absolute(assets: dict, folder: Path) -> dict:
    return {key: {**asset, "href": str((folder / asset["href"]).resolve())} for key, asset in assets.items()}


def mtl(sources: Sources) -> Reader:
    """A Landsat product's metadata, beside files of the names that it gives."""
    folder = sources.folder / "landsat"
    folder.mkdir()

    def damaged(rng: Random, text: str) -> bytes:
        raw = damage.of_assignments(rng, text).encode("utf-8", "replace")
        return damage.of_bytes(rng, raw) if rng.random() < 0.25 else raw

    def read(raw: bytes) -> list:
        path = folder / "LC08_MTL.txt"
        path.write_bytes(raw)
        return landsat.read(path)

    texts = [p.read_text() for p in sources.real("landsat_l1_montana_mission/*/*_MTL.txt")]
    texts += [p.read_text() for p in sorted(Path(sources.region.catalog).parent.glob("scenes/*/*_MTL.txt"))]
    return Reader(texts, damaged, str.encode, read, plausible.scenes)


def safe(sources: Sources) -> Reader:
    """A Sentinel-2 product with one of its two XML files damaged."""
    items = fx.search(sources.region.catalog, sources.region.outlines, years=sources.world.years)
    item = next(item for item in items if "s2:product_uri" in item.properties)
    product = write_safe(item, sources.folder)
    files = {path: path.read_text() for name in ("MTD_MSIL1C.xml", "MTD_TL.xml") for path in product.rglob(name)}
    names = {path.name: path for path in files}

    def encoded(path: Path) -> bytes:
        return path.name.encode() + b"\n" + files[path].encode()

    def damaged(rng: Random, path: Path) -> bytes:
        if rng.random() < 0.25:
            return path.name.encode() + b"\n" + damage.of_bytes(rng, files[path].encode())
        return path.name.encode() + b"\n" + damage.of_markup(rng, files[path])

    def read(raw: bytes) -> list:
        name, _, text = raw.partition(b"\n")
        path = names[name.decode()]
        try:
            path.write_bytes(text)
            return sentinel2.read(product)
        finally:
            path.write_text(files[path])

    return Reader(list(files), damaged, encoded, read, plausible.scenes)


def records(sources: Sources) -> Reader:
    """A table of mass balances."""
    path = sources.folder / "records.csv"

    def damaged(rng: Random, text: str) -> bytes:
        raw = damage.of_table(rng, text).encode("utf-8", "replace")
        return damage.of_bytes(rng, raw) if rng.random() < 0.25 else raw

    def read(raw: bytes) -> pd.DataFrame:
        path.write_bytes(raw)
        return balances.read(path)

    own = (
        "glacier,balance_year,balance,winter_balance,longitude,latitude,accumulation_area_ratio\n"
        "A,2000,-0.5,1.1,10.1,46.2,0.4\nA,2001,-0.7,,10.1,46.2,\nB,2000,0.2,1.0,10.3,46.3,0.7\n"
    )
    real = [p.read_text("latin-1") for p in sources.real("smb_wgms/fog_browser_2024/*.csv")[:20]]
    return Reader([own, Path(sources.region.observations).read_text(), *real], damaged, str.encode, read,
                  plausible.records)  # fmt: skip


def boundaries(sources: Sources) -> Reader:
    """Outlines as GeoJSON."""
    path = sources.folder / "outlines.geojson"
    table = outlines.read(sources.region.outlines).to_crs(4326)
    documents = [json.loads(table.assign(date=table.date.astype(str)).to_json())]
    for source in sources.real("dem_copernicus_baker/baker_glims.geojson"):
        document = json.loads(source.read_text())
        documents.append({**document, "features": document["features"][:3]})

    def damaged(rng: Random, document: dict) -> bytes:
        raw = _json(damage.of_document(rng, document, ("geometry", "properties", "coordinates", "crs", "type")))
        return damage.of_bytes(rng, raw) if rng.random() < 0.3 else raw

    def read(raw: bytes) -> Any:
        path.write_bytes(raw)
        return outlines.read(path)

    return Reader(documents, damaged, _json, read, plausible.outlines)


def model(sources: Sources) -> Reader:
    """A classifier in one file."""
    path = sources.folder / "model.safetensors"
    likely = ("minimum", "maximum", "mean", "tile", "level", "bounds", "name", "card", "feature_set", "calibrator",
              "architecture", "features", "network")  # fmt: skip

    def read(raw: bytes) -> Classifier:
        path.write_bytes(raw)
        found = Classifier.load(path)
        assert found.digest
        return found

    shipped = sorted((Path(fx.__file__).parent / "models").glob("*.safetensors"))
    return Reader(
        [p.read_bytes() for p in shipped],
        lambda rng, raw: damage.of_tensors(rng, raw, likely),
        bytes,
        read,
        plausible.classifier,
    )


def fit(sources: Sources) -> Reader:
    """A fitted balance model."""
    path = sources.folder / "fit.json"
    rng = np.random.default_rng(0)
    rows = pd.DataFrame([(g, year) for g in "ABCD" for year in range(2000, 2009)], columns=["glacier", "balance_year"])
    for name in REQUIRED + OPTIONAL:
        rows[name] = rng.uniform(0.2, 0.8, len(rows))
    rows["flags"] = 0
    rows["observed"] = 3 * rows.snow_fraction - 2 + rng.normal(0, 0.2, len(rows))
    problem = Problem(rows, optional=OPTIONAL)
    documents = [json.loads(Fit.of(problem, method).save(path).read_text()) for method in METHODS]

    def damaged(rng: Random, document: dict) -> bytes:
        raw = _json(damage.of_document(rng, document, ("fitted", "method", "definitions", "format")))
        return damage.of_bytes(rng, raw) if rng.random() < 0.25 else raw

    def read(raw: bytes) -> tuple:
        path.write_bytes(raw)
        predicted = Fit.load(path).predict(problem)
        return predicted.mean, predicted.lower, predicted.upper

    return Reader(documents, damaged, _json, read, lambda found: plausible.prediction(*found))


READERS: dict[str, Callable[[Sources], Reader]] = {
    "stac": stac,
    "search": search,
    "mtl": mtl,
    "safe": safe,
    "records": records,
    "outlines": boundaries,
    "model": model,
    "fit": fit,
}

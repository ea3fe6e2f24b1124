"""What a classifier makes of real snow, ice and rock: figures that a model must reach before it is shipped.

    python examples/gates.py SHARED [MODEL ...]     # "synthetic-v2", "bands-v2", paths of files

* Labelled points of four North American glaciers (Aberle et al. 2025, Sentinel-2): a point's spectrum fills a patch,
  with 8 % of multiplicative noise a pixel; one of four points, all of the site that trained nothing. All of the
  snow that is partly rock is looked at: none of its spectra trained.
* Silvrettagletscher on 17 May 2017, all snow: blue and near infrared are measured, green and red lie on the line
  between them, the shortwave infrared is that of snow (.02).
* Glaciar Vinciguerra in three summers: hand labels of snow and ice, see ``vinciguerra.py``.
* 33 points of firn, and snow and ice of the same Landsat scene (Wolverine): surface reflectance, with a path radiance
  added.

Terrain is not known at the points: a classifier that needs it is shown level, sunlit ice in the middle of its glacier.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import rioxarray
import vinciguerra
import xarray as xr

import facies_xr as fx
from facies_xr.classes import NAMES, VALUES
from facies_xr.nn import registry, spectra, train
from facies_xr.nn.classifier import Classifier
from facies_xr.stations import BANDS

PATH = (0.05, 0.02, 0.015, 0.004, 0.0, 0.0)
"""Reflectance of the air over a black surface."""

BATCH = 512
"""Points of which patches are made at a time."""

THINNED = 4
"""One of so many points is looked at."""

UNSEEN = "Wolverine"
"""All of its points are looked at: it trained nothing."""

MIXED = (0.12, 1.0)
"""A point of snow whose reflectance at 1.6 um lies between these is partly rock; above, it is corrupt."""

LABELS = {1: "snow", 2: "shadow", 3: "ice", 4: "debris", 5: "water"}
"""Classes of Aberle's points; 2 is shadowed snow, 4 is rock."""


@dataclass(frozen=True)
class Gate:
    """Labels that count as right on some surface, and the share of them that is asked for."""

    accepted: tuple[str, ...]
    least: float


GATES = {
    "snow": Gate(("snow",), 0.85),
    "ice": Gate(("ice",), 0.75),
    "debris": Gate(("debris",), 0.80),
    "shadow": Gate(("shadow", "snow"), 0.80),
}
"""On Aberle's points, by class."""

SILVRETTA = 0.90
"""Share of snow on 17 May 2017."""

VINCIGUERRA = {2019: 0.777, 2021: 0.720, 2022: 0.824}
"""Intersection over union of the published ensemble with estimated bounds."""


def aberle(folder: Path, product: str = "TOA") -> pd.DataFrame:
    """Aberle's Sentinel-2 points that are sound: ``site``, ``date``, ``class`` and the six bands.

    The shortwave infrared comes from the surface reflectance file, as the other one has another band in its column;
    one date of Wolverine repeats the spectra of another glacier and is left out.
    """
    tables = {p: pd.read_csv(folder / f"Sentinel-2_{p}_training_data.csv.gz") for p in ("TOA", "SR")}
    toa, sr = tables["TOA"], tables["SR"]
    if not (toa.geometry.equals(sr.geometry) and toa["class"].equals(sr["class"])):
        raise ValueError(f"{folder}: the two files do not hold the same points in the same order.")
    bands = {"blue": "B2", "green": "B3", "red": "B4", "nir": "B8", "swir2": "B12"}
    found = pd.DataFrame({band: tables[product][number] for band, number in bands.items()})
    found.insert(4, "swir1", sr.B11)
    found.insert(0, "class", toa["class"].map(LABELS))
    found.insert(0, "date", toa.image_date)
    found.insert(0, "site", toa.site_name)
    return found[~((toa.site_name == "Wolverine") & (toa.image_date == 20210615))].reset_index(drop=True)


def firn_points(folder: Path) -> pd.DataFrame:
    """Firn, snow and ice of one Landsat scene, as top-of-atmosphere reflectance: ``class`` and the six bands."""
    table = pd.read_csv(folder / "Landsat_Wolverine_20210829_same_scene.csv.gz")
    numbers = [f"SR_B{k}" for k in (2, 3, 4, 5, 6, 7)]
    bands = table[numbers].to_numpy() - 0.2 + np.array(PATH)  # the collection's offset is missing in the file
    found = pd.DataFrame(bands, columns=list(BANDS))
    found.insert(0, "class", table.Class.map({1: "snow", 3: "firn", 4: "ice", 5: "debris"}))
    return found


def probabilities(classifier: Classifier, table: pd.DataFrame) -> np.ndarray:
    """Class scores (point, class) that a classifier gives; shadowed snow lies in terrain shadow."""
    values = table[list(BANDS)].to_numpy("float32")
    shaded = (table["class"] == "shadow").to_numpy()
    found = []
    for k in range(0, len(table), BATCH):
        part = spectra.patches_of(values[k : k + BATCH], classifier.feature_set, shaded[k : k + BATCH], seed=k)
        found.append(train.predict(classifier.network, classifier.inputs(part)))
    return np.concatenate(found)


def shares(classifier: Classifier, table: pd.DataFrame) -> pd.DataFrame:
    """Share of each label, by class of the points (rows)."""
    given = pd.Series(np.array(NAMES)[probabilities(classifier, table).argmax(1)], table.index)
    return pd.crosstab(table["class"], given, normalize="index").reindex(columns=list(NAMES), fill_value=0.0)


def accepted(found: pd.DataFrame) -> dict[str, float]:
    """Share of right labels, by class with a gate."""
    return {name: float(found.loc[name, list(g.accepted)].sum()) for name, g in GATES.items() if name in found.index}


def silvretta(classifier: Classifier, folder: Path, date: str = "20170517") -> dict[str, float]:
    """Share of each label on Silvrettagletscher."""
    file = rioxarray.open_rasterio(folder / "silvretta" / f"RGI50-11.A10G05_{date}.tif")
    assert isinstance(file, xr.DataArray)
    valid = (file > 0).all("band")
    blue, near = (file[k].where(valid).drop_vars("band") / 10000 for k in (0, 2))
    measured = {"blue": blue, "green": 0.8 * blue + 0.2 * near, "red": 0.5 * blue + 0.5 * near, "nir": near}
    swir = dict.fromkeys(("swir1", "swir2"), xr.where(valid, 0.02, np.nan))
    data = _on_level_ice(xr.Dataset(measured | swir).astype("float32"), classifier)
    data = data.rio.write_crs(32632)  # a local grid of 10 m: any zone will do
    maps = fx.classify(data, classifier).compute()
    shown = maps.facies_map.values[valid.values]
    return {name: float((shown == value).mean()) for name, value in VALUES.items()}


def _on_level_ice(data: xr.Dataset, classifier: Classifier) -> xr.Dataset:
    """With the terrain that a classifier asks for, level and lit, one glacier wherever there is data."""
    data.attrs["level"] = "TOA"
    if set(classifier.features) <= set(BANDS):
        return data
    plane = xr.zeros_like(data.blue)
    terrain = {**spectra.TERRAIN, "elevation": 3000.0, "proximity": 400.0}
    data = data.assign({name: plane + value for name, value in terrain.items() if name != "shadow_mask"})
    data["shadow_mask"], data["glacier_index"] = (plane + 1).astype("uint8"), (plane + 1).fillna(0).astype("int32")
    bounds = {"glacier_elevation_min": 2500.0, "glacier_elevation_max": 3500.0, "glacier_proximity_max": 1000.0}
    data = data.assign_coords(glacier=["one"], glacier_number=("glacier", np.array([1], "int32")))
    return data.assign({name: ("glacier", np.array([value], "float32")) for name, value in bounds.items()})


def vinciguerra_iou(classifier: Classifier, folder: Path) -> dict[int, float]:
    """Intersection over union of snow, ice, firn and refrozen-like ice with hand labels, by year."""
    found = {}
    for year in VINCIGUERRA:
        data = vinciguerra.cube(folder / f"vinciguerra_{year}_l1c.tif", year)
        maps = fx.classify(_on_level_ice(data, classifier), classifier).compute()
        valid = np.isfinite(data.blue.values)
        mapped: np.ndarray = np.isin(maps.facies_map.values, vinciguerra.GLACIER)
        found[year] = vinciguerra.iou(mapped[valid], vinciguerra.labelled(folder, year)[valid])
    return found


def main() -> None:
    """Print every gate for every model."""
    data, models = Path(sys.argv[1]) / "data", sys.argv[2:] or registry.names()
    sound = aberle(data / "facies_points_aberle")
    table = sound[::THINNED].reset_index(drop=True)
    by_name = dict(iter(table.groupby("site"))) | {UNSEEN: sound[sound.site == UNSEEN].reset_index(drop=True)}
    mixed = sound[(sound["class"] == "snow") & sound.swir1.between(*MIXED)].reset_index(drop=True)
    firn = firn_points(data / "facies_points_aberle_firn")
    for name in models:
        classifier = registry.load_model(name)
        print(f"\n{name}: labels of the points, rows sum to 1")
        print(shares(classifier, table).round(3).to_string())
        by_site = {site: accepted(shares(classifier, rows)) for site, rows in by_name.items()}
        by_site["all"] = accepted(shares(classifier, table))
        least = {cls: gate.least for cls, gate in GATES.items()}
        print(pd.DataFrame({**by_site, "asked for": least}).T.round(3).to_string())
        found = shares(classifier, mixed).snow.item()
        mixed_by_site = {site: round(shares(classifier, rows).snow.item(), 3) for site, rows in mixed.groupby("site")}
        print(f"snow that is partly rock, of {len(mixed)} points: {found:.3f}; {mixed_by_site}")
        print("firn, snow, ice of one scene")
        print(shares(classifier, firn).round(3).to_string())
        snow = silvretta(classifier, data / "s2_l1c_blue_nir_swiss")
        print(f"Silvretta in May: snow {snow['snow']:.3f}, firn {snow['firn']:.3f} (asked for: {SILVRETTA})")
        iou = vinciguerra_iou(classifier, data / "s2_l1c_vinciguerra")
        print("Vinciguerra:", ", ".join(f"{y} {v:.3f} (asked for: {VINCIGUERRA[y]})" for y, v in iou.items()))


if __name__ == "__main__":
    main()

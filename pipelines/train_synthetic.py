"""Train the classifiers that come with the package, on synthetic worlds only.

    python pipelines/train_synthetic.py build WORLDS      # 48 randomised worlds and their samples, about 30 minutes
    python pipelines/train_synthetic.py train WORLDS 4    # feature set 4 -> facies_xr/models/synthetic-v1
    python pipelines/train_synthetic.py train WORLDS 1    # feature set 1 -> facies_xr/models/synthetic-v1-bands
    python pipelines/train_synthetic.py train WORLDS 4 dense  # -> facies_xr/models/synthetic-v1-dense
    python pipelines/train_synthetic.py areas WORLDS synthetic-v1  # again, for the intervals of areas, 5 minutes
    python pipelines/train_synthetic.py check WORLDS synthetic-v1  # these intervals on the test worlds, 5 minutes

Worlds 0-31 train, 32-39 choose the epoch and fit the calibrator, 40-47 test. No pixel of the test worlds is seen
before the scores on the data card are computed.
"""

import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

import facies_xr as fx
from facies_xr import metrics
from facies_xr.classes import NAMES, NODATA
from facies_xr.maps import counting, uncertainty
from facies_xr.maps.statistics import CORRECTIONS
from facies_xr.nn import registry, train
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.labels import Samples, sample
from facies_xr.synthetic import Region, World
from facies_xr.synthetic.world import VERSION

FIRST_SEED = 10_000
TRAIN, VALIDATION, TEST = range(32), range(32, 40), range(40, 48)
SETTINGS = train.Settings(epochs=10, batch=64, dropout=0.2)
TRAINED, CHECKED, HELD_OUT = 12_800, 2_000, 8_000
"""Points that train, that choose the epoch, and of each of the two sets that fit the calibrator and test."""
FEWEST = 2000
"""Pixels of a scene whose areas count."""

NAME = {4: "synthetic-v1", 1: "synthetic-v1-bands"}
MODELS = Path(fx.__file__).parent / "models"


def randomised(k: int) -> World:
    """A world of random size, place, years and climate."""
    rng = np.random.default_rng([FIRST_SEED, k])
    years = np.sort(rng.choice(np.arange(1986, 2025), 7, replace=False))
    return World(
        seed=FIRST_SEED + k,
        years=tuple(int(y) for y in years),
        glaciers=int(rng.integers(5, 9)),
        glacier_length=float(rng.choice([600, 800, 1100, 1600, 2400])),
        longitude=float(rng.uniform(8, 11.9)),
        latitude=float(rng.choice([43.0, 46.9, 61.0, 69.0])),
    )


def build(folder: Path, k: int) -> None:
    """Samples of feature set 4 of one world, as arrays; the world itself is not kept."""
    target = folder / f"{k:03d}.npz"
    if target.exists():
        return
    warnings.simplefilter("ignore")
    world = randomised(k)
    region = world.build(folder / f"world-{k:03d}")
    cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
    cube = fx.add_terrain(cube, region.dem, region.outlines)
    found = sample(cube, gpd.read_file(region.points), 4)
    np.savez(
        target, patches=found.patches.astype("float16"), label=found.label, glacier=found.glacier, scene=found.scene
    )


def samples(folder: Path, worlds: range, feature_set: int, most: int) -> Samples:
    """Samples of some worlds in random order, as many of each world."""
    rng = np.random.default_rng(worlds.start)
    parts = []
    for k in worlds:
        with np.load(folder / f"{k:03d}.npz") as file:
            rows = rng.permutation(file["label"].size)[: most // len(worlds)]
            patches = file["patches"][rows, : len(FEATURE_SETS[feature_set])].astype("float32")
            parts.append(Samples(patches, file["label"][rows], file["glacier"][rows], file["scene"][rows]))
    found = Samples.concat(parts)
    return found[rng.permutation(len(found))]


def scores(classifier: Classifier, tested: Samples) -> dict:
    """Scores on labelled points of the test worlds."""
    found = train.predict(classifier.network, train.scaled(tested.patches, classifier.minimum, classifier.maximum,
                                                           classifier.mean))  # fmt: skip
    label, score = found.argmax(1), found.max(1)
    assert classifier.calibrator is not None
    confidence = classifier.calibrator(label, score)
    counts = metrics.confusion(tested.label, label, len(NAMES))
    f1, right = metrics.f1(counts), label == tested.label
    return {
        "points": len(tested),
        "scenes": int(np.unique(tested.scene).size),
        "macro_f1": round(float(np.nanmean(f1)), 3),
        "f1": dict(zip(NAMES, f1.round(3).tolist(), strict=True)),
        "accuracy": round(float(right.mean()), 3),
        "ece_15_before": round(metrics.calibration_error(score, right), 4),
        "ece_15": round(metrics.calibration_error(confidence, right), 4),
        "ece_15_of_a_perfect_classifier": round(metrics.null_calibration_error(confidence), 4),
    }


def maps_and_truth(folder: Path, k: int, classifier: Classifier) -> tuple[xr.Dataset, np.ndarray]:
    """Calibrated maps of a world, in memory, and the true class of the ground (time, y, x)."""
    world, region = randomised(k), Region(folder / f"world-{k:03d}")
    cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
    cube = fx.add_terrain(cube, region.dem, region.outlines)
    maps = cube.facies.classify(classifier, probability=True).facies.calibrate().compute()
    truth = region.truth()["surface"].reindex(y=maps.y, x=maps.x, fill_value=NODATA)
    return maps, truth.sel(time=maps.time, method="nearest").values


def with_areas(folder: Path, classifier: Classifier) -> Classifier:
    """The classifier with the class weights that give the true areas of the validation worlds' scenes."""
    assert classifier.calibrator is not None
    found = []
    for k in VALIDATION:
        maps, truth = maps_and_truth(folder, k, classifier)
        for t, surface in enumerate(truth):
            here = maps.isel(time=t)
            r, c, p = uncertainty.seen_surface(
                np.where(here.facies_map == NODATA, counting.UNSEEN, here.facies_map),
                np.where(surface == NODATA, 0, here.glacier_index),
                *(here[name].values for name in ("elevation", "confidence", "probability")),
            )
            if r.size >= FEWEST:
                areas = np.bincount(surface[r, c], minlength=len(NAMES)) / r.size
                weights = np.ones(len(NAMES))
                weights[list(counting.SURFACE)] = uncertainty.weights_for(p, areas[list(counting.SURFACE)])
                found.append(tuple(weights.round(3).tolist()))
    return replace(classifier, calibrator=replace(classifier.calibrator, scenes=tuple(found)))


def check_areas(folder: Path, classifier: Classifier) -> pd.DataFrame:
    """Accumulation area ratios of the test worlds against the truth, for each correction of the probabilities."""
    rows = []
    for k in TEST:
        maps, truth = maps_and_truth(folder, k, classifier)
        true_maps = maps.assign(facies_map=maps.facies_map.copy(data=truth))
        known = fx.statistics(true_maps, draws=0, min_coverage=0.5).compute()
        for correction in CORRECTIONS:
            found = fx.statistics(maps, correction=correction).compute()
            for name in ("accumulation_area_ratio", "snow_line_altitude"):
                low, high = (found[f"{name}_{end}"].values for end in ("lower", "upper"))
                expected = found.get(f"{name}_expected", found[name])
                rows.append(
                    pd.DataFrame(
                        {
                            "statistic": name,
                            "correction": correction,
                            "of the map": (found[name] - known[name]).values.ravel(),
                            "expected": (expected - known[name]).values.ravel(),
                            "covered": ((known[name].values >= low) & (known[name].values <= high)).ravel(),
                            "width": (high - low).ravel(),
                        }
                    ).dropna()
                )
    table = pd.concat(rows).groupby(["statistic", "correction"])
    return pd.DataFrame(
        {
            "n": table.size(),
            **{f"bias {name}": table[name].mean() for name in ("of the map", "expected")},
            **{f"rmse {name}": table[name].agg(lambda v: (v**2).mean() ** 0.5) for name in ("of the map", "expected")},
            "covered": table["covered"].mean(),
            "width": table["width"].mean(),
        }
    ).round(3)


def main() -> None:
    """Build or train, as the arguments say."""
    command, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if command == "build":
        (folder / "VERSION").write_text(str(VERSION))
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(build, [folder] * 48, range(48)))
        return
    if command == "areas":
        classifier = with_areas(folder, registry.load_model(sys.argv[3]))
        print(classifier.save(MODELS / f"{sys.argv[3]}.safetensors"))
        return
    if command == "check":
        warnings.simplefilter("ignore")
        print(check_areas(folder, registry.load_model(sys.argv[3])).to_string())
        return
    feature_set, architecture = int(sys.argv[3]), (sys.argv[4:] or ["patch"])[0]
    name = NAME[feature_set] + ("" if architecture == "patch" else f"-{architecture}")
    settings = replace(SETTINGS, architecture=architecture)
    fitted = samples(folder, TRAIN, feature_set, TRAINED)
    validated, tested = (samples(folder, worlds, feature_set, HELD_OUT) for worlds in (VALIDATION, TEST))
    run = train.fit(fitted, validated[:CHECKED], feature_set, name, settings)
    network = run.classifier
    checked = train.predict(
        network.network, train.scaled(validated.patches, network.minimum, network.maximum, network.mean)
    )
    population = "labelled points of synthetic worlds, classes in equal numbers where they are common"
    calibrator = Calibrator.fit(checked.argmax(1), checked.max(1), validated.label, population)
    network = replace(network, calibrator=calibrator)
    card = {
        "trained_on": f"{len(fitted)} labelled points in worlds {TRAIN.start}-{TRAIN.stop - 1} of "
        "facies_xr.synthetic (pipelines/train_synthetic.py); no real scene",
        "epochs": SETTINGS.epochs,
        "best_epoch": run.best_epoch + 1,
        "synthetic_scores": scores(network, tested),
        "world_version": (folder / "VERSION").read_text(),
        "licence": "MIT",
        "not_for": "conclusions about real glaciers: it has seen none. Use it to try the package, and train or import "
        "a classifier for real scenes.",
    }
    path = with_areas(folder, replace(network, card=card)).save(MODELS / f"{name}.safetensors")
    print(path, json.dumps(card, indent=1))


if __name__ == "__main__":
    main()

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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

import facies_xr as fx
from facies_xr import metrics
from facies_xr.classes import NAMES, NODATA
from facies_xr.maps import uncertainty
from facies_xr.maps.codes import SURFACE, UNSEEN
from facies_xr.maps.statistics import CORRECTIONS
from facies_xr.nn import registry, train
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.labels import Samples, sample
from facies_xr.synthetic import Region, World
from facies_xr.synthetic.world import VERSION

FIRST_SEED = 10_000
SETTINGS = train.Settings(epochs=10, batch=64, dropout=0.2)

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


@dataclass(frozen=True)
class Plan:
    """Which worlds are for what, and how many of their points."""

    world: Callable[[int], World] = randomised
    """World of a number."""
    train: range = range(32)
    validation: range = range(32, 40)
    """These choose the epoch and fit the calibrator."""
    test: range = range(40, 48)
    trained: int = 12_800
    """Points that train."""
    checked: int = 2_000
    """Points that choose the epoch."""
    held_out: int = 8_000
    """Points of each of the two sets that fit the calibrator and test."""
    fewest: int = 2_000
    """Pixels of a scene whose areas count."""


PLAN = Plan()


def cube_of(folder: Path, plan: Plan, k: int) -> tuple[Region, xr.Dataset]:
    """A world, built if it is not there, and its cube."""
    world = plan.world(k)
    region = world.build(folder / f"world-{k:03d}")
    cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
    return region, fx.add_terrain(cube, region.dem, region.outlines)


def build(folder: Path, plan: Plan, k: int) -> None:
    """Samples of feature set 4 of one world, as arrays."""
    target = folder / f"{k:03d}.npz"
    if target.exists():
        return
    warnings.simplefilter("ignore")
    region, cube = cube_of(folder, plan, k)
    samples = sample(cube, gpd.read_file(region.points), 4)
    np.savez(
        target,
        patches=samples.patches.astype("float16"),
        label=samples.label,
        glacier=samples.glacier,
        scene=samples.scene,
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


def trained(folder: Path, plan: Plan, feature_set: int, name: str, settings: train.Settings) -> Classifier:
    """A classifier with its calibrator and data card."""
    fitted = samples(folder, plan.train, feature_set, plan.trained)
    validated, tested = (samples(folder, worlds, feature_set, plan.held_out) for worlds in (plan.validation, plan.test))
    run = train.fit(fitted, validated[: plan.checked], feature_set, name, settings)
    found = train.predict(run.classifier.network, run.classifier.inputs(validated.patches))
    population = "labelled points of synthetic worlds, classes in equal numbers where they are common"
    calibrator = Calibrator.fit(found.argmax(1), found.max(1), validated.label, population)
    classifier = replace(run.classifier, calibrator=calibrator)
    card = {
        "trained_on": f"{len(fitted)} labelled points in worlds {plan.train.start}-{plan.train.stop - 1} of "
        "facies_xr.synthetic (pipelines/train_synthetic.py); no real scene",
        "epochs": settings.epochs,
        "best_epoch": run.best_epoch + 1,
        "synthetic_scores": scores(classifier, tested),
        "world_version": (folder / "VERSION").read_text(),
        "licence": "MIT",
        "not_for": "conclusions about real glaciers: it has seen none. Use it to try the package, and train or import "
        "a classifier for real scenes.",
    }
    return replace(classifier, card=card)


def scores(classifier: Classifier, tested: Samples) -> dict:
    """Scores on labelled points of the test worlds."""
    assert classifier.calibrator is not None
    found = train.predict(classifier.network, classifier.inputs(tested.patches))
    label, score = found.argmax(1), found.max(1)
    confidence = classifier.calibrator(label, score)
    f1, right = metrics.f1(metrics.confusion(tested.label, label, len(NAMES))), label == tested.label
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


def maps_and_truth(folder: Path, plan: Plan, k: int, classifier: Classifier) -> tuple[xr.Dataset, np.ndarray]:
    """Calibrated maps of a world, in memory, and the true class of the ground (time, y, x)."""
    region, cube = cube_of(folder, plan, k)
    maps = cube.facies.classify(classifier, class_score=True).facies.calibrate().compute()
    truth = region.truth()["surface"].reindex(y=maps.y, x=maps.x, fill_value=NODATA)
    return maps, truth.sel(time=maps.time, method="nearest").values


def with_areas(folder: Path, plan: Plan, classifier: Classifier) -> Classifier:
    """The classifier with the class weights that give the true areas of the validation worlds' scenes."""
    assert classifier.calibrator is not None
    scenes = []
    for k in plan.validation:
        maps, truth = maps_and_truth(folder, plan, k, classifier)
        for t, surface in enumerate(truth):
            scene = maps.isel(time=t)
            r, c, p = uncertainty.seen_surface(
                codes=np.where(scene.facies_map == NODATA, UNSEEN, scene.facies_map),
                index=np.where(surface == NODATA, 0, scene.glacier_index),
                elevation=scene.elevation.values,
                confidence=scene.confidence.values,
                probability=scene.probability.values,
            )
            if r.size >= plan.fewest:
                areas = np.bincount(surface[r, c], minlength=len(NAMES)) / r.size
                weights = np.ones(len(NAMES))
                weights[list(SURFACE)] = uncertainty.weights_for(p, areas[list(SURFACE)])
                scenes.append(tuple(weights.round(3).tolist()))
    return replace(classifier, calibrator=replace(classifier.calibrator, scenes=tuple(scenes)))


def check_areas(folder: Path, plan: Plan, classifier: Classifier) -> pd.DataFrame:
    """Accumulation area ratios of the test worlds against the truth, for each correction of the probabilities."""
    rows = []
    for k in plan.test:
        maps, truth = maps_and_truth(folder, plan, k, classifier)
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
    """Build, train, or compute and check the areas, as the arguments say."""
    command, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if command == "build":
        (folder / "VERSION").write_text(str(VERSION))
        numbers = [*PLAN.train, *PLAN.validation, *PLAN.test]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(build, [folder] * len(numbers), [PLAN] * len(numbers), numbers))
    elif command == "train":
        feature_set, architecture = int(sys.argv[3]), (sys.argv[4:] or ["patch"])[0]
        name = NAME[feature_set] + ("" if architecture == "patch" else f"-{architecture}")
        classifier = trained(folder, PLAN, feature_set, name, replace(SETTINGS, architecture=architecture))
        print(with_areas(folder, PLAN, classifier).save(MODELS / f"{name}.safetensors"))
        print(json.dumps(classifier.card, indent=1))
    elif command == "areas":
        classifier = with_areas(folder, PLAN, registry.load_model(sys.argv[3]))
        print(classifier.save(MODELS / f"{sys.argv[3]}.safetensors"))
    elif command == "check":
        warnings.simplefilter("ignore")
        print(check_areas(folder, PLAN, registry.load_model(sys.argv[3])).to_string())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

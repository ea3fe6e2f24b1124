"""Confident learning on labels with known errors: what pruning finds, what it costs, and what it is good for.

    python benchmarks/confident.py [GLACIERS YEARS POINTS]     # 7 5 780

Samples of synthetic worlds with their true classes, of which 8 % of the facies are made wrong ("uniform": any other
facies; "transition": mostly those that experts confuse). A random forest on the pixel in the middle and the mean and
standard deviation of its patch stands for the network, so that all protocols take minutes; the protocols are those of
``facies-xr train``. Six folds of glaciers. Precision: share of the pruned labels that are wrong. Recall: share of the
wrong labels that are pruned. F1 is of all samples, on the TRUE classes, by models of their test folds.
"""

import sys
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

import facies_xr as fx
from facies_xr import folds, metrics
from facies_xr.classes import NAMES
from facies_xr.nn import confident, crossval, labels
from facies_xr.nn.labels import Samples
from facies_xr.nn.patches import RADIUS
from facies_xr.synthetic import World

SHARE = 0.08
SEEDS = (21, 22, 23)
FOLDS = 6
WAYS = {
    "published": ("published", 1.0),
    "nested, no cap": ("nested", 1.0),
    "nested, 10 %": ("nested", confident.CAP),
}


def described(samples: Samples) -> np.ndarray:
    """Middle, mean and standard deviation of each feature of a patch. (n, 3 features)"""
    patches = samples.patches[:]
    middle = patches[:, :, RADIUS, RADIUS]
    return np.nan_to_num(np.concatenate([middle, np.nanmean(patches, (2, 3)), np.nanstd(patches, (2, 3))], 1))


@dataclass(frozen=True)
class Forest:
    """A random forest that knows which classes it has seen."""

    forest: Any

    def predict(self, samples: Samples) -> np.ndarray:
        """Scores (n, class)."""
        score = np.zeros((len(samples), len(NAMES)), "float32")
        score[:, self.forest.classes_] = self.forest.predict_proba(described(samples))
        return score


@dataclass(frozen=True)
class ForestLearner:
    """Learns one."""

    trees: int = 100

    def fit(self, train: Samples, validation: Samples, name: str, checkpoint: Path | None) -> Forest:
        """A forest, classes in equal weight; it has no epoch to choose."""
        forest = RandomForestClassifier(self.trees, min_samples_leaf=3, class_weight="balanced", random_state=0)
        return Forest(forest.fit(described(train), train.label))


def world_samples(seed: int, glaciers: int, years: int, points: int, folder: Path) -> Samples:
    """Samples of a world, labelled by its truth."""
    made = World(
        seed=seed, years=tuple(1995 + 6 * k for k in range(years)), glaciers=glaciers, glacier_length=700.0
    ).build(folder / str(seed))
    items = fx.search(made.catalog, made.outlines, years=[1995 + 6 * k for k in range(years)])
    cube = fx.add_terrain(fx.load(items, made.outlines), made.dem, made.outlines)
    table = gpd.read_file(made.points)
    table = table.assign(**{"class": table["truth"]}).sample(min(points, len(table)), random_state=seed)
    found = labels.sample(cube, table, 4)
    glacier, scene = (np.char.add(f"{seed} ", getattr(found, n).astype(str)) for n in ("glacier", "scene"))
    return replace(found, glacier=glacier, scene=scene)


def macro_f1(truth: np.ndarray, score: np.ndarray) -> float:
    """Macro F1."""
    return float(np.nanmean(metrics.f1(metrics.confusion(truth, score.argmax(1), len(NAMES)))))


def study(samples: Samples, learner: crossval.Learner, kind: str, seed: int) -> list[dict[str, Any]]:
    """What each way of pruning does, on samples whose labels are true."""
    truth = samples.label
    given = confident.with_errors(truth, SHARE, kind, np.random.default_rng(seed)) if kind != "none" else truth
    noisy = replace(samples, label=given)
    fold = folds.stratified(samples.glacier, FOLDS, truth)
    rows = []
    for way, (protocol, cap) in WAYS.items():
        found = crossval.cross_validate(learner, noisy, fold, protocol=protocol, cap=cap)
        pruned = found.pruned & (fold != np.arange(FOLDS)[:, None])  # what the models of a fold could have learned from
        wrong = np.broadcast_to(given != truth, pruned.shape)
        could = np.broadcast_to(fold != np.arange(FOLDS)[:, None], pruned.shape)
        rows.append(
            {
                "errors": kind,
                "pruning": way,
                "precision": wrong[pruned].mean(),
                "recall": pruned[wrong & could].mean() if wrong.any() else np.nan,
                "correct pruned": pruned[~wrong & could].mean(),
                "F1 before": macro_f1(truth, found.before),
                "F1 after": macro_f1(truth, found.after),
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    glaciers, years, points = map(int, sys.argv[1:4]) if len(sys.argv) > 3 else (7, 5, 780)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            samples = world_samples(seed, glaciers, years, points, Path(folder))
            glaciers_of = [np.unique(samples.glacier[samples.label == k]).size for k in range(len(NAMES))]
            common = np.isin(samples.label, np.flatnonzero(np.array(glaciers_of) >= 5))
            for kind in ("uniform", "transition", "none"):
                rows += study(samples[common], ForestLearner(), kind, seed)
    table = pd.DataFrame(rows).groupby(["errors", "pruning"], sort=False)
    print(table.mean().round(3).to_string())


if __name__ == "__main__":
    main()

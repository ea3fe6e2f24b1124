"""What single pixels tell: a forest and a small network on labelled points of real glaciers, a site left out at a time.

    python examples/pixels.py SHARED

Points have no neighbourhood, so this is a floor for classifiers that see one. Sentinel-2 points have five sound bands
at the top of the atmosphere (no 1.6 um), six with that band from the surface reflectance file; Landsat points are
surface reflectance, with the offset of Collection 2 applied. Water lies at one site, so no fold can know it: the
headline is the mean F1 of snow, shadow, ice and debris.
"""

import sys
from pathlib import Path

import gates
import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facies_xr import metrics
from facies_xr.stations import BANDS

CLASSES = ("ice", "snow", "debris", "shadow", "water")
HEADLINE = ("ice", "snow", "debris", "shadow")

FOREST = RandomForestClassifier(100, min_samples_leaf=2, n_jobs=1, random_state=0)
NETWORK = make_pipeline(
    StandardScaler(), MLPClassifier((32, 32), alpha=1e-2, early_stopping=True, max_iter=200, random_state=0)
)
PIXEL = {"forest": FOREST, "network": NETWORK}


def landsat_points(folder: Path) -> pd.DataFrame:
    """Aberle's Landsat points, surface reflectance: ``site``, ``date``, ``class`` and the six bands."""
    table = pd.read_csv(folder / "Landsat_training_data.csv.gz")
    numbers = [f"SR_B{k}" for k in (2, 3, 4, 5, 6, 7)]
    found = (table[numbers] - 0.2).set_axis(list(BANDS), axis=1)  # the collection's offset is missing in the file
    found.insert(0, "class", table["class"].map(gates.LABELS))
    found.insert(0, "date", table.image_date)
    found.insert(0, "site", table.site_name)
    return found[table[numbers].gt(0).all(axis=1)].reset_index(drop=True)


def with_contrast(table: pd.DataFrame, bands: list[str]) -> np.ndarray:
    """Logarithms of the bands, and of each relative to their mean: what does not change with the light."""
    values = np.log(table[bands].to_numpy().clip(0.003))
    return np.concatenate([values, values - values[:, :4].mean(1, keepdims=True)], 1)


def held_out(model: ClassifierMixin, x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Probabilities (point, class of ``CLASSES``) of each group by a model that has not seen it."""
    out = np.zeros((len(y), len(CLASSES)))
    for fitted, tested in LeaveOneGroupOut().split(x, y, groups):
        found = clone(model).fit(x[fitted], y[fitted])
        out[np.ix_(tested, [CLASSES.index(name) for name in found.classes_])] = found.predict_proba(x[tested])
    return out


def scores(probability: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy, mean F1 with and without water, F1 of each class, calibration error with its value by chance."""
    truth = np.array([CLASSES.index(name) for name in y])
    label, confidence = probability.argmax(1), probability.max(1)
    f1 = np.nan_to_num(metrics.f1(metrics.confusion(truth, label, len(CLASSES))))
    by_name = dict(zip(CLASSES, f1, strict=True))
    return {
        "accuracy": float((label == truth).mean()),
        "macro F1": float(f1.mean()),
        "without water": float(np.mean([by_name[name] for name in HEADLINE])),
        **by_name,
        "ECE 100": metrics.calibration_error(confidence, label == truth, 100, equal_count=False),
        "by chance": metrics.null_calibration_error(confidence, 100, equal_count=False),
    }


def table(folder: Path) -> pd.DataFrame:
    """Scores of every model on every set of points."""
    five = [band for band in BANDS if band != "swir1"]
    sentinel, landsat = gates.aberle(folder), landsat_points(folder)
    sets = {
        "Sentinel-2, 5 bands": (sentinel, five),
        "Sentinel-2, 6 bands": (sentinel, list(BANDS)),
        "Landsat, 6 bands": (landsat, list(BANDS)),
    }
    rows = {}
    for name, (points, bands) in sets.items():
        y, groups = points["class"].to_numpy(), points["site"].to_numpy()
        for form, x in (("", points[bands].to_numpy()), (", contrasts", with_contrast(points, bands))):
            for model, estimator in PIXEL.items():
                rows[name, model + form] = scores(held_out(estimator, x, y, groups), y)
    return pd.DataFrame(rows).T


def main() -> None:
    """Print the table."""
    print(table(Path(sys.argv[1]) / "data" / "facies_points_aberle").round(3).to_string())


if __name__ == "__main__":
    main()

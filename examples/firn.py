"""Firn, snow and ice of the one real scene at hand that has all three: what classifiers make of its labelled points.

    python examples/firn.py SHARED [MODEL ...]     # "synthetic-v2", "bands-v2", paths of files

Wolverine, Landsat 8 on 29 August 2021 (Aberle et al.): 33 points of firn, 495 of snow, 460 of ice. Models are shown
patches of one spectrum, on level and sunlit ice where they need terrain. Beside them classifiers of single pixels that
were trained on this very scene, on points that do not lie together with those that they are asked about: what the bands
tell at best, and of no other glacier. Whether firn's score would tell firn apart, whatever label is the
largest, is said by the area under the curve: .5 by chance.
"""

import sys
from pathlib import Path

import gates
import numpy as np
import pandas as pd
import pixels
from scipy.stats import mannwhitneyu
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from facies_xr.classes import NAMES
from facies_xr.nn import registry
from facies_xr.stations import BANDS

SURFACES = ("ice", "snow", "firn")

TOGETHER = 11
"""Points of a class come in the order in which they were drawn; so many stay in one fold."""

PIXEL: dict[str, ClassifierMixin] = {
    "forest": RandomForestClassifier(300, n_jobs=1, random_state=0),
    "perceptron": MLPClassifier((32, 32), alpha=1e-2, max_iter=300, random_state=0),
}


def held_out(model: ClassifierMixin, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probabilities (point, class of ``NAMES``), five folds, classes of equal weight."""
    out = np.zeros((len(y), len(NAMES)))
    for fitted, tested in GroupKFold(5).split(x, y, np.arange(len(y)) // TOGETHER):
        scale = StandardScaler().fit(x[fitted])
        weight = compute_sample_weight("balanced", y[fitted])
        found = clone(model).fit(scale.transform(x[fitted]), y[fitted], sample_weight=weight)
        columns = [NAMES.index(name) for name in found.classes_]
        out[np.ix_(tested, columns)] = found.predict_proba(scale.transform(x[tested]))
    return out


def row(score: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Shares of labels, and how well the score of firn tells firn apart."""
    label = np.array(NAMES)[score.argmax(1)]
    shares = {f"firn called {name}": float((label[truth == "firn"] == name).mean()) for name in SURFACES}
    right = {f"{name} called {name}": float((label[truth == name] == name).mean()) for name in ("snow", "ice")}
    firn = score[:, NAMES.index("firn")]
    area = {f"area against {name}": _area(firn[truth == "firn"], firn[truth == name]) for name in ("ice", "snow")}
    return {**shares, **right, **area}


def _area(more: np.ndarray, less: np.ndarray) -> float:
    """Probability that one of the first is greater than one of the second."""
    return float(mannwhitneyu(more, less).statistic / (more.size * less.size))


def table(points: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Scores of all classifiers on points of the three surfaces."""
    points = points[points["class"].isin(SURFACES)].reset_index(drop=True)
    truth = points["class"].to_numpy()
    rows = {name: row(gates.probabilities(registry.load_model(name), points), truth) for name in models}
    forms = {"": points[list(BANDS)].to_numpy(), ", contrasts": pixels.with_contrast(points, list(BANDS))}
    for name, model in PIXEL.items():
        rows |= {f"{name}{form}, this scene": row(held_out(model, x, truth), truth) for form, x in forms.items()}
    return pd.DataFrame(rows).T


def main() -> None:
    """Print the table."""
    points = gates.firn_points(Path(sys.argv[1]) / "data" / "facies_points_aberle_firn")
    print(table(points, sys.argv[2:] or ["bands-v2", "synthetic-v2", "synthetic-v1-bands"]).round(2).to_string())


if __name__ == "__main__":
    main()

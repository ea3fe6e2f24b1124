"""Which way to calibrate is best on folds that differ from the one it was fitted on.

    python benchmarks/calibrators.py [REPEATS SAMPLES]     # 10 6000

Scores are made up, since only then the shift is known: six folds a repeat, each with classes in shares of its own, its
own sharpness of the scores (another sensor), a bias of its own towards some classes (another region), and labels of
which some are wrong, mostly between neighbours. A way is fitted on one fold and judged on the next; all six are pooled,
as in the paper. Printed are means over repeats: ECE of 100 bins, that of the samples predicted as a class (mean and
worst of the classes with at least 200), Brier score and log loss of all classes' probabilities.
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facies_xr import metrics
from facies_xr.classes import NAMES
from facies_xr.nn import calibrators, confident
from facies_xr.nn.calibrators import softmax

SHARES = np.array([0.373, 0.215, 0.161, 0.152, 0.072, 0.017, 0.005, 0.0045])
"""Of the published labels, in the order of the classes (Maslov et al. 2026, section 2)."""


@dataclass(frozen=True)
class Shift:
    """How folds differ."""

    shares: float = 20.0
    """Of a Dirichlet of the classes' shares about the published ones: the smaller, the more they differ."""
    sharpness: float = 0.25
    """Standard deviation of the logarithm of what multiplies the logits."""
    bias: float = 0.4
    """Standard deviation of what is added to each class's logit."""
    errors: float = 0.08
    """Share of the labels of facies that are wrong."""


SHIFTS = {"full": Shift(), "half": Shift(40.0, 0.125, 0.2, 0.04)}
FOLDS = 6


def fold(rng: np.random.Generator, n: int, overconfidence: float, shift: Shift) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of a fold."""
    truth = rng.choice(len(NAMES), n, p=rng.dirichlet(shift.shares * SHARES + 0.02))
    quality = np.array([2.4, 2.4, 2.6, 1.6, 3.0, 1.6, 1.4, 1.6])[truth]
    logits = rng.normal(0, 1, (n, len(NAMES)))
    logits[np.arange(n), truth] += quality * rng.gamma(3, 1 / 3, n)
    logits += np.log(SHARES) * 0.3 + rng.normal(0, shift.bias, len(NAMES))
    sharpness = overconfidence * np.exp(rng.normal(0, shift.sharpness))
    return softmax(sharpness * logits), confident.with_errors(truth, shift.errors, "transition", rng)


def judged(probability: np.ndarray, shown: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Errors of probabilities, and of that of the label that is shown."""
    confidence = probability[np.arange(shown.size), shown]
    by_class = metrics.classwise_calibration_error(confidence, shown == label, shown, len(NAMES))
    counted = by_class[np.bincount(shown, minlength=len(NAMES)) >= 200]
    return {
        "ECE 100": metrics.calibration_error(confidence, shown == label, 100, equal_count=False),
        "by class, mean": float(counted.mean()),
        "by class, worst": float(counted.max()),
        "Brier": metrics.brier(probability, label),
        "log loss": metrics.log_loss(probability, label, 1e-6),
    }


def study(folds: list[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """Errors of all ways on test folds, each fitted on the fold before, pooled."""
    rows = []
    for method in calibrators.METHODS:
        probability, shown = [], []
        for k, (score, _) in enumerate(folds):
            fitted = calibrators.fit(*folds[k - 1], "a fold", method)
            probability.append(fitted(score))
            shown.append(fitted.label(score))
        label = [label for _, label in folds]
        rows.append({"method": method, **judged(*map(np.concatenate, (probability, shown, label)))})
    return rows


def main() -> None:
    """Print the table."""
    repeats, n = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (10, 6000)
    for name, shift in SHIFTS.items():
        rows: list[dict[str, Any]] = []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            rows += study([fold(rng, n, 1.8, shift) for _ in range(FOLDS)])
        print(name, shift)
        print(pd.DataFrame(rows).groupby("method", sort=False).mean().round(4).to_string())


if __name__ == "__main__":
    main()

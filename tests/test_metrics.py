"""Scores against scikit-learn's."""

import numpy as np
import pytest

from facies_xr import metrics


def test_metrics_against_scikit_learn():
    from sklearn.metrics import f1_score, jaccard_score, mean_absolute_error, r2_score

    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 8, (2, 3000))
    counts = metrics.confusion(label, predicted, 8)
    np.testing.assert_allclose(metrics.f1(counts), f1_score(label, predicted, average=None))
    np.testing.assert_allclose(metrics.iou(counts), jaccard_score(label, predicted, average=None))
    o, p = rng.normal(size=(2, 50))
    found = metrics.regression(np.append(o, np.nan), np.append(p, 1))
    assert found["n"] == 50
    assert found["r2"] == pytest.approx(r2_score(o, p))
    assert found["mae"] == pytest.approx(mean_absolute_error(o, p))


@pytest.mark.parametrize(("n", "expected"), [(500, 0.12), (1000, 0.086), (3000, 0.050), (10_000, 0.027)])
def test_a_perfect_classifier_has_a_calibration_error(n, expected):
    # Measured on simulated confidences of a classifier that is right with exactly its confidence.
    confidence = np.random.default_rng(0).beta(4, 1.5, n)
    assert metrics.null_calibration_error(confidence, 100, equal_count=False) == pytest.approx(expected, abs=0.02)

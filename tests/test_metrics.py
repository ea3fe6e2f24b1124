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


def test_scores_of_classes_that_are_never_right_predicted_or_there():
    """Class 2 is never predicted, 3 is only predicted, 4 neither."""
    from sklearn.metrics import precision_recall_fscore_support

    label, predicted = np.array([0, 0, 1, 2, 2, 1]), np.array([0, 1, 1, 3, 0, 1])
    counts = metrics.confusion(label, predicted, 5)
    expected = precision_recall_fscore_support(label, predicted, labels=range(5), zero_division=0)
    for found, column in zip(
        (metrics.precision(counts), metrics.recall(counts), metrics.f1(counts)), expected, strict=False
    ):
        np.testing.assert_allclose(found[:4], column[:4])
        assert np.isnan(found[4])


def test_scores_of_probabilities_against_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    rng = np.random.default_rng(0)
    probability, label = rng.dirichlet(np.ones(8), 500), rng.integers(0, 8, 500)
    assert metrics.log_loss(probability, label) == pytest.approx(log_loss(label, probability, labels=range(8)))
    parts = [brier_score_loss(label == k, probability[:, k]) for k in range(8)]
    assert metrics.brier(probability, label) == pytest.approx(sum(parts))
    probability[0] = np.eye(8)[(label[0] + 1) % 8]
    assert np.isfinite(metrics.log_loss(probability, label))


def test_calibration_by_class_by_hand():
    """Two bins of class 0: .9 right once in two, .3 never; class 1 is perfect; class 2 is never predicted."""
    confidence = np.array([0.9, 0.9, 0.3, 1.0, 1.0])
    correct, predicted = np.array([True, False, False, True, True]), np.array([0, 0, 0, 1, 1])
    found = metrics.classwise_calibration_error(confidence, correct, predicted, 3)
    np.testing.assert_allclose(found, [(2 * 0.4 + 0.3) / 3, 0, np.nan])


@pytest.mark.parametrize(("n", "expected"), [(500, 0.12), (1000, 0.086), (3000, 0.050), (10_000, 0.027)])
def test_a_perfect_classifier_has_a_calibration_error(n, expected):
    # Measured on simulated confidences of a classifier that is right with exactly its confidence.
    confidence = np.random.default_rng(0).beta(4, 1.5, n)
    assert metrics.null_calibration_error(confidence, 100, equal_count=False) == pytest.approx(expected, abs=0.02)

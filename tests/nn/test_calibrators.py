"""Ways to calibrate: the published one against its own numbers, the others against what must hold of any."""

import numpy as np
import pytest
import torch

from facies_xr import metrics
from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.nn import calibrators
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.calibrators import METHODS, fit, softmax
from facies_xr.nn.classifier import Classifier

from ..conftest import clear_sky, random_classifier


def made_up(n=4000, seed=0, sharpness=2.0):
    """Scores that claim too much by a known factor, and labels that follow the true probabilities."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, len(NAMES)))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # P(k) = softmax(logits)_k
    return softmax(sharpness * logits), truth


@pytest.fixture(scope="module", params=list(METHODS))
def fitted(request):
    return fit(*made_up(), "made up", request.param)


@pytest.mark.parametrize("fold", range(6))
def test_the_published_regressors_are_reproduced(fold, shared):
    oracle = np.load(shared / "oracle_facies" / "calibration.npz")
    x, y = (oracle[f"{name}_{fold}"].ravel() for name in ("x_fit", "y_nodes"))
    found = calibrators.kernel_interpolation(x, y)
    np.testing.assert_allclose(found(oracle["s"]), oracle["calibrated_clipped"][fold], atol=1e-6)
    np.testing.assert_allclose(found(x), np.clip(y, 0, 1), atol=1e-6)


def test_the_published_way_as_it_is_stored(shared):
    """Knots are so dense that a straight line between them errs by less than 2e-6; six decimals are stored."""
    score, truth = made_up()
    stored = fit(score, truth, "made up", "published").calibrator
    x, y = calibrators.reliability_nodes(score.max(1), (score.argmax(1) == truth).astype(float))
    at = np.random.default_rng(1).uniform(0, 1, 500)
    np.testing.assert_allclose(stored(np.zeros(500, int), at), calibrators.kernel_interpolation(x, y)(at), atol=2e-6)


def test_nodes_by_hand():
    x, y = calibrators.reliability_nodes(np.array([0.5, 0.51, 0.99, 1.0]), np.array([1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(x, [0, 0.505, 0.995, 1])
    np.testing.assert_allclose(y, [0, 0.5, 1, 1])


def test_temperature_finds_the_known_factor():
    found = fit(*made_up(20_000), "made up", "temperature")
    assert found.scale == pytest.approx(0.5, abs=0.02)
    assert (found.offset == 0).all()


def test_vector_finds_a_known_scale_and_offsets():
    rng = np.random.default_rng(0)
    logits, offset = rng.normal(0, 2, (60_000, len(NAMES))), np.linspace(-0.5, 0.5, 8)
    truth = (0.7 * logits + offset + rng.gumbel(size=logits.shape)).argmax(1)
    found = fit(softmax(logits), truth, "made up", "vector")
    assert found.scale == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(found.offset - found.offset.mean(), offset, atol=0.04)


def test_beta_finds_known_parameters():
    rng = np.random.default_rng(0)
    s = rng.uniform(0.02, 0.98, 100_000)
    p = 1 / (1 + np.exp(-(0.7 * np.log(s) - 1.4 * np.log(1 - s) + 0.3)))
    found = calibrators.beta_map(s, (rng.random(s.size) < p).astype(float))
    at = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(found(at), np.interp(at, np.sort(s), p[np.argsort(s)]), atol=0.02)


def test_probabilities_are_probabilities_also_of_scores_of_0_and_1(fitted):
    edge = np.concatenate([np.eye(8), np.full((1, 8), 1 / 8), made_up(50, 3)[0]])
    found = fitted(edge)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_the_more_score_the_more_probability(fitted):
    """All but the published one, which is no monotone map."""
    score = np.linspace(0.13, 1, 200)
    for name in NAMES:
        correct = fitted.calibrator(np.full(200, NAMES.index(name)), score)
        assert fitted.method == "published" or (np.diff(correct) >= -1e-6).all()
    assert fitted.scale > 0


def test_only_vector_scaling_changes_labels(fitted):
    score, _ = made_up(2000, 5)
    shown = fitted.label(score)
    assert (shown == score.argmax(1)).mean() > 0.9
    if fitted.method != "vector":
        np.testing.assert_array_equal(shown, score.argmax(1))


def test_errors_become_smaller_on_samples_it_was_not_fitted_on(fitted):
    score, truth = made_up(8000, 7)

    def error(p, label):
        return metrics.calibration_error(p[np.arange(8000), label], label == truth, 100, equal_count=False)

    assert error(score, score.argmax(1)) > 0.15
    assert error(fitted(score), fitted.label(score)) < (1 if fitted.method == "none" else 0.05)


def test_the_class_wise_way_is_that_of_shipped_models():
    score, truth = made_up()
    found = fit(score, truth, "made up", "classwise").calibrator
    assert found == Calibrator.fit(score.argmax(1), score.max(1), truth, "made up")


def test_a_classifier_carries_it_through_a_file_and_calibrate_applies_it(fitted, tmp_path):
    """What maps show as probability is what the fitted calibration says of the raw scores."""
    classifier = random_classifier(1)
    carried = fitted.applied(classifier)
    again = Classifier.load(carried.save(tmp_path / "model.safetensors"))
    assert again.digest == carried.digest != classifier.digest
    cube = clear_sky((12, 12))
    raw = cube.facies.classify(classifier, class_score=True)
    maps = cube.facies.classify(again, class_score=True).facies.calibrate()
    scores = raw.class_score.transpose(..., "facies_class").values.reshape(-1, 8)
    expected = fitted(scores.astype("float64"))
    found = maps.probability.transpose(..., "facies_class").values.reshape(-1, 8)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_array_equal(maps.facies_map.values.ravel(), fitted.label(scores))
    with torch.no_grad():  # the original is as it was
        assert classifier.digest == random_classifier(1).digest


@pytest.mark.parametrize("method", list(METHODS))
def test_a_class_without_samples_and_one_sample_are_no_trouble(method):
    score, truth = made_up(300)
    keep = (score.argmax(1) != 7) & (truth != 7)
    for rows in (np.flatnonzero(keep), np.array([0])):
        assert np.isfinite(fit(score[rows], truth[rows], "few", method)(score)).all()


def test_what_cannot_be_fitted_is_named():
    score, truth = made_up(20)
    with pytest.raises(InputError, match="method='best': choose 'none' or 'published'"):
        fit(score, truth, "x", "best")
    with pytest.raises(InputError, match="needs samples"):
        fit(score[:0], truth[:0], "x")
    score[0, 0] = np.nan
    with pytest.raises(InputError, match="finite scores"):
        fit(score, truth, "x")

"""The classifier's file, its calibrator, and the registry."""

import dataclasses
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr import metrics
from facies_xr.classes import NAMES
from facies_xr.errors import ModelError
from facies_xr.nn import registry
from facies_xr.nn.architectures import ARCHITECTURES
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.network import FaciesNet
from facies_xr.nn.train import predict

from ..conftest import random_classifier


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_round_trip(classifier, tmp_path, architecture):
    network = ARCHITECTURES[architecture](11).eval()
    classifier = dataclasses.replace(classifier, network=network)
    found = Classifier.load(classifier.save(tmp_path / "model.safetensors"))
    assert found.digest == classifier.digest
    for name in ("feature_set", "name", "level", "bounds", "architecture", "tile", "card", "calibrator"):
        assert getattr(found, name) == getattr(classifier, name)
    x = np.random.default_rng(0).random((5, 11, 33, 33)).astype("float32")
    np.testing.assert_array_equal(predict(found.network, x), predict(classifier.network, x))
    np.testing.assert_array_equal(found.scale(x[0]), classifier.scale(x[0]))


def test_the_digest_sees_every_part(classifier):
    other = dataclasses.replace(classifier, maximum=classifier.maximum * 1.01)
    weights = random_classifier(4, seed=1)
    assert len({classifier.digest, other.digest, weights.digest}) == 3


def test_no_pickle_is_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    for name in ("model.pickle", "model.pt", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ModelError):
            Classifier.load(tmp_path / name)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def foreign(path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)


def wrong_shape(path):
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors["fine.0.0.weight"] = torch.zeros(64, 6, 3, 3)
    safetensors.torch.save_file(tensors, path, header)


@pytest.mark.parametrize(
    ("damage", "message"),
    [(truncated, "not a complete"), (foreign, "not a classifier"), (wrong_shape, "do not fit")],
)
def test_damaged_files_are_named(classifier, tmp_path, damage, message):
    path = classifier.save(tmp_path / "model.safetensors")
    damage(path)
    with pytest.raises(ModelError, match=message):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_set": 5}, "feature set"),
        ({"minimum": np.zeros(3)}, "minimum"),
        ({"maximum": np.zeros(11)}, "bounds of blue"),
        ({"network": FaciesNet(6)}, "takes 6 features"),
    ],
)
def test_contradictions_are_refused(classifier, change, message):
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(classifier, **change)


def test_registry_names_what_there_is(tmp_path):
    with pytest.raises(ModelError, match="there is no model 'nothing'"):
        registry.load_model("nothing")
    with pytest.raises(ModelError, match="does not exist"):
        registry.load_model(tmp_path / "no.safetensors")
    with pytest.raises(ModelError, match="name, a path or a Classifier"):
        registry.load_model(5)


def test_a_handle_refuses_another_file_of_the_same_name(classifier, tmp_path):
    path = classifier.save(tmp_path / "model.safetensors")
    handle = registry.Handle.of(path)
    assert handle.classifier().digest == classifier.digest
    random_classifier(4, seed=1).save(path)
    registry._load.cache_clear()  # as in another process
    with pytest.raises(ModelError, match="another model"):
        handle.classifier()


# -- calibration ------------------------------------------------------------------------------------------------


def overconfident(n, seed):
    """Labels whose scores are higher than their chance to be right, differently for each class."""
    rng = np.random.default_rng(seed)
    truth, score = rng.integers(0, 8, n), rng.uniform(0.2, 1, n)
    chance = score ** (1 + truth / 4)
    label = np.where(rng.random(n) < chance, truth, (truth + 1) % 8)
    return label, score, truth


def test_confidence_becomes_the_chance_to_be_right():
    calibrator = Calibrator.fit(*overconfident(40_000, 0), "a test")
    label, score, truth = overconfident(40_000, 1)
    right = label == truth
    before = metrics.calibration_error(score, right)
    after = metrics.calibration_error(calibrator(label, score), right)
    assert before > 0.15
    assert after < metrics.null_calibration_error(calibrator(label, score)) + 0.01
    for value in range(8):
        mine = label == value
        assert calibrator(label, score)[mine].mean() == pytest.approx(right[mine].mean(), abs=0.03)


@given(st.integers(0, 10**6), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_maps_are_monotone_probabilities_whatever_the_sample(seed, n):
    calibrator = Calibrator.fit(*overconfident(n, seed), "a test")
    scores = np.linspace(0, 1, 300)
    for value in range(8):
        found = calibrator(np.full(300, value), scores)
        assert (np.diff(found) >= -1e-6).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_calibrators_travel_as_json_and_broken_ones_are_refused():
    calibrator = Calibrator.fit(*overconfident(500, 0), "a test")
    assert Calibrator.from_json(calibrator.to_json()) == calibrator
    for text in ("{}", "no", calibrator.to_json().replace(NAMES[0], "lava")):
        with pytest.raises(ModelError, match="not a calibrator"):
            Calibrator.from_json(text)


def test_pixels_without_a_score_have_no_confidence():
    calibrator = Calibrator.fit(*overconfident(500, 0), "a test")
    found = calibrator(np.array([255, 1], "uint8"), np.array([np.nan, 0.9], "float32"))
    assert np.isnan(found[0])
    assert np.isfinite(found[1])

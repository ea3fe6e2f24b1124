"""A classifier's file from a stranger: what cannot be is refused by its name, whatever the type."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from facies_xr.classes import NAMES
from facies_xr.errors import ModelError
from facies_xr.nn import model_file, registry
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.classifier import Classifier


@pytest.fixture
def altered(bands_classifier, tmp_path):
    """A file of which description or weights were changed, each by a function in place."""

    def alter(description=None, weights=None):
        path = bands_classifier.save(tmp_path / "model.safetensors")
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads(file.metadata()["facies_xr"])
        tensors = safetensors.torch.load_file(path)
        if description:
            description(metadata)
        if weights:
            weights(tensors)
        safetensors.torch.save_file(tensors, path, {"facies_xr": json.dumps(metadata)})
        return path

    return alter


def test_an_unchanged_file_is_read(altered, bands_classifier):
    assert Classifier.load(altered()).digest == bands_classifier.digest


def test_shipped_files_are_read_and_keep_their_digests():
    """Stores name a classifier by its digest, which must not change with the code that reads the file."""
    assert {name: registry.load_model(name).digest for name in registry.names()} == {
        "bands-v2": "1e546094b9036d32",
        "synthetic-v1": "9bd0ebe53326564e",
        "synthetic-v1-bands": "5a33ccc9b56ab3ad",
        "synthetic-v1-dense": "999c7d79ce27925c",
        "synthetic-v2": "3f7d38d379793fcb",
    }


def test_a_saved_file_can_be_read_by_whom_any_other_can(bands_classifier, tmp_path):
    other = tmp_path / "other"
    other.touch()
    saved = bands_classifier.save(tmp_path / "mine.safetensors")
    assert saved.stat().st_mode == other.stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.safetensors", "other"]


FIELDS = ["format", "name", "architecture", "feature_set", "features", "classes", "minimum", "maximum", "mean",
          "bounds", "level", "tile", "calibrator", "card"]  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_must_be_there_and_of_its_type(altered, name):
    with pytest.raises(ModelError, match=f"lacks {name}"):
        Classifier.load(altered(lambda m: m.pop(name)))
    for wrong in (17.5, True, {"a": [None]} if name != "card" else "text", [[]], 10**400):
        with pytest.raises(ModelError, match=rf"model.safetensors: {name} must be"):
            Classifier.load(altered(lambda m, wrong=wrong: m.update({name: wrong})))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", " ", "name=' ' must be a text"),
        ("name", "\x1b[31mred", "must be a text that can be printed"),
        ("bounds", "", "bounds='' must be a text"),
        ("level", "L1C", "level='L1C': reflectance is TOA or SR"),
        ("tile", 0, "tile=0 must be a whole number between 1 and 4096"),
        ("tile", -256, "tile=-256"),
        ("tile", 2**40, "tile=1099511627776"),
        ("feature_set", 5, "are not feature set 5"),
        ("architecture", "transformer", "'transformer' is not known"),
        ("minimum", [0.0] * 5, "minimum must be 6 finite numbers"),
        ("minimum", [0, 0, 0, -1e30, 0, 0], "minimum of nir is -1e"),
        ("maximum", [1, 1, float("nan"), 1, 1, 1], "maximum must be a list of finite numbers"),
        ("mean", [0, 0, float("inf"), 1, 1, 1], "mean must be a list of finite numbers"),
        ("maximum", [1, -1, 1, 1, 1, 1], "bounds of green are not increasing"),
        ("format", "facies_xr classifier 9", "format 'facies_xr classifier 9'"),
        ("classes", list(NAMES[::-1]), "classes are not those"),
    ],
)
def test_values_that_cannot_be(altered, name, value, message):
    with pytest.raises(ModelError, match=f"model.safetensors.*{message}"):
        Classifier.load(altered(lambda m: m.update({name: value})))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fine.0.0.weight", float("nan")),
        ("fine.0.0.weight", float("inf")),
        ("coarse.1.0.weight", 1e20),
        ("head.1.bias", -1e30),
        ("coarse.2.1.running_var", -1.0),
        ("fine.1.1.running_mean", 3e38),
    ],
)
def test_one_weight_that_cannot_be(altered, name, value):
    def damage(tensors):
        tensors[name].view(-1)[3] = value

    with pytest.raises(ModelError, match=f"its weights {name} are not finite numbers between"):
        Classifier.load(altered(weights=damage))


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.update({"head.1.bias": t["head.1.bias"].double()}),
        lambda t: t.update({"head.1.bias": t["head.1.bias"][:5].clone()}),
        lambda t: t.pop("head.1.bias"),
        lambda t: t.update({"head.1.bias_": torch.zeros(2)}),
    ],
    ids=["type", "shape", "missing", "one too many"],
)
def test_weights_of_another_network(altered, damage):
    with pytest.raises(ModelError, match=r"do not fit the network: head\.1\.bias"):
        Classifier.load(altered(weights=damage))


def of_calibrator(change):
    def alter(metadata):
        calibrator = json.loads(metadata["calibrator"])
        change(calibrator)
        metadata["calibrator"] = json.dumps(calibrator)

    return alter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("correct"), "lacks 'correct'"),
        (lambda c: c["score"].reverse(), "knots of its scores do not increase"),
        (lambda c: c.update(score=[]), "knots of its scores do not increase"),
        (lambda c: c["score"].__setitem__(3, c["score"][2]), "do not increase"),
        (lambda c: c["score"].__setitem__(0, float("nan")), "knots of its scores must be finite"),
        (lambda c: c["correct"]["ice"].__setitem__(5, 1.2), r"P\(correct\) of ice must lie between 0 and 1"),
        (lambda c: c["correct"]["snow"].__setitem__(5, -0.1), r"P\(correct\) of snow must lie"),
        (lambda c: c["correct"]["firn"].__setitem__(5, float("inf")), r"of firn must be 64 finite numbers"),
        (lambda c: c["correct"]["firn"].__setitem__(5, "0.5"), r"of firn must be 64 finite numbers"),
        (lambda c: c["correct"]["firn"].__setitem__(5, True), r"of firn must be 64 finite numbers"),
        (lambda c: c["correct"]["firn"].pop(), "of firn must be 64 finite numbers"),
        (lambda c: c["correct"].pop("cloud"), "its classes are not ice"),
        (lambda c: c.update(shares=[0.5, 0.5]), "shares of its classes must be 8"),
        (lambda c: c.update(shares=[2, -1, 0, 0, 0, 0, 0, 0]), "shares of its classes must lie between 0 and 1"),
        (lambda c: c.update(scenes=[[1, 1, 1, 1, 1, 1, 1, -1]]), "weights of a scene must lie between 0 and 1000"),
        (lambda c: c.update(scenes=[[1] * 7]), "weights of a scene must be 8"),
        (lambda c: c.update(scenes=[[0] * 8]), "weights of a scene are all 0"),
        (lambda c: c.update(scenes=5), "this is not a calibrator"),
        (lambda c: c.update(population=None), "its population must be a text"),
        (lambda c: c.update(method="\x00"), "its method must be a text"),
    ],
)
def test_calibrators_that_cannot_be(altered, change, message):
    with pytest.raises(ModelError, match=f"model.safetensors.*{message}"):
        Classifier.load(altered(of_calibrator(change)))


@pytest.mark.parametrize("text", ["[]", "null", "5", "{", "[" * 100_000, '"text"'])
def test_descriptions_that_are_no_tables(altered, tmp_path, text):
    path = altered()
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, path, {"facies_xr": text})
    with pytest.raises(ModelError, match="description is not"):
        Classifier.load(path)
    with pytest.raises(ModelError, match="calibrator"):
        Calibrator.from_json(text)


def test_a_file_far_too_large_is_not_read(tmp_path):
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(model_file.LARGEST + 1)
    with pytest.raises(ModelError, match=r"has 2.68e\+08 bytes"):
        Classifier.load(path)


def test_what_is_made_by_hand_is_checked_as_well(bands_classifier):
    for change, message in (
        ({"level": "L2A"}, "level='L2A'"),
        ({"tile": True}, "tile=True"),
        ({"feature_set": 1.0}, "feature set 1.0"),
        ({"minimum": ["a"] * 6}, "minimum must be 6 finite numbers"),
        ({"card": {"when": object()}}, "card cannot be written as JSON"),
    ):
        with pytest.raises(ModelError, match=message):
            dataclasses.replace(bands_classifier, **change)


# -- how it shows itself ----------------------------------------------------------------------------------------


def test_a_classifier_says_in_a_line_what_it_is(bands_classifier):
    text = repr(bands_classifier)
    assert len(text) < 150
    for said in ("random-1", "feature set 1", "TOA", "patch", "calibrated"):
        assert said in text
    assert "not calibrated" in repr(dataclasses.replace(bands_classifier, calibrator=None))


def test_its_card_says_first_what_it_is_not_for():
    shown = registry.load_model("synthetic-v1")._repr_html_()
    assert shown.index("conclusions about real glaciers") < shown.index("features")
    assert "macro_f1 0.812" in shown
    assert len(shown) < 5000


def test_a_card_cannot_bring_markup(bands_classifier):
    shown = dataclasses.replace(bands_classifier, card={"not_for": "<script>x</script>", "<b>": [1]})._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<b>[1]" not in shown
    assert np.all([tag in shown for tag in ("<table>", "</table>")])

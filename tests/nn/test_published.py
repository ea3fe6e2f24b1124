"""Published weights: the same network as the vectors say, refusals by name, and a real glacier."""

import json
import shutil
import sys

import h5py
import numpy as np
import pytest
import rioxarray

import facies_xr as fx
from facies_xr.classes import VALUES
from facies_xr.errors import ModelError
from facies_xr.nn import published
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import Folded

BOUNDS = {name: (0.0, 1.0) for name in FEATURE_SETS[4]}


@pytest.fixture(scope="module")
def weights(shared):
    def path(feature_set, fold, when="after"):
        return shared / "published_facies_weights" / str(feature_set) / f"{fold}_cnn_{when}confidentlearning_weights.h5"

    return path


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_imported_weights_reproduce_the_published_vectors(shared, weights, feature_set):
    with np.load(shared / "oracle_facies" / f"patches_fs{feature_set}.npz") as file:
        x = np.ascontiguousarray(file["x"].transpose(0, 3, 1, 2))
        for when in ("before", "after"):
            for fold in range(6):
                if not (path := weights(feature_set, fold, when)).exists():
                    continue  # only set 4 was published before confident learning too
                found = published.load_keras(path, BOUNDS)
                assert found.feature_set == feature_set
                expected = file[f"softmax_{when}"][fold]
                np.testing.assert_allclose(Folded(found.network).predict(x), expected, atol=2e-5)


def test_an_imported_classifier_is_saved_and_says_where_its_bounds_come_from(weights, tmp_path):
    found = published.load_keras(weights(1, 0))
    again = Classifier.load(found.save(tmp_path / "p.safetensors"))
    assert (again.bounds, again.digest) == ("estimated", found.digest)
    (tmp_path / "b.json").write_text(json.dumps(BOUNDS))
    (tmp_path / "b.csv").write_text("feature,minimum,maximum\n" + "".join(f"{n},0,1\n" for n in FEATURE_SETS[4]))
    for name in ("b.json", "b.csv"):
        given = published.load_keras(weights(1, 0), tmp_path / name)
        assert given.bounds == "given by the user"
        np.testing.assert_array_equal(given.maximum, np.ones(6))


def truncated(path):
    path.write_bytes(path.read_bytes()[:40_000])


def without_a_layer(path):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [n for n in file.attrs["layer_names"] if b"dense" not in (n if isinstance(n, bytes)
                                     else n.encode())]  # fmt: skip


def another_shape(path):
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("dense"))
        del file[name][name]["bias:0"]
        file[name][name]["bias:0"] = np.zeros(5, "float32")


def not_finite(path):
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("conv2d"))
        file[name][name]["bias:0"][...] = np.nan


def linked(path):
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["bias"] = np.zeros(64, "float32")
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("conv2d"))
        del file[name][name]["bias:0"]
        file[name][name]["bias:0"] = h5py.ExternalLink("other.h5", "bias")


def stored_elsewhere(path):
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("conv2d"))
        del file[name][name]["bias:0"]
        file[name][name].create_dataset("bias:0", (64,), "float32", external=[("/etc/hostname", 0, 256)])


def claiming(path):
    """Fifteen gigabytes, of which none is in the file."""
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("conv2d"))
        del file[name][name]["bias:0"]
        file[name][name].create_dataset("bias:0", (4_000_000_000,), "float32", chunks=(1_000_000,))


def of_text(path):
    with h5py.File(path, "a") as file:
        name = next(n for n in file if n.startswith("conv2d"))
        del file[name][name]["bias:0"]
        file[name][name]["bias:0"] = "text"


def listing_numbers(path):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (linked, "bias:0 is a link to another file"),
        (stored_elsewhere, "lies in another file"),
        (claiming, r"has 4e\+09 numbers"),
        (of_text, "not a complete HDF5"),
        (listing_numbers, "not a complete HDF5"),
        (truncated, "not a complete HDF5"),
        (without_a_layer, "12 layers with weights, the published network 15"),
        (another_shape, r"bias:0 of dense.* has shape \(5,\)"),
        (not_finite, "not finite"),
        (lambda p: p.unlink(), "does not exist"),
    ],
)
def test_damaged_files_are_named(weights, tmp_path, damage, message):
    path = shutil.copy(weights(2, 3), tmp_path / "w.h5")
    damage(path)
    with pytest.raises(ModelError, match=message):
        published.load_keras(path)


def test_pickles_and_bad_bounds_are_refused(weights, tmp_path):
    for name in ("0_calibration_model.pickle", "globalminmax.pickle"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
        with pytest.raises(ModelError, match="could run any code"):
            published.load_keras(tmp_path / name)
        with pytest.raises(ModelError, match="could run any code"):
            published.load_keras(weights(1, 0), tmp_path / name)
    with pytest.raises(ModelError, match="lack swir2"):
        published.load_keras(weights(1, 0), {k: v for k, v in BOUNDS.items() if k != "swir2"})
    with pytest.raises(ModelError, match="two numbers"):
        published.load_keras(weights(1, 0), {**BOUNDS, "red": (0, 1, 2)})
    for wrong in ((0, None), (0, "1"), 5, (0, float("nan")), {"minimum": 0}):
        with pytest.raises(ModelError, match="two numbers"):
            published.load_keras(weights(1, 0), {**BOUNDS, "red": wrong})
    for text in ("[]", "{", "5", "[" * 100_000):
        (tmp_path / "bounds.json").write_text(text)
        with pytest.raises(ModelError, match=r"bounds.json|bounds file"):
            published.load_keras(weights(1, 0), tmp_path / "bounds.json")
    with pytest.raises(ModelError, match="bounds of nir are not increasing"):
        published.load_keras(weights(1, 0), {**BOUNDS, "nir": (1, 0)})


def vinciguerra(shared, year):
    """Recipe A of the data set's README, by the example's own code."""
    sys.path.insert(0, str(fx.__path__[0] + "/../examples"))
    try:
        import vinciguerra as example
    finally:
        sys.path.pop(0)
    return example.cube(shared / "s2_l1c_vinciguerra" / f"vinciguerra_{year}_l1c.tif", year)


# Ensemble of six folds, feature set 1, estimated bounds: figures of the data set's README.
REAL = {2019: (0.776, 0.434), 2021: (0.720, 0.445), 2022: (0.823, 0.435)}


@pytest.mark.parametrize("year", [2019, *(pytest.param(year, marks=pytest.mark.slow) for year in (2021, 2022))])
def test_the_published_ensemble_on_a_real_glacier(shared, weights, year):
    members = [published.load_keras(weights(1, fold)) for fold in range(6)]
    cube = vinciguerra(shared, year)
    with pytest.warns(UserWarning, match="estimated"):
        maps = fx.classify(cube, members, class_score=True)
    assert maps.attrs["bounds"] == "estimated"
    maps = maps.compute()
    labelled = rioxarray.open_rasterio(shared / "s2_l1c_vinciguerra" / f"vinciguerra_{year}_label.tif")[0].values == 1
    valid = cube.blue.notnull().values
    found = np.isin(maps.facies_map.values, [VALUES[n] for n in ("ice", "snow", "firn", "refrozen-like")])[valid]
    truth = labelled[valid]
    assert (found & truth).sum() / (found | truth).sum() == pytest.approx(REAL[year][0], abs=0.01)
    ndsi = (((cube.green - cube.swir1) / (cube.green + cube.swir1)).values > 0.4)[valid]
    assert (ndsi & truth).sum() / (ndsi | truth).sum() == pytest.approx(REAL[year][1], abs=0.01)
    spread = maps.disagreement.values[valid]
    assert 0 <= np.nanmin(spread) < np.nanmax(spread) <= 0.5
    np.testing.assert_allclose(maps.class_score.values[:, valid].max(0), maps.confidence.values[valid])


def test_ensembles_need_one_kind_of_member(weights, shared):
    cube = vinciguerra(shared, 2019)
    with pytest.raises(ModelError, match=r"one feature set: .* has 1, .* 2"):
        fx.classify(cube, [published.load_keras(weights(k, 0)) for k in (1, 2)])
    with pytest.raises(ModelError, match="list of models is empty"):
        fx.classify(cube, [])
    two = [published.load_keras(weights(1, k), BOUNDS) for k in (0, 1)]
    with pytest.raises(ModelError, match="no calibrator"):
        fx.calibrate(fx.classify(cube, two))


def test_the_command_line_imports_and_shows(weights, tmp_path, shell):
    _, told, _ = shell("model", "import", weights(1, 2), "-o", tmp_path / "m.safetensors")
    assert "feature set 1, bounds estimated" in " ".join(told.split())
    _, shown, _ = shell("model", "show", tmp_path / "m.safetensors")
    assert "estimated" in shown
    assert "not calibrated" in shown
    pickle = tmp_path / "0_calibration_model.pickle"
    status, _, said = shell("model", "import", pickle, "-o", tmp_path / "x.safetensors")
    assert status == 2
    assert "could run any code" in said
    assert not (tmp_path / "x.safetensors").exists()

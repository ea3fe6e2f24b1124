"""Cross-validation: who learns from whom, and that nothing of a test fold leaks into its model."""

from dataclasses import dataclass

import numpy as np
import pytest

from facies_xr import folds
from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.nn import crossval, train
from facies_xr.nn.crossval import cross_validate, rotation
from facies_xr.nn.labels import Samples
from facies_xr.nn.patchstore import PatchStore, writing

pytest.importorskip("cleanlab")


@dataclass(frozen=True)
class Centres:
    """Class means of the pixel in the middle; scores by distance."""

    mean: np.ndarray
    glaciers: frozenset

    def predict(self, samples):
        middle = samples.patches[:][:, :, 16, 16]
        logits = -20 * ((middle[:, None] - self.mean) ** 2).sum(2)
        score = np.exp(logits - logits.max(1, keepdims=True))
        return score / score.sum(1, keepdims=True)


class CentresLearner:
    def fit(self, train_, validation, name, checkpoint):
        middle = train_.patches[:][:, :, 16, 16]
        mean = np.array([middle[train_.label == k].mean(0) if (train_.label == k).any() else np.full(6, 9.0)
                         for k in range(len(NAMES))])  # fmt: skip
        return Centres(mean, frozenset(train_.glacier) | frozenset(validation.glacier))


def world(n=360, seed=0, errors=0.1, noise=0.25):
    """Twelve glaciers in six folds, five facies told apart by their pixel in the middle, some labels wrong."""
    rng = np.random.default_rng(seed)
    glacier = np.arange(n) % 12
    truth = rng.choice([0, 1, 2, 3, 5], n)
    patches = np.zeros((n, 6, 33, 33), "float32")
    patches[:, :, 16, 16] = np.eye(8)[truth][:, :6] + rng.normal(0, noise, (n, 6))
    label = truth.copy()
    wrong = rng.random(n) < errors
    label[wrong] = rng.choice([0, 1, 2, 3, 5], wrong.sum())
    names = np.array([f"g{k:02d}" for k in range(12)])
    samples = Samples(patches, label, names[glacier], np.char.add("s", (np.arange(n) % 5).astype(str)))
    return samples, glacier % 6, truth


def permuted(samples, mine, seed=0):
    label = samples.label.copy()
    label[mine] = np.random.default_rng(seed).permutation(label[mine])
    assert (label != samples.label).any()
    return Samples(samples.patches, label, samples.glacier, samples.scene)


def test_the_fold_before_validates():
    fold = np.array([0, 0, 1, 2, 3, 4, 5])
    for test in range(6):
        parts = rotation(fold, test)
        assert [set(fold[rows]) for rows in parts[1:]] == [{(test - 1) % 6}, {test}]
        assert sorted(np.concatenate(parts)) == list(range(7))
    rows = rotation(fold, 0, among=[0, 2, 3, 5])
    assert [set(fold[r]) for r in rows] == [{2, 3}, {5}, {0}]


@pytest.mark.parametrize("protocol", crossval.PROTOCOLS)
def test_every_sample_is_scored_by_a_model_that_knows_nothing_of_its_glacier(protocol):
    samples, fold, truth = world()
    found = cross_validate(CentresLearner(), samples, fold, protocol=protocol)
    assert len(found.models) == len(found.models_before) == 6
    for t, (before, after) in enumerate(zip(found.models_before, found.models, strict=True)):
        mine = fold == t
        for model, score in ((before, found.before), (after, found.after)):
            assert not model.glaciers & set(samples.glacier[mine])
            np.testing.assert_allclose(score[mine], model.predict(samples[mine]), rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(
            found.validated[fold == (t - 1) % 6], after.predict(samples[fold == (t - 1) % 6]), rtol=1e-6, atol=1e-30
        )
    assert (found.after.argmax(1) == truth).mean() > 0.85


def test_nested_prunes_nothing_of_the_test_fold_and_published_does():
    samples, fold, truth = world()
    nested = cross_validate(CentresLearner(), samples, fold)
    published = cross_validate(CentresLearner(), samples, fold, protocol="published")
    for t in range(6):
        assert not nested.pruned[t, fold == t].any()
    assert nested.tested.all()
    assert not published.tested.all()
    assert (published.pruned == published.pruned[0]).all()
    wrong = samples.label != truth
    assert wrong[published.pruned[0]].mean() > 0.6
    assert wrong[nested.pruned.any(0)].mean() > 0.6


@pytest.mark.parametrize("test", [0, 3])
def test_labels_of_the_test_fold_change_nothing_of_its_model_and_pruning(test):
    samples, fold, _ = world()
    found, again = (
        cross_validate(CentresLearner(), s, fold, tests=[test]) for s in (samples, permuted(samples, fold == test))
    )
    np.testing.assert_array_equal(found.pruned[test], again.pruned[test])
    assert found.pruned[test].sum() > 5
    np.testing.assert_array_equal(found.models[0].mean, again.models[0].mean)
    np.testing.assert_array_equal(found.after, again.after)


def test_by_the_published_protocol_they_do():
    """That is its weakness, and shows that the test above can fail."""
    samples, fold, _ = world(noise=0.5)
    found, again = (
        cross_validate(CentresLearner(), s, fold, protocol="published") for s in (samples, permuted(samples, fold == 0))
    )
    assert (found.pruned[0, fold != 0] != again.pruned[0, fold != 0]).any()
    assert (found.models[0].mean != again.models[0].mean).any()


def test_a_network_learns_nothing_of_its_test_fold():
    """Bounds, weights, epoch and pruned labels of a network, digest by digest."""
    samples, fold, _ = world(n=48, errors=0.3)
    learner = crossval.NetworkLearner(1, train.Settings(epochs=1, batch=16))
    found, again = (cross_validate(learner, s, fold, tests=[2]) for s in (samples, permuted(samples, fold == 2)))
    assert found.models[0].classifier.digest == again.models[0].classifier.digest
    assert found.models_before[0].classifier.digest == again.models_before[0].classifier.digest
    np.testing.assert_array_equal(found.pruned, again.pruned)
    np.testing.assert_array_equal(
        found.models[0].classifier.maximum,
        samples.patches[rotation(fold, 2)[0][~found.pruned[2][rotation(fold, 2)[0]]]].max((0, 2, 3)),
    )


def test_it_goes_on_where_it_was_killed_and_from_a_store(tmp_path, monkeypatch):
    samples, fold, _ = world(n=48)
    learner = crossval.NetworkLearner(1, train.Settings(epochs=1, batch=16))
    with writing(tmp_path / "patches.zarr", 1) as out:
        out.append(samples, fold=fold)
    stored = PatchStore(tmp_path / "patches.zarr").samples(streamed=True)
    monkeypatch.setattr(type(stored.patches), "shuffled", lambda self, rng: rng.permutation(len(self)))
    whole = cross_validate(learner, samples, fold, tests=[1])
    fits = []

    def until_killed(self, *arguments):
        fits.append(arguments[2])
        if len(fits) == 4:
            raise KeyboardInterrupt
        return fit(self, *arguments)

    fit = crossval.NetworkLearner.fit
    monkeypatch.setattr(crossval.NetworkLearner, "fit", until_killed)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(learner, stored, fold, tests=[1], folder=tmp_path / "run")
    done = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    assert len(done) == 3
    found = cross_validate(learner, stored, fold, tests=[1], folder=tmp_path / "run")
    assert done.items() <= {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}.items()
    assert found.models[0].classifier.digest == whole.models[0].classifier.digest
    np.testing.assert_array_equal(found.after, whole.after)


def test_folds_on_a_cluster_are_those_at_home():
    distributed = pytest.importorskip("distributed")
    samples, fold, _ = world()
    here = cross_validate(CentresLearner(), samples, fold)
    with (
        distributed.LocalCluster(2, processes=False, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = cross_validate(CentresLearner(), samples, fold, client=client)
    np.testing.assert_array_equal(here.after, there.after)
    np.testing.assert_array_equal(here.pruned, there.pruned)


# -- folds that cannot be used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, f: (s, np.where(f == 2, -1, f)), "60 of 360 samples have no fold"),
        (lambda s, f: (s, np.where(f == 2, 3, f)), "fold 2 is empty; folds must be 0 .. 5"),
        (lambda s, f: (s, f % 3), "there are 3 folds; the nested protocol needs at least 4"),
        (lambda s, f: (s, np.arange(f.size) % 5), "glacier g00 is in folds 0, 1, 2, 3, 4"),
        (lambda s, f: (Samples(s.patches, s.label, s.glacier, np.full(f.size, "s0")), f), "all samples are of scene"),
        (lambda s, f: (Samples(s.patches, np.where(f == 4, 7, s.label), s.glacier, s.scene), f),
         "class cloud is in fold 4, but in none of the folds that train"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_used_are_named(change, message):
    samples, fold = change(*world()[:2])
    with pytest.raises(InputError, match=message):
        cross_validate(CentresLearner(), samples, fold)


def test_other_arguments_that_make_no_sense_are_named():
    samples, fold, _ = world()
    with pytest.raises(InputError, match="protocol='loose': choose 'nested' or 'published'"):
        cross_validate(CentresLearner(), samples, fold, protocol="loose")
    with pytest.raises(InputError, match="leave tests out"):
        cross_validate(CentresLearner(), samples, fold, protocol="published", tests=[0])


# -- folds that are made -----------------------------------------------------------------------------------------


def test_made_folds_share_regions_and_classes_and_split_no_glacier():
    rng = np.random.default_rng(0)
    glacier = rng.integers(0, 36, 4000)
    region = (glacier % 3).astype(str)
    label = np.where(rng.random(4000) < 0.5, glacier % 4, rng.integers(0, 4, 4000))
    fold = folds.stratified(glacier, 6, label, region)
    assert all(np.unique(fold[glacier == g]).size == 1 for g in range(36))
    plain = folds.by_group(glacier, 6)

    def unevenness(fold):
        return max(
            np.bincount(fold[key == k], minlength=6).std() / np.bincount(fold[key == k]).mean()
            for key in (label.astype(str), region) for k in np.unique(key)
        )  # fmt: skip

    assert unevenness(fold) < 0.5 * unevenness(plain)


def test_six_glaciers_make_six_folds_and_five_do_not():
    glacier = np.repeat(np.arange(6), [500, 1, 1, 1, 1, 1])
    assert sorted(folds.stratified(np.arange(6), 6)) == list(range(6))
    fold = folds.stratified(glacier, 6, np.zeros(glacier.size), glacier % 2)
    assert np.unique(fold).size == 6
    with pytest.raises(InputError, match="6 folds need"):
        folds.stratified(np.arange(5), 6)

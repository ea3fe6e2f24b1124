"""Training against closed forms: loss, weights, augmentation, learning rate, what is kept, what is seen."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.optimizer import register_optimizer_step_post_hook

from facies_xr import metrics
from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.nn import augmentation, train
from facies_xr.nn.labels import Samples
from facies_xr.nn.loss import balancing_weights, focal_loss
from facies_xr.nn.scales import ScalesNet


def test_focal_loss_by_its_formula():
    """One sample, p of its class known: -w (1 - p)^gamma log p."""
    for p, gamma, w in ((0.9, 2.0, 1.0), (0.3, 2.0, 2.5), (0.3, 0.0, 1.0), (0.5, 1.0, 0.1)):
        rest = (1 - p) / (len(NAMES) - 1)
        logits = torch.log(torch.tensor([[p] + [rest] * (len(NAMES) - 1)]))
        target = torch.nn.functional.one_hot(torch.tensor([0]), len(NAMES)).float()
        found = focal_loss(logits, target, torch.tensor([w]), gamma)
        assert float(found) == pytest.approx(-w * (1 - p) ** gamma * math.log(p), rel=1e-5)


def test_without_focus_and_weights_it_is_the_cross_entropy_of_torch():
    logits, label = torch.randn(40, len(NAMES), generator=torch.manual_seed(0)), torch.arange(40) % len(NAMES)
    found = focal_loss(logits, train.smoothed(label), torch.ones(40), gamma=0)
    expected = torch.nn.functional.cross_entropy(logits, label, label_smoothing=train.SMOOTHING)
    torch.testing.assert_close(found, expected)


def test_a_hopeless_sample_has_a_finite_loss():
    logits = torch.tensor([[200.0] + [-200.0] * 7], requires_grad=True)
    loss = focal_loss(logits, torch.eye(8)[[3]], torch.ones(1))
    assert float(loss.detach()) == pytest.approx(-math.log(1e-7), rel=1e-4)


@given(st.integers(0, 10**6), st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_each_weight_is_the_inverse_of_its_class_and_of_its_scene(seed, n):
    rng = np.random.default_rng(seed)
    label, scene = rng.integers(0, 8, n), rng.choice(["a", "b", "c"], n)
    found = balancing_weights(label, scene)
    assert found.mean() == pytest.approx(1, rel=1e-4)
    expected = np.array([1 / ((label == k).sum() * (scene == s).sum()) for k, s in zip(label, scene, strict=True)])
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)


def test_of_one_scene_every_class_weighs_the_same():
    label = np.repeat([0, 1, 5], [1, 10, 100])
    found = balancing_weights(label, np.zeros(label.size))
    np.testing.assert_allclose(np.bincount(label, found)[[0, 1, 5]], label.size / 3, rtol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_other_balances_by_their_formulas(seed, n):
    rng = np.random.default_rng(seed)
    label, scene = rng.integers(0, 8, n), rng.choice(["a", "b", "c"], n)
    of_class = np.array([n / (label == k).sum() for k in label])
    of_scene = np.array([n / (scene == s).sum() for s in scene])
    published = balancing_weights(label, scene, normalised=False)
    np.testing.assert_allclose(published, of_class * of_scene, rtol=1e-5)
    root = balancing_weights(label, scene, of_class="root", of_scene="none", normalised=False)
    np.testing.assert_allclose(root, np.sqrt(of_class), rtol=1e-5)
    plain = balancing_weights(label, scene, of_class="none", of_scene="none")
    np.testing.assert_array_equal(plain, np.ones(n))


# -- augmentation -----------------------------------------------------------------------------------------------

PATCH = torch.arange(2 * 3 * 3, dtype=torch.float32).reshape(2, 3, 3)
WAYS = [(mirror, overturn, quarters) for mirror in (False, True) for overturn in (False, True) for quarters in range(4)]


def images(patch):
    return {tuple(augmentation.orient(patch, *way).flatten().tolist()) for way in WAYS}


def test_orientations_are_the_symmetries_of_the_square():
    """Sixteen ways give the eight images of the dihedral group: closed, each of a chance of 2 in 16."""
    assert len(images(PATCH)) == 8
    for way in WAYS:
        assert images(augmentation.orient(PATCH, *way)) == images(PATCH)  # closed, so inverses are there too
    counted = [tuple(augmentation.orient(PATCH, *way).flatten().tolist()) for way in WAYS]
    assert {counted.count(image) for image in counted} == {2}
    torch.testing.assert_close(augmentation.orient(PATCH, False, False, 0), PATCH)
    for way in WAYS:  # the middle stays, and channels turn together
        turned = augmentation.orient(PATCH, *way)
        torch.testing.assert_close(turned[:, 1, 1], PATCH[:, 1, 1])
        torch.testing.assert_close(turned[1] - turned[0], torch.full((3, 3), 9.0))


def test_contrast_is_about_the_mean_and_brightness_moves_it():
    x = torch.rand(5, 3, 9, 9, generator=torch.manual_seed(0))
    contrast, brightness = torch.linspace(0.5, 1.5, 5), torch.linspace(-0.2, 0.2, 5)
    found = augmentation.relight(x, contrast, brightness)
    torch.testing.assert_close(found.mean((2, 3)), x.mean((2, 3)) + brightness[:, None])
    torch.testing.assert_close(found.std((2, 3)), x.std((2, 3)) * contrast[:, None])


def test_augmented_patches_stay_within_what_is_said():
    x = torch.rand(400, 2, 5, 5, generator=torch.manual_seed(0))
    found = augmentation.augment(x, np.random.default_rng(0))
    shift = found.mean((2, 3)) - x.mean((2, 3))
    ratio = found.std((2, 3)) / x.std((2, 3))
    assert 0.009 < float(shift.abs().max()) <= 0.01 + 1e-6
    assert 0.045 < float((ratio - 1).abs().max()) <= 0.05 + 1e-5
    torch.testing.assert_close(shift[:, 0], shift[:, 1], atol=1e-6, rtol=0)  # one brightness for all channels


def test_patches_are_turned_each_by_its_own_way():
    x = torch.rand(48, 2, 5, 5, generator=torch.manual_seed(0))
    ways = [WAYS[k % 16] for k in range(48)]
    found = augmentation.oriented(x, *map(np.array, zip(*ways, strict=True)))
    for patch, expected, way in zip(found, x, ways, strict=True):
        torch.testing.assert_close(patch, augmentation.orient(expected, *way), rtol=0, atol=0)


def test_all_orientations_come_by_chance():
    x = PATCH[None].expand(4000, -1, -1, -1)
    found = augmentation.augment(x, np.random.default_rng(0), contrast=0, brightness=0).round(decimals=3)
    kinds, counts = torch.unique(found.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == 8
    assert (counts - 500).abs().max() < 5 * 21  # five standard deviations of a binomial count


def test_without_augmentation_patches_stay():
    x = torch.rand(7, 2, 5, 5, generator=torch.manual_seed(0))
    found = augmentation.augment(x, np.random.default_rng(0), turned=False, contrast=0, brightness=0)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-6)


# -- the loop ---------------------------------------------------------------------------------------------------


def made_up(n, seed, classes=2):
    """Samples whose class decides their blue."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    patches = rng.normal(0.3, 0.1, (n, 6, 33, 33)).astype("float32")
    patches[:, 0] += 0.4 * label[:, None, None]
    return Samples(patches, label, np.full(n, "g"), rng.choice(["s", "t"], n))


TINY = train.Settings(epochs=3, batch=8, dropout=0.0)


@pytest.fixture(scope="module")
def run():
    return train.fit(made_up(24, 0), made_up(16, 1), 1, "tiny", TINY)


def test_the_best_epoch_is_kept(run):
    assert len(run.iou) == TINY.epochs
    assert run.best_epoch == int(np.argmax(run.iou))
    checked = made_up(16, 1)
    predicted = train.predict(run.classifier.network, run.classifier.inputs(checked.patches)).argmax(1)
    counts = metrics.confusion(checked.label, predicted, len(NAMES))
    assert np.nanmean(metrics.iou(counts)) == pytest.approx(max(run.iou))


def test_the_last_epoch_is_kept_where_settings_say_so():
    """At a learning rate that stays and is too high, so that others may be better."""
    steady = replace(TINY, architecture="scales", kept="last", cosine=False, learning_rate=0.05)
    runs = [train.fit(made_up(24, 0), made_up(16, 1), 1, "tiny", replace(steady, epochs=n)) for n in (3, 6)]
    assert [run.best_epoch for run in runs] == [2, 5]
    for run in runs:
        found = train.mean_iou(run.classifier.network, made_up(16, 1), train.statistics(made_up(24, 0).patches))
        assert found == pytest.approx(run.iou[-1])
    assert runs[1].iou[:3] == runs[0].iou
    with pytest.raises(InputError, match=r"kept.*'best' or 'last'"):
        train.Settings(kept="first")


def test_what_no_weight_changes_is_measured_once_and_the_network_is_the_same(monkeypatch):
    """Bit for bit, curves too; patches are then read once, not in every epoch."""
    steady = replace(TINY, architecture="scales", turned=False, contrast=0.0, brightness=0.0, epochs=3, batch=10)
    samples, runs, read = made_up(24, 0), [], []
    for measured in (True, False):
        monkeypatch.setattr(ScalesNet, "measures_patches", measured)
        counted = samples.patches.view(Counted)
        counted.read = []
        runs.append(train.fit(replace(samples, patches=counted), made_up(16, 1), 1, "tiny", steady))
        read.append(sum(counted.read))
    assert runs[0].classifier.digest == runs[1].classifier.digest
    assert (runs[0].loss, runs[0].iou) == (runs[1].loss, runs[1].iou)
    assert read[1] - read[0] == 2 * len(samples)
    turned = train.fit(samples, made_up(16, 1), 1, "tiny", replace(steady, turned=True))
    assert turned.classifier.digest != runs[0].classifier.digest


class Counted(np.ndarray):
    """Patches that count how many are read."""

    def __getitem__(self, key):
        found = np.asarray(self).__getitem__(key)
        self.read.append(len(found))
        return found


class Watched(np.ndarray):
    """Patches that tell of each batch that is read."""

    def __getitem__(self, key):
        if isinstance(key, np.ndarray):
            self.told.release()
        return np.asarray(self).__getitem__(key)


def test_the_next_batch_is_read_while_this_one_is_learned_from():
    """A step that waits for the reading of the next batch would wait in vain, were that read only after it."""
    samples, told, steps = made_up(24, 0), threading.Semaphore(0), []
    patches = samples.patches.view(Watched)
    patches.told = told

    def after(*_):
        steps.append(all(told.acquire(timeout=5) for _ in range(2 if not steps else 1)) if len(steps) < 2 else True)

    hook = register_optimizer_step_post_hook(after)
    try:
        train.fit(replace(samples, patches=patches), made_up(8, 1), 1, "tiny", replace(TINY, epochs=1), shown=False)
    finally:
        hook.remove()
    assert steps == [True] * 3


def test_bounds_and_means_are_those_of_the_training_samples(run):
    patches = made_up(24, 0).patches
    np.testing.assert_array_equal(run.classifier.minimum, patches.min((0, 2, 3)))
    np.testing.assert_array_equal(run.classifier.maximum, patches.max((0, 2, 3)))
    scaled = (patches - patches.min((0, 2, 3), keepdims=True)) / np.ptp(patches, (0, 2, 3), keepdims=True)
    np.testing.assert_allclose(run.classifier.mean, scaled.mean((0, 2, 3)), atol=1e-5)


def test_gaps_count_for_no_statistic_and_become_the_mean(run):
    patches = made_up(24, 0).patches
    low, high, _ = train.statistics(patches)
    holed = patches.copy()
    holed[0, :, 5, 5] = np.nan
    found = train.statistics(holed)
    np.testing.assert_allclose(found[:2], (low, high), atol=0.05)
    assert np.isfinite(found).all()
    inputs = run.classifier.inputs(holed)
    np.testing.assert_array_equal(inputs[0, :, 5, 5], run.classifier.mean)
    np.testing.assert_array_equal(inputs[1:], run.classifier.scale(patches[1:]))


def test_a_feature_that_never_varies_has_bounds():
    patches = made_up(4, 0).patches
    patches[:, 2] = 0.25
    low, high, mean = train.statistics(patches)
    assert (low[2], high[2], mean[2]) == (0.25, 1.25, 0)


def test_the_seed_determines_the_network():
    short = train.Settings(epochs=1, batch=8, dropout=0.3)
    digests = [
        train.fit(made_up(16, 0), made_up(8, 1), 1, "tiny", settings).classifier.digest
        for settings in (short, short, train.Settings(epochs=1, batch=8, dropout=0.3, seed=1))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_the_learning_rate_follows_half_a_cosine():
    """Read from Adam's own steps: with a constant gradient each step moves a weight by the learning rate."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([weight], 1e-3)
    schedule = train.cosine(optimiser, samples=20, settings=train.Settings(epochs=5, batch=8))
    moved = []
    for _ in range(15):  # 5 epochs of 3 batches
        before = weight.item()
        weight.grad = torch.ones(1)
        optimiser.step()
        schedule.step()
        moved.append(before - weight.item())
    expected = 0.5e-3 * (1 + np.cos(np.pi * np.arange(15) / 15))
    np.testing.assert_allclose(moved, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("training", "checked", "options", "message"),
    [
        (0, 8, TINY, "no training samples"),
        (8, 0, TINY, "no validation samples"),
    ],
)
def test_what_cannot_be_trained_is_named(training, checked, options, message):
    with pytest.raises(InputError, match=message):
        train.fit(made_up(training, 0), made_up(checked, 1), 1, "tiny", options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "transformer"}, "architecture='transformer': choose 'patch' or 'dense'"),
        ({"class_weights": "rare"}, "class_weights='rare': choose 'inverse' or 'root' or 'none'"),
        ({"precision": "float16"}, "precision='float16': choose 'float32' or 'bfloat16'"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_named(options, message):
    with pytest.raises(InputError, match=message):
        train.Settings(**options)


def test_another_number_of_features_is_named():
    with pytest.raises(InputError, match="the training patches have 6 features, set 2 8"):
        train.fit(made_up(8, 0), made_up(8, 1), 2, "tiny", TINY)


def test_a_feature_without_any_data_is_named():
    samples = made_up(8, 0)
    samples.patches[:, 2] = np.nan
    with pytest.raises(InputError, match="feature 2 has no data in any of 8 patches"):
        train.fit(samples, made_up(8, 1), 1, "tiny", TINY)

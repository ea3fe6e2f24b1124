"""A training as a whole: against an independent restatement, killed and resumed, from a store, in another precision."""

import json
import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import safetensors
import torch

from facies_xr.errors import StoreError
from facies_xr.nn import checkpoint, train
from facies_xr.nn.patchstore import PatchStore, writing

from .test_train import made_up

SETTINGS = train.Settings(epochs=4, batch=8, dropout=0.3, seed=5)


@pytest.fixture(scope="module")
def undisturbed():
    return train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, shown=False)


# -- an independent restatement ---------------------------------------------------------------------------------------


def restated_adam(parameters, gradients, moments, step, rate, epsilon):
    """Kingma and Ba (2015), algorithm 1."""
    for p, g, (m, v) in zip(parameters, gradients, moments, strict=True):
        m.mul_(0.9).add_(0.1 * g)
        v.mul_(0.999).add_(0.001 * g * g)
        p.sub_(rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + epsilon))


def restated_forward(w, x, running, momentum):
    """The network of Maslov et al. (2026), Fig. 3, in plain functions, batch norm in training mode."""
    f = torch.nn.functional

    def block(x, name):
        y = f.conv2d(x, w[f"{name}.0.weight"], w[f"{name}.0.bias"], padding=1)
        mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
        old = running[name]
        count = y.numel() / y.shape[1]
        running[name] = (
            (1 - momentum) * old[0] + momentum * mean.detach(),
            (1 - momentum) * old[1] + momentum * var.detach() * count / (count - 1),
        )
        y = (y - mean[:, None, None]) / (var[:, None, None] + 1e-3).sqrt()
        y = y * w[f"{name}.1.weight"][:, None, None] + w[f"{name}.1.bias"][:, None, None]
        return torch.where(y > 0, y, torch.expm1(y))

    for k in range(3):
        x = block(x, f"fine.{k}")
    fine = x[:, :, 16, 16]
    x = f.max_pool2d(x, 3)
    for k in range(3):
        x = block(x, f"coarse.{k}")
    z = torch.cat([fine, x[:, :, 5, 5], x.flatten(2).max(2).values], 1)
    for k in (1, 4, 7):
        z = z @ w[f"head.{k}.weight"].T + w[f"head.{k}.bias"]
        z = torch.where(z > 0, z, torch.expm1(z)) if k < 7 else z
    return z


def test_the_loss_path_of_a_short_run_is_that_of_a_restatement():
    """Five epochs without chance: no dropout, one batch, no augmentation; weights as in the published method."""
    samples = made_up(8, 0, classes=3)
    settings = train.Settings(
        epochs=5, batch=8, dropout=0.0, learning_rate=3e-3, turned=False, contrast=0, brightness=0,
        normalised_weights=False, momentum=0.05, epsilon=1e-7, glorot=True, seed=3,
    )  # fmt: skip
    run = train.fit(samples, made_up(4, 1, classes=3), 1, "tiny", settings, shown=False)

    torch.manual_seed(3)
    start = train._start(8, 6, settings).network  # the same start; all that follows is stated anew
    w = {n: p.detach().clone().double().requires_grad_() for n, p in start.named_parameters()}
    running = {
        f"{part}.{k}": (torch.zeros(64).double(), torch.ones(64).double())
        for part in ("fine", "coarse")
        for k in range(3)
    }
    low, high = samples.patches.min((0, 2, 3)), samples.patches.max((0, 2, 3))
    x = torch.tensor((samples.patches - low[:, None, None]) / (high - low)[:, None, None], dtype=torch.float64)
    y = np.full((8, 8), 0.1 / 8)
    y[np.arange(8), samples.label] += 0.9
    n_class, n_scene = (np.array([(key == k).sum() for k in key]) for key in (samples.label, samples.scene))
    sample_weight, y = torch.tensor(8 / n_class * 8 / n_scene), torch.tensor(y)
    moments = [(torch.zeros_like(p).double(), torch.zeros_like(p).double()) for p in w.values()]
    losses = []
    for step in range(5):
        p = torch.softmax(restated_forward(w, x, running, 0.05), 1).clamp(1e-7, 1 - 1e-7)
        loss = (-sample_weight * (y * (1 - p) ** 2 * p.log()).sum(1)).mean()
        gradients = torch.autograd.grad(loss, list(w.values()))
        rate = 3e-3 * 0.5 * (1 + math.cos(math.pi * step / 5))
        with torch.no_grad():
            restated_adam(list(w.values()), gradients, moments, step + 1, rate, 1e-7)
        losses.append(loss.item())
    np.testing.assert_allclose(run.loss, losses, rtol=2e-3)
    assert losses[-1] < 0.9 * losses[0]  # it did learn, so that later steps are tested too


def test_glorot_starts_are_uniform_within_their_limits():
    network = train._start(10, 11, replace(SETTINGS, glorot=True)).network
    weight = network.fine[1][0].weight.detach()
    limit = math.sqrt(6 / (64 * 9 + 64 * 9))
    assert 0.99 * limit < float(weight.abs().max()) <= limit
    assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert not network.head[1].bias.any()


# -- killed and resumed -----------------------------------------------------------------------------------------------


def stopped_after(epochs, path, monkeypatch):
    """A training that is interrupted at the end of an epoch."""
    saved = checkpoint.Training.save

    def save(self, *arguments):
        saved(self, *arguments)
        if len(self.iou) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Training, "save", save)
    with pytest.raises(KeyboardInterrupt):
        train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)
    monkeypatch.undo()


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_result(epochs, undisturbed, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    stopped_after(epochs, path, monkeypatch)
    np.testing.assert_array_equal(checkpoint.curves(path)["loss"], undisturbed.loss[:epochs])
    torch.manual_seed(999)  # what happens in between does not matter
    run = train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)
    assert run.classifier.digest == undisturbed.classifier.digest
    assert (run.loss, run.iou, run.best_epoch) == (undisturbed.loss, undisturbed.iou, undisturbed.best_epoch)


def _train_slowly(path, threads):
    torch.set_num_threads(threads)  # on another number the last bits are others
    train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)


@pytest.mark.slow
def test_a_killed_process_loses_only_the_epoch_under_way(undisturbed, tmp_path):
    path = tmp_path / "run.safetensors"
    process = multiprocessing.get_context("spawn").Process(target=_train_slowly, args=(path, torch.get_num_threads()))
    process.start()
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert 1 <= len(checkpoint.curves(path)) <= SETTINGS.epochs
    run = train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)
    assert run.classifier.digest == undisturbed.classifier.digest


def test_a_finished_training_is_read_again(undisturbed, tmp_path):
    path = tmp_path / "run.safetensors"
    for _ in range(2):
        run = train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)
        assert run.classifier.digest == undisturbed.classifier.digest
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.parametrize("change", [{"seed": 6}, {"epochs": 5}, {"contrast": 0.0}])
def test_another_training_does_not_go_on_from_it(change, tmp_path):
    path = tmp_path / "run.safetensors"
    short = replace(SETTINGS, epochs=1)
    train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", short, checkpoint=path, shown=False)
    with pytest.raises(StoreError, match="other data or settings"):
        train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", replace(short, **change), checkpoint=path, shown=False)
    with pytest.raises(StoreError, match="other data or settings"):
        train.fit(made_up(20, 2), made_up(12, 1), 1, "tiny", short, checkpoint=path, shown=False)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "run.safetensors"
    train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", replace(SETTINGS, epochs=1), checkpoint=path, shown=False)
    with safetensors.safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["facies_xr"])["format"] == checkpoint.FORMAT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"run\.safetensors is not a training that can be resumed"):
        train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", SETTINGS, checkpoint=path, shown=False)


# -- where the samples are, and how exact the products ----------------------------------------------------------------


def test_samples_left_on_disk_train_as_those_in_memory(undisturbed, tmp_path, monkeypatch):
    """The store's order of an epoch is another one; with the same order the results are the same bits."""
    with writing(tmp_path / "patches.zarr", 1) as out:
        out.append(made_up(20, 0))
    streamed = PatchStore(tmp_path / "patches.zarr").samples(streamed=True)
    monkeypatch.setattr(type(streamed.patches), "shuffled", lambda self, rng: rng.permutation(len(self)))
    run = train.fit(streamed, made_up(12, 1), 1, "tiny", SETTINGS, shown=False)
    assert run.classifier.digest == undisturbed.classifier.digest
    np.testing.assert_array_equal(
        train.probabilities(run.classifier, streamed, batch=7),
        train.probabilities(run.classifier, made_up(20, 0), batch=7),
    )


def test_half_precision_follows_the_same_path(undisturbed):
    run = train.fit(made_up(20, 0), made_up(12, 1), 1, "tiny", replace(SETTINGS, precision="bfloat16"), shown=False)
    assert run.classifier.network.head[1].weight.dtype == torch.float32
    np.testing.assert_allclose(run.loss, undisturbed.loss, rtol=0.1)
    assert run.loss != undisturbed.loss


def test_training_leaves_the_random_numbers_of_the_process_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train.fit(made_up(8, 0), made_up(8, 1), 1, "tiny", replace(SETTINGS, epochs=1), shown=False)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_the_published_settings_are_those_of_the_paper():
    p = train.PUBLISHED
    assert (p.epochs, p.batch, p.learning_rate, p.gamma, p.smoothing, p.dropout) == (1000, 512, 1e-3, 2, 0.1, 0.5)
    assert (p.class_weights, p.scene_weights, p.normalised_weights) == ("inverse", "inverse", False)
    assert (p.contrast, p.brightness, p.turned, p.cosine, p.architecture) == (0.05, 0.01, True, True, "patch")
    assert (p.momentum, p.epsilon, p.glorot) == (0.01, 1e-7, True)

"""Where a task evaluates and in what precision; what happens when a device's memory runs out."""

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from facies_xr.errors import InputError
from facies_xr.nn.evaluate import arrived, evaluate, noted, queue
from facies_xr.nn.evaluate.device import PRECISIONS, VARIABLE, card, choose, products, switches
from facies_xr.nn.evaluate.engine import Engine
from facies_xr.nn.network import Inference, Network
from facies_xr.nn.registry import Handle

from ..conftest import random_classifier

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
without_card = pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without a CUDA card")


# -- devices ----------------------------------------------------------------------------------------------------


def test_the_argument_comes_before_the_variable_and_that_before_the_network(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert choose(None, "meta") == torch.device("meta")
    assert choose("cpu", "meta") == torch.device("cpu")
    monkeypatch.setenv(VARIABLE, "cpu")
    assert choose(None, "meta") == torch.device("cpu")
    monkeypatch.setenv(VARIABLE, "tpu")
    assert choose("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="FACIES_XR_DEVICE='tpu': choose \"cpu\""):
        choose()


@without_card
def test_without_a_card_the_cpu_is_chosen_and_a_card_refused(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert choose() == torch.device("cpu")
    with pytest.raises(InputError, match="device='cuda:1': torch sees 0 CUDA cards here"):
        choose("cuda:1")
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(InputError, match="FACIES_XR_DEVICE='cuda': torch sees 0 CUDA cards"):
        evaluate(random_classifier(1).network, np.zeros((6, 34, 34), "float32"))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", "cuda:1 "])
def test_what_is_no_name_of_a_device_is_refused(name):
    with pytest.raises(InputError, match="choose"):
        choose(name)


def test_threads_share_cards_evenly_and_each_keeps_its_own():
    together = threading.Barrier(6)

    def mine(_):
        together.wait()
        return threading.get_ident(), card(3), card(3)

    with ThreadPoolExecutor(6) as pool:
        seen = set(pool.map(mine, range(6)))
    assert len(seen) == 6
    assert all(first == second for _, first, second in seen)
    assert sorted(first for _, first, _ in seen) == [0, 0, 1, 1, 2, 2]


# -- precision --------------------------------------------------------------------------------------------------


def settings():
    """All that torch says about the precision of products; a question that it refuses is an answer, too."""
    backends = torch.backends
    questions = [
        torch.get_float32_matmul_precision,
        lambda: backends.cuda.matmul.allow_tf32,
        lambda: backends.cudnn.allow_tf32,
        *(lambda s=switch: s[0]() for switch, _ in switches()),
    ]
    answers = []
    for question in questions:
        try:
            answers.append(question())
        except RuntimeError:
            answers.append("refused")
    return answers


@pytest.fixture
def restored():
    """Torch's settings, as they were before the test."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
@pytest.mark.parametrize("cudnn", [True, False])
def test_settings_are_those_of_the_precision_within_and_as_before_after(precision, matmul, cudnn, restored):
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn
    before = settings()
    with products(precision, "cpu"):
        assert [read() for (read, _), _ in switches()] == [wanted[precision] for _, wanted in switches()]
    assert settings() == before
    with pytest.raises(ZeroDivisionError), products(precision, "cpu"):
        raise ZeroDivisionError
    assert settings() == before


class Probed(Network):
    """A made-up network of one pixel; its engine notes torch's settings."""

    architecture, radius = "probed", 0

    def __init__(self, channels: int = 2, dropout: float = 0.0):
        super().__init__()
        self.channels = channels
        self.layer = torch.nn.Linear(channels, 8)

    def forward(self, patches):
        return self.layer(patches[:, :, 0, 0])

    def fold(self):
        return ProbedTogether(self)


def one_by_one(prepared, features):
    pixels = features.reshape(len(features), -1).T[:, :, None, None]
    return prepared.scores(pixels).reshape(*features.shape[1:], 8)


class ProbedTogether(Inference):
    seen: list

    def whole(self, features):
        self.seen.append([read() for (read, _), _ in switches()])
        return one_by_one(self, features)

    engines = (Engine("whole", whole, 100, (1, 1), 50.0),)


def test_an_exact_evaluation_is_exact_whatever_the_settings_are(monkeypatch, restored):
    monkeypatch.setattr(ProbedTogether, "seen", [], raising=False)
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    before = settings()
    features = np.random.default_rng(0).random((2, 30, 20), "float32")
    evaluate(Probed(), features, device="cpu")
    evaluate(Probed(), features, device="cpu", precision="tf32")
    assert ProbedTogether.seen == [[wanted[p] for _, wanted in switches()] for p in ("float32", "tf32")]
    assert len(set(map(tuple, ProbedTogether.seen))) == 2
    assert settings() == before


def test_threads_of_another_precision_wait():
    log, start = [], threading.Barrier(4)

    def work(precision):
        start.wait()
        for _ in range(50):
            with products(precision, "cpu"):
                log.append(switches()[0][0][0]() == switches()[0][1][precision])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["float32", "tf32", "float32", "tf32"]))
    assert len(log) == 200
    assert all(log)


# -- memory -----------------------------------------------------------------------------------------------------


class Crowded(Probed):
    """A made-up network whose device, so it says, has room for parts of so many pixels only."""

    architecture = "crowded"
    room = 0

    def fold(self):
        return CrowdedTogether(self)


class CrowdedTogether(Inference):
    def __init__(self, network):
        super().__init__(network)
        self.room, self.sizes = network.room, []

    def to(self, device):
        self.device = device  # what computes is the CPU all the same
        return self

    def here(self, features):
        return features.cpu()

    def whole(self, features):
        self.sizes.append(tuple(features.shape[1:]))
        if self.device.type != "cpu" and features[0].numel() > self.room:
            raise torch.cuda.OutOfMemoryError("tried to allocate 20.00 GiB")
        return one_by_one(self, features)

    engines = (Engine("whole", whole, 1000, (30, 30), 50.0, devices=("cpu", "meta")),)


@pytest.fixture
def crowded():
    torch.manual_seed(0)
    network = Crowded()
    features = np.random.default_rng(0).random((2, 300, 200), "float32")
    mask = np.ones((300, 200), bool)
    mask[:20, :20] = False
    return network, features, mask


def test_where_memory_runs_out_parts_become_smaller(crowded):
    network, features, mask = crowded
    network.room = 200 * 100
    with warnings.catch_warnings(), noted() as devices:
        warnings.simplefilter("error")
        there = evaluate(network, features, mask, device=torch.device("meta"))
    assert devices == {"meta"}
    sizes = network.folded(torch.device("meta")).sizes
    assert sizes[0] == (300, 200)
    assert (150, 100) in sizes  # half of a half
    np.testing.assert_array_equal(there, evaluate(network, features, mask, device="cpu"))


def test_where_that_does_not_help_the_cpu_takes_the_part(crowded):
    network, features, mask = crowded
    with (
        pytest.warns(UserWarning, match=r"meta is out of memory \(tried to allocate 20.00 GiB\); the CPU takes"),
        noted() as devices,
    ):
        there = evaluate(network, features, mask, device=torch.device("meta"))
    assert devices == {"cpu"}
    assert np.isfinite(there[:, mask]).all()
    np.testing.assert_array_equal(there, evaluate(network, features, mask, device="cpu"))


def test_a_cpu_without_memory_is_an_error(crowded, monkeypatch):
    network, features, mask = crowded

    def full(self, patches):
        raise torch.cuda.OutOfMemoryError("none left")

    monkeypatch.setattr(CrowdedTogether, "scores", full)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="none left"):
        evaluate(network, features, mask, device="cpu")


# -- copies -----------------------------------------------------------------------------------------------------


def test_one_copy_on_each_device_whatever_number_of_threads(monkeypatch):
    folds, network, start = [], Crowded(), threading.Barrier(8)
    monkeypatch.setattr(Crowded, "fold", lambda self: folds.append(self) or CrowdedTogether(self))

    def copy_of(k):
        start.wait()
        return network.folded(torch.device("meta" if k % 2 else "cpu"))

    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(copy_of, range(8)))
    assert len(folds) == 2
    assert len(set(map(id, copies))) == 2
    assert [c.device.type for c in copies] == ["cpu", "meta"] * 4


def test_a_network_travels_and_is_copied_as_it_is(classifier):
    network = copy.deepcopy(classifier.network).double().train()
    for twin in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert twin.training
        assert twin.head[0].p == network.head[0].p
        assert twin.state_dict().keys() == network.state_dict().keys()
        assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), network.parameters(), strict=True))
        with torch.no_grad():
            twin.head[1].weight.add_(1)
        assert not torch.equal(twin.head[1].weight, network.head[1].weight)


def test_tasks_of_a_process_share_one_classifier_and_its_copies():
    handle = Handle.of(random_classifier(1))
    first, second = (pickle.loads(pickle.dumps(handle)).classifier() for _ in range(2))
    assert first is second
    assert first is not handle.itself
    assert first.digest == handle.digest
    assert first.network.folded() is second.network.folded()
    others = [pickle.loads(pickle.dumps(Handle.of(random_classifier(1, seed=k)))).classifier() for k in range(1, 10)]
    assert len({other.digest for other in others}) == 9
    assert pickle.loads(pickle.dumps(handle)).classifier().digest == handle.digest


@needs_card
def test_a_classifier_on_a_card_is_the_same_classifier(tmp_path):
    here, there = random_classifier(1), random_classifier(1)
    there.network.to("cuda")
    arrived = pickle.loads(pickle.dumps(there))
    assert arrived.network.device.type == "cpu"
    assert here.digest == there.digest == arrived.digest
    assert there.save(tmp_path / "a").read_bytes() == here.save(tmp_path / "b").read_bytes()


@needs_card
def test_what_threads_put_on_a_card_arrives_whole():
    """By page-locked memory, each in its own queue, the memory of the one before used again."""
    device = torch.device("cuda", 0)

    def there_and_back(seed):
        values = np.random.default_rng(seed).random((20, 300, 300), "float32")
        with queue(device):
            return np.array_equal((arrived(values, device) * 2).cpu().numpy(), values * 2)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(40)))


@needs_card
@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_a_card_is_exact_whatever_the_settings_are(engine, restored):
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    features = np.random.default_rng(0).random((6, 100, 90), "float32")
    network = random_classifier(1).network
    there = evaluate(network, features, device="cuda", engine=engine)
    np.testing.assert_allclose(there, evaluate(network, features, device="cpu"), atol=2e-5)

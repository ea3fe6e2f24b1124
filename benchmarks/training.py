"""Training: samples a second, against a straightforward torch loop; and how fast patches come from their store.

    python benchmarks/training.py [SAMPLES]     # 512

Feature set 4, random patches, the published network and batches of 128. "straightforward" is what one writes first: a
Dataset that scales and augments one patch at a time, a DataLoader, the same network, loss and optimiser. Three epochs
after a first one, on the device that training chooses. The store is read whole, and in the order of an epoch.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from facies_xr.nn import prepare, train
from facies_xr.nn.augmentation import augment
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.labels import Samples
from facies_xr.nn.loss import balancing_weights, focal_loss
from facies_xr.nn.network import FaciesNet
from facies_xr.nn.patchstore import PatchStore, writing

ROUNDS = 3
BATCH = 128
MULTIPLICATIONS = 3 * 100e6
"""Of a sample in a training step: once forward, twice backward (docs/dense.md)."""


def made_up(n: int) -> Samples:
    """Random samples."""
    rng = np.random.default_rng(0)
    patches = rng.random((n, len(FEATURE_SETS[4]), 33, 33), "float32")
    return Samples(patches, rng.integers(0, 8, n), rng.choice(["a", "b"], n), rng.choice(["s", "t"], n))


class OneByOne(Dataset):
    """Patches, each scaled and augmented when it is asked for."""

    def __init__(self, samples: Samples):
        self.samples = samples
        self.low, self.high, _ = train.statistics(samples.patches)
        self.weight = balancing_weights(samples.label, samples.scene)
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int):
        patch = (self.samples.patches[k] - self.low[:, None, None]) / (self.high - self.low)[:, None, None]
        x = torch.from_numpy(patch.astype("float32"))
        for axis in (2, 1):
            if self.rng.random() < 0.5:
                x = x.flip(axis)
        x = torch.rot90(x, int(self.rng.integers(4)), (1, 2))
        middle = x.mean((1, 2), keepdim=True)
        x = (x - middle) * self.rng.uniform(0.95, 1.05) + middle + self.rng.uniform(-0.01, 0.01)
        return x.float(), train.smoothed(torch.tensor(self.samples.label[k])), self.weight[k]


def straightforward(samples: Samples) -> Callable[[], None]:
    """An epoch of the loop that one writes first."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = FaciesNet(samples.patches.shape[1]).to(device)
    optimiser = torch.optim.Adam(network.parameters())
    loader = DataLoader(OneByOne(samples), BATCH, shuffle=True)

    def epoch() -> None:
        for x, y, weight in loader:
            loss = focal_loss(network(x.to(device)), y.to(device), weight.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return epoch


def seconds(work: Callable[[], object]) -> float:
    """Time of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(samples: Samples, precision: str = "float32") -> float:
    """Time of an epoch of :func:`facies_xr.nn.train.fit`: what more epochs take longer than one."""

    def run(epochs: int) -> None:
        settings = train.Settings(epochs=epochs, batch=BATCH, precision=precision)
        train.fit(samples, samples[:1], 4, "benchmark", settings, shown=False)

    one = seconds(lambda: run(1))
    return (seconds(lambda: run(ROUNDS + 1)) - one) / ROUNDS


def data_alone(samples: Samples) -> tuple[float, float]:
    """Time of an epoch's samples without a network: one at a time, and as training does it."""
    loader = DataLoader(OneByOne(samples), BATCH, shuffle=True)
    low, high, mean = train.statistics(samples.patches)
    rng = np.random.default_rng(0)

    def batches() -> None:
        for k in range(0, len(samples), BATCH):
            inputs = prepare.without_gaps(prepare.scaled(samples.patches[k : k + BATCH], low, high), mean)
            augment(torch.from_numpy(inputs), rng)

    return seconds(lambda: list(loader)), seconds(batches)


def store_rates(samples: Samples, folder: Path) -> tuple[float, float]:
    """Samples a second from the store, whole, and in the order of an epoch."""
    with writing(folder / "patches.zarr", 4) as out:
        out.append(samples)
    store = PatchStore(folder / "patches.zarr")
    start = time.perf_counter()
    store.samples()
    whole = time.perf_counter() - start
    patches = store.samples(streamed=True).patches
    start = time.perf_counter()
    order = patches.shuffled(np.random.default_rng(0))  # type: ignore[attr-defined]
    for k in range(0, len(order), BATCH):
        patches[order[k : k + BATCH]]
    return len(store) / whole, len(store) / (time.perf_counter() - start)


def main() -> None:
    """Print all of it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    samples = made_up(count)
    epoch = straightforward(samples)
    epoch()
    plain = statistics.median(seconds(epoch) for _ in range(ROUNDS))
    print(f"{torch.get_num_threads()} threads, {count} samples of feature set 4")
    print(f"straightforward   {count / plain:7.0f} samples/s")
    for precision in train.PRECISIONS:
        rate = count / ours(samples, precision)
        print(f"fit, {precision:<12} {rate:7.0f} samples/s   {2 * MULTIPLICATIONS * rate / 1e9:.0f} GFLOP/s")
    one, together = data_alone(samples)
    print(f"data alone: one at a time {count / one:.0f}, as fit does it {count / together:.0f} samples/s")
    with tempfile.TemporaryDirectory() as folder:
        whole, streamed = store_rates(samples, Path(folder))
    print(f"store, whole      {whole:7.0f} samples/s; in the order of an epoch {streamed:.0f} samples/s")


if __name__ == "__main__":
    main()

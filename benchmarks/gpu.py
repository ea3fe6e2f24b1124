"""The networks on a device: that they are right there, and how fast.

    python benchmarks/gpu.py [DEVICE] [EDGE]

DEVICE is "cuda" where there is a card, else "cpu"; EDGE is that of the largest part (512 px on a card, 64 on a CPU).
Feature set 4, random weights. It prints for each engine and precision

* the largest difference of a score from patch by patch in float64 on the CPU, and the share of labels that differ;
* "model only": features on the device, scores on the device, with its multiplications as a share of those that the
  device does in a product of large float32 matrices;
* "host to host": :func:`facies_xr.nn.evaluate.evaluate` on arrays in the host's memory;

then ``classify`` of a cube in the host's memory (feature set 1), from chunks to labels and confidence, by threads; and
the training step of the published network, from patches in the host's memory, with augmentation.
Medians of three after a first call. Patches are folded, channels last, in batches of 4096 (64 on a CPU).
"""

import copy
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask
import numpy as np
import torch
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

import facies_xr as fx
from facies_xr import grids
from facies_xr.nn import train
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.evaluate import contexts, evaluate
from facies_xr.nn.evaluate.device import PRECISIONS, choose, products
from facies_xr.nn.labels import Samples
from facies_xr.nn.network import DenseNet, FaciesNet, Network
from facies_xr.nn.patches import cut
from facies_xr.stations import BANDS

ROUNDS = 3
MULTIPLICATIONS = {"patch compiled": 2.3e6, "patch fused": 6.9e6, "patch torch": 6.9e6, "dense torch": 0.2e6}
"""Of a pixel (docs/dense.md)."""

MULTIPLICATIONS_OF_A_PATCH = 100e6
"""Of a patch alone; a training step has three times as many."""


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median time of some work, after a first call."""
    times = []
    for k in range(ROUNDS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if k:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def exact(network: Network, features: np.ndarray) -> np.ndarray:
    """Patch by patch in float64, on the CPU. (class, y, x)"""
    height, width = (n - 32 for n in features.shape[1:])
    rows, columns = (a.ravel() for a in np.mgrid[:height, :width])
    twin = copy.deepcopy(network).double()
    with torch.inference_mode():
        parts = [
            torch.softmax(twin(torch.from_numpy(cut(features, r, c)).double()), 1)
            for r, c in zip(np.array_split(rows, 16), np.array_split(columns, 16), strict=True)
        ]
    return torch.cat(parts).numpy().T.reshape(8, height, width)


def engines(network: Network, device: torch.device) -> Iterator[tuple[str, str]]:
    """Engines of a network that run on a device, with the precisions that they have there."""
    for engine in network.folded(device).engines:
        for precision in PRECISIONS:
            if engine.runs(device.type, precision) and not (device.type == "cpu" and precision == "tf32"):
                yield engine.name, precision


def model_only(network: Network, name: str, features: torch.Tensor) -> Callable[[], object]:
    """Work of an engine on features that are where it computes."""
    prepared: Any = network.folded(features.device)
    if name == "fused":
        from facies_xr.nn.evaluate import fused

        return lambda: fused.predict(prepared, features)
    if name == "compiled":
        return lambda: prepared.by_kernel(features)
    if network.architecture == "dense":
        return lambda: prepared.maps(features[None])
    return lambda: contexts.predict(prepared, features)


def peak(device: torch.device) -> float:
    """Multiplications a second in a product of large float32 matrices."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device)
    with products("float32", device.type):
        return n**3 / seconds(lambda: a @ a, device)


def patches(network: Network, device: torch.device, precision: str) -> float:
    """Pixels a second, patch by patch, model only."""
    prepared: Any = network.folded(device)
    batch = 4096 if device.type == "cuda" else 64
    x = torch.rand(batch, 11, 33, 33, device=device).contiguous(memory_format=torch.channels_last)
    with products(precision, device.type):
        return batch / seconds(lambda: prepared.scores(x), device)


def cube(edge: int) -> xr.Dataset:
    """Noise of six bands, in the host's memory, in chunks of 512 px."""
    box = GeoBox((edge, edge), Affine(10, 0, 600000, 0, -10, 5200000), "EPSG:32632")
    rng = np.random.default_rng(0)
    bands = {name: (("y", "x"), rng.random((edge, edge), "float32")) for name in BANDS}
    return xr.Dataset(bands, coords=grids.coords(box), attrs={"level": "TOA"}).chunk(y=512, x=512)


def right(networks: list[Network], device: torch.device, edge: int) -> None:
    """Print what the engines err by."""
    features = np.random.default_rng(0).standard_normal((11, edge + 32, edge + 35)).astype("float32")
    for network in networks:
        expected = exact(network, features)
        for name, precision in engines(network, device):
            scores = evaluate(network, features, engine=name, precision=precision, device=device)[:, 16:-16, 16:-16]
            differ = (scores.argmax(0) != expected.argmax(0)).mean()
            print(f"{network.architecture:6s} {name:9s} {precision:9s} errs by {np.abs(scores - expected).max():.1e}, "
                  f"{100 * differ:.2f} % of labels differ", flush=True)  # fmt: skip


def fast(networks: list[Network], device: torch.device, edges: list[int]) -> None:
    """Print pixels a second."""
    most, features = peak(device), np.random.default_rng(0).random((11, max(edges) + 32, max(edges) + 32), "float32")
    for precision in PRECISIONS if device.type == "cuda" else ("float32",):
        print(f"patch by patch, {precision}: {patches(networks[0], device, precision):.3g} px/s", flush=True)
    for network in networks:
        for name, precision in engines(network, device):
            for n in edges:
                part = np.ascontiguousarray(features[:, : n + 32, : n + 32])
                with products(precision, device.type):
                    only = n * n / seconds(model_only(network, name, torch.from_numpy(part).to(device)), device)
                work = partial(evaluate, network, part, engine=name, precision=precision, device=device)
                share = only * MULTIPLICATIONS[f"{network.architecture} {name}"] / most
                print(f"{network.architecture:6s} {name:9s} {precision:9s} {n:5d} px: model only {only:.3g} px/s "
                      f"({100 * share:.0f} %), host to host {n * n / seconds(work, device):.3g} px/s",
                      flush=True)  # fmt: skip


def end_to_end(device: torch.device, edge: int) -> None:
    """Print pixels a second of classify."""
    data, threads = cube(edge), len(os.sched_getaffinity(0))
    low, high = np.zeros(6), np.ones(6)
    for network in (FaciesNet(6).eval(), DenseNet(6).eval()):
        classifier = Classifier(network, 1, low, high, high / 2, "random")
        maps = fx.classify(data, classifier, device=str(device))[["facies_map", "confidence"]]
        with dask.config.set(scheduler="threads", num_workers=threads):
            rate = edge**2 / seconds(maps.compute, device)
        print(f"{network.architecture:6s} classify {edge}^2 px, {threads} threads: {rate:.3g} px/s", flush=True)


def training(device: torch.device, samples: int, batch: int) -> None:
    """Print samples a second of a training: what more epochs take longer than one."""
    rng = np.random.default_rng(0)
    patches = rng.random((samples, 11, 33, 33), "float32")
    made_up = Samples(patches, rng.integers(0, 8, samples), np.full(samples, "a"), np.full(samples, "s"))

    def run(epochs: int, precision: str) -> float:
        start = time.perf_counter()
        settings = train.Settings(epochs=epochs, batch=batch, precision=precision)
        train.fit(made_up, made_up[:1], 4, "benchmark", settings, shown=False)
        return time.perf_counter() - start

    for precision in train.PRECISIONS:
        run(1, precision)
        rate = ROUNDS * samples / (run(ROUNDS + 1, precision) - run(1, precision))
        share = rate * 3 * MULTIPLICATIONS_OF_A_PATCH / peak(device)
        print(f"training, batch {batch}, {precision}: {rate:.3g} samples/s ({100 * share:.0f} %)", flush=True)


def main() -> None:
    """Print all of it."""
    warnings.simplefilter("ignore")
    given = dict(enumerate(sys.argv[1:]))
    device = choose(given.get(0))
    edge = int(given.get(1, 512 if device.type == "cuda" else 64))
    torch.manual_seed(0)
    networks = [FaciesNet(11).eval(), DenseNet(11).eval()]
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else device, "torch", torch.__version__)
    right(networks, device, min(edge, 48))
    fast(networks, device, [n for n in (64, 128, 256, 512, 1024) if n <= edge] or [edge])
    end_to_end(device, 4 * edge)
    training(device, *((32_768, 512) if device.type == "cuda" else (128, 64)))


if __name__ == "__main__":
    main()

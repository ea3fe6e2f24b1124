"""Dense evaluation against patch by patch, in one run.

    python benchmarks/dense.py [THREADS]
    python benchmarks/dense.py masks
    python benchmarks/dense.py scaling

Feature set 4. Interleaved rounds; medians, wall and CPU time. "straightforward" is the network as it was trained,
"best" the folded one in channels-last batches of 32, cutting its patches; both on 512 pixels of the same raster. The
others evaluate rasters whole, one a thread; compiling is not counted, and is printed.

"masks" compares a raster of 1000 x 1000 px with five round blobs of it that hold 15 % of its pixels, and an ice cap of
512 x 512 px with its 4, 16 and 64 glaciers, each of which is evaluated in the scale of its own elevation.

"scaling" evaluates rasters of 32 to 512 px with one and two threads, each thread a raster of its own, and shows the
memory that one evaluation takes beside its input and its result, in a process of its own.
"""

import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.spatial import KDTree

from facies_xr.nn.evaluate import evaluate, one_thread
from facies_xr.nn.network import DenseNet, FaciesNet
from facies_xr.nn.patches import cut

ROUNDS, PIXELS = 5, 512


def ways(network: FaciesNet, designed: DenseNet) -> dict[str, tuple[Callable[[], object], int]]:
    """Functions to time, and the pixels that they evaluate."""
    rng = np.random.default_rng(0)
    raster = rng.random((11, 288, 288), "float32")
    rows, columns = rng.integers(0, 256, (2, PIXELS))
    best_network = network.folded()

    @torch.inference_mode()
    def straightforward() -> None:
        for k in range(0, PIXELS, 256):
            patches = cut(raster, rows[k : k + 256], columns[k : k + 256])
            torch.softmax(network(torch.from_numpy(patches)), 1)

    def best() -> None:
        for k in range(0, PIXELS, 32):
            best_network.predict(cut(raster, rows[k : k + 32], columns[k : k + 32]))

    def whole(net, n: int, engine: Literal["compiled", "torch"]):
        part = np.ascontiguousarray(raster[:, : n + 32, : n + 32])
        return (lambda: evaluate(net, part, engine=engine)), n * n

    found = {"straightforward patches": (straightforward, PIXELS), "best patches": (best, PIXELS)}
    for n in (32, 64, 128):
        found[f"contexts in torch, {n} px"] = whole(network, n, "torch")
    for n in (32, 64, 128, 256):
        found[f"compiled, {n} px"] = whole(network, n, "compiled")
    for n in (64, 256):
        found[f"dense by design, {n} px"] = whole(designed, n, "torch")
    return found


def main() -> None:
    """Print a table."""
    torch.manual_seed(0)
    network, designed = FaciesNet(11).eval(), DenseNet(11).eval()
    start = time.perf_counter()
    evaluate(network, np.zeros((11, 40, 40), "float32"), engine="compiled")
    if sys.argv[1:2] == ["memory"]:
        memory(network, int(sys.argv[2]))
        return
    print(f"first call of the compiled kernel: {time.perf_counter() - start:.1f} s")
    if sys.argv[1:] == ["masks"]:
        masks(network)
        return
    if sys.argv[1:] == ["scaling"]:
        scaling(network)
        return
    threads = int((sys.argv[1:] or ["2"])[0])
    timed = ways(network, designed)
    wall: dict[str, list[float]] = {name: [] for name in timed}
    cpu: dict[str, list[float]] = {name: [] for name in timed}
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        for k in range(ROUNDS + 1):
            for name, (way, _) in timed.items():
                wall_start, cpu_start = time.perf_counter(), time.process_time()
                list(pool.map(lambda _, way=way: way(), range(threads)))
                if k:
                    wall[name].append((time.perf_counter() - wall_start) / threads)
                    cpu[name].append((time.process_time() - cpu_start) / threads)
    first = {
        "wall": timed["best patches"][1] / statistics.median(wall["best patches"]),
        "cpu": timed["best patches"][1] / statistics.median(cpu["best patches"]),
    }
    print(f"{threads} threads                wall px/s   ratio     CPU us/px   ratio")
    for name, (_, pixels) in timed.items():
        w, c = pixels / statistics.median(wall[name]), pixels / statistics.median(cpu[name])
        print(f"{name:26s} {w:9.0f}  {w / first['wall']:6.2f}  {1e6 / c:11.1f}  {c / first['cpu']:6.2f}")


def scaling(network: FaciesNet) -> None:
    """Speed over raster size and threads, and memory over raster size."""
    print("      px   1 thread px/s   2 threads px/s   ratio   memory MiB")
    for n in (32, 64, 128, 256, 512):
        features = np.random.default_rng(0).random((11, n + 32, n + 32), "float32")
        rounds = max(1, 256 // n)
        speed: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for threads in speed:
                with one_thread(), ThreadPoolExecutor(threads) as pool:
                    start = time.perf_counter()
                    list(pool.map(lambda _, f=features: evaluate(network, f), range(threads * rounds)))
                    speed[threads].append(n * n * threads * rounds / (time.perf_counter() - start))
        one, two = (statistics.median(v) for v in speed.values())
        used = subprocess.run([sys.executable, __file__, "memory", str(n)], capture_output=True, text=True, check=True)
        print(f"{n:8d} {one:15.0f} {two:16.0f} {two / one:7.2f} {float(used.stdout):12.0f}", flush=True)


def memory(network: FaciesNet, n: int) -> None:
    """Print what one evaluation takes beside its input and its result, at most. [MiB]"""
    page, statm = resource.getpagesize() / 2**20, Path("/proc/self/statm")
    features = np.random.default_rng(0).random((11, n + 32, n + 32), "float32")
    before, most, done = int(statm.read_text().split()[1]), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], int(statm.read_text().split()[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    found = evaluate(network, features)
    done.set()
    watcher.join()
    print((most[0] - before) * page - found.nbytes / 2**20)


def masks(network: FaciesNet) -> None:
    """Time of a raster and of the blobs on it."""
    features = np.random.default_rng(0).random((11, 1032, 1032), "float32")
    y, x = np.mgrid[:1032, :1032]
    radius = np.sqrt(0.15 * 1000**2 / 5 / np.pi)
    mask = np.zeros((1032, 1032), bool)
    for row, column in ((200, 210), (250, 760), (520, 480), (790, 250), (800, 800)):
        mask |= (y - row) ** 2 + (x - column) ** 2 < radius**2
    seconds: dict[str, list[float]] = {"whole": [], "blobs": []}
    for _ in range(3):
        for name, wanted in (("whole", None), ("blobs", mask)):
            start = time.process_time()
            evaluate(network, features, wanted)
            seconds[name].append(time.process_time() - start)
    whole, blobs = (statistics.median(v) for v in seconds.values())
    print(f"whole {whole:.1f} s CPU, blobs of {100 * mask.mean():.1f} %: {blobs:.1f} s, {whole / blobs:.2f} x faster")
    rng, times = np.random.default_rng(1), {}
    part = np.ascontiguousarray(features[:, :544, :544])
    for glaciers in (1, 4, 16, 64):
        nearest = KDTree(rng.uniform(0, 544, (glaciers, 2))).query(np.mgrid[:544, :544].reshape(2, -1).T)[1]
        index = nearest.reshape(544, 544)
        start = time.process_time()
        for number in range(glaciers):
            for top, left in product(range(0, 512, 256), repeat=2):
                near = slice(top, top + 288), slice(left, left + 288)
                own = np.zeros((288, 288), bool)
                own[16:-16, 16:-16] = (index[near] == number)[16:-16, 16:-16]
                if own.any():
                    evaluate(network, np.ascontiguousarray(part[(slice(None), *near)]), own)
        times[glaciers] = time.process_time() - start
    print(", ".join(f"{n} glaciers {t / times[1]:.2f} x" for n, t in times.items()))


if __name__ == "__main__":
    main()

"""Dense evaluation against patch by patch, in one run.

    python benchmarks/dense.py [THREADS]

Feature set 4. Interleaved rounds; medians, wall and CPU time. "straightforward" is the network as it was trained,
"best" the folded one in channels-last batches of 32, cutting its patches; both on 512 pixels of the same raster.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from facies_xr.nn import contexts, dense, patches
from facies_xr.nn.network import FaciesNet, Folded

ROUNDS, PIXELS = 5, 512


def main() -> None:
    """Print a table."""
    threads = int((sys.argv[1:] or ["2"])[0])
    torch.manual_seed(0)
    network = FaciesNet(11).eval()
    folded = Folded(network)
    rng = np.random.default_rng(0)
    rasters = {n: rng.random((11, n + 32, n + 32), "float32") for n in (32, 64, 96, 128)}
    rows, columns = rng.integers(0, 128, (2, PIXELS))

    @torch.inference_mode()
    def straightforward() -> None:
        for k in range(0, PIXELS, 256):
            cut = patches.cut(rasters[128], rows[k : k + 256], columns[k : k + 256])
            torch.softmax(network(torch.from_numpy(cut)), 1)

    def best() -> None:
        for k in range(0, PIXELS, 32):
            folded.predict(patches.cut(rasters[128], rows[k : k + 32], columns[k : k + 32]))

    ways = {"straightforward patches": (straightforward, PIXELS), "best patches": (best, PIXELS)}
    for n, raster in rasters.items():
        ways[f"together, {n} x {n}"] = (lambda r=raster: contexts.predict(folded, torch.from_numpy(r)), n * n)
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    with dense.one_thread(), ThreadPoolExecutor(threads) as pool:
        for k in range(ROUNDS + 1):
            for name, (way, _) in ways.items():
                start = time.perf_counter(), time.process_time()
                list(pool.map(lambda _, way=way: way(), range(threads)))
                if k:
                    wall[name].append((time.perf_counter() - start[0]) / threads)
                    cpu[name].append((time.process_time() - start[1]) / threads)
    first = {
        "wall": ways["best patches"][1] / statistics.median(wall["best patches"]),
        "cpu": ways["best patches"][1] / statistics.median(cpu["best patches"]),
    }
    print(f"{threads} threads                wall px/s   ratio     CPU us/px   ratio")
    for name, (_, pixels) in ways.items():
        w, c = pixels / statistics.median(wall[name]), pixels / statistics.median(cpu[name])
        print(f"{name:26s} {w:9.0f}  {w / first['wall']:6.2f}  {1e6 / c:11.0f}  {c / first['cpu']:6.2f}")


if __name__ == "__main__":
    main()

"""Small networks as one batch beside one by one, by plain torch and by our loop: the same epochs, rows and layers.

109 rows and 27 features, as many as Wang and Zhang (2026) have; every member with its own seed and rows held out. One
core, rounds interleaved, medians; peak memory of a process of its own for each number of members. ::

    taskset -c 0 python benchmarks/tabular.py [MEMBERS ...]
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from facies_xr.smb.methods.tabular.network import Settings, noise, train

ROWS, FEATURES = 109, 27
EPOCHS, ROUNDS = 200, 3
MEMBERS = (1, 10, 50, 200)
MOST_ALONE = 5
"""Members that are trained one by one; more take as much longer."""

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def data(members: int) -> Data:
    """Inputs, targets, and rows that train. (member, row, feature), (member, row), (member, row)"""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((1, ROWS, FEATURES)), members, 0).astype("float32")
    y = (x[..., 0] - x[..., 1] + 0.5 * rng.standard_normal((members, ROWS))).astype("float32")
    return x, y, rng.random((members, ROWS)) < 0.8


def settings() -> Settings:
    """As published; no member stops before the last epoch."""
    return Settings(epochs=EPOCHS, patience=10 * EPOCHS)


def batched(x: np.ndarray, y: np.ndarray, training: np.ndarray) -> None:
    """All members at once."""
    train(x, y, training, ~training, [settings()] * len(x), range(len(x)))


def alone(x: np.ndarray, y: np.ndarray, training: np.ndarray) -> None:
    """One member after the other, by the same loop."""
    for k in range(len(x)):
        batched(x[k : k + 1], y[k : k + 1], training[k : k + 1])


def plain(x: np.ndarray, y: np.ndarray, training: np.ndarray) -> None:
    """One member after the other, as one writes it: Sequential, Adam, noise, L1, a check each fifth epoch."""
    for k in range(len(x)):
        torch.manual_seed(k)
        sizes = [FEATURES, *settings().hidden]
        layers = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ELU())]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
        optimiser = torch.optim.Adam(network.parameters(), settings().rate)
        inputs, targets = torch.from_numpy(x[k]), torch.from_numpy(y[k])
        rows, held = (torch.from_numpy(np.flatnonzero(mask)) for mask in (training[k], ~training[k]))
        least, best = np.inf, None
        for epoch in range(EPOCHS):
            field = torch.from_numpy(np.ascontiguousarray(noise(epoch, FEATURES, ROWS)))
            out = network((inputs + settings().sigma * field)[rows])[:, 0]
            penalty = sum(layer.weight.abs().sum() for layer in network if isinstance(layer, torch.nn.Linear))
            loss = ((out - targets[rows]) ** 2).mean() + settings().l1 * penalty
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if epoch % 5 == 4:
                with torch.no_grad():
                    error = float(((network(inputs[held])[:, 0] - targets[held]) ** 2).mean())
                if error < least:
                    least, best = error, {n: p.clone() for n, p in network.state_dict().items()}
        assert best is not None


WAYS: dict[str, Callable[..., None]] = {"batched": batched, "one by one": alone, "one by one, plain torch": plain}


def measure(members: int) -> dict[str, float]:
    """Milliseconds a member, by way; those one by one of few members, for each costs the same."""
    given = {way: data(members if way == "batched" else min(members, MOST_ALONE)) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS + 1):
        for way, run in WAYS.items():
            start = time.process_time()
            run(*given[way])
            seconds[way].append((time.process_time() - start) / len(given[way][0]))
    return {way: 1e3 * float(np.median(found[1:] or found)) for way, found in seconds.items()}


def memory(members: int) -> float:
    """Peak memory of a process that trains so many at once, beyond that of one that trains none. [MiB]"""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import tabular as t; t.peak(int(sys.argv[2]))"
    command = [sys.executable, "-c", code, __file__.rsplit("/", 1)[0]]
    with_them, without = (
        float(subprocess.run([*command, str(n)], capture_output=True, text=True, check=True).stdout)
        for n in (members, 0)
    )
    return with_them - without


def peak(members: int) -> None:
    """Print the peak memory of this process. [MiB]"""
    torch.set_num_threads(1)
    if members:
        x, y, training = data(members)
        train(x, y, training, ~training, [Settings(epochs=10)] * members, range(members))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print milliseconds a member, the ratios, and memory."""
    torch.set_num_threads(1)
    for members in [int(n) for n in sys.argv[1:]] or MEMBERS:
        found = measure(members)
        shown = ", ".join(f"{way} {ms:.1f} ms" for way, ms in found.items())
        ratio = " and ".join(f"{found[way] / found['batched']:.1f}" for way in list(WAYS)[1:])
        print(f"{members} members, {EPOCHS} epochs: {shown} a member; {ratio} times; {memory(members):.0f} MiB")


if __name__ == "__main__":
    main()

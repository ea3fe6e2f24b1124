"""Fast products near the corners of patches in plain torch: do they pay without a kernel of their own?

    python benchmarks/slots.py [EDGE ...]

What a convolution adds near the corner of a patch, from its n x n edge maps to (n + 1) x (n + 1) contexts, of EDGE x
EDGE patches (8, 16, 32 by default): product by product, and by the slots of facies_xr.nn.evaluate.slots (evaluate,
multiply, interpolate, each a batched product of matrices). Both are checked to be the same. Prints microseconds of one
thread of the processor a patch.
"""

import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import torch

from facies_xr.nn.evaluate.slots import matrices, slots

WIDTH, ROUNDS = 64, 5
SHIFTS = (-1, 0, 1)


def by_products(maps: torch.Tensor, weight: torch.Tensor, n: int) -> torch.Tensor:
    """Contexts (n + 1, n + 1, patch, 64) of edge maps (n, n, patch, 64), by weights (3, 3, 64, 64)."""
    out = torch.zeros(n + 1, n + 1, *maps.shape[2:])
    for r, c in np.ndindex(n + 1, n + 1):
        total = out[r, c]
        for (i, u), (j, v) in product(enumerate(SHIFTS), enumerate(SHIFTS)):
            if 0 <= r + u < n and 0 <= c + v < n:
                torch.addmm(total, maps[r + u, c + v], weight[i, j], out=total)
    return out


def on_both_axes(factors: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Sums of maps (i, j, patch, 64) along both axes, with factors (out, in)."""
    rows = torch.matmul(factors, maps.reshape(len(maps), -1)).reshape(len(factors), maps.shape[1], -1)
    return torch.matmul(factors, rows).reshape(len(factors), len(factors), *maps.shape[2:])


def seconds(work: Callable) -> float:
    """Median time of the processor."""
    taken = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return float(np.median(taken))


def measure(n: int, patches: int) -> None:
    """Both ways, for n edge maps."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((WIDTH, WIDTH, 3, 3)) / WIDTH
    weight = torch.tensor(kernel.transpose(2, 3, 1, 0), dtype=torch.float32)
    maps = torch.tensor(rng.standard_normal((n, n, patches, WIDTH)), dtype=torch.float32)
    into, out = (torch.tensor(m, dtype=torch.float32) for m in (slots(n).maps, slots(n).cells))
    factors = torch.tensor(matrices(kernel, n)[1][:, : len(into)])

    def multiply(values: torch.Tensor) -> torch.Tensor:
        return torch.bmm(values.flatten(0, 1), factors.flatten(0, 1)).reshape(values.shape)

    values = on_both_axes(into, maps)
    products = multiply(values)
    torch.testing.assert_close(on_both_axes(out, products), by_products(maps, weight, n), atol=1e-3, rtol=1e-3)
    took = [1e6 * seconds(work) / patches for work in (
        lambda: by_products(maps, weight, n),
        lambda: on_both_axes(into, maps), lambda: multiply(values), lambda: on_both_axes(out, products),
    )]  # fmt: skip
    direct, *parts = took
    print(
        f"{patches:5d} patches, {n} edge maps: products {direct:.1f}; slots {sum(parts):.1f} (evaluate {parts[0]:.1f},",
        f"multiply {parts[1]:.1f}, interpolate {parts[2]:.1f}); ratio {direct / sum(parts):.2f}",
        flush=True,
    )


def main() -> None:
    """All sizes."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        for edge, n in product([int(v) for v in sys.argv[1:]] or [8, 16, 32], (2, 3)):
            measure(n, edge**2)


if __name__ == "__main__":
    main()

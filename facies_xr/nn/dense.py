"""Evaluation of a network at every pixel of a raster: together where pixels lie close, patch by patch where not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from ..classes import CLASSES
from ..errors import InputError
from . import contexts, kernels
from .network import Folded, FoldedDense, Network, folded
from .patches import RADIUS, cut

BATCH = 32

SMALLEST = 12
"""Parts narrower than this are not divided further. [px]"""


@dataclass(frozen=True)
class Engine:
    """A way to evaluate a part of a raster as a whole, and what that costs (docs/dense.md)."""

    predict: Callable[[Folded, np.ndarray], np.ndarray]
    """Probabilities (y - 32, x - 32, class) of features (feature, y, x)."""
    largest: int
    """Edge of the largest part; it bounds the memory. [px]"""
    rim: tuple[float, float]
    """Rows and columns by which a part costs more than its pixels. [px]"""
    alone: float
    """Cost of a pixel alone, patch by patch. [px]"""

    def cost(self, part: "Part") -> float:
        """Of a part as a whole. [px]"""
        height, width = (p.stop - p.start for p in part)
        return (height + self.rim[0]) * (width + self.rim[1])


def _by_torch(network: Folded, features: np.ndarray) -> np.ndarray:
    return contexts.predict(network, torch.from_numpy(features)).cpu().numpy()


def _compiled(network: Folded, features: np.ndarray) -> np.ndarray:
    return network.conclude(torch.from_numpy(kernels.features(network.compiled, features))).numpy()


def _by_convolution(network: Folded, features: np.ndarray) -> np.ndarray:
    assert isinstance(network, FoldedDense)
    return network.maps(torch.from_numpy(features)[None])[0].cpu().numpy()


ENGINES = {
    "compiled": Engine(_compiled, 256, (5.8, 9.8), 31.0),
    "torch": Engine(_by_torch, 128, (9.0, 9.0), 11.5),
}
"""For the network that was made for patches."""

CONVOLUTION = Engine(_by_convolution, 256, (20.0, 20.0), 300.0)
"""For the network that was made to be dense."""


def evaluate(
    network: Network,
    features: np.ndarray,
    mask: np.ndarray | None = None,
    engine: Literal["auto", "compiled", "torch"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> np.ndarray:
    """Class probabilities at the pixels of a raster, as patch by patch.

    Parameters
    ----------
    network : FaciesNet or DenseNet
    features : ndarray (feature, y, x) of float32
        Scaled, finite; its outer 16 px are context only.
    mask : ndarray (y, x) of bool, optional
        Pixels that are wanted; by default all that have their context.
    engine : {"auto", "compiled", "torch"}
        The compiled kernel of the CPU, or torch on the device of the network; by default the kernel, unless the
        network is on a GPU or made to be dense.
    precision : {"float32", "bfloat16"}
        Of the products; the second is for hardware that is fast at it, by torch, and errs by some hundredths.

    Returns
    -------
    ndarray (facies_class, y, x) of float32
        NaN outside the mask and in the outer 16 px.

    Raises
    ------
    InputError
        If the engine or precision is not known, or the compiled one is asked for what it cannot evaluate.
    """
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision={precision!r}: choose float32 or bfloat16.")
    coarse = precision == "bfloat16"
    if coarse and engine == "compiled":
        raise InputError('engine="compiled" computes in float32; choose engine="torch" for bfloat16.')
    prepared = folded(network)
    chosen = _engine("torch" if coarse else engine, prepared)
    out = np.full((len(CLASSES), *features.shape[1:]), np.nan, "float32")
    inner = out[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
    wanted = np.ones(inner.shape[1:], bool) if mask is None else mask[RADIUS:-RADIUS, RADIUS:-RADIUS]
    with one_thread(), torch.autocast(prepared.device.type, torch.bfloat16, enabled=coarse):
        for part in _plan(wanted, (slice(0, wanted.shape[0]), slice(0, wanted.shape[1])), chosen)[1]:
            rows, columns = (r + p.start for r, p in zip(np.nonzero(wanted[part]), part, strict=True))
            if chosen.cost(part) < chosen.alone * rows.size:
                y, x = (slice(p.start, p.stop + 2 * RADIUS) for p in part)
                found = chosen.predict(prepared, np.ascontiguousarray(features[:, y, x]))
                inner[:, rows, columns] = found[rows - part[0].start, columns - part[1].start].T
                continue
            for k in range(0, rows.size, BATCH):
                r, c = rows[k : k + BATCH], columns[k : k + BATCH]
                inner[:, r, c] = prepared.predict(cut(features, r, c)).T
    return out


def _engine(name: str, network: Folded) -> Engine:
    if name not in ("auto", *ENGINES):
        raise InputError(f"engine={name!r}: choose one of auto, {', '.join(ENGINES)}.")
    made_dense, on_cpu = isinstance(network, FoldedDense), network.device.type == "cpu"
    if name == "compiled" and (made_dense or not on_cpu):
        raise InputError(
            f'engine="compiled" evaluates networks of architecture "patch" on the CPU; this one is '
            f'{"dense" if made_dense else f"on {network.device}"}: choose "torch".'
        )
    if made_dense:
        return CONVOLUTION
    return ENGINES["compiled" if on_cpu and name != "torch" else "torch"]


Part = tuple[slice, slice]


def _plan(wanted: np.ndarray, part: Part, engine: Engine) -> tuple[float, list[Part]]:
    """Parts that hold the wanted pixels at the least cost: a part as a whole, or its halves."""
    rows, columns = np.flatnonzero(wanted[part].any(1)), np.flatnonzero(wanted[part].any(0))
    if rows.size == 0:
        return 0.0, []
    top, left = part[0].start, part[1].start
    part = slice(top + rows[0], top + rows[-1] + 1), slice(left + columns[0], left + columns[-1] + 1)
    height, width = (p.stop - p.start for p in part)
    whole = min(engine.cost(part), engine.alone * np.count_nonzero(wanted[part]))
    if max(height, width) > engine.largest:
        whole = np.inf
    elif max(height, width) < 2 * SMALLEST:
        return whole, [part]
    halves = [_plan(wanted, half, engine) for half in _halves(part, engine.rim)]
    cost = sum(half[0] for half in halves)
    return (whole, [part]) if whole <= cost else (cost, [p for half in halves for p in half[1]])


def _halves(part: Part, rim: tuple[float, float]) -> tuple[Part, Part]:
    """Halves of a part, along the side that is longer against its rim."""
    rows, columns = part
    if (rows.stop - rows.start) * rim[1] >= (columns.stop - columns.start) * rim[0]:
        middle = (rows.start + rows.stop) // 2
        return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)
    middle = (columns.start + columns.stop) // 2
    return (rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))


_lock = threading.Lock()
_inside = 0
_limit = ExitStack()


@lru_cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch and BLAS use one thread, since Dask owns the cores; the last to leave restores BLAS's settings.

    Torch has a number for each thread that calls it, so each sets its own.
    """
    global _inside, _limit
    with _lock:
        own = torch.get_num_threads()
        if _inside == 0:
            _limit.enter_context(_blas().limit(limits=1, user_api="blas"))
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.close()  # sets OpenMP's threads too, as they were when it was entered
            torch.set_num_threads(own)

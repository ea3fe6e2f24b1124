"""Evaluation of a network at the pixels of a raster: together where they lie close, patch by patch where not."""

from typing import Literal

import numpy as np
import torch

from ...classes import CLASSES
from .engine import Engine, Network, Part, choose
from .plan import plan
from .threads import one_thread

BATCH = 32
"""Patches that are evaluated at a time."""


def evaluate(
    network: Network,
    features: np.ndarray,
    mask: np.ndarray | None = None,
    engine: str = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> np.ndarray:
    """Class probabilities at the pixels of a raster, as patch by patch.

    Parameters
    ----------
    network : Network
        One of :data:`facies_xr.nn.network.ARCHITECTURES`.
    features : ndarray (feature, y, x) of float32
        Scaled, finite; its outer pixels, as many as the network's radius, are context only.
    mask : ndarray (y, x) of bool, optional
        Pixels that are wanted; by default all that have their context.
    engine : str
        "auto", or one that the network states: "compiled", the kernel of the CPU, or "torch", on the device of the
        network. By default the first that runs there.
    precision : {"float32", "bfloat16"}
        Of the products; the second is for hardware that is fast at it, by torch, and errs by some hundredths.

    Returns
    -------
    ndarray (facies_class, y, x) of float32
        NaN outside the mask and where the context is not whole.

    Raises
    ------
    InputError
        If the engine or precision is not known, or the engine does not run so.
    """
    prepared = network.folded()
    chosen, radius = choose(prepared, engine, precision), prepared.radius
    out = np.full((len(CLASSES), *features.shape[1:]), np.nan, "float32")
    height, width = (n - 2 * radius for n in features.shape[1:])
    inside = slice(radius, radius + height), slice(radius, radius + width)
    inner = out[(slice(None), *inside)]
    wanted = np.ones((height, width), bool) if mask is None else mask[inside]
    everything = slice(0, height), slice(0, width)
    with one_thread(), torch.autocast(prepared.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        for part in plan(wanted, everything, chosen)[1] if chosen else [everything]:
            rows, columns = (r + p.start for r, p in zip(np.nonzero(wanted[part]), part, strict=True))
            if chosen and _pays(chosen, part, rows.size):
                y, x = (slice(p.start, p.stop + 2 * radius) for p in part)
                whole = chosen.predict(prepared, np.ascontiguousarray(features[:, y, x]))
                inner[:, rows, columns] = whole[rows - part[0].start, columns - part[1].start].T
                continue
            for k in range(0, rows.size, BATCH):
                r, c = rows[k : k + BATCH], columns[k : k + BATCH]
                inner[:, r, c] = prepared.predict(around(features, r, c, radius)).T
    return out


def around(features: np.ndarray, rows: np.ndarray, columns: np.ndarray, radius: int) -> np.ndarray:
    """Patches (n, feature, y, x) around pixels, which are counted from the first that has its context."""
    size = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(features, (size, size), axis=(-2, -1))
    return np.ascontiguousarray(windows[:, rows, columns].swapaxes(0, 1))


def _pays(engine: Engine, part: Part, pixels: int) -> bool:
    """Whether a part as a whole costs less than its pixels patch by patch."""
    return engine.cost(part) < engine.alone * pixels

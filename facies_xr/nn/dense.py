"""Evaluation of a network at every pixel of a raster."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..classes import CLASSES
from .network import FaciesNet, Folded
from .patches import RADIUS, cut

BATCH = 32


def evaluate(network: FaciesNet, features: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Class probabilities at the pixels of a raster, patch by patch.

    Parameters
    ----------
    network : FaciesNet
    features : ndarray (feature, y, x) of float32
        Scaled, finite; its outer 16 px are context only.
    mask : ndarray (y, x) of bool, optional
        Pixels that are wanted; by default all that have their context.

    Returns
    -------
    ndarray (facies_class, y, x) of float32
        NaN outside the mask and in the outer 16 px.
    """
    out = np.full((len(CLASSES), *features.shape[1:]), np.nan, "float32")
    inner = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    wanted = np.ones(features.shape[1:], bool) if mask is None else mask
    rows, columns = np.nonzero(wanted[inner])
    folded = Folded(network)
    with one_thread():
        for k in range(0, rows.size, BATCH):
            r, c = rows[k : k + BATCH], columns[k : k + BATCH]
            out[:, r + RADIUS, c + RADIUS] = folded.predict(cut(features, r, c)).T
    return out


_lock = threading.Lock()
_inside = 0
_threads = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch uses one thread, since Dask owns the cores; the last to leave restores the setting."""
    global _inside, _threads
    with _lock:
        if _inside == 0:
            _threads = torch.get_num_threads()
            torch.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_threads)

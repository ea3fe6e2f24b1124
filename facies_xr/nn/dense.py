"""Evaluation of a network at every pixel of a raster: together where pixels lie close, patch by patch where not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..classes import CLASSES
from . import contexts
from .network import FaciesNet, Folded
from .patches import RADIUS, cut

BATCH = 32

LARGEST = 128
"""Edge of the largest part that is evaluated together; it bounds the memory, 0.5 GB. [px]"""

SMALLEST = 12
"""Parts narrower than this are not divided further. [px]"""

SHARED, RIM, ALONE = 1.0, 9.0, 11.5
"""Cost of a pixel of a part, in both directions as many pixels more; and of a pixel alone (docs/dense.md)."""


def evaluate(network: FaciesNet, features: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Class probabilities at the pixels of a raster, as patch by patch.

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
    inner = out[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
    wanted = np.ones(inner.shape[1:], bool) if mask is None else mask[RADIUS:-RADIUS, RADIUS:-RADIUS]
    folded = Folded(network)
    with one_thread():
        for part in _plan(wanted, (slice(0, wanted.shape[0]), slice(0, wanted.shape[1])))[1]:
            rows, columns = (r + p.start for r, p in zip(np.nonzero(wanted[part]), part, strict=True))
            if _together(part) < ALONE * rows.size:
                y, x = (slice(p.start, p.stop + 2 * RADIUS) for p in part)
                found = contexts.predict(folded, torch.from_numpy(np.ascontiguousarray(features[:, y, x])))
                inner[:, rows, columns] = found.cpu().numpy()[rows - part[0].start, columns - part[1].start].T
                continue
            for k in range(0, rows.size, BATCH):
                r, c = rows[k : k + BATCH], columns[k : k + BATCH]
                inner[:, r, c] = folded.predict(cut(features, r, c)).T
    return out


Part = tuple[slice, slice]


def _plan(wanted: np.ndarray, part: Part) -> tuple[float, list[Part]]:
    """Parts that hold the wanted pixels at the least cost: a part as a whole, or its halves."""
    rows, columns = np.flatnonzero(wanted[part].any(1)), np.flatnonzero(wanted[part].any(0))
    if rows.size == 0:
        return 0.0, []
    top, left = part[0].start, part[1].start
    part = slice(top + rows[0], top + rows[-1] + 1), slice(left + columns[0], left + columns[-1] + 1)
    height, width = (p.stop - p.start for p in part)
    whole = min(_together(part), ALONE * np.count_nonzero(wanted[part]))
    if max(height, width) > LARGEST:
        whole = np.inf
    elif max(height, width) < 2 * SMALLEST:
        return whole, [part]
    halves = [_plan(wanted, half) for half in _halves(part)]
    cost = sum(half[0] for half in halves)
    return (whole, [part]) if whole <= cost else (cost, [p for half in halves for p in half[1]])


def _together(part: Part) -> float:
    height, width = (p.stop - p.start for p in part)
    return SHARED * (height + RIM) * (width + RIM)


def _halves(part: Part) -> tuple[Part, Part]:
    rows, columns = part
    if rows.stop - rows.start >= columns.stop - columns.start:
        middle = (rows.start + rows.stop) // 2
        return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)
    middle = (columns.start + columns.stop) // 2
    return (rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))


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

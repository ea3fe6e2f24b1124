"""Numbers that mean no data, declared or not, and numbers to values."""

import math
import warnings
from collections.abc import Iterable

import numpy as np

ENDLESS = 1e30
"""Larger numbers are marks: the ends of a floating type."""


def marked(raw: np.ndarray, marks: Iterable[float]) -> np.ndarray:
    """Where numbers are one of the marks that mean no data, or NaN."""
    missing = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
    for mark in set(marks):
        if not math.isnan(mark):
            missing |= raw == mark
    return missing


def undeclared(raw: np.ndarray, missing: np.ndarray, voids: Iterable[float], name: str) -> np.ndarray:
    """Where numbers that are not missing yet are known for voids; a warning names them.

    Parameters
    ----------
    raw : ndarray
        Numbers as they are stored.
    missing : ndarray of bool
        Where they are declared to be no data.
    voids : iterable of float
        Marks that people use.
    name : str
        Of the file, for the warning.
    """
    found, voids = np.zeros(raw.shape, bool), tuple(voids)
    lowest = max((void for void in voids if void < 0), default=-ENDLESS)
    highest = min((void for void in voids if void >= 0), default=ENDLESS)
    if not voids or ((raw > lowest) & (raw < highest) | missing).all():  # as nearly always: a third of the time
        return found
    for void in voids:
        hit = (raw == void) & ~missing
        if hit.any():
            found |= hit
            warnings.warn(
                f"{name}: {void:g} is no height, so it is taken for a void though nothing declares it.", stacklevel=2
            )
    if raw.dtype.kind == "f":
        found |= (np.abs(raw) > ENDLESS) & ~missing
    return found


def scaled(raw: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """Values of numbers, float32."""
    return raw.astype("float32") if scale == 1 and offset == 0 else (raw * scale + offset).astype("float32")

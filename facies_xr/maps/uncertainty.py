"""What the probabilities of the classes leave open: draws of the accumulation area of a scene.

A classifier errs alike on pixels that are near each other, and it errs in a way of its own in every scene. So a draw
takes the class weights of one of the scenes on which the classifier was checked, by which its probabilities give that
scene's true areas, and with these weights a pixel of probability p belongs to the accumulation area where

    Phi(f(x, y)) < p

with f a standard normal field whose correlation falls to 1/e over 300 m. The field is a function of the place, the
scene and the number of the draw, so no draw depends on the chunks.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..classes import NAMES
from ..errors import InputError
from .codes import EDGE, SNOW, STRAY_SNOW, SURFACE, seen
from .counting import STEP
from .hypsometry import Bands

CORRELATION = 300.0
"""Distance over which the correlation of the field falls to 1/e. [m]"""

COVERED = 0.95
"""Probability of an interval."""

SAMPLED = 32
"""One of so many pixels estimates the areas of a scene for its prior."""

TOLERANCE = 1e-3
"""Largest difference between a confidence and the probability of the label; both may have been rounded in a file."""

_SPACING = CORRELATION / 2
"""Of the nodes of the field, and the standard deviation of its kernel. [m]"""

_REACH = 4
"""Nodes on either side of a place."""


def surface_probability(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability of each class of the surface, of pixels whose surface is seen.

    Parameters
    ----------
    label : ndarray (pixel)
        Class shown, one of the surface; it stands for itself where no class of the surface has a probability.
    probability : ndarray (facies_class, pixel)
        Of all classes, those that hide the surface among them.

    Returns
    -------
    ndarray (pixel, class of ``SURFACE``)
        Sums to 1. float64
    """
    surface = np.ascontiguousarray(probability[list(SURFACE)].T, dtype="float64")
    total = surface.sum(1, keepdims=True)
    shown = (np.array(SURFACE) == label[:, None]).astype("float64")
    return np.divide(surface, total, out=shown, where=total > 0)


@dataclass(frozen=True)
class Draws:
    """A row for each glacier and elevation band that occur, in this order."""

    glacier: np.ndarray
    band: np.ndarray
    expected: np.ndarray
    """Probabilities of the accumulation area, added up over pixels and draws, in units of ``STEP``."""
    pixels: np.ndarray
    """Accumulation area of each draw. (row, draw)"""

    @classmethod
    def added(cls, parts: "list[Draws]") -> "Draws":
        """Sum of the draws of several blocks."""
        glacier, band = (np.concatenate([getattr(p, n) for p in parts]) for n in ("glacier", "band"))
        unique, place = np.unique(glacier << 16 | band, return_inverse=True)
        expected, pixels = np.zeros(unique.size, "int64"), np.zeros((unique.size, parts[0].pixels.shape[1]), "int64")
        np.add.at(expected, place, np.concatenate([p.expected for p in parts]))
        np.add.at(pixels, place, np.concatenate([p.pixels for p in parts]))
        return cls(unique >> 16, unique & 0xFFFF, expected, pixels)


@dataclass(frozen=True)
class Drawer:
    """Draws of one block."""

    accumulating: tuple[int, ...]
    """Classes of the accumulation area."""
    draws: int
    bands: Bands

    def __call__(self, *, codes, index, elevation, confidence, probability, y, x, scene: int, weights) -> Draws:
        """Draws.

        Parameters
        ----------
        codes, index, elevation, confidence : ndarray (y, x)
        probability : ndarray (facies_class, y, x)
        y, x : ndarray
            Coordinates of rows and columns. [m]
        scene : int
            Another number is another series of draws.
        weights : ndarray (scene, facies_class)
            Weights of the classes in the scenes to draw from.
        """
        r, c, p = seen_surface(codes, index, elevation, confidence, probability)
        band = np.maximum(self.bands.position(np.floor(elevation[r, c]).astype("int64")), 0)
        slot, keys = pd.factorize(index[r, c].astype("int64") << 16 | band)
        expected, pixels = np.zeros(keys.size, "int64"), np.zeros((keys.size, self.draws), "int64")
        if r.size:
            rows, columns = _weights(y), _weights(x)
            nodes = [_first(v) + np.arange(w[0].max() + 2 * _REACH) for v, w in ((y, rows), (x, columns))]
            drawn = (_uniform(scene, np.arange(self.draws), 0, 0, 1) * len(weights)).astype(int)
            wanted = np.isin(SURFACE, self.accumulating)
            for k in range(self.draws):
                noise = ndtri(_uniform(scene, k, nodes[0][:, None], nodes[1][None], 0))
                of_scene = np.ascontiguousarray(np.asarray(weights, "float64")[drawn[k]][list(SURFACE)])
                _draw(noise, *rows, *columns, r, c, p, of_scene, wanted, slot, expected, pixels[:, k])
        return Draws(keys >> 16, keys & 0xFFFF, expected, pixels)


def seen_surface(codes, index, elevation, confidence, probability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and class probabilities of the glacier pixels of a block whose surface is seen.

    Raises
    ------
    InputError
        If a confidence or probability is missing, or the probability of a label is not its confidence.
    """
    here = (index > 0) & np.isfinite(elevation) & seen(codes)
    r, c = np.nonzero(here)
    confidence, probability = confidence[here], probability[:, here]
    if np.isnan(confidence).any() or np.isnan(probability).any():
        raise InputError("confidence or probability is NaN on pixels that have a class; classify again.")
    label = np.where(codes[here] == STRAY_SNOW, SNOW, codes[here])
    of_label = probability[label, np.arange(label.size)]
    if (differs := np.abs(of_label - confidence) > TOLERANCE).any():
        k = differs.argmax()
        raise InputError(
            f"probability: a pixel of class {NAMES[label[k]]} has {of_label[k]:.4f} there and a confidence of "
            f"{confidence[k]:.4f}, which must agree; the scores of classes are no probabilities. Classify with the "
            "scores of the classes and calibrate again, or pass draws=0."
        )
    return r, c, surface_probability(label, probability)


def sampled(codes, index, elevation, confidence, probability, window) -> tuple[np.ndarray, np.ndarray]:
    """Positions on the grid and class probabilities of some pixels of a block."""
    _, rows, columns = window
    r, c, p = seen_surface(codes % EDGE, index, elevation, confidence, probability)
    r, c = r + rows.start, c + columns.start
    some = (r * 73_856_093 ^ c * 19_349_663) % SAMPLED == 0
    return np.stack([r, c], 1)[some], p[some]


# -- the field --------------------------------------------------------------------------------------------------


def _first(coordinate: np.ndarray) -> int:
    """Number of the first node that the coordinates need."""
    return int(np.floor(coordinate.min() / _SPACING)) - _REACH + 1


def _weights(coordinate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row or column its first node, relative to that of all, and the weights of its nodes.

    A place takes ``_REACH`` nodes on either side, normal weights, scaled so that the field has variance 1::

        node      o       o       o       o       o       o       o       o        every 150 m
        weight    .       .       o       O   x   O       o       .       .        x: the place
    """
    node = np.floor(coordinate / _SPACING).astype("int64")
    start = node - _REACH + 1
    away = coordinate[:, None] / _SPACING - (start[:, None] + np.arange(2 * _REACH))
    weights = np.exp(-0.5 * away**2)
    return start - _first(coordinate), weights / np.sqrt((weights**2).sum(1, keepdims=True))


@numba.njit(nogil=True, cache=True)
def _draw(noise, row_first, row_weights, column_first, column_weights, r, c, p, weights, wanted, slot, expected, out):
    """Add the pixels that one draw takes in to their slots."""
    taps = row_weights.shape[1]
    along = np.empty((noise.shape[0], column_first.size))
    for i in range(noise.shape[0]):
        for j in range(column_first.size):
            total = 0.0
            for t in range(taps):
                total += column_weights[j, t] * noise[i, column_first[j] + t]
            along[i, j] = total
    for k in range(r.size):
        field = 0.0
        for t in range(taps):
            field += row_weights[r[k], t] * along[row_first[r[k]] + t, c[k]]
        total, part = 0.0, 0.0
        for m in range(weights.size):
            share = weights[m] * p[k, m]
            total += share
            if wanted[m]:
                part += share
        chance = part / total
        expected[slot[k]] += np.int64(chance / STEP + 0.5)
        if 0.5 * math.erfc(-field / math.sqrt(2.0)) < chance:
            out[slot[k]] += 1


def _uniform(scene: int, draw, row, column, kind: int) -> np.ndarray:
    """Independent numbers in (0, 1), a function of the arguments (SplitMix64; Steele et al. 2014)."""
    mixed = np.asarray([scene], "int64").astype("uint64")
    for value in (kind, draw, row, column):
        mixed = _mixed(mixed + np.asarray(value, "int64").astype("uint64") + np.uint64(0x9E3779B97F4A7C15))
    return ((mixed >> np.uint64(11)).astype("float64") + 0.5) / 2.0**53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))

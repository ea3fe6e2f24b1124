"""Clean maps: small corrections of the labels, by their neighbours or by their elevation on the glacier.

Every step takes labels and scores of a window and gives both anew, so that the confidence of a smoothed map is that of
the label shown. Pixels without a label stay so, and count for nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import xarray as xr
from scipy.ndimage import label as components

from ..classes import NAMES, NODATA, VALUES
from ..errors import InputError, MissingVariableError, one_of
from ..nn.features import ELEVATION_RANGE, GlacierScale, relative_elevation
from .planes import Planes

SIEVE = 9
"""Patches of fewer pixels are taken by what surrounds them. [px]"""

STRENGTH = 2.0
"""Log-odds that the elevation prior gives between the ends of a glacier, for each step in the order of facies."""

ORDER = {"debris": -1.0, "ice": 0.0, "refrozen-like": 0.5, "firn": 1.0, "snow": 2.0}
"""Facies by the elevation at which they lie; what is not in it may lie anywhere."""


@dataclass(frozen=True, eq=False)
class Window:
    """A window of a map at one date."""

    labels: np.ndarray
    """(y, x) uint8"""
    scores: np.ndarray
    """(class, y, x) float32"""
    relative_elevation: np.ndarray | None
    """Between the glacier's lowest (0) and highest (1) pixel. (y, x)"""


def mode(window: Window) -> Window:
    """Label that is most frequent among the 3 x 3 neighbours; of equals the smallest."""
    return Window(_mode(window.labels), window.scores, window.relative_elevation)


def majority(window: Window) -> Window:
    """Label with the largest mean score among the 3 x 3 neighbours; the means are the scores."""
    known = window.labels != NODATA
    scores = _mean(np.where(known, window.scores, 0), known)
    return Window(np.where(known, scores.argmax(0), NODATA).astype("uint8"), scores, window.relative_elevation)


def sieve(window: Window) -> Window:
    """Patches of fewer than 9 pixels, joined by their edges, take the label that most of their edges touch."""
    return Window(_sieve(window.labels), window.scores, window.relative_elevation)


def elevation(window: Window) -> Window:
    """A soft prior: debris, ice, refrozen-like, firn and snow tend to follow each other upwards.

    The odds of a class are multiplied by exp(s r (h - 1/2)), s the strength, r the class's rank in the order, h the
    relative elevation; shadow, water and cloud keep theirs.
    """
    assert window.relative_elevation is not None
    known = window.labels != NODATA
    rank = np.array([ORDER.get(name, np.nan) for name in NAMES], "float32")
    ordered = np.isfinite(rank)
    weight = np.exp(STRENGTH * np.nan_to_num(rank)[:, None, None] * (np.clip(window.relative_elevation, 0, 1) - 0.5))
    weighted = np.where(ordered[:, None, None], window.scores * weight, 0)
    before, after = window.scores[ordered].sum(0), weighted.sum(0)
    kept = np.divide(before, after, out=np.ones_like(after), where=after > 0)
    scores = np.where(ordered[:, None, None], weighted * kept, window.scores)
    return Window(
        np.where(known, scores.argmax(0), NODATA).astype("uint8"), scores.astype("float32"), window.relative_elevation
    )


@dataclass(frozen=True)
class Step:
    """A way to smooth."""

    apply: Callable[[Window], Window]
    reach: int
    """How far it looks. [px]"""
    by_elevation: bool = False
    """Whether it needs to know where on its glacier a pixel lies."""


STEPS = {
    "elevation": Step(elevation, 0, by_elevation=True),
    "majority": Step(majority, 1),
    "mode": Step(mode, 1),
    "sieve": Step(sieve, SIEVE + 1),
}


@dataclass(frozen=True)
class Smoother:
    """Applies steps in their order to one tile."""

    names: tuple[str, ...]
    ensemble: bool
    """Whether the scores have a spread over an ensemble's members."""

    @classmethod
    def of(cls, smooth: str | Sequence[str], cube: xr.Dataset, ensemble: bool) -> "Smoother":
        """Smoother by name, or by names in the order of their use.

        Raises
        ------
        InputError
            If there is no such step.
        MissingVariableError
            If a step needs what the cube lacks.
        """
        names = (smooth,) if isinstance(smooth, str) else tuple(smooth)
        if not names:
            raise InputError(f"smooth={smooth!r} names no step; choose among {', '.join(STEPS)}, or leave it out.")
        for name in names:
            one_of("smooth", name, STEPS)
        smoother = cls(names, ensemble)
        if smoother.by_elevation:
            needed = (*smoother.positional, *smoother.glacier_variables)
            if missing := [name for name in needed if name not in cube]:
                raise MissingVariableError(
                    f'smooth="elevation" needs {", ".join(map(repr, missing))}; add them with fx.add_terrain.'
                )
        return smoother

    @property
    def by_elevation(self) -> bool:
        """Whether a step needs to know where on its glacier a pixel lies."""
        return any(STEPS[name].by_elevation for name in self.names)

    @property
    def positional(self) -> tuple[str, ...]:
        """Variables of the cube that tell it."""
        return ("elevation", "glacier_index") if self.by_elevation else ()

    @property
    def glacier_variables(self) -> tuple[str, ...]:
        """Variables of the glaciers that tell it."""
        return ELEVATION_RANGE.needs if self.by_elevation else ()

    @property
    def reach(self) -> int:
        """[px]"""
        return sum(STEPS[name].reach for name in self.names)

    @property
    def inputs(self) -> Planes:
        """What it takes of a tile."""
        spread = len(NAMES) * self.ensemble
        return Planes.of(label=1, class_score=len(NAMES), score_spread=spread, **dict.fromkeys(self.positional, 1))

    @property
    def outputs(self) -> Planes:
        """What it gives: scores, confidence and disagreement of the label shown."""
        return Planes.of(label=1, confidence=1, disagreement=int(self.ensemble), class_score=len(NAMES))

    def __call__(self, blocks: list[np.ndarray], inside: tuple[slice, slice], scale: GlacierScale | None) -> np.ndarray:
        """Planes of the outputs, of one tile, from blocks of the inputs with their surroundings."""
        inputs, outputs = self.inputs, self.outputs
        heights = None
        if scale is not None:
            z, index = (blocks[inputs.only(name)] for name in self.positional)
            heights = _relative_elevation(z, index, scale)
        window = Window(blocks[inputs.only("label")].astype("uint8"), np.stack(blocks[inputs["class_score"]]), heights)
        for name in self.names:
            window = STEPS[name].apply(window)
        labels, scores = window.labels[inside], window.scores[(slice(None), *inside)]
        known = labels != NODATA
        shown = np.where(known, labels, 0)[None].astype("int64")
        out = outputs.empty(labels.shape)
        out[outputs["label"]] = labels
        out[outputs["confidence"]] = np.where(known, np.take_along_axis(scores, shown, 0), np.nan)
        if self.ensemble:
            spread = np.stack(blocks[inputs["score_spread"]])[(slice(None), *inside)]
            out[outputs["disagreement"]] = np.where(known, np.take_along_axis(spread, shown, 0), np.nan)
        out[outputs["class_score"]] = np.where(known, scores, np.nan)
        return out


def _relative_elevation(elevation: np.ndarray, index: np.ndarray, scale: GlacierScale) -> np.ndarray:
    """Elevation of each pixel between the ends of its glacier, 1/2 where it is not known."""
    out = np.full(elevation.shape, np.nan, "float32")
    for number in np.unique(index[index > 0]):
        here = index == number
        out[here] = relative_elevation(elevation[here], *scale.of_glacier(int(number), ELEVATION_RANGE))
    return np.nan_to_num(out, nan=0.5)


# -- loops ------------------------------------------------------------------------------------------------------


def _mode(labels: np.ndarray) -> np.ndarray:
    """Counts of the eight classes fit in one number, four bits each, so that neighbours are counted by adding."""
    one = np.zeros(256, "uint32")
    one[: len(NAMES)] = 1 << 4 * np.arange(len(NAMES), dtype="uint32")
    counts = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2), "uint32")
    counts[1:-1, 1:-1] = one[labels]
    rows = counts[:, :-2] + counts[:, 1:-1] + counts[:, 2:]
    out = np.empty(labels.shape, np.uint8)
    _most(rows, labels, out)
    return out


@numba.njit(nogil=True, cache=True)
def _most(rows, labels, out):
    for r in range(out.shape[0]):
        _most_of_row(rows[r], rows[r + 1], rows[r + 2], labels[r], out[r])


@numba.njit(nogil=True, cache=True, inline="never")
def _most_of_row(above, own, below, labels, out):
    for c in range(out.size):
        counts = np.uint32(above[c] + own[c] + below[c])
        best, most = np.uint32(0), np.uint32(0)
        for k in range(8):
            count = np.uint32(np.uint32(counts >> np.uint32(4 * k)) & np.uint32(15))
            best = np.uint32(k) if count > most else best
            most = max(count, most)
        out[c] = best if labels[c] != NODATA else NODATA


@numba.njit(nogil=True, cache=True)
def _mean(scores, known):
    """Mean over the known pixels of each 3 x 3 neighbourhood."""
    classes, height, width = scores.shape
    out = np.full(scores.shape, np.float32(np.nan), np.float32)
    for r in range(height):
        for c in range(width):
            if not known[r, c]:
                continue
            total = np.zeros(classes, np.float32)
            count = 0
            for i in range(max(r - 1, 0), min(r + 2, height)):
                for j in range(max(c - 1, 0), min(c + 2, width)):
                    if known[i, j]:
                        count += 1
                        for k in range(classes):
                            total[k] += scores[k, i, j]
            for k in range(classes):
                out[k, r, c] = total[k] / count
    return out


def _sieve(labels: np.ndarray) -> np.ndarray:
    patch, count = np.zeros(labels.shape, "int32"), 0
    for value in VALUES.values():
        found, n = components(labels == value)
        patch += np.where(found > 0, found + count, 0).astype("int32")
        count += n
    size = np.bincount(patch.ravel(), minlength=count + 1)
    small = (size < SIEVE) & (np.arange(count + 1) > 0)
    if not small.any():
        return labels
    votes = np.zeros((count + 1, len(NAMES)), "int32")
    for axis in (0, 1):
        first, second = (slice(None, -1), slice(1, None))
        for own, other in ((first, second), (second, first)):
            a, b = (
                ((own, slice(None)), (other, slice(None))) if axis == 0 else ((slice(None), own), (slice(None), other))
            )
            touch = small[patch[a]] & (patch[b] > 0) & (patch[a] != patch[b])
            np.add.at(votes, (patch[a][touch], labels[b][touch]), 1)
    taken = small & (votes.sum(1) > 0)
    return np.where(taken[patch], votes.argmax(1)[patch], labels).astype("uint8")

"""From the planes of a window to what a network sees, the same for training and for inference.

    planes --stack--> features --relative to a glacier--> scaled to bounds --gaps filled--> framed by 16 px

A pixel counts as valid where all its features are known, before any gap is filled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import patches
from .features import GlacierScale, relative_to, stack

MIN_CONTEXT = 0.5
"""Valid share of its context below which a pixel is not classified."""


def scaled(features: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    """Features (..., feature, y, x) scaled to 0..1 between bounds, not clipped. float32"""
    low, high = (np.asarray(bound, "float32")[:, None, None] for bound in (minimum, maximum))
    return ((features - low) / (high - low)).astype("float32")


def without_gaps(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Scaled features (..., feature, y, x) with the training means where they are unknown. float32"""
    return np.where(np.isnan(features), np.asarray(mean, "float32")[:, None, None], features)


@dataclass(frozen=True, eq=False)
class Window:
    """Features of a part of the grid with its surroundings."""

    features: np.ndarray
    """Neither relative to a glacier nor scaled, NaN where unknown. (feature, y, x)"""
    names: Sequence[str]
    """Of the features."""
    index: np.ndarray
    """Number of the glacier of each pixel, 0 outside. (y, x)"""
    inside: tuple[slice, slice]
    """The part without its surroundings."""

    @classmethod
    def of(
        cls, planes: Sequence[np.ndarray], names: Sequence[str], index: np.ndarray, inside: tuple[slice, slice]
    ) -> "Window":
        """Window from the planes (y, x) of its features, in the order of their names."""
        return cls(stack(planes, names), names, index, inside)

    @cached_property
    def valid(self) -> np.ndarray:
        """Where all features are known. (y, x)"""
        return np.isfinite(self.features).all(0)

    @cached_property
    def wanted(self) -> np.ndarray:
        """Glacier pixels inside that are valid and have enough valid context. (y, x) of ``inside``"""
        wanted = (self.index[self.inside] > 0) & self.valid[self.inside]
        if wanted.any():
            wanted &= patches.valid_share(patches.frame(self.valid, self.inside)) >= MIN_CONTEXT
        return wanted

    @cached_property
    def _sources(self) -> np.ndarray:
        return patches.sources(self.valid)

    def by_glacier(self, scale: GlacierScale | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Features relative to each glacier with wanted pixels, and these (y, x); once in all without a scale."""
        if scale is None:
            if self.wanted.any():
                yield self.features, self.wanted
            return
        index = self.index[self.inside]
        for number in np.unique(index[self.wanted]):
            relative = relative_to(self.features, self.names, self.index, scale, int(number))
            yield relative, self.wanted & (index == number)

    def framed(self, features: np.ndarray, fallback: np.ndarray) -> np.ndarray:
        """Features of this window, gaps filled, as (feature, y + 32, x + 32) around ``inside``.

        Parameters
        ----------
        features : ndarray (feature, y, x)
        fallback : ndarray (feature)
            Where no valid pixel is near a gap.
        """
        return patches.frame(patches.fill(features, self._sources, fallback), self.inside)

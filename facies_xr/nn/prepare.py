"""From the planes of a window to what a network sees, the same for training and for inference.

    planes --stack--> features --gaps filled--> framed by 16 px --relative to a glacier--> scaled to bounds

A pixel counts as valid where all its features are known, before any gap is filled. Filling and framing move whole
pixels, and what is relative to a glacier is so pixel by pixel: so the first two are done once for a window, and the
others once for each glacier, on no more than its surroundings. All of it works on arrays of NumPy and of torch alike,
on the device where they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from . import patches
from .features import Array, GlacierScale, relative_to

MIN_CONTEXT = 0.5
"""Valid share of its context below which a pixel is not classified."""


def scaled(features: Array, minimum: np.ndarray, maximum: np.ndarray) -> Array:
    """Features (..., feature, y, x) scaled to 0..1 between bounds, not clipped. float32"""
    low, high = (_of_features(bound, features) for bound in (minimum, maximum))
    return (features - low) / (high - low)


def without_gaps(features: Array, mean: np.ndarray) -> Array:
    """Scaled features (..., feature, y, x) with the training means where they are unknown. float32"""
    xp = array_namespace(features)
    return xp.where(xp.isnan(features), _of_features(mean, features), features)


def _of_features(values: np.ndarray, features: Array) -> Array:
    """Values of the features beside features (..., feature, y, x). float32"""
    xp = array_namespace(features)
    return xp.asarray(np.asarray(values, "float32"), device=device(features))[:, None, None]


@dataclass(frozen=True, eq=False)
class Sight:
    """What the wanted pixels of a part see."""

    part: tuple[slice, slice]
    """Rows and columns of the window's inside."""
    features: Array
    """Relative to the glacier, not scaled; NaN where no valid pixel is near. (feature, y + 32, x + 32)"""
    wanted: Array
    """(y, x) of bool"""

    @property
    def seen(self) -> Array:
        """Features of the wanted pixels themselves. (feature, pixel)"""
        middle = slice(patches.RADIUS, -patches.RADIUS)
        return self.features[:, middle, middle][:, self.wanted]


@dataclass(frozen=True, eq=False)
class Window:
    """Features of a part of the grid, with 16 px around it."""

    features: Array
    """Neither relative to a glacier nor scaled, gaps filled, NaN where no valid pixel is near.
    (feature, y + 32, x + 32)"""
    names: Sequence[str]
    """Of the features."""
    index: Array
    """Number of the glacier of each pixel, 0 outside; of a filled gap that of its source. (y + 32, x + 32)"""
    glaciers: Array
    """Number of the glacier of each pixel, 0 outside. (y, x)"""
    wanted: Array
    """Glacier pixels that are valid and have enough valid context. (y, x) of bool"""

    @classmethod
    def of(cls, features: Array, names: Sequence[str], index: Array, inside: tuple[slice, slice]) -> "Window":
        """Window from features with their surroundings.

        Parameters
        ----------
        features : array (feature, y, x)
            As :func:`facies_xr.nn.features.stack` gives them, NaN where unknown.
        names : sequence of str
            Of the features.
        index : array (y, x)
            Number of the glacier of each pixel, 0 outside.
        inside : (slice, slice)
            The part without its surroundings.
        """
        xp = array_namespace(features)
        valid = xp.all(xp.isfinite(features), axis=0)
        glaciers = index[inside]
        wanted = (glaciers > 0) & valid[inside]
        if not bool(xp.any(wanted)):
            nothing = features[:, :0, :0]
            return cls(nothing, names, nothing[0], glaciers, wanted)
        wanted = wanted & patches.enough(patches.frame(valid, inside), MIN_CONTEXT)
        source = patches.sources(valid)
        filled, of_source = patches.fill(features, source), patches.moved(index, source)
        return cls(patches.frame(filled, inside), names, patches.frame(of_source, inside), glaciers, wanted)

    def by_glacier(self, scale: GlacierScale | None) -> Iterator[Sight]:
        """What each glacier's wanted pixels see; once in all without a scale."""
        xp = array_namespace(self.wanted)
        if scale is None:
            if bool(xp.any(self.wanted)):
                yield self._sight(self.wanted)
            return
        for number in xp.unique_values(self.glaciers[self.wanted]):
            sight = self._sight(self.wanted & (self.glaciers == number))
            index = self.index[self._framed(sight.part)]
            relative = relative_to(sight.features, self.names, index, scale, int(number))
            yield Sight(sight.part, relative, sight.wanted)

    def _sight(self, wanted: Array) -> Sight:
        """The features around the wanted pixels."""
        part = patches.extent(wanted)
        return Sight(part, self.features[(slice(None), *self._framed(part))], wanted[part])

    def _framed(self, part: tuple[slice, slice]) -> tuple[slice, slice]:
        """The same part with 16 px around it, of arrays that are framed."""
        rows, columns = (slice(p.start, p.stop + 2 * patches.RADIUS) for p in part)
        return rows, columns


def to_host(array: Array) -> np.ndarray:
    """The array in the host's memory."""
    return array.cpu().numpy() if is_torch_array(array) else array

"""Coarser pixels of maps, each from all the fine ones below it: the class that most have, the mean of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..classes import CLASSES, NODATA

FLAGS = np.array([c.value for c in CLASSES], "uint8")


def modes(codes: np.ndarray, factors: Sequence[int]) -> Mapping[int, np.ndarray]:
    """Most frequent class below each coarser pixel.

    Pixels without a class do not count; of classes that are equally frequent the one with the smallest flag value is
    taken.

    Parameters
    ----------
    codes : ndarray (y, x) uint8
        Flag values; its edges are multiples of the largest factor. [px]
    factors : sequence of int
        2, 4, 8 and so on: fine pixels along an edge of a coarser one.

    Returns
    -------
    mapping of ndarray (y, x) uint8
        By factor; 255 where no fine pixel has a class.
    """
    counts = (codes == FLAGS[:, None, None]).astype("int32")
    found = {}
    for factor in factors:
        counts = _pooled(counts)
        found[factor] = np.where(counts.any(0), FLAGS[counts.argmax(0)], np.uint8(NODATA))
    return found


def means(values: np.ndarray, factors: Sequence[int]) -> Mapping[int, np.ndarray]:
    """Mean of the known values below each coarser pixel.

    Parameters
    ----------
    values : ndarray (y, x) float32
        Its edges are multiples of the largest factor. [px]
    factors : sequence of int
        As :func:`modes` takes them.

    Returns
    -------
    mapping of ndarray (y, x) float32
        By factor; NaN where no fine value is known.
    """
    known = np.isfinite(values)
    sums, counts = np.where(known, values, 0.0).astype("float64"), known.astype("int32")
    found = {}
    for factor in factors:
        sums, counts = _pooled(sums), _pooled(counts)
        mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        found[factor] = mean.astype("float32")
    return found


def _pooled(values: np.ndarray) -> np.ndarray:
    """Sums of squares of two by two."""
    rows = values[..., ::2, :] + values[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]

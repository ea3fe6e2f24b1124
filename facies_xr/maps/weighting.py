"""Weights of the classes, with which a classifier's probabilities give the areas of a scene.

A classifier errs in a way of its own in every scene. On scenes whose areas are known it is found out how; a scene that
says little of a class leaves its weight near that of the other scenes, so no weight runs away and none is cut.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ..classes import NAMES
from .codes import SURFACE

SEPARABLE = 0.8
"""Separability of two classes below which areas of one of them are not told; 1/2 is chance."""

SPREAD = 1.0
"""Standard deviation of the logarithm of a class's weight between scenes, where no scene has told."""

ROUNDS = 10
"""Of the expectation maximisation."""

RARE = 0.01
"""Share of a class among the samples below which they do not tell how common it is."""


def confused(separability: np.ndarray, accumulating: Collection[int]) -> list[tuple[int, int]]:
    """Pairs of a class of the accumulation area and another of the surface that a classifier cannot tell apart.

    Parameters
    ----------
    separability : ndarray (facies_class, other_class)
        As calibrators give it; NaN where it is not known.
    accumulating : collection of int
    """
    others = [value for value in SURFACE if value not in accumulating]
    return [(a, b) for a in accumulating for b in others if separability[a, b] < SEPARABLE]


def weights_for(
    probability: np.ndarray,
    areas: np.ndarray,
    independent: float | None = None,
    spread: float | np.ndarray = SPREAD,
) -> np.ndarray:
    """Weights of the classes with which probabilities give certain areas.

    Parameters
    ----------
    probability : ndarray (pixel, class)
    areas : ndarray (class)
        Share of each class.
    independent : float, optional
        Pixels as which they count, fewer than there are, as neighbours err alike; by default all.
    spread : float or ndarray (class)
        Standard deviation of the weights' logarithms between scenes.

    Returns
    -------
    ndarray (class)
        The likeliest: those of a class that the scene says little of stay near 1.

    Notes
    -----
    Greatest value of ``n sum_k a_k ln m_k(w) - sum_k (ln w_k)^2 / (2 spread_k^2)``, m the mean of the weighted
    probabilities, a the areas, n the independent pixels.
    """
    n = len(probability) if independent is None else independent
    width = np.broadcast_to(np.asarray(spread, "float64"), areas.shape)

    def loss(logarithm: np.ndarray) -> tuple[float, np.ndarray]:
        mean, moves = _mean_and_moves(probability, logarithm)
        gradient = n * moves.T @ (areas / mean) - logarithm / width**2
        return -(n * areas @ np.log(mean)) + (logarithm**2 / width**2).sum() / 2, -gradient

    found = minimize(loss, np.zeros(areas.size), jac=True, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-6})
    return np.exp(found.x)


def _mean_and_moves(probability: np.ndarray, logarithm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of weighted probabilities, and how it moves with the weights' logarithms. (class), (class, class)"""
    weighted = probability * np.exp(logarithm)
    weighted /= np.maximum(weighted.sum(1, keepdims=True), 1e-300)
    mean = weighted.mean(0)
    return np.maximum(mean, 1e-12), np.diag(mean) - weighted.T @ weighted / len(weighted)


def scene_weights(probabilities: Sequence[np.ndarray], areas: np.ndarray, independent: np.ndarray) -> np.ndarray:
    """Weights of the classes of checked scenes, each by :func:`weights_for`, with the spread that they have together.

    Parameters
    ----------
    probabilities : sequence of ndarray (pixel, class)
        Of each scene, or of each glacier in it.
    areas : ndarray (scene, class)
        True shares.
    independent : ndarray (scene)
        Pixels as which those of a scene count.

    Returns
    -------
    ndarray (scene, class)
        The spread between scenes is found by expectation maximisation: what a scene leaves open counts as spread, so
        a class of which no scene tells keeps ``SPREAD``.
    """
    spread = np.full(areas.shape[1], SPREAD)
    for _ in range(ROUNDS):
        middle, open_ = [], []
        for p, share, n in zip(probabilities, areas, independent, strict=True):
            found = np.log(weights_for(p, share, n, spread))
            mean, moves = _mean_and_moves(p, found)
            middle.append(found)
            open_.append(np.diag(np.linalg.inv(n * moves.T @ (moves / mean[:, None]) + np.diag(1 / spread**2))))
        spread = np.sqrt((np.square(middle) + np.array(open_)).mean(0))
    return np.exp(middle)


def prior_weights(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Weights of the classes for a scene whose areas differ from the shares among the labelled samples.

    Parameters
    ----------
    probability : ndarray (pixel, class)
        Calibrated for the samples.
    prior : ndarray (class)
        Share of each class among them.

    Returns
    -------
    ndarray (class)
        1 for a class with a share below ``RARE``, of which the samples say nothing.

    Notes
    -----
    Greatest value of ``sum_i ln sum_k w_k p_ik - n ln sum_k w_k prior_k - sum_k (ln w_k)^2 / (2 SPREAD^2)``: the
    likelihood that the expectation maximisation of Saerens et al. climbs, with weights that stay near 1 where pixels
    say little.

    References
    ----------
    Saerens, M., Latinne, P. and Decaestecker, C. (2002): Adjusting the outputs of a classifier to new a priori
    probabilities. Neural Computation 14, 21-41.
    """
    known, n = prior >= RARE, len(probability)

    def loss(logarithm: np.ndarray) -> tuple[float, np.ndarray]:
        moved = np.where(known, logarithm, 0.0)
        weighted, expected = probability * np.exp(moved), prior * np.exp(moved)
        of_pixel, of_all = np.maximum(weighted.sum(1), 1e-300), expected.sum()
        value = np.log(of_pixel).sum() - n * np.log(of_all) - (moved**2).sum() / (2 * SPREAD**2)
        slope = (weighted / of_pixel[:, None]).sum(0) - n * expected / of_all - moved / SPREAD**2
        return -value, -np.where(known, slope, 0.0)

    found = minimize(loss, np.zeros(prior.size), jac=True, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-6})
    return np.exp(np.where(known, found.x, 0.0))


@dataclass(frozen=True)
class PriorWeights:
    """Class weights of :func:`prior_weights` from the samples of a date's blocks."""

    shares: tuple[float, ...]
    """Of the classes among the labelled samples."""

    def __call__(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        """Weights of all classes. (1, facies_class)"""
        position, p = (np.concatenate(each) for each in zip(*parts, strict=True))
        weights = np.ones((1, len(NAMES)))
        if len(p):
            surface = list(SURFACE)
            order = np.lexsort(position.T)
            weights[0, surface] = prior_weights(p[order], np.array(self.shares)[surface])
        return {"weights": weights}

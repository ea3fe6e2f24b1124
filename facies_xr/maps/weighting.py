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

KEPT = 0.02
"""Weight of the samples' shares in a scene's areas: it bounds the weights of :func:`prior_weights`."""


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


def scene_weights(
    probabilities: Sequence[np.ndarray], areas: np.ndarray, independent: np.ndarray, draws: int = 4
) -> np.ndarray:
    """Weights of the classes of checked scenes, and how far each scene leaves them open.

    Parameters
    ----------
    probabilities : sequence of ndarray (pixel, class)
        Of each scene.
    areas : ndarray (scene, class)
        True shares.
    independent : ndarray (scene)
        Pixels as which those of a scene count.
    draws : int
        Of the weights of each scene.

    Returns
    -------
    ndarray (scene x draw, class)
        Normal in their logarithms about those of :func:`weights_for`, as wide as the scene leaves them open; the
        spread between scenes is found with them, by expectation maximisation.
    """
    spread, count = np.full(areas.shape[1], SPREAD), areas.shape[1]
    for _ in range(10):
        middle, open_ = [], []
        for p, share, n in zip(probabilities, areas, independent, strict=True):
            found = np.log(weights_for(p, share, n, spread))
            mean, moves = _mean_and_moves(p, found)
            middle.append(found)
            open_.append(np.linalg.inv(n * moves.T @ (moves / mean[:, None]) + np.diag(1 / spread**2)))
        spread = np.sqrt(np.mean([m**2 + np.diag(v) for m, v in zip(middle, open_, strict=True)], axis=0))
    rng = np.random.default_rng(0)
    drawn = [rng.multivariate_normal(m, v, draws) for m, v in zip(middle, open_, strict=True)]
    return np.exp(np.concatenate(drawn).reshape(-1, count))


def prior_weights(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Weights of the classes for a scene whose areas differ from the shares among the labelled samples.

    Parameters
    ----------
    probability : ndarray (pixel, class)
        Calibrated for the samples.
    prior : ndarray (class)
        Share of each class among them.

    References
    ----------
    Saerens, M., Latinne, P. and Decaestecker, C. (2002): Adjusting the outputs of a classifier to new a priori
    probabilities. Neural Computation 14, 21-41: their expectation maximisation, towards the samples' shares by
    ``KEPT`` of each step, so that no class is lost.
    """
    prior = np.maximum(prior, 1e-6)
    areas = prior
    for _ in range(500):
        weighted = probability * (areas / prior)
        mean = (weighted / weighted.sum(1, keepdims=True)).mean(0)
        before, areas = areas, (1 - KEPT) * mean + KEPT * prior
        if np.abs(areas - before).max() < 1e-6:
            break
    return areas / prior


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

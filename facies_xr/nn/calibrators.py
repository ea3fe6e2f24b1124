"""Ways to turn class scores into probabilities, by name, all fitted on samples that a classifier did not learn from.

Each gives a rescaling of the logits, which can be put into the last layer of a network, and after it a monotone map
from the score of the label to P(correct) (:class:`~facies_xr.nn.calibration.Calibrator`), of which the other classes
share the rest. So a classifier carries any of them, and ``calibrate`` applies it lazily.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar

from ..classes import NAMES
from ..errors import InputError, one_of
from .calibration import KNOTS, PRIOR, Calibrator, class_probability
from .classifier import Classifier

SMALLEST = 1e-6
"""Scores are this far from 0 and 1 before a logarithm is taken."""

DEFAULT = "temperature, classwise beta"
"""Chosen by its errors on test folds (docs/learning.md)."""

SCALES = (-3.0, 3.0)
"""Logarithms of scales: however bad a classifier is, its labels stay distinct in float32."""

BINS = 25
"""Of the published reliability curve."""

Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted way: logits z become scale z + offset, then the score of the label is mapped to P(correct)."""

    method: str
    calibrator: Calibrator
    scale: float
    """Of all logits, positive."""
    offset: np.ndarray
    """Of each class."""

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each class (n, class) from softmax values; that of the label need not be the largest."""
        rescaled = self._rescaled(score)
        label = rescaled.argmax(1)
        return class_probability(label, self.calibrator(label, rescaled.max(1)), rescaled)

    def label(self, score: np.ndarray) -> np.ndarray:
        """Label that maps show (n)."""
        return self._rescaled(score).argmax(1)

    def _rescaled(self, score: np.ndarray) -> np.ndarray:
        return softmax(np.log(np.maximum(score, SMALLEST)) * self.scale + self.offset)

    def applied(self, classifier: Classifier) -> Classifier:
        """The classifier with this calibration: its last layer rescaled, its calibrator replaced."""
        network = copy.deepcopy(classifier.network)
        offset = torch.from_numpy(self.offset.astype("float32"))
        last = network.head[-1]
        with torch.no_grad():
            last.weight.mul_(self.scale)
            last.bias.mul_(self.scale).add_(offset)
        return replace(classifier, network=network, calibrator=self.calibrator)


def fit(score: np.ndarray, truth: np.ndarray, population: str, method: str = DEFAULT) -> Calibration:
    """Fit a way to calibrate.

    Parameters
    ----------
    score : ndarray (n, class)
        Softmax values.
    truth : ndarray (n) of int
        True class.
    population : str
        What the samples stand for.
    method : str
        One of :data:`METHODS`.

    Raises
    ------
    InputError
        If there is no such method, there are no samples, or a score is not finite.
    """
    one_of("method", method, METHODS)
    if not len(score) or not np.isfinite(score).all():
        raise InputError("a calibrator needs samples, with finite scores.")
    return METHODS[method](score.astype("float64"), truth, population)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def _top(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, its score, whether it is right."""
    label = score.argmax(1)
    return label, score.max(1), (label == truth).astype("float64")


def _mapped(
    method: str, maps: "list[Map] | Map", truth: np.ndarray, population: str, knots: np.ndarray | None = None
) -> Calibration:
    """Calibration by one map for all classes, or by one for each, logits as they are."""
    knots = np.linspace(1 / len(NAMES), 1, KNOTS) if knots is None else knots
    knots = np.unique(knots.round(6))
    each = maps if isinstance(maps, list) else [maps] * len(NAMES)
    correct = {n: tuple(np.clip(m(knots), 0, 1).round(6).tolist()) for n, m in zip(NAMES, each, strict=True)}
    shares = tuple((np.bincount(truth, minlength=len(NAMES)) / truth.size).round(6).tolist())
    calibrator = Calibrator(tuple(knots.tolist()), correct, population, method, shares)
    return Calibration(method, calibrator, 1.0, np.zeros(len(NAMES)))


def none(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """Scores as they are."""
    return _mapped("none", lambda s: s, truth, population, np.array([0.0, 1.0]))


# -- published -----------------------------------------------------------------------------------------------


def reliability_nodes(score: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean confidence and accuracy of 25 equal bins on 0..1, without empty ones, between (0, 0) and (1, 1)."""
    part = np.minimum((score * BINS).astype(int), BINS - 1)
    count = np.bincount(part, minlength=BINS)
    there = count > 0
    x, y = (np.bincount(part, v, BINS)[there] / count[there] for v in (score, right))
    return np.concatenate([[0], x, [1]]), np.concatenate([[0], y, [1]])


def kernel_interpolation(x: np.ndarray, y: np.ndarray) -> Map:
    """Sum of c_i exp(-|s - x_i|) through the nodes, clipped to 0..1: the published regressor, as it came to be.

    A kernel ridge whose penalties are read as one for each target, of which the first is 0: exact interpolation with
    a Laplacian kernel of gamma 1. It is not monotone.
    """
    coefficient = np.linalg.lstsq(np.exp(-np.abs(x[:, None] - x)), y, rcond=None)[0]
    return lambda s: np.clip(np.exp(-np.abs(np.asarray(s)[:, None] - x)) @ coefficient, 0, 1)


def published(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """By Maslov et al. (2026), for comparison (:func:`kernel_interpolation`), at knots that err by less than 1e-6."""
    _, top, right = _top(score, truth)
    x, y = reliability_nodes(top, right)
    return _mapped(
        "published", kernel_interpolation(x, y), truth, population, np.concatenate([np.linspace(0, 1, 1025), x])
    )


# -- all probabilities at once -------------------------------------------------------------------------------


def temperature(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """All logits divided by one number (Guo et al. 2017), by least log loss."""
    logits = np.log(np.maximum(score, SMALLEST))

    def loss(theta: float) -> float:
        return -np.log(np.maximum(softmax(logits * np.exp(theta)), 1e-12))[np.arange(truth.size), truth].mean()

    scale = np.exp(minimize_scalar(loss, bounds=SCALES, method="bounded").x)
    return replace(none(score, truth, population), method="temperature", scale=float(scale))


RIDGE = 1e-3
"""Penalty on the squares of a vector scaling's offsets, for classes with few samples."""


def vector(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """Temperature and an offset for each class, by least log loss; it can change labels.

    With one scale: softmax values tell logits up to a number for each sample, which scales by class would turn into
    another one (bias-corrected temperature scaling, Alexandari et al. 2020).
    """
    logits, k = np.log(np.maximum(score, SMALLEST)), len(NAMES)
    one_hot = np.eye(k)[truth]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        scale, offset = np.exp(theta[0]), theta[1:]
        p = softmax(logits * scale + offset)
        gap = (p - one_hot) / truth.size
        slope = np.concatenate([[(gap * logits).sum() * scale], gap.sum(0) + 2 * RIDGE * offset])
        value = -np.log(np.maximum(p, 1e-12))[np.arange(truth.size), truth].mean()
        return value + RIDGE * (offset**2).sum(), slope

    theta = minimize(loss, np.zeros(1 + k), jac=True, method="L-BFGS-B", bounds=[SCALES] + [(-5, 5)] * k).x
    as_it_is = none(score, truth, population)
    return replace(as_it_is, method="vector", scale=float(np.exp(theta[0])), offset=theta[1:])


# -- the score of the label ----------------------------------------------------------------------------------


def beta_map(top: np.ndarray, right: np.ndarray) -> Map:
    """P = 1 / (1 + exp(-(a log s - b log(1 - s) + c))), a and b at least 0 (Kull et al. 2017)."""

    def terms(s: np.ndarray) -> np.ndarray:
        s = np.clip(s, SMALLEST, 1 - SMALLEST)
        return np.stack([np.log(s), -np.log1p(-s), np.ones_like(s)], -1)

    x = terms(top)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ theta
        return float((np.logaddexp(0, z) - right * z).mean()), x.T @ (1 / (1 + np.exp(-z)) - right) / right.size

    bounds = [(0, 50), (0, 50), (-50, 50)]
    theta = minimize(loss, [1.0, 1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    return lambda s: 1 / (1 + np.exp(-(terms(np.asarray(s)) @ theta)))


def _shrunk(
    fitted: Callable[[np.ndarray, np.ndarray], Map], score: np.ndarray, truth: np.ndarray, method: str, population: str
) -> Calibration:
    """A map for each class, drawn towards that of all classes by how few samples of it there are."""
    label, top, right = _top(score, truth)
    pooled = fitted(top, right)

    def blended(mine: np.ndarray) -> Map:
        own = fitted(top[mine], right[mine]) if mine.sum() > 1 else pooled
        share = mine.sum() / (mine.sum() + PRIOR)
        return lambda s: share * own(s) + (1 - share) * pooled(s)

    return _mapped(method, [blended(label == k) for k in range(len(NAMES))], truth, population)


def beta(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """One beta map for all classes."""
    _, top, right = _top(score, truth)
    return _mapped("beta", beta_map(top, right), truth, population)


def isotonic(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """One isotonic map for all classes."""
    from sklearn.isotonic import IsotonicRegression

    _, top, right = _top(score, truth)
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(top, right)
    return _mapped("isotonic", model.predict, truth, population)


def classwise(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """An isotonic map for each class, drawn towards that of all classes: :meth:`Calibrator.fit`."""
    label, top, _ = _top(score, truth)
    fitted = Calibrator.fit(label, top, truth, population)
    return replace(none(score, truth, population), method="classwise", calibrator=fitted)


def classwise_beta(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """A beta map for each class, drawn towards that of all classes."""
    return _shrunk(beta_map, score, truth, "classwise beta", population)


def temperature_classwise(score: np.ndarray, truth: np.ndarray, population: str) -> Calibration:
    """Temperature, then a beta map for each class; the other classes share the rest by the tempered scores."""
    first = temperature(score, truth, population)
    tempered = softmax(np.log(np.maximum(score, SMALLEST)) * first.scale)
    second = _shrunk(beta_map, tempered, truth, "temperature, classwise beta", population)
    return replace(second, scale=first.scale)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, str], Calibration]] = {
    "none": none,
    "published": published,
    "temperature": temperature,
    "vector": vector,
    "beta": beta,
    "isotonic": isotonic,
    "classwise": classwise,
    "classwise beta": classwise_beta,
    "temperature, classwise beta": temperature_classwise,
}
"""Ways to calibrate, by name."""

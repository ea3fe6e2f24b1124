"""From the score of a label to the probability that it is right.

A calibrator maps the largest softmax value of a pixel, given the label that it won, to P(correct) for the population
on which it was fitted. It is monotone, and each class's map is drawn towards that of all classes by how many samples
of the class there are. It travels as JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from ..classes import NAMES
from ..errors import ModelError

KNOTS = 64
"""Knots of a stored map."""

PRIOR = 200.0
"""Samples of all classes that a class's own map is blended with."""

METHOD = "isotonic by class, blended with all classes"


@dataclass(frozen=True)
class Calibrator:
    """Monotone maps from score to P(correct), one for each class."""

    score: tuple[float, ...]
    """Knots, increasing."""
    correct: Mapping[str, tuple[float, ...]]
    """P(correct) at the knots, by class name."""
    population: str
    """What the probabilities refer to."""
    method: str = METHOD
    shares: tuple[float, ...] = ()
    """Share of each class among the samples."""
    scenes: tuple[tuple[float, ...], ...] = ()
    """For each scene on which the classifier was checked the weights of the classes with which its probabilities give
    the true areas; none if no scene's areas were known."""

    @classmethod
    def fit(cls, label: np.ndarray, score: np.ndarray, truth: np.ndarray, population: str) -> "Calibrator":
        """Calibrator from samples that the classifier did not learn from.

        Parameters
        ----------
        label, truth : ndarray (n) of int
            Predicted and true class.
        score : ndarray (n)
            Largest softmax value.
        population : str
            What the samples stand for.
        """
        from sklearn.isotonic import IsotonicRegression

        knots = np.linspace(1 / len(NAMES), 1, KNOTS)
        right = (label == truth).astype(float)
        if score.size == 0:
            raise ModelError("a calibrator needs samples.")

        def monotone(part: np.ndarray, weight=None) -> np.ndarray:
            model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            return model.fit(score[part], right[part], sample_weight=weight).predict(knots)

        pooled = monotone(np.ones(score.size, bool))
        maps = {}
        for value, name in enumerate(NAMES):
            mine = label == value
            own = monotone(mine) if mine.sum() > 1 else pooled
            share = mine.sum() / (mine.sum() + PRIOR)
            maps[name] = tuple(np.round(share * own + (1 - share) * pooled, 6).tolist())
        shares = np.bincount(truth, minlength=len(NAMES)) / truth.size
        return cls(tuple(np.round(knots, 6).tolist()), maps, population, shares=tuple(np.round(shares, 6).tolist()))

    def __call__(self, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """P(correct) of labels with their scores; NaN where the score is NaN. float32"""
        out = np.full(score.shape, np.nan, "float32")
        for value, name in enumerate(NAMES):
            mine = (label == value) & np.isfinite(score)
            out[mine] = np.interp(score[mine], self.score, self.correct[name])
        return out

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Calibrator":
        """From text.

        Raises
        ------
        ModelError
            If the text is not a calibrator.
        """
        try:
            found = json.loads(text)
            maps = {name: tuple(map(float, found["correct"][name])) for name in NAMES}
            knots = tuple(map(float, found["score"]))
            if any(len(values) != len(knots) for values in maps.values()):
                raise ValueError("maps and knots differ in length")
            scenes = tuple(tuple(map(float, weights)) for weights in found.get("scenes", ()))
            if any(len(weights) != len(NAMES) for weights in scenes):
                raise ValueError("the weights of a scene are not one for each class")
            shares = tuple(map(float, found.get("shares", ())))
            return cls(knots, maps, str(found["population"]), str(found["method"]), shares, scenes)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"this is not a calibrator: {error}") from error

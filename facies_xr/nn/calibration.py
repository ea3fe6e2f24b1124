"""From the score of a label to the probability that it is right.

A calibrator maps the largest softmax value of a pixel, given the label that it won, to P(correct) for the population
on which it was fitted. It is monotone, and each class's map is drawn towards that of all classes by how many samples
of the class there are. In a classifier's file it is JSON, beside maps it is variables.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..classes import NAMES, NODATA
from ..errors import ModelError
from ..stations import CALIBRATOR
from .model_file import is_number

KNOTS = 64
"""Knots of a stored map."""

DECIMALS = {"calibrator_correct": 6, "class_share": 6, "scene_weight": 4, "class_separability": 4}
"""Of what is stored, few enough for variables of float32 to give the same numbers again."""

LARGEST_WEIGHT = 1000.0
"""Of a class in a scene."""

PRIOR = 200.0
"""Samples of all classes that a class's own map is blended with."""

COMPARED = 30
"""Samples of a class below which nothing is said of how it is told from others."""

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
    separability: Mapping[str, float] = field(default_factory=dict)
    """How well two classes are told apart ("ice/snow"): :func:`separability` of the samples; none if not known."""

    def __post_init__(self) -> None:
        def hold(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        score = _numbers("the knots of its scores", self.score, (0.0, 1.0))
        if not score or (np.diff(score) <= 0).any():
            raise ModelError("this is not a calibrator: the knots of its scores do not increase.")
        if set(self.correct) != set(NAMES):
            raise ModelError(f"this is not a calibrator: its classes are not {', '.join(NAMES)}.")
        hold("score", score)
        hold("correct", {n: _numbers(f"P(correct) of {n}", v, (0.0, 1.0), len(score)) for n, v in self.correct.items()})
        if len(self.shares):
            hold("shares", _numbers("the shares of its classes", self.shares, (0.0, 1.0), len(NAMES)))
        limits = (0.0, LARGEST_WEIGHT)
        hold("scenes", tuple(_numbers("the weights of a scene", w, limits, len(NAMES)) for w in self.scenes))
        if not all(map(any, self.scenes)):
            raise ModelError("this is not a calibrator: the weights of a scene are all 0.")
        if not isinstance(self.separability, Mapping) or not set(self.separability) <= set(_PAIRS):
            raise ModelError("this is not a calibrator: its separability is not that of pairs of classes.")
        told = _numbers("the separability of its classes", self.separability.values(), (0.0, 1.0))
        hold("separability", dict(zip(self.separability, told, strict=True)))
        for what in ("population", "method"):
            text = getattr(self, what)
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise ModelError(f"this is not a calibrator: its {what} must be a text that can be printed.")

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

        def monotone(part: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
            model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            return model.fit(score[part], right[part], sample_weight=weight).predict(knots)

        pooled = monotone(np.ones(score.size, bool))
        maps = {}
        for value, name in enumerate(NAMES):
            mine = label == value
            own = monotone(mine) if mine.sum() > 1 else pooled
            share = mine.sum() / (mine.sum() + PRIOR)
            maps[name] = tuple(np.round(share * own + (1 - share) * pooled, DECIMALS["calibrator_correct"]).tolist())
        shares = np.bincount(truth, minlength=len(NAMES)) / truth.size
        return cls(
            tuple(np.round(knots, DECIMALS["calibrator_correct"]).tolist()),
            maps,
            population,
            shares=tuple(np.round(shares, DECIMALS["class_share"]).tolist()),
        )

    def __call__(self, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """P(correct) of labels with their scores; NaN where the score is NaN. float32"""
        out = np.full(score.shape, np.nan, "float32")
        for value, name in enumerate(NAMES):
            mine = (label == value) & np.isfinite(score)
            out[mine] = np.interp(score[mine], self.score, self.correct[name])
        return out

    def to_variables(self) -> xr.Dataset:
        """As variables of maps: ``calibrator_correct``, and ``class_share`` and ``scene_weight`` if they are known."""
        correct = np.array([self.correct[name] for name in NAMES], "float32")
        about = {"method": self.method, "population": self.population}
        variables = xr.Dataset(
            {"calibrator_correct": (("facies_class", "score"), correct, about)},
            coords={"facies_class": np.array(NAMES), "score": np.array(self.score)},
        )
        if self.shares:
            variables["class_share"] = ("facies_class", np.array(self.shares, "float32"))
        if self.scenes:
            variables["scene_weight"] = (("scene", "facies_class"), np.array(self.scenes, "float32"))
        if self.separability:
            told = np.full((len(NAMES), len(NAMES)), np.nan, "float32")
            for pair, value in self.separability.items():
                told[_PAIRS[pair]] = told[_PAIRS[pair][::-1]] = value
            variables["class_separability"] = (("facies_class", "other_class"), told)
        return variables

    @classmethod
    def from_variables(cls, data: xr.Dataset) -> "Calibrator":
        """From the variables of maps, or of a store of them; others are ignored.

        Raises
        ------
        ModelError
            If the variables are missing, or their classes are not those of this version.
        """
        if "calibrator_correct" not in data or "score" not in data.coords:
            raise ModelError("the dataset has no 'calibrator_correct' with its coordinate 'score'.")
        correct = data["calibrator_correct"]
        if list(data["facies_class"].values) != list(NAMES):
            raise ModelError("the calibrator's classes are not those of this version; classify again.")

        def rounded(name: str) -> np.ndarray:
            return np.round(data[name].transpose(*CALIBRATOR[name].dims).values.astype("float64"), DECIMALS[name])

        return cls(
            tuple(data["score"].values.tolist()),
            dict(zip(NAMES, map(tuple, rounded("calibrator_correct").tolist()), strict=True)),
            str(correct.attrs["population"]),
            str(correct.attrs["method"]),
            tuple(rounded("class_share").tolist()) if "class_share" in data else (),
            tuple(map(tuple, rounded("scene_weight").tolist())) if "scene_weight" in data else (),
            _of_pairs(rounded("class_separability")) if "class_separability" in data else {},
        )

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
            return cls(
                found["score"],
                found["correct"],
                found["population"],
                found["method"],
                found.get("shares", ()),
                found.get("scenes", ()),
                found.get("separability", {}),
            )
        except KeyError as error:
            raise ModelError(f"this is not a calibrator: it lacks {error}.") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"this is not a calibrator: {error}.") from error


_PAIRS = {
    f"{first}/{second}": (a, b) for a, first in enumerate(NAMES) for b, second in enumerate(NAMES[a + 1 :], a + 1)
}
"""Places of two classes in the order of :data:`NAMES`."""


def _of_pairs(told: np.ndarray) -> dict[str, float]:
    """Known values of a table (facies_class, other_class), by pair."""
    return {pair: float(told[place]) for pair, place in _PAIRS.items() if np.isfinite(told[place])}


def separability(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How well each two classes are told apart.

    Parameters
    ----------
    scores : ndarray (n, facies_class)
        Of samples that the classifier did not learn from.
    truth : ndarray (n) of int

    Returns
    -------
    dict
        For "ice/snow" the probability that of a pixel of ice and one of snow the first has the larger ratio of the
        scores of ice and snow (area under the ROC curve, ties half): 1 if they are always told apart, .5 if at
        random. Classes with fewer than :data:`COMPARED` samples are left out.
    """
    from scipy.stats import mannwhitneyu

    logs = np.log(np.maximum(scores, np.finfo("float32").tiny))
    found = {}
    for pair, (a, b) in _PAIRS.items():
        first, second = (logs[truth == value][:, a] - logs[truth == value][:, b] for value in (a, b))
        if min(first.size, second.size) >= COMPARED:
            area = mannwhitneyu(first, second).statistic / (first.size * second.size)
            found[pair] = round(float(area), DECIMALS["class_separability"])
    return found


def _numbers(
    what: str, values: Iterable[Any], limits: tuple[float, float], size: int | None = None
) -> tuple[float, ...]:
    """Numbers that lie within limits, as many as there must be."""
    values = tuple(values)
    if not all(map(is_number, values)) or (size is not None and len(values) != size):
        count = "" if size is None else f"{size} "
        raise ModelError(f"this is not a calibrator: {what} must be {count}finite numbers.")
    if not all(limits[0] <= value <= limits[1] for value in values):
        raise ModelError(f"this is not a calibrator: {what} must lie between {limits[0]:g} and {limits[1]:g}.")
    return tuple(map(float, values))


def class_probability(label: np.ndarray, confidence: np.ndarray, class_score: np.ndarray) -> np.ndarray:
    """Probability of each class, of pixels of which one is calibrated.

    Parameters
    ----------
    label : ndarray (...)
        Class shown.
    confidence : ndarray (...)
        Probability that it is right; the other classes share the rest as their scores do, evenly if these are 0.
    class_score : ndarray (..., facies_class)

    Returns
    -------
    ndarray (..., facies_class)
        Sums to 1; NaN where there is no label. float32
    """
    known = label != NODATA
    shown = np.arange(len(NAMES)) == label[..., None]
    others = np.where(shown, 0, class_score.astype("float64"))
    total = others.sum(-1, keepdims=True)
    share = np.divide(others, total, out=np.full(others.shape, 1 / (len(NAMES) - 1)), where=total > 0)
    probability = np.where(shown, confidence[..., None], share * (1 - confidence[..., None]))
    return np.where(known[..., None], probability, np.nan).astype("float32")

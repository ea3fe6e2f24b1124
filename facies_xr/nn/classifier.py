"""A classifier: the network and everything without which its numbers mean nothing, in one file."""

import hashlib
import html
import json
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..classes import NAMES
from ..errors import InputError, ModelError
from ..stations import STANDARD_NAME
from . import model_file, prepare
from .architectures import ARCHITECTURES
from .calibration import Calibrator
from .features import FEATURE_SETS, FEATURES
from .network import Network

LARGEST_TILE = 4096
"""[px]"""

LARGEST_BOUND = 1e4
"""Of a feature: all are shares, reflectances or degrees."""

WEIGHT_RANGE = (-1e6, 1e6)
"""Beyond it float32 loses the scores; trained weights are below 100."""

STATISTICS_RANGE = {"running_var": (0.0, 1e9), "num_batches_tracked": (0.0, 1e12)}
"""Of what batch normalisation counted, by the end of the name."""

LOOKED_AT = 4096
"""Pixels whose median says whether features lie near the training data."""

BEYOND = (1.0, 5.0)
"""Training ranges that a tile's median may lie beyond the training range: before a warning, and before an error."""


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """A trained network with its scaling, calibrator and provenance."""

    network: Network
    feature_set: int
    minimum: np.ndarray
    """Of each feature over the training data; features are scaled to 0..1 between minimum and maximum."""
    maximum: np.ndarray
    mean: np.ndarray
    """Of each scaled feature over the training data; stands in where a context has no data."""
    name: str
    level: str = "TOA"
    """Reflectance that it was trained on."""
    bounds: str = "training"
    """Where minimum and maximum come from."""
    calibrator: Calibrator | None = None
    tile: int = 256
    """Edge of the absolute tiles on which it is evaluated. [px]"""
    card: dict[str, Any] = field(default_factory=dict)
    """Data card: what it was trained on, scores, licence, what it is not for."""

    def __post_init__(self) -> None:
        try:
            self._check_description()
            self._check_bounds()
            self._check_network()
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None

    def _check_description(self) -> None:
        for what in ("name", "bounds"):
            text = getattr(self, what)
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise ModelError(f"{what}={text!r} must be a text that can be printed.")
        if not model_file.is_whole(self.feature_set) or self.feature_set not in FEATURE_SETS:
            raise ModelError(f"feature set {self.feature_set!r}; there are {', '.join(map(str, FEATURE_SETS))}.")
        if self.level not in tuple(STANDARD_NAME):
            raise ModelError(f"level={self.level!r}: reflectance is {' or '.join(STANDARD_NAME)}.")
        if not model_file.is_whole(self.tile) or not 1 <= self.tile <= LARGEST_TILE:
            raise ModelError(f"tile={self.tile!r} must be a whole number between 1 and {LARGEST_TILE} px.")
        try:
            json.dumps(dict(self.card), sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"its card cannot be written as JSON: {error}.") from error

    def _check_bounds(self) -> None:
        n = len(self.features)
        for what in ("minimum", "maximum", "mean"):
            try:
                values = np.asarray(getattr(self, what), "float64")
            except (TypeError, ValueError):
                values = np.array(np.nan)
            if values.shape != (n,) or not np.isfinite(values).all():
                raise ModelError(f"{what} must be {n} finite numbers, one for each feature.")
            if np.abs(values).max() > LARGEST_BOUND:
                k = np.abs(values).argmax()
                raise ModelError(f"{what} of {self.features[k]} is {values[k]:.4g}, beyond {LARGEST_BOUND:g}.")
            object.__setattr__(self, what, values.astype("float32"))
        if (self.maximum <= self.minimum).any():
            worst = self.features[int(np.argmax(self.maximum <= self.minimum))]
            raise ModelError(f"the bounds of {worst} are not increasing.")

    def _check_network(self) -> None:
        n = len(self.features)
        if self.network.channels != n:
            raise ModelError(
                f"its network takes {self.network.channels} features, feature set {self.feature_set} has {n}."
            )
        for name, tensor in self.network.state_dict().items():
            low, high = STATISTICS_RANGE.get(name.rsplit(".", 1)[-1], WEIGHT_RANGE)
            if not bool(((tensor >= low) & (tensor <= high)).all()):
                raise ModelError(f"its weights {name} are not finite numbers between {low:g} and {high:g}.")

    def __repr__(self) -> str:
        calibrated = "calibrated" if self.calibrator else "not calibrated"
        return (
            f"<Classifier {self.name!r}: feature set {self.feature_set} of {self.level}, {self.architecture} network, "
            f"{calibrated}>"
        )

    def _repr_html_(self) -> str:
        population = self.calibrator.population if self.calibrator else "not calibrated"
        rows = {
            "not for": self.card.get("not_for", "its card does not say"),
            "features": f"set {self.feature_set}: {', '.join(self.features)}",
            "reflectance": self.level,
            "network": self.architecture,
            "bounds": self.bounds,
            "calibrated for": population,
            **{key.replace("_", " "): value for key, value in self.card.items() if key not in ("not_for", "bounds")},
            "digest": self.digest,
        }
        table = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{html.escape(str(key))}</th>"
            f"<td style='text-align:left'>{html.escape(_shown(value))}</td></tr>"
            for key, value in rows.items()
        )
        return f"<table><caption>Classifier <b>{html.escape(self.name)}</b></caption>{table}</table>"

    @property
    def architecture(self) -> str:
        """Of the network: "patch", the published one, or "dense"."""
        return self.network.architecture

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return FEATURE_SETS[self.feature_set]

    def scale(self, features: prepare.Array) -> prepare.Array:
        """Features (..., feature, y, x) scaled to the bounds, not clipped. float32"""
        return prepare.scaled(features, self.minimum, self.maximum)

    def inputs(self, features: prepare.Array) -> prepare.Array:
        """Features (..., feature, y, x) as the network takes them: scaled, gaps as the means. float32"""
        return prepare.without_gaps(self.scale(features), self.mean)

    def check(self, features: prepare.Array) -> None:
        """Refuse features that lie far outside what the classifier was trained on, warn of those that lie outside.

        Parameters
        ----------
        features : array (feature, pixel)
            Relative to the glacier, not scaled; of many pixels some, evenly spaced, are looked at.

        Raises
        ------
        InputError
            If the median of a feature is more than 5 training ranges beyond the training range.
        """
        step = max(1, features.shape[1] // LOOKED_AT)
        median = np.median(prepare.to_host(features[:, ::step]), axis=1)
        beyond = np.maximum(self.minimum - median, median - self.maximum) / (self.maximum - self.minimum)
        k = int(beyond.argmax())
        if beyond[k] <= BEYOND[0]:
            return
        message = (
            f"{self.name}: the median of {self.features[k]} on a tile's glaciers is {median[k]:.4g}, the classifier "
            f"was trained on {self.minimum[k]:.4g}..{self.maximum[k]:.4g}"
        )
        if beyond[k] > BEYOND[1]:
            raise InputError(f"{message}; {FEATURES[self.features[k]].unit}.")
        warnings.warn(f"{message}; its labels there are guesses.", stacklevel=2)

    @cached_property
    def digest(self) -> str:
        """Hash of all that decides the maps that it makes."""
        hashed = hashlib.sha256(json.dumps(self._metadata(), sort_keys=True).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            hashed.update(name.encode())
            hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()[:16]

    def _metadata(self) -> dict[str, Any]:
        return {
            "format": model_file.FORMAT,
            "name": self.name,
            "architecture": self.architecture,
            "feature_set": self.feature_set,
            "features": list(self.features),
            "classes": list(NAMES),
            "minimum": self.minimum.tolist(),
            "maximum": self.maximum.tolist(),
            "mean": self.mean.tolist(),
            "bounds": self.bounds,
            "level": self.level,
            "tile": self.tile,
            "calibrator": self.calibrator.to_json() if self.calibrator else None,
            "card": self.card,
        }

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file."""
        path = Path(path)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        model_file.write(path, self._metadata(), tensors)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Classifier":
        """Read a file written by :meth:`save`.

        Raises
        ------
        ModelError
            If there is no such file, it is no classifier, or it does not fit this version's features and classes.
        """
        path = Path(path)
        metadata, tensors = model_file.read(path)
        try:
            return cls._of(metadata, tensors)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, metadata: model_file.Metadata, tensors: dict[str, torch.Tensor]) -> "Classifier":
        feature_set, architecture = metadata["feature_set"], metadata["architecture"]
        if metadata["features"] != list(FEATURE_SETS.get(feature_set, ())):
            raise ModelError(f"its features {metadata['features']} are not feature set {feature_set}.")
        if architecture not in ARCHITECTURES:
            raise ModelError(f"architecture {architecture!r} is not known to this version.")
        network = ARCHITECTURES[architecture](len(metadata["features"]))
        expected = {name: (tensor.dtype, tensor.shape) for name, tensor in network.state_dict().items()}
        found = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
        if wrong := sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name)):
            raise ModelError(f"its weights do not fit the network: {', '.join(wrong[:3])}.")
        network.load_state_dict(tensors)
        calibrator = Calibrator.from_json(metadata["calibrator"]) if metadata["calibrator"] is not None else None
        kept = {k: metadata[k] for k in ("minimum", "maximum", "mean", "name", "level", "bounds", "tile", "card")}
        return cls(network.eval(), feature_set, calibrator=calibrator, **kept)


def _shown(value: object) -> str:
    """Value of a card in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(entry)}" for key, entry in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)

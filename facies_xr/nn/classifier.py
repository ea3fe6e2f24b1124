"""A classifier: the network and everything without which its numbers mean nothing, in one file.

The file is safetensors: arrays, and a JSON text in its header. Nothing in it is code, and nothing is pickled.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch

from ..classes import NAMES
from ..errors import InputError, ModelError
from . import prepare
from .calibration import Calibrator
from .features import FEATURE_SETS, FEATURES
from .network import ARCHITECTURES, Network

FORMAT = "facies_xr classifier 1"

BEYOND = (1.0, 5.0)
"""Training ranges that a tile's median may lie beyond the training range: before a warning, and before an error."""


@dataclass(frozen=True, eq=False)
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
    card: dict = field(default_factory=dict)
    """Data card: what it was trained on, scores, licence, what it is not for."""

    def __post_init__(self):
        if self.feature_set not in FEATURE_SETS:
            raise ModelError(
                f"{self.name}: feature set {self.feature_set!r}; there are {', '.join(map(str, FEATURE_SETS))}."
            )
        n = len(self.features)
        for what in ("minimum", "maximum", "mean"):
            values = np.asarray(getattr(self, what), "float32")
            if values.shape != (n,) or not np.isfinite(values).all():
                raise ModelError(f"{self.name}: {what} must be {n} finite numbers, one for each feature.")
            object.__setattr__(self, what, values)
        if (self.maximum <= self.minimum).any():
            worst = self.features[int(np.argmax(self.maximum <= self.minimum))]
            raise ModelError(f"{self.name}: the bounds of {worst} are not increasing.")
        if self.network.channels != n:
            raise ModelError(f"{self.name}: its network takes {self.network.channels} features, feature set "
                             f"{self.feature_set} has {n}.")  # fmt: skip

    @property
    def architecture(self) -> str:
        """Of the network: "patch", the published one, or "dense"."""
        return self.network.architecture

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return FEATURE_SETS[self.feature_set]

    def scale(self, features: np.ndarray) -> np.ndarray:
        """Features (..., feature, y, x) scaled to the bounds, not clipped. float32"""
        return prepare.scaled(features, self.minimum, self.maximum)

    def inputs(self, patches: np.ndarray) -> np.ndarray:
        """Patches (n, feature, y, x) of samples as the network takes them: scaled, gaps as the means. float32"""
        return prepare.without_gaps(self.scale(patches), self.mean)

    def check(self, features: np.ndarray) -> None:
        """Refuse features that lie far outside what the classifier was trained on, warn of those that lie outside.

        Parameters
        ----------
        features : ndarray (feature, pixel)
            Relative to the glacier, not scaled.

        Raises
        ------
        InputError
            If the median of a feature is more than 5 training ranges beyond the training range.
        """
        median = np.median(features, axis=1)
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

    def _metadata(self) -> dict:
        return {
            "format": FORMAT,
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
        safetensors.torch.save_file(tensors, path, {"facies_xr": json.dumps(self._metadata())})
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
        if not path.is_file():
            raise ModelError(f"model file {path} does not exist.")
        if path.suffix.lower() in (".pickle", ".pkl", ".pt", ".pth"):
            raise ModelError(f"{path} may hold a pickle, which could run any code; facies_xr reads safetensors only.")
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                header = (file.metadata() or {}).get("facies_xr")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a complete safetensors file: {error}") from error
        if header is None:
            raise ModelError(f"{path} is a safetensors file, but not a classifier of facies_xr.")
        meta = json.loads(header)
        if meta.get("format") != FORMAT or meta.get("classes") != list(NAMES):
            raise ModelError(f"{path}: format {meta.get('format')!r} or its classes are not those of this version.")
        if meta["features"] != list(FEATURE_SETS.get(meta["feature_set"], ())):
            raise ModelError(f"{path}: its features {meta['features']} are not feature set {meta['feature_set']}.")
        if meta["architecture"] not in ARCHITECTURES:
            raise ModelError(f"{path}: architecture {meta['architecture']!r} is not known to this version.")
        network = ARCHITECTURES[meta["architecture"]](len(meta["features"]))
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(f"{path}: its weights do not fit the network: {error}") from error
        calibrator = Calibrator.from_json(meta["calibrator"]) if meta["calibrator"] else None
        kept: dict = {k: meta[k] for k in ("feature_set", "name", "level", "bounds", "tile", "card")}
        kept |= {k: np.array(meta[k], "float32") for k in ("minimum", "maximum", "mean")}
        return cls(network.eval(), calibrator=calibrator, **kept)

"""A model in one safe file: safetensors, with what its inputs are and how they are scaled as JSON in the header."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ...errors import ModelError
from ...nn.model_file import KEY, put
from ..degreeday.parameters import SMOOTH

FORMAT = "facies_xr glaunti 1"
LARGEST = 2**26
"""Size of a file, some hundred times that of the networks. [byte]"""

KINDS = ("temperature-index", "recurrent", "corrector")

ANEW = ("published", "year", "season")
"""When corrections are made, see :class:`facies_xr.smb.glaunti.models.Corrected`."""

STORES = ("published", "conserving")
"""How the snow is kept, see :mod:`facies_xr.smb.degreeday.steps`."""

FEATURES = (
    "first guess", "reaction to warmth", "reaction to precipitation", "outline", "elevation", "elevation_std", "ice",
    "snow", "debris", "firn", "shadow", "refrozen-like", "cloud", "water", "confidence",
)  # fmt: skip
"""Channels of the corrector's fields. The published class superimposed ice is our refrozen-like."""


@dataclass(frozen=True)
class Scales:
    """By what the network's inputs are divided."""

    elevation: float = 4341.383118842848
    """[m]"""
    elevation_std: float = 5699.1201273232155
    """As published; what it is the deviation of is not documented. [m]"""
    temperature: float = 45.744850158691406
    """[K]"""
    precipitation: float = 0.16851751506328583
    """[m w.e. per day]"""


@dataclass(frozen=True)
class Saved:
    """What a file holds."""

    kind: str
    """One of :data:`KINDS`."""
    tensors: Mapping[str, Tensor]
    """``parameter.NAME`` are free numbers of the temperature-index model; the others the network's."""
    facies: bool = False
    """Whether the corrector is given facies."""
    masked: bool = False
    limit: float | None = None
    anew: str = ANEW[0]
    store: str = STORES[0]
    features: tuple[str, ...] = FEATURES
    scales: Scales = field(default_factory=Scales)
    card: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, licence, scores."""

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Free numbers of the temperature-index model."""
        return {name: self.tensors[f"parameter.{name}"] for name in SMOOTH}

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the network."""
        return {name: value for name, value in self.tensors.items() if not name.startswith("parameter.")}

    def save(self, path: str | Path) -> Path:
        """Write."""
        described = {k: v for k, v in asdict(self).items() if k != "tensors"}
        text = json.dumps({"format": FORMAT, **described}, allow_nan=False)
        put(Path(path), {k: v.detach().contiguous() for k, v in self.tensors.items()}, text)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Saved":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError
            If it is no such file, or is damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"model file {path} does not exist.")
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} has {path.stat().st_size:.3g} bytes; a model has less than {LARGEST:.3g}.")
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                found = json.loads((file.metadata() or {})[KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if found.pop("format") != FORMAT or found["kind"] not in KINDS or tuple(found["features"]) != FEATURES:
                raise ValueError("its format, kind or features are not those of this version")
            scales = Scales(**{name: float(value) for name, value in found.pop("scales").items()})
            if not all(value > 0 for value in asdict(scales).values()):
                raise ValueError("a scale is not above 0")
            if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
                raise ValueError("it has numbers that are not finite")
            if found.get("anew", ANEW[0]) not in ANEW or found.get("store", STORES[0]) not in STORES:
                raise ValueError("its corrections or its snow store are not those of this version")
            found["features"] = tuple(found["features"])
            saved = cls(tensors=tensors, scales=scales, **found)
            if saved.kind != "recurrent":
                saved.parameters  # noqa: B018, that they are there
        except (safetensors.SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError,
                KeyError) as error:  # fmt: skip
            raise ModelError(f"{path} is not a complete model of facies_xr: {error}") from error
        return saved

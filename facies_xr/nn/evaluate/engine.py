"""What the evaluation asks of a network, and what a network says about the ways to evaluate it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...errors import InputError, one_of

Part = tuple[slice, slice]
"""Rows and columns."""

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Engine:
    """A way to evaluate a part of a raster as a whole, and what that costs (docs/dense.md)."""

    predict: Callable[[Any, np.ndarray], np.ndarray]
    """Of the network for inference and features (feature, y, x): probabilities of the pixels inside. (y, x, class)"""
    largest: int
    """Edge of the largest part; it bounds the memory. [px]"""
    rim: tuple[float, float]
    """Rows and columns by which a part costs more than its pixels. [px]"""
    alone: float
    """Cost of a pixel alone, patch by patch. [px]"""
    devices: tuple[str, ...] | None = None
    """Types of device that it runs on; None for all that torch has."""
    precisions: tuple[str, ...] = PRECISIONS

    def cost(self, part: Part) -> float:
        """Of a part as a whole. [px]"""
        height, width = (p.stop - p.start for p in part)
        return (height + self.rim[0]) * (width + self.rim[1])

    def runs(self, device: str, precision: str) -> bool:
        """Whether it can be used on a type of device, in a precision."""
        return precision in self.precisions and (self.devices is None or device in self.devices)


class Inference(Protocol):
    """A network for inference."""

    architecture: str
    radius: int
    """Pixels that it sees on each side of a pixel."""
    engines: Mapping[str, Engine]
    """The best first; none where it can be evaluated patch by patch only."""
    device: Any

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """Class probabilities (n, class) of scaled, finite patches (n, feature, y, x) of one pixel each."""


class Network(Protocol):
    """A network as it is trained."""

    def folded(self) -> Inference:
        """The same for inference."""


def choose(network: Inference, name: str, precision: str) -> Engine | None:
    """The engine of a name, or the first that runs; None for patch by patch.

    Raises
    ------
    InputError
        If the network has no such engine, or it does not run where the network is, or in this precision.
    """
    one_of("precision", precision, PRECISIONS)
    kind = network.device.type
    running = {key: engine for key, engine in network.engines.items() if engine.runs(kind, precision)}
    if name == "auto":
        return next(iter(running.values()), None)
    if name in network.engines and name not in running:
        raise InputError(
            f"engine={name!r} does not run on {kind} in {precision}: choose {' or '.join(map(repr, running))}."
        )
    one_of(f"{network.architecture} network: engine", name, ("auto", *network.engines))
    return network.engines[name]

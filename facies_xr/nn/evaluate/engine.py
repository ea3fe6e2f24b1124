"""What the evaluation asks of a network, and what a network says about the ways to evaluate it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ...errors import InputError, one_of
from .device import PRECISIONS

Part = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Engine:
    """A way to evaluate a part of a raster as a whole, and what that costs (docs/dense.md)."""

    name: str
    predict: Callable[[Any, torch.Tensor], torch.Tensor]
    """Of the network for inference and features (feature, y, x): probabilities of the pixels inside (y, x, class),
    both on its device."""
    largest: int
    """Edge of the largest part; it bounds the memory. [px]"""
    rim: tuple[float, float]
    """Rows and columns by which a part costs more than its pixels. [px]"""
    alone: float
    """Cost of a pixel alone, patch by patch. [px]"""
    least: float = 0.0
    """Cost of the smallest part, which a GPU spends on launches. [px]"""
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")
    """Types of device that it runs on."""
    precisions: tuple[str, ...] = tuple(PRECISIONS)

    def cost(self, part: Part) -> float:
        """Of a part as a whole. [px]"""
        height, width = (p.stop - p.start for p in part)
        return max(self.least, (height + self.rim[0]) * (width + self.rim[1]))

    def runs(self, kind: str, precision: str) -> bool:
        """Whether it can be used on a type of device, in a precision."""
        return precision in self.precisions and kind in self.devices


class Inference(Protocol):
    """A network for inference, on one device."""

    architecture: str
    radius: int
    """Pixels that it sees on each side of a pixel."""
    engines: Sequence[Engine]
    """The best first; none where it can be evaluated patch by patch only."""
    device: Any

    def here(self, features: torch.Tensor) -> torch.Tensor:
        """Features where it computes."""

    def scores(self, patches: torch.Tensor) -> torch.Tensor:
        """Class probabilities (n, class) of scaled, finite patches (n, feature, y, x) of one pixel each, there."""


class Network(Protocol):
    """A network as it is trained."""

    @property
    def device(self) -> Any:
        """Where its weights are."""

    def folded(self, device: Any = None) -> Inference:
        """The same for inference, on a device."""


def pick(network: Inference, name: str, precision: str) -> Engine | None:
    """The engine of a name, or the first that runs; None for patch by patch.

    Raises
    ------
    InputError
        If the network has no such engine, or it does not run where the network is, or in this precision.
    """
    kind = network.device.type
    running = [engine for engine in network.engines if engine.runs(kind, precision)]
    if name == "auto":
        return next(iter(running), None)
    one_of(f"{network.architecture} network: engine", name, dict.fromkeys(["auto", *(e.name for e in network.engines)]))
    for engine in running:
        if engine.name == name:
            return engine
    names = " or ".join(repr(engine.name) for engine in running) or "'auto'"
    raise InputError(f"engine={name!r} does not run on {kind} in {precision}: choose {names}.")

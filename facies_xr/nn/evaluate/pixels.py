"""Evaluation of a network at the pixels of a raster: together where they lie close, patch by patch where not."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...classes import CLASSES
from .device import choose, note, products
from .engine import Engine, Inference, Network, Part, pick
from .plan import halves, plan
from .threads import one_thread

Array = Any
"""Of NumPy or torch."""

BATCH, BATCH_ELSEWHERE = 32, 1024
"""Patches that are evaluated at a time, on a CPU and on other devices."""

ENOUGH = 64
"""Where memory runs out, parts are halved down to this edge; then the CPU takes them. [px]"""


@torch.inference_mode()
def evaluate(
    network: Network,
    features: Array,
    mask: np.ndarray | None = None,
    engine: str = "auto",
    precision: str = "float32",
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Class probabilities at the pixels of a raster, as patch by patch.

    Where a device's memory runs out, parts become smaller; if that does not help, the CPU takes them, with a warning.

    Parameters
    ----------
    network : Network
        One of :data:`facies_xr.nn.architectures.ARCHITECTURES`.
    features : array (feature, y, x) of float32
        Of NumPy, or of torch on any device. Scaled, finite; its outer pixels, as many as the network's radius, are
        context only.
    mask : ndarray (y, x) of bool, optional
        Pixels that are wanted; by default all that have their context.
    engine : str
        "auto", or one that the network states: "compiled", the kernel of the CPU, "fused", that of CUDA (Triton), or
        "torch", on any device. By default the first that runs.
    precision : {"float32", "tf32", "bfloat16"}
        Of the products. The first is exact within 2e-5, whatever torch's global settings are; the others are for
        devices that are fast at them, and err by some 1e-3 and 1e-2.
    device : str or torch.device, optional
        "cpu", "cuda", one card such as "cuda:1", or "mps"; by default what FACIES_XR_DEVICE names, else where the
        network is, if that is no CPU, else CUDA where there is a card.

    Returns
    -------
    array (facies_class, y, x) of float32
        Of NumPy where the features are, else of torch, where it was computed. NaN outside the mask and where the
        context is not whole.

    Raises
    ------
    InputError
        If the engine, precision or device is not known, or they do not go together.
    """
    prepared = network.folded(choose(device, network.device))
    radius = prepared.radius
    here = prepared.here(torch.as_tensor(features))
    out = torch.full((len(CLASSES), *features.shape[1:]), torch.nan, device=here.device)
    height, width = (n - 2 * radius for n in features.shape[1:])
    inside = slice(radius, radius + height), slice(radius, radius + width)
    wanted = np.ones((height, width), bool) if mask is None else mask[inside]
    with one_thread(), products(precision, prepared.device.type):
        chosen = pick(prepared, engine, precision)
        _Raster(network, prepared, chosen, here, wanted, out[(slice(None), *inside)]).fill(
            (slice(0, height), slice(0, width))
        )
    return out if isinstance(features, torch.Tensor) else out.cpu().numpy()


def around(features: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, radius: int) -> torch.Tensor:
    """Patches (n, feature, y, x) around pixels, which are counted from the first that has its context."""
    size = 2 * radius + 1
    return features.unfold(1, size, 1).unfold(2, size, 1)[:, rows, columns].swapaxes(0, 1).contiguous()


@dataclass(frozen=True, eq=False)
class _Raster:
    """A raster under way."""

    network: Network
    prepared: Inference
    engine: Engine | None
    features: torch.Tensor
    """On the device of the network. (feature, y, x)"""
    wanted: np.ndarray
    """Pixels that are wanted, of those that have their context. (y, x)"""
    inner: torch.Tensor
    """What is filled. (class, y, x)"""

    def fill(self, window: Part) -> None:
        """Evaluate the wanted pixels of a window."""
        for part in plan(self.wanted, window, self.engine)[1] if self.engine else [window]:
            try:
                self._fill(part)
                note(self.prepared.device)
                continue
            except torch.cuda.OutOfMemoryError as error:
                smallest = max(p.stop - p.start for p in part) < 2 * ENOUGH
                if smallest and self.prepared.device.type == "cpu":
                    raise
                message = str(error).partition("\n")[0]
            # beyond the except clause, where nothing holds the failed attempt's memory any more
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            if not smallest:
                for half in halves(part):
                    self.fill(half)
                continue
            warnings.warn(
                f"{self.prepared.device} is out of memory ({message}); the CPU takes a part of "
                f"{self.wanted[part].sum()} px, which is slow. Run fewer threads on one device.",
                stacklevel=3,
            )
            self._on_cpu().fill(part)

    def _on_cpu(self) -> "_Raster":
        spare = self.network.folded(torch.device("cpu"))
        return replace(self, prepared=spare, engine=pick(spare, "auto", "float32"), features=self.features.cpu())

    def _fill(self, part: Part) -> None:
        radius = self.prepared.radius
        rows, columns = (torch.from_numpy(n) for n in np.nonzero(self.wanted[part]))
        top, left = (p.start for p in part)
        if self.engine and self.engine.cost(part) < self.engine.alone * rows.numel():
            y, x = (slice(p.start, p.stop + 2 * radius) for p in part)
            whole = self.engine.predict(self.prepared, self.features[:, y, x].contiguous())
            self._put(rows + top, columns + left, whole[rows, columns])
            return
        batch = BATCH if self.prepared.device.type == "cpu" else BATCH_ELSEWHERE
        for r, c in zip((rows + top).split(batch), (columns + left).split(batch), strict=True):
            self._put(r, c, self.prepared.scores(around(self.features, r, c, radius)))

    def _put(self, rows: torch.Tensor, columns: torch.Tensor, scores: torch.Tensor) -> None:
        """Write the scores (pixel, class) of some pixels."""
        self.inner[:, rows, columns] = scores.T.to(self.inner.device)

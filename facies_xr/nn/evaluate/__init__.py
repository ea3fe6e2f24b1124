"""Exact evaluation of a network at every pixel of a raster (docs/dense.md).

:func:`evaluate`, and :func:`together` for several rasters, are for the rooms outside, with :func:`choose`,
:func:`arrived` and :func:`queue` for what they prepare on a device, and :func:`noted` for where it was computed. It
knows no network: each states its radius and its engines.
"""

from .device import arrived, choose, noted, queue
from .packing import together
from .pixels import evaluate
from .threads import one_thread

__all__ = ["arrived", "choose", "evaluate", "noted", "one_thread", "queue", "together"]

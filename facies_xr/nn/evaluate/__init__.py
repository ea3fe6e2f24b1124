"""Exact evaluation of a network at every pixel of a raster (docs/dense.md).

:func:`evaluate` is for the rooms outside. It knows no network: each states its radius and its engines.
"""

from .pixels import evaluate
from .threads import one_thread

__all__ = ["evaluate", "one_thread"]

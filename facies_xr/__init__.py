"""Glacier facies maps and surface mass balance from satellite archives, with xarray and Dask.

Importing the package registers the accessor ``.facies``; everything else is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import accessor as _accessor  # noqa: F401, registers .facies

if TYPE_CHECKING:
    from .grids import grid
    from .maps.inference import calibrate, classify
    from .maps.statistics import statistics
    from .scenes.catalog import search
    from .scenes.cube import load
    from .scenes.selection import best
    from .store import open_store, write
    from .terrain.layers import add_terrain

__version__ = "0.1.0"

_HOME = {
    "search": "scenes.catalog",
    "best": "scenes.selection",
    "load": "scenes.cube",
    "grid": "grids",
    "add_terrain": "terrain.layers",
    "classify": "maps.inference",
    "calibrate": "maps.inference",
    "write": "store",
    "open_store": "store",
    "statistics": "maps.statistics",
}

__all__ = [
    "add_terrain",
    "best",
    "calibrate",
    "classify",
    "grid",
    "load",
    "open_store",
    "search",
    "statistics",
    "write",
]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name == "synthetic":
        return import_module(".synthetic", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME, "synthetic"])

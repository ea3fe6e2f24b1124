"""Glacier facies maps and surface mass balance from satellite archives, with xarray and Dask.

Importing the package registers the accessor ``.facies``; everything else is loaded on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "search": "scenes.catalog",
    "load": "scenes.cube",
    "grid": "grids",
    "add_terrain": "terrain.layers",
    "classify": "maps.inference",
    "calibrate": "maps.inference",
    "write": "store",
    "open_store": "store",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PUBLIC])

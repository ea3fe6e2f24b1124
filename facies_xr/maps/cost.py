"""What a map will cost before it is made."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import store
from ..classes import NAMES
from ..nn import evaluate, registry
from ..nn.patches import RADIUS
from ..scenes import missions

PROBE = 48
"""Edge of the raster with which the speed of this machine is measured. [px]"""


@dataclass(frozen=True)
class Cost:
    """An estimate."""

    scenes: int
    """Files are read from this many scenes."""
    dates: int
    pixels: int
    """Pixels to classify, over all dates."""
    tiles: int
    """Tiles to compute and write."""
    bytes_read: int
    """Of the source pixels, uncompressed."""
    bytes_written: int
    """Of the maps, uncompressed."""
    seconds: float
    """Of inference on this machine's cores."""


def estimate(cube: xr.Dataset, model: Any, cores: int, *, probability: bool = False) -> Cost:
    """Cost of classifying a cube; reads no scene, but burns the outlines and times the network.

    Parameters
    ----------
    cube : Dataset
        As ``load`` and ``add_terrain`` give it.
    model : str, Path, Classifier, or list of these
    cores : int
    probability : bool
    """
    members = registry.Members.of(model).classifiers
    dates, grid = cube.sizes.get("time", 1), (cube.sizes["y"], cube.sizes["x"])
    index = cube.get("glacier_index")
    everywhere = dates * grid[0] * grid[1]
    wanted = everywhere if index is None else int((index > 0).sum()) * (1 if "time" in index.dims else dates)
    scenes = sum(len(str(i).split()) for i in np.atleast_1d(cube["item"].values)) if "item" in cube.coords else dates
    resolution = abs(float(cube.x[1] - cube.x[0]))
    sensors = [str(s) for s in np.atleast_1d(cube["sensor"].values)] if "sensor" in cube.coords else []
    instruments = missions.instruments()
    read = sum(
        grid[0] * grid[1] * min(1.0, (resolution / r) ** 2) * instruments[s].pixel_bytes
        for s in sensors
        for r in instruments[s].resolutions
    )
    tiles = dates * int(np.prod([-(-n // store.TILE) for n in grid]))
    channels = 1 + 4 + 4 + (4 * len(NAMES) if probability else 0)
    seconds = len(members) * wanted / pixels_per_second(members[0]) / cores
    return Cost(scenes, dates, wanted, tiles, int(read), dates * grid[0] * grid[1] * channels, seconds)


def pixels_per_second(classifier: Any) -> float:
    """Pixels that one core of this machine classifies in a second, measured on a small raster."""
    n = PROBE + 2 * RADIUS
    features = np.random.default_rng(0).random((len(classifier.features), n, n), "float32")
    mask = np.zeros((n, n), bool)
    mask[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    evaluate.evaluate(classifier.network, features, mask)
    start = time.perf_counter()
    evaluate.evaluate(classifier.network, features, mask)
    return PROBE**2 / (time.perf_counter() - start)

"""Several rasters in one evaluation, for devices on which each launch costs as much as many pixels.

Rasters carry their own context, so they may lie side by side: what a pixel sees ends within its raster. ::

    +---------------+-------+----+
    |               |   b   | c  |     shelves, the highest raster first
    |       a       |       +----+
    |               |       |          empty cells are zeros; nothing that is wanted sees them
    +----------+----+---+---+----+
    |     d    |   e    |
    +----------+--------+
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .device import choose
from .engine import Network, pick
from .pixels import Array, evaluate


def together(
    network: Network,
    rasters: Sequence[tuple[Array, np.ndarray]],
    engine: str = "auto",
    precision: str = "float32",
    device: str | torch.device | None = None,
) -> list[Array]:
    """Class probabilities of the wanted pixels of several rasters.

    Parameters
    ----------
    network : Network
    rasters : sequence of (array (feature, y, x) of float32, ndarray (y - 32, x - 32) of bool)
        Scaled, finite features, and which of the pixels that have their context are wanted; the radius of the network
        in place of 16.
    engine, precision, device
        As :func:`facies_xr.nn.evaluate.evaluate` takes them.

    Returns
    -------
    list of array (facies_class, pixel) of float32
        In the order of the rasters, and of their pixels by row and column.
    """
    prepared = network.folded(choose(device, network.device))
    chosen = pick(prepared, engine, precision)
    masks = [np.pad(wanted, prepared.radius) for _, wanted in rasters]
    on = [features for features, _ in rasters]
    options: dict[str, Any] = {"engine": engine, "precision": precision, "device": prepared.device}
    if chosen is None or chosen.least == 0 or len(rasters) < 2:
        return [evaluate(network, f, m, **options)[:, m] for f, m in zip(on, masks, strict=True)]
    places, (height, width) = shelves([mask.shape for mask in masks], chosen.largest + 2 * prepared.radius)
    here = [prepared.here(torch.as_tensor(features)) for features in on]
    canvas = here[0].new_zeros((len(here[0]), height, width))
    wanted = np.zeros((height, width), bool)
    for features, mask, place in zip(here, masks, places, strict=True):
        canvas[(slice(None), *place)] = features
        wanted[place] = mask
    scores = evaluate(network, canvas, wanted, **options)
    each = [scores[(slice(None), *place)][:, mask] for mask, place in zip(masks, places, strict=True)]
    return each if isinstance(on[0], torch.Tensor) else [s.cpu().numpy() for s in each]


def shelves(sizes: Sequence[tuple[int, int]], width: int) -> tuple[list[tuple[slice, slice]], tuple[int, int]]:
    """Places of rectangles in one that is about as wide as asked, and its size.

    Parameters
    ----------
    sizes : sequence of (rows, columns)
    width : int
        It is wider where a rectangle is.

    Returns
    -------
    places : list of (slice, slice)
        In the order of the sizes.
    size : (rows, columns)
    """
    width = max(width, *(columns for _, columns in sizes))
    places: dict[int, tuple[slice, slice]] = {}
    top = bottom = left = 0
    for k in sorted(range(len(sizes)), key=lambda k: -sizes[k][0]):
        rows, columns = sizes[k]
        if left + columns > width:
            top, left = bottom, 0
        places[k] = slice(top, top + rows), slice(left, left + columns)
        bottom, left = max(bottom, top + rows), left + columns
    return [places[k] for k in range(len(sizes))], (bottom, max(place[1].stop for place in places.values()))

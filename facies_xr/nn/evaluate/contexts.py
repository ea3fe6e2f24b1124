"""The network at every pixel at once, equal to patch by patch: shared maps by edge context, in torch.

:mod:`facies_xr.nn.evaluate.geometry` says what a context is. This is the readable form: the reference of the compiled
kernel, and what runs wherever torch does.
"""

from itertools import product
from typing import Protocol

import torch
import torch.nn.functional as F

from .geometry import (
    COARSE,
    COARSE_ORIGIN,
    FINE,
    FINE_ORIGIN,
    LAST,
    MIDDLE,
    RADIUS,
    Context,
    Layer,
    contexts,
    pairs,
    terms,
)

Maps = dict[tuple[Context, Context], torch.Tensor]
Convolution = tuple[torch.Tensor, torch.Tensor]
"""Weight and bias."""


class Weights(Protocol):
    """The published network, batch norm folded into its convolutions."""

    fine: list[Convolution]
    coarse: list[Convolution]
    device: torch.device

    def conclude(self, z: torch.Tensor) -> torch.Tensor:
        """Class probabilities (..., 8) of what the convolutions give (..., 192)."""


def convolve(maps: Maps, layer: Layer, weight: torch.Tensor, target: tuple[Context, Context], patches) -> torch.Tensor:
    """One output map of a convolution, without bias.

    Parameters
    ----------
    maps : Maps
        Of the input.
    layer : Layer
    weight : Tensor (out, in, 3, 3)
    target : pair of Context
        Of rows and of columns.
    patches : (int, int)
        Number of patches along rows and columns.
    """
    total = None
    for row, column in product(terms(layer, target[0]), terms(layer, target[1])):
        source = maps[row.source, column.source]
        for axis, term, context, count in ((2, row, target[0], patches[0]), (3, column, target[1], patches[1])):
            if context != MIDDLE:
                taps = term.taps.stop - term.taps.start
                source = source.narrow(axis, term.start, count + (taps - 1) * layer.dilation)
        part = F.conv2d(source, weight[:, :, row.taps, column.taps], dilation=layer.dilation)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def pool(maps: Maps, patches) -> Maps:
    """Maps of the pooled layer: cells 0 and 10 of a patch from its edge maps, the others from the middle."""
    by_rows = {(row, c): _pool_axis(maps, row, c, 2) for row in contexts(1) for c in contexts(3)}
    return {(row, c): _pool_axis(by_rows, c, row, 3) for row in contexts(1) for c in contexts(1)}


def _pool_axis(maps: Maps, target: Context, other: Context, axis: int) -> torch.Tensor:
    def at(context: Context) -> torch.Tensor:
        return maps[(context, other) if axis == 2 else (other, context)]

    if target == MIDDLE:
        return highest_of_three(at(MIDDLE), axis, 1, 0, at(MIDDLE).shape[axis] - 2)
    first, second, third = (at((target[0], k)) for k in range(3))
    return torch.maximum(torch.maximum(first, second), third)


def highest_of_three(x: torch.Tensor, axis: int, step: int, start: int, count: int) -> torch.Tensor:
    """Maximum of three entries a step apart."""
    first, second, third = (x.narrow(axis, start + k * step, count) for k in range(3))
    return torch.maximum(torch.maximum(first, second), third)


@torch.inference_mode()
def predict(network: Weights, features: torch.Tensor) -> torch.Tensor:
    """Class probabilities of all pixels that have their context.

    Parameters
    ----------
    network : Weights
    features : Tensor (feature, y, x) of float32
        Finite.

    Returns
    -------
    Tensor (y - 32, x - 32, class)
    """
    x = features[None].contiguous(memory_format=torch.channels_last)
    patches = x.shape[2] - LAST, x.shape[3] - LAST
    maps: Maps = {(MIDDLE, MIDDLE): x}
    for layer, (weight, bias) in zip(FINE[:2], network.fine[:2], strict=True):
        maps = {t: _activate(convolve(maps, layer, weight, t, patches), bias) for t in pairs(layer.edges + 1)}
    weight, bias = network.fine[2]
    maps = {t: convolve(maps, FINE[2], weight, t, patches) for t in pairs(3)}
    middle = RADIUS - FINE_ORIGIN
    fine = _activate(maps[MIDDLE, MIDDLE][:, :, middle : middle + patches[0], middle : middle + patches[1]], bias)
    maps = {t: _activate(m, bias) for t, m in pool(maps, patches).items()}
    for layer, (weight, bias) in zip(COARSE[:2], network.coarse[:2], strict=True):
        maps = {t: _activate(convolve(maps, layer, weight, t, patches), bias) for t in pairs(layer.edges + 1)}
    weight, bias = network.coarse[2]
    centre, highest = _coarse(maps, weight, patches)
    return network.conclude(
        torch.cat([fine, _activate(centre, bias), _activate(highest, bias)], 1).permute(0, 2, 3, 1)[0]
    )


def _coarse(maps: Maps, weight: torch.Tensor, patches) -> tuple[torch.Tensor, torch.Tensor]:
    """Last convolution: its middle cell, and its maximum over the 11 x 11 cells of each patch."""
    centre = highest = None
    start = RADIUS - COARSE_ORIGIN
    for rows, columns in pairs(4):
        cell = convolve(maps, COARSE[2], weight, (rows, columns), patches)
        if (rows, columns) == (MIDDLE, MIDDLE):
            centre = cell[:, :, start : start + patches[0], start : start + patches[1]]
        for axis, context, count in ((2, rows, patches[0]), (3, columns, patches[1])):
            if context == MIDDLE:  # cells 4, 5 and 6 of the patch
                cell = highest_of_three(cell, axis, 3, start - 3, count)
        highest = cell if highest is None else torch.maximum(highest, cell)
    assert centre is not None
    assert highest is not None
    return centre, highest


def _activate(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.elu_(x + bias[:, None, None])

"""The network at every pixel at once, equal to patch by patch: shared maps by edge context.

Zero padding changes a value only near the edge of its 33 x 33 patch. So the value of a layer at a cell depends on the
image around it and, on each axis, on its *context*: near the first cells of the patch (``("T", k)``, k cells from
it), near the last (``("B", k)``), or in the middle (``M``), where no edge is within reach. Rows and columns are
separable, so a layer is a table of maps by pair of contexts. A map in the middle is indexed by the place in the image
and shared by all patches; a map near an edge is indexed by the patch, since it belongs to one row or column of patches.

With n edge cells on each side of a layer's input, its output has n + 1. Cell k from the first lies at row
``p + offset + k dilation`` of the image, p counting patches from 0; cell k from the last at ``p + 32 - offset - k
dilation``. A tap u (-1, 0, +1) of the kernel at cell k reads cell k + u: padding if that is negative, an edge map if it
is below n, else the middle.

==========  ======  ========  ======  =====================
layer       n in    dilation  offset  first row of middle
==========  ======  ========  ======  =====================
conv 1      0       1         0       1
conv 2      1       1         0       2
conv 3      2       1         0       3
pool        3       --        --      4
conv 4      1       3         1       7
conv 5      2       3         1       10
conv 6      3       3         1       13
==========  ======  ========  ======  =====================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F

from .network import Folded
from .patches import RADIUS, SIZE

Context = tuple[str, int]
MIDDLE: Context = ("M", 0)
Maps = dict[tuple[Context, Context], torch.Tensor]

LAST = SIZE - 1


@dataclass(frozen=True)
class Layer:
    """Geometry of a convolution on one axis."""

    edges: int
    """Edge cells on either side of the input."""
    dilation: int
    offset: int
    origin: int
    """Row of the image of the first entry of the input's middle maps."""


FINE = (Layer(0, 1, 0, 0), Layer(1, 1, 0, 1), Layer(2, 1, 0, 2))
COARSE = (Layer(1, 3, 1, 4), Layer(2, 3, 1, 7), Layer(3, 3, 1, 10))
FINE_ORIGIN, COARSE_ORIGIN = 3, 13


@dataclass(frozen=True)
class Term:
    """Taps that one output context takes from one input context."""

    source: Context
    taps: slice
    """Of the kernel's three."""
    start: int
    """Entry of the source that the first tap of the first output reads."""


def contexts(edges: int) -> list[Context]:
    """Contexts of a map with so many edge cells on either side."""
    return [*(("T", k) for k in range(edges)), MIDDLE, *(("B", k) for k in range(edges))]


@lru_cache
def terms(layer: Layer, target: Context) -> tuple[Term, ...]:
    """What one output context reads, on one axis; neighbouring taps on the middle are one term."""
    side, k = target
    if side == "M":
        return (Term(MIDDLE, slice(0, 3), 0),)
    found, middle = [], []
    for tap in range(3):
        cell = k + (tap - 1 if side == "T" else 1 - tap)
        if cell < 0:
            continue  # padding
        if cell < layer.edges:
            found.append(Term((side, cell), slice(tap, tap + 1), 0))
        else:
            away = layer.offset + cell * layer.dilation
            middle.append((tap, (away if side == "T" else LAST - away) - layer.origin))
    if middle:
        found.append(Term(MIDDLE, slice(middle[0][0], middle[-1][0] + 1), middle[0][1]))
    return tuple(found)


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
        return _highest(at(MIDDLE), axis, 1, 0, at(MIDDLE).shape[axis] - 2)
    first, second, third = (at((target[0], k)) for k in range(3))
    return torch.maximum(torch.maximum(first, second), third)


def _highest(x: torch.Tensor, axis: int, step: int, start: int, count: int) -> torch.Tensor:
    """Maximum of three entries a step apart."""
    first, second, third = (x.narrow(axis, start + k * step, count) for k in range(3))
    return torch.maximum(torch.maximum(first, second), third)


@torch.inference_mode()
def predict(network: Folded, features: torch.Tensor) -> torch.Tensor:
    """Class probabilities of all pixels that have their context.

    Parameters
    ----------
    network : Folded
    features : Tensor (feature, y, x) of float32
        Finite.

    Returns
    -------
    Tensor (y - 32, x - 32, class)
    """
    x = features.to(network.device)[None].contiguous(memory_format=torch.channels_last)
    patches = x.shape[2] - LAST, x.shape[3] - LAST
    maps: Maps = {(MIDDLE, MIDDLE): x}
    for layer, (weight, bias) in zip(FINE[:2], network.fine[:2], strict=True):
        maps = {t: _activate(convolve(maps, layer, weight, t, patches), bias) for t in _pairs(layer.edges + 1)}
    weight, bias = network.fine[2]
    maps = {t: convolve(maps, FINE[2], weight, t, patches) for t in _pairs(3)}
    middle = RADIUS - FINE_ORIGIN
    fine = _activate(maps[MIDDLE, MIDDLE][:, :, middle : middle + patches[0], middle : middle + patches[1]], bias)
    maps = {t: _activate(m, bias) for t, m in pool(maps, patches).items()}
    for layer, (weight, bias) in zip(COARSE[:2], network.coarse[:2], strict=True):
        maps = {t: _activate(convolve(maps, layer, weight, t, patches), bias) for t in _pairs(layer.edges + 1)}
    weight, bias = network.coarse[2]
    centre, highest = _coarse(maps, weight, patches)
    return network.conclude(
        torch.cat([fine, _activate(centre, bias), _activate(highest, bias)], 1).permute(0, 2, 3, 1)[0]
    )


def _coarse(maps: Maps, weight: torch.Tensor, patches) -> tuple[torch.Tensor, torch.Tensor]:
    """Last convolution: its middle cell, and its maximum over the 11 x 11 cells of each patch."""
    centre = highest = None
    start = RADIUS - COARSE_ORIGIN
    for rows, columns in _pairs(4):
        cell = convolve(maps, COARSE[2], weight, (rows, columns), patches)
        if (rows, columns) == (MIDDLE, MIDDLE):
            centre = cell[:, :, start : start + patches[0], start : start + patches[1]]
        for axis, context, count in ((2, rows, patches[0]), (3, columns, patches[1])):
            if context == MIDDLE:  # cells 4, 5 and 6 of the patch
                cell = _highest(cell, axis, 3, start - 3, count)
        highest = cell if highest is None else torch.maximum(highest, cell)
    assert centre is not None
    assert highest is not None
    return centre, highest


def _pairs(edges: int) -> Iterator[tuple[Context, Context]]:
    return product(contexts(edges), contexts(edges))


def _activate(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.elu_(x + bias[:, None, None])

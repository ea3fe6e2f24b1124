"""The network at every pixel at once, on a GPU: contexts, one launch a layer (Triton).

The values are those of :mod:`facies_xr.nn.evaluate.contexts`; :mod:`facies_xr.nn.evaluate.geometry` says what a context
is. All maps of a layer lie in one buffer (pair of contexts, row, column, 64). A map of the middle is indexed by the
image, one of an edge by the patch, so a tap reads every map of its input at a fixed distance; what an output pair reads
is a short table of taps, and its sums stay in registers over all of them::

    out[pair, p, q]   =   sum over the taps (s, dy, dx, k) of the pair     in[s, p + dy, q + dx]   x   weight[k]
    64 pixels x 64        T2, M of conv 3: 3 of T1, 3 of M, 3 of M         64 pixels x 64              64 x 64

So each map is written once, and no sum goes by way of memory. The first convolution has few channels and the maxima no
products: both are torch's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Protocol

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from .contexts import Convolution, Maps, Weights, convolve, highest_of_three, pool
from .device import allows_tf32, settle
from .geometry import (
    COARSE,
    COARSE_ORIGIN,
    FINE,
    FINE_ORIGIN,
    LAST,
    MIDDLE,
    RADIUS,
    WIDTH,
    Context,
    Layer,
    pairs,
    terms,
)

EXACT: dict[str, Any] = {"PRODUCTS": "ieee", "PIXELS": 64, "num_warps": 4, "num_stages": 2}
TF32: dict[str, Any] = {"PRODUCTS": "tf32", "PIXELS": 256, "num_warps": 8, "num_stages": 3}
"""Products, and the size of the blocks that was fastest for them on an H200."""


class Stacked(Weights, Protocol):
    """The network with its matrices in the order of the kernel."""

    stacked: list[Convolution]
    """Of the second to the last convolution: weight (tap, in, out) and bias."""


def in_order(layers: list[Convolution]) -> list[Convolution]:
    """Weights (tap, in, out) of convolutions (out, in, 3, 3)."""
    return [(w.permute(2, 3, 1, 0).reshape(9, WIDTH, WIDTH).contiguous(), bias) for w, bias in layers]


@triton.jit
def _layer(
    source, target, weight, bias, taps, spans, source_height, source_width, height, width,
    CHANNELS: tl.constexpr, PIXELS: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    pair = tl.program_id(1)
    first, count = tl.load(spans + 4 * pair), tl.load(spans + 4 * pair + 1)
    rows, columns = tl.load(spans + 4 * pair + 2), tl.load(spans + 4 * pair + 3)
    start = tl.program_id(0) * PIXELS
    if start < rows * columns:
        pixel = start + tl.arange(0, PIXELS)
        inside = pixel < rows * columns
        y, x, c = pixel // columns, pixel % columns, tl.arange(0, CHANNELS)
        total = tl.zeros((PIXELS, CHANNELS), tl.float32)
        for i in range(first, first + count):
            map_, dy, dx = tl.load(taps + 4 * i).to(tl.int64), tl.load(taps + 4 * i + 1), tl.load(taps + 4 * i + 2)
            at = (map_ * source_height + y + dy) * source_width + x + dx
            values = tl.load(source + at[:, None] * CHANNELS + c[None, :], mask=inside[:, None], other=0.0)
            matrix = weight + tl.load(taps + 4 * i + 3) * CHANNELS * CHANNELS
            factors = tl.load(matrix + c[:, None] * CHANNELS + c[None, :])
            total = tl.dot(values, factors, total, input_precision=PRODUCTS)
        total += tl.load(bias + c)[None, :]
        total = tl.where(total > 0, total, tl.exp(total) - 1)
        to = (pair.to(tl.int64) * height + y) * width + x
        tl.store(target + to[:, None] * CHANNELS + c[None, :], total, mask=inside[:, None])


@dataclass(frozen=True, eq=False)
class Table:
    """What a layer reads, for rasters of one size."""

    sizes: dict[tuple[Context, Context], tuple[int, int]]
    """Rows and columns of each pair's output map."""
    taps: torch.Tensor
    """Map of the input, distance in rows and columns, and number of the tap. (tap, 4)"""
    spans: torch.Tensor
    """Of each pair: its first tap, number of taps, rows and columns. (pair, 4)"""


@lru_cache(maxsize=64)
def table(layer: Layer, patches: tuple[int, int], source: tuple[int, int], device: torch.device) -> Table:
    """Table of a layer.

    Parameters
    ----------
    layer : Layer
    patches : (int, int)
        Number of patches along rows and columns.
    source : (int, int)
        Rows and columns of the input's map of the middle.
    device : torch.device
    """
    position = {pair: k for k, pair in enumerate(pairs(layer.edges))}
    targets = list(pairs(layer.edges + 1))
    taps: list[tuple[int, ...]] = []
    spans: list[tuple[int, ...]] = []
    for target in targets:
        first = len(taps)
        for row, column in product(terms(layer, target[0]), terms(layer, target[1])):
            for u, v in product(range(row.taps.start, row.taps.stop), range(column.taps.start, column.taps.stop)):
                dy = row.start + (u - row.taps.start) * layer.dilation
                dx = column.start + (v - column.taps.start) * layer.dilation
                taps.append((position[row.source, column.source], dy, dx, 3 * u + v))
        size = [n - 2 * layer.dilation if t == MIDDLE else p for t, n, p in zip(target, source, patches, strict=True)]
        spans.append((first, len(taps) - first, *size))
    on_device = [torch.tensor(rows, dtype=torch.int32, device=device) for rows in (taps, spans)]
    settle(device)
    return Table(
        {target: (rows, columns) for target, (_, _, rows, columns) in zip(targets, spans, strict=True)}, *on_device
    )


@dataclass(frozen=True, eq=False)
class Stack:
    """All maps of a layer in one buffer."""

    buffer: torch.Tensor
    """(pair, row, column, 64)"""
    sizes: dict[tuple[Context, Context], tuple[int, int]]
    """Rows and columns that each pair's map fills, in the order of the buffer."""

    @classmethod
    def of(cls, maps: Maps, edges: int) -> "Stack":
        """Maps (1, 64, row, column), copied into a buffer."""
        sizes = {pair: (maps[pair].shape[2], maps[pair].shape[3]) for pair in pairs(edges)}
        stack = cls(_empty(sizes.values(), maps[MIDDLE, MIDDLE].device), sizes)
        for pair, view in stack.maps.items():
            view.copy_(maps[pair])
        return stack

    @property
    def maps(self) -> Maps:
        """Views (1, 64, row, column) of the buffer."""
        return {
            pair: self.buffer[k, :rows, :columns].permute(2, 0, 1)[None]
            for k, (pair, (rows, columns)) in enumerate(self.sizes.items())
        }


def _empty(sizes: Iterable[tuple[int, int]], device: torch.device) -> torch.Tensor:
    rows, columns = zip(*sizes, strict=True)
    return torch.empty((len(rows), max(rows), max(columns), WIDTH), device=device)


def convolve_all(inputs: Stack, layer: Layer, weights: Convolution, patches: tuple[int, int]) -> Stack:
    """All output maps of a convolution, with bias and ELU, by one launch."""
    source = inputs.buffer
    reads = table(layer, patches, inputs.sizes[MIDDLE, MIDDLE], source.device)
    target = _empty(reads.sizes.values(), source.device)
    height, width = target.shape[1:3]
    options = TF32 if allows_tf32() else EXACT
    grid = triton.cdiv(height * width, options["PIXELS"]), len(target)
    _layer[grid](
        source, target, *weights, reads.taps, reads.spans, *source.shape[1:3], height, width, CHANNELS=WIDTH, **options
    )  # fmt: skip
    return Stack(target, reads.sizes)


@torch.inference_mode()
def predict(network: Stacked, features: torch.Tensor) -> torch.Tensor:
    """Class probabilities of all pixels that have their context.

    Parameters
    ----------
    network : Stacked
        On a CUDA card, or on the CPU where Triton interprets (TRITON_INTERPRET=1).
    features : Tensor (feature, y, x) of float32
        Finite.

    Returns
    -------
    Tensor (y - 32, x - 32, class)
    """
    x = features[None].contiguous(memory_format=torch.channels_last)
    patches = x.shape[2] - LAST, x.shape[3] - LAST
    weight, bias = network.fine[0]
    maps: Maps = {(MIDDLE, MIDDLE): x}
    maps = {t: F.elu_(convolve(maps, FINE[0], weight, t, patches) + bias[:, None, None]) for t in pairs(1)}
    two, three, four, five, six = network.stacked
    stack = Stack.of(maps, 1)
    for layer, weights in zip(FINE[1:], (two, three), strict=True):
        stack = convolve_all(stack, layer, weights, patches)
    maps = stack.maps
    start = RADIUS - FINE_ORIGIN
    fine = maps[MIDDLE, MIDDLE][:, :, start : start + patches[0], start : start + patches[1]]
    stack = Stack.of(pool(maps, patches), 1)  # the ELU increases, so it may come before the maximum
    for layer, weights in zip(COARSE, (four, five, six), strict=True):
        stack = convolve_all(stack, layer, weights, patches)
    maps = stack.maps
    start = RADIUS - COARSE_ORIGIN
    centre = maps[MIDDLE, MIDDLE][:, :, start : start + patches[0], start : start + patches[1]]
    return network.conclude(torch.cat([fine, centre, _highest_cell(maps, patches)], 1).permute(0, 2, 3, 1)[0])


def _highest_cell(maps: Maps, patches: tuple[int, int]) -> torch.Tensor:
    """Maximum over the 11 x 11 cells of each patch."""
    highest = None
    for pair in pairs(COARSE[2].edges + 1):
        cell = maps[pair]
        for axis, context, count in zip((2, 3), pair, patches, strict=True):
            if context == MIDDLE:  # cells 4, 5 and 6 of the patch
                cell = highest_of_three(cell, axis, 3, RADIUS - COARSE_ORIGIN - 3, count)
        highest = cell if highest is None else torch.maximum(highest, cell)
    assert highest is not None
    return highest

"""The published network's weights as the compiled kernel takes them: matrices of all pairs of slots, in one piece."""

import math
from typing import NamedTuple

import numpy as np

from .contexts import Weights
from .geometry import COARSE, FINE, WIDTH
from .slots import matrices, slots
from .vectors import BLOCK


class Layer(NamedTuple):
    """A convolution after the first, ready for the kernel."""

    n: int
    """Edge maps on a side of the input."""
    d: int
    """Dilation."""
    off: int
    """Row of cell 0 in a patch."""
    middle: np.ndarray
    """(3, column slot, in, out)"""
    edges: np.ndarray
    """Top and bottom. (2, row slot, column slot, in, out)"""
    maps: np.ndarray
    """Weights of the edge maps in each slot. (slot, n)"""
    bias: np.ndarray


def prepare(network: Weights) -> tuple:
    """Weights of the network as the kernel takes them."""
    (first, bias), *rest = [(w.cpu().numpy(), b.cpu().numpy()) for w, b in (*network.fine, *network.coarse)]
    # The first convolution as a product with rows of its nine taps, those on padding left out.
    kept = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]], "float32")
    taps = first.transpose(2, 3, 1, 0)
    table = np.stack([np.stack([taps * r[:, None, None, None] * c[:, None, None] for c in kept]) for r in kept])
    one = np.ascontiguousarray(table.reshape(3, 3, -1, WIDTH), "float32")
    layers = tuple(
        _layer(shape, weight, offset) for shape, (weight, offset) in zip((*FINE[1:], *COARSE), rest, strict=True)
    )
    together = one_piece([matrix.shape for layer in layers for matrix in (layer.middle, layer.edges)])
    moved = []
    for layer, middle, edges in zip(layers, together[::2], together[1::2], strict=True):
        middle[:], edges[:] = layer.middle, layer.edges
        moved.append(layer._replace(middle=middle, edges=edges))
    return one, _tiled(bias), tuple(moved)


def _layer(shape, weight: np.ndarray, bias: np.ndarray) -> Layer:
    middle, top, bottom = matrices(weight, shape.edges)
    s = slots(shape.edges)
    return Layer(
        n=shape.edges,
        d=shape.dilation,
        off=shape.offset,
        middle=middle,
        edges=np.stack([top, bottom]),
        maps=s.maps.astype("float32"),
        bias=_tiled(bias),
    )


def _tiled(bias: np.ndarray) -> np.ndarray:
    """Bias of as many pixels as are activated at a time."""
    return np.tile(bias, BLOCK).astype("float32")


def one_piece(shapes: list[tuple[int, ...]]) -> tuple[np.ndarray, ...]:
    """Arrays of zeros, cut from one piece: NumPy has large pieces laid on large pages."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = np.split(np.zeros(sum(sizes), "float32"), np.cumsum(sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))

"""The network at every pixel at once, on a CPU: compiled, row by row.

The values are those of :mod:`facies_xr.nn.contexts`, whose module says what a context is; the products near the edges
are those of :mod:`facies_xr.nn.slots`. One pass over the rows of patches keeps, of each layer, the products of the last
rows of the middle (``rings``), which the patches above and below share:

1. *Middle.* Each layer's middle rows are brought up to what the patch row needs: three row taps' products, added with
   a dilation between them; bias, ELU, and the products for the next layer.
2. *Edges.* The top cells of the patch row go through all layers, then the bottom cells: the edge maps are combined to
   slots, multiplied, interpolated back to cells, and the middle's products are added to the two innermost cells.
3. The largest value over all cells, and the two in the middle, are the patch's features.

A row of a map is a *line*: (pixel, 64), its columns one context after the other: n of the left edge, w pixels each (a
pixel is a patch), the middle, W pixels (a pixel is a column of the image), n of the right edge. A line of products has
slots in their place, and three taps of the middle.
"""

from typing import NamedTuple

import numba
import numpy as np

from .contexts import COARSE, FINE, LAST
from .network import WIDTH, Folded
from .patches import RADIUS
from .slots import matrices, slots


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
    cells: np.ndarray
    """Weights of the slots in each cell. (n + 1, slot)"""
    bias: np.ndarray


def prepare(network: Folded) -> tuple:
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
    return one, bias.astype("float32"), layers


def _layer(shape, weight: np.ndarray, bias: np.ndarray) -> Layer:
    middle, top, bottom = matrices(weight, shape.edges)
    s = slots(shape.edges)
    return Layer(
        shape.edges, shape.dilation, shape.offset, middle, np.stack([top, bottom]), s.maps.astype("float32"),
        s.cells.astype("float32"), bias.astype("float32"),
    )  # fmt: skip


def features(prepared: tuple, image: np.ndarray) -> np.ndarray:
    """What the network knows of each patch before its dense layers.

    Parameters
    ----------
    prepared : tuple
        Of :func:`prepare`.
    image : ndarray (feature, y, x) of float32
        Finite.

    Returns
    -------
    ndarray (y - 32, x - 32, 192) of float32
        The middle of the fine stage, the middle and the maximum of the coarse stage.
    """
    framed = np.pad(image.transpose(1, 2, 0), ((1, 1), (1, 1), (0, 0)))  # read by values that nobody reads
    return _sweep(np.ascontiguousarray(framed, "float32"), *prepared)


# -- one pass over the rows of patches --------------------------------------------------------------------------


@numba.njit(nogil=True, cache=True)
def _sweep(image, one, one_bias, layers):
    height, width = image.shape[0] - 2, image.shape[1] - 2
    h, w = height - LAST, width - LAST
    two, three, four, five, six = layers
    out = np.empty((h, w, 3 * WIDTH), np.float32)
    gathered = np.empty((width, one.shape[2]), np.float32)
    scratch = np.empty((8, width, WIDTH), np.float32)
    # Of each layer: products of the middle rows that a patch spans, by row modulo the length.
    ring2, ring3, ring4, ring5, ring6 = (
        _ring(two, w, width), _ring(three, w, width), _ring(four, w, width), _ring(five, w, width),
        _ring(six, w, width),
    )  # fmt: skip
    pooled = np.empty((3, 2 * w + width, WIDTH), np.float32)
    highest = np.empty((7, w, WIDTH), np.float32)
    centres = np.empty((16, w, WIDTH), np.float32)
    coarse_centres = np.empty((4, w, WIDTH), np.float32)
    y1, y2, y3, yp, y4, y5, y6 = 1, 2, 3, 4, 7, 10, 13
    for p in range(h):
        while y1 <= p + LAST - 1:
            line = _first(image, y1, 1, one, one_bias, gathered, w)
            _take_middle(line, two, ring2[y1 % ring2.shape[0]], scratch, w)
            y1 += 1
        while y2 <= p + LAST - 2:
            line = _activated(_middle_row(ring2, y2, two, w, scratch), two.bias)
            _take_middle(line, three, ring3[y2 % ring3.shape[0]], scratch, w)
            y2 += 1
        while y3 <= p + LAST - 3:
            line = _middle_row(ring3, y3, three, w, scratch)
            start = 3 * w + RADIUS
            _activate(centres[y3 % 16], line[start : start + w], three.bias)
            _pool_columns(line, pooled[y3 % 3], w)
            y3 += 1
            if y3 <= 5:
                continue
            line = _max_of_three(pooled[0], pooled[1], pooled[2])
            _take_middle(_activated(line, three.bias), four, ring4[yp % ring4.shape[0]], scratch, w)
            yp += 1
        while y4 <= p + LAST - 7:
            line = _activated(_middle_row(ring4, y4, four, w, scratch), four.bias)
            _take_middle(line, five, ring5[y4 % ring5.shape[0]], scratch, w)
            y4 += 1
        while y5 <= p + LAST - 10:
            line = _activated(_middle_row(ring5, y5, five, w, scratch), five.bias)
            _take_middle(line, six, ring6[y5 % ring6.shape[0]], scratch, w)
            y5 += 1
        while y6 <= p + LAST - 13:
            line = _middle_row(ring6, y6, six, w, scratch)
            start = 4 * w + RADIUS
            coarse_centres[y6 % 4] = line[start : start + w]
            _max_columns(line, highest[y6 % 7], w)
            y6 += 1
        best = np.maximum(np.maximum(highest[(p + 13) % 7], highest[(p + 16) % 7]), highest[(p + 19) % 7])
        for side in range(2):
            lines = _first(image, p + side * LAST, 2 * side, one, one_bias, gathered, w)
            lines = lines.reshape((1, lines.shape[0], WIDTH))
            lines = _edge_rows(lines, side, p, two, ring2, scratch, w)
            for k in range(2):
                lines[k] = _activated(lines[k], two.bias)
            lines = _edge_rows(lines, side, p, three, ring3, scratch, w)
            for k in range(3):
                _pool_columns(lines[k], pooled_scratch(scratch, k, w, width), w)
            cell = _max_of_three(
                pooled_scratch(scratch, 0, w, width), pooled_scratch(scratch, 1, w, width),
                pooled_scratch(scratch, 2, w, width),
            )  # fmt: skip
        out[p, :, :WIDTH] = centres[(p + RADIUS) % 16]
    return out

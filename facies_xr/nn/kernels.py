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
slots in their place, and three taps of the middle. Rows of patches that are taken together lie side by side in each
context, and each slot.
"""

import math
from typing import NamedTuple

import numpy as np

from .contexts import COARSE, FINE, LAST
from .network import WIDTH, Folded
from .patches import RADIUS
from .registers import interpolate, multiply
from .slots import matrices, slots
from .vectors import (
    BLOCK,
    activate,
    compiled,
    largest_of_three,
    mix2,
    mix3,
    raise_to,
    sum_of_three,
)

TOGETHER = 256
"""Pixels that go through the edges together, in whole rows of patches, so that each matrix is read once for them."""


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
    together = _space([matrix.shape for layer in layers for matrix in (layer.middle, layer.edges)])
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
    (one, bias, layers), w, width = prepared, image.shape[2] - LAST, image.shape[2]
    together = max(1, min(TOGETHER // max(w, 1), image.shape[1] - LAST))
    line = {n: 2 * n * w + width for n in range(1, 5)}
    products = [2 * len(layer.maps) * w + 3 * width for layer in layers]
    spans = [2 * (RADIUS - layer.off - layer.d * layer.n) + together for layer in layers]
    slots, cells = len(layers[-1].maps), layers[-1].n + 1
    rings = _space([(rows, 3, count, WIDTH) for rows, count in zip(spans, products, strict=True)])
    into = _space([(layer.n, together * line[layer.n], WIDTH) for layer in layers])
    after = _space([(count, together * line[edges], WIDTH) for count, edges in ((3, 3), (3, 1), (3, 1), (4, 4))])
    rows = _space([(13 + together, w, WIDTH), (3 + together, w, WIDTH), (6 + together, w, WIDTH)])
    space = _space(
        [
            (cells, together * products[-1], WIDTH),
            (slots, together * max((cells - 1) * w, width), WIDTH),
            (slots * together * width, WIDTH),
            (together * width, WIDTH),
            (together * w, WIDTH),
        ]
    )
    work = Work(np.empty((width, 9 * image.shape[0]), "float32"), *space)
    return _sweep(np.ascontiguousarray(framed, "float32"), one, bias, layers, rings, into, after, rows, together, work)


def _space(shapes: list[tuple[int, ...]]) -> tuple[np.ndarray, ...]:
    """Arrays of zeros, cut from one piece: NumPy has large pieces laid on large pages."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = np.split(np.zeros(sum(sizes), "float32"), np.cumsum(sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


# -- one pass over the rows of patches --------------------------------------------------------------------------


@compiled
def _sweep(image, one, one_bias, layers, rings, into, after, rows, together, work):
    height, width = image.shape[0] - 2, image.shape[1] - 2
    h, w = height - LAST, width - LAST
    two, three, four, five, six = layers
    out = np.empty((h, w, 3 * WIDTH), np.float32)
    # Lines into each convolution, and the products of the middle rows that patches span, by row modulo their number.
    to2, to3, to4, to5, to6 = into
    ring2, ring3, ring4, ring5, ring6 = rings
    unpooled, pooled, rows3, cells = after
    fine, coarse, highest = rows
    best = work.best
    y2, y3, y4, y5, y6, y7 = 1, 2, 3, 7, 10, 13  # the next middle row to leave each convolution
    for p in range(0, h, together):
        count = min(together, h - p)
        end = p + count - 1 + LAST  # the last row of the last patch
        while y2 < end:
            _first(image, y2, 1, 1, one, one_bias, work, to2[0], w)
            _multiply_middle(to2[0], two, ring2[y2 % len(ring2)], work, w)
            y2 += 1
        while y3 < end - 1:
            _pass_on(ring2, y3, two, to3[0], three, ring3, work, w)
            y3 += 1
        while y4 < end - 2:
            _middle(ring3, y4, three, work, unpooled[0], w)
            fine[y4 % len(fine)] = unpooled[0, 3 * w + RADIUS : 4 * w + RADIUS]
            _pool_columns(unpooled[0], rows3[y4 % 3], 1, w)
            y4 += 1
            if y4 > 5:  # the pooled row in the middle of the last three
                _pool_rows(rows3, to4[0], 1, w)
                activate(_line(to4[0], 1, 1, w), three.bias)
                _multiply_middle(to4[0], four, ring4[(y4 - 2) % len(ring4)], work, w)
        while y5 < end - 6:
            _pass_on(ring4, y5, four, to5[0], five, ring5, work, w)
            y5 += 1
        while y6 < end - 9:
            _pass_on(ring5, y6, five, to6[0], six, ring6, work, w)
            y6 += 1
        while y7 < end - 12:
            _middle(ring6, y7, six, work, cells[0], w)
            coarse[y7 % len(coarse)] = cells[0, 4 * w + RADIUS : 5 * w + RADIUS]
            _pool_cells(cells[0], highest[y7 % len(highest)], 1, w)
            y7 += 1
        for b in range(count):
            largest_of_three(
                best[b * w : (b + 1) * w], highest[(p + b + 13) % len(highest)], highest[(p + b + 16) % len(highest)],
                highest[(p + b + 19) % len(highest)],
            )  # fmt: skip
        for side in range(2):
            _first(image, p + side * LAST, 2 * side, count, one, one_bias, work, to2[0], w)
            _edge(to2, side, p, count, two, ring2, work, to3, w)
            for k in range(2):
                activate(_line(to3[k], 2, count, w), two.bias)
            _edge(to3, side, p, count, three, ring3, work, unpooled, w)
            for k in range(3):
                _pool_columns(unpooled[k], pooled[k], count, w)
            _pool_rows(pooled, to4[0], count, w)
            activate(_line(to4[0], 1, count, w), three.bias)
            _edge(to4, side, p, count, four, ring4, work, to5, w)
            for k in range(2):
                activate(_line(to5[k], 2, count, w), four.bias)
            _edge(to5, side, p, count, five, ring5, work, to6, w)
            for k in range(3):
                activate(_line(to6[k], 3, count, w), five.bias)
            _edge(to6, side, p, count, six, ring6, work, cells, w)
            for k in range(4):
                _pool_cells(cells[k], work.cell[: count * w], count, w)
                raise_to(best[: count * w], work.cell[: count * w])
        activate(best[: count * w], six.bias)
        for b in range(count):
            middle = work.cell[:w]
            middle[:] = fine[(p + b + RADIUS) % len(fine)]
            activate(middle, three.bias)
            out[p + b, :, :WIDTH] = middle
            middle[:] = coarse[(p + b + RADIUS) % len(coarse)]
            activate(middle, six.bias)
            out[p + b, :, WIDTH : 2 * WIDTH] = middle
            out[p + b, :, 2 * WIDTH :] = best[b * w : (b + 1) * w]
    return out


class Work(NamedTuple):
    """Space to work in."""

    taps: np.ndarray
    """Nine pixels around each of an image's row. (x, 9 feature)"""
    products: np.ndarray
    """(cell, pixel, 64)"""
    slots: np.ndarray
    """Edge maps combined by rows. (slot, pixel, 64)"""
    multiplied: np.ndarray
    """Products of one column slot, of all row slots. (pixel, 64)"""
    cell: np.ndarray
    """(pixel, 64)"""
    best: np.ndarray
    """Largest value over all cells. (pixel, 64)"""


@compiled
def _line(line, edges, rows, w):
    """The part of a line that is in use."""
    return line[: rows * (2 * edges * w + w + LAST)]


# -- convolutions -----------------------------------------------------------------------------------------------


@compiled
def _first(image, y, context, rows, one, bias, work, line, w):
    """Activated line of the first convolution in one row context, from row y of the image on."""
    width, channels = w + LAST, image.shape[2]
    for b in range(rows):
        for x in range(width):
            for u in range(3):
                for v in range(3):
                    start = (3 * u + v) * channels
                    for c in range(channels):
                        work.taps[x, start + c] = image[y + b + u, x + v, c]
        middle, right = rows * w + b * width, rows * (w + width) + b * w
        multiply(work.taps[:w], one[context, 0], line[b * w : (b + 1) * w])
        multiply(work.taps, one[context, 1], line[middle : middle + width])
        multiply(work.taps[LAST:], one[context, 2], line[right : right + w])
    activate(_line(line, 1, rows, w), bias)


@compiled
def _multiply_middle(line, layer, out, work, w):
    """Products of a middle row, for the three taps of the rows. (tap, pixel, 64)"""
    n, slots, width = layer.n, len(layer.maps), w + LAST
    for part in range(3):
        start, count, m, columns, first, to = _part(part, n, slots, w, width)
        for j in range(columns):
            source = line[start : start + count]
            if part != 1:
                source = _combined(source, layer.maps[j], w, work.cell)
            for u in range(3):
                multiply(source, layer.middle[u, first + j], out[u, to + j * m : to + (j + 1) * m])


@compiled
def _part(part, n, slots, w, width):
    """What the left edge, the middle and the right edge are of a line.

    Start and count of its pixels, pixels in a product, number of products, the first of them, its start among them.
    """
    if part == 0:
        return 0, n * w, w, slots, 0, 0
    if part == 1:
        return n * w, width, width, 3, slots, slots * w
    return n * w + width, n * w, w, slots, slots + 3, slots * w + 3 * width


@compiled
def _pass_on(ring, y, layer, line, following, into, work, w):
    """A middle row out of one convolution, activated, and its products into the next."""
    _middle(ring, y, layer, work, line, w)
    activate(_line(line, following.n, 1, w), layer.bias)
    _multiply_middle(line, following, into[y % len(into)], work, w)


@compiled
def _middle(ring, y, layer, work, line, w):
    """Line of a middle row, without bias."""
    before, own, after = ring[(y - layer.d) % len(ring), 0], ring[y % len(ring), 1], ring[(y + layer.d) % len(ring), 2]
    products = work.products[0, : own.shape[0]]
    sum_of_three(products, before, own, after)
    _columns(products, layer, line, 1, w)


@compiled
def _edge(lines, side, p, rows, layer, ring, work, out, w):
    """Lines of all cells at the top (side 0) or bottom of rows of patches, without bias, from the edge maps' lines."""
    n, slots, width = layer.n, len(layer.maps), w + LAST
    towards, tap = 1 - 2 * side, 2 - 2 * side
    inner = p + side * LAST + towards * (layer.off + layer.d * n)
    for part in range(3):
        start, count, m, columns, first, to = _part(part, n, slots, w, width)
        start, count = rows * start, rows * count
        for i in range(slots):
            _combine_rows(lines, start, count, layer.maps[i], work.slots[i])
        for j in range(columns):
            at = rows * (to + j * m)
            for i in range(slots):
                source = work.slots[i, :count]
                if part != 1:
                    source = _combined(source, layer.maps[j], rows * w, work.cell)
                multiply(source, layer.edges[side, i, first + j], work.multiplied[i * rows * m : (i + 1) * rows * m])
            span = slice(to + j * m, to + (j + 1) * m)
            for b in range(rows):
                near, far = ring[(inner + b) % len(ring)], ring[(inner + b + towards * layer.d) % len(ring)]
                interpolate(
                    n, work.products, at + b * m, m, work.multiplied, b * m, rows * m,
                    near[tap, span], near[1, span], far[tap, span],
                )  # fmt: skip
    total = rows * (2 * slots * w + 3 * width)
    for k in range(n + 1):
        _columns(work.products[k, :total], layer, out[k], rows, w)


@compiled
def _columns(products, layer, line, rows, w):
    """Line of contexts from a line of products."""
    n, d, slots, width = layer.n, layer.d, len(layer.maps), w + LAST
    left, right = products[: rows * slots * w], products[rows * (slots * w + 3 * width) :]
    middle, end = products[rows * slots * w : rows * (slots * w + 3 * width)], rows * width
    minus, plain, plus = middle[:end], middle[end : 2 * end], middle[2 * end :]
    edge = (n + 1) * rows * w
    to_left = line[:edge].reshape((n + 1, rows * w, WIDTH))
    to_right = line[edge + end : 2 * edge + end].reshape((n + 1, rows * w, WIDTH))
    for b in range(rows):
        a = b * width + layer.off + d * n
        c = b * width + LAST - layer.off - d * n
        interpolate(
            n, to_left, b * w, w, left, b * w, rows * w, plus[a : a + w], plain[a : a + w],
            plus[a + d : a + d + w],
        )  # fmt: skip
        interpolate(
            n, to_right, b * w, w, right, b * w, rows * w, minus[c : c + w], plain[c : c + w],
            minus[c - d : c - d + w],
        )  # fmt: skip
    start = rows * (n + 1) * w
    inside = line[start + d : start + end - d]
    sum_of_three(inside, minus[: end - 2 * d], plain[d : end - d], plus[2 * d :])


@compiled
def _combined(source, weights, m, buffer):
    """Weighted sum of the edge maps of a line, m pixels each; the map itself, where it is but one."""
    if np.abs(weights).sum() == 1:
        k = np.argmax(weights)
        return source[k * m : (k + 1) * m]
    out, first, second = buffer[:m], source[:m].reshape(-1), source[m : 2 * m].reshape(-1)
    if weights.size == 2:
        mix2(out.reshape(-1), first, second, weights[0], weights[1])
    else:
        mix3(out.reshape(-1), first, second, source[2 * m : 3 * m].reshape(-1), weights[0], weights[1], weights[2])
    return out


@compiled
def _combine_rows(lines, start, count, weights, out):
    """Weighted sum of a part of some lines."""
    if np.abs(weights).sum() == 1:
        out[:count] = lines[np.argmax(weights), start : start + count]
    elif weights.size == 2:
        first, second = lines[0, start : start + count], lines[1, start : start + count]
        mix2(out[:count].reshape(-1), first.reshape(-1), second.reshape(-1), weights[0], weights[1])
    else:
        first, second, third = (
            lines[0, start : start + count], lines[1, start : start + count], lines[2, start : start + count]
        )  # fmt: skip
        mix3(out[:count].reshape(-1), first.reshape(-1), second.reshape(-1), third.reshape(-1), weights[0],
              weights[1], weights[2])  # fmt: skip


# -- maxima -----------------------------------------------------------------------------------------------------


@compiled
def _pool_columns(line, out, rows, w):
    """The largest of three columns: of the cells 0 to 2 of either edge, and around each column of the middle."""
    edge, width = rows * w, rows * (w + LAST)
    largest_of_three(out[:edge], line[:edge], line[edge : 2 * edge], line[2 * edge : 3 * edge])
    middle = line[3 * edge : 3 * edge + width]
    largest_of_three(out[edge + 1 : edge + width - 1], middle[:-2], middle[1:-1], middle[2:])
    right = line[3 * edge + width : 6 * edge + width]
    largest_of_three(out[edge + width : 2 * edge + width], right[:edge], right[edge : 2 * edge], right[2 * edge :])


@compiled
def _pool_rows(lines, out, rows, w):
    first, second, third = _line(lines[0], 1, rows, w), _line(lines[1], 1, rows, w), _line(lines[2], 1, rows, w)
    largest_of_three(_line(out, 1, rows, w), first, second, third)


@compiled
def _pool_cells(line, out, rows, w):
    """The largest of all eleven cells of each patch: four of either edge, three of the middle."""
    edge, width = rows * w, w + LAST
    largest_of_three(out, line[:edge], line[edge : 2 * edge], line[2 * edge : 3 * edge])
    raise_to(out, line[3 * edge : 4 * edge])
    for b in range(rows):
        for k in range(3):
            start = 4 * edge + b * width + RADIUS - 3 + 3 * k
            raise_to(out[b * w : (b + 1) * w], line[start : start + w])
    for k in range(4):
        start = (4 + k) * edge + rows * width
        raise_to(out, line[start : start + edge])

"""Convolutions of the compiled kernel, line by line.

A row of a map is a *line*: (pixel, 64), its columns one context after the other. In the edge contexts a pixel is a
patch (w of them), in the middle it is a column of the image (W = w + 32). For n = 2::

    line          | T0   w px | T1   w px |   M   W px              | B0   w px | B1   w px |
    its products  | slot 0 .. slot 3, w px each | K- | K0 | K+   W px each | slot 0 .. slot 3, w px each |

A line of products has slots in the contexts' stead, and three taps of the middle. Rows of patches that are taken
together lie side by side in each context, and each slot. A product of a line with the matrices of an edge of *rows* has
a slot there too, so that the corner of a patch is multiplied by a pair of slots.
"""

import numpy as np

from .compiling import compiled
from .geometry import LAST, WIDTH
from .registers import interpolate, multiply
from .vectors import activate, mix2, mix3, sum_of_three


@compiled
def in_use(line, edges, rows, w):
    """The part of a line that is in use."""
    return line[: rows * (2 * edges * w + w + LAST)]


# -- convolutions -----------------------------------------------------------------------------------------------


@compiled
def first_convolution(image, y, context, rows, one, bias, work, line, w):
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
    activate(in_use(line, 1, rows, w), bias)


@compiled
def multiply_middle(line, layer, out, work, w):
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
def pass_on(ring, y, layer, line, following, into, work, w):
    """A middle row out of one convolution, activated, and its products into the next."""
    middle_row(ring, y, layer, work, line, w)
    activate(in_use(line, following.n, 1, w), layer.bias)
    multiply_middle(line, following, into[y % len(into)], work, w)


@compiled
def middle_row(ring, y, layer, work, line, w):
    """Line of a middle row, without bias."""
    before, own, after = ring[(y - layer.d) % len(ring), 0], ring[y % len(ring), 1], ring[(y + layer.d) % len(ring), 2]
    products = work.products[0, : own.shape[0]]
    sum_of_three(products, before, own, after)
    _columns(products, layer, line, 1, w)


@compiled
def edge_rows(lines, side, p, rows, layer, ring, work, out, w):
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

"""The network at every pixel at once, on a CPU: compiled, row by row.

The values are those of :mod:`facies_xr.nn.evaluate.contexts`; the products near the edges are those of
:mod:`facies_xr.nn.evaluate.slots`. One pass over the rows of patches keeps, of each layer, the products of the last
rows of the middle (``rings``), which the patches above and below share::

    row of the image                                              for each row of patches p
    p        T0 T1 T2 ..   2. top cells, through all layers       ---.
    p + 1    M                                                       |  their edge maps are made for p alone;
    ...      M             1. middle: rows up to what p needs     ---+  what they read of the middle is in the rings
    p + 31   M                                                       |
    p + 32   B0 B1 B2 ..   2. bottom cells, likewise              ---'
             |
             3. the largest over all cells, and the two in the middle, are what the patch gives to the dense layers

1. *Middle.* Each layer's middle rows are brought up to what the patch row needs: three row taps' products, added with
   a dilation between them; bias, ELU, and the products for the next layer.
2. *Edges.* The top cells of the patch row go through all layers, then the bottom cells: the edge maps are combined to
   slots, multiplied, interpolated back to cells, and the middle's products are added to the two innermost cells.
"""

from typing import NamedTuple

import numpy as np

from .compiling import compiled, kept, source_of
from .geometry import LAST, RADIUS, WIDTH
from .lines import edge_rows, first_convolution, in_use, middle_row, multiply_middle, pass_on
from .maxima import pool_cells, pool_columns, pool_rows
from .vectors import activate, largest_of_three, raise_to
from .weights import one_piece

TOGETHER = 256
"""Pixels that go through the edges together, in whole rows of patches, so that each matrix is read once for them."""


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


class Kept(NamedTuple):
    """Rows of the middle that several rows of patches read, at their number modulo how many are kept."""

    ring2: np.ndarray
    """Products into the second convolution. (row, tap, pixel, 64)"""
    ring3: np.ndarray
    ring4: np.ndarray
    ring5: np.ndarray
    ring6: np.ndarray
    fine: np.ndarray
    """Middles of the fine stage. (row, pixel, 64)"""
    coarse: np.ndarray
    highest: np.ndarray
    """Largest values over the columns of cells. (row, pixel, 64)"""


class Lines(NamedTuple):
    """Lines into each convolution, of the cells of one edge; the first of them serves the middle too."""

    to2: np.ndarray
    """(cell, pixel, 64)"""
    to3: np.ndarray
    to4: np.ndarray
    to5: np.ndarray
    to6: np.ndarray
    unpooled: np.ndarray
    pooled: np.ndarray
    rows3: np.ndarray
    """Pooled columns of the last three rows of the middle. (row modulo 3, pixel, 64)"""
    cells: np.ndarray


def features(prepared: tuple, image: np.ndarray) -> np.ndarray:
    """What the network knows of each patch before its dense layers.

    Parameters
    ----------
    prepared : tuple
        Of :func:`facies_xr.nn.evaluate.weights.prepare`.
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
    rings = one_piece([(rows, 3, count, WIDTH) for rows, count in zip(spans, products, strict=True)])
    into = one_piece([(layer.n, together * line[layer.n], WIDTH) for layer in layers])
    after = one_piece([(count, together * line[edges], WIDTH) for count, edges in ((3, 3), (3, 1), (3, 1), (4, 4))])
    rows = one_piece([(13 + together, w, WIDTH), (3 + together, w, WIDTH), (6 + together, w, WIDTH)])
    space = one_piece(
        [
            (cells, together * products[-1], WIDTH),
            (slots, together * max((cells - 1) * w, width), WIDTH),
            (slots * together * width, WIDTH),
            (together * width, WIDTH),
            (together * w, WIDTH),
        ]
    )
    work = Work(np.empty((width, 9 * image.shape[0]), "float32"), *space)
    framed = np.ascontiguousarray(framed, "float32")
    return _kept_sweep(framed, one, bias, layers, Kept(*rings, *rows), Lines(*into, *after), together, work)


def _entry(source: str):
    @kept
    def kept_sweep(image, one, one_bias, layers, rows, lines, together, work):
        source  # noqa: B018, a closure's cell, and so a part of numba's key
        return _sweep(image, one, one_bias, layers, rows, lines, together, work)

    return kept_sweep


@compiled
def _sweep(image, one, one_bias, layers, kept_rows, lines, together, work):
    h, w = image.shape[0] - 2 - LAST, image.shape[1] - 2 - LAST
    out = np.empty((h, w, 3 * WIDTH), np.float32)
    best, fine, coarse, highest = work.best, kept_rows.fine, kept_rows.coarse, kept_rows.highest
    following = np.array([1, 2, 3, 7, 10, 13])  # the next middle row to leave each convolution
    for p in range(0, h, together):
        count = min(together, h - p)
        _middles(image, p + count - 1 + LAST, following, one, one_bias, layers, kept_rows, lines, work, w)
        for b in range(count):
            largest_of_three(
                best[b * w : (b + 1) * w], highest[(p + b + 13) % len(highest)], highest[(p + b + 16) % len(highest)],
                highest[(p + b + 19) % len(highest)],
            )  # fmt: skip
        for side in range(2):
            _edges(image, side, p, count, one, one_bias, layers, kept_rows, lines, work, w)
        activate(best[: count * w], layers[4].bias)
        for b in range(count):
            middle = work.cell[:w]
            middle[:] = fine[(p + b + RADIUS) % len(fine)]
            activate(middle, layers[1].bias)
            out[p + b, :, :WIDTH] = middle
            middle[:] = coarse[(p + b + RADIUS) % len(coarse)]
            activate(middle, layers[4].bias)
            out[p + b, :, WIDTH : 2 * WIDTH] = middle
            out[p + b, :, 2 * WIDTH :] = best[b * w : (b + 1) * w]
    return out


_kept_sweep = _entry(source_of("sweep"))


@compiled
def _middles(image, end, following, one, one_bias, layers, kept_rows, lines, work, w):
    """Bring the rows of the middle up to what the patch whose last row is ``end`` needs."""
    two, three, four, five, six = layers
    to2, to3, to4, to5, to6, unpooled, _, rows3, cells = lines
    ring2, ring3, ring4, ring5, ring6, fine, coarse, highest = kept_rows
    y2, y3, y4 = following[0], following[1], following[2]
    y5, y6, y7 = following[3], following[4], following[5]
    while y2 < end:
        first_convolution(image, y2, 1, 1, one, one_bias, work, to2[0], w)
        multiply_middle(to2[0], two, ring2[y2 % len(ring2)], work, w)
        y2 += 1
    while y3 < end - 1:
        pass_on(ring2, y3, two, to3[0], three, ring3, work, w)
        y3 += 1
    while y4 < end - 2:
        middle_row(ring3, y4, three, work, unpooled[0], w)
        fine[y4 % len(fine)] = unpooled[0, 3 * w + RADIUS : 4 * w + RADIUS]
        pool_columns(unpooled[0], rows3[y4 % 3], 1, w)
        y4 += 1
        if y4 > 5:  # the pooled row in the middle of the last three
            pool_rows(rows3, to4[0], 1, w)
            activate(in_use(to4[0], 1, 1, w), three.bias)
            multiply_middle(to4[0], four, ring4[(y4 - 2) % len(ring4)], work, w)
    while y5 < end - 6:
        pass_on(ring4, y5, four, to5[0], five, ring5, work, w)
        y5 += 1
    while y6 < end - 9:
        pass_on(ring5, y6, five, to6[0], six, ring6, work, w)
        y6 += 1
    while y7 < end - 12:
        middle_row(ring6, y7, six, work, cells[0], w)
        coarse[y7 % len(coarse)] = cells[0, 4 * w + RADIUS : 5 * w + RADIUS]
        pool_cells(cells[0], highest[y7 % len(highest)], 1, w)
        y7 += 1
    following[0], following[1], following[2] = y2, y3, y4
    following[3], following[4], following[5] = y5, y6, y7


@compiled
def _edges(image, side, p, count, one, one_bias, layers, kept_rows, lines, work, w):
    """Cells at the top (side 0) or bottom of rows of patches, through all layers, into the largest values."""
    two, three, four, five, six = layers
    to2, to3, to4, to5, to6, unpooled, pooled, _, cells = lines
    ring2, ring3, ring4, ring5, ring6, _, _, _ = kept_rows
    first_convolution(image, p + side * LAST, 2 * side, count, one, one_bias, work, to2[0], w)
    edge_rows(to2, side, p, count, two, ring2, work, to3, w)
    for k in range(2):
        activate(in_use(to3[k], 2, count, w), two.bias)
    edge_rows(to3, side, p, count, three, ring3, work, unpooled, w)
    for k in range(3):
        pool_columns(unpooled[k], pooled[k], count, w)
    pool_rows(pooled, to4[0], count, w)
    activate(in_use(to4[0], 1, count, w), three.bias)
    edge_rows(to4, side, p, count, four, ring4, work, to5, w)
    for k in range(2):
        activate(in_use(to5[k], 2, count, w), four.bias)
    edge_rows(to5, side, p, count, five, ring5, work, to6, w)
    for k in range(3):
        activate(in_use(to6[k], 3, count, w), five.bias)
    edge_rows(to6, side, p, count, six, ring6, work, cells, w)
    for k in range(4):
        pool_cells(cells[k], work.cell[: count * w], count, w)
        raise_to(work.best[: count * w], work.cell[: count * w])

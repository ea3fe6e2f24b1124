r"""The walk of the shadow's edge over the terrain, compiled.

The loops over a row are small functions of contiguous slices, so that the compiler makes vector code of them; columns
are walked through a buffer of a few columns laid down as rows.

One line from the side. Its edge sinks by ``h`` a row, and terrain that stands higher lifts it::

    height
       |     P___
       |    /    ''---___
       |   /  \          ''---Q___
       |  /    \            _/    ''---___
       | /      \__________/              ''---
       +--------------------------------------- rows walked, away from the sun
         lit  |  shadow of P  |lit| shadow of Q

Lines of both families from above, between pixels ``o``. They drift by ``s`` columns a row, here .3, and a pixel of
row R is compared with the edge between the two lines that bracket it, here A and B (:func:`_shade`)::

    row R - 1    o--A----B-o--A----B-o--A
                     \    \    \    \    \
    row R        oB----A---oB----A---oB----A

Between the rows, B passes the column of the pixel on its right; there it meets the terrain between the pixel and that
before it (:func:`_rise`).

Names of the loops: ``z`` elevation, ``s`` drift and ``h`` fall of the light per row walked, ``R`` number of the row in
the order of the walk, ``edges`` the height of the edge on each line (family, line), ``base`` the slot of line 0.
"""

import math

import numba
import numpy as np

STRIP = 64
"""Columns that are laid down as rows at a time."""

BLOCK = 8
"""Rows that are turned at a time. [px]"""

PAD = 17
"""Added to the buffer's rows, so that they do not fall on the same lines of the cache. [px]"""


@numba.njit(nogil=True, cache=True)
def walk_rows(z, known, step, start, base, s, h, edges, shaded):
    """Shade the rows after the known ones, in the order in which the light passes them; R counts them so."""
    height = z.shape[0]
    first = 0 if step > 0 else height - 1
    for r in range(max(known, 1), height):
        own = first + step * r
        last = own - 2 * step if r > 1 else own - step
        _advance(
            last=z[last],
            before=z[own - step],
            own=z[own],
            has_last=r > 1,
            edges=edges,
            base=base,
            s=s,
            h=h,
            R=start + r,
            out=shaded[own],
        )


@numba.njit(nogil=True, cache=True)
def walk_columns(z, known, step, start, base, s, h, edges, shaded):
    """The same over columns, some of which at a time are laid down as rows of a buffer, behind the last two."""
    height, width = z.shape
    rows = np.empty((STRIP + 2, height + PAD), np.float32)
    masks = np.zeros((STRIP + 2, height + PAD), np.bool_)
    for done in range(0, width, STRIP):
        count = min(STRIP, width - done)
        first = done if step > 0 else width - done - count
        rows[:2] = rows[STRIP:]
        _lay_down(z[:, first : first + count], rows[2:], step)
        for k in range(count):
            if done + k >= max(known, 1):
                _advance(
                    last=rows[k, :height],
                    before=rows[k + 1, :height],
                    own=rows[k + 2, :height],
                    has_last=done + k > 1,
                    edges=edges,
                    base=base,
                    s=s,
                    h=h,
                    R=start + done + k,
                    out=masks[k + 2, :height],
                )
        _stand_up(masks[2:], shaded[:, first : first + count], step)


@numba.njit(nogil=True, cache=True)
def _lay_down(columns, rows, step):
    """Columns as rows, in the order of the walk; in blocks that stay in registers."""
    height, count = columns.shape
    for r in range(0, height, BLOCK):
        block = columns[r : r + BLOCK]
        for k in range(count):
            row = rows[k if step > 0 else count - 1 - k, r : r + BLOCK]
            if r + BLOCK <= height:
                for j in range(BLOCK):
                    row[j] = block[j, k]
            else:
                for j in range(height - r):
                    row[j] = block[j, k]


@numba.njit(nogil=True, cache=True)
def _stand_up(rows, columns, step):
    """Rows as columns, the way back."""
    height, count = columns.shape
    for r in range(0, height, BLOCK):
        block = columns[r : r + BLOCK]
        for k in range(count):
            row = rows[k if step > 0 else count - 1 - k, r : r + BLOCK]
            if r + BLOCK <= height:
                for j in range(BLOCK):
                    block[j, k] = row[j]
            else:
                for j in range(height - r):
                    block[j, k] = row[j]


@numba.njit(nogil=True, cache=True)
def _advance(last, before, own, has_last, edges, base, s, h, R, out):
    """Shade row R, ``own``, by row R - 1, ``before``, and by the edges as they stood at row R - 2, ``last``.

    Then the edges take in row R - 1.
    """
    _shade(before=before, own=own, edges=edges, base=base, s=s, h=h, R=R, out=out)
    for g in range(edges.shape[0]):
        _rise(
            last=last,
            row=before,
            crossings=has_last and edges.shape[0] > 1,
            edge=edges[g],
            base=base,
            s=s,
            h=h,
            R=R - 1,
            half=0.5 * g,
        )


@numba.njit(nogil=True, cache=True)
def _shade(before, own, edges, base, s, h, R, out):
    width = own.size
    n = math.floor(s * R)
    a, spacing = s * R - n, 1.0
    # The nearest lines lie a to the right of each pixel and spacing - a to its left.
    right, left = edges[0, base - n : base - n + width], edges[0, base - n - 1 : base - n - 1 + width]
    if edges.shape[0] > 1:
        m = math.floor(s * R + 0.5)
        b, spacing = s * R + 0.5 - m, 0.5
        if a < b:
            left = edges[1, base - m - 1 : base - m - 1 + width]
        else:
            a, right = b, edges[1, base - m : base - m + width]
    to_left, to_right = np.float32(a / spacing), np.float32(1.0 - a / spacing)
    aside, ahead, two = np.float32(abs(s)), np.float32(1.0 - abs(s)), np.float32(2.0) * h
    weights, slopes = (to_left, to_right, two), (aside, ahead, h)
    if s > 0:  # the light comes from lower columns; there is none before the first
        _below_both(own[1:], (before[:-1], before[1:]), slopes, (left[1:], right[1:]), weights, out[1:])
        _below_edge(own[:1], (left[:1], right[:1]), weights, out[:1])
    elif s < 0:
        _below_both(own[:-1], (before[1:], before[:-1]), slopes, (left[:-1], right[:-1]), weights, out[:-1])
        _below_edge(own[-1:], (left[-1:], right[-1:]), weights, out[-1:])
    else:
        _below_both(own, (before, before), slopes, (left, right), weights, out)


@numba.njit(nogil=True, cache=True, inline="never")
def _below_both(own, rows, slopes, edges, weights, out):
    (beside, before), (aside, ahead, h) = rows, slopes
    (left, right), (to_left, to_right, two) = edges, weights
    for c in range(out.size):
        far = left[c] * to_left + right[c] * to_right - two
        near = beside[c] * aside + before[c] * ahead - h
        out[c] = (own[c] < far) | (own[c] < near)


@numba.njit(nogil=True, cache=True, inline="never")
def _below_edge(own, edges, weights, out):
    (left, right), (to_left, to_right, two) = edges, weights
    for c in range(out.size):
        out[c] = own[c] < left[c] * to_left + right[c] * to_right - two


@numba.njit(nogil=True, cache=True)
def _rise(last, row, crossings, edge, base, s, h, R, half):
    """Let an edge sink by one step and take in row R, and what its lines pass between rows R - 1 and R."""
    width = row.size
    shift = s * R + half
    n = math.floor(shift)
    f = np.float32(shift - n)
    lines = edge[base - n - 1 : base - n + width]  # lines[c + 1] lies between columns c and c + 1
    lines[0] -= h
    _take_row(lines[1:width], row[:-1], row[1:], f, h)
    lines[width] -= h
    if f == 0 and row[width - 1] > lines[width]:
        lines[width] = row[width - 1]
    before = s * (R - 1) + half
    m = math.floor(before)
    if not crossings or m == n:
        return
    if s > 0 and shift > n:
        column, u = n, (n - before) / s
    elif s < 0 and before > m:
        column, u = m, (m - before) / s
    else:
        return  # the lines pass the column on a row, which has been taken in
    fall = np.float32(1.0 - u) * h
    _take_crossing(edge[base - column : base - column + width], last, row, np.float32(1.0 - u), np.float32(u), fall)


@numba.njit(nogil=True, cache=True, inline="never")
def _take_row(lines, left, right, f, h):
    for c in range(lines.size):
        here, old = left[c] + f * (right[c] - left[c]), lines[c] - h
        lines[c] = here if here > old else old  # a void is not above


@numba.njit(nogil=True, cache=True, inline="never")
def _take_crossing(lines, last, row, earlier, later, fall):
    for c in range(lines.size):
        here, old = last[c] * earlier + row[c] * later - fall, lines[c]
        lines[c] = here if here > old else old

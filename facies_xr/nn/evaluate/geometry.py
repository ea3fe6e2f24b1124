"""Geometry of the published network: what each value of a layer sees of its patch's edge.

Zero padding changes a value only near the edge of its 33 x 33 patch. So the value of a layer at a cell depends on the
image around it and, on each axis, on its *context*: near the first cells of the patch (``("T", k)``, k cells from
it), near the last (``("B", k)``), or in the middle (``M``), where no edge is within reach. Rows and columns are
separable, so a layer is a table of maps by pair of contexts. A map in the middle is indexed by its position in the
image and shared by all patches; a map near an edge is indexed by the patch, since it belongs to one row or column of
patches::

    row of the image    p   p+1  p+2  p+3  p+4   ...   p+28 p+29 p+30 p+31 p+32      one axis of patch p
    conv 1              T0  M    M    M    M     ...   M    M    M    M    B0
    conv 2              T0  T1   M    M    M     ...   M    M    M    B1   B0
    conv 3              T0  T1   T2   M    M     ...   M    M    B2   B1   B0
    pool               (    T0   )   (     M     ...     M  )   (    B0    )         11 cells of 3 rows
    conv 4, 5, 6        T0, T1, .. M .. B1, B0 as above, with cells 3 rows apart

With n edge cells on each side of a layer's input, its output has n + 1. Cell k from the first lies at row
``p + offset + k dilation`` of the image, p counting patches from 0; cell k from the last at ``p + 32 - offset - k
dilation``. A tap u (-1, 0, +1) of the kernel at cell k reads cell k + u: padding if that is negative, an edge map if it
is below n, else the middle. For n = 2, with K-, K0, K+ for the taps::

    input       pad | T0   T1 | M(2) M(3) M(4) ..        output
                K-    K0   K+                            T0 = K0 T0 + K+ T1
                      K-   K0   K+                       T1 = K- T0 + K0 T1   + K+ M(2)
                           K-   K0   K+                  T2 = K- T1 + K0 M(2) + K+ M(3)
                                K-   K0   K+             M(3) = K- M(2) + K0 M(3) + K+ M(4)

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

RADIUS = 16
"""Pixels that the network sees on each side of a pixel."""

SIZE = 2 * RADIUS + 1
LAST = SIZE - 1
POOLED = SIZE // 3

WIDTH = 64
"""Channels of every layer."""

Context = tuple[str, int]
MIDDLE: Context = ("M", 0)


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


def pairs(edges: int) -> Iterator[tuple[Context, Context]]:
    """Contexts of rows and of columns."""
    return product(contexts(edges), contexts(edges))


@lru_cache
def terms(layer: Layer, target: Context) -> tuple[Term, ...]:
    """What one output context reads, on one axis; neighbouring taps on the middle are one term."""
    side, k = target
    if side == "M":
        return (Term(MIDDLE, slice(0, 3), 0),)
    read, middle = [], []
    for tap in range(3):
        cell = k + (tap - 1 if side == "T" else 1 - tap)
        if cell < 0:
            continue  # padding
        if cell < layer.edges:
            read.append(Term((side, cell), slice(tap, tap + 1), 0))
        else:
            away = layer.offset + cell * layer.dilation
            middle.append((tap, (away if side == "T" else LAST - away) - layer.origin))
    if middle:
        read.append(Term(MIDDLE, slice(middle[0][0], middle[-1][0] + 1), middle[0][1]))
    return tuple(read)

"""Maxima of the compiled kernel: over 3 x 3 pixels, and over the cells of a patch."""

from .compiling import compiled
from .geometry import LAST, RADIUS
from .lines import in_use
from .vectors import largest_of_three, raise_to


@compiled
def pool_columns(line, out, rows, w):
    """The largest of three columns: of the cells 0 to 2 of either edge, and around each column of the middle."""
    edge, width = rows * w, rows * (w + LAST)
    largest_of_three(out[:edge], line[:edge], line[edge : 2 * edge], line[2 * edge : 3 * edge])
    middle = line[3 * edge : 3 * edge + width]
    largest_of_three(out[edge + 1 : edge + width - 1], middle[:-2], middle[1:-1], middle[2:])
    right = line[3 * edge + width : 6 * edge + width]
    largest_of_three(out[edge + width : 2 * edge + width], right[:edge], right[edge : 2 * edge], right[2 * edge :])


@compiled
def pool_rows(lines, out, rows, w):
    """The largest of three lines."""
    first, second, third = in_use(lines[0], 1, rows, w), in_use(lines[1], 1, rows, w), in_use(lines[2], 1, rows, w)
    largest_of_three(in_use(out, 1, rows, w), first, second, third)


@compiled
def pool_cells(line, out, rows, w):
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

"""Which pixels are evaluated together: a mask is cut into parts, as long as that is cheaper.

::

    wanted                     parts
    . . . . . . . . . . .      . . . . . . . . . . .
    . # # . . . . . . . .      .|# #|. . . . . . . .      a part is cut down to the pixels in it,
    . # # # . . . . . . .      .|# #|#|. . . . . . .      then halved, and what remains is
    . . . . . . . . . # .      . . . . . . . . .|#|.      evaluated as a whole or patch by patch
"""

import numpy as np

from .engine import Engine, Part

SMALLEST = 12
"""Parts narrower than this are not divided further. [px]"""


def plan(wanted: np.ndarray, part: Part, engine: Engine) -> tuple[float, list[Part]]:
    """Parts that hold the wanted pixels at the least cost: a part as a whole, or its halves.

    Parameters
    ----------
    wanted : ndarray (y, x) of bool
    part : Part
        Where to look.
    engine : Engine
        Whose costs these are.

    Returns
    -------
    cost : float
        [px]
    parts : list of Part
        Without overlap.
    """
    rows, columns = np.flatnonzero(wanted[part].any(1)), np.flatnonzero(wanted[part].any(0))
    if rows.size == 0:
        return 0.0, []
    top, left = part[0].start, part[1].start
    part = slice(top + rows[0], top + rows[-1] + 1), slice(left + columns[0], left + columns[-1] + 1)
    height, width = (p.stop - p.start for p in part)
    whole = min(engine.cost(part), engine.alone * np.count_nonzero(wanted[part]))
    if max(height, width) > engine.largest:
        whole = np.inf
    elif max(height, width) < 2 * SMALLEST:
        return whole, [part]
    parts = [plan(wanted, half, engine) for half in halves(part, engine.rim)]
    cost = sum(half[0] for half in parts)
    return (whole, [part]) if whole <= cost else (cost, [p for half in parts for p in half[1]])


def halves(part: Part, rim: tuple[float, float] = (1.0, 1.0)) -> tuple[Part, Part]:
    """Halves of a part, along the side that is longer against its rim."""
    rows, columns = part
    if (rows.stop - rows.start) * rim[1] >= (columns.stop - columns.start) * rim[0]:
        middle = (rows.start + rows.stop) // 2
        return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)
    middle = (columns.start + columns.stop) // 2
    return (rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))

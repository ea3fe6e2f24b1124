r"""The adjoint of the smooth model's days, compiled: what the balance of each period changes with the weather.

A block's days are run forward, their snow kept, and then taken back, with what :mod:`facies_xr.smb.degreeday.loops`
defines, l the adjoint of the snow after a day and g that of the period's balance::

    l <- q l     of A: w (g + l)     of M: -w (g (rho + (1 - rho) phi) + l phi)     of phi: -w M (g (1 - rho) + l)
    of T: -k_sr A (1 - s) (of A) + f_s sig(k_T (T + delta)) (of M)    of P: k_P s (of A)    l <- l + phi_S (of phi)

Days so cold that nothing melts, or so warm that no snow can fall, have loops of their own; so have cold days over snow
so deep that the softplus of the store is not felt.
"""

from typing import Any

import numba
import numpy as np

from . import blocks
from .blocks import (
    COOL,
    FACTOR,
    LARGEST,
    MELTING,
    RAINY,
    RATIO,
    ROWS,
    SNOW,
    WARMING,
    WATER,
    WIDTH,
    T,
    compiled,
    limited,
)
from .elementary import LOG2E, ONE, ZERO, exp2, log1p, log2
from .loops import DEEP, LEAST_SNOW, STEP, named, plain


def _back_of(falls: bool, melts: bool, deep: bool):
    """The adjoint of a day of a block: of its temperature and precipitation, into T and WATER, and of the snow."""

    @compiled
    def back(z, before, p, w, upstream, held_back):
        k_sr, k_sd, centre, k_t, k_s = p
        lowest, softer, sharper = log2(centre), ONE / k_t, -LOG2E * k_s
        for i in range(WIDTH):
            snow, ratio, g = before[i], z[RATIO + i], upstream[i]
            a, s, m, phi, of_t = ZERO, ZERO, ZERO, ZERO, ZERO
            if falls:
                s = ONE / (ONE + z[RAINY + i])
                a = z[WATER + i] * s
            if melts:
                u, v = z[T + i] + z[WARMING + i], z[COOL + i]
                m = z[MELTING + i] * (max(u, ZERO) + log1p(v) * softer)
                held = max(snow, LEAST_SNOW)
                phi = ONE / (ONE + exp2(limited(k_sd * (lowest - log2(held)))))
            of_snow = held_back[i]
            if not deep:
                y = snow + w * (a - m * phi)
                e = exp2(max(sharper * abs(y), -LARGEST))
                of_snow = of_snow * (ONE if y > ZERO else e) / (ONE + e)
            of_fall = w * (g + of_snow)
            if falls:
                of_t = -k_sr * a * (ONE - s) * of_fall
            z[WATER + i] = z[FACTOR + i] * s * of_fall
            if melts:
                steep = (ONE if u > ZERO else v) / (ONE + v)
                of_t -= w * z[MELTING + i] * steep * (g * (ratio + (ONE - ratio) * phi) + of_snow * phi)
                of_snow -= w * m * k_sd * phi * (ONE - phi) / held * (g * (ONE - ratio) + of_snow)
            z[T + i] = of_t
            held_back[i] = of_snow

    return back


def _step():
    """A day back, whatever its kind."""
    both, warm, cold, deep = (
        _back_of(*kind)
        for kind in ((True, True, False), (False, True, False), (True, False, False), (True, False, True))
    )

    @compiled
    def back(z, before, p, w, upstream, held_back, falls, melts, least):
        if falls and melts:
            both(z, before, p, w, upstream, held_back)
        elif melts:
            warm(z, before, p, w, upstream, held_back)
        elif least * p[4] > DEEP:
            deep(z, before, p, w, upstream, held_back)
        else:
            cold(z, before, p, w, upstream, held_back)

    return back


BACK: Any = None
"""A day back of a block, as :data:`~facies_xr.smb.degreeday.loops.STEP` is one forward."""


def _adjoint(temperature, precipitation, cells, offsets, pixels, p, days, weights, ends, snow, upstream, held_back,
             of_temperature, of_precipitation, first, last):  # fmt: skip
    """Adjoints of the weather, added to its cells, and of the first snow, in place."""
    z = np.zeros(ROWS * WIDTH, np.float32)
    snows, least = np.empty((days.size, WIDTH), np.float32), np.empty(days.size + 1, np.float32)
    nothing = np.zeros(WIDTH, np.float32)
    for block in range(first, last):
        low = block * WIDTH
        place = blocks.load(z, p, cells, offsets, pixels, snow, low)
        one, cell = place[0], cells[low]
        least[0] = np.min(z[SNOW : SNOW + WIDTH])
        for number in range(days.size):
            snows[number] = z[SNOW : SNOW + WIDTH]
            falls, melts = blocks.of_day(z, p, temperature, precipitation, cells, low, days[number], place, False)
            least[number + 1] = STEP(z, p, weights[number], falls, melts, least[number])
        lasting, g = held_back[low : low + WIDTH], nothing
        for number in range(days.size - 1, -1, -1):
            day = days[number]
            if ends[number] >= 0:
                g = upstream[ends[number], low : low + WIDTH]
            falls, melts = blocks.of_day(z, p, temperature, precipitation, cells, low, day, place, True)
            BACK(z, snows[number], p, weights[number], g, lasting, falls, melts, least[number])
            if one:
                of_temperature[day, cell] += _sum(z[T : T + WIDTH])
                of_precipitation[day, cell] += _sum(z[WATER : WATER + WIDTH])
            else:
                for i in range(WIDTH):
                    of_temperature[day, cells[low + i]] += z[T + i]
                    of_precipitation[day, cells[low + i]] += z[WATER + i]


@numba.njit(nogil=True, fastmath=True)
def _sum(values):
    total = np.float32(0)
    for i in range(values.size):
        total += values[i]
    return total


adjoint = named(_adjoint, {"STEP": plain, "BACK": _step()}, f"{__name__}_adjoint", __file__)

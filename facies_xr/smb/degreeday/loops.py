r"""The days of the smooth model, compiled: balance and snow, the derivatives carried beside them, and the adjoint.

All of a block of pixels lies in one flat buffer, a row of :data:`WIDTH` numbers a quantity, so that a block stays in
the fastest cache, and the compiler knows that rows do not overlap. With D = dS/dtheta and the direct partials A_k, M_k,
phi_k of accumulation, melt and snow-covered fraction::

    s = sig(k_sr (T_sr - T))    A = k_P P s          M = f_s sp_kT(T + delta)
    phi = sig(h), h = k_sd ln(S / S_c)               psi = phi (1 - phi), phi_S = k_sd psi / S
    b = w (A - M (rho + (1 - rho) phi))              y = S + w (A - M phi), S' = sp_kS(y), q = sig(k_S y)
    db = w (A_k - M_k (rho + (1 - rho) phi) - M (1 - rho) phi_k) - w M (1 - rho) phi_S D
    D' = q (D (1 - w M phi_S) + w (A_k - M_k phi - M phi_k))

Days of a block without any precipitation, or too cold for any melt, have loops of their own; so have cold days over
snow so deep that the softplus of the store is not felt, of which those without precipitation change nothing.
"""

import hashlib
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np

from . import elementary
from .elementary import FLAGS, LOG2E, ONE, ZERO, F, exp2, inlined, log1p, log2, to_bits, to_float

WIDTH = 256
"""Pixels of a block."""

SCALARS = ("rain_steepness", "depletion_steepness", "depletion_centre", "warmth_sharpness", "store_sharpness")

T, P, FACTOR, MELTING, RATIO, CENTRE, WARMING, OFFSET, SNOW, BALANCE = (WIDTH * k for k in range(10))
"""Where the rows of the buffer start."""

STATE = WIDTH * 10
"""Derivatives of the snow: to the logarithms of precipitation's and snow's factor, of the rain's steepness, to its
centre, to the logarithms of the depletion's steepness and centre; further to the melting warmth and the snow before."""

DERIVED = WIDTH * 18
"""Derivatives of the balance, in the same order, and to the ice ratio."""

ROWS = 27
CARRIED = 8
"""Derivatives of the snow."""

RATIO_ROW = 8

FAINT = F(17.0)
"""exp(-17) is what float32 cannot tell from 0 beside 1."""

LARGEST = F(60.0)
"""Of exponents of 2."""

LEAST_SNOW = F(1e-8)

DEEP = F(17.0)
"""Snow times its sharpness above which the softplus of the store is not felt."""

FAR = F(1e3)
"""Beyond all temperatures. [K]"""

MOST, NOTHING = np.int32(2**31 - 1), np.int32(0)
"""Bits of numbers above 0 are in the order of the numbers; whole numbers can be compared in vectors."""

compiled = numba.njit(nogil=True, error_model="numpy", fastmath=FLAGS)


@inlined
def limited(x):
    """Within what 2^x can take."""
    return min(max(x, -LARGEST), LARGEST)


def _carrier(rains: bool, melts: bool):
    """The derivatives of a pixel over a day."""

    @inlined
    def carry(z, i, w, q, k_sr, k_sd, a, s, u, v, m, bare, phi, held, h2):
        keep, lost = q, ZERO
        if melts:
            psi = phi * (ONE - phi)
            less = w * m * k_sd * psi / held
            keep, lost = q * (ONE - less), (ONE - z[RATIO + i]) * less
            z[DERIVED + RATIO_ROW * WIDTH + i] -= w * m * (ONE - phi)
            steeper = m * psi * h2 / LOG2E
            deeper = -k_sd * m * psi
        d0, d1 = z[STATE + i], z[STATE + WIDTH + i]
        d2, d3 = z[STATE + 2 * WIDTH + i], z[STATE + 3 * WIDTH + i]
        d4, d5 = z[STATE + 4 * WIDTH + i], z[STATE + 5 * WIDTH + i]
        b0, b1, b2, b3, b4, b5 = -lost * d0, -lost * d1, -lost * d2, -lost * d3, -lost * d4, -lost * d5
        d0, d1, d2, d3, d4, d5 = keep * d0, keep * d1, keep * d2, keep * d3, keep * d4, keep * d5
        if rains:
            wa, slope = w * a, w * k_sr * a * (ONE - s)
            turn = slope * (z[CENTRE + i] - z[T + i])
            b0, b2, b3 = b0 + wa, b2 + turn, b3 + slope
            d0, d2, d3 = d0 + q * wa, d2 + q * turn, d3 + q * slope
        if melts:
            b1, d1 = b1 - w * m * bare, d1 - q * w * m * phi
            b4, d4 = b4 - w * (ONE - z[RATIO + i]) * steeper, d4 - q * w * steeper
            b5, d5 = b5 - w * (ONE - z[RATIO + i]) * deeper, d5 - q * w * deeper
        z[STATE + i], z[STATE + WIDTH + i] = d0, d1
        z[STATE + 2 * WIDTH + i], z[STATE + 3 * WIDTH + i] = d2, d3
        z[STATE + 4 * WIDTH + i], z[STATE + 5 * WIDTH + i] = d4, d5
        z[DERIVED + i] += b0
        z[DERIVED + WIDTH + i] += b1
        z[DERIVED + 2 * WIDTH + i] += b2
        z[DERIVED + 3 * WIDTH + i] += b3
        z[DERIVED + 4 * WIDTH + i] += b4
        z[DERIVED + 5 * WIDTH + i] += b5
        d6, d7 = z[STATE + 6 * WIDTH + i], z[STATE + 7 * WIDTH + i]
        b6, b7 = -lost * d6, -lost * d7
        d6, d7 = keep * d6, keep * d7
        if melts:
            g = w * z[MELTING + i] * (ONE if u > ZERO else v) / (ONE + v)
            b6, d6 = b6 - g * bare, d6 - q * g * phi
        z[STATE + 6 * WIDTH + i], z[STATE + 7 * WIDTH + i] = d6, d7
        z[DERIVED + 6 * WIDTH + i] += b6
        z[DERIVED + 7 * WIDTH + i] += b7

    return carry


def _day(rains: bool, melts: bool, deep: bool, rows: int):
    """A day of a block; ``rows`` derivatives are carried."""
    carry = _carrier(rains, melts)

    @compiled
    def day(z, p, w):
        k_sr, k_sd, centre, k_t, k_s = p
        lowest, softer, smaller = log2(centre), ONE / k_t, ONE / k_s
        turned, sharp, sharper = LOG2E * k_sr, -LOG2E * k_t, -LOG2E * k_s
        least = MOST
        for i in range(WIDTH):
            snow = z[SNOW + i]
            a, s, u, v, m, bare, phi, held, h2 = ZERO, ONE, ZERO, ZERO, ZERO, ZERO, ZERO, ONE, ZERO
            if rains:
                liquid = ONE + exp2(limited(turned * (z[T + i] - z[CENTRE + i])))
            if melts:
                u = z[T + i] + z[WARMING + i]
                v = exp2(max(sharp * abs(u), -LARGEST))
                m = z[MELTING + i] * (max(u, ZERO) + log1p(v) * softer)
                held = max(snow, LEAST_SNOW)
                h2 = k_sd * (log2(held) - lowest)
                gone = ONE + exp2(limited(-h2))
                if rains:
                    both = ONE / (liquid * gone)
                    s, phi = gone * both, liquid * both
                else:
                    phi = ONE / gone
            elif rains:
                s = ONE / liquid
            if rains:
                a = z[FACTOR + i] * z[P + i] * s
            if melts:
                bare = z[RATIO + i] + (ONE - z[RATIO + i]) * phi
                b, y = w * (a - m * bare), snow + w * (a - m * phi)
            else:
                b, y = w * a, snow + w * a
            z[BALANCE + i] += b
            if deep:
                after = y
            else:
                e = exp2(max(sharper * abs(y), -LARGEST))
                after = max(y, ZERO) + log1p(e) * smaller
            z[SNOW + i] = after
            least = min(least, to_bits(after))
            if rows:
                q = ONE
                if not deep:
                    q = (ONE if y > ZERO else e) / (ONE + e)
                carry(z, i, w, q, k_sr, k_sd, a, s, u, v, m, bare, phi, held, h2)
        return to_float(np.int32(least))

    return day


@compiled
def _fill(z, temperature, precipitation, cells, first):
    """The weather of each pixel's cell; lowest temperature above the rain's centre, highest that melts, most rain."""
    above, warmest, wettest = MOST, NOTHING, NOTHING
    for i in range(WIDTH):
        t, p = temperature[cells[first + i]] + z[OFFSET + i], precipitation[cells[first + i]]
        z[T + i], z[P + i] = t, p
        above = min(above, to_bits(max(t - z[CENTRE + i] + FAR, ZERO)))
        warmest = max(warmest, to_bits(max(t + z[WARMING + i] + FAR, ZERO)))
        wettest = max(wettest, to_bits(max(p, ZERO)))
    return to_float(np.int32(above)) - FAR, to_float(np.int32(warmest)) - FAR, to_float(np.int32(wettest))


@compiled
def _spread(z, value, rain):
    """The same of a block in one cell; the precipitation only where there is any."""
    for i in range(WIDTH):
        z[T + i] = value + z[OFFSET + i]
    if rain > ZERO:
        for i in range(WIDTH):
            z[P + i] = rain


BOTH: Any = None
DRY = COLD = STILL = FALLING = BOTH
"""Loops of the kinds of days."""

KEPT = DERIVATIVES = 0
"""Derivatives of the snow, and of the balance, that are carried."""


def _run(temperature, precipitation, cells, offsets, pixels, p, days, weights, ends, snow, balance, after,
        derivatives, states, first, last):  # fmt: skip
    """All days of the blocks from one on to another; names in capitals that a kind of day has are those of a runner."""
    z = np.zeros(ROWS * WIDTH, np.float32)
    for block in range(first, last):
        low = block * WIDTH
        for row in range(5):
            z[FACTOR + row * WIDTH : FACTOR + (row + 1) * WIDTH] = pixels[row, low : low + WIDTH]
        z[OFFSET : OFFSET + WIDTH] = offsets[low : low + WIDTH]
        z[SNOW : SNOW + WIDTH] = snow[low : low + WIDTH]
        z[BALANCE : BALANCE + WIDTH] = ZERO
        z[DERIVED:] = ZERO
        for row in range(KEPT):
            z[STATE + row * WIDTH : STATE + (row + 1) * WIDTH] = states[row, low : low + WIDTH]
        alone, cell = cells[low] == cells[low + WIDTH - 1], cells[low]
        least_above = np.min(z[OFFSET : OFFSET + WIDTH] - z[CENTRE : CENTRE + WIDTH])
        most_above = np.max(z[OFFSET : OFFSET + WIDTH] + z[WARMING : WARMING + WIDTH])
        least = np.min(z[SNOW : SNOW + WIDTH])
        for number in range(days.size):
            day = days[number]
            if alone:
                wettest = precipitation[day, cell]
                above, warmest = temperature[day, cell] + least_above, temperature[day, cell] + most_above
            else:
                above, warmest, wettest = _fill(z, temperature[day], precipitation[day], cells, low)
            rains = wettest > ZERO and p[0] * above < FAINT
            melts = p[3] * warmest > -FAINT
            deep = least * p[4] > DEEP
            w = weights[number]
            if alone and (rains or melts):
                _spread(z, temperature[day, cell], wettest)
            if rains and melts:
                least = BOTH(z, p, w)
            elif melts:
                least = DRY(z, p, w)
            elif rains and deep:
                least = FALLING(z, p, w)
            elif rains:
                least = COLD(z, p, w)
            elif not deep:
                least = STILL(z, p, w)
            if ends[number] >= 0:
                balance[ends[number], low : low + WIDTH] = z[BALANCE : BALANCE + WIDTH]
                z[BALANCE : BALANCE + WIDTH] = ZERO
                for row in range(DERIVATIVES):
                    where = DERIVED + row * WIDTH
                    derivatives[row, ends[number], low : low + WIDTH] = z[where : where + WIDTH]
                    z[where : where + WIDTH] = ZERO
        after[low : low + WIDTH] = z[SNOW : SNOW + WIDTH]
        for row in range(KEPT):
            states[row, low : low + WIDTH] = z[STATE + row * WIDTH : STATE + (row + 1) * WIDTH]


KINDS = {"BOTH": (True, True, False), "DRY": (False, True, False), "COLD": (True, False, False),
         "STILL": (False, False, False), "FALLING": (True, False, True)}  # fmt: skip
"""Whether there is precipitation, whether anything melts, and whether the snow is deep."""


def runner(of_day, rows: int):
    """The loop over blocks and days, by what makes the loop of each kind of day.

    A closure would be compiled anew in each process, because the loops that it holds are part of the cache's key; so
    they are globals of a function of its own, whose name tells the sources that it was made from.
    """
    sources = {__file__, elementary.__file__, of_day.__code__.co_filename}
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sorted(sources))).hexdigest()[:12]
    names = {name: of_day(*kind, rows) for name, kind in KINDS.items()}
    carried = {"KEPT": rows, "DERIVATIVES": rows and RATIO_ROW + 1}
    found = FunctionType(_run.__code__, {**globals(), **names, **carried}, f"{of_day.__module__}_{rows}_{digest}")
    found.__qualname__ = found.__name__
    return numba.njit(nogil=True, error_model="numpy", cache=True)(found)


forward = runner(_day, 0)
tangents = runner(_day, CARRIED)


@compiled
def _back(z, before, p, w, upstream, held_back):
    """The adjoint of a day: of its temperature and precipitation, into T and P, and of the snow before it.

    ``before`` is that snow, ``upstream`` the adjoint of the period's balance, ``held_back`` that of the snow, in place.
    """
    k_sr, k_sd, centre, k_t, k_s = p
    lowest = log2(centre)
    for i in range(WIDTH):
        snow, ratio = before[i], z[RATIO + i]
        s = ONE / (ONE + exp2(limited(LOG2E * k_sr * (z[T + i] - z[CENTRE + i]))))
        a = z[FACTOR + i] * z[P + i] * s
        u = z[T + i] + z[WARMING + i]
        v = exp2(max(-LOG2E * k_t * abs(u), -LARGEST))
        m = z[MELTING + i] * (max(u, ZERO) + log1p(v) / k_t)
        held = max(snow, LEAST_SNOW)
        phi = ONE / (ONE + exp2(limited(k_sd * (lowest - log2(held)))))
        y = snow + w * (a - m * phi)
        e = exp2(max(-LOG2E * k_s * abs(y), -LARGEST))
        of_snow = held_back[i] * (ONE if y > ZERO else e) / (ONE + e)
        of_fall = w * (upstream[i] + of_snow)
        of_melt = -w * (upstream[i] * (ratio + (ONE - ratio) * phi) + of_snow * phi)
        of_cover = -w * m * (upstream[i] * (ONE - ratio) + of_snow)
        steep = (ONE if u > ZERO else v) / (ONE + v)
        z[T + i] = -k_sr * a * (ONE - s) * of_fall + z[MELTING + i] * steep * of_melt
        z[P + i] = z[FACTOR + i] * s * of_fall
        held_back[i] = of_snow + k_sd * phi * (ONE - phi) / held * of_cover


_any = _day(True, True, False, 0)


@numba.njit(nogil=True, error_model="numpy", cache=True)
def adjoint(temperature, precipitation, cells, offsets, pixels, p, days, weights, ends, snow, upstream, held_back,
            of_temperature, of_precipitation, first, last):  # fmt: skip
    """Adjoints of the weather, added to its cells, and of the first snow, in place."""
    z = np.zeros(ROWS * WIDTH, np.float32)
    snows = np.empty((days.size, WIDTH), np.float32)
    nothing = np.zeros(WIDTH, np.float32)
    for block in range(first, last):
        low = block * WIDTH
        for row in range(5):
            z[FACTOR + row * WIDTH : FACTOR + (row + 1) * WIDTH] = pixels[row, low : low + WIDTH]
        z[OFFSET : OFFSET + WIDTH] = offsets[low : low + WIDTH]
        z[SNOW : SNOW + WIDTH] = snow[low : low + WIDTH]
        for number in range(days.size):
            snows[number] = z[SNOW : SNOW + WIDTH]
            _fill(z, temperature[days[number]], precipitation[days[number]], cells, low)
            _any(z, p, weights[number])
        lasting, g = held_back[low : low + WIDTH], nothing
        for number in range(days.size - 1, -1, -1):
            day = days[number]
            if ends[number] >= 0:
                g = upstream[ends[number], low : low + WIDTH]
            _fill(z, temperature[day], precipitation[day], cells, low)
            _back(z, snows[number], p, weights[number], g, lasting)
            if cells[low] == cells[low + WIDTH - 1]:
                of_temperature[day, cells[low]] += _sum(z[T : T + WIDTH])
                of_precipitation[day, cells[low]] += _sum(z[P : P + WIDTH])
            else:
                for i in range(WIDTH):
                    of_temperature[day, cells[low + i]] += z[T + i]
                    of_precipitation[day, cells[low + i]] += z[P + i]


@numba.njit(nogil=True, fastmath=True)
def _sum(values):
    total = np.float32(0)
    for i in range(values.size):
        total += values[i]
    return total

r"""The days of the smooth model, compiled: balance and snow, the derivatives carried beside them, and the adjoint.

Pixels are taken in :mod:`facies_xr.smb.degreeday.blocks`. With D = dS/dtheta and the direct partials A_k, M_k,
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

from . import blocks, elementary
from .blocks import (
    BALANCE,
    CARRIED,
    CENTRE,
    COOL,
    DERIVED,
    LARGEST,
    MELTING,
    MOST,
    RAINY,
    RATIO,
    RATIO_ROW,
    ROWS,
    SNOW,
    STATE,
    WARMING,
    WATER,
    WIDTH,
    T,
    compiled,
    limited,
)
from .elementary import LOG2E, ONE, ZERO, F, exp2, inlined, log1p, log2, to_bits, to_float

LEAST_SNOW = F(1e-8)

DEEP = F(17.0)
"""Snow times its sharpness above which the softplus of the store is not felt."""


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


def day_of(rains: bool, melts: bool, deep: bool, rows: int):
    """A day of a block; ``rows`` derivatives are carried."""
    carry = _carrier(rains, melts)

    @compiled
    def day(z, p, w):
        k_sr, k_sd, centre, k_t, k_s = p
        lowest, softer, smaller = log2(centre), ONE / k_t, ONE / k_s
        sharper = -LOG2E * k_s
        least = MOST
        for i in range(WIDTH):
            snow = z[SNOW + i]
            a, s, u, v, m, bare, phi, held, h2 = ZERO, ONE, ZERO, ZERO, ZERO, ZERO, ZERO, ONE, ZERO
            if rains:
                liquid = ONE + z[RAINY + i]
            if melts:
                u = z[T + i] + z[WARMING + i]
                v = z[COOL + i]
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
                a = z[WATER + i] * s
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


STEP: Any = None
"""A day of a block, whatever its kind."""

KEPT = DERIVATIVES = 0
"""Derivatives of the snow, and of the balance, that are carried."""


def _run(temperature, precipitation, cells, offsets, pixels, p, days, weights, ends, snow, balance, after,
        derivatives, states, first, last):  # fmt: skip
    """All days of the blocks from one on to another; names in capitals are those of a runner."""
    z = np.zeros(ROWS * WIDTH, np.float32)
    for block in range(first, last):
        low = block * WIDTH
        place = blocks.load(z, p, cells, offsets, pixels, snow, low)
        z[BALANCE : BALANCE + WIDTH] = ZERO
        z[DERIVED:] = ZERO
        for row in range(KEPT):
            z[STATE + row * WIDTH : STATE + (row + 1) * WIDTH] = states[row, low : low + WIDTH]
        least = np.min(z[SNOW : SNOW + WIDTH])
        for number in range(days.size):
            falls, melts = blocks.of_day(z, p, temperature, precipitation, cells, low, days[number], place, False)
            least = STEP(z, p, weights[number], falls, melts, least)
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


def named(function, names: dict[str, Any], label: str, *sources: str):
    """A function compiled with some of its globals set to loops.

    A closure would be compiled anew in each process, because the loops that it holds are part of the cache's key; so
    they are globals of a function of its own, whose name tells the sources that it was made from.
    """
    of = {__file__, blocks.__file__, elementary.__file__, *sources}
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sorted(of))).hexdigest()[:12]
    found = FunctionType(function.__code__, {**function.__globals__, **names}, f"{label}_{digest}")
    found.__qualname__ = found.__name__
    return numba.njit(nogil=True, error_model="numpy", cache=True)(found)


def step_of(of_kind, rows: int):
    """A day of a block by what makes the loops of each kind: rains, melts, over deep snow; the least snow after it."""
    both, dry, cold = (of_kind(*kind, False, rows) for kind in ((True, True), (False, True), (True, False)))
    still, falling = of_kind(False, False, False, rows), of_kind(True, False, True, rows)

    @compiled
    def step(z, p, w, falls, melts, least):
        deep = least * p[4] > DEEP
        if falls and melts:
            return both(z, p, w)
        if melts:
            return dry(z, p, w)
        if falls:
            return falling(z, p, w) if deep else cold(z, p, w)
        return least if deep else still(z, p, w)

    return step


def runner(step, rows: int, label: str, source: str = __file__):
    """The loop over blocks and days."""
    names = {"STEP": step, "KEPT": rows, "DERIVATIVES": rows and RATIO_ROW + 1}
    return named(_run, names, f"{label}_{rows}", source)


plain = step_of(day_of, 0)
forward = runner(plain, 0, __name__)
tangents = runner(step_of(day_of, CARRIED), CARRIED, __name__)

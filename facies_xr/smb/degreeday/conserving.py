r"""The days of the model that keeps its mass, compiled; laid out as those of :mod:`facies_xr.smb.degreeday.loops`.

Of what there is, V = S + w A, and what the warmth asks for, M = w f_s sp_kT(T + delta), the smooth least melts::

    m = M V / (M^8 + V^8)^(1/8)     m_M = (1 + (M/V)^8)^(-9/8)     m_V = (1 + (V/M)^8)^(-9/8)
    b = w A - (1 - rho) m - rho M   S' = V - m
    db = w A_k - (1 - rho) dm - rho M_k     D' = D + w A_k - dm,  dm = m_M M_k + m_V (D + w A_k)
"""

import numpy as np

from .blocks import (
    BALANCE,
    CARRIED,
    CENTRE,
    COOL,
    DERIVED,
    MELTING,
    MOST,
    RAINY,
    RATIO,
    RATIO_ROW,
    SNOW,
    STATE,
    WARMING,
    WATER,
    WIDTH,
    T,
    compiled,
)
from .elementary import ONE, ZERO, F, inlined, log1p, to_bits, to_float
from .loops import runner, step_of

TINY = F(1e-30)


@inlined
def _row(z, i, row, gained, asked, of_gain, of_asked):
    """A derivative over a day: what falls and what is asked for change so much with its parameter."""
    there = z[STATE + row * WIDTH + i] + gained
    melted = of_asked * asked + of_gain * there
    z[STATE + row * WIDTH + i] = there - melted
    z[DERIVED + row * WIDTH + i] += gained - (ONE - z[RATIO + i]) * melted - z[RATIO + i] * asked


def _day(rains: bool, melts: bool, deep: bool, rows: int):
    """A day of a block; ``rows`` derivatives are carried."""

    @compiled
    def day(z, p, w):
        k_sr, k_t = p[0], p[3]
        softer = ONE / k_t
        least = MOST
        for i in range(WIDTH):
            fallen, s, asked, u, v = ZERO, ONE, ZERO, ZERO, ZERO
            if rains:
                s = ONE / (ONE + z[RAINY + i])
                fallen = w * z[WATER + i] * s
            if melts:
                u = z[T + i] + z[WARMING + i]
                v = z[COOL + i]
                asked = w * z[MELTING + i] * (max(u, ZERO) + log1p(v) * softer)
            there = z[SNOW + i] + fallen
            less, more = min(asked, there), max(asked, there)
            r = less / max(more, TINY)
            r8 = (r * r) * (r * r)
            r8 = r8 * r8
            root = np.sqrt(np.sqrt(np.sqrt(ONE + r8)))
            melted = less / root
            z[BALANCE + i] += fallen - (ONE - z[RATIO + i]) * melted - z[RATIO + i] * asked
            after = there - melted
            z[SNOW + i] = after
            least = min(least, to_bits(after))
            if rows:
                of_less = ONE / (root * (ONE + r8))
                of_more = of_less * r8 * r
                of_asked = of_less if asked <= there else of_more
                of_gain = of_more if asked <= there else of_less
                slope = k_sr * fallen * (ONE - s)
                warm = w * z[MELTING + i] * (ONE if u > ZERO else v) / (ONE + v) if melts else ZERO
                _row(z, i, 0, fallen, ZERO, of_gain, of_asked)
                _row(z, i, 1, ZERO, asked, of_gain, of_asked)
                _row(z, i, 2, slope * (z[CENTRE + i] - z[T + i]), ZERO, of_gain, of_asked)
                _row(z, i, 3, slope, ZERO, of_gain, of_asked)
                _row(z, i, 6, ZERO, warm, of_gain, of_asked)
                _row(z, i, 7, ZERO, ZERO, of_gain, of_asked)
                z[DERIVED + RATIO_ROW * WIDTH + i] += melted - asked
        return to_float(np.int32(least))

    return day


forward = runner(step_of(_day, 0), 0, __name__, __file__)
tangents = runner(step_of(_day, CARRIED), CARRIED, __name__, __file__)

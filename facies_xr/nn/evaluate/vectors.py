"""Loops over numbers that the compiler turns into vector code: sums, maxima, the ELU.

All take contiguous arrays of float32 of one size; mix takes them flat.
"""

import math

import numpy as np

from .compiling import compiled

BLOCK = 16
"""Pixels that are activated at a time, few enough to stay in the fastest cache."""

LOG2E, LN2, ONE, ZERO = np.float32(1 / np.log(2)), np.float32(np.log(2)), np.float32(1), np.float32(0)
C2, C3, C4, C5, C6 = (np.float32(1 / math.factorial(k)) for k in range(2, 7))
LEAST, WHOLE = np.float32(-126), np.float32(3 * 2**22)


@compiled
def mix2(o, a, b, u, v):
    """Set o = u a + v b."""
    for e in range(o.size):
        o[e] = u * a[e] + v * b[e]


@compiled
def mix3(o, a, b, c, u, v, w):
    """Set o = u a + v b + w c."""
    for e in range(o.size):
        o[e] = u * a[e] + v * b[e] + w * c[e]


@compiled
def sum_of_three(out, a, b, c):
    """Set out = a + b + c."""
    o, a, b, c = out.reshape(-1), a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for e in range(o.size):
        o[e] = a[e] + b[e] + c[e]


@compiled
def raise_to(out, a):
    """Raise out to a where a is larger."""
    o, a = out.reshape(-1), a.reshape(-1)
    for e in range(o.size):
        o[e] = a[e] if a[e] > o[e] else o[e]


@compiled
def largest_of_three(out, a, b, c):
    """Set out to the largest of a, b, c."""
    o, a, b, c = out.reshape(-1), a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for e in range(o.size):
        m = a[e] if a[e] > b[e] else b[e]
        o[e] = m if m > c[e] else c[e]


@compiled
def activate(x, bias):
    """Add the bias and apply the ELU: x where it is positive, exp(x) - 1 where not."""
    t, y = np.empty(bias.size, np.float32), np.empty(bias.size, np.float32)
    power = np.empty(bias.size, np.int32)
    o, bits, scale = x.reshape(-1), y.view(np.int32), power.view(np.float32)
    for start in range(0, o.size, bias.size):
        block = o[start : start + bias.size]
        m = block.size
        _exponents(block, bias[:m], t[:m], y[:m])
        _powers(bits[:m], power[:m])
        _elu(block, t[:m], y[:m], scale[:m])


# exp(x) = 2^k 2^f with k whole and |f| <= 1/2. Adding WHOLE rounds to k, which is then in the last bits of the sum; the
# bits of 2^k are made of it, and 2^f is the first terms of its series:
#
#   WHOLE + k    |0|10010110|1000000..0000kkkkkkkk|    << 23, + 127 << 23 (the exponent's zero)
#   2^k          |0|kkkkkkkk|0000000..000000000000|


@compiled
def _exponents(x, bias, t, y):
    for e in range(x.size):
        x[e] += bias[e]
        below = min(x[e] * LOG2E, ZERO)
        t[e] = max(below, LEAST)
        y[e] = t[e] + WHOLE


@compiled
def _powers(bits, power):
    for e in range(bits.size):
        power[e] = (bits[e] << 23) + (127 << 23)


@compiled
def _elu(x, t, y, scale):
    for e in range(x.size):
        f = (t[e] - (y[e] - WHOLE)) * LN2
        g = f * f
        # in pairs, which the processor can do side by side
        series = (ONE + f) + g * ((C2 + f * C3) + g * ((C4 + f * C5) + g * C6))
        x[e] = x[e] if x[e] > ZERO else series * scale[e] - ONE

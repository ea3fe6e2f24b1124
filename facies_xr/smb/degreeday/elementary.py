"""Exponentials and logarithms of float32 that the compiler makes vector code of.

2^x by rounding and a polynomial of degree 5 (7.5e-8 of the value), log2 by splitting at the root of one half and degree
8 (5e-8), log1p on [0, 1] by degree 7 (2.1e-7); fitted by reweighted least squares on Chebyshev nodes.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

FLAGS = {"contract", "nsz", "arcp", "nnan", "ninf"}
"""No reassociation, which would take the rounding out of 2^x. Missing values are taken out before."""

inlined = numba.njit(nogil=True, error_model="numpy", fastmath=FLAGS, inline="always")

F = np.float32
ONE, HALF, ZERO = F(1), F(0.5), F(0)
LOG2E = F(1 / np.log(2))
E0, E1, E2, E3, E4, E5 = (F(c) for c in (1.0000001, 0.69314694, 0.24022120, 0.055507135, 0.0096755410, 0.0013276466))
L1, L2, L3, L4 = (F(c) for c in (1.4426947832, -0.7213571667, 0.4809394479, -0.3600871862))
L5, L6, L7, L8 = (F(c) for c in (0.2867075503, -0.2500692904, 0.2368897796, -0.1457429528))
P1, P2, P3, P4 = (F(c) for c in (0.9999811649, -0.4994717538, 0.3282420337, -0.2258975208))
P5, P6, P7 = (F(c) for c in (0.1346737742, -0.0551446378, 0.0107643511))
ROOT = np.int32(np.array(np.sqrt(0.5), "float32").view("int32"))
BITS, BIAS = np.int32(23), np.int32(127)


def _bitcast(source, target, made):
    @intrinsic
    def cast(typing, x):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], made)

        return target(source), generate

    return cast


to_float = _bitcast(types.int32, types.float32, ir.FloatType())
to_bits = _bitcast(types.float32, types.int32, ir.IntType(32))


def _of_whole(operation):
    """Of two int32 in int32: Numba would take int64, of which half as many fit into a vector."""

    @intrinsic
    def within(typing, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, operation)(*arguments)

        return types.int32(types.int32, types.int32), generate

    return within


difference, shifted = _of_whole("sub"), _of_whole("ashr")


@intrinsic
def rounded(typing, x):
    """To the nearest whole number, as the processor does it."""

    def generate(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()])
        return builder.call(function, [arguments[0]])

    return types.float32(types.float32), generate


@inlined
def exp2(x):
    """2^x for x from -126 to 127."""
    whole = rounded(x)  # type: ignore[call-arg, var-annotated]
    f = x - whole
    series = E0 + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * E5))))
    return series * to_float((np.int32(whole) + BIAS) << BITS)


@inlined
def log2(x):
    """log2 x for x above 1e-37."""
    bits = to_bits(x)
    power = shifted(difference(bits, ROOT), BITS)  # type: ignore[call-arg, var-annotated]
    f = to_float(bits - (power << BITS)) - ONE
    series = f * (L1 + f * (L2 + f * (L3 + f * (L4 + f * (L5 + f * (L6 + f * (L7 + f * L8)))))))
    return series + F(power)


@inlined
def log1p(x):
    """ln(1 + x) for x from 0 to 1."""
    return x * (P1 + x * (P2 + x * (P3 + x * (P4 + x * (P5 + x * (P6 + x * P7))))))

"""Loops whose sums stay in the processor's registers: the core of the compiled kernel.

*Products* with a matrix of 64 columns. A BLAS first copies both matrices into an order of its own, which pays for large
ones; those of the compiled kernel fit into the fastest cache as they are, and without the copies the products are a
quarter faster. *Interpolation* of all cells of an edge from its slots, each of which is read but once.

Both are written for LLVM, since no loop in Python's terms keeps that many numbers in registers (docs/dense.md). They
take contiguous arrays of float32 and trust their shapes. A block of sums, with 16 registers of 8 numbers (AVX2)::

    a (pixel, in)          b (in, 64)  |  8  |  8  | -> 2 registers of b, loaded for each step of the inner axis
        row 0   a[0, k]                |sum00|sum01|
        ...                            | ... | ... |    12 registers of sums, kept over the whole inner axis
        row 5   a[5, k]                |sum50|sum51|
                   '-> 1 register, the number in all of its lanes
"""

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .geometry import WIDTH
from .slots import slots

LANES, ROWS = (16, 12) if llvmlite.binding.get_host_cpu_features().get("avx512f") else (8, 6)
"""Numbers in a register, and rows of a block of sums, which has two registers a row: with what is multiplied 15 of 16
registers, or 27 of 32, are in use."""

INDEX, REAL = ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(REAL, LANES)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)

# -- what the loops are made of ---------------------------------------------------------------------------------


def _checked(out, *arrays) -> None:
    for array in (out, *arrays):
        if array.layout != "C" or array.dtype != types.float32:
            raise TypingError(f"{array}: only contiguous arrays of float32 can be worked on in registers.")
    if not out.mutable:
        raise TypingError(f"{out}: the result cannot be written.")


def _arrays(context, builder, signature, arguments):
    """Structures of those arguments that are arrays, and the other arguments.

    The function that is made here, ``multiply`` or ``interpolate``, is kept as one: with all of the kernel in one
    function, it would take long to compile.
    """
    builder.function.attributes.add("noinline")
    pairs = list(zip(signature.args, arguments, strict=True))
    arrays = [context.make_array(kind)(context, builder, v) for kind, v in pairs if isinstance(kind, types.Array)]
    return arrays, [v for kind, v in pairs if not isinstance(kind, types.Array)]


def _pixel(builder, data, place):
    """Pointer to the numbers of a pixel."""
    return builder.gep(data, [builder.mul(place, INDEX(WIDTH))])


def _register(builder, place, offset):
    """Pointer to a register's numbers."""
    return builder.bitcast(builder.gep(place, [offset]), VECTOR.as_pointer())


def _everywhere(builder, number):
    """Register with one number in all of its lanes."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _add_product(builder, total, a, b):
    """Sum of a register and a product, rounded once where the processor can."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), total, flags=("contract",))


# -- products ---------------------------------------------------------------------------------------------------


def _block(rows: int, columns: int):
    """Function that sets so many rows and columns of ``out = a b``, (pixel, in) by (in, 64), from a place on."""
    registers = columns // LANES

    @intrinsic
    def block(typing, a, b, out, row, column):
        _checked(out, a, b)

        def generate(context, builder, signature, arguments):
            (a, b, out), (row, column) = _arrays(context, builder, signature, arguments)
            inner = cgutils.unpack_tuple(builder, a.shape)[1]
            numbers = [builder.add(row, INDEX(r)) for r in range(rows)]
            lines = [builder.gep(a.data, [builder.mul(number, inner)]) for number in numbers]
            sums = _sums(builder, lines, builder.gep(b.data, [column]), inner)
            for number, values in zip(numbers, sums, strict=True):
                place = builder.gep(_pixel(builder, out.data, number), [column])
                for v, value in enumerate(values):
                    builder.store(value, _register(builder, place, INDEX(v * LANES)), align=4)
            return context.get_dummy_value()

        return types.void(a, b, out, types.int64, types.int64), generate

    def _sums(builder, lines, right, inner):
        """Registers (row, register) with the sums over the inner axis; LLVM takes what is set aside for registers."""
        sums = [[cgutils.alloca_once_value(builder, ZERO) for _ in range(registers)] for _ in lines]
        with cgutils.for_range(builder, inner, intp=INDEX) as loop:
            place = _pixel(builder, right, loop.index)
            factors = [builder.load(_register(builder, place, INDEX(v * LANES)), align=4) for v in range(registers)]
            for line, row in zip(lines, sums, strict=True):
                left = _everywhere(builder, builder.load(builder.gep(line, [loop.index])))
                for total, factor in zip(row, factors, strict=True):
                    builder.store(_add_product(builder, builder.load(total), left, factor), total)
        return [[builder.load(total) for total in row] for row in sums]

    return block


_several, _one = _block(ROWS, 2 * LANES), _block(1, WIDTH)


@numba.njit(nogil=True)
def multiply(a, b, out):
    """Set ``out = a b``: contiguous (pixel, in) by (in, 64), of float32."""
    together = len(a) // ROWS * ROWS
    for r in range(0, together, ROWS):
        for c in range(0, WIDTH, 2 * LANES):
            _several(a, b, out, r, c)
    for r in range(together, len(a)):
        _one(a, b, out, r, 0)


# -- interpolation ----------------------------------------------------------------------------------------------


def _cells(n: int):
    """Function that sets the cells 0 to n of an edge with n maps; :func:`interpolate` has its parameters."""
    weights = slots(n).cells.tolist()

    @intrinsic
    def cells(typing, out, to, count, slots, start, stride, outer, plain, beyond):
        _checked(out, slots, outer, plain, beyond)

        def generate(context, builder, signature, arguments):
            (out, slots, outer, plain, beyond), (to, count, start, stride) = _arrays(
                context, builder, signature, arguments
            )
            length = cgutils.unpack_tuple(builder, out.shape)[1]
            targets = [_pixel(builder, out.data, builder.add(to, builder.mul(INDEX(k), length))) for k in range(n + 1)]
            sources = [
                _pixel(builder, slots.data, builder.add(start, builder.mul(INDEX(i), stride)))
                for i in range(len(weights[0]))
            ]
            of_middle = {n - 1: (outer.data,), n: (plain.data, beyond.data)}
            with cgutils.for_range(builder, builder.mul(count, INDEX(WIDTH // LANES)), intp=INDEX) as loop:
                here = builder.mul(loop.index, INDEX(LANES))
                values = [builder.load(_register(builder, source, here), align=4) for source in sources]
                for k, target in enumerate(targets):
                    total = ZERO
                    for place in of_middle.get(k, ()):
                        total = builder.fadd(total, builder.load(_register(builder, place, here), align=4))
                    for weight, value in zip(weights[k], values, strict=True):
                        if weight:
                            total = _add_product(builder, total, ir.Constant(VECTOR, [weight] * LANES), value)
                    builder.store(total, _register(builder, target, here), align=4)
            return context.get_dummy_value()

        whole = types.int64
        return types.void(out, whole, whole, slots, whole, whole, outer, plain, beyond), generate

    return cells


_cells_of_one, _cells_of_two, _cells_of_three = _cells(1), _cells(2), _cells(3)


@numba.njit(nogil=True)
def interpolate(n, out, to, count, slots, start, stride, outer, plain, beyond):
    """Set the cells of an edge from its slots, and from the middle, which the two innermost of them read.

    Parameters
    ----------
    n : int
        Edge maps: 1, 2 or 3.
    out : (cell, pixel, 64)
        Count pixels are set, from ``to`` on.
    slots : (pixel, 64)
        Slot i of the first pixel stands at start + i stride.
    outer, plain, beyond : (pixel, 64)
        Products of the innermost cell but one with the tap towards the middle; of the innermost with the tap in the
        middle and with the tap towards the middle.
    """
    if n == 1:
        _cells_of_one(out, to, count, slots, start, stride, outer, plain, beyond)
    elif n == 2:
        _cells_of_two(out, to, count, slots, start, stride, outer, plain, beyond)
    else:
        _cells_of_three(out, to, count, slots, start, stride, outer, plain, beyond)

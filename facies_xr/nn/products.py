"""Products with a matrix of 64 columns, whose sums stay in the processor's registers: the core of the compiled kernel.

A BLAS first copies both matrices into an order of its own, which pays for large ones. Those of
:mod:`facies_xr.nn.kernels` fit into the fastest cache as they are: without the copies the products are a quarter faster
(docs/dense.md). The loop is written for LLVM, since no loop in Python's terms keeps a block of sums in registers.
"""

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .network import WIDTH

LANES, ROWS = (16, 12) if llvmlite.binding.get_host_cpu_features().get("avx512f") else (8, 6)
"""Numbers in a register, and rows of a block of sums: with two registers a row, all but a few are in use."""

INDEX, REAL = ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(REAL, LANES)


def _block(rows: int, columns: int):
    """Function that sets a block of ``out = a b``, (pixel, in) by (in, 64), from a row and a column on."""
    registers = columns // LANES

    @intrinsic
    def block(typing, a, b, out, row, column):
        def generate(context, builder, signature, arguments):
            builder.function.attributes.add("noinline")  # or all of the kernel is one function, long to compile
            arrays = zip(signature.args[:3], arguments[:3], strict=True)
            a, b, out = (context.make_array(kind)(context, builder, value) for kind, value in arrays)
            row, column = arguments[3:]
            inner = cgutils.unpack_tuple(builder, a.shape)[1]
            sums = _sums(builder, _starts(builder, a.data, row, inner), builder.gep(b.data, [column]), inner)
            for start, values in zip(_starts(builder, out.data, row, INDEX(WIDTH)), sums, strict=True):
                place = builder.gep(start, [column])
                for v, value in enumerate(values):
                    builder.store(value, _vector_at(builder, place, v), align=4)
            return context.get_dummy_value()

        return types.void(a, b, out, types.int64, types.int64), generate

    def _starts(builder, data, row, width):
        """Pointers to the first numbers of the rows of a matrix."""
        return [builder.gep(data, [builder.mul(builder.add(row, INDEX(r)), width)]) for r in range(rows)]

    def _sums(builder, lines, right, inner):
        """Registers (row, register) with the sums over the inner axis."""
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(INDEX)
        sums = [[builder.phi(VECTOR) for _ in range(registers)] for _ in lines]
        place = builder.gep(right, [builder.mul(k, INDEX(WIDTH))])
        factors = [builder.load(_vector_at(builder, place, v), align=4) for v in range(registers)]
        added = []
        for line, row in zip(lines, sums, strict=True):
            left = _everywhere(builder, builder.load(builder.gep(line, [k])))
            products = [builder.fmul(left, factor, flags=("contract",)) for factor in factors]
            added.append([builder.fadd(p, s, flags=("contract",)) for p, s in zip(products, row, strict=True)])
        following = builder.add(k, INDEX(1))
        for phi, first, then in [(k, INDEX(0), following)] + [
            (s, ir.Constant(VECTOR, [0.0] * LANES), value)
            for row, values in zip(sums, added, strict=True)
            for s, value in zip(row, values, strict=True)
        ]:
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, inner), loop, after)
        builder.position_at_end(after)
        return added

    return block


def _vector_at(builder, place, v: int):
    """Pointer to register v after a place."""
    return builder.bitcast(builder.gep(place, [INDEX(v * LANES)]), VECTOR.as_pointer())


def _everywhere(builder, number):
    """Register with one number in all of its lanes."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


_several, _one = _block(ROWS, 2 * LANES), _block(1, WIDTH)


@numba.njit(nogil=True, cache=True)
def multiply(a, b, out):
    """Set ``out = a b``: contiguous (pixel, in) by (in, 64), of float32."""
    together = len(a) // ROWS * ROWS
    for r in range(0, together, ROWS):
        for c in range(0, WIDTH, 2 * LANES):
            _several(a, b, out, r, c)
    for r in range(together, len(a)):
        _one(a, b, out, r, 0)

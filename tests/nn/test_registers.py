"""The compiled loops are the sums that they should be, at every size, and write nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from facies_xr.nn.evaluate.geometry import WIDTH
from facies_xr.nn.evaluate.registers import interpolate, multiply
from facies_xr.nn.evaluate.slots import slots

seeds = st.integers(0, 2**32 - 1)


@given(st.integers(0, 40), st.integers(1, 130), seeds)
@settings(deadline=None)
def test_products(rows, inner, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape).astype("float32") for shape in ((rows, inner), (inner, WIDTH)))
    out = np.full((rows + 2, WIDTH), 7, "float32")
    multiply(a, b, out[1:-1])
    exact, size = a.astype(float) @ b, np.abs(a).astype(float) @ np.abs(b)
    assert (np.abs(out[1:-1] - exact) <= inner * 2.0**-24 * size).all()
    assert (out[[0, -1]] == 7).all()


@given(st.integers(1, 3), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), seeds)
@settings(deadline=None)
def test_cells_of_an_edge(n, count, to, start, seed):
    rng, s = np.random.default_rng(seed), slots(n)
    stride, length = count + 2, to + count + 1
    products = rng.standard_normal((start + len(s.maps) * stride, WIDTH)).astype("float32")
    outer, plain, beyond = rng.standard_normal((3, count, WIDTH)).astype("float32")
    out = np.full((n + 1, length, WIDTH), 7, "float32")
    interpolate(n, out, to, count, products, start, stride, outer, plain, beyond)
    each = products[start:].reshape(-1, stride, WIDTH)[:, :count].astype(float)
    expected = np.einsum("ks,spc->kpc", s.cells, each)
    expected[n - 1] += outer
    expected[n] += plain + beyond
    np.testing.assert_allclose(out[:, to : to + count], expected, atol=1e-5)
    assert (np.delete(out, slice(to, to + count), 1) == 7).all()


@pytest.mark.parametrize("a", [np.zeros((8, 4), "float32")[::2], np.zeros((4, 4))], ids=["strided", "float64"])
def test_what_cannot_be_worked_on_is_refused(a):
    with pytest.raises(TypingError, match="only contiguous arrays of float32"):
        multiply(a, np.zeros((4, WIDTH), "float32"), np.zeros((4, WIDTH), "float32"))

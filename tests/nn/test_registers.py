"""The compiled product is the product, for every number of rows and of inputs, and writes nowhere else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facies_xr.nn.network import WIDTH
from facies_xr.nn.registers import multiply


@given(st.integers(0, 40), st.integers(1, 130), st.integers(0, 2**32 - 1))
def test_equal_to_numpy(rows, inner, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape).astype("float32") for shape in ((rows, inner), (inner, WIDTH)))
    out = np.full((rows + 2, WIDTH), 7, "float32")
    multiply(a, b, out[1:-1])
    exact, size = a.astype(float) @ b, np.abs(a).astype(float) @ np.abs(b)
    assert (np.abs(out[1:-1] - exact) <= inner * 2.0**-24 * size).all()
    assert (out[[0, -1]] == 7).all()

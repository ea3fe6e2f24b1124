"""Blocks with what surrounds them: the same as a slice of the whole, and no neighbour made for its rim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from facies_xr import lazy

SHAPE = (90, 110)
VALUES = np.random.default_rng(0).random((3, *SHAPE)).astype("float32")

CUTS = st.lists(st.integers(1, 120), max_size=4)


def whole(rows, columns, k=0):
    return VALUES[k, rows, columns]


def largest_nearby(reach):
    def function(blocks, inside):
        return maximum_filter(blocks[0], 2 * reach + 1, mode="constant", cval=-1.0)[inside][None]

    return function


def chunks_of(cuts, n):
    return tuple(np.diff([0, *sorted({cut for cut in cuts if cut < n}), n]).tolist())


@given(rows=CUTS, columns=CUTS, reach=st.integers(0, 12), tile=st.sampled_from([16, 32, 512]), timed=st.booleans())
@settings(max_examples=40, deadline=None)
def test_surroundings_are_those_of_the_whole_grid(rows, columns, reach, tile, timed):
    chunks = chunks_of(rows, SHAPE[0]), chunks_of(columns, SHAPE[1])
    of = {"per_time": (2, 1)} if timed else {"given": 2}
    array = lazy.from_windows(whole, chunks, "float32", tile=tile, anywhere=True, **of)
    found = lazy.map_tiles(largest_nearby(reach), [array], channels=1, dtype="float32", tile=16, reach=reach)
    for k, plane in zip((2, 1) if timed else (2,), np.asarray(found[0]).reshape(-1, *SHAPE), strict=True):
        np.testing.assert_array_equal(plane, maximum_filter(VALUES[k], 2 * reach + 1, mode="constant", cval=-1.0))


@pytest.mark.parametrize("anywhere", [True, False])
def test_a_rim_costs_no_neighbour(anywhere):
    """The middle one of 3 x 3 blocks asks for itself and its rim, where any window can be made."""
    asked = []

    def counted(rows, columns):
        asked.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start), "float32")

    array = lazy.from_windows(counted, ((32,) * 3,) * 2, "float32", tile=32, anywhere=anywhere)
    found = lazy.map_tiles(largest_nearby(7), [array], channels=1, dtype="float32", tile=32, reach=7)
    found.blocks[0, 1, 1].compute(scheduler="synchronous")
    assert sum(asked) == ((32 + 2 * 7) ** 2 if anywhere else 96**2)


def test_what_is_made_of_an_array_takes_its_blocks():
    array = lazy.from_windows(whole, ((45, 45), (55, 55)), "float32", given=0, anywhere=True)
    found = lazy.map_tiles(largest_nearby(3), [array * 2], channels=1, dtype="float32", tile=16, reach=3)
    np.testing.assert_array_equal(found[0], 2 * maximum_filter(VALUES[0], 7, mode="constant", cval=-1.0))

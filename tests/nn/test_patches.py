"""Contexts: gaps, mirrors, and the half that must be there."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.nn import patches


def nearest_by_search(valid):
    """The rule, written as it reads: nearest within 16 px; ties by row, then column."""
    rows, columns = np.nonzero(valid)
    out = np.full(valid.shape, -1)
    for r in range(valid.shape[0]):
        for c in range(valid.shape[1]):
            if rows.size == 0:
                continue
            squared = (rows - r) ** 2 + (columns - c) ** 2
            best = min(range(rows.size), key=lambda k: (squared[k], rows[k], columns[k]))
            if squared[best] <= 16**2:
                out[r, c] = rows[best] * valid.shape[1] + columns[best]
    return out


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_gaps_take_their_nearest_valid_pixel(height, width, share, seed):
    valid = np.random.default_rng(seed).random((height, width)) < share * 0.1
    np.testing.assert_array_equal(patches.sources(valid), nearest_by_search(valid))


def test_fill_takes_whole_vectors_of_the_nearest():
    features = np.arange(2 * 40 * 40, dtype="float32").reshape(2, 40, 40)
    valid = np.zeros((40, 40), bool)
    valid[0, 0] = True
    features[:, ~valid] = np.nan
    filled = patches.fill(features, patches.sources(valid))
    np.testing.assert_array_equal(filled[:, 10, 10], features[:, 0, 0])
    assert np.isnan(filled[:, 39, 39]).all()
    assert filled.dtype == "float32"


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    part=st.tuples(st.integers(0, 59), st.integers(1, 30), st.integers(0, 59), st.integers(1, 30)),
)
@settings(max_examples=80, deadline=None)
def test_frames_mirror_the_grid_wherever_the_window_lies(size, part):
    height, width = size
    r0, c0 = min(part[0], height - 1), min(part[2], width - 1)
    inside = (slice(r0, min(r0 + part[1], height)), slice(c0, min(c0 + part[3], width)))
    array = np.random.default_rng(0).random((3, height, width))
    whole = np.pad(array, [(0, 0), (16, 16), (16, 16)], mode="reflect")
    expected = whole[:, inside[0].start : inside[0].stop + 32, inside[1].start : inside[1].stop + 32]
    np.testing.assert_array_equal(patches.frame(array, inside), expected)


def test_share_of_valid_context_counts_a_mirrored_cell_as_its_source():
    valid = np.zeros((50, 50), bool)
    valid[:, :25] = True
    whole = (slice(0, 50), slice(0, 50))
    mirrored = np.pad(valid, 16, mode="reflect")
    for r, c in ((0, 0), (10, 24), (25, 25), (49, 40)):
        share = mirrored[r : r + 33, c : c + 33].mean()
        for least, expected in ((share - 1e-6, True), (share + 1e-6, False)):
            assert patches.enough(patches.frame(valid, whole), least)[r, c] == expected


def test_cut_takes_the_33_px_around():
    framed = np.random.default_rng(0).random((4, 60, 70)).astype("float32")
    rows, columns = np.array([0, 5, 27]), np.array([0, 37, 3])
    found = patches.cut(framed, rows, columns)
    for k in range(3):
        np.testing.assert_array_equal(found[k], framed[:, rows[k] : rows[k] + 33, columns[k] : columns[k] + 33])

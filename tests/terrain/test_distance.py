"""Distances to the nearest point, against all points and scipy's transform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial.distance import cdist

from facies_xr.terrain.distance import squared_distance
from facies_xr.terrain.proximity import Boundary, distances, rim


@given(
    st.sets(st.tuples(st.integers(-40, 60), st.integers(-40, 60)), min_size=1, max_size=60),
    st.tuples(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 25), st.integers(1, 25)),
)
@settings(max_examples=200, deadline=None)
def test_no_point_is_nearer(points, window):
    rows, columns = np.ascontiguousarray(np.array(sorted(points), "int32").T)
    top, left, height, width = window
    pixels = np.stack(np.mgrid[top : top + height, left : left + width], -1).reshape(-1, 2)
    expected = cdist(pixels, np.column_stack([rows, columns]), "sqeuclidean").min(1).reshape(height, width)
    np.testing.assert_array_equal(squared_distance(rows, columns, *window), expected)
    np.testing.assert_array_equal(Boundary(rows, columns).distance(top, left, (height, width)), np.sqrt(expected))


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_each_glacier_has_its_own_distance(seed):
    rng = np.random.default_rng(seed)
    index = np.zeros((60, 70), "int32")
    for number in (5, 900, 17):
        seeds = rng.random(index.shape) < 0.004
        index[binary_dilation(seeds, iterations=int(rng.integers(1, 9)))] = number
    boundaries = Boundary.by_number(rim(np.pad(index, 1), (100, -7)))
    found = np.zeros(index.shape)
    for number, box, own, distance in distances(boundaries, index, (100, -7)):
        assert (index[box][own] == number).all()
        found[box][own] = distance
    expected = np.zeros(index.shape)
    for number in np.unique(index[index > 0]):
        inside = np.pad(index == number, 1)
        expected += distance_transform_edt(inside)[1:-1, 1:-1]
    np.testing.assert_allclose(found, expected)


def test_a_window_without_ice_has_no_distances():
    assert list(distances({}, np.zeros((5, 6), "int32"), (0, 0))) == []


def test_the_boundary_of_a_complex_counts_every_pixel_once():
    left, right = (
        Boundary(*np.ascontiguousarray(np.array(points, "int32").T))
        for points in ([(0, 3), (1, 1)], [(0, 0), (1, 1), (7, 2)])
    )
    united = Boundary.united([left, right])
    assert list(zip(united.rows.tolist(), united.columns.tolist(), strict=True)) == [(0, 0), (0, 3), (1, 1), (7, 2)]
    assert united.distance(1, 3, (1, 1)).item() == pytest.approx(1.0)

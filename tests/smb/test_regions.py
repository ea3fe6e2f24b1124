"""Regions by steps from glacier to glacier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facies_xr.smb.regions import Regions, kilometres, linked

DEGREES = st.lists(st.tuples(st.floats(-180, 180), st.floats(-85, 85)), min_size=1, max_size=12, unique=True)


def test_distances_are_those_of_the_sphere():
    assert kilometres(0.5, 0.0, 1.5, 0.0) == pytest.approx(111.19, abs=0.01)
    assert kilometres(10.0, 60.0, 11.0, 60.0) == pytest.approx(55.60, abs=0.05)
    assert kilometres(179.5, 1.0, -179.5, 1.0) == pytest.approx(111.18, abs=0.02)
    assert np.isnan(kilometres(0.0, 0.0, 10.0, 46.0))  # a position of 0, 0 is none


def test_a_chain_is_one_region_and_a_gap_makes_two():
    longitude = np.array([10.0, 11.0, 12.0, 13.0, 20.0, 20.5])
    latitude = np.full(6, 60.0)
    assert linked(longitude, latitude, 60.0).tolist() == [0, 0, 0, 0, 1, 1]
    regions = Regions.of(np.array([longitude, latitude]), 60.0)
    assert regions(np.array([[13.9, 16.0, 20.2, np.nan], np.full(4, 60.0)])).tolist() == [0, -1, 1, -1]
    nowhere = Regions.of(np.full((2, 3), np.nan), 60.0)
    assert nowhere(np.array([[np.nan, 10.0], [np.nan, 46.0]])).tolist() == [0, -1]


@given(DEGREES, st.floats(10, 5000))
def test_every_known_glacier_is_of_its_own_region(places, step):
    longitude, latitude = np.array(places).T
    regions = Regions.of(np.array([longitude, latitude]), step)
    number = regions(np.array([longitude, latitude]))
    assert (number >= 0).all()
    away = kilometres(longitude[:, None], latitude[:, None], longitude, latitude)
    near = np.isfinite(away) & (away <= step)
    assert (number[:, None] == number)[near].all()

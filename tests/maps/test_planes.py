"""Planes by name."""

import numpy as np
import pytest

from facies_xr.maps.planes import Planes


def test_planes_lie_in_the_order_of_their_names():
    planes = Planes.of(label=1, spread=0, score=8, index=1)
    assert len(planes) == 10
    assert "spread" not in planes
    assert (planes["label"], planes["score"], planes["index"]) == (slice(0, 1), slice(1, 9), slice(9, 10))
    assert planes.only("index") == 9
    with pytest.raises(KeyError):
        planes["spread"]
    with pytest.raises(KeyError, match="score has 8 planes"):
        planes.only("score")
    empty = planes.empty((2, 3))
    assert empty.shape == (10, 2, 3)
    assert np.isnan(empty).all()

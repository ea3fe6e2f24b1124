"""Burning shapes from many threads at once."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numba
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from facies_xr.rasters.burn import burn


@pytest.fixture
def restless():
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")
def test_threads_that_burn_and_compile_leave_warnings_as_they_were(restless):
    box, square = GeoBox((8, 8), Affine.identity(), "EPSG:32632"), shapely.box(2, 2, 6, 5)

    def work(k):
        if k % 20 == 0:
            numba.njit(lambda x: x + k)(k)
        return burn([square], box).sum()

    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("always")
        assert set(pool.map(work, range(400))) == {12}
        warnings.warn("still heard", UserWarning, stacklevel=1)
    assert [str(w.message) for w in said if w.category is not PendingDeprecationWarning] == ["still heard"]
    assert warnings.filters == before

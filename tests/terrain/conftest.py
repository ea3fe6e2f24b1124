"""Ground that several files of tests stand on."""

import numpy as np
import pytest
import xarray as xr

from facies_xr import grids

from .ground import synthetic_outlines


@pytest.fixture
def plane():
    box = grids.grid(synthetic_outlines(), 10)
    z = np.add.outer(np.arange(box.height, 0, -1.0), np.zeros(box.width)) + 1000
    return xr.DataArray(z, dims=("y", "x"), coords=grids.coords(box), name="plane")

"""The scenes that come with the package are the real ones, and the first lines of the README run on them."""

import doctest

import numpy as np
import rasterio

import facies_xr as fx
from facies_xr import samples


def test_the_docstring_runs():
    outcome = doctest.testmod(samples)
    assert outcome.attempted >= 5
    assert outcome.failed == 0


def test_pixels_are_those_of_the_files_they_were_cut_from(shared):
    folder = fx.sample().catalog.parent
    cut = sorted(folder.rglob("*.TIF"))
    assert len(cut) == 18
    for path in cut:
        whole = shared / "landsat_l1_montana_mission" / path.relative_to(folder)
        with rasterio.open(path) as part, rasterio.open(whole) as source:
            window = source.window(*part.bounds)
            np.testing.assert_array_equal(part.read(1), source.read(1, window=window))
            assert part.dtypes == source.dtypes


def test_maps_of_the_sample(tmp_path):
    place = fx.sample()
    items = fx.search(place.catalog, place.area, years=place.years, season=place.season)
    cube = fx.load(items, place.area, resolution=30).isel(y=slice(60, 160), x=slice(60, 160))
    maps = cube.facies.classify("synthetic-v1-bands")
    stored = fx.write(maps.facies.calibrate(), tmp_path / "maps.zarr", progress=False)
    assert stored.sizes["time"] == 3
    assert (stored.facies_map != 255).mean() > 0.99

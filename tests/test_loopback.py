"""The synthetic region behind a real STAC API and an HTTP server, from search to Zarr."""

import numpy as np
import pystac

import facies_xr as fx
from facies_xr.stations import BANDS

from .servers import Files, stac_api


def test_a_region_behind_an_api_gives_the_same_cube(region, world, tmp_path):
    local = fx.search(region.catalog, region.outlines, years=world.years)
    folder = region.folder
    with Files(folder).serve() as base:
        items = []
        for item in local:
            copy = item.full_copy()
            copy.clear_links()
            for asset in copy.assets.values():
                asset.href = asset.href.replace(str(folder), base)
            items.append(copy)
        path = tmp_path / "items.json"
        pystac.ItemCollection(items).save_object(str(path))
        with stac_api(path) as url:
            found = fx.search(url, region.outlines, years=world.years)
            assert sorted(i.id for i in found) == sorted(i.id for i in local)
            cube = fx.write(fx.load(found, region.outlines), tmp_path / "cube.zarr", progress=False)
    expected = fx.load(local, region.outlines).compute()
    for band in (*BANDS, "saturated"):
        np.testing.assert_array_equal(cube[band].values, expected[band].values)
    assert (cube.calibration == expected.calibration).all()

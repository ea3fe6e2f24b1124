"""Glacier index, distances and bounds of glaciers, as they were at a time."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from scipy.ndimage import distance_transform_edt

import facies_xr as fx
from facies_xr import grids
from facies_xr.errors import InputError
from facies_xr.terrain.proximity import Boundary, rim

from .ground import ROUGH, square, synthetic_outlines


def test_tiles_without_ice(plane):
    """The grid has tiles that no glacier touches."""
    box = grids.geobox(plane).pad(600)
    z = xr.DataArray(np.full(box.shape, 1000.0), dims=("y", "x"), coords=grids.coords(box), name="plain")
    found = fx.add_terrain(box, z, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0).proximity
    near = fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0)
    there = found.reindex_like(near.proximity).values
    np.testing.assert_allclose(there, near.proximity.values, atol=1e-3)
    assert found.values.sum() == pytest.approx(there.sum())


def test_touching_glaciers_nunataks_and_specks(plane):
    found = fx.add_terrain(
        grids.geobox(plane), plane, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0
    ).compute()
    index = found.glacier_index.values
    for number, name in ((1, "left"), (2, "right")):
        mask = index == number
        own = distance_transform_edt(mask) * 10  # to the glacier's own boundary, the neighbour included
        np.testing.assert_allclose(found.proximity.values[mask], own[mask], atol=1e-3, err_msg=name)
    assert (found.proximity.values[index == 0] == 0).all()
    assert 3 not in index
    assert np.isnan(found.glacier_elevation_min.values[2])
    assert list(found.glacier.values) == ["left", "right", "speck"]
    np.testing.assert_array_equal(found.glacier_number, [1, 2, 3])


def test_distances_of_a_real_glacier(shared):
    with rasterio.open(shared / "liligo_glacierSMBM" / "glacierMask_30m.tif") as file:
        mask = np.pad(file.read(1) == 1, 1)
    with rasterio.open(shared / "reference_terrain" / "liligo_glacier_edt_inside_m.tif") as file:
        expected = file.read(1)
    rows, columns = np.nonzero(mask)
    boundary = Boundary.by_number(rim(np.pad(mask, 1).astype("int32"), (0, 0)))[1]
    distance = boundary.distance(0, 0, mask.shape)[rows, columns] * 30
    reference = np.pad(expected, 1)[rows, columns]
    # The reference has no frame of outside pixels: compare where the raster's edge is not nearer.
    edge = np.minimum.reduce([rows, columns, mask.shape[0] - 1 - rows, mask.shape[1] - 1 - columns]) * 30
    inner = reference <= edge
    assert inner.mean() > 0.9
    np.testing.assert_allclose(distance[inner], reference[inner], atol=1e-3)


def test_glaciers_smaller_than_a_pixel_are_a_named_empty_result(plane):
    table = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[shapely.box(600011, 5100011, 600013, 5100013)], crs=32632)
    with pytest.warns(UserWarning, match="none of the 1 glaciers covers the centre of a pixel of 10 m"):
        found = fx.add_terrain(grids.geobox(plane), plane, table, sun_azimuth=180.0, sun_elevation=40.0)
    assert found.glacier.values.tolist() == ["a"]
    assert not found.glacier_index.any()
    assert not found.proximity.any()
    assert found.glacier_elevation_min.isnull().all()
    assert len(found.attrs["dem_digest"]) == 16


def test_distance_to_the_boundary_of_the_complex(plane):
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    found = fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), boundary="complex", **sun).compute()
    ice = found.glacier_index.values > 0
    np.testing.assert_allclose(found.proximity.values, distance_transform_edt(ice) * 10, atol=1e-3)
    for k in (0, 1):
        own = found.glacier_index.values == k + 1
        assert found.glacier_proximity_max.values[k] == pytest.approx(found.proximity.values[own].max())
    with pytest.raises(InputError, match="boundary='rim'"):
        fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), boundary="rim", **sun)


def test_of_several_outlines_the_nearest_in_time_is_taken(plane):
    def dated(size, date):
        return {**square(600000, 5100000, size, "a"), "date": date}

    table = gpd.GeoDataFrame([dated(600, "1990-08-01"), dated(400, "2005-08-01"), dated(200, "2020-08-01"),
                              {**square(600700, 5100000, 300, "b"), "date": None}], crs="EPSG:32632")  # fmt: skip
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    for years, size, date in ((("1988", "1996"), 600, "1990-08-01"), (("2003", "2011"), 400, "2005-08-01"),
                              (("2019", "2024"), 200, "2020-08-01")):  # fmt: skip
        times = np.array([f"{y}-08-20" for y in years], "datetime64[ns]")
        cube = xr.Dataset(coords={**grids.coords(grids.geobox(plane)), "time": times})
        found = fx.add_terrain(cube, plane, table, **sun)
        assert found.glacier.values.tolist() == ["a", "b"]
        assert str(found.outline_date.values[0])[:10] == date
        assert int((found.glacier_index == 1).sum()) == (size / 10) ** 2


def test_outlines_of_each_year(plane, bands_classifier):
    """A glacier that shrinks from year to year beside one whose outline is known once."""
    shrinking = [{**square(600000, 5100000, 100 * k, "a"), "date": f"{y}-08-01"} for k, y in ((6, 2000), (4, 2010))]
    table = gpd.GeoDataFrame([*shrinking, {**square(600700, 5100000, 300, "b"), "date": None}], crs="EPSG:32632")
    times = np.array(["2001-07-01", "2001-09-01", "2009-08-20", "2002-08-20"], "datetime64[ns]")
    box = grids.geobox(plane)
    values = np.random.default_rng(0).random((4, *box.shape), "float32")
    bands = {name: (("time", "y", "x"), values) for name in ("blue", "green", "red", "nir", "swir1", "swir2")}
    cube = xr.Dataset(bands, coords={**grids.coords(box), "time": times}, attrs={"level": "TOA"})
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    found = fx.add_terrain(cube, plane, table, per_year=True, **sun).compute()
    for name in ("glacier_index", "proximity"):
        assert found[name].dims == ("time", "y", "x")
    sizes = [3600, 3600, 1600, 3600]
    assert (found.glacier_index == 1).sum(("y", "x")).values.tolist() == sizes
    assert (found.glacier_index == 2).sum(("y", "x")).values.tolist() == [900] * 4
    assert found.outline_date.sel(glacier="a").dt.year.values.tolist() == [2000, 2000, 2010, 2000]
    for t in range(4):
        there = fx.add_terrain(cube.isel(time=[t]), plane, table, **sun)
        for name in ("glacier_index", "proximity"):
            np.testing.assert_array_equal(found[name][t], there[name])
        for name in ("glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max"):
            np.testing.assert_array_equal(found[name][t], there[name])
    maps = found.facies.classify(bands_classifier)
    assert (maps.facies_map != 255).sum(("y", "x")).values.tolist() == [n + 900 for n in sizes]
    stats = maps.facies.statistics()
    np.testing.assert_allclose(stats.glacier_area.sel(glacier="a"), np.array(sizes) * 1e-4)
    with pytest.raises(InputError, match="needs a cube with a time"):
        fx.add_terrain(box, plane, table, per_year=True, **sun)


def test_each_year_scales_its_own_glacier(plane, classifier):
    """Maps of a cube with outlines of each year are those of each date alone."""
    table = gpd.GeoDataFrame(
        [{**square(600000, 5100000, 100 * k, "a"), "date": f"{y}-08-01"} for k, y in ((6, 2000), (3, 2010))],
        crs="EPSG:32632",
    )
    box, rng = grids.geobox(plane), np.random.default_rng(0)
    times = np.array(["2001-08-20", "2009-08-20"], "datetime64[ns]")
    values = rng.random((2, *box.shape), "float32")
    bands = {name: (("time", "y", "x"), values) for name in ("blue", "green", "red", "nir", "swir1", "swir2")}
    cube = xr.Dataset(bands, coords={**grids.coords(box), "time": times}, attrs={"level": "TOA"})
    cube = cube.isel(y=slice(None, None), x=slice(0, 70))
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    together = fx.add_terrain(cube, plane, table, per_year=True, **sun).facies.classify(classifier).compute()
    for t in range(2):
        alone = fx.add_terrain(cube.isel(time=[t]), plane, table, **sun).facies.classify(classifier).compute()
        np.testing.assert_array_equal(together.confidence[t], alone.confidence[0])


@pytest.mark.parametrize("boundary", ["glacier", "complex"])
def test_many_glaciers_as_one_by_one(boundary):
    box, dem, table = ROUGH
    found = fx.add_terrain(box, dem, table, sun_azimuth=150.0, sun_elevation=60.0, boundary=boundary).compute()
    index = found.glacier_index.values
    for k in range(25):
        inside = index == k + 1
        if not inside.any():
            continue
        geometry = table.geometry.iloc[k]
        if not shapely.box(600010, 5100010, 606990, 5106390).contains(geometry):
            continue  # the glacier goes on beyond this grid, where scipy sees nothing
        distance = distance_transform_edt(inside if boundary == "glacier" else index > 0)[inside] * 10
        np.testing.assert_allclose(found.proximity.values[inside], distance, atol=1e-3)
        assert found.glacier_proximity_max.values[k] == pytest.approx(distance.max())
        assert found.glacier_elevation_min.values[k] == pytest.approx(np.nanmin(found.elevation.values[inside]))
        assert found.glacier_elevation_max.values[k] == pytest.approx(np.nanmax(found.elevation.values[inside]))

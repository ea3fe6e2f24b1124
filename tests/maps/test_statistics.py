"""Glacier statistics against counting by hand, one glacier at a time, and other chunks."""

from itertools import product
from unittest import mock

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
import zarr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import facies_xr as fx
from facies_xr.classes import NODATA, VALUES
from facies_xr.errors import InputError
from facies_xr.maps import statistics as module
from facies_xr.maps.codes import EDGE, SNOW, STRAY_SNOW, UNSEEN, Coder
from facies_xr.maps.series import FLAGS, end_of_season
from facies_xr.maps.statistics import statistics
from facies_xr.seasons import Season
from facies_xr.stations import STATISTICS

from ..conftest import clear_sky
from .labelled import SHAPE, many_glaciers, maps_of, snow_above


def test_too_little_coverage_is_refused():
    labels = snow_above(2400)
    labels[0, :60] = VALUES["cloud"]
    found = statistics(maps_of(labels)).isel(time=0, glacier=0)
    assert float(found.coverage) < 0.8
    assert np.isnan(found.accumulation_area_ratio)
    assert np.isnan(found.snow_line_altitude)


def test_albedo_needs_most_of_the_seen_surface():
    albedo = np.full((1, *SHAPE), 0.4)
    albedo[0, :, :70] = 0.6
    found = statistics(maps_of(snow_above(2400), albedo=albedo)).isel(time=0, glacier=0)
    assert float(found.albedo) == pytest.approx(0.5, abs=1e-3)
    albedo[0, 10:80] = np.nan  # saturated
    assert np.isnan(statistics(maps_of(snow_above(2400), albedo=albedo)).albedo)


def test_firn_can_be_counted_too():
    labels = snow_above(2400)
    labels[0, 100:110] = VALUES["firn"]
    snow = statistics(maps_of(labels)).accumulation_area_ratio
    both = statistics(maps_of(labels), classes=("snow", "firn")).accumulation_area_ratio
    assert float((both - snow)[0, 0]) == pytest.approx(10 / 140)
    with pytest.raises(InputError, match="lava"):
        statistics(maps_of(labels), classes=("lava",))


@given(st.integers(0, 10**6), st.integers(7, 160), st.integers(1, 100))
@settings(max_examples=8, deadline=None)
def test_no_chunk_and_no_block_changes_a_number(seed, chunks, block):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 3, 7, 255], (2, *SHAPE), p=[0.3, 0.5, 0.05, 0.05, 0.05, 0.05])
    index = np.zeros(SHAPE, "int32")
    index[rng.random(SHAPE) < 0.9] = 4
    albedo = rng.random((2, *SHAPE))
    with mock.patch.object(module, "SIEVE", 2000.0):  # patches of 20 px, so that blocks may be as small
        whole = statistics(maps_of(labels, index=index, albedo=albedo)).compute()
        with mock.patch.object(module, "BLOCK", block):
            part = statistics(maps_of(labels, index=index, albedo=albedo, chunks=chunks)).compute()
    xr.testing.assert_identical(part.drop_attrs(), whole.drop_attrs())


@given(st.integers(0, 10**6), st.floats(0.3, 0.7), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_codes_against_labelled_patches(seed, share, smallest):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((40, 37)) < share, SNOW, VALUES["ice"]).astype("uint8")
    labels[rng.random(labels.shape) < 0.05] = rng.choice([255, VALUES["cloud"], VALUES["firn"]])
    index = rng.integers(0, 3, (4, 4)).repeat(10, 0).repeat(10, 1)[:40, :37]
    inside = slice(5, 33), slice(3, 37)
    found = Coder((SNOW,), smallest)([labels, index], inside)
    large, kinds = np.zeros(labels.shape, bool), (labels == SNOW, np.isin(labels, (VALUES["ice"], VALUES["firn"])))
    for kind, glacier in product(kinds, range(3)):
        patch, n = ndimage.label(kind & (index == glacier))
        large |= (np.bincount(patch.ravel(), minlength=n + 1) >= smallest)[patch] & (patch > 0)
    edge = np.zeros(labels.shape, bool)
    for axis, step in product((0, 1), (1, -1)):
        there = [np.roll(a, step, axis) for a in (large, index, labels == SNOW)]
        beside = large & there[0] & (index == there[1]) & ((labels == SNOW) != there[2])
        beside[(slice(None),) * axis + (0 if step == 1 else -1,)] = False
        edge |= beside
    expected = np.where(labels == 255, UNSEEN, np.where(kinds[0] & ~large, STRAY_SNOW, labels)) + EDGE * edge
    np.testing.assert_array_equal(found, expected[inside])


def test_only_the_seen_area_counts_if_asked():
    labels = snow_above(2400)
    labels[0, 10:38] = VALUES["cloud"]  # a fifth, all of it snow
    full, seen = (statistics(maps_of(labels), hidden=rule).isel(time=0, glacier=0) for rule in ("fill", "leave out"))
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1]
    assert float(full.accumulation_area_ratio) == pytest.approx((z[10:150] >= 2400).mean())
    assert float(seen.accumulation_area_ratio) == pytest.approx((z[38:150] >= 2400).mean())
    assert float(full.cloud_share) == pytest.approx(0.2)
    labels[0, 38] = VALUES["cloud"]
    refused, asked = (statistics(maps_of(labels), min_coverage=m).accumulation_area_ratio for m in (0.8, 0.7))
    assert np.isnan(refused).all()
    assert np.isfinite(asked).all()


def test_bands_add_up():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((1, *SHAPE)) < 0.4, VALUES["snow"], VALUES["ice"])
    labels[rng.random((1, *SHAPE)) < 0.1] = VALUES["cloud"]
    found = statistics(maps_of(labels)).compute().isel(time=0, glacier=0)
    assert float(found.band_area.sum()) == pytest.approx(float(found.glacier_area))
    seen = (found.band_area * found.band_coverage).sum()
    assert float(seen / found.glacier_area) == pytest.approx(float(found.coverage))
    area = (found.band_area * found.band_accumulation).sum()
    assert float(area / found.glacier_area) == pytest.approx(float(found.accumulation_area_ratio))


def test_many_glaciers_at_once_are_each_alone():
    """Against a loop over the glaciers that counts pixels."""
    maps = many_glaciers()
    found = statistics(maps, min_coverage=0.0).compute()
    index, z = maps.glacier_index.values, maps.elevation.values
    for t in range(2):
        labels = maps.facies_map.values[t]
        for k, number in enumerate(maps.glacier_number.values):
            here, own = index == number, found.isel(time=t, glacier=k)
            if not here.any():
                assert float(own.glacier_area) == 0
                assert np.isnan(own.accumulation_area_ratio)
                continue
            assert float(own.glacier_area) == pytest.approx(here.sum() * 1e-4)
            assert float(own.coverage) == pytest.approx((~np.isin(labels[here], [4, 7, 255])).mean())
            for value in (0, 1, 2, 3):
                assert float(own.class_area[value]) == pytest.approx((labels[here] == value).sum() * 1e-4)
            if number == 78:  # of unknown elevation: areas, but no ratio by bands
                assert np.isnan(own.mean_elevation)
                assert np.isnan(own.accumulation_area_ratio)
                continue
            metres = np.floor(z[here & np.isfinite(z)])
            assert float(own.min_elevation) == metres.min()
            assert float(own.max_elevation) == metres.max() + 1
            assert float(own.mean_elevation) == pytest.approx(metres.mean() + 0.5)
            band = np.floor(z / 20)
            shares, sizes = [], []
            for b in np.unique(band[here & np.isfinite(z)]):
                there = here & (band == b)
                seen = there & ~np.isin(labels, [4, 7, 255])
                shares.append((labels[seen] == 1).mean() if seen.any() else np.nan)
                sizes.append(there.sum())
            if np.isfinite(shares).all() and np.isfinite(own.accumulation_area_ratio):
                expected = np.average(shares, weights=sizes)
                assert float(own.accumulation_area_ratio) == pytest.approx(expected)
    pixel = found.sel(glacier="77")
    assert pixel.glacier_area.item() == pytest.approx(1e-4)
    assert set(np.unique(np.nan_to_num(pixel.accumulation_area_ratio.values, nan=-1))) <= {-1.0, 0.0, 1.0}


def test_glaciers_that_go_on_beyond_the_grid():
    index = np.zeros(SHAPE, "int32")
    index[0:40, 20:60] = 4
    assert statistics(maps_of(snow_above(2400), index=index)).cut_by_edge.values.tolist() == [True]
    assert statistics(maps_of(snow_above(2400))).cut_by_edge.values.tolist() == [False]


def test_outlines_that_move():
    labels = np.concatenate([snow_above(2400)] * 2)
    maps = maps_of(labels)
    index = np.stack([maps.glacier_index.values] * 2)
    index[1, 100:] = 0
    moved = maps.assign(glacier_index=(("time", "y", "x"), index))
    for name in ("glacier_elevation_min", "glacier_elevation_max"):
        moved[name] = (("time", "glacier"), np.stack([maps[name].values] * 2))
    found = statistics(moved).compute()
    for t in range(2):
        alone = statistics(maps.isel(time=[t]).assign(glacier_index=(("y", "x"), index[t]))).compute()
        for name in ("glacier_area", "mean_elevation", "band_area"):
            np.testing.assert_array_equal(found[name][t], alone[name])
        np.testing.assert_array_equal(found.accumulation_area_ratio[t], alone.accumulation_area_ratio[0])


def test_nothing_is_read_before_it_is_asked_for(no_compute):
    maps = maps_of(snow_above(2400), chunks=50)
    for name in ("glacier_elevation_min", "glacier_elevation_max"):  # numbers of glaciers, not of pixels
        maps[name].load()
    with no_compute():
        found = statistics(maps)
    assert found.accumulation_area_ratio.chunks is not None


def test_some_of_the_glaciers_of_a_map():
    maps = many_glaciers()
    whole, part = (statistics(m, min_coverage=0.0).compute() for m in (maps, maps.isel(glacier=[3, 7])))
    xr.testing.assert_equal(part.drop_dims("elevation_band"), whole.drop_dims("elevation_band").isel(glacier=[3, 7]))


def test_a_neighbour_changes_nothing():
    """Stray snow and an edge at a divide belong to a glacier alone."""
    index = np.zeros(SHAPE, "int32")
    index[10:150, 10:70] = 4
    alone = maps_of(snow_above(2400), index=index)
    labels = snow_above(2400)
    labels[0, 120:129, 60:70] = VALUES["snow"]  # 90 px on the glacier, and as many on its neighbour
    labels[0, 120:129, 70:80] = VALUES["snow"]
    both = np.where((np.arange(SHAPE[1]) >= 70) & (np.arange(SHAPE[1]) < 130) & (index.any(1))[:, None], 5, index)
    first = statistics(maps_of(np.where(index > 0, labels, NODATA), index=index)).compute()
    beside = maps_of(labels, index=both.astype("int32"))
    second = statistics(beside).compute()
    for name in ("lowest_snow", "snow_line_boundary", "accumulation_area_ratio"):
        assert float(second[name][0, 0]) == float(first[name][0, 0]), name
    assert float(first.lowest_snow[0, 0]) == float(statistics(alone).lowest_snow[0, 0])


def test_a_season_that_is_given_names_the_years_too():
    maps = maps_of(np.concatenate([snow_above(2400)] * 2))
    maps = maps.assign_coords(
        time=np.array(["2015-03-30", "2015-10-30"], "datetime64[ns]"), balance_year=("time", [2015, 2016])
    )
    found = statistics(maps, season=("02-20", 20))
    assert found.balance_year.values.tolist() == [2015, 2016]
    assert found.days_from_season_centre.values.tolist() == [38, -113]
    loaded = maps.copy()
    loaded.balance_year.attrs.update(season_centre="10-10", season_half_width=20)
    assert statistics(loaded).days_from_season_centre.values[1] == 20


def test_a_season_stays_with_the_statistics():
    maps = maps_of(snow_above(2400))
    assert Season.of(maps) is None
    assert Season.of(statistics(maps)) == Season(8, 20, 20)  # of the latitude
    assert Season.of(statistics(maps, season=("08-20", 40))) == Season(8, 20, 40)
    loaded = maps.assign_coords(balance_year=("time", [2015], Season(8, 10, 30).to_attrs()))
    assert Season.of(statistics(loaded)) == Season(8, 10, 30)
    assert Season.of(statistics(loaded, season=("09-01", 10))) == Season(9, 1, 10)
    assert Season.of(loaded) == Season(8, 10, 30)


def test_days_21_to_40_of_a_wide_season_count():
    """From a cube searched with ("08-20", 40) to the end of its season."""
    maps = maps_of(np.concatenate([snow_above(2400), snow_above(2600)]))
    times = np.array(["2015-08-10", "2015-09-20"], "datetime64[ns]")  # days -10 and 31
    maps = maps.assign_coords(time=times, balance_year=("time", [2015, 2015], Season(8, 20, 40).to_attrs()))
    found = end_of_season(statistics(maps), rule="least snow").isel(glacier=0, balance_year=0)
    assert found.scene_date.values == times[1]
    assert int(found.scenes) == 2
    assert int(found.flags) == 0


def test_what_is_given_is_dressed_as_the_contract_says():
    maps = maps_of(snow_above(2400))
    found = statistics(maps)
    for name, variable in STATISTICS.items():
        if variable.optional:
            assert name not in found.variables
            continue
        assert found[name].dims == variable.dims, name
        assert found[name].dtype.name.startswith(variable.dtype), name
        assert variable.attributes.items() <= found[name].attrs.items(), name


def test_glaciers_that_cover_no_pixel_centre(tmp_path, bands_classifier):
    """A region of two slivers of ice, from its outlines on: a named, empty result."""
    cube = clear_sky((60, 70)).assign_coords(sun_azimuth=("time", [150.0]), sun_elevation=("time", [50.0]))
    slivers = [shapely.box(x, 5100100.5, x + 3, 5100103) for x in (600100.5, 600206)]  # centres are at 105, 205, ...
    outlines = gpd.GeoDataFrame({"glacier": ["a", "b"]}, geometry=slivers, crs=32632)
    z = (2500 + 3.0 * np.arange(120)[:, None] + np.zeros(140)).astype("float32")
    with rasterio.open(tmp_path / "dem.tif", "w", driver="GTiff", height=120, width=140, count=1, dtype="float32",
                       crs="EPSG:32632", transform=Affine(10, 0, 599700, 0, -10, 5100900)) as file:  # fmt: skip
        file.write(z, 1)
    cube = fx.add_terrain(cube, tmp_path / "dem.tif", outlines)
    assert int(cube.glacier_index.max()) == 0
    maps = fx.classify(cube, bands_classifier)
    with pytest.warns(UserWarning, match=r"2 of 2 glaciers have no pixel with an elevation \(a, b\)"):
        found = statistics(maps).compute()
    assert found.glacier.values.tolist() == ["a", "b"]
    assert found.glacier_area.values.tolist() == [0, 0]
    for name in ("accumulation_area_ratio", "snow_line_altitude", "coverage", "albedo", "min_elevation"):
        assert name not in found or np.isnan(found[name]).all(), name
    end = end_of_season(found)
    assert np.isnan(end.accumulation_area_ratio).all()
    assert end.scenes.values.tolist() == [[0], [0]]
    assert end["flags"].values.tolist() == [[FLAGS["low_coverage"]]] * 2


def test_a_map_without_glaciers():
    maps = maps_of(snow_above(2400))
    found = statistics(maps.isel(glacier=[])).compute()
    assert found.sizes["glacier"] == 0
    assert end_of_season(found).sizes["glacier"] == 0


def test_statistics_of_a_store_are_a_table_of_their_own(tmp_path):
    """What a store says of its grid and of itself is not carried along; NetCDF could not even hold it."""
    maps = maps_of(snow_above(2400)).assign_attrs(dem="GLO-30", level="TOA")
    store = fx.write(maps.chunk(), tmp_path / "maps.zarr", progress=False)
    assert "zarr_conventions" in zarr.open_group(tmp_path / "maps.zarr", mode="r").attrs
    found = statistics(store).compute()
    found.to_netcdf(tmp_path / "statistics.nc")
    with xr.open_dataset(tmp_path / "statistics.nc") as again:
        assert again.attrs["dem"] == "GLO-30"
        assert not [name for name in again.attrs if name.startswith(("spatial:", "proj:", "zarr", "facies_xr"))]
        xr.testing.assert_equal(again.accumulation_area_ratio, found.accumulation_area_ratio)


def test_large_numbers_of_glaciers():
    maps = maps_of(snow_above(2400))
    far = maps.assign(glacier_index=maps.glacier_index * 500_000_000 // 4 * 4)
    far = far.assign_coords(glacier_number=("glacier", np.array([2_000_000_000], "int32")))
    xr.testing.assert_equal(
        statistics(far).drop_vars("glacier_number").compute(), statistics(maps).drop_vars("glacier_number").compute()
    )


def test_pixels_that_are_not_square():
    from odc.geo.geobox import GeoBox

    from facies_xr import grids

    labels = snow_above(2700)
    labels[0, 140:149, 20:28] = VALUES["snow"]  # 72 px of 200 m2, a seventeenth of the snow
    maps = maps_of(labels)
    box = GeoBox(SHAPE, Affine(10, 0, 600000, 0, -20, 5200000), "EPSG:32632")
    found = statistics(maps.assign_coords(grids.coords(box)))
    assert float(found.lowest_snow[0, 0]) < 2100

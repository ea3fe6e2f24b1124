"""The synthetic world: one seed is one world, its physics holds, and its scenes are what the missions would write."""

import dataclasses
import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import minimum_filter

import facies_xr as fx
from facies_xr.classes import NODATA, VALUES
from facies_xr.errors import InputError
from facies_xr.scenes import landsat, missions
from facies_xr.scenes.sun import position
from facies_xr.smb.records import read
from facies_xr.stations import BANDS
from facies_xr.synthetic import World, balance, climate, noise, surface, terrain
from facies_xr.synthetic.setting import places


def test_one_seed_gives_one_world(region, world, tmp_path):
    again = world.build(tmp_path / "again")
    for name in ("catalog.json", "balance.csv", "truth_balance.csv", "dem.tif"):
        if name != "catalog.json":
            assert (again.folder / name).read_bytes() == (region.folder / name).read_bytes(), name
    files = sorted(p.relative_to(region.folder) for p in (region.folder / "scenes").rglob("*.*"))
    assert files
    for name in files:
        assert (again.folder / name).read_bytes() == (region.folder / name).read_bytes(), name
    truth = [r.truth() for r in (region, again)]
    np.testing.assert_array_equal(truth[0].seen.values, truth[1].seen.values)


def test_another_seed_is_another_world(world):
    a, b = (terrain.draw(seed, (0, 0), 4, 600, 3400) for seed in (1, 2))
    x, y = np.meshgrid(np.arange(-500, 500, 50.0), np.arange(-500, 500, 50.0))
    assert np.abs(a.places(x, y).elevation(2000) - b.places(x, y).elevation(2000)).mean() > 5


@pytest.mark.parametrize("seed", [7, 21, 32, 34, 35])
def test_no_sensor_takes_two_scenes_on_a_day(seed):
    """With 32 and 35 two scenes of a year met on a day, and their folders could not both be made."""
    one = World(seed=seed, years=(2019, 2020, 2021, 2022), scenes_per_year=4)
    taken = [(plan.sensor, plan.when.date()) for plan in one.plans]
    assert len(set(taken)) == len(taken) == 16
    days = [abs((plan.when.date() - one.season.centre(plan.when.year)).days) for plan in one.plans]
    assert max(days) <= one.season.half_width


def test_as_many_scenes_as_the_season_has_days():
    one = World(years=(2015,), sensors=("landsat-8",), scenes_per_year=41)
    assert len({plan.when.date() for plan in one.plans}) == 41
    with pytest.raises(InputError, match="the season has 41 days"):
        _ = dataclasses.replace(one, scenes_per_year=42).plans


def test_building_twice_builds_once(region, world):
    before = (region.folder / "world.json").stat().st_mtime_ns
    assert world.build(region.folder).folder == region.folder
    assert (region.folder / "world.json").stat().st_mtime_ns == before


@given(st.integers(0, 10**6), st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
@settings(max_examples=30, deadline=None)
def test_fields_are_functions_of_the_place(seed, x0, y0):
    x, y = np.meshgrid(x0 + np.arange(30) * 7.0, y0 + np.arange(20) * 7.0)
    whole = noise.fractal(x, y, seed, 150.0)
    np.testing.assert_array_equal(noise.fractal(x[3:9, 4:20], y[3:9, 4:20], seed, 150.0), whole[3:9, 4:20])


def test_noise_has_unit_deviation():
    x, y = np.meshgrid(np.arange(600) * 10.0, np.arange(600) * 10.0)
    field = noise.fractal(x, y, 3, 300.0)
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(1, abs=0.08)


# -- balance ----------------------------------------------------------------------------------------------------


def weather(temperature, precipitation, years=3):
    days = pd.date_range("1999-10-01", periods=365 * years, freq="D")
    return climate.Weather(days, np.full(days.size, temperature), np.full(days.size, precipitation), 3000.0)


def cells(n=1):
    return balance.Cells(np.full(n, 3000.0), np.ones(n), np.ones(n), np.zeros(n, int))


def calm(w):
    n = np.unique(w.year_of()).size
    return balance.Anomalies(np.zeros((1, n)), np.ones((1, n)))


def test_cold_years_only_gain_and_build_firn():
    w = weather(-10.0, 0.004)
    history = balance.run(cells(), w, calm(w), np.array(["2002-09-01"], "datetime64[D]"))
    assert history.balance[1, 0] == pytest.approx(0.004 * 365, rel=1e-5)
    assert history.firn[0, 0] > history.snow[0, 0] * 0.9


def test_bare_ice_melts_by_its_own_factor():
    w = weather(2.0, 0.0)
    history = balance.run(cells(), w, calm(w), np.array([], "datetime64[D]"))
    assert history.balance[1, 0] == pytest.approx(-2.0 * balance.DEGREE_DAY_FACTORS[2] * 365, rel=1e-4)


def test_mass_is_conserved():
    """What fell, less what is left as snow and firn, is what melted: the balances add up."""
    rng = np.random.default_rng(0)
    w = climate.draw(4, 2000, 2005, 3000.0)
    cold = dataclasses.replace(w, temperature=w.temperature - 6)
    some = balance.Cells(
        rng.uniform(2900, 3300, 40), rng.uniform(0.7, 1.4, 40), rng.uniform(0.8, 1.2, 40), np.zeros(40, int)
    )
    last = cold.days[-1].to_datetime64()
    history = balance.run(some, cold, calm(cold), np.array([last], "datetime64[D]"))
    gained = history.balance[-1]
    kept = history.snow[0]
    grows = gained > 0.3  # on accumulation areas this year's snow is exactly the balance
    assert grows.any()
    np.testing.assert_allclose(gained[grows], kept[grows], atol=1e-3)


def test_layers_become_ice_after_fifteen_years():
    w = weather(-10.0, 0.001, years=30)
    days = np.array(["2010-09-29", "2028-09-01"], "datetime64[D]")
    history = balance.run(cells(), w, calm(w), days)
    assert history.firn[1, 0] == pytest.approx(15 * 0.365, rel=0.01)


# -- scenes -----------------------------------------------------------------------------------------------------


def test_the_sun_stands_where_the_almanac_says():
    from datetime import datetime

    # By hand: declination 12.4, equation of time -3.3 min, so the sun stands 18.98 degrees before the meridian.
    declination, hour, latitude = np.radians([12.4, 18.98, 46.9])
    height = np.arcsin(np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour))
    from_south = np.arcsin(np.cos(declination) * np.sin(hour) / np.cos(height))
    azimuth, elevation = position(datetime(2020, 8, 20, 10, 0), 11.85, 46.9)
    assert azimuth == pytest.approx(180 - np.degrees(from_south), abs=0.3)
    assert elevation == pytest.approx(np.degrees(height), abs=0.3)
    assert position(datetime(2020, 6, 21, 12), 0.0, 40.0)[1] == pytest.approx(73.4, abs=0.3)  # 90 - 40 + 23.4


def test_scenes_decode_to_the_truth(region, cube):
    truth = region.truth().reflectance
    for t in range(cube.sizes["time"]):
        scene = cube.isel(time=t).compute()
        true = truth.isel(time=t).sel(x=scene.x, y=scene.y).values
        for k, band in enumerate(BANDS):
            found = scene[band].values
            good = np.isfinite(found) & np.isfinite(true[k]) & ((scene.saturated.values >> k) & 1 == 0)
            smooth = good & (np.abs(found - true[k]) < 0.2)
            assert smooth.sum() > 0.85 * good.sum()  # edges differ: pixels of 30 m, shifts of some metres
            assert np.median(found[good] - true[k][good]) == pytest.approx(0, abs=0.01), (scene.sensor.item(), band)


def test_missions_write_their_own_numbers(region, world):
    items = {i["id"]: i for i in json.loads(region.catalog.read_text())["features"]}
    kinds = {i["properties"]["platform"].lower().replace("_", "-") for i in items.values()}
    assert len(kinds) >= 3
    for item in items.values():
        scene = missions.resolve(item)
        folder = region.folder / "scenes" / scene.id
        with rasterio.open(next(folder.glob("*B*.[tT][iI][fF]"))) as file:
            assert file.nodata is None  # as the missions: 0 is missing, and no tag says so
            assert file.overviews(1) or max(file.shape) < 512
            assert file.dtypes[0] == ("uint8" if scene.sensor in ("landsat-5", "landsat-7") else "uint16")
            assert (file.read(1) == 0).any()
            step = 30 if scene.sensor.startswith("landsat") else 10
            assert file.res == (step, step)
            assert file.transform.c % step == (15 if step == 30 else 0)
        if scene.sensor.startswith("landsat"):
            (by_text,) = landsat.read(next(folder.glob("*_MTL.txt")))
            (by_json,) = landsat.read(next(folder.glob("*_MTL.json")))
            assert by_text.bands["red"].scale == by_json.bands["red"].scale


def test_old_sensors_saturate_over_snow(cube):
    landsat5 = cube.isel(time=int(np.flatnonzero(cube.sensor.values == "landsat-5")[0])).compute()
    hot = (landsat5.saturated.values & 1) > 0
    assert hot.sum() > 100
    assert landsat5.blue.values[hot].max() < 0.6  # the band ends there, snow does not


def test_truth_is_consistent(region):
    truth = region.truth().load()
    on = truth.surface.values != NODATA
    assert (truth.seen.values[~on] == NODATA).all()
    changed = truth.seen.values[on] != truth.surface.values[on]
    assert set(np.unique(truth.seen.values[on][changed])) <= {VALUES["shadow"], VALUES["cloud"]}
    assert {VALUES["ice"], VALUES["snow"]} <= set(np.unique(truth.surface.values[on]))


def test_records_are_the_truth_with_an_error(region):
    records = read(region.observations)
    both = records.merge(region.balance(), on=["glacier", "balance_year"], suffixes=("", "_true"))
    assert 0 < len(both) < len(region.balance())
    error = both.balance - both.balance_true
    assert 0.1 < error.std() < 0.3


def test_points_are_labels_with_doubts(region, cube):
    points = gpd.read_file(region.points)
    assert {"class", "truth", "item"} <= set(points.columns)
    assert set(points["item"]) <= set(cube.item.values)
    right = (points["class"] == points["truth"]).mean()
    assert 0.7 < right < 0.98


def test_fractions_add_up_and_mixed_debris_is_ice():
    rng = np.random.default_rng(0)
    n = 500
    ground = surface.Ground(rng.random(n), rng.random(n) * 0.3, rng.standard_normal(n), rng.random(n), np.zeros(n))
    x, y = rng.uniform(0, 1e4, (2, n))
    parts = surface.fractions(ground, rng.random(n) * 0.1, rng.random(n) * 0.3, rng.integers(0, 30, n), x, y, 5)
    np.testing.assert_allclose(parts.sum(0), 1)
    assert (parts >= 0).all()
    mixed = np.array([0.2, 0.0, 0.7, 0.1, 0.0, 0.0])[:, None]
    assert surface.dominant(mixed)[0] == VALUES["ice"]
    assert surface.dominant(np.array([0.1, 0, 0.8, 0.1, 0, 0])[:, None])[0] == VALUES["debris"]


def test_glaciers_are_there_with_ids(region, world):
    table = gpd.read_file(region.outlines)
    assert 1 <= len(table) <= world.glaciers
    assert table.rgi_id.is_unique
    truth = region.truth()
    burnt = fx.add_terrain(fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines),
                           region.dem, region.outlines)  # fmt: skip
    inside = (burnt.glacier_index.values > 0).sum()
    true = (truth.surface.isel(time=0).values != NODATA).sum()
    assert inside == pytest.approx(true, rel=0.05)


def areas_and_insides(one):
    """Of each glacier before it shrank: area [km2] and the share of its pixels with a window of 330 m wholly on ice."""
    x, y = places(one.box, slice(0, one.box.height), slice(0, one.box.width))
    number = one.landscape.places(x, y).glacier(terrain.EARLIEST)
    inner = minimum_filter(number >= 0, 33, mode="constant")
    return np.array([(np.sum(number == k) / 1e4, inner[number == k].mean()) for k in range(len(one.ids))])


def test_large_glaciers_have_insides():
    """Asked: .30 of the ice where a glacier is larger than .8 km2. Silvretta has .48, of 2.75 km2."""
    for length in (1100.0, 1600.0):
        worlds = [areas_and_insides(World(seed=50_000 + k, glaciers=5, glacier_length=length)) for k in range(3)]
        assert all(area.max() > 0.8 for area, _ in (w.T for w in worlds))
        assert np.mean([np.average(inner, weights=area) for area, inner in (w.T for w in worlds)]) >= 0.30
    alike = np.concatenate(worlds)
    alike = alike[(alike[:, 0] > 2) & (alike[:, 0] < 4)]
    assert len(alike) >= 2
    assert 0.30 <= alike[:, 1].mean() <= 0.70


def test_worlds_take_size_years_and_sensors(tmp_path):
    small = World(
        seed=1, years=(2018, 2019), sensors=("sentinel-2",), scenes_per_year=2, glaciers=2, glacier_length=300.0
    )
    region = small.build(tmp_path / "small")
    items = json.loads(region.catalog.read_text())["features"]
    assert len(items) == 4
    assert {i["properties"]["platform"] for i in items} == {"sentinel-2a"}

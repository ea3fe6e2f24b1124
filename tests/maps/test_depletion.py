"""The end of a season does not depend on how many scenes there are: bias, intervals, fresh snow, trends."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.season import RATE, sensors, statistics_of, trend
from facies_xr.maps.depletion import Depletion, Expected
from facies_xr.maps.series import FLAGS, end_of_season

from .test_series import season_of

COUNTS = {2000 + k: n for k, n in enumerate([*range(1, 13)] * 3)}
"""Seasons of 1 to 12 scenes."""

NUMBER = np.array(list(COUNTS.values()))
ERRORS = (0.02, 0.054, 0.1)


@pytest.fixture(scope="module", params=ERRORS)
def seasons(request):
    """Statistics of seasons that melt, with scenes that err; the true ratios; the end of the season."""
    stats, true = statistics_of(COUNTS, request.param)
    return request.param, stats, true, end_of_season(stats)


def test_no_bias_whatever_the_number_of_scenes(seasons):
    _, _, true, found = seasons
    away = (found.accumulation_area_ratio - true).values
    for n in range(1, 13):
        assert abs(away[:, n == NUMBER].mean()) < 0.01, n


def test_more_scenes_tell_more(seasons):
    error, _, true, found = seasons
    away = (found.accumulation_area_ratio - true).values
    scatter = [np.sqrt((away[:, n == NUMBER] ** 2).mean()) for n in (1, 3, 12)]
    assert scatter[0] > scatter[1] > scatter[2]
    assert scatter[2] < 0.6 * error


def test_the_least_of_many_scenes_lies_too_low():
    """What the envelope does, and why it is no measure of change: here the glaciers do not melt between scenes."""
    stats, true = statistics_of(COUNTS, 0.054, rate=0.0)
    away = (end_of_season(stats, rule="envelope").accumulation_area_ratio - true).values
    assert away[:, NUMBER == 1].mean() == pytest.approx(0, abs=0.01)
    assert away[:, NUMBER == 8].mean() < -0.07
    robust = (end_of_season(stats).accumulation_area_ratio - true).values
    for n in range(1, 13):
        assert abs(robust[:, n == NUMBER].mean()) < 0.01


def test_the_interval_holds_the_truth(seasons):
    _, _, true, found = seasons
    low, high = found.accumulation_area_ratio_lower, found.accumulation_area_ratio_upper
    inside = ((low <= true) & (true <= high)).values
    for n in range(1, 13):
        assert 0.9 < inside[:, n == NUMBER].mean() < 0.99, n
    assert 0.93 < inside.mean() < 0.97
    assert (low <= found.accumulation_area_ratio).all()
    assert (found.accumulation_area_ratio <= high).all()


def test_what_all_scenes_of_a_season_have_wrong_no_number_of_them_mends():
    """Their own intervals tell of it; the scatter between them cannot."""
    stats, true = statistics_of(COUNTS, 0.04, seed=5)
    alike = 0.1 * np.random.default_rng(0).standard_normal(true.shape)
    ratio = stats.accumulation_area_ratio + alike[:, np.repeat(np.arange(NUMBER.size), NUMBER)].T
    blind = stats.assign(accumulation_area_ratio=ratio)
    half = 1.96 * np.hypot(0.04, 0.1)
    told = blind.assign(accumulation_area_ratio_lower=ratio - half, accumulation_area_ratio_upper=ratio + half)
    inside, found = [], []
    for given_ in (blind, told):
        found.append(end_of_season(given_))
        low, high = (found[-1][f"accumulation_area_ratio_{end}"] for end in ("lower", "upper"))
        inside.append(((low <= true) & (true <= high)).values)
    np.testing.assert_array_equal(found[0].accumulation_area_ratio, found[1].accumulation_area_ratio)
    some = told.isel(time=slice(0, 10))  # seasons of one to four scenes, all of the third without intervals
    third = (some.balance_year == 2002).values[:, None]
    some = some.assign({name: some[name].where(~third) for name in some if name.endswith(("_lower", "_upper"))})
    gaps = end_of_season(some).accumulation_area_ratio_lower.isnull().all("glacier").values
    assert gaps.tolist() == [False, False, True, False]
    assert inside[0][:, NUMBER > 6].mean() < 0.6
    for n in range(1, 13):
        assert 0.92 < inside[1][:, n == NUMBER].mean() < 0.99, n


def test_the_number_of_scenes_stands_beside_it(seasons):
    """And good scenes are not taken for snow: at most one of a hundred, also of eight a season."""
    _, _, _, found = seasons
    used = found.scenes.values
    assert (used <= NUMBER).all()
    assert used[:, NUMBER == 8].mean() > 0.99 * 8
    assert used.mean() > 0.99 * NUMBER.mean()


def test_what_is_learned_is_what_was_put_in(seasons):
    error, _, _, found = seasons
    assert found.accumulation_area_ratio.attrs["change_per_day"] == pytest.approx(RATE, rel=0.1)
    assert found.accumulation_area_ratio.attrs["error_of_a_scene"] == pytest.approx(error, rel=0.15)


def test_a_world_without_trend_has_none():
    """Landsat 5 alone in 1984, ten scenes a season in 2024."""
    stats, true = statistics_of({year: sensors(year) for year in range(1984, 2025)}, 0.054)
    found = end_of_season(stats).accumulation_area_ratio
    change, uncertain = trend(found.mean("glacier"))
    assert abs(change) < 1.96 * uncertain
    change, uncertain = trend((found - true).mean("glacier"))  # what the way of taking it adds
    assert abs(change) < 1.96 * uncertain
    assert abs(change) * 40 < 0.005
    drift, _ = trend((end_of_season(stats, rule="envelope").accumulation_area_ratio - true).mean("glacier"))
    assert drift * 40 < -0.05


# -- fresh snow -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 7), st.floats(0, 1), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_one_falsely_low_scene_makes_no_other_fresh(which, low, seed):
    rng = np.random.default_rng(seed)
    ratios = 0.7 + 0.02 * rng.standard_normal(8)
    days = np.sort(rng.choice(40, 8, replace=False)) - 20
    others = np.delete(days, which)
    assume(np.abs(others - days[which]).min() <= np.ptp(others) / 2)  # else it alone tells of its weeks
    dates = np.datetime64("2015-08-20") + days
    whole = end_of_season(season_of(ratios, dates=dates))
    ratios[which] = low * ratios[which]
    found = end_of_season(season_of(ratios, dates=dates))
    assert int(found.scenes[0, 0]) == 8
    assert int(found["flags"][0, 0]) & FLAGS["fresh_snow"] == 0
    at_an_end = which in (0, 7)  # where it has a lever, and nothing beyond contradicts it
    assert abs((found - whole).accumulation_area_ratio.item()) < (0.25 if at_an_end else 0.1)


def test_snow_that_falls_on_all_is_seen():
    dates = ["2015-08-02", "2015-08-10", "2015-08-18", "2015-08-26", "2015-09-03"]
    found = end_of_season(season_of([0.52, 0.5, 0.49, 0.95, 0.9], dates=dates)).isel(glacier=0, balance_year=0)
    assert int(found.scenes) == 3
    assert float(found.accumulation_area_ratio) == pytest.approx(0.49, abs=0.04)


def test_fresh_snow_does_not_turn_the_rate():
    """A third of the later scenes snowed in."""
    stats, true = statistics_of(COUNTS, 0.03, seed=3)
    rng = np.random.default_rng(0)
    late = (stats.days_from_season_centre > 5).values[:, None]
    snowed = late & (rng.random((stats.sizes["time"], stats.sizes["glacier"])) < 0.3)
    ratio = stats.accumulation_area_ratio
    found = end_of_season(stats.assign(accumulation_area_ratio=xr.where(snowed, np.minimum(ratio + 0.4, 1), ratio)))
    assert found.accumulation_area_ratio.attrs["change_per_day"] == pytest.approx(RATE, rel=0.2)
    away = (found.accumulation_area_ratio - true).values
    for n in range(5, 13):  # of fewer, two may not have been clear before the snow
        assert abs(away[:, n == NUMBER].mean()) < 0.015, n


# -- the model ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_state_solves_its_equations(n, seed):
    """Against least squares with the rate as one observation more, where no residual is cut."""
    rng = np.random.default_rng(seed)
    model = Depletion(rate=-0.003, spread=0.0015, error=0.05)
    days = np.sort(rng.integers(-40, 1, n)).astype(float)
    value = 0.5 - 0.004 * days + 0.01 * rng.uniform(-1, 1, n)
    state, error = model.state(value[:, None], days, np.ones((n, 1), bool))
    design = np.vstack([np.column_stack([np.ones(n), days]) / model.error, [0, 1 / model.spread]])
    target = np.append(value / model.error, model.rate / model.spread)
    expected = np.linalg.lstsq(design, target, rcond=None)[0]
    assert state[0] == pytest.approx(expected[0], abs=1e-9)
    assert error[0] == pytest.approx(np.sqrt(np.linalg.inv(design.T @ design)[0, 0]), rel=1e-6)


def test_one_scene_follows_the_rate():
    model = Depletion(rate=-0.003, spread=0.0015, error=0.05)
    state, error = model.state(np.array([[0.6, np.nan]]), np.array([-10]), np.array([[True, False]]))
    assert state[0] == pytest.approx(0.6 - 0.03)
    assert error[0] == pytest.approx(np.hypot(0.05, 0.015))
    assert np.isnan(state[1])
    assert np.isnan(error[1])


def test_scenes_that_tell_no_rate_stay_as_they_are():
    stats = season_of([0.5, 0.3], dates=["2012-08-10", "2015-08-20"])  # one a season
    found = end_of_season(stats).accumulation_area_ratio
    assert found.values[0, [0, -1]].tolist() == pytest.approx([0.5, 0.3])
    assert found.attrs["change_per_day"] == 0


def test_a_single_error_pulls_no_more_than_its_bound():
    model = Depletion(rate=0.0, spread=1e-6, error=0.05)
    days, taken = np.zeros(9), np.ones((9, 2), bool)
    value = np.full((9, 2), 0.5)
    value[4] = 0.3, 0.0
    state, _ = model.state(value, days, taken)
    assert state[0] == pytest.approx(0.5 - 1.5 * 0.05 / 8, abs=1e-3)  # pulls with 1.5 errors, against eight
    assert state[1] == pytest.approx(state[0], abs=1e-3)


def test_without_pairs_all_is_as_expected():
    expected = Expected(0.06, 0.004)
    none = Depletion.of(np.full((1, 3), 0.5), np.array([0]), np.array([2015]), np.ones((1, 3), bool), expected)
    assert none == Depletion(0.0, pytest.approx(0.004), pytest.approx(0.06))


def test_snow_lines_stay_on_the_glacier_and_go_with_the_snow():
    stats = season_of([0.02, 0.01, 0.0, 0.0], dates=["2015-08-02", "2015-08-06", "2015-08-12", "2015-08-30"])
    stats["snow_line_altitude"] = stats.snow_line_altitude.where(stats.accumulation_area_ratio > 0) + 595  # 3195 m
    found = end_of_season(stats).isel(glacier=0, balance_year=0)
    assert 0 <= float(found.accumulation_area_ratio) < 0.02
    if float(found.accumulation_area_ratio) > 0:
        assert 2200 <= float(found.snow_line_altitude) <= 3200
    else:
        assert np.isnan(found.snow_line_altitude)
        assert np.isnan(found.lowest_snow)

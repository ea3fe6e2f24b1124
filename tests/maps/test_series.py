"""The end of a season: which scene stands for it, the least snow of all, and gaps."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.maps.series import FLAGS, RULES, end_of_season
from facies_xr.seasons import Season


def season_of(ratios, *, dates=None, coverage=1.0, glacier="g", ice=None, bands=None, band_coverage=1.0):
    """Statistics of a glacier of 1 km2 with given accumulation area ratios on some dates."""
    n = len(ratios)
    times = pd.DatetimeIndex(dates if dates is not None else [f"{2010 + k}-08-20" for k in range(n)])
    ratios = np.array(ratios, float)
    if bands is None:  # four bands of a quarter each, snow from above
        bands = np.clip(4 * ratios[:, None] - np.array([3, 2, 1, 0]), 0, 1)
    bands = np.asarray(bands, float)
    season, size = Season.at(46.0), bands.shape[-1]
    area = np.zeros((n, 1, len(NAMES)))
    area[:, 0, NAMES.index("snow")] = np.nan_to_num(ratios)
    area[:, 0, NAMES.index("ice")] = 1 - np.nan_to_num(ratios) if ice is None else ice
    tg = ("time", "glacier")
    data = {
        "class_area": ((*tg, "facies_class"), area),
        "coverage": (tg, np.full((n, 1), coverage)),
        "accumulation_area_ratio": (tg, ratios[:, None]),
        "snow_line_altitude": (tg, np.full((n, 1), 2600.0)),
        "snow_line_boundary": (tg, np.full((n, 1), 2610.0)),
        "lowest_snow": (tg, np.where(ratios > 0, 2500.0, np.nan)[:, None]),
        "albedo": (tg, np.full((n, 1), 0.5)),
        "band_accumulation": ((*tg, "elevation_band"), bands[:, None]),
        "band_coverage": ((*tg, "elevation_band"), np.broadcast_to(band_coverage, (n, 1, size)).astype(float)),
        "band_area": (("glacier", "elevation_band"), np.full((1, size), 1 / size)),
        "days_from_season_centre": ("time", season.days_from_centre(times)),
        "glacier_area": ("glacier", [1.0]),
        "mean_elevation": ("glacier", [2700.0]),
        "min_elevation": ("glacier", [2200.0]),
        "max_elevation": ("glacier", [3200.0]),
        "cut_by_edge": ("glacier", [False]),
    }
    coords = {
        "time": times,
        "glacier": [glacier],
        "facies_class": np.array(NAMES),
        "elevation_band": 2210.0 + 20 * np.arange(size),
        "balance_year": ("time", season.balance_year(times)),
    }
    return xr.Dataset(data, coords=coords)


AUGUST = ["2015-08-02", "2015-08-14", "2015-08-26", "2015-09-08"]


def flags(found):
    return {name for name, bit in FLAGS.items() if int(found.flags) & bit}


@pytest.mark.parametrize(
    ("rule", "day"),
    [
        ("least snow", "2015-08-26"),
        ("latest", "2015-09-08"),
        ("most bare ice", "2015-08-14"),
        ("envelope", "2015-08-26"),
    ],
)
def test_the_scene_that_a_rule_takes(rule, day):
    stats = season_of([0.6, 0.5, 0.4, 0.45], dates=AUGUST, ice=[0.2, 0.5, 0.3, 0.3])
    found = end_of_season(stats, rule=rule).isel(glacier=0, balance_year=0)
    assert str(found.scene_date.values)[:10] == day
    assert int(found.scenes) == 4
    assert flags(found) == set()


def test_a_tie_goes_to_the_earlier_scene():
    found = end_of_season(season_of([0.5, 0.4, 0.4, 0.4], dates=AUGUST), rule="least snow")
    assert found.scene_date.values[0, 0] == np.datetime64(AUGUST[1])


def test_fresh_snow_ends_the_season():
    stats = season_of([0.4, 0.35, 0.8, 0.44], dates=AUGUST)  # .8 is fresh; .44 is what is left of it
    latest = end_of_season(stats, rule="latest").isel(glacier=0, balance_year=0)
    assert str(latest.scene_date.values)[:10] == "2015-08-14"
    least = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=0)
    assert float(least.accumulation_area_ratio) == 0.35
    assert int(least.scenes) == 3


def test_a_fresh_or_distant_scene_is_taken_only_where_there_is_no_other():
    stats = season_of([0.3, 0.3, 0.8], dates=["2015-07-05", "2015-07-11", "2015-08-30"])
    found = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=0)
    assert float(found.accumulation_area_ratio) == 0.3
    assert flags(found) == {"outside_season"}
    assert int(found.scenes) == 0
    wide = end_of_season(stats, rule="least snow", window=60).isel(glacier=0, balance_year=0)
    assert flags(wide) == set()


def test_the_window_is_that_of_the_season():
    """A cube searched with ("08-20", 40) keeps days 21 to 40."""
    stats = season_of([0.5, 0.3], dates=["2015-07-20", "2015-09-20"])  # days -31 and 31
    for half_width, expected in ((40, set()), (30, {"outside_season"})):
        stats.balance_year.attrs.update(Season.parse(("08-20", half_width)).to_attrs())
        found = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=0)
        assert flags(found) == expected
        assert float(found.accumulation_area_ratio) == 0.3
        assert found.attrs["window"] == half_width
        assert Season.of(end_of_season(stats)) == Season(8, 20, half_width)
    assert end_of_season(season_of([0.5])).attrs["window"] == 20


def test_the_envelope_takes_the_least_snow_of_each_band():
    bands = [[0.0, 0.2, 0.8, 1.0], [0.0, 0.4, 0.6, 1.0], [0.0, 0.3, np.nan, 0.9]]
    stats = season_of([0.5, 0.5, 0.48], dates=AUGUST[:3], bands=bands)
    found = end_of_season(stats, rule="envelope").isel(glacier=0, balance_year=0)
    assert float(found.accumulation_area_ratio) == pytest.approx((0.0 + 0.2 + 0.6 + 0.9) / 4)
    # The share passes one half between the second and the third band: .2 at 2230 m, .6 at 2250 m.
    assert float(found.snow_line_altitude) == pytest.approx(2230 + 20 * 0.3 / 0.4)


def test_bands_that_were_hardly_seen_do_not_count():
    covered = np.ones((2, 1, 4))
    covered[1, 0, 2] = 0.4
    bands = [[0, 0, 0.8, 1], [0, 0, 0.1, 1]]
    stats = season_of([0.45, 0.44], dates=AUGUST[:2], bands=bands, band_coverage=covered)
    found = end_of_season(stats, rule="envelope")
    assert float(found.accumulation_area_ratio[0, 0]) == pytest.approx(1.8 / 4)


def test_years_without_scenes_stay_empty():
    stats = season_of([0.5, 0.3], dates=["2012-08-20", "2015-08-20"])
    found = end_of_season(stats).isel(glacier=0)
    assert found.balance_year.values.tolist() == [2012, 2013, 2014, 2015]
    assert np.isnan(found.accumulation_area_ratio).values.tolist() == [False, True, True, False]
    assert [flags(found.isel(balance_year=k)) for k in range(4)] == [set(), {"no_scene"}, {"no_scene"}, set()]
    assert found.scenes.values.tolist() == [1, 0, 0, 1]


def test_a_year_that_nobody_saw_says_so():
    found = end_of_season(season_of([np.nan, np.nan], dates=AUGUST[:2], coverage=0.4)).isel(glacier=0, balance_year=0)
    assert np.isnan(found.accumulation_area_ratio)
    assert flags(found) == {"low_coverage"}
    assert float(found.coverage) == 0.4


def test_the_area_is_that_of_the_earliest_outline():
    stats = season_of([0.5, 0.5], dates=["2012-08-20", "2015-08-20"])
    stats["glacier_area"] = (("time", "glacier"), [[1.0], [0.8]])
    found = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=[0, -1])
    assert found.accumulation_area_ratio.values.tolist() == pytest.approx([0.5, 0.4])
    assert float(found.glacier_area) == 1.0


def test_the_order_of_the_scenes_does_not_matter():
    stats = season_of([0.4, 0.35, 0.8, 0.44], dates=AUGUST)
    for rule in RULES:
        shuffled = end_of_season(stats.isel(time=[2, 0, 3, 1]), rule=rule)
        xr.testing.assert_identical(shuffled, end_of_season(stats, rule=rule))


def test_an_unknown_rule_is_named():
    with pytest.raises(InputError, match="rule='last': choose 'depletion' or 'envelope' or 'least snow' or 'latest'"):
        end_of_season(season_of([0.5]), rule="last")


@pytest.mark.parametrize("day", ["20", 200, 0.5])
def test_a_day_beyond_the_year_is_named(day):
    with pytest.raises(InputError, match="day="):
        end_of_season(season_of([0.5]), day=day)


def test_an_april_that_was_wrong_spoils_no_august():
    stats = season_of([0.2, 0.5, 0.45], dates=["2015-04-12", "2015-08-10", "2015-08-25"])
    found = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=0)
    assert float(found.accumulation_area_ratio) == 0.45
    assert flags(found) == set()
    assert int(found.scenes) == 2


def test_two_scenes_of_one_moment_are_not_one_after_the_other():
    for ratios in ([0.3, 0.6], [0.6, 0.3]):
        found = end_of_season(season_of(ratios, dates=["2015-08-10"] * 2), rule="least snow")
        assert int(found.scenes[0, 0]) == 2
        assert float(found.accumulation_area_ratio[0, 0]) == 0.3


def test_an_outline_that_comes_later():
    stats = season_of([np.nan, 0.5], dates=["2012-08-20", "2015-08-20"])
    stats["glacier_area"] = (("time", "glacier"), [[0.0], [0.8]])
    found = end_of_season(stats, rule="least snow").isel(glacier=0, balance_year=-1)
    assert float(found.accumulation_area_ratio) == 0.5
    assert float(found.glacier_area) == 0.8

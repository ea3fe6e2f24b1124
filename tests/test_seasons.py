"""Balance years and season windows."""

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facies_xr.errors import InputError
from facies_xr.seasons import REGIONS, Season, check_years


def test_defaults_follow_the_hemisphere():
    assert Season.at(46.9).window(2020) == (date(2020, 7, 31), date(2020, 9, 9))
    assert Season.at(-54.7).window(2020) == (date(2020, 1, 31), date(2020, 3, 11))


@pytest.mark.parametrize("latitude", [0, 23.5, -23.5, 10])
def test_the_tropics_need_a_season(latitude):
    with pytest.raises(InputError, match="season="):
        Season.at(latitude)


def test_a_given_season_is_literal():
    assert Season.parse(("08-20", 20)).balance_year(["2020-02-10"]) == [2019]
    assert Season.parse(("02-20", 20)).balance_year(["2020-02-10"]) == [2020]


@pytest.mark.parametrize(
    ("day", "year"), [("2020-10-05", 2020), ("2021-01-15", 2020), ("2021-02-19", 2021), ("2021-02-18T23:59", 2020)]
)
def test_a_scene_belongs_to_the_nearest_season(day, year):
    # 2020-08-20 + 365 d = 2021-08-20: the middle is 182.5 days on, between 18 and 19 February 2021.
    assert Season.at(47).balance_year([day]) == [year]


def test_a_tie_goes_to_the_later_year():
    season = Season.parse(("08-20", 20))
    middle = np.datetime64("2023-08-20") + np.timedelta64(183, "D")  # 2024 is a leap year: 366 days to the next centre
    assert season.balance_year([middle]) == [2024]


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.integers(1, 12), st.integers(1, 28))
def test_no_other_year_is_nearer(day, month, centre):
    season = Season(month, centre, 20)
    year = int(season.balance_year([np.datetime64(day)])[0])
    offset = int(season.days_from_centre([np.datetime64(day)])[0])
    assert (day - season.centre(year)).days == offset
    assert all(abs((day - season.centre(y)).days) >= abs(offset) for y in (year - 1, year + 1))


@pytest.mark.parametrize("season", ["08-20", ("20 August", 20), ("13-01", 20), ("08-20", -1), ("08-20", 200), 5])
def test_bad_seasons_are_named(season):
    with pytest.raises(InputError, match="season"):
        Season.parse(season)


def test_years():
    assert check_years(range(2018, 2021)) == [2018, 2019, 2020]
    assert check_years(2020) == [2020]
    assert check_years("2019") == [2019]
    assert check_years(["2019", 2018.0, np.int32(2019)]) == [2018, 2019]
    for bad in ([], ["soon"], None, 2010.7, "2010.7", "soon", [0], range(10), [float("nan")], [float("inf")], 20190820):
        with pytest.raises(InputError, match="years"):
            check_years(bad)


@given(st.integers(1, 12), st.integers(1, 28), st.integers(0, 182))
def test_a_season_travels_as_attributes(month, day, half_width):
    season = Season(month, day, half_width)
    assert Season.from_attrs({"units": "1", **season.to_attrs()}) == season
    assert Season.from_attrs({"units": "1"}) is None


def test_half_a_season_is_named():
    with pytest.raises(InputError, match="season"):
        Season.from_attrs({"season_centre": "08-20"})


def test_where_snow_falls_in_summer_20_august_is_not_silent():
    with pytest.warns(UserWarning, match=r"region 15, South Asia East, .* give season=\(\"10-15\", 30\)"):
        assert Season.at(28.0, 86.9) == Season(8, 20, 20)  # Everest
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for latitude, longitude in ((46.9, 10.8), (28.0, -110.0), (36.0, 76.0), (43.1, 86.8), (-43.6, 170.0)):
            Season.at(latitude, longitude)


def test_the_survey_days_of_regions_are_those_of_the_records(shared):
    """Circular medians of the end of the balance year, by RGI region; two of them fall between two days."""
    table = pd.read_csv(shared / "smb_wgms" / "mb_overview_seasonal_mb_time_periods_20220301.csv")
    table["day"] = pd.to_datetime(table.END_PERIOD, errors="coerce").dt.dayofyear
    table["region"] = table.rgi_id.str[6:8].astype(int)
    found = {}
    for region, days in table.dropna(subset=["day"]).groupby("region").day:
        middle = np.angle(np.exp(2j * np.pi * days / 365.25).mean()) * 365.25 / (2 * np.pi)
        median = middle + np.median((days - middle + 182.625) % 365.25 - 182.625)
        found[region] = (median, len(days))
    there = {r.number: r for r in REGIONS if r.survey}
    assert {number: r.records for number, r in there.items()} == {number: n for number, (_, n) in found.items()}
    for number, region in there.items():
        day = date.fromisoformat(f"2001-{region.survey}").timetuple().tm_yday
        assert abs((day - found[number][0] + 182) % 365 - 182) < 0.5 + 1e-9, number
    assert [r.number for r in REGIONS] == list(range(1, 20))

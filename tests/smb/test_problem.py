"""Predictors of a glacier and year, and which rows a fit may rest on."""

import numpy as np
import pytest

from facies_xr.smb.problem import FLAGS, UNFIT, predictors

from ..maps.test_series import season_of
from .tables import problem_of, rows_of


def flags_of(row):
    return {name for name, bit in FLAGS.items() if row["flags"] & bit}


def test_predictors_of_a_season():
    stats = season_of([0.6, 0.4, 0.45], dates=["2015-08-05", "2015-08-20", "2015-08-30"])
    row = predictors(stats, rule="least snow").iloc[0]
    assert row.snow_fraction == 0.4
    assert row.snow_line_relative == pytest.approx((2500 - 2700) / 1000)
    assert row.albedo == 0.5
    assert row.scenes == 3


def test_no_snow_puts_the_line_at_the_top():
    row = predictors(season_of([0.0])).iloc[0]
    assert row.snow_line_relative == pytest.approx((3200 - 2700) / 1000)
    assert flags_of(row) >= {"no_snow", "censored"}


def test_an_unseen_year_has_no_predictors():
    row = predictors(season_of([np.nan], coverage=0.3)).iloc[0]
    assert np.isnan(row.snow_fraction)
    assert "low_coverage" in flags_of(row)


def test_a_glacier_of_one_pixel_has_no_relief():
    stats = season_of([0.5]).assign(min_elevation=("glacier", [2700.0]), max_elevation=("glacier", [2701.0]))
    row = predictors(stats).iloc[0]
    assert np.isnan(row.snow_line_relative)
    assert "no_relief" in flags_of(row)


def test_a_row_is_usable_with_a_record_predictors_and_no_flag_that_forbids_it():
    rows = rows_of(2, 10)
    rows.loc[0, "observed"] = np.nan
    rows.loc[1, "snow_fraction"] = np.nan
    rows.loc[2, "albedo"] = np.nan
    for k, name in enumerate((*UNFIT, "no_snow", "censored")):
        rows.loc[10 + k, "flags"] = FLAGS[name]
    problem = problem_of(rows, optional=("albedo",))
    assert np.flatnonzero(~problem.usable).tolist() == [0, 1, 10, 11, 12]
    assert np.flatnonzero(~problem_of(rows).usable).tolist() == [0, 1, 2, 10, 11, 12]
    assert problem.take(np.array([3, 5])).observed.tolist() == rows.observed[[3, 5]].tolist()
    assert problem.using(problem.required).predictors == ("snow_fraction", "snow_line_relative")

"""Fits that are kept: the same after a file, and refused where they do not hold."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from facies_xr.errors import InputError
from facies_xr.smb.fitted import Fit
from facies_xr.smb.methods.named import METHODS
from facies_xr.smb.problem import OPTIONAL, REQUIRED

from .tables import problem_of, rows_of


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_is_the_same_after_a_file(method, tmp_path):
    rows = rows_of(glacier=0.4, year=0.3)
    rows.loc[::3, "albedo"] = np.nan
    fit = Fit.of(problem_of(rows, optional=OPTIONAL), method)
    again = Fit.load(fit.save(tmp_path / "fit.json"))
    new = problem_of(pd.concat([rows_of(3, 7, seed=5), rows]), optional=OPTIONAL)
    np.testing.assert_array_equal(again.predict(new), fit.predict(new))
    assert again.to_dict() == fit.to_dict()


def test_rows_without_albedo_are_predicted_without_it():
    rows = rows_of()
    rows.loc[::3, "albedo"] = np.nan
    problem = problem_of(rows, optional=OPTIONAL)
    fit = Fit.of(problem, "eq2")
    found, without = fit.predict(problem).mean, np.flatnonzero(rows.albedo.isna())
    assert np.isfinite(found).all()
    short = fit.fitted.short.predict(problem.using(REQUIRED), without)
    np.testing.assert_array_equal(found[without], short.mean)
    rows.loc[4, "snow_fraction"] = np.nan
    assert np.isnan(np.array(fit.predict(problem_of(rows, optional=OPTIONAL)))[:, 4]).all()


@pytest.mark.parametrize(
    ("text", "match"),
    [("{", "not a fit"), ('{"format": "another"}', "its format is 'another'"), ("[]", "not a fit")],
)
def test_what_is_not_a_fit_is_refused(tmp_path, text, match):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(InputError, match=match):
        Fit.load(tmp_path / "fit.json")
    with pytest.raises(InputError, match="no such file"):
        Fit.load(tmp_path / "nothing.json")


def test_albedo_of_one_glacier_is_not_enough():
    rows = rows_of(3, 25)
    rows.loc[rows.glacier != "g0-1", "albedo"] = np.nan
    problem = problem_of(rows, optional=OPTIONAL)
    fit = Fit.of(problem, "eq2")
    assert fit.fitted.full is None
    assert np.isfinite(fit.predict(problem)).all()


def test_ratios_that_cannot_be_are_refused(tmp_path):
    broken = Fit.of(problem_of(rows_of()), "pooled").to_dict()
    broken["fitted"]["short"]["cases"][0]["ratios"][0] = -1
    (tmp_path / "fit.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="a ratio of variances -1 is not between"):
        Fit.load(tmp_path / "fit.json")
    with pytest.raises(InputError, match="no such file"):
        Fit.load(json.dumps(broken))
    with pytest.raises(InputError, match="no such file"):
        Fit.load(5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("classifier", "another"), ("level", "SR"), ("areas", "expected"), ("classes", "snow firn"),
     ("rule", "latest"), ("season", "02-20 +-20 d")],
)  # fmt: skip
def test_a_fit_is_refused_where_its_predictors_mean_something_else(tmp_path, name, value):
    """Snow areas are not snow-and-firn areas, and TOA is not SR: the numbers would be wrong without a word."""
    made = {"classifier": "digest", "level": "TOA", "areas": "map", "classes": "snow", "rule": "envelope",
            "season": "08-20 +-20 d"}  # fmt: skip
    problem = problem_of(rows_of(), definitions=made)
    fit = Fit.load(Fit.of(problem).save(tmp_path / "fit.json"))
    assert np.isfinite(fit.predict(problem).mean).all()
    other = replace(problem, definitions={**made, name: value})
    with pytest.raises(InputError, match=re.escape(f"{name} {made[name]!r}, the maps {value!r}")):
        fit.predict(other)
    without = replace(problem, definitions={key: text for key, text in made.items() if key != name})
    with pytest.raises(InputError, match=f"{name} .*the maps 'unknown'"):
        fit.predict(without)

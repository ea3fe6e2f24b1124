"""Balances of maps: what is held out, what is refused, what travels with them."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr import metrics
from facies_xr.errors import InputError
from facies_xr.seasons import Season
from facies_xr.smb.balance import fit, smb
from facies_xr.smb.evaluate import scores, scores_by_glacier
from facies_xr.smb.fitted import Fit
from facies_xr.smb.problem import FLAGS

from ..maps.test_series import season_of


def test_balances_of_statistics(many):
    stats, records = many
    found = smb(stats, records)
    assert found.sizes == {"glacier": 12, "balance_year": 8}
    table = scores(found)
    model = table.loc["model, glacier left out"]
    assert model.n == 96
    assert model.rmse < 0.3
    assert model.r_lower < model.r < model.r_upper
    assert table.loc["ceiling: recorded accumulation area, glacier left out", "rmse"] == pytest.approx(0.2, abs=0.05)
    inside = (found.observed >= found.balance_lower) & (found.observed <= found.balance_upper)
    assert 0.9 < float(inside.mean()) <= 1
    assert 0.9 < model.within_interval <= 1
    by_glacier = scores_by_glacier(found)
    assert len(by_glacier) == 12
    assert (by_glacier.n == 8).all()
    assert by_glacier.rmse.pow(2).mean() ** 0.5 == pytest.approx(model.rmse)


@pytest.mark.parametrize(
    ("method", "leave_out"), [("eq2", "glacier"), ("pooled", "glacier"), ("pooled", "year"), ("eq3", "year")]
)
def test_nothing_is_in_its_own_fit(many, method, leave_out):
    stats, records = many
    odd = (records.glacier == "g03") if leave_out == "glacier" else (records.balance_year == 2013)
    moved = records.assign(balance=records.balance + 5 * odd)  # only a fit that saw them can know
    plain = smb(stats, records, method=method, leave_out=leave_out)
    found = smb(stats, moved, method=method, leave_out=leave_out)
    where = {"glacier": "g03"} if leave_out == "glacier" else {"balance_year": 2013}
    assert found.attrs["leave_out"] == leave_out
    if method != "pooled":  # whose variances are estimated anew by the fits that saw the odd ones
        np.testing.assert_allclose(
            found.balance_out_of_fold.sel(where), plain.balance_out_of_fold.sel(where), atol=1e-9
        )
    assert float((found.observed - found.balance_out_of_fold).sel(where).mean()) > 3.5
    assert len(np.unique(found.fold.sel(where))) == 1


def test_expected_areas_take_the_place_of_the_maps(many):
    stats, records = many
    wrong = stats.assign(
        accumulation_area_ratio=stats.accumulation_area_ratio * 0 + 0.5,
        band_accumulation=stats.band_accumulation * 0 + 0.5,
        accumulation_area_ratio_expected=stats.accumulation_area_ratio,
        band_accumulation_expected=stats.band_accumulation,
    )
    right, found = smb(stats, records), smb(wrong, records, areas="expected")
    xr.testing.assert_equal(found.balance, right.balance)
    assert found.attrs["areas"] == "expected"
    assert float(smb(wrong, records).snow_fraction.std()) == 0


def test_eq3_leaves_each_year_out(many):
    stats, records = many
    found = smb(stats, records, method="eq3")
    assert found.attrs["leave_out"] == "year"
    assert len(np.unique(found.fold)) == 8
    assert scores(found).loc["model, year left out", "rmse"] < 0.4


def test_a_fit_is_applied_to_glaciers_without_records(many, tmp_path):
    stats, records = many
    some = records[records.glacier < "g09"]
    fitted, kept = smb(stats, some), fit(stats, some)
    path = kept.save(tmp_path / "fit.json")
    new = stats.sel(glacier=["g09", "g10", "g11"])
    for model in (path, kept, Fit.load(path)):
        found = smb(new, model=model)
        xr.testing.assert_allclose(found.balance, fitted.balance.sel(glacier=new.glacier))
        assert np.isnan(found.observed).all()
        assert np.isnan(found.balance_out_of_fold).all()
        assert (found.balance_lower < found.balance_upper).all()
    judged = smb(new, records, model=path)
    assert metrics.regression(judged.observed.values, judged.balance.values)["rmse"] < 0.35


def test_rows_that_no_fit_may_rest_on(many):
    stats, records = many
    cut = stats.assign(cut_by_edge=("glacier", stats.glacier.values == "g02"))
    found = smb(cut, records)
    assert (found.flags.sel(glacier="g02") & FLAGS["cut_by_edge"] > 0).all()
    assert (found.fold.sel(glacier="g02") == -1).all()
    assert "g02" not in set(fit(cut, records).fitted.short.records.glacier)
    assert np.isfinite(found.balance.sel(glacier="g02")).all()


def test_years_without_scenes_are_gaps(many):
    stats, records = many
    found = smb(stats.isel(time=[0, 1, 2, 5, 6, 7]), records)
    gap = found.sel(balance_year=[2013, 2014])
    assert (gap.flags == FLAGS["no_scene"] | FLAGS["no_albedo"]).all()
    assert np.isnan(gap.balance).all()
    assert np.isnat(gap.scene_date).all()
    assert np.isfinite(gap.observed).any()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "magic"}, r"method='magic': choose among regression \(which is pooled\), eq2, eq3, pooled"),
        ({"leave_out": "month"}, "leave_out='month'"),
        ({"rule": "any"}, "rule='any'"),
        ({"observations": None}, "needs observations"),
        ({"areas": "all"}, "areas='all': choose 'map' or 'expected'"),
        ({"areas": "expected"}, r"needs maps with probability and calibrated confidence"),
    ],
)
def test_what_is_not_possible_is_named(many, options, match):
    stats, records = many
    with pytest.raises(InputError, match=match):
        smb(stats, **{"observations": records, **options})


def test_rows_that_no_fit_may_rest_on_are_not_scored(many):
    stats, records = many
    early = stats.copy(deep=True)
    days = early.days_from_season_centre.values.copy()
    days[0] = -50
    early["days_from_season_centre"] = ("time", days)
    wrong = records.assign(balance=records.balance + 2.0 * (records.balance_year == 2010))
    balances = smb(early, wrong)
    found = scores(balances).loc["model, glacier left out"]
    assert scores_by_glacier(balances).n.sum() == found.n
    assert found.n == 84
    assert found.rmse < 0.35


def test_statistics_know_what_they_were_made_with(many):
    stats, records = many
    made = stats.assign_attrs(accumulation_classes="snow")
    made = made.assign_coords(balance_year=made.balance_year.assign_attrs(Season(8, 20, 20).to_attrs()))
    with pytest.raises(InputError, match="made with accumulation_classes 'snow', not 'snow firn'"):
        smb(made, records, classes=("snow", "firn"))
    with pytest.raises(InputError, match="made with season '08-20"):
        smb(made, records, season=("09-10", 20))
    with pytest.raises(InputError, match="not both"):
        smb(made, records, model=fit(made, records), leave_out="year")


def test_ids_that_are_numbers(many):
    stats, records = many
    numbered = stats.assign_coords(glacier=np.arange(12))
    names = {f"g{k:02d}": str(k) for k in range(12)}
    found = smb(numbered, records.assign(glacier=records.glacier.map(names)))
    assert np.isfinite(found.balance).all()


def test_too_few_records_are_told(many):
    stats, records = many
    with pytest.raises(InputError, match="3 records of 1 glaciers match a usable scene, the regression needs 8 of 2"):
        smb(stats, records.head(3))


def test_the_season_of_the_cube_is_that_of_the_balances():
    """Searched with +-40 days, a scene 30 days from the centre is of the season; with +-20 days it is not."""
    stats = season_of([0.4] * 8, dates=[f"{2010 + k}-07-21" for k in range(8)])
    records = pd.DataFrame({"glacier": "g", "balance_year": range(2010, 2018), "balance": -0.5})
    other = season_of(np.linspace(0.1, 0.9, 8), glacier="h", dates=[f"{2010 + k}-07-21" for k in range(8)])
    both = xr.concat([stats, other], "glacier", data_vars="minimal", coords="minimal", join="override")
    records = pd.concat([records, records.assign(glacier="h", balance=np.linspace(-1.5, 1, 8))])

    def in_season(half_width):
        attrs = Season(8, 20, half_width).to_attrs()
        made = both.assign_coords(balance_year=both.balance_year.assign_attrs(attrs))
        return smb(made, records)

    wide = in_season(40)
    assert not (wide.flags & FLAGS["outside_season"]).any()
    assert (wide.fold >= 0).all()
    assert Season.from_attrs(wide.balance_year.attrs) == Season(8, 20, 40)
    with pytest.raises(InputError, match="0 records of 0 glaciers match a usable scene"):
        in_season(20)


def test_no_attribute_is_data(many):
    stats, records = many
    found = smb(stats, records)
    assert "fit" not in found.attrs
    assert all(len(str(value)) < 200 for value in found.attrs.values())
    meanings = found.flags.attrs["flag_meanings"].split()
    assert dict(zip(meanings, found.flags.attrs["flag_masks"].tolist(), strict=True)) == FLAGS


def test_a_fit_of_other_areas_is_refused(many, tmp_path):
    """A fit to snow applied to snow and firn, to another classifier's maps, to another level."""
    stats, records = many
    made = stats.assign_attrs(accumulation_classes="snow", level="TOA", classifier_digest="a1")
    path = fit(made, records).save(tmp_path / "fit.json")
    xr.testing.assert_equal(smb(made, model=path).balance, smb(made, records).balance)
    for name, wanted, has, attrs in (
        ("classes", "snow", "snow firn", {"accumulation_classes": "snow firn"}),
        ("level", "TOA", "SR", {"level": "SR"}),
        ("classifier", "a1", "b2", {"classifier_digest": "b2"}),
    ):
        with pytest.raises(InputError, match=f"{name} '{wanted}', the maps '{has}'"):
            smb(made.assign_attrs(attrs), model=path)
    with pytest.raises(InputError, match="rule 'depletion', the maps 'latest'"):
        smb(made, model=path, rule="latest")
    assert json.loads(path.read_text())["definitions"]["areas"] == "map"


def test_melt_between_scene_and_survey(many):
    """Records read 0 to 50 days after the scenes, with 20 mm w.e. of melt a day: the option finds it, as it is."""
    stats, records = many
    rng = np.random.default_rng(1)
    later = rng.integers(0, 51, len(records))
    day = pd.to_datetime(records.balance_year.astype(str) + "-09-09")  # 20 days after the season's centre
    surveyed = records.assign(balance=records.balance - 0.02 * later, survey_end=day + pd.to_timedelta(later, "D"))
    plain, found = smb(stats, surveyed, method="eq2"), smb(stats, surveyed, method="eq2", to_survey=True)
    apart = (plain.balance_out_of_fold - plain.observed).values
    table = scores(found)
    assert np.sqrt((apart**2).mean()) > 0.3 > 0.24 > table.loc["model, glacier left out", "rmse"]
    assert table.loc["model, year left out", "rmse"] < 0.26
    grid = surveyed.assign(later=later).set_index(["glacier", "balance_year"]).later
    days = found.days_to_survey.to_series()
    np.testing.assert_array_equal(days, grid.reindex(days.index))
    assert "days_to_survey" not in plain
    with pytest.raises(InputError, match="none has a survey_end"):
        smb(stats, records, to_survey=True)
    with pytest.raises(InputError, match="leave it out with model="):
        smb(stats, surveyed, model="fit.json", to_survey=True)


def test_the_system_of_a_record_is_a_flag(many):
    stats, records = many
    systems = np.array(["FXD", "floating-date", "STR", "COM", ""])[np.arange(len(records)) % 5]
    found = smb(stats, records.assign(system=systems))
    flags = found.flags.to_series().reindex(pd.MultiIndex.from_frame(records[["glacier", "balance_year"]])).to_numpy()
    for name, says in (("fixed_date", "FXD"), ("floating_date", "floating-date"), ("stratigraphic", "STR")):
        np.testing.assert_array_equal(flags & FLAGS[name] > 0, systems == says)

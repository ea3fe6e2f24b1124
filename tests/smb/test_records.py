"""Records: the published layouts, units, and the glacier that they are of."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

import facies_xr as fx
from facies_xr.errors import InputError
from facies_xr.smb.layouts import LIMITS
from facies_xr.smb.records import read

OWN = pd.DataFrame({"glacier": ["a", "a", "b"], "balance_year": [2010, 2011, 2010], "balance": [-0.5, 0.1, -1.2]})


def test_wgms_records_by_rgi_id_are_in_metres(shared):
    path = shared / "smb_wgms" / "mbdata" / "mbdata_WGMS-00491.csv"
    table, raw = read(path), pd.read_csv(path)  # Hintereisferner
    assert set(table.glacier) == {"RGI60-11.00897"}
    assert set(table.name) == {"HINTEREIS F."}
    row = raw.dropna(subset=["ANNUAL_BALANCE", "WINTER_BALANCE"]).iloc[-1]
    found = table[table.balance_year == row.YEAR].iloc[0]
    for ours, theirs in (("balance", "ANNUAL_BALANCE"), ("winter_balance", "WINTER_BALANCE")):
        assert found[ours] == pytest.approx(row[theirs] / 1000)
    assert len(table) == raw.ANNUAL_BALANCE.notna().sum()


def test_the_fluctuations_browser_has_comments_positions_and_snow_lines(shared):
    table = read(shared / "smb_wgms" / "fog_browser_2024" / "FoG_MB_491.csv")
    first = table[table.balance_year == 1953].iloc[0]
    assert (first.glacier, first["name"]) == ("491", "HINTEREIS F.")
    assert first.balance == pytest.approx(-0.540)
    assert (first.longitude, first.latitude) == (10.77, 46.8)
    assert first.accumulation_area_ratio == pytest.approx(0.53)
    assert first.equilibrium_line_altitude == 3020
    above = read(shared / "smb_wgms" / "fog_browser_2024" / "FoG_MB_1106.csv")
    assert above[above.balance_year == 2011].equilibrium_line_altitude.item() == 3180  # written ">3180.0"


def test_norwegian_records_have_semicolons_and_ids_of_their_own(shared):
    path = shared / "smb_norway_nve" / "massbalance_gw_Norway.csv"
    table = read(path)
    raw = pd.read_csv(path, sep=";", encoding="utf-8-sig")
    assert len(table) == raw.Ba.notna().sum()
    own = table[(table.glacier == "NVE-26") & (table.balance_year == 1978)].iloc[0]
    assert (own.balance, own.winter_balance, own.summer_balance) == (-0.10, 2.30, -2.40)
    assert (table.glacier == "RGI60-08.01126").sum() == raw[raw.RGIID == "RGI60-08.01126"].Ba.notna().sum()


def test_whole_folders(shared):
    home = shared / "smb_wgms" / "fog_browser_2024"
    table = read(home)
    assert table.glacier.nunique() == len(list(home.glob("*.csv")))
    assert table.balance.abs().max() < 10
    assert table.accumulation_area_ratio.dropna().between(0, 1).all()


def test_the_year_of_an_own_table_may_be_called_year():
    pd.testing.assert_frame_equal(read(OWN.rename(columns={"balance_year": "year"})), read(OWN))


def test_own_tables_declare_their_unit():
    metres, millimetres = (
        read(OWN),
        read(OWN.assign(balance=OWN.balance * 1000), units="mm w.e."),
    )
    np.testing.assert_allclose(metres.balance, millimetres.balance)
    with pytest.raises(InputError, match="units='cm': choose"):
        read(OWN, units="cm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="balance"), "needs glacier, balance_year, balance .* of your own it lacks balance"),
        (lambda t: t.assign(balance=t.balance * 1000), "not possible in m w.e."),
        (lambda t: pd.concat([t, t]), "two records of 2010"),
        (lambda t: t.assign(balance=np.nan), "no annual balance"),
        (lambda t: t.assign(balance_year="soon"), "not a number"),
    ],
)
def test_bad_records_are_named(change, message):
    with pytest.raises(InputError, match=message):
        read(change(OWN))


def test_wgms_records_in_the_wrong_unit_are_refused(tmp_path):
    table = OWN.rename(columns={"glacier": "RGI_ID", "balance_year": "YEAR", "balance": "ANNUAL_BALANCE"})
    with pytest.raises(InputError, match=r"are they in m w\.e\."):
        read(table)
    with pytest.raises(InputError, match="units of its own"):
        read(table, units="mm w.e.")
    with pytest.raises(InputError, match="no such file"):
        read("nowhere.csv")
    with pytest.raises(InputError, match="has no CSV file"):
        read(tmp_path)


def test_records_alone_behave_as_the_literature_says(fog):
    """3.1 m w.e. per unit of AAR (quartiles 2.5, 3.5), -.50 m w.e. per 100 m of ELA (methods of SCIENCE, WGMS)."""
    records = fog
    for predictor, low, high in (("accumulation_area_ratio", 2.5, 3.5), ("equilibrium_line_altitude", -0.006, -0.004)):
        slopes, strength = [], []
        for _, own in records.dropna(subset=[predictor]).groupby("glacier"):
            if len(own) >= 8 and own[predictor].std() > 0:
                slopes.append(np.polyfit(own[predictor], own.balance, 1)[0])
                strength.append(abs(own.balance.corr(own[predictor])))
        assert low < np.median(slopes) < high
        assert np.median(strength) > 0.8
        assert len(slopes) > 40


def test_a_snow_cover_in_august_is_not_the_years_accumulation_area(shared):
    """Silvretta, snow outlined by hand; the fractions are those of the data set's README."""
    sys.path.insert(0, str(fx.__path__[0] + "/../examples"))
    try:
        import silvretta
    finally:
        sys.path.pop(0)
    found = silvretta.snow_fractions(shared / "s2_l1c_blue_nir_swiss" / "silvretta").set_index("date")["snow fraction"]
    expected = {"20170517": 0.999, "20170626": 0.970, "20170815": 0.259, "20181004": 1.0}
    assert found.to_dict() == pytest.approx(expected, abs=2e-3)
    records = read(shared / "smb_wgms" / "fog_browser_2024" / "FoG_MB_408.csv").set_index("balance_year")
    assert found["20170815"] - records.accumulation_area_ratio[2017] > 0.2


# -- tables as people save them ---------------------------------------------------------------------------------

WANT = [["A", 2010, -0.51], ["A", 2011, 0.12]]


def saved(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "records.csv"
    path.write_bytes(content.encode(encoding))
    return path


def balances(path, **options):
    return read(path, **options)[["glacier", "balance_year", "balance"]].to_numpy().tolist()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("glacier;balance_year;balance\nA;2010;-0,51\nA;2011;0,12\n", "utf-8"),
        ("glacier\tbalance_year\tbalance\r\nA\t2010\t-0.51\r\nA\t2011\t0.12\r\n", "utf-8"),
        ("glacier\tbalance_year\tbalance\nA\t2010\t-0,51\nA\t2011\t0,12\n", "utf-16"),
        ("\ufeffglacier;balance_year;balance\nA;2010;-0.51\nA;2011;0.12\n", "utf-8"),
        ("Glacier,Balance_Year,BALANCE\nA,2010,\u22120.51\nA,2011.0,0.12\n", "utf-8"),
        ("# Gletscher, München\nglacier,balance_year,balance\n\nA,2010,-0.51\n,,\nA,2011,0.12\nA,2012,\n", "latin-1"),
        ("glacier,balance_year,balance\nA,2010,-0.51\nA,2011,0.12\nA,2012,-9999\nA,2013,NA\n", "utf-8"),
        ("glacier_id,year,glacier_name,annual_balance,winter_balance,ela,aar\nA,2010,X,-0.51,1.1,2900,.4\nA,2011,X,0.12,,,",
         "utf-8"),
        ("WGMS_ID,YEAR,LOWER_BOUND,UPPER_BOUND,ANNUAL_BALANCE\nA,2010,9999,9999,-510\nA,2010,2500,2600,-1500\n"
         "A,2011,,,120\nA,2011,2500,2600,-1000\n", "utf-8"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_table_is_the_same_table(tmp_path, content, encoding):
    assert balances(saved(tmp_path, content, encoding)) == WANT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("glacier,balance_year,balance\nA,2009/10,-0.51\n", "balance_year '2009/10' is not a number"),
        ("glacier,balance_year,balance\nA,2010.7,-0.51\n", "balance year 2010.7 is not a whole year"),
        ("glacier,balance_year,balance\nA,1066,-0.51\n", "balance year 1066 of A is not between 1850 and"),
        ("glacier,balance_year,balance\nA,2010,inf\n", "balance 'inf' is not a number"),
        ("glacier,balance_year,balance\nA,2010,1e21\n", r"balance 1e\+21 of A in 2010 is not possible in m w.e."),
        ("glacier,balance_year,balance\nA,2010,9.999\n", "balance 9.999 of A"),
        ("glacier,balance_year,balance,balance\nA,2010,-0.5,-0.6\n", "two columns named 'balance'"),
        ("glacier,balance_year,balance\nA,2010,-0,51\n", "a row has 4 fields, the header 3"),
        ("glacier,balance_year,balance,accumulation_area_ratio\nA,2010,-0.5,20\n",
         "accumulation_area_ratio 20 1 of A in 2010 is not between 0 and 1"),
        ("glacier,balance_year,balance,winter_balance\nA,2010,-0.5,12\n", "winter_balance 12 m w.e. of A in 2010"),
        ("glacier,balance_year,balance,summer_balance\nA,2010,-0.5,-30\n", "summer_balance -30 m w.e. of A in 2010"),
        ("glacier,balance_year,balance,latitude\nA,2010,-0.5,96\n", "latitude 96 degree of A in 2010"),
        ("RGI_ID,YEAR,LOWER_BOUND,UPPER_BOUND,ANNUAL_BALANCE\nA,2010,2500,2600,-1500\n", "elevation bands only"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_value(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(saved(tmp_path, content))


def test_marks_of_missing_numbers_are_missing(tmp_path):
    content = (
        "WGMS_ID,SURVEY_YEAR,ANNUAL_BALANCE,WINTER_BALANCE,SUMMER_BALANCE,ELA,AAR\n"
        "491,2018,9999,1000,-2000,3000,40\n491,2019,-500,9999,-9999,9999,-99\n491,2020,-600,1000,-1600,>3200,99\n"
    )
    table = read(saved(tmp_path, content))
    assert table.balance.tolist() == [-0.5, -0.6]
    first, second = table.iloc[0], table.iloc[1]
    assert (
        first[["winter_balance", "summer_balance", "equilibrium_line_altitude", "accumulation_area_ratio"]].isna().all()
    )
    assert (second.winter_balance, second.equilibrium_line_altitude, second.accumulation_area_ratio) == (
        1.0,
        3200,
        0.99,
    )
    millimetres = OWN.assign(balance=[-500.0, 9999.0, -1200.0])
    assert read(millimetres, units="mm w.e.").balance.tolist() == [-0.5, -1.2]


def test_ids_are_texts(tmp_path):
    content = "glacier,balance_year,balance\n00491,2010,-0.5\n507.0,2010,-0.6\nA.0,2010,-0.6\n"
    assert read(saved(tmp_path, content)).glacier.tolist() == ["00491", "507", "A.0"]
    assert read(OWN.assign(glacier=[491.0, 491.0, 507.0])).glacier.tolist() == ["491", "491", "507"]


def test_a_folder_says_which_of_its_files_are_no_balances(tmp_path):
    saved(tmp_path, "glacier,balance_year,balance\nA,2010,-0.51\nA,2011,0.12\n")
    (tmp_path / "glacier.csv").write_text("id,latitude\n1,46\n")
    (tmp_path / "._records.csv").write_bytes(b"\x00\x05\x16\x07")
    with pytest.warns(UserWarning, match=r"1 files hold no annual balances: glacier\.csv"):
        assert balances(tmp_path) == WANT
    (tmp_path / "records.csv").unlink()
    with pytest.raises(InputError, match="it needs glacier, balance_year, balance"):
        read(tmp_path)


def test_a_release_of_the_fluctuations_database_is_read_as_one(tmp_path):
    """As unpacked: since 2025 a data package; until 2024 with tables of surveys, from 2022 on under other names."""
    new, old, older = (tmp_path / name for name in ("DOI-WGMS-FoG-2025-02b", "2024-01", "2021-05"))
    (new / "data").mkdir(parents=True)
    (new / "data" / "mass_balance.csv").write_text(
        "country,glacier_name,glacier_id,year,time_system,begin_date,end_date,ela_position,ela,aar,annual_balance\n"
        "AT,HINTEREIS,491,2019,fixed-date,2018-10-01,2019-09-30,,3200,0.2,-1.18\nAT,KESSELWAND,507,2019,,,,,,,-0.5\n"
    )
    (new / "data" / "mass_balance_band.csv").write_text(
        "glacier_id,year,lower_elevation,upper_elevation,annual_balance\n491,2019,2500,2600,-3.1\n"
    )
    (new / "data" / "glacier.csv").write_text(
        "country,short_name,id,latitude,longitude\nAT,KESSELWAND,507,46.84,10.79\nAT,HINTEREIS,491,46.8,10.77\n"
    )
    glaciers = "NAME,WGMS_ID,LATITUDE,LONGITUDE\nHINTEREIS,491,46.8,10.77\nKESSELWAND,507,46.84,10.79\n"
    surveys = (
        "WGMS_ID,YEAR,TIME_SYSTEM,BEGIN_PERIOD,END_PERIOD,ELA_PREFIX,ELA,AAR\n"
        "491,2018,FXD,20171001,20180930,,3100,30\n491,2019,FXD,20181001,20190930,>,3200,20\n"
    )
    balances = (
        "NAME,WGMS_ID,YEAR,LOWER_BOUND,UPPER_BOUND,ANNUAL_BALANCE\nHINTEREIS,491,2019,2500,2600,-3100\n"
        "HINTEREIS,491,2019,9999,9999,-1180\nKESSELWAND,507,2019,9999,9999,-500\n"
    )
    (old / "data").mkdir(parents=True)
    older.mkdir()
    for folder, names in (
        (old / "data", ("glacier.csv", "mass_balance_overview.csv", "mass_balance.csv")),
        (older, [f"FoG-2021-05-{name}.csv" for name in ("A-GLACIER", "E-MASS-BALANCE-OVERVIEW", "EE-MASS-BALANCE")]),
    ):
        for name, content in zip(names, (glaciers, surveys, balances), strict=True):
            (folder / name).write_text(content)
    for home, table in ((new, "data/mass_balance.csv"), (old, "data/mass_balance.csv"), (older, names[2])):
        with pytest.warns(UserWarning, match="2 files hold no annual balances"):
            found = read(home)
        assert read(home / table).equals(found)
        first, second = (row for _, row in found.iterrows())
        assert [first.glacier, first["name"], first.balance_year, first.balance] == ["491", "HINTEREIS", 2019, -1.18]
        assert [first.longitude, first.latitude, second.longitude, second.latitude] == [10.77, 46.8, 10.79, 46.84]
        assert [first.equilibrium_line_altitude, first.accumulation_area_ratio] == [3200, 0.2]
        assert [str(first.survey_begin.date()), str(first.survey_end.date())] == ["2018-10-01", "2019-09-30"]
        assert first.equilibrium_line_bound == ("" if home == new else ">")
        assert second.balance == -0.5
        assert second[["equilibrium_line_altitude", "survey_end"]].isna().all()
    with pytest.raises(InputError, match=r"table of surveys \(E\); give its balances \(EE"):
        read(older / names[1])
    (older / names[0]).write_text(glaciers + "HINTEREIS,491,46.8,10.8\n")
    with pytest.raises(InputError, match=r"A-GLACIER\.csv' has two rows of wgms_id 491"):
        read(older)
    shutil.make_archive(str(tmp_path / "release"), "zip", new)
    with pytest.raises(InputError, match="an archive; unpack it and give its folder"):
        read(tmp_path / "release.zip")


def test_every_limit_holds_all_that_was_ever_measured(shared):
    """The widest set of records at hand is read whole, and lies well within the limits that cite it."""
    table = read(
        [path for path in sorted((shared / "smb_wgms" / "mbdata").glob("*.csv")) if "00491" not in path.name][:80]
    )
    for name in ("balance", "winter_balance", "summer_balance"):
        assert table[name].min() > LIMITS[name].low + 1
        assert table[name].max() < LIMITS[name].high - 1


# -- records as they are ----------------------------------------------------------------------------------------


def test_equilibrium_lines_beyond_the_glacier_are_bounds(fog, shared, tmp_path):
    """440 of the records since 1885: the slope on them is -.53 m w.e. per 100 m, on the others -.51."""
    records = fog
    raw = pd.concat(
        [pd.read_csv(path, skiprows=8, encoding="latin-1", escapechar="\\")
         for path in sorted((shared / "smb_wgms" / "fog_browser_2024").glob("*.csv"))]
    )  # fmt: skip
    written = raw.ELA.astype(str).str[:1]
    assert (records.equilibrium_line_bound == ">").sum() == (written == ">").sum() == 422
    assert (records.equilibrium_line_bound == "<").sum() == (written == "<").sum() == 18
    content = "glacier_id,year,annual_balance,ela,ela_position\n1,2020,-1.0,3000,above\n1,2021,0.1,2500,\n"
    assert read(saved(tmp_path, content)).equilibrium_line_bound.tolist() == [">", ""]


def test_reconstructed_balances_are_marked_and_out_unless_asked_for(fog, shared):
    records, everything = fog, read(shared / "smb_wgms" / "fog_browser_2024", reconstructed=True)
    assert len(everything) == len(records) + 74
    assert (everything.reconstructed != "").sum() == 246
    of_winter = records.reconstructed == "winter"
    assert of_winter.sum() == 172
    assert records[of_winter].winter_balance.isna().all()
    assert everything[everything.reconstructed == "winter"].winter_balance.notna().any()
    # A table that was read once is not sieved again.
    assert len(read(everything)) == len(everything)


def test_two_versions_of_a_record_are_shown():
    twice = pd.concat([OWN, OWN.assign(balance=OWN.balance + 0.1)])
    with pytest.raises(InputError, match=r"2010 of a \(-0.5 and -0.4 m w.e.\); 2 more years are given more than once"):
        read(twice)


def test_norwegian_survey_dates_are_kept(shared):
    path = shared / "smb_norway_nve" / "massbalance_gw_Norway.csv"
    table, raw = read(path), pd.read_csv(path, sep=";", encoding="utf-8-sig").dropna(subset=["Ba"])
    for ours, theirs in (("survey_begin", "DateMinPrevYear"), ("survey_end", "DateMin")):
        expected = pd.to_datetime(raw[theirs], format="%d.%m.%Y").reset_index(drop=True)
        pd.testing.assert_series_equal(table[ours], expected, check_names=False, check_dtype=False)
    assert table.survey_end.notna().sum() == 762


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2013-09-24", "2013-09-24"),
        ("20130924", "2013-09-24"),
        ("24.9.2013 00:00", "2013-09-24"),
        (20130924.0, "2013-09-24"),
        (pd.Timestamp("2013-09-24"), "2013-09-24"),
        ("20139999", None),
        ("20130999", None),
        ("", None),
        ("9999", None),
    ],
)
def test_survey_dates_as_people_write_them(written, day):
    found = read(OWN.assign(survey_end=[written, None, None])).survey_end
    assert found.isna().tolist() == [day is None, True, True]
    assert day is None or found[0] == pd.Timestamp(day)


@pytest.mark.parametrize("written", ["soon", "2013-13-01", "31.02.2013", "24/09/2013", "2013"])
def test_survey_dates_that_are_none_are_named(written):
    with pytest.raises(InputError, match=f"survey_end '{written}' is not a da"):
        read(OWN.assign(survey_end=written))

"""Records: the published layouts, units, and the glacier that they are of."""

import sys

import numpy as np
import pandas as pd
import pytest

import facies_xr as fx
from facies_xr.errors import InputError
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
        (lambda t: t.drop(columns="balance"), "it needs glacier, balance_year, balance or RGI_ID"),
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


def test_records_alone_behave_as_the_literature_says(shared):
    """3.1 m w.e. per unit of AAR (quartiles 2.5, 3.5), -.50 m w.e. per 100 m of ELA (methods of SCIENCE, WGMS)."""
    records = read(shared / "smb_wgms" / "fog_browser_2024")
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

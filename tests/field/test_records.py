"""Records of mass balance as they come: dialects, missing marks, ids that went through a number, names abroad."""

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import xarray as xr

from facies_xr import outlines
from facies_xr.errors import InputError
from facies_xr.smb import records
from facies_xr.smb.match import match

from . import read_or_refused

TWO_YEARS = [["A", 2010, -0.51], ["A", 2011, 0.12]]


def read(path, text, encoding="utf-8", **options):
    path.write_bytes(text.encode(encoding))
    return records.read(path, **options)


def rows(table):
    return table[["glacier", "balance_year", "balance"]].values.tolist()


# -- dialects of a spreadsheet ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "complaint"),
    [
        ("glacier;balance_year;balance\nA;2010;-0.51\nA;2011;0.12\n", "utf-8-sig", "^$"),
        ("glacier;balance_year;balance\nA;2010;-0,51\nA;2011;0,12\n", "utf-8", r"decimal|-0,51"),
        ("glacier\tbalance_year\tbalance\nA\t2010\t-0.51\nA\t2011\t0.12\n", "utf-8", r"(?i)tabs|tab-|separat"),
        ("glacier\tbalance_year\tbalance\nA\t2010\t-0.51\nA\t2011\t0.12\n", "utf-16", r"(?i)utf|encod"),
        ("glacier,balance_year,balance\nA,2010,\u22120.51\nA,2011,0.12\n", "utf-8", "minus|\u2212"),
        ("glacier,balance_year,balance\nA,2010,-0.51\nA,2011,0.12\nA,2012,-9999\n", "utf-8", r"-9999"),
        ("glacier,balance_year,balance\nA,2009/10,-0.51\nA,2010/11,0.12\n", "utf-8", "year"),
    ],
    ids=["mark", "decimal-comma", "tabs", "utf-16", "minus-sign", "-9999", "two-years"],
)  # fmt: skip
def test_a_spreadsheet_is_read_or_its_dialect_named(tmp_path, text, encoding, complaint):
    path = tmp_path / "table.csv"
    found = read_or_refused(lambda: rows(read(path, text, encoding)), complaint)
    assert found in (None, TWO_YEARS)


def test_a_decimal_year_is_not_cut(tmp_path):
    with pytest.raises(InputError, match=r"2010\.7"):
        read(tmp_path / "table.csv", "glacier,balance_year,balance\nA,2010.7,-0.51\n")


# -- missing marks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("RGI_ID,YEAR,ANNUAL_BALANCE\nRGI60-11.00897,2019,-500\nRGI60-11.00897,2020,9999\n", {}),
        ("WGMS_ID,SURVEY_YEAR,ANNUAL_BALANCE,NAME,LONGITUDE,LATITUDE\n491,2019,-500,H,10.7,46.8\n"
         "491,2020,9999,H,10.7,46.8\n", {}),
        ("glacier,balance_year,balance\na,2019,-500\na,2020,9999\n", {"units": "mm w.e."}),
        ("glacier,balance_year,balance\na,2019,-0.5\na,2020,9.999\n", {}),
    ],
    ids=["RGI", "browser", "mm", "m"],
)  # fmt: skip
def test_9999_is_no_balance(tmp_path, text, options):
    path = tmp_path / "table.csv"
    found = read_or_refused(lambda: read(path, text, **options).balance.tolist(), r"9\.?999")
    assert found in (None, [-0.5])


def test_missing_marks_beside_a_good_balance(tmp_path):
    text = "WGMS_ID,SURVEY_YEAR,ANNUAL_BALANCE,WINTER_BALANCE,SUMMER_BALANCE,AAR\n491,2019,-500,9999,-9999,-99\n"
    (record,) = read(tmp_path / "table.csv", text).itertuples()
    assert record.balance == -0.5
    for value in (record.winter_balance, record.summer_balance, record.accumulation_area_ratio):
        assert pd.isna(value)


# -- whose record is it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glacier", "name", "longitude", "latitude"),
    [
        ("491", "HINTEREIS F.", 10.77, 46.80),  # the number of a glacier of the map in another numbering
        ("2", "SOMEWHERE ELSE", 10.0, 46.0),
        ("77", "WHITE GLACIER", -123.75, 47.80),  # the name of one elsewhere
        ("78", "BLUE GLACIER", 168.0, -77.8),
    ],
)
def test_a_position_on_another_continent_beats_name_and_number(tmp_path, glacier, name, longitude, latitude):
    maps = xr.Dataset(
        coords={
            "glacier": ["491", "2", "RGI60-03.04539"],
            "glacier_name": ("glacier", ["", "Blue Glacier", "White Glacier"]),
            "longitude": ("glacier", [-147.4, -123.7, -90.9]),
            "latitude": ("glacier", [61.2, 47.8, 79.5]),
        }
    )
    text = f"glacier,name,longitude,latitude,balance_year,balance\n{glacier},{name},{longitude},{latitude},2010,-0.5\n"
    matched, report = match(read(tmp_path / "table.csv", text), maps)
    assert report.glacier.isna().all(), report
    assert len(matched) == 0


def test_ids_that_went_through_a_number(tmp_path):
    boxes = [shapely.box(x, 5180000, x + 2000, 5182000) for x in (600000, 610000)]
    gpd.GeoDataFrame({"glacier": [491.0, 507.0]}, geometry=boxes, crs=32632).to_file(tmp_path / "real.shp")
    ids = outlines.read(tmp_path / "real.shp").glacier.tolist()
    assert ids == ["491", "507"]
    text = "glacier,balance_year,balance\n491,2010,-0.5\n{}491,2011,-0.6\n507,2010,-0.7\n"
    for blank in ("", ",,\n"):  # a line without anything makes pandas read numbers as floats
        table = read(tmp_path / "table.csv", text.format(blank))
        assert len(match(table, xr.Dataset(coords={"glacier": ids}))[0]) == 3


def test_ids_keep_their_leading_zeros(tmp_path):
    table = read(tmp_path / "table.csv", "glacier,balance_year,balance\n00491,2010,-0.5\n00507,2010,-0.7\n")
    assert table.glacier.tolist() == ["00491", "00507"]
    assert len(match(table, xr.Dataset(coords={"glacier": ["00491", "00507"]}))[0]) == 2

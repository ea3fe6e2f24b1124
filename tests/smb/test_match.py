"""Which glacier of a map a record is of."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr.errors import InputError
from facies_xr.smb.match import match
from facies_xr.smb.records import read


@pytest.fixture
def maps():
    names = ["Hintereisferner", "Kesselwandferner", "Vernagtferner", "Vernagtferner"]
    return xr.Dataset(
        coords={
            "glacier": ["g1", "g2", "g3", "g4"],
            "glacier_name": ("glacier", names),
            "longitude": ("glacier", [10.76, 10.79, 10.82, 10.824]),
            "latitude": ("glacier", [46.80, 46.84, 46.88, 46.88]),
        }
    )


def record(glacier, name="", longitude=np.nan, latitude=np.nan):
    row = {"glacier": [glacier], "balance_year": [2010], "balance": [-0.3], "name": [name],
           "longitude": [longitude], "latitude": [latitude]}  # fmt: skip
    return read(pd.DataFrame(row))


@pytest.mark.parametrize(
    ("row", "glacier", "by"),
    [
        (record("g2", "something else", 0.0, 0.0), "g2", "id"),
        (record("507", "KESSELWANDFERNER"), "g2", "name"),
        (record("507", "Kesselwand-Ferner"), "g2", "name"),
        (record("491", "HINTEREIS F.", 10.77, 46.80), "g1", "position"),
        (record("489", "Vernagtferner"), None, "2 glaciers of that name"),
        (record("489", "VERNAGT FERNER", 10.822, 46.88), None, "two glaciers within 0.2 km"),
        (record("1", "", 11.5, 46.80), None, r"nearest glacier \d+.\d km away"),
        (record("1"), None, "no such id or name, no position"),
    ],
)
def test_records_find_their_glacier(maps, row, glacier, by):
    matched, report = match(row, maps)
    assert matched.glacier.tolist() == ([glacier] if glacier else [])
    assert re.fullmatch(by, report.by.item())
    assert report.records.item() == 1


def test_two_sources_of_one_glacier_are_named(maps):
    both = pd.concat([record("g1"), record("491", "HINTEREISFERNER")])
    with pytest.raises(InputError, match="two records of 2010 fall on glacier g1"):
        match(both, maps)


def test_a_record_from_another_continent_is_of_no_glacier():
    """Names return all over the world, and numbers of one inventory are those of others."""
    maps = xr.Dataset(
        coords={
            "glacier": ["491", "2", "RGI60-03.04539"],
            "glacier_name": ("glacier", ["", "Blue Glacier", "White Glacier"]),
            "longitude": ("glacier", [-147.4, -123.7, -90.9]),
            "latitude": ("glacier", [61.2, 47.8, 79.5]),
        }
    )
    rows = [("491", "HINTEREIS F.", 10.77, 46.80), ("77", "WHITE GLACIER", -123.75, 47.80),
            ("78", "BLUE GLACIER", 168.0, -77.8), ("2", "SOMEWHERE ELSE", 10.0, 46.0)]  # fmt: skip
    records = pd.concat([record(*row) for row in rows])
    matched, report = match(records, maps)
    assert matched.empty
    assert report.by.str.match(r"the glacier of that (id|name) is \d{4,5} km away").all()
    near = record("78", "BLUE GLACIER", -123.2, 47.8)  # 37 km: the glacier's other end, or a rough position
    assert match(near, maps)[0].glacier.tolist() == ["2"]


@pytest.mark.parametrize("ids", [["491", "507"], ["491.0", "507.0"], [491, 507], [491.0, 507.0]])
def test_ids_that_went_through_a_number_are_the_same_ids(ids):
    records = pd.concat([record("491"), record("507.0")])
    assert match(records, xr.Dataset(coords={"glacier": ids}))[0].glacier.tolist() == ids
    assert match(record("00491"), xr.Dataset(coords={"glacier": ids}))[0].empty

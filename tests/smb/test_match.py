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

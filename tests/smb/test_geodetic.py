"""Geodetic balances as they are published."""

import pandas as pd
import pytest

from facies_xr.errors import InputError
from facies_xr.smb.geodetic import read


def test_real_rows(shared):
    found = read(shared / "smb_scandinavia_geodetic" / "df_all.csv")
    assert len(found) == 6834
    assert found.glacier.nunique() == 3417
    assert set(found.first_year) == {2001, 2011}
    assert set(found.last_year) == {2010, 2020}
    assert found.balance.median() == pytest.approx(-0.6, abs=0.4)


def row(**changes):
    table = {
        "rgiid": "RGI60-11.00897",
        "period": "2000-01-01_2020-01-01",
        "area": 8.0,
        "dmdtda": -1.0,
        "err_dmdtda": 0.2,
    }
    return pd.DataFrame([{**table, **changes}])


def test_the_layout_of_hugonnet():
    assert read(row()).iloc[0].tolist() == ["RGI60-11.00897", 2001, 2020, -1.0, 0.2]


@pytest.mark.parametrize(
    "changes",
    [{"dmdtda": -1000.0}, {"err_dmdtda": 0.0}, {"period": "2020-2000"}, {"period": "twenty years"}, {"dmdtda": None}],
)
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(InputError):
        read(row(**changes))


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="lack error"):
        read(row().drop(columns="err_dmdtda"))

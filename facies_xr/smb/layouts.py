"""The layouts in which balances are published, one row each, and what their numbers may be."""

from dataclasses import dataclass

import pandas as pd

BALANCES = ("balance", "winter_balance", "summer_balance")

COLUMNS = (
    "glacier", "balance_year", *BALANCES, "name", "longitude", "latitude", "accumulation_area_ratio",
    "equilibrium_line_altitude", "equilibrium_line_bound", "system", "reconstructed", "survey_begin", "survey_end",
)  # fmt: skip
"""Of the table that ``records.read`` gives."""

TEXTS = ("name", "equilibrium_line_bound", "system", "reconstructed")
"""Columns that hold texts, empty where they say nothing."""

DATES = ("survey_begin", "survey_end")
"""Columns of the days on which a balance year was begun and ended in the field; missing where it is not known."""

BOUNDS = {">": ">", "<": "<", "above": ">", "below": "<"}
"""An equilibrium line that lies above or below the glacier is censored at the altitude that is given."""

MARKS = (9999.0, 99999.0, 999999.0)
"""Numbers that mean "missing" with either sign, in any column and unit."""

SHARE_MARKS = (-1.0, -9.0, -99.0, -999.0, 999.0)
"""The same of accumulation area ratios as published."""


@dataclass(frozen=True)
class Limit:
    """What is possible."""

    low: float
    high: float
    unit: str
    source: str


_FOG = "6564 records of 290 glaciers in WGMS (2022), doi:10.5904/wgms-fog-2022-09, have"
LIMITS = {
    "balance": Limit(-8.0, 8.0, "m w.e.", f"{_FOG} -5.6 (Conejeras 2015) to 4.7 (Conconta Norte 2017)"),
    "winter_balance": Limit(-2.0, 9.0, "m w.e.", f"{_FOG} -0.2 (Los Amarillos 2015) to 6.7 (Wolverine 1981)"),
    "summer_balance": Limit(-11.0, 6.0, "m w.e.", f"{_FOG} -6.7 (Hansebreen 2006) to 4.1 (Djankuat 2020)"),
    "accumulation_area_ratio": Limit(0.0, 1.0, "1", "a share of the glacier's area"),
    "equilibrium_line_altitude": Limit(-100.0, 8900.0, "m", "from sea level to Mount Everest"),
    "longitude": Limit(-180.0, 360.0, "degree", "the globe"),
    "latitude": Limit(-90.0, 90.0, "degree", "the globe"),
}
"""By column."""

FIRST_YEAR = 1850
"""No balance was measured earlier; the first were on Rhonegletscher in 1885. [year]"""


@dataclass(frozen=True)
class Layout:
    """How a publisher names its columns, whatever their case."""

    name: str
    columns: dict[str, str]
    """Their names of ours; those in ``needed`` must be there."""
    factor: float
    """To m w.e."""
    percent: bool = False
    """Whether accumulation area ratios are in percent."""
    needed: tuple[str, ...] = ("glacier", "balance_year", "balance")
    own: bool = False
    """Whether it is that of a user's table, whose unit may be declared."""
    spare_id: tuple[str, str] | None = None
    """Prefix and column of an id for rows whose own is missing."""

    def fits(self, table: pd.DataFrame) -> bool:
        """Whether a table, its column names in lower case, has the columns that must be there."""
        return not self.missing(table)

    def missing(self, table: pd.DataFrame) -> list[str]:
        """Columns that must be there and are not."""
        return [self.columns[name] for name in self.needed if self.columns[name].lower() not in table.columns]


_WGMS = {"balance": "ANNUAL_BALANCE", "winter_balance": "WINTER_BALANCE", "summer_balance": "SUMMER_BALANCE",
         "accumulation_area_ratio": "AAR", "equilibrium_line_altitude": "ELA", "name": "NAME",
         "remarks": "REMARKS", "system": "TIME_SYSTEM", "survey_begin": "BEGIN_PERIOD",
         "survey_end": "END_PERIOD"}  # fmt: skip
_POSITION = {"longitude": "LONGITUDE", "latitude": "LATITUDE"}
_WGMS_2025 = {ours: theirs.lower() for ours, theirs in _WGMS.items()} | {
    "name": "glacier_name",
    "equilibrium_line_bound": "ela_position",
    "survey_begin": "begin_date",
    "survey_end": "end_date",
}

_OWN = {name: name for name in COLUMNS}

LAYOUTS = (
    Layout("a table of your own", _OWN, 1.0, own=True),
    Layout("a table of your own", {**_OWN, "balance_year": "year"}, 1.0, own=True),
    Layout("WGMS by RGI id", {"glacier": "RGI_ID", "balance_year": "YEAR", **_WGMS}, 1e-3, percent=True),
    Layout(
        "WGMS Fluctuations of Glaciers browser",
        {"glacier": "WGMS_ID", "balance_year": "SURVEY_YEAR", **_POSITION, **_WGMS},
        1e-3,
        percent=True,
    ),
    Layout(
        "WGMS Fluctuations of Glaciers until 2024, table EE",
        {"glacier": "WGMS_ID", "balance_year": "YEAR", **_POSITION, **_WGMS, "equilibrium_line_bound": "ELA_PREFIX"},
        1e-3,
        percent=True,
    ),
    Layout(
        "WGMS Fluctuations of Glaciers since 2025, mass_balance.csv",
        {"glacier": "glacier_id", "balance_year": "year", **_POSITION, **_WGMS_2025},
        1.0,
    ),
    Layout(
        "NVE",
        {
            "glacier": "RGIID",
            "balance_year": "Year",
            "balance": "Ba",
            "winter_balance": "Bw",
            "summer_balance": "Bs",
            "survey_begin": "DateMinPrevYear",
            "survey_end": "DateMin",
        },
        1.0,
        spare_id=("NVE-", "BREID"),
    ),
)
"""Layouts that are told apart by their columns."""

BANDS = (("lower_bound", "upper_bound"), ("lower_elevation", "upper_elevation"))
"""Columns of the elevation band of a row; where they hold one, its balance is not the glacier's."""

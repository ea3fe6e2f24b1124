"""Balance years and end-of-ablation seasons.

A balance year is named by the year in which it ends. The season in which it is observed is centred on 20 August
north of the equator and on 20 February south of it; a season given by the user is taken literally (Maslov et al.
2026, section 3; the tropics have no single end of ablation, so there it must be given). Where glaciers accumulate in
summer, 20 August comes with a warning. ``REGIONS`` tells when the balance years of each region end in the records.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from .errors import InputError

if TYPE_CHECKING:
    import xarray as xr

TROPIC = 23.5  # degree


@dataclass(frozen=True)
class Region:
    """A first-order region of the Randolph Glacier Inventory, and when its balance years end."""

    number: int
    name: str
    survey: str | None
    """Median day on which records of annual balances end, and how many there are; None where none tells."""
    records: int = 0
    gains: str = "winter"
    """When most of the glaciers gain most of their snow: "winter", "summer", "mixed" or "all year"."""
    box: tuple[float, float, float, float] | None = None
    """West, south, east, north, where the season of a place depends on it. [degree]"""


REGIONS = (
    Region(1, "Alaska", "09-26", 125),
    Region(2, "Western Canada and USA", "09-29", 137),
    Region(3, "Arctic Canada North", None),
    Region(4, "Arctic Canada South", None),
    Region(5, "Greenland Periphery", "08-24", 9),
    Region(6, "Iceland", "10-04", 22),
    Region(7, "Svalbard and Jan Mayen", "09-16", 72),
    Region(8, "Scandinavia", "09-29", 433),
    Region(9, "Russian Arctic", None),
    Region(10, "North Asia", "09-03", 43),
    Region(11, "Central Europe", "09-30", 560),
    Region(12, "Caucasus and Middle East", "09-20", 26),
    Region(13, "Central Asia", "09-09", 118, gains="mixed"),
    Region(14, "South Asia West", None, gains="mixed"),
    Region(15, "South Asia East", None, gains="summer", box=(75.5, 26.0, 105.0, 32.0)),
    Region(16, "Low Latitudes", None, gains="all year"),
    Region(17, "Southern Andes", "03-31", 46),
    Region(18, "New Zealand", "03-22", 14),
    Region(19, "Subantarctic and Antarctic Islands", "02-17", 24),
)
"""First-order regions (RGI Consortium 2023, doi:10.5067/f6jmovy5navz). Survey days: end of the balance year in the
1629 records of the WGMS's overview of 2022-03-01 with an RGI id, as the tests count them. When glaciers
gain snow: Maussion et al. (2014), doi:10.1175/JCLI-D-13-00282.1, for High Mountain Asia; Kaser and Osmaston (2002),
Tropical Glaciers, for the low latitudes. The box of region 15 holds the central and eastern Himalaya, the
Nyainqentanglha and the Hengduan Shan, where the monsoon brings the snow; parts of region 13 are like it."""

YEARS = range(1900, 2101)
"""Balance years that can be asked for."""

Dates: TypeAlias = datetime | np.datetime64 | Sequence[datetime] | np.ndarray | pd.DatetimeIndex
"""One date or several."""


@dataclass(frozen=True)
class Season:
    """A window of days that returns every year."""

    month: int
    day: int
    half_width: int
    """Days on either side of the centre. [day]"""

    @classmethod
    def parse(cls, season: "Season | tuple[str, int]") -> "Season":
        """Season from ``("08-20", 20)``: centre as month-day, half width in days."""
        if isinstance(season, Season):
            return season
        try:
            centre, half_width = season
            month, day = (int(part) for part in centre.split("-"))
            date(2001, month, day)
            half_width = int(half_width)
        except (TypeError, ValueError, AttributeError):
            raise InputError(
                f'season {season!r} is not understood; give (centre, days), for example ("08-20", 20).'
            ) from None
        if not 0 <= half_width <= 182:
            raise InputError(f"season {season!r}: the half width must be 0 to 182 days.")
        return cls(month, day, half_width)

    @classmethod
    def at(cls, latitude: float, longitude: float | None = None) -> "Season":
        """The end of the ablation season at a place. [degree north, degree east]

        Where glaciers gain their snow in summer, a warning says so: bright snow on 20 August may be a day old, and the
        snow line is not the year's.
        """
        if abs(latitude) <= TROPIC:
            raise InputError(
                f"latitude {latitude:.1f}: in the tropics there is no common end of the ablation season; "
                'give season=("MM-DD", days).'
            )
        for region in REGIONS:
            if region.gains == "summer" and _within(region.box, longitude, latitude):
                warnings.warn(
                    f"latitude {latitude:.1f}, longitude {longitude:.1f} is in region {region.number}, {region.name}, "
                    "whose glaciers gain snow in summer: on 20 August fresh snow may hide the snow line. It is taken "
                    'nevertheless; give season=("10-15", 30), after the monsoon, or another one that fits.',
                    stacklevel=2,
                )
        return cls(8, 20, 20) if latitude > 0 else cls(2, 20, 20)

    def to_attrs(self) -> dict[str, Any]:
        """As attributes of the coordinate ``balance_year``, with which a season travels through the line."""
        return {"season_centre": f"{self.month:02d}-{self.day:02d}", "season_half_width": self.half_width}

    @classmethod
    def from_attrs(cls, attrs: Mapping[Any, Any]) -> "Season | None":
        """Season that attributes tell of, None if they tell of none."""
        if "season_centre" not in attrs:
            return None
        half_width: Any = attrs.get("season_half_width")
        return cls.parse((attrs["season_centre"], half_width))

    @classmethod
    def of(cls, data: "xr.Dataset") -> "Season | None":
        """Season that travels with a Dataset, on its coordinate ``balance_year``; None if there is none."""
        return cls.from_attrs(data["balance_year"].attrs) if "balance_year" in data.coords else None

    def centre(self, year: int) -> date:
        """Centre of the season in a calendar year, which names the balance year."""
        return date(year, self.month, self.day)

    def window(self, year: int) -> tuple[date, date]:
        """First and last day of the season of a balance year."""
        half = timedelta(days=self.half_width)
        return self.centre(year) - half, self.centre(year) + half

    def balance_year(self, when: Dates) -> np.ndarray:
        """Balance year of each date: that of the nearest season centre; a tie goes to the later year.

        Parameters
        ----------
        when : array-like of datetime64

        Returns
        -------
        ndarray of int32
        """
        days = pd.DatetimeIndex(np.atleast_1d(np.asarray(when, "datetime64[ns]")))
        return np.array([self._nearest(day.date())[0] for day in days], dtype="int32")

    def days_from_centre(self, when: Dates) -> np.ndarray:
        """Signed days from the nearest season centre. [day]"""
        days = pd.DatetimeIndex(np.atleast_1d(np.asarray(when, "datetime64[ns]")))
        return np.array([self._nearest(day.date())[1] for day in days], dtype="int32")

    def _nearest(self, day: date) -> tuple[int, int]:
        years = (day.year + 1, day.year, day.year - 1)  # later first: min() keeps the first of equals
        offsets = {year: (day - self.centre(year)).days for year in years}
        year = min(years, key=lambda y: abs(offsets[y]))
        return year, offsets[year]

    def __str__(self) -> str:
        return f"{self.month:02d}-{self.day:02d} +-{self.half_width} d"


def _within(box: tuple[float, float, float, float] | None, longitude: float | None, latitude: float) -> bool:
    if box is None or longitude is None:
        return False
    west, south, east, north = box
    return west <= longitude <= east and south <= latitude <= north


def check_years(years: int | str | Iterable[int | str]) -> list[int]:
    """Sorted distinct balance years, from one year or several, as numbers or texts.

    Raises
    ------
    InputError
        If one is no whole number, or lies outside :data:`YEARS`.
    """
    several = [years] if isinstance(years, str | int | float | np.number) else years
    try:
        whole = sorted({year if isinstance(year, int) else _whole(year) for year in several})
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"years={years!r} is not a year or a list of years.") from None
    if not whole:
        raise InputError("years is empty; give at least one balance year.")
    for year in whole:
        if year not in YEARS:
            raise InputError(f"years={years!r}: {year} is no year between {YEARS[0]} and {YEARS[-1]}.")
    return whole


def _whole(year: Any) -> int:
    if isinstance(year, str):
        return int(year)
    if int(year) != year:
        raise ValueError
    return int(year)

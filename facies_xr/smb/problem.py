"""What every balance method is given: records and predictors of glaciers in balance years."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..maps import series
from ..seasons import Season

CENSORED = 0.02
"""Accumulation area ratio below which it says nothing more about the balance."""

FLAGS = {**series.FLAGS, "no_snow": 32, "no_albedo": 64, "censored": 128, "no_relief": 256,
         "fixed_date": 512, "floating_date": 1024, "stratigraphic": 2048}  # fmt: skip
"""Bits of ``flags``; the last three are the system of the record, as far as it tells one."""

SYSTEMS = {"fx": "fixed_date", "fix": "fixed_date", "flo": "floating_date", "str": "stratigraphic"}
"""How the names of systems begin in records (WGMS: FXD, FLO, STR; fixed-date and so on), and their flags."""

SURVEY = "days_to_survey"
"""Optional predictor: days from the scenes' day to the survey. [day]"""

LONGEST = 60
"""Days to the survey beyond which snow and melt are no longer those of late summer. [day]"""

UNFIT = ("outside_season", "fresh_snow", "cut_by_edge")
"""Flags of rows that no fit rests on."""

FLAT = 1.0
"""Relief of a glacier whose pixels all lie within one metre. [m]"""

REQUIRED = ("snow_fraction", "snow_line_relative")
"""Predictors of Eq. 2 without which a row cannot be predicted."""

OPTIONAL = ("albedo",)
"""Predictors that sharpen a prediction."""

POSSIBLE = {"snow_fraction": (0.0, 1.0), "snow_line_relative": (-1.0, 1.0), "albedo": (-0.1, 1.5),
            SURVEY: (-LONGEST, LONGEST)}  # fmt: skip
"""Least and largest value of each predictor; an albedo index of slopes in the sun may pass 1."""

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Problem:
    """A table of glaciers and balance years, and what else is known of the glaciers.

    Methods take rows by their position in the table.
    """

    rows: pd.DataFrame
    """Columns ``glacier``, ``balance_year``, ``observed`` [m w.e.] (NaN without a record), the predictors, and
    where they are known ``longitude``, ``latitude`` [degree] and ``flags``."""
    predictors: tuple[str, ...] = REQUIRED + OPTIONAL
    """Columns that a method may use; the first is the snow fraction."""
    optional: tuple[str, ...] = ()
    """Those of them that may be missing where a row is to be predicted."""
    definitions: Mapping[str, str] = field(default_factory=dict)
    """What the predictors mean, by name, such as the classifier that they come from."""
    hypsometry: xr.Dataset | None = None
    """Area of each elevation band (glacier, elevation_band), for methods that integrate over it."""
    forcing: xr.Dataset | None = None
    """Weather at the glaciers (glacier, time), for methods that need it."""
    grids: Mapping[str, xr.Dataset] | None = None
    """Geometry and facies of each glacier on a grid, for methods that run on one."""
    held_back: frozenset[str] = frozenset()
    """Test glaciers, which no fit may see."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def glacier(self) -> np.ndarray:
        """Id of the glacier of each row."""
        return self.rows["glacier"].to_numpy()

    @cached_property
    def balance_year(self) -> np.ndarray:
        """Balance year of each row."""
        return self.rows["balance_year"].to_numpy()

    @cached_property
    def observed(self) -> np.ndarray:
        """Recorded balance of each row. [m w.e.]"""
        return self.rows["observed"].to_numpy(float)

    @cached_property
    def position(self) -> np.ndarray:
        """Longitude and latitude of the glacier of each row, NaN where they are not known. (2, row) [degree]"""
        return self.rows.reindex(columns=["longitude", "latitude"]).to_numpy(float).T

    @cached_property
    def design(self) -> np.ndarray:
        """Values of the predictors. (row, predictor)"""
        return self.rows[list(self.predictors)].to_numpy(float)

    @property
    def required(self) -> tuple[str, ...]:
        """Predictors without which a row cannot be predicted."""
        return tuple(name for name in self.predictors if name not in self.optional)

    @cached_property
    def predictable(self) -> np.ndarray:
        """Whether a row has all predictors that it needs."""
        return self.rows[list(self.required)].notna().all(axis=1).to_numpy()

    @cached_property
    def usable(self) -> np.ndarray:
        """Whether a fit may rest on a row: a record, predictors, and no flag that forbids it."""
        unfit = sum(FLAGS[name] for name in UNFIT)
        flags = self.rows["flags"].to_numpy() if "flags" in self.rows else np.zeros(len(self), int)
        return np.isfinite(self.observed) & self.predictable & ((flags & unfit) == 0)

    def require_free(self, rows: np.ndarray) -> None:
        """Refuse rows of glaciers that no fit may see.

        Raises
        ------
        InputError
        """
        seen = sorted(set(self.glacier[rows]) & self.held_back)
        if seen:
            raise InputError(
                f"{len(seen)} test glaciers are among the rows of a fit, {seen[0]} first; they are frozen until the "
                "end. Leave them out."
            )

    def take(self, rows: np.ndarray) -> "Problem":
        """The problem of some of the rows."""
        return replace(self, rows=self.rows.iloc[rows].reset_index(drop=True))

    def using(self, predictors: tuple[str, ...]) -> "Problem":
        """The problem with some of the predictors."""
        return replace(
            self, predictors=predictors, optional=tuple(name for name in self.optional if name in predictors)
        )


def of_statistics(stats: xr.Dataset, *, rule: str = series.DEFAULT_RULE, areas: str = "map") -> Problem:
    """Glaciers and balance years of some statistics, as yet without records.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.statistics` gives them.
    rule : str
        As :func:`facies_xr.maps.series.end_of_season` takes it.
    areas : str
        Which areas ``accumulation_area_ratio`` holds, for the definitions.

    Returns
    -------
    Problem
    """
    rows = predictors(stats, rule=rule)
    definitions = {
        "classifier": str(stats.attrs.get("classifier_digest", UNKNOWN)),
        "level": str(stats.attrs.get("level", UNKNOWN)),
        "areas": areas,
        "classes": str(stats.attrs.get("accumulation_classes", UNKNOWN)),
        "rule": rule,
        "season": str(Season.of(stats) or UNKNOWN),
    }
    for name in ("longitude", "latitude"):
        if name in stats.coords and stats[name].dims == ("glacier",):
            rows[name] = stats[name].to_series().reindex(rows["glacier"]).to_numpy()
    hypsometry = stats[[name for name in ("glacier_area", "band_area") if name in stats]]
    return Problem(
        rows.assign(observed=np.nan, recorded_accumulation_area_ratio=np.nan),
        optional=OPTIONAL,
        definitions=definitions,
        hypsometry=hypsometry,
    )


def predictors(stats: xr.Dataset, *, rule: str = series.DEFAULT_RULE) -> pd.DataFrame:
    """Predictors of each glacier and balance year.

    Parameters
    ----------
    stats : Dataset
        As :func:`facies_xr.statistics` gives them.
    rule : str
        As :func:`facies_xr.maps.series.end_of_season` takes it.

    Returns
    -------
    DataFrame
        A row a glacier and year; predictors are NaN where no scene could be used. Without snow the snow line is put
        at the glacier's highest elevation, and the row flagged.
    """
    end = series.end_of_season(stats, rule=rule)
    names = ["accumulation_area_ratio", "lowest_snow", "albedo", "coverage", "scenes", "flags"]
    names += ["scene_date", "days_from_season_centre"]
    table = end[[*names, "mean_elevation", "min_elevation", "max_elevation"]].to_dataframe().reset_index()
    snow, relief = table.accumulation_area_ratio, table.max_elevation - table.min_elevation
    snow_free = snow.notna() & ((snow == 0) | table.lowest_snow.isna())
    lowest = table.lowest_snow.where(~snow_free, table.max_elevation)
    known = snow.notna() & (relief > FLAT)
    flags = table["flags"].to_numpy()
    later = series.DAY - table.days_from_season_centre if rule == "depletion" else 0 * table.days_from_season_centre
    for name, is_set in (
        ("no_snow", snow_free),
        ("no_albedo", table.albedo.isna()),
        ("censored", snow <= CENSORED),
        ("no_relief", ~(relief > FLAT)),
    ):
        flags = flags | np.where(is_set, FLAGS[name], 0)
    return pd.DataFrame(
        {
            "glacier": table.glacier,
            "balance_year": table.balance_year.astype(int),
            "snow_fraction": snow.where(known),
            "snow_line_relative": ((lowest - table.mean_elevation) / relief.where(relief > FLAT)).where(known),
            **{name: table[name] for name in ("albedo", "coverage", "scene_date", "scenes")},
            "state_date": table.scene_date.dt.floor("D") + pd.to_timedelta(later, "D"),
            "flags": flags,
        }
    )


def with_records(problem: Problem, records: pd.DataFrame) -> Problem:
    """The problem with the records of its glaciers.

    Parameters
    ----------
    problem : Problem
    records : DataFrame
        As :func:`facies_xr.smb.match.match` gives them.
    """
    renamed = {"balance": "observed", "accumulation_area_ratio": "recorded_accumulation_area_ratio"}
    kept = records[["glacier", "balance_year", *renamed]].rename(columns=renamed)
    kept["system"], kept["survey_end"] = (records.get(name) for name in ("system", "survey_end"))
    rows = problem.rows.drop(columns=list(renamed.values())).merge(kept, "left", ["glacier", "balance_year"])
    system = rows.pop("system").fillna("").astype(str).str.lower()
    for start, name in SYSTEMS.items():
        rows["flags"] |= np.where(system.str.startswith(start), FLAGS[name], 0)
    return replace(problem, rows=rows)


def with_survey(problem: Problem) -> Problem:
    """The problem with one more predictor: the days from the scenes' day to the survey of the record.

    Its weight is the region's mean rate of melt between the two. Rows without a date, those without a record among
    them, are taken as surveyed after as many days as the others usually are.

    Raises
    ------
    InputError
        If no record tells when it was surveyed.
    """
    days = (pd.to_datetime(problem.rows["survey_end"]) - problem.rows["state_date"]).dt.days
    if not (known := days[problem.usable].notna()).any():
        raise InputError("to_survey=True needs records that tell when they were surveyed; none has a survey_end.")
    usual = days[problem.usable][known].median()
    rows = problem.rows.assign(**{SURVEY: days.fillna(usual).clip(-LONGEST, LONGEST).astype(float)})
    return replace(
        problem,
        rows=rows,
        predictors=(*problem.predictors, SURVEY),
        definitions={**problem.definitions, "survey": f"usually {usual:g} days later"},
    )

"""The scenes of seasons, and which of them can stand for the end of ablation."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from .codes import HIDDEN
from .depletion import NORMAL, Depletion, Expected, fresh_snow

FRESH_SNOW = 0.1
"""Least rise of the accumulation area ratio since two earlier scenes of the season that means fresh snow."""

CLEAR = 2.5
"""Rise that means fresh snow, in standard errors of a difference between two scenes."""

WORST = 0.1
"""Largest standard error of a scene's accumulation area ratio; a scatter above it is no error, but snow."""

LEAD = 60
"""Days before the season's centre from which on scenes tell whether snow is fresh. [day]"""

FLAGS = {"no_scene": 1, "low_coverage": 2, "outside_season": 4, "fresh_snow": 8, "cut_by_edge": 16}
"""Bits of ``flags``."""

EXPECTED = {
    "accumulation_area_ratio": Expected(0.06, 0.004),
    "snow_line_altitude": Expected(40.0, 3.0),
    "snow_line_boundary": Expected(40.0, 3.0),
    "lowest_snow": Expected(60.0, 4.0),
    "albedo": Expected(0.04, 0.003),
}
"""Error of a scene and change per day of what depletes."""


@dataclass(frozen=True)
class Scenes:
    """Statistics of scenes, and which of them can be used."""

    stats: xr.Dataset
    seen: np.ndarray
    """Whether enough of a glacier was seen. (time, glacier)"""
    fresh: np.ndarray
    """Whether its snow is fresh. (time, glacier)"""
    outside: np.ndarray
    """Whether the scene lies outside the window. (time)"""
    window: int

    @classmethod
    def of(cls, stats: xr.Dataset, window: int) -> "Scenes":
        """Of all seasons, in the order of time."""
        found = stats["accumulation_area_ratio"].values
        outside = np.abs(stats["days_from_season_centre"].values) > window
        bare = cls(stats, np.isfinite(found), np.zeros(found.shape, bool), outside, window)
        error = min(bare.depletion("accumulation_area_ratio").error, WORST)
        rise = max(FRESH_SNOW, CLEAR * np.sqrt(2) * error)
        telling = stats["days_from_season_centre"].values >= -LEAD
        for year in np.unique(stats["balance_year"].values):
            here = np.flatnonzero(stats["balance_year"].values == year)
            order = np.searchsorted(stats["time"].values[here], stats["time"].values[here])
            bare.fresh[here] = fresh_snow(found[here], order, telling[here], rise)
        return bare

    @property
    def usable(self) -> np.ndarray:
        """Scenes that could be used. (time, glacier)"""
        return self.seen & ~self.fresh & ~self.outside[:, None]

    @property
    def days(self) -> np.ndarray:
        """From the season's centre, those beyond the window at its ends. [day]"""
        return np.clip(self.stats["days_from_season_centre"].values, -self.window, self.window)

    def depletion(self, name: str) -> Depletion:
        """How a statistic changes within all seasons."""
        value, season = self.stats[name].values, self.stats["balance_year"].values
        return Depletion.of(value, self.days, season, self.usable & np.isfinite(value), EXPECTED[name])

    def of_year(self, year: int) -> "Scenes | None":
        """Those of one season, None if there are none."""
        here = np.flatnonzero(self.stats["balance_year"].values == year)
        if not here.size:
            return None
        return Scenes(
            self.stats.isel(time=here), self.seen[here], self.fresh[here], self.outside[here], self.window
        )  # fmt: skip

    @property
    def candidates(self) -> np.ndarray:
        """Scenes that are taken: those that could be used, or all that were seen where there is none."""
        return np.where(self.usable.any(0), self.usable, self.seen)

    def state(self, name: str, model: Depletion, day: int) -> tuple[np.ndarray, np.ndarray]:
        """State of the candidates on a day, and half the width of its 95 % interval."""
        value = self.stats[name].values
        taken = self.candidates & np.isfinite(value)
        state, error = model.state(value, self.days - day, taken)
        return state, np.hypot(NORMAL * error, self._shared(name, model, taken))

    def _shared(self, name: str, model: Depletion, taken: np.ndarray) -> np.ndarray | float:
        """What half the scenes' intervals have beyond the errors by which scenes differ.

        A classifier that takes firn for snow does so in all scenes of a season: no number of them mends that. 0 where
        statistics have no intervals; NaN where they have, but none of the scenes taken has one.
        """
        if f"{name}_lower" not in self.stats:
            return 0.0
        half = (self.stats[f"{name}_upper"] - self.stats[f"{name}_lower"]).values / 2
        known = taken & np.isfinite(half)
        mean = (np.where(known, half, 0.0) ** 2).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        return np.sqrt(np.maximum(mean - (NORMAL * model.error) ** 2, 0))

    def nearest(self, model: Depletion, day: int) -> np.ndarray:
        """Scene of each glacier whose ratio, brought to the day, is nearest to its state."""
        name = "accumulation_area_ratio"
        away = self.stats[name].values - model.rate * (self.days - day)[:, None] - self.state(name, model, day)[0]
        return self._first(-np.abs(away))

    def by_rule(self, rule: str) -> np.ndarray:
        """Scene of each glacier that a rule takes."""
        ratios, area = self.stats["accumulation_area_ratio"].values, self.stats["class_area"]
        if rule == "latest":
            return self._first(np.where(np.logical_or.accumulate(self.fresh, 0), -1.0, np.arange(len(ratios))[:, None]))
        if rule == "most bare ice":
            surface = area.sel(facies_class=[c for c in area.facies_class.values if c not in HIDDEN])
            with np.errstate(invalid="ignore"):
                return self._first((area.sel(facies_class="ice") / surface.sum("facies_class")).values)
        return self._first(-ratios)

    def _first(self, worth: np.ndarray) -> np.ndarray:
        """First candidate of the largest worth; where nothing was seen, the scene with the largest coverage."""
        best = np.where(self.candidates, np.nan_to_num(worth, nan=-np.inf), -np.inf).argmax(0)
        clearest = np.nan_to_num(self.stats["coverage"].values, nan=-1).argmax(0)
        return np.where(self.seen.any(0), best, clearest)

    def flags(self, chosen: np.ndarray) -> np.ndarray:
        """Bits of what to know about the scenes taken."""
        g = np.arange(chosen.size)
        flags = np.zeros(chosen.size, "int32")
        for name, is_set in (
            ("low_coverage", ~self.seen.any(0)),
            ("outside_season", self.outside[chosen]),
            ("fresh_snow", self.fresh[chosen, g]),
            ("cut_by_edge", self.stats["cut_by_edge"].values),
        ):
            flags |= np.where(is_set, FLAGS[name], 0).astype("int32")
        return flags

"""The statistics of all glaciers on one date, from what was counted in its blocks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..classes import NAMES, VALUES
from ..errors import InputError
from ..stations import STATISTICS
from .codes import HIDDEN, SNOW, STRAY_SNOW, UNSEEN, seen
from .counting import NO_HEIGHT, STEP, Counts, percentile
from .hypsometry import MIN_COVERAGE, Bands, divided, filled, ratio, snow_line
from .uncertainty import COVERED, Draws

MIN_ALBEDO_COVERAGE = 0.8
"""Share of the seen area whose albedo must be known."""


@dataclass(frozen=True)
class Glaciers:
    """Statistics of glaciers from the counts of the blocks of one date."""

    numbers: tuple[int, ...]
    """Of the glaciers that are asked for."""
    bands: Bands
    accumulating: tuple[int, ...]
    """Classes of the accumulation area."""
    hidden: str
    """Rule for what is not seen."""
    min_coverage: float
    pixel: float
    """Area of a pixel. [km2]"""
    uncertain: bool
    """Whether there are draws."""

    @property
    def outputs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shapes and dtypes of what it gives, without time: the numbers in the contract that belong to glaciers."""
        size = {"glacier": len(self.numbers), "facies_class": len(NAMES), "elevation_band": self.bands.number}
        return {
            name: (tuple(size[dim] for dim in variable.dims if dim != "time"), variable.dtype)
            for name, variable in STATISTICS.items()
            if "glacier" in variable.dims and variable.dtype == "float64" and (self.uncertain or not variable.optional)
        }

    def __call__(self, parts: list[tuple[Counts, Draws | None]]) -> dict[str, np.ndarray]:
        """By name, of the counts and draws of all blocks."""
        counts = Counts.added([counted for counted, _ in parts])
        row = self._rows(counts.glacier)
        counts, row = counts.where(row >= 0), row[row >= 0]
        out: dict[str, np.ndarray] = {name: np.full(shape, np.nan) for name, (shape, _) in self.outputs.items()}
        self._areas(out, counts, row)
        self._elevations(out, counts, row)
        self._snow(out, counts, row, [drawn for _, drawn in parts if drawn is not None])
        return out

    def _rows(self, glacier: np.ndarray) -> np.ndarray:
        """Positions of glaciers by their numbers, -1 for those that are not asked for."""
        return pd.Index(self.numbers).get_indexer(glacier)

    def _total(self, row: np.ndarray, weight: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
        """Sum over the rows of each glacier."""
        return np.bincount(row, np.where(where, weight, 0), len(self.numbers))

    def _areas(self, out: dict, counts: Counts, row: np.ndarray) -> None:
        """Areas of the classes, what was seen and what hid the rest, and the mean albedo of the seen surface."""
        area = self._total(row, counts.pixels)
        out["glacier_area"] = area * self.pixel
        for value, name in enumerate(NAMES):
            of_class = (counts.code == value) | ((counts.code == STRAY_SNOW) & (name == "snow"))
            out["class_area"][:, value] = self._total(row, counts.pixels, of_class) * self.pixel
        for name in HIDDEN:
            out[f"{name}_share"] = divided(self._total(row, counts.pixels, counts.code == VALUES[name]), area)
        out["nodata_share"] = divided(self._total(row, counts.pixels, counts.code == UNSEEN), area)
        is_seen = seen(counts.code)
        seen_area = self._total(row, counts.pixels, is_seen)
        out["coverage"] = divided(seen_area, area)
        bright = self._total(row, counts.with_albedo, is_seen)
        albedo = divided(self._total(row, counts.albedo, is_seen) * STEP, bright)
        out["albedo"] = np.where(bright >= MIN_ALBEDO_COVERAGE * seen_area, albedo, np.nan)

    def _elevations(self, out: dict, counts: Counts, row: np.ndarray) -> None:
        """Mean, lowest and highest elevation; a height in whole metres stands for the metre above it."""
        known = counts.height != NO_HEIGHT
        heights = self._total(row, counts.pixels * (counts.height + 0.5), known)
        out["mean_elevation"] = divided(heights, self._total(row, counts.pixels, known))
        np.fmin.at(out["min_elevation"], row[known], counts.height[known].astype(float))
        np.fmax.at(out["max_elevation"], row[known], counts.height[known] + 1.0)

    def _snow(self, out: dict, counts: Counts, row: np.ndarray, drawn: list[Draws]) -> None:
        """Accumulation area and snow lines."""
        n = len(self.numbers)
        known, is_wanted = counts.height != NO_HEIGHT, np.isin(counts.code, self.accumulating)
        if SNOW in self.accumulating:
            is_wanted |= counts.code == STRAY_SNOW
        band = self._bands(counts.height, known)

        def by_band(where: np.ndarray) -> np.ndarray:
            flat = np.bincount((row * self.bands.number + band)[where], counts.pixels[where], n * self.bands.number)
            return flat.reshape(n, self.bands.number)

        pixels, visible, wanted = by_band(known), by_band(known & seen(counts.code)), by_band(known & is_wanted)
        out["band_area"] = pixels * self.pixel
        out["band_coverage"] = divided(visible, pixels)
        out["band_accumulation"] = divided(wanted, visible)
        weight = pixels if self.hidden == "fill" else visible
        share = filled(out["band_accumulation"])
        enough = self._enough(share, pixels, visible, self._total(row, counts.pixels))
        out["accumulation_area_ratio"] = np.where(enough, ratio(share, weight), np.nan)
        snowy = enough & (wanted.sum(1) > 0)
        out["snow_line_altitude"] = np.where(snowy, self._line(share, weight, out), np.nan)
        is_snow = known & (counts.code == SNOW)
        out["lowest_snow"] = np.where(enough, percentile(counts, row, counts.pixels * is_snow, 5, n), np.nan)
        boundary = percentile(counts, row, counts.edge * known, 50, n)
        out["snow_line_boundary"] = np.where(snowy, boundary, np.nan)
        if self.uncertain:
            self._intervals(out, Draws.added(drawn), visible, weight, enough)

    def _bands(self, height: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Bands of the rows; the bounds of a glacier may lie a band beside its heights in whole metres."""
        band = self.bands.position(height)
        if (known & ((band < -1) | (band > self.bands.number))).any():
            raise InputError(
                "the elevation of glacier pixels lies outside glacier_elevation_min and glacier_elevation_max; these "
                "are of another elevation model."
            )
        return np.clip(band, 0, self.bands.number - 1).astype(int)

    def _enough(self, share: np.ndarray, pixels: np.ndarray, visible: np.ndarray, area: np.ndarray) -> np.ndarray:
        """Whether enough of each glacier is seen, and of the bands around its snow line."""
        around = snow_line(share, pixels, self.bands.edges)[1]
        whole = (visible.sum(1) > 0) & (divided(visible.sum(1), area) >= self.min_coverage)
        return whole & (divided((visible * around).sum(1), (pixels * around).sum(1)) >= MIN_COVERAGE)

    def _line(self, share: np.ndarray, weight: np.ndarray, out: dict) -> np.ndarray:
        """Snow line, which lies on the glacier. [m]"""
        return np.clip(snow_line(share, weight, self.bands.edges)[0], out["min_elevation"], out["max_elevation"])

    def _intervals(self, out: dict, drawn: Draws, visible: np.ndarray, weight: np.ndarray, enough: np.ndarray) -> None:
        """Expected accumulation area, and the intervals of its ratio and of the snow line over the draws."""
        row = self._rows(drawn.glacier)
        asked = row >= 0
        at = row[asked], np.clip(drawn.band[asked], 0, self.bands.number - 1)

        def share_of_bands(pixels: np.ndarray) -> np.ndarray:
            grid = np.zeros(visible.shape)
            np.add.at(grid, at, pixels)
            return divided(grid, visible)

        expected = share_of_bands(drawn.expected[asked] * (STEP / drawn.pixels.shape[1]))
        out["band_accumulation_expected"] = expected
        out["accumulation_area_ratio_expected"] = np.where(enough, ratio(filled(expected), weight), np.nan)
        ratios, lines = [], []
        for draw in drawn.pixels[asked].T:
            share = filled(share_of_bands(draw))
            ratios.append(ratio(share, weight))
            lines.append(np.where(ratios[-1] > 0, self._line(share, weight, out), np.nan))
        for name, values in (("accumulation_area_ratio", ratios), ("snow_line_altitude", lines)):
            out[f"{name}_lower"], out[f"{name}_upper"] = _ends(values, enough)


def _ends(values: Iterable[np.ndarray], enough: np.ndarray) -> np.ndarray:
    """Ends of the interval of the draws of each glacier, NaN where not half of them have a value. (2, glacier)"""
    drawn = np.array(list(values))
    some = enough & (np.isfinite(drawn).mean(0) > 0.5)
    ends = np.full((2, enough.size), np.nan)
    if some.any():
        ends[:, some] = np.nanquantile(drawn[:, some], [(1 - COVERED) / 2, (1 + COVERED) / 2], axis=0)
    return ends

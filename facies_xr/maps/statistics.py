"""From maps to one row a glacier and date: areas, accumulation area, snow lines, albedo, and what they rest on.

All glaciers are counted in one pass over the blocks. The counts are whole numbers, so the result does not depend on
the chunks; what follows is arithmetic on arrays (glacier, elevation band).
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import grids, lazy
from ..classes import NAMES, NODATA, VALUES
from ..errors import InputError, MissingVariableError
from ..seasons import Season
from . import bands
from .bands import divided, filled, passage, ratio
from .codes import EDGE, HIDDEN, SNOW, STRAY_SNOW, UNSEEN, Coder, seen
from .counting import NO_HEIGHT, STEP, Counts, percentile
from .uncertainty import COVERED, Drawer, Draws, PriorWeights, sampled

MIN_COVERAGE = 0.8
"""Share of a glacier that must be seen."""

MIN_ALBEDO_COVERAGE = 0.8
"""Share of the seen area whose albedo must be known."""

SIEVE = 10_000.0
"""Smallest patch that counts for the lowest snow and for the edge of the accumulation area. [m2]"""

DRAWS = 100

BLOCK = 2048
"""Edge of what is counted at a time, half of it with draws, which take more memory. [px]"""

RULES = ("fill", "leave out")
CORRECTIONS = ("scenes", "prior", "none")


def statistics(
    maps: xr.Dataset,
    *,
    classes: tuple[str, ...] = ("snow",),
    season: Any = None,
    hidden: str = "fill",
    min_coverage: float = MIN_COVERAGE,
    draws: int = DRAWS,
    correction: str = "scenes",
) -> xr.Dataset:
    """Glacier statistics of maps, lazily, for all glaciers in one pass; ``.compute()`` the result as a whole.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` or a store gives them, with glaciers and elevation. With ``probability`` and calibrated
        confidence the accumulation area and the snow line get intervals.
    classes : tuple of str
        Classes that count as accumulation area.
    season : (str, int), optional
        Season that names the balance years and from whose centre days are counted; by default that with which the
        cube was loaded, or that of the latitude.
    hidden : {"fill", "leave out"}
        What becomes of pixels without class, in shadow or under cloud: they take the share of their elevation band,
        or of the nearest band that is seen; or only the seen area counts.
    min_coverage : float
        Share of a glacier that must be seen; below it, and where less than half of the bands around the snow line is
        seen, accumulation area and snow lines are NaN.
    draws : int
        Of the accumulation area, for the intervals; 0 leaves them out.
    correction : {"scenes", "prior", "none"}
        Labelled samples are not like all pixels of a map, so the areas that probabilities lead to are biased. With
        "scenes" each draw takes the class weights of a scene on which the classifier was checked, if it has any; with
        "prior" all take those of Saerens et al. (2002) for this scene; "none" takes the probabilities as they are.

    Returns
    -------
    Dataset (time, glacier)
        ``class_area`` (time, glacier, facies_class) [km2]; ``coverage``, and of the rest the shares ``cloud_share``,
        ``shadow_share``, ``nodata_share``; ``accumulation_area_ratio``; the snow lines ``snow_line_altitude``,
        ``snow_line_boundary``, ``lowest_snow`` [m]; ``albedo``; ``band_coverage`` and ``band_accumulation``
        (time, glacier, elevation_band); ``scene_date``, ``days_from_season_centre``; per glacier ``glacier_area``,
        ``band_area`` (the hypsometry) [km2], mean, lowest and highest elevation [m], ``cut_by_edge``. With
        probabilities also ``accumulation_area_ratio_expected``, ``band_accumulation_expected``, and ``_lower`` and
        ``_upper`` of the ratio and of the snow line: 95 % of the draws of :mod:`facies_xr.maps.uncertainty`.

    Raises
    ------
    MissingVariableError
        If the maps have no glaciers, elevation or time.
    InputError
        If a class, a rule or a number is not possible.

    Notes
    -----
    ``snow_line_altitude`` is the elevation at which the share of snow in the bands passes one half; where it passes
    more than once, the passage that leaves least snow below and least bare surface above; where it
    never does, the highest or lowest elevation. ``snow_line_boundary`` is
    the median elevation of the pixels on either side of the edge between accumulation area and bare surface, patches
    below 1 ha left out. ``lowest_snow`` is the 5th percentile of the elevations of snow in patches of at least 1 ha
    (Maslov et al. 2026, Eq. 2), of ``snow`` whatever ``classes`` says. All are NaN without accumulation area.
    """
    _check(maps, classes, hidden, min_coverage, draws, correction)
    box = grids.geobox(maps)
    given, season = season is not None, _season(maps, box, season)
    accumulating = tuple(VALUES[name] for name in classes)
    moves = "time" in maps["glacier_index"].dims
    uncertain = draws > 0 and "probability" in maps and "calibrated" in maps["confidence"].attrs
    lowest, n_bands = _bands_of(maps)
    gather = _Gather(
        tuple(maps["glacier_number"].values.tolist()), lowest, n_bands, accumulating, hidden, min_coverage,
        abs(box.affine.a * box.affine.e) * 1e-6, uncertain,
    )  # fmt: skip
    values = _tabulated(maps, box, gather, draws if uncertain else 0, correction)
    dims = ("time", "glacier")
    data: dict[str, tuple] = {}
    for name, (extra, attrs) in gather.table.items():
        of_glacier = name in _OF_GLACIER and not moves
        data[name] = (
            (*(("glacier",) if of_glacier else dims), *extra),
            values[name][0] if of_glacier else values[name],
            attrs,
        )
    if "albedo" in maps:
        level = maps["albedo"].attrs.get("level", "unknown")
        data["albedo"] = (*data["albedo"][:2], {**data["albedo"][2], "level": level})
    data["cut_by_edge"] = ("glacier", _cut_by_edge(maps), {"long_name": "whether the glacier goes on beyond the grid"})
    times = maps["time"].values
    data["scene_date"] = ("time", times, {"long_name": "time of the scene"})
    data["days_from_season_centre"] = (
        "time", season.days_from_centre(times), {"long_name": f"days from the season's centre, {season}"},
    )  # fmt: skip
    coords = {n: c for n, c in maps.coords.items() if set(c.dims) <= {"time", "glacier"} and n != "spatial_ref"}
    coords["facies_class"] = ("facies_class", np.array(NAMES))
    coords["elevation_band"] = ("elevation_band", gather.middle, {"units": "m", "long_name": "middle of the band"})
    result = xr.Dataset(data, coords=coords, attrs=dict(maps.attrs))
    if given or "balance_year" not in result.coords:
        result = result.assign_coords(balance_year=("time", season.balance_year(times)))
    return result.assign_attrs(
        accumulation_classes=" ".join(classes), hidden=hidden, min_coverage=min_coverage, season=str(season)
    )


def _check(maps: xr.Dataset, classes, hidden, min_coverage, draws, correction) -> None:
    for name in ("facies_map", "glacier_index", "elevation", "glacier_elevation_min", "glacier_elevation_max"):
        if name not in maps:
            raise MissingVariableError(f"statistics need {name!r}; classify a cube that went through fx.add_terrain.")
    if (dtype := maps["facies_map"].dtype) != np.uint8:
        raise InputError(f"facies_map is of {dtype}, not uint8: classes are 0..{len(NAMES) - 1}, nodata is {NODATA}.")
    if "time" not in maps.dims:
        raise MissingVariableError("statistics need a time; give the maps one with maps.expand_dims(time=[...]).")
    if (unknown := set(classes) - set(NAMES)) or not classes:
        raise InputError(f"unknown classes {sorted(unknown)}; there are {', '.join(NAMES)}.")
    if set(classes) & set(HIDDEN):
        raise InputError(
            f"classes={classes!r}: {' and '.join(HIDDEN)} hide the surface and cannot be accumulation area."
        )
    if hidden not in RULES:
        raise InputError(f"hidden={hidden!r}: choose {' or '.join(map(repr, RULES))}.")
    if maps.sizes["time"] == 0:
        raise InputError("the maps have no date; nothing to count.")
    if not 0 <= min_coverage <= 1:
        raise InputError(f"min_coverage={min_coverage!r} is not a share between 0 and 1.")
    if draws < 0:
        raise InputError(f"draws={draws!r}: give a number of draws, or 0 for no intervals.")
    if correction not in CORRECTIONS:
        raise InputError(f"correction={correction!r}: choose {', '.join(map(repr, CORRECTIONS))}.")


def _season(maps: xr.Dataset, box, season: Any) -> Season:
    if season is not None:
        return Season.parse(season)
    told = maps["balance_year"].attrs if "balance_year" in maps.coords else {}
    if "season_centre" in told:
        return Season.parse((told["season_centre"], told["season_half_width"]))
    return Season.at(grids.centre_lonlat(box)[1])


def _bands_of(maps: xr.Dataset) -> tuple[int, int]:
    """Lower edge of the lowest band, and the number of bands, from the glaciers' own bounds."""
    low, high = (maps[f"glacier_elevation_{end}"].values for end in ("min", "max"))
    if not np.isfinite(low).any():
        return 0, 1
    first = int(np.floor(np.nanmin(low) / bands.HEIGHT))
    return first * bands.HEIGHT, int(np.floor(np.nanmax(high) / bands.HEIGHT)) - first + 1


def _cut_by_edge(maps: xr.Dataset):
    index = maps["glacier_index"]
    rims = [index.isel({dim: end}) for dim in ("y", "x") for end in (0, -1)]
    return lazy.occurring(maps["glacier_number"].values, rims)


def _tabulated(maps: xr.Dataset, box, gather: "_Gather", draws: int, correction: str) -> dict:
    smallest = max(1, round(SIEVE / abs(box.affine.a * box.affine.e)))
    edge = BLOCK // 2 if draws else BLOCK
    planes = [lazy.as_dask(maps[name], edge) for name in ("facies_map", "glacier_index")]
    codes = lazy.map_surrounded(Coder(gather.accumulating, smallest), planes, dtype="uint8", reach=smallest, edge=edge)
    names = ["glacier_index", "elevation"] + ["albedo"] * ("albedo" in maps)
    names += ["confidence", "probability"] * (draws > 0)
    drawer = Drawer(gather.accumulating, draws, gather.lowest, bands.HEIGHT) if draws else None
    arrays = {name: planes[1] if name == "glacier_index" else lazy.as_dask(maps[name], edge) for name in names}
    count = _Count(tuple(names), drawer, box.affine)
    scenes = maps["time"].values.astype("datetime64[s]").astype("int64").tolist()
    weights = _class_weights(maps, codes, arrays, correction) if draws else [None] * len(scenes)
    return lazy.tabulate(
        count, gather, [codes, *arrays.values()], list(zip(scenes, weights, strict=True)), gather.outputs
    )


def _class_weights(maps: xr.Dataset, codes, arrays: dict, correction: str) -> list:
    """Class weights to draw from, for each date."""
    dates = maps.sizes["time"]
    known = json.loads(maps["confidence"].attrs.get("scene_weights", "[]"))
    if correction == "scenes" and known:
        return [np.array(known)] * dates
    if correction != "prior":
        return [np.ones((1, len(NAMES)))] * dates
    shares = json.loads(maps["confidence"].attrs.get("class_shares", "[]"))
    if not shares:
        raise InputError("these maps' calibrator does not know the shares of its samples' classes; correction='prior' "
                         "needs them.")  # fmt: skip
    needed = [arrays[name] for name in ("glacier_index", "elevation", "confidence", "probability")]
    found = lazy.tabulate(
        sampled, PriorWeights(tuple(shares)), [codes, *needed], [None] * dates, {"weights": ((1, len(NAMES)), float)}
    )["weights"]
    return [found[t] for t in range(dates)]


@dataclass(frozen=True)
class _Count:
    """Counts of one block, and its draws."""

    names: tuple[str, ...]
    drawer: Drawer | None
    affine: Any
    """Of the grid."""

    def __call__(self, codes: np.ndarray, *rest) -> tuple[Counts, Draws | None]:
        *blocks, ((scene, weights), rows, columns) = rest
        of = dict(zip(self.names, blocks, strict=True))
        counts = Counts.of(codes, of["glacier_index"], of["elevation"], of.get("albedo"))
        if self.drawer is None:
            return counts, None
        y = self.affine.f + (np.arange(rows.start, rows.stop) + 0.5) * self.affine.e
        x = self.affine.c + (np.arange(columns.start, columns.stop) + 0.5) * self.affine.a
        index, elevation, confidence = of["glacier_index"], of["elevation"], of["confidence"]
        return counts, self.drawer(codes % EDGE, index, elevation, confidence, of["probability"], y, x, scene, weights)


# -- all glaciers on one date -----------------------------------------------------------------------------------

_NUMBERS: dict[str, tuple[tuple[str, ...], dict]] = {
    "class_area": (("facies_class",), {"units": "km2", "long_name": "area of each class"}),
    "coverage": ((), {"units": "1", "long_name": "share of the glacier that was seen"}),
    "cloud_share": ((), {"units": "1", "long_name": "share of the glacier under cloud"}),
    "shadow_share": ((), {"units": "1", "long_name": "share of the glacier in shadow"}),
    "nodata_share": ((), {"units": "1", "long_name": "share of the glacier without a class"}),
    "accumulation_area_ratio": ((), {"units": "1", "long_name": "accumulation area relative to the glacier's area"}),
    "snow_line_altitude": ((), {"units": "m", "long_name": "elevation at which the share of snow passes one half"}),
    "snow_line_boundary": ((), {"units": "m", "long_name": "median elevation of the edge of the accumulation area"}),
    "lowest_snow": ((), {"units": "m", "long_name": "5th percentile of the elevations of snow"}),
    "albedo": ((), {"units": "1", "long_name": "mean albedo index of the seen surface"}),
    "band_coverage": (("elevation_band",), {"units": "1", "long_name": "share of the band that was seen"}),
    "band_accumulation": (
        ("elevation_band",), {"units": "1", "long_name": "accumulation area relative to the seen area of the band"},
    ),
    "glacier_area": ((), {"units": "km2", "long_name": "area of the outline on the grid"}),
    "band_area": (("elevation_band",), {"units": "km2", "long_name": "area of the glacier in each elevation band"}),
    "mean_elevation": ((), {"units": "m", "long_name": "mean elevation"}),
    "min_elevation": ((), {"units": "m", "long_name": "lowest elevation"}),
    "max_elevation": ((), {"units": "m", "long_name": "highest elevation"}),
}  # fmt: skip
_OF_GLACIER = ("glacier_area", "band_area", "mean_elevation", "min_elevation", "max_elevation")
_ENDS = {"lower": f"lower end of {COVERED:.0%}", "upper": f"upper end of {COVERED:.0%}"}
_DRAWN: dict[str, tuple[tuple[str, ...], dict]] = {
    "accumulation_area_ratio_expected": ((), {"units": "1", "long_name": "expected accumulation area ratio"}),
    "band_accumulation_expected": (
        ("elevation_band",), {"units": "1", "long_name": "expected accumulation area relative to the seen area"},
    ),
    **{f"accumulation_area_ratio_{end}": ((), {"units": "1", "long_name": f"{text} of the accumulation area ratio"})
       for end, text in _ENDS.items()},
    **{f"snow_line_altitude_{end}": ((), {"units": "m", "long_name": f"{text} of the snow line altitude"})
       for end, text in _ENDS.items()},
}  # fmt: skip


@dataclass(frozen=True)
class _Gather:
    """Statistics of all glaciers from the counts of one date."""

    numbers: tuple[int, ...]
    lowest: int
    bands: int
    accumulating: tuple[int, ...]
    hidden: str
    min_coverage: float
    pixel: float
    """Area of a pixel. [km2]"""
    uncertain: bool

    @property
    def table(self) -> dict[str, tuple[tuple[str, ...], dict]]:
        """Extra dims and attributes of the variables that it gives."""
        return _NUMBERS | (_DRAWN if self.uncertain else {})

    @property
    def outputs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Their shapes and dtypes."""
        size = {"facies_class": len(NAMES), "elevation_band": self.bands}
        return {
            name: ((len(self.numbers), *(size[d] for d in extra)), "float64") for name, (extra, _) in self.table.items()
        }

    def __call__(self, parts: list[tuple[Counts, Draws | None]]) -> dict[str, np.ndarray]:
        counts = Counts.added([counted for counted, _ in parts])
        row = self._rows(counts.glacier)
        counts, row = counts.where(row >= 0), row[row >= 0]
        out: dict[str, np.ndarray] = {name: np.full(shape, np.nan) for name, (shape, _) in self.outputs.items()}
        n = len(self.numbers)

        def total(weights: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
            return np.bincount(row, np.where(where, weights, 0), n)

        area = total(counts.pixels)
        with np.errstate(invalid="ignore", divide="ignore"):
            for value, name in enumerate(NAMES):
                here = (counts.code == value) | ((counts.code == STRAY_SNOW) & (name == "snow"))
                out["class_area"][:, value] = np.where(area > 0, total(counts.pixels, here) * self.pixel, 0)
            for name in HIDDEN:
                out[f"{name}_share"] = total(counts.pixels, counts.code == VALUES[name]) / area
            out["nodata_share"] = total(counts.pixels, counts.code == UNSEEN) / area
            is_seen = seen(counts.code)
            seen_area = total(counts.pixels, is_seen)
            out["coverage"] = seen_area / area
            bright = total(counts.with_albedo, is_seen)
            albedo = total(counts.albedo, is_seen) * STEP / bright
            out["albedo"] = np.where((bright > 0) & (bright >= MIN_ALBEDO_COVERAGE * seen_area), albedo, np.nan)
            known = counts.height != NO_HEIGHT
            out["mean_elevation"] = total(counts.pixels * (counts.height + 0.5), known) / total(counts.pixels, known)
        out["glacier_area"] = area * self.pixel
        np.fmin.at(out["min_elevation"], row[known], counts.height[known].astype(float))
        np.fmax.at(out["max_elevation"], row[known], counts.height[known] + 1.0)
        self._snow(out, counts, row, area, known, is_seen, [drawn for _, drawn in parts if drawn is not None])
        return out

    def _rows(self, glacier: np.ndarray) -> np.ndarray:
        """Positions of glaciers by their numbers, -1 for those that are not asked for."""
        return pd.Index(self.numbers).get_indexer(glacier)

    def _snow(self, out, counts: Counts, row, area, known, is_seen, drawn: list[Draws]) -> None:
        """Accumulation area and snow lines."""
        band = (counts.height - self.lowest) // bands.HEIGHT
        if (known & ((band < -1) | (band > self.bands))).any():
            raise InputError(
                "the elevation of glacier pixels lies outside glacier_elevation_min and glacier_elevation_max; these "
                "are of another elevation model."
            )
        band = np.clip(band, 0, self.bands - 1).astype(int)
        shape = len(self.numbers), self.bands

        def by_band(where: np.ndarray) -> np.ndarray:
            flat = np.bincount((row * self.bands + band)[where], counts.pixels[where], shape[0] * shape[1])
            return flat.reshape(shape)

        is_wanted = np.isin(counts.code, self.accumulating)
        if SNOW in self.accumulating:
            is_wanted |= counts.code == STRAY_SNOW
        pixels, visible, wanted = by_band(known), by_band(known & is_seen), by_band(known & is_wanted)
        out["band_area"] = pixels * self.pixel
        out["band_coverage"] = divided(visible, pixels)
        out["band_accumulation"] = divided(wanted, visible)
        weight = pixels if self.hidden == "fill" else visible
        share = filled(out["band_accumulation"])
        around = passage(share, pixels, self.edges)[1]
        enough = (visible.sum(1) > 0) & (divided(visible.sum(1), area) >= self.min_coverage)
        enough &= divided((visible * around).sum(1), (pixels * around).sum(1)) >= bands.MIN_COVERAGE
        out["accumulation_area_ratio"] = np.where(enough, ratio(share, weight), np.nan)
        snowy = enough & (wanted.sum(1) > 0)
        out["snow_line_altitude"] = np.where(snowy, self._line(share, weight, out), np.nan)
        is_snow = known & (counts.code == SNOW)
        out["lowest_snow"] = np.where(enough, percentile(counts, row, counts.pixels * is_snow, 5, shape[0]), np.nan)
        boundary = percentile(counts, row, counts.edge * known, 50, shape[0])
        out["snow_line_boundary"] = np.where(snowy, boundary, np.nan)
        if self.uncertain:
            self._intervals(out, Draws.added(drawn), visible, weight, enough)

    def _line(self, share: np.ndarray, weight: np.ndarray, out: dict) -> np.ndarray:
        """Snow line, which lies on the glacier. [m]"""
        return np.clip(passage(share, weight, self.edges)[0], out["min_elevation"], out["max_elevation"])

    def _intervals(self, out, drawn: Draws, visible, weight, enough) -> None:
        row = self._rows(drawn.glacier)
        known = row >= 0
        at = row[known], np.clip(drawn.band[known], 0, self.bands - 1)

        def spread(values: np.ndarray) -> np.ndarray:
            grid = np.zeros(visible.shape)
            np.add.at(grid, at, values)
            return divided(grid, visible)

        expected = spread(drawn.expected[known] * (STEP / drawn.pixels.shape[1]))
        out["band_accumulation_expected"] = expected
        out["accumulation_area_ratio_expected"] = np.where(enough, ratio(filled(expected), weight), np.nan)
        lines, ratios = [], []
        for draw in drawn.pixels[known].T:
            share = filled(spread(draw))
            ratios.append(ratio(share, weight))
            lines.append(np.where(ratios[-1] > 0, self._line(share, weight, out), np.nan))
        for name, values in (("accumulation_area_ratio", ratios), ("snow_line_altitude", lines)):
            snowy = np.isfinite(values).mean(0) > 0.5
            ends = np.full((2, len(self.numbers)), np.nan)
            if (enough & snowy).any():
                ends[:, enough & snowy] = np.nanquantile(
                    np.array(values)[:, enough & snowy], [(1 - COVERED) / 2, (1 + COVERED) / 2], axis=0
                )
            out[f"{name}_lower"], out[f"{name}_upper"] = ends

    @property
    def middle(self) -> np.ndarray:
        """Of the bands. [m]"""
        return self.lowest + (np.arange(self.bands) + 0.5) * bands.HEIGHT

    @property
    def edges(self) -> np.ndarray:
        """Lower edges of the bands, and the upper one of the last. [m]"""
        return bands.edges(self.middle)

"""From maps to one row a glacier and date: areas, accumulation area, snow lines, albedo, and what they rest on.

All glaciers are counted in one pass over the blocks. The counts are whole numbers, so the result does not depend on
the chunks; what follows is arithmetic on arrays (glacier, elevation band).
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import grids, lazy
from ..classes import NAMES, VALUES
from ..errors import InputError, MissingVariableError
from ..seasons import Season
from .counting import EDGE, HIDDEN, NO_HEIGHT, STEP, STRAY_SNOW, SURFACE, UNSEEN, Coder, Counts
from .uncertainty import COVERED, Drawer, Draws, prior_weights, seen_surface

BAND = 20
"""Height of an elevation band. [m]"""

MIN_COVERAGE = 0.8
"""Share of a glacier that must be seen."""

MIN_BAND_COVERAGE = 0.5
"""Share that must be seen of the bands around the snow line."""

MIN_ALBEDO_COVERAGE = 0.8
"""Share of the seen area whose albedo must be known."""

SIEVE = 10_000.0
"""Smallest patch that counts for the lowest snow and for the edge of the accumulation area. [m2]"""

DRAWS = 100
SAMPLED = 32
"""One of so many pixels estimates the areas of a scene, with correction="prior"."""

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
    middle = lowest + (np.arange(n_bands) + 0.5) * BAND
    coords["elevation_band"] = ("elevation_band", middle, {"units": "m", "long_name": "middle of the band"})
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
    first = int(np.floor(np.nanmin(low) / BAND))
    return first * BAND, int(np.floor(np.nanmax(high) / BAND)) - first + 1


def _cut_by_edge(maps: xr.Dataset):
    index = maps["glacier_index"]
    rims = [index.isel({dim: end}) for dim in ("y", "x") for end in (0, -1)]
    return lazy.occurring(maps["glacier_number"].values, rims)


def _tabulated(maps: xr.Dataset, box, gather: "_Gather", draws: int, correction: str) -> dict:
    smallest = max(1, round(SIEVE / abs(box.affine.a * box.affine.e)))
    planes = [lazy.as_dask(maps[name]) for name in ("facies_map", "glacier_index")]
    codes = lazy.map_tiles(
        Coder(gather.accumulating, smallest), planes, channels=1, dtype="uint8", tile=lazy.CHUNK, reach=smallest
    )[0]
    names = ["glacier_index", "elevation"] + ["albedo"] * ("albedo" in maps)
    names += ["confidence", "probability"] * (draws > 0)
    drawer = Drawer(gather.accumulating, draws, gather.lowest, BAND) if draws else None
    arrays = {name: lazy.as_dask(maps[name]) for name in names}
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
        _sampled, _PriorWeights(tuple(shares)), [codes, *needed], [None] * dates, {"weights": ((1, len(NAMES)), float)}
    )["weights"]
    return [found[t] for t in range(dates)]


def _sampled(codes, index, elevation, confidence, probability, place) -> tuple[np.ndarray, np.ndarray]:
    """Places and class probabilities of some pixels of a block."""
    _, rows, columns = place
    r, c, p = seen_surface(codes % EDGE, index, elevation, confidence, probability)
    r, c = r + rows.start, c + columns.start
    some = (r * 73_856_093 ^ c * 19_349_663) % SAMPLED == 0
    return np.stack([r, c], 1)[some], p[some]


@dataclass(frozen=True)
class _PriorWeights:
    shares: tuple[float, ...]

    def __call__(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        places, p = (np.concatenate(each) for each in zip(*parts, strict=True))
        weights = np.ones((1, len(NAMES)))
        if len(p):
            surface = list(SURFACE)
            order = np.lexsort(places.T)
            weights[0, surface] = prior_weights(p[order], np.array(self.shares)[surface])
        return {"weights": weights}


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
        counts = Counts.added([counted for counted, _ in parts]).of_glaciers(np.array(self.numbers))
        out: dict[str, np.ndarray] = {name: np.full(shape, np.nan) for name, (shape, _) in self.outputs.items()}
        place = {number: k for k, number in enumerate(self.numbers)}
        owner = np.array([place[g] for g in np.unique(counts.glacier)], int)
        row = owner[np.unique(counts.glacier, return_inverse=True)[1]] if owner.size else np.zeros(0, int)
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
            is_seen = ~np.isin(counts.code, [UNSEEN, *(VALUES[name] for name in HIDDEN)])
            seen = total(counts.pixels, is_seen)
            out["coverage"] = seen / area
            bright = total(counts.with_albedo, is_seen)
            albedo = total(counts.albedo, is_seen) * STEP / bright
            out["albedo"] = np.where((bright > 0) & (bright >= MIN_ALBEDO_COVERAGE * seen), albedo, np.nan)
            known = counts.height != NO_HEIGHT
            out["mean_elevation"] = total(counts.pixels * (counts.height + 0.5), known) / total(counts.pixels, known)
        out["glacier_area"] = area * self.pixel
        np.fmin.at(out["min_elevation"], row[known], counts.height[known].astype(float))
        np.fmax.at(out["max_elevation"], row[known], counts.height[known] + 1.0)
        self._snow(out, counts, row, known, is_seen, [drawn for _, drawn in parts if drawn is not None], place)
        return out

    def _snow(self, out, counts: Counts, row, known, is_seen, drawn: list[Draws], place) -> None:
        """Accumulation area and snow lines."""
        band = (counts.height - self.lowest) // BAND
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
        if VALUES["snow"] in self.accumulating:
            is_wanted |= counts.code == STRAY_SNOW
        pixels, seen, wanted = by_band(known), by_band(known & is_seen), by_band(known & is_wanted)
        out["band_area"] = pixels * self.pixel
        out["band_coverage"] = _divided(seen, pixels)
        out["band_accumulation"] = _divided(wanted, seen)
        weight = pixels if self.hidden == "fill" else seen
        share = filled(out["band_accumulation"])
        enough = out["coverage"] >= self.min_coverage
        line, around = passage(share, weight, self.edges)[0], passage(share, pixels, self.edges)[1]
        line = np.clip(line, out["min_elevation"], out["max_elevation"])
        area = np.rint(out["glacier_area"] / self.pixel)
        enough &= _divided(seen.sum(1), area) >= self.min_coverage
        enough &= _divided((seen * around).sum(1), (pixels * around).sum(1)) >= MIN_BAND_COVERAGE
        enough &= (wanted.sum(1) > 0) | (seen.sum(1) > 0)
        out["accumulation_area_ratio"] = np.where(enough, ratio(share, weight), np.nan)
        snowy = enough & (wanted.sum(1) > 0)
        out["snow_line_altitude"] = np.where(snowy, line, np.nan)
        is_snow = known & (counts.code == VALUES["snow"])
        out["lowest_snow"] = np.where(enough, percentile(counts, row, counts.pixels * is_snow, 5, shape[0]), np.nan)
        boundary = percentile(counts, row, counts.edge * known, 50, shape[0])
        out["snow_line_boundary"] = np.where(snowy, boundary, np.nan)
        if self.uncertain:
            self._intervals(out, Draws.added(drawn), seen, weight, enough, place)

    def _intervals(self, out, drawn: Draws, seen, weight, enough, place) -> None:
        known = np.isin(drawn.glacier, self.numbers)
        at = (
            np.array([place[g] for g in drawn.glacier[known]], int),
            np.clip(drawn.band[known], 0, self.bands - 1),
        )

        def spread(values: np.ndarray) -> np.ndarray:
            grid = np.zeros(seen.shape)
            np.add.at(grid, at, values)
            return _divided(grid, seen)

        expected = spread(drawn.expected[known] * (STEP / drawn.pixels.shape[1]))
        out["band_accumulation_expected"] = expected
        out["accumulation_area_ratio_expected"] = np.where(enough, ratio(filled(expected), weight), np.nan)
        lines, ratios = [], []
        for draw in drawn.pixels[known].T:
            share = filled(spread(draw))
            ratios.append(ratio(share, weight))
            line = np.clip(passage(share, weight, self.edges)[0], out["min_elevation"], out["max_elevation"])
            lines.append(np.where(ratios[-1] > 0, line, np.nan))
        for name, values in (("accumulation_area_ratio", ratios), ("snow_line_altitude", lines)):
            snowy = np.isfinite(values).mean(0) > 0.5
            ends = np.full((2, len(self.numbers)), np.nan)
            if (enough & snowy).any():
                ends[:, enough & snowy] = np.nanquantile(
                    np.array(values)[:, enough & snowy], [(1 - COVERED) / 2, (1 + COVERED) / 2], axis=0
                )
            out[f"{name}_lower"], out[f"{name}_upper"] = ends

    @property
    def edges(self) -> np.ndarray:
        """Lower edges of the bands, and the upper one of the last. [m]"""
        return self.lowest + BAND * np.arange(self.bands + 1.0)


# -- arithmetic on (glacier, elevation band) --------------------------------------------------------------------


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)


def filled(share: np.ndarray) -> np.ndarray:
    """Shares of bands, those of unseen ones taken from the nearest seen band, of two the lower; 0 if none is seen."""
    n = share.shape[1]
    place = np.where(np.isfinite(share), np.arange(n), -(4 * n))
    below = np.maximum.accumulate(place, 1)
    place = np.where(np.isfinite(share), np.arange(n), 4 * n)
    above = np.minimum.accumulate(place[:, ::-1], 1)[:, ::-1]
    nearest = np.where(np.arange(n) - below <= above - np.arange(n), below, above)
    return np.nan_to_num(np.take_along_axis(share, np.clip(nearest, 0, n - 1), 1))


def ratio(share: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Accumulation area ratio of each glacier."""
    return _divided((share * weight).sum(1), weight.sum(1))


def passage(share: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elevation at which the share passes one half, and the bands on either side of it.

    Parameters
    ----------
    share, weight : ndarray (glacier, band)
    edges : ndarray (band + 1)
        [m]

    Returns
    -------
    line : ndarray (glacier)
        NaN without area. [m]
    around : ndarray (glacier, band) of bool
    """
    nothing = np.zeros((len(share), 1))
    below = np.concatenate([nothing, np.cumsum(share * weight, 1)], 1)
    bare = (1 - share) * weight
    above = np.concatenate([np.cumsum(bare[:, ::-1], 1)[:, ::-1], nothing], 1)
    occupied = weight > 0
    any_area = occupied.any(1)
    n = share.shape[1]
    first, last = occupied.argmax(1), n - 1 - occupied[:, ::-1].argmax(1)
    # Only the lower edges of bands with area, and the upper one of the last, are candidates.
    candidate = np.concatenate([occupied, np.zeros((len(share), 1), bool)], 1)
    candidate[np.arange(len(share)), last + 1] = True
    k = np.where(candidate, below + above, np.inf).argmin(1)
    bands = np.arange(n)
    lower = np.where(occupied & (bands < k[:, None]), bands, -1).max(1)
    upper = np.minimum(k, n - 1)
    row = np.arange(len(share))
    middle, size = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    low, high = share[row, np.maximum(lower, 0)], share[row, upper]
    passed = np.clip(np.divide(0.5 - low, high - low, out=np.full(len(share), 0.5), where=high > low), 0, 1)
    between = middle[np.maximum(lower, 0)] + passed * (middle[upper] - middle[np.maximum(lower, 0)])
    line = np.select([k <= first, k > last], [edges[first], edges[last] + size], between)
    around = (bands == lower[:, None]) | ((bands == upper[:, None]) & (k <= last)[:, None])
    return np.where(any_area, line, np.nan), around


def percentile(counts: Counts, row: np.ndarray, weight: np.ndarray, percent: float, n: int) -> np.ndarray:
    """Percentile of the weighted elevations of each glacier, to the middle of the metre; NaN without weight. [m]"""
    out = np.full(n, np.nan)
    if not weight.any():
        return out
    here = np.flatnonzero(weight)
    order = here[np.lexsort((counts.height[here], row[here]))]
    passed, owner = np.cumsum(weight[order]), row[order]
    start = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    before = np.r_[0, passed][start]
    total = np.add.reduceat(weight[order], start)
    at = np.searchsorted(passed, before + percent / 100 * total)
    out[owner[start]] = counts.height[order][at] + 0.5
    return out

"""From maps to one row a glacier and date: areas, accumulation area, snow lines, albedo, and what they rest on.

All glaciers are counted in one pass over the blocks. The counts are whole numbers, so the result does not depend on
the chunks; what follows is arithmetic on arrays (glacier, elevation band), in :mod:`facies_xr.maps.glaciers`.
"""

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine

from .. import grids, lazy, stations
from ..classes import NAMES, NODATA, VALUES
from ..errors import InputError, MissingVariableError, one_of
from ..seasons import Season
from .codes import EDGE, HIDDEN, Coder
from .counting import Counts
from .glaciers import Glaciers
from .hypsometry import Bands
from .uncertainty import Drawer, Draws, sampled
from .weighting import SEPARABLE, PriorWeights, confused

MIN_COVERAGE = 0.8
"""Share of a glacier that must be seen."""

SIEVE = 10_000.0
"""Smallest patch that counts for the lowest snow and for the edge of the accumulation area. [m2]"""

DRAWS = 100

BLOCK = 2048
"""Edge of what is counted at a time, half of it with draws, which take more memory. [px]"""

RULES = ("fill", "leave out")
CORRECTIONS = ("scenes", "prior", "none")

_NEEDED = ("facies_map", "glacier_index", "glacier_number", "elevation", "glacier_elevation_min",
           "glacier_elevation_max")  # fmt: skip

_OF_STORE = re.compile("facies_xr_store|spatial:|proj:")
"""Attributes of a store and its grid."""


def statistics(
    maps: xr.Dataset,
    *,
    classes: tuple[str, ...] = ("snow",),
    season: Any = None,
    hidden: str = "fill",
    min_coverage: float = MIN_COVERAGE,
    draws: int | None = None,
    correction: str = "scenes",
) -> xr.Dataset:
    """Glacier statistics of maps, lazily, for all glaciers in one pass; ``.compute()`` the result as a whole.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` or a store gives them, with glaciers and elevation. With the ``probability`` of ``calibrate``
        the accumulation area and the snow line get intervals.
    classes : tuple of str
        Classes that count as accumulation area.
    season : (str, int), optional
        Season that names the balance years and from whose centre days are counted; by default that with which the
        cube was loaded, or that of the latitude. It stays with the statistics, on ``balance_year``.
    hidden : {"fill", "leave out"}
        What becomes of pixels without class, in shadow or under cloud: they take the share of their elevation band,
        or of the nearest band that is seen; or only the seen area counts.
    min_coverage : float
        Share of a glacier that must be seen; below it, and where less than half of the bands around the snow line is
        seen, accumulation area and snow lines are NaN.
    draws : int, optional
        Of the accumulation area, for the intervals; 0 leaves them out. By default 100, or, with a warning, 0 where the
        classifier cannot tell the accumulation area from another class.
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
        If a class, a rule or a number is not possible; when computed, if elevations cannot be, or the probabilities
        are not those of the labels shown. If draws are asked for and the classifier cannot tell the accumulation area
        from another class: their separability is below ``weighting.SEPARABLE``.

    Notes
    -----
    ``snow_line_altitude`` is the elevation at which the share of snow in the bands passes one half; where it passes
    more than once, the passage that leaves least snow below and least bare surface above; where it
    never does, the highest or lowest elevation. ``snow_line_boundary`` is
    the median elevation of the pixels on either side of the edge between accumulation area and bare surface, patches
    below 1 ha left out. ``lowest_snow`` is the 5th percentile of the elevations of snow in patches of at least 1 ha
    (Maslov et al. 2026, Eq. 2), of ``snow`` whatever ``classes`` says. All are NaN without accumulation area. A glacier
    that covers no pixel's centre has an area of 0 and no other statistics; a warning names it.
    """
    _check_options(classes, hidden, min_coverage, draws, correction)
    _check_maps(maps)
    _report_unseen(maps)
    box = grids.geobox(maps)
    draws = _possible_draws(maps, classes, draws)
    uncertain = draws > 0
    glaciers = Glaciers(
        numbers=tuple(maps["glacier_number"].values.tolist()),
        bands=Bands.spanning(*(maps[f"glacier_elevation_{end}"].values for end in ("min", "max"))),
        accumulating=tuple(VALUES[name] for name in classes),
        hidden=hidden,
        min_coverage=min_coverage,
        pixel=abs(box.affine.a * box.affine.e) * 1e-6,
        uncertain=uncertain,
    )
    values = _counted(maps, box.affine, glaciers, draws, correction)
    result = _dataset(maps, values, glaciers.bands)
    given = Season.parse(season) if season is not None else None
    usual = given or Season.of(maps) or Season.at(*reversed(grids.centre_lonlat(box)))
    result = _with_season(result, usual, given is not None)
    return stations.dress(result, "statistics").assign_attrs(
        accumulation_classes=" ".join(classes), hidden=hidden, min_coverage=min_coverage
    )


def _check_options(
    classes: tuple[str, ...], hidden: str, min_coverage: float, draws: int | None, correction: str
) -> None:
    if (unknown := set(classes) - set(NAMES)) or not classes:
        raise InputError(f"unknown classes {sorted(unknown)}; there are {', '.join(NAMES)}.")
    if set(classes) & set(HIDDEN):
        raise InputError(
            f"classes={classes!r}: {' and '.join(HIDDEN)} hide the surface and cannot be accumulation area."
        )
    one_of("hidden", hidden, RULES)
    one_of("correction", correction, CORRECTIONS)
    if not 0 <= min_coverage <= 1:
        raise InputError(f"min_coverage={min_coverage!r} is not a share between 0 and 1.")
    if draws is not None and draws < 0:
        raise InputError(f"draws={draws!r}: give a number of draws, or 0 for no intervals.")


def _possible_draws(maps: xr.Dataset, classes: tuple[str, ...], asked: int | None) -> int:
    """Number of draws: none without calibrated probabilities, nor of classes that are not told apart."""
    if asked == 0 or "probability" not in maps or "calibrated" not in maps["confidence"].attrs:
        return 0
    if "class_separability" in maps:
        told = maps["class_separability"].transpose("facies_class", "other_class").values
        if pairs := confused(told, [VALUES[name] for name in classes]):
            which = ", ".join(f"{NAMES[a]} from {NAMES[b]} ({told[a, b]:.2f})" for a, b in pairs)
            why = (
                f"the classifier of these maps cannot tell {which}: of its own samples it ranks a pair right in less "
                f"than {SEPARABLE:.0%} of the cases, so an interval of their areas means nothing. Ask for the sum "
                "(classes=...) where that is what you need, or train with labels of these classes."
            )
            if asked:
                raise InputError(f"draws={asked}: {why} draws=0 counts the labels as they are.")
            warnings.warn(f"no intervals of areas: {why}", stacklevel=3)
            return 0
    return DRAWS if asked is None else asked


def _check_maps(maps: xr.Dataset) -> None:
    stations.require(
        maps, "classify", _NEEDED, for_what="statistics", remedy="Classify a cube that went through fx.add_terrain"
    )
    if (dtype := maps["facies_map"].dtype) != np.uint8:
        raise InputError(f"facies_map is of {dtype}, not uint8: classes are 0..{len(NAMES) - 1}, nodata is {NODATA}.")
    if "time" not in maps.dims:
        raise MissingVariableError("statistics need a time; give the maps one with maps.expand_dims(time=[...]).")
    if maps.sizes["time"] == 0:
        raise InputError("the maps have no date; nothing to count.")


def _report_unseen(maps: xr.Dataset) -> None:
    """Warn of glaciers on whose outlines no pixel with an elevation has its centre."""
    low = maps["glacier_elevation_min"]
    unseen = low.isnull().all("time") if "time" in low.dims else low.isnull()
    if unseen.any():
        ids = maps["glacier"].values[unseen.values]
        names = ", ".join(map(str, ids[:3])) + (", ..." if ids.size > 3 else "")
        warnings.warn(
            f"{ids.size} of {unseen.size} glaciers have no pixel with an elevation ({names}): too small for the grid, "
            "outside it, or beyond the elevation model; their statistics are empty.",
            stacklevel=3,
        )


def _dataset(maps: xr.Dataset, values: dict[str, lazy.Array], bands: Bands) -> xr.Dataset:
    """The counted values, under the dims of their station, with what else belongs to glaciers and dates."""
    outlines_move = "time" in maps["glacier_index"].dims
    data: dict[str, Any] = {}
    for name, value in values.items():
        dims = stations.STATISTICS[name].dims
        if "time" in dims:
            data[name] = (dims, value)
        else:
            data[name] = (("time", *dims), value) if outlines_move else (dims, value[0])
    index = maps["glacier_index"]
    rims = [index.isel({dim: end}) for dim in ("y", "x") for end in (0, -1)]
    data["cut_by_edge"] = ("glacier", lazy.occurring(maps["glacier_number"].values, rims))
    data["scene_date"] = ("time", maps["time"].values)
    coords = {n: c for n, c in maps.coords.items() if set(c.dims) <= {"time", "glacier"} and n != "spatial_ref"}
    coords |= {"facies_class": np.array(NAMES), "elevation_band": bands.middle}
    # What a store says of its grid and of itself does not hold for a table.
    attrs = {k: v for k, v in maps.attrs.items() if isinstance(v, str | int | float) and not _OF_STORE.match(str(k))}
    result = xr.Dataset(data, coords=coords, attrs=attrs)
    if "albedo" in maps:
        result["albedo"].attrs["level"] = maps["albedo"].attrs.get("level", "unknown")
    return result


def _with_season(result: xr.Dataset, season: Season, given: bool) -> xr.Dataset:
    """The days from the season's centre, and its balance years where it is given anew or there are none yet."""
    times = result["scene_date"].values
    result["days_from_season_centre"] = ("time", season.days_from_centre(times))
    if given or "balance_year" not in result.coords:
        result = result.assign_coords(balance_year=("time", season.balance_year(times)))
    years = result["balance_year"].copy(deep=False).assign_attrs(
        stations.TIMED["balance_year"].attributes | season.to_attrs()
    )  # fmt: skip
    return result.assign_coords(balance_year=years).assign_attrs(season=str(season))


# -- counting ---------------------------------------------------------------------------------------------------


def _counted(
    maps: xr.Dataset, affine: Affine, glaciers: Glaciers, draws: int, correction: str
) -> dict[str, lazy.Array]:
    """Lazily, the statistics of all glaciers on each date, by name."""
    smallest = max(1, round(SIEVE / abs(affine.a * affine.e)))
    edge = BLOCK // 2 if draws else BLOCK
    planes = [lazy.as_dask(maps[name], edge) for name in ("facies_map", "glacier_index")]
    coder = Coder(glaciers.accumulating, smallest)
    codes = lazy.map_surrounded(coder, planes, dtype="uint8", reach=smallest, edge=edge)
    names = ["glacier_index", "elevation"] + ["albedo"] * ("albedo" in maps)
    names += ["confidence", "probability"] * (draws > 0)
    arrays = {name: planes[1] if name == "glacier_index" else lazy.as_dask(maps[name], edge) for name in names}
    drawer = Drawer(glaciers.accumulating, draws, glaciers.bands) if draws else None
    scenes = maps["time"].values.astype("datetime64[s]").astype("int64").tolist()
    weights = _class_weights(maps, codes, arrays, correction) if draws else [None] * len(scenes)
    return lazy.tabulate(
        _Count(tuple(names), drawer, affine),
        glaciers,
        [codes, *arrays.values()],
        list(zip(scenes, weights, strict=True)),
        glaciers.outputs,
    )


def _class_weights(
    maps: xr.Dataset, codes: lazy.Array, arrays: dict[str, lazy.Array], correction: str
) -> list[np.ndarray | lazy.Array]:
    """Class weights to draw from, for each date."""
    dates = maps.sizes["time"]
    if correction == "scenes" and maps.sizes.get("scene", 0) and "scene_weight" in maps:
        return [maps["scene_weight"].transpose("scene", "facies_class").values] * dates
    if correction != "prior":
        return [np.ones((1, len(NAMES)))] * dates
    if "class_share" not in maps:
        raise InputError("these maps' calibrator does not know the shares of its samples' classes ('class_share'); "
                         "correction='prior' needs them.")  # fmt: skip
    prior = PriorWeights(tuple(maps["class_share"].values.tolist()))
    needed = [arrays[name] for name in ("glacier_index", "elevation", "confidence", "probability")]
    weights = lazy.tabulate(
        sampled, prior, [codes, *needed], [None] * dates, {"weights": ((1, len(NAMES)), float)}
    )["weights"]  # fmt: skip
    return [weights[t] for t in range(dates)]


@dataclass(frozen=True)
class _Count:
    """Counts of one block, and its draws."""

    names: tuple[str, ...]
    drawer: Drawer | None
    affine: Affine
    """Of the grid."""

    def __call__(self, codes: np.ndarray, *rest: Any) -> tuple[Counts, Draws | None]:
        *blocks, ((scene, weights), rows, columns) = rest
        of = dict(zip(self.names, blocks, strict=True))
        counts = Counts.of(codes, of["glacier_index"], of["elevation"], of.get("albedo"))
        if self.drawer is None:
            return counts, None
        y = self.affine.f + (np.arange(rows.start, rows.stop) + 0.5) * self.affine.e
        x = self.affine.c + (np.arange(columns.start, columns.stop) + 0.5) * self.affine.a
        draws = self.drawer(
            codes=codes % EDGE,
            index=of["glacier_index"],
            elevation=of["elevation"],
            confidence=of["confidence"],
            probability=of["probability"],
            y=y,
            x=x,
            scene=scene,
            weights=weights,
        )
        return counts, draws

"""What a result must satisfy whatever was read: ranges that nature, missions and the globe set.

The sun of an optical scene is up; Landsat 1 was launched in 1972; reflectance per DN lies between 1e-7 and .1; no
record of mass balance is from before the Little Ice Age's end, none beyond 30 m w.e. in a season; glaciers lie between
-500 and 9000 m.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import numpy as np

LAST_YEAR = date.today().year + 1
NO_IDS = ("", "nan", "none", "<na>", "null")


def within(name: str, values: Any, low: float, high: float, *, missing: bool = False) -> Iterator[str]:
    """Complaints about numbers outside a range, or missing ones."""
    values = np.atleast_1d(np.asarray(values, "float64"))
    wrong = ~((values >= low) & (values <= high)) & ~(np.isnan(values) & missing)
    if wrong.any():
        yield f"{name}: {values[wrong][0]}"


def scenes(found: Iterable[Any]) -> Iterator[str]:
    """Complaints about resolved scenes."""
    import pyproj

    for scene in found:
        yield from within("sun elevation", scene.sun_elevation, 1e-9, 90)
        yield from within("sun azimuth", scene.sun_azimuth, -360, 360)
        yield from within("year", scene.datetime.year, 1972, LAST_YEAR)
        yield from within("cloud cover", scene.cloud_cover, 0, 100, missing=True)
        west, south, east, north = scene.bbox
        yield from within("west", west, -180, 180)
        yield from within("east", east, west, 540)
        yield from within("south", south, -90, 90)
        yield from within("north", north, south, 90)
        if not isinstance(scene.id, str) or not scene.id.strip():
            yield f"id: {scene.id!r}"
        for band in scene.bands.values():
            if band.scale is not None:
                yield from within("scale", band.scale, 1e-7, 0.1)
                yield from within("offset", band.offset, -1, 1)
            if not isinstance(band.href, str) or band.href.strip().lower() in (*NO_IDS, "true", "false"):
                yield f"file: {band.href!r}"
        if scene.crs is not None:
            try:
                pyproj.CRS.from_user_input(scene.crs)
            except pyproj.exceptions.CRSError:
                yield f"CRS: {scene.crs!r}"


def records(table: Any) -> Iterator[str]:
    """Complaints about records of mass balance."""
    yield from within("balance", table.balance, -30, 30)
    for name in ("winter_balance", "summer_balance"):
        yield from within(name, table[name], -30, 30, missing=True)
    yield from within("balance year", table.balance_year, 1800, LAST_YEAR)
    yield from within("longitude", table.longitude, -360, 360, missing=True)
    yield from within("latitude", table.latitude, -90, 90, missing=True)
    yield from within("AAR", table.accumulation_area_ratio, 0, 1, missing=True)
    yield from within("ELA", table.equilibrium_line_altitude, -500, 9000, missing=True)
    yield from ids(table.glacier)


def outlines(table: Any) -> Iterator[str]:
    """Complaints about outlines."""
    west, south, east, north = table.total_bounds
    if table.crs.is_geographic:
        yield from within("x", (west, east), -360, 360)
        yield from within("y", (south, north), -90, 90)
    elif not np.isfinite(table.total_bounds).all():
        yield f"bounds: {table.total_bounds}"
    yield from within("year of an outline", table.date.dropna().dt.year, 1800, LAST_YEAR)
    yield from ids(table.glacier)


def ids(names: Any) -> Iterator[str]:
    """Complaints about ids of glaciers that are no ids."""
    for name in names:
        if not isinstance(name, str) or name.strip().lower() in NO_IDS:
            yield f"glacier id: {name!r}"


def classifier(model: Any) -> Iterator[str]:
    """Complaints about a classifier."""
    for tensor in model.network.state_dict().values():
        yield from within("weights", tensor.detach().numpy(), -1e6, 1e9)
    for name in ("minimum", "maximum", "mean"):
        yield from within(name, getattr(model, name), -1e6, 1e6)
    if not isinstance(model.tile, int) or isinstance(model.tile, bool) or not 1 <= model.tile <= 65536:
        yield f"tile: {model.tile!r}"
    if model.level not in ("TOA", "SR"):
        yield f"level: {model.level!r}"
    for name in ("name", "bounds"):
        if not isinstance(getattr(model, name), str) or not getattr(model, name):
            yield f"{name}: {getattr(model, name)!r}"
    if not isinstance(model.card, dict):
        yield f"card: {model.card!r}"
    if (calibrator := model.calibrator) is not None:
        score = np.asarray(calibrator.score, "float64")
        if not (score.size and np.isfinite(score).all() and (np.diff(score) > 0).all()):
            yield "knots of the calibrator that do not increase"
        for correct in calibrator.correct.values():
            yield from within("P(correct)", correct, 0, 1)
        yield from within("class shares", calibrator.shares, 0, 1)
        for weights in calibrator.scenes:
            yield from within("scene weights", weights, 0, 1000)


def prediction(mean: Any, lower: Any, upper: Any) -> Iterator[str]:
    """Complaints about predicted balances. [m w.e.]"""
    mean, lower, upper = (np.asarray(v, "float64") for v in (mean, lower, upper))
    yield from within("prediction", mean, -30, 30, missing=True)
    if not np.isfinite(mean).any():
        yield "no prediction at all"
    if (lower > upper).any() or np.isinf(lower).any() or np.isinf(upper).any():
        yield "an interval that is none"

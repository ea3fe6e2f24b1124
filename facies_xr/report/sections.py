"""The parts of a report, each from the material to an element."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import charts, plot
from ..classes import CLASSES, NAMES, NODATA
from ..maps.series import FLAGS
from .material import Material, shares
from .page import Child, picture, section, table, tag

FEW = 6
"""Glaciers whose series are drawn, the largest."""

MOST_ROWS = 120
"""Of a table."""

NO_CARD = (
    "What the model of these maps was trained on, and what it is not for, is not known here: its file was not given "
    "(model=, or --model on the command line). Do not draw conclusions from these maps before you have read its card."
)

HIDDEN_ATTRIBUTES = ("Conventions", "title", "history", "source", "references")


def warning(material: Material) -> ET.Element:
    """What the maps are not for, before all else."""
    texts = [f"Not for {material.card['not_for']}" if "not_for" in material.card else NO_CARD]
    if "trained_on" in material.card:
        texts.append(f"The model was trained on {material.card['trained_on']}.")
    if "warning" in material.maps.attrs:
        texts.append(f"Note: {material.maps.attrs['warning']}.")
    if material.maps.attrs.get("classifier") and "calibrated" not in material.maps["confidence"].attrs:
        texts.append("The confidence is not calibrated: it is a score, and no probability.")
    return section("What these maps are not for", *(tag("p", text) for text in texts), class_="warning")


def glance(material: Material) -> ET.Element:
    """The maps in a few numbers."""
    maps, rows = material.maps, []
    if material.stats is not None:
        area = np.max(np.atleast_2d(material.stats["glacier_area"].values), 0)
        rows.append(("glaciers", f"{area.size}, {area.sum():.2f} km2 on the grid of {_pixel(maps):g} m"))
        seen = charts.area_mean(material.stats, "coverage")
        rows.append(("seen", f"{np.nanmean(seen):.0%} of their area on a date, on average"))
    if "time" in maps.coords:
        dates = pd.DatetimeIndex(maps["time"].values)
        rows.append(("dates", f"{len(dates)}, {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"))
    if "sensor" in maps.coords:
        names, counts = np.unique(maps["sensor"].values.astype(str), return_counts=True)
        rows.append(("sensors", ", ".join(f"{n} ({k})" for n, k in zip(names, counts, strict=True))))
    rows.append(("reflectance", str(maps.attrs.get("level", "unknown"))))
    rows.append(("model", str(maps.attrs.get("classifier", "unknown"))))
    return section("At a glance", table(("", ""), rows))


def maps(material: Material) -> ET.Element:
    """A map for each balance year, and the classes."""
    legend = table(
        ("class", "meaning"),
        [(tag("span", tag("span", class_="swatch", style=f"background:{c.color}"), f" {c.name}"), c.meaning)
         for c in CLASSES]
        + [(tag("span", tag("span", class_="swatch", style=f"background:{plot.NOT_SEEN}"), " no data"),
            "of a glacier, but without a class")],
        "Classes and their colours",
    )  # fmt: skip
    pictures = [_map(material.scene(k), _name(material.maps.isel(time=k))) for k in material.shown]
    note = "Of each balance year the date on which most of the glaciers was seen" + (
        "; the relief is the elevation model's." if "elevation" in material.maps else "."
    )
    return section("Maps", tag("p", note), tag("div", *pictures, class_="pictures"), legend)


def _map(scene: xr.Dataset, name: str) -> ET.Element:
    figure, ax = _axes(5.2, 4.6)
    plot.facies_map(scene, ax=ax, legend=False)
    ax.set_title(name, parse_math=False)
    share = shares(scene)
    named = ", ".join(f"{n} {s:.0%}" for n, s in zip(NAMES, share, strict=True) if s >= 0.005) or "no pixel has a class"
    return picture(figure, f"Map of the facies, {name}: {named}.", named, vector=False)


def seasons(material: Material) -> ET.Element:
    """Accumulation area ratio and snow line at the end of each season."""
    found = material.seasons
    assert found is not None
    pictures = [
        _series(found, name, glacier) for glacier in material.glaciers[:FEW]
        for name in ("accumulation_area_ratio", "snow_line_altitude")
    ]  # fmt: skip
    rows = [row for glacier in material.glaciers for row in _season_rows(found.sel(glacier=glacier))]
    header = ("glacier", "balance year", "accumulation area ratio", "snow line [m]", "scenes", "to know")
    n = len(material.glaciers)
    drawn = f" Drawn are the {FEW} largest of {n} glaciers." if n > FEW else ""
    return section(
        "Accumulation area and snow line",
        tag("p", "State at the end of each season from all of its scenes, with 95 % intervals. They hold what scenes "
                 "of one season disagree in; they do not hold what the model does wrong in all of them." + drawn),
        tag("div", *pictures, class_="pictures"),
        table(header, rows[:MOST_ROWS], _cut("Ends of seasons", rows, "facies-xr stats")),
    )  # fmt: skip


def _series(data: xr.Dataset, name: str, glacier: str) -> ET.Element:
    figure, ax = _axes(5.2, 3.2)
    charts.series(data, name, glacier=glacier, ax=ax)
    row = data.sel(glacier=glacier)
    values = row[name].values
    years = row["balance_year"].values[np.isfinite(values)]
    form = "{:.2f}" if name != "snow_line_altitude" else "{:.0f} m"
    told = ", ".join(f"{y}: {form.format(v)}" for y, v in zip(years, values[np.isfinite(values)], strict=True))
    return picture(figure, f"{name.replace('_', ' ')} of {charts.glacier_title(row)} by year: {told or 'no year'}.")


def _season_rows(row: xr.Dataset) -> Iterator[tuple[str, ...]]:
    for k, year in enumerate(row["balance_year"].values):
        one = row.isel(balance_year=k)
        if int(one["flags"]) & FLAGS["no_scene"]:
            continue
        words = ", ".join(n.replace("_", " ") for n, bit in FLAGS.items() if int(one["flags"]) & bit)
        yield (charts.glacier_title(row), str(year), _interval(one, "accumulation_area_ratio", "{:.2f}"),
               _interval(one, "snow_line_altitude", "{:.0f}"), str(int(one["scenes"])), words)  # fmt: skip


def _interval(one: xr.Dataset, name: str, form: str) -> str:
    value, *ends = (float(one[n]) if n in one else np.nan for n in (name, f"{name}_lower", f"{name}_upper"))
    if not np.isfinite(value):
        return "-"
    told = form.format(value)
    return f"{told} ({form.format(ends[0])} to {form.format(ends[1])})" if np.isfinite(ends).all() else told


def hypsometry(material: Material) -> ET.Element:
    """Area by elevation, on the last of the dates shown."""
    stats = material.stats
    assert stats is not None
    figure, ax = _axes(5.6, 4.2)
    charts.hypsometry(stats, time=material.shown[-1], ax=ax)
    area = np.atleast_2d(stats["band_area"].values.sum(-2))[-1]
    middle = stats["elevation_band"].values
    half = np.interp(0.5, np.cumsum(area) / area.sum(), middle) if area.sum() else np.nan
    alt = (
        f"Area of all glaciers by elevation, from {middle[0]:.0f} to {middle[-1]:.0f} m; half lies below {half:.0f} m."
    )
    return section("Hypsometry", tag("div", picture(figure, alt, alt), class_="pictures"))


def balance(material: Material) -> ET.Element:
    """Balances against their records, and their scores beside the yardsticks."""
    found, judged = material.balances, material.scores
    assert found is not None
    assert judged is not None
    figure, ax = _axes(5.6, 4.6)
    plot.balance(found, ax=ax)
    first = judged.iloc[0]
    told = f"{judged.index[0]}: {first.n:.0f} records, RMSE {first.rmse:.2f} m w.e., r {first.r:.2f}"
    pictures = [picture(figure, f"Modelled against recorded annual balance. {told}.", told)]
    recorded = [g for g in material.glaciers if found["observed"].sel(glacier=g).count()]
    for glacier in recorded[:FEW]:
        figure, ax = _axes(5.2, 3.2)
        charts.series(found, "balance", glacier=glacier, ax=ax)
        title = charts.glacier_title(found.sel(glacier=glacier))
        pictures.append(picture(figure, f"Balance of {title} by year, modelled with its 95 % interval, and recorded."))
    rows = [(str(name), *(_number(row[k]) for k in ("n", "rmse", "rmse_lower", "rmse_upper", "bias", "r")))
            for name, row in judged.iterrows()]  # fmt: skip
    header = ("", "n", "RMSE", "from", "to", "bias", "r")
    return section(
        "Balance",
        tag("p", f"Annual surface mass balance; method: {found.attrs.get('method', 'not told')}. Scores are of what "
                 "each fit had not seen; the rows beside the model say what the same records give without maps."),
        tag("div", *pictures, class_="pictures"),
        table(header, rows, "Scores [m w.e.], beside what they must be compared with"),
    )  # fmt: skip


def trust(material: Material) -> ET.Element:
    """What was seen, and how sure the labels are."""
    parts: list[ET.Element] = []
    if material.stats is not None:
        figure, ax = _axes(5.6, min(1.6 + 0.28 * material.stats.sizes["time"], 12))
        charts.coverage(material.stats, ax=ax)
        mean = np.nanmean(charts.area_mean(material.stats, "coverage"))
        parts.append(picture(figure, f"Share of the glaciers' area not seen, by date and reason; {mean:.0%} was seen.",
                             "What was not seen, by date"))  # fmt: skip
    scenes = [material.scene(k) for k in material.shown]
    labels = np.concatenate([s["facies_map"].values.ravel() for s in scenes])
    confidence = np.concatenate([s["confidence"].values.ravel() for s in scenes])
    known = (labels != NODATA) & np.isfinite(confidence)
    figure, ax = _axes(5.2, 3.2)
    ax.hist(confidence[known], bins=20, range=(0, 1), color=charts.BLUE, edgecolor="white")
    calibrated = "calibrated" in material.maps["confidence"].attrs
    word = "P(correct)" if calibrated else "largest class score"
    ax.set(xlabel=word, ylabel="pixels")
    mean = confidence[known].mean() if known.any() else np.nan
    parts.append(
        picture(figure, f"Histogram of {word} on the dates shown; mean {mean:.2f}.", "Confidence, dates shown")
    )
    rows = [
        (c.name, f"{here.sum() / known.sum():.1%}", f"{confidence[here].mean():.2f}" if here.any() else "-")
        for c in CLASSES
        if (here := known & (labels == c.value)).any()
    ]
    population = material.maps["confidence"].attrs.get("population")
    note = f"P(correct) refers to this population: {population}. Elsewhere it is a guess." if population else (
        "The largest class score is no probability.")  # fmt: skip
    return section(
        "Coverage and confidence",
        tag("p", note),
        tag("div", *parts, class_="pictures"),
        table(("class", "share of what was seen", f"mean {word}"), rows, "Classes on the dates shown"),
    )


def provenance(material: Material) -> ET.Element:
    """What the maps were made from and by."""
    rows = [(key.replace("_", " "), str(value)) for key, value in sorted(material.maps.attrs.items())
            if isinstance(value, str | int | float) and key not in HIDDEN_ATTRIBUTES and ":" not in key]  # fmt: skip
    rows += [(f"model card: {key.replace('_', ' ')}", _told(value)) for key, value in material.card.items()]
    rows.append(("report made by", f"facies_xr {version('facies_xr')}"))
    parts: list[Child] = [table(("", ""), rows, "What stands in the maps, and in the card of their model")]
    if "item" in material.maps.coords:
        each = zip(material.maps["time"].values, material.maps["item"].values, strict=True)
        scenes = [(f"{pd.Timestamp(time):%Y-%m-%d %H:%M}", str(item)) for time, item in each]
        parts.append(table(("date [UTC]", "scenes"), scenes[:MOST_ROWS], _cut("Scenes", scenes, "coordinate item")))
    parts.append(tag("p", "Method: Maslov, K. A., Schellenberger, T., Pandit, P., Persello, C., Stein, A. (2026), "
                          "doi:10.31223/X5QN1V. Data: contains Landsat images by USGS/NASA or modified Copernicus "
                          "Sentinel data, as the scenes' names tell."))  # fmt: skip
    return section("Provenance", *parts)


SECTIONS: tuple[tuple[Callable[[Material], ET.Element], str | None], ...] = (
    (warning, None),
    (glance, None),
    (maps, None),
    (seasons, "seasons"),
    (hypsometry, "stats"),
    (balance, "balances"),
    (trust, None),
    (provenance, None),
)
"""In their order, and what of the material each cannot do without."""


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout="compressed")
    return figure, figure.add_subplot()


def _name(scene: xr.Dataset) -> str:
    parts = [f"{pd.Timestamp(scene['time'].values):%Y-%m-%d}"] if "time" in scene.coords else []
    parts += [str(scene["sensor"].item())] if "sensor" in scene.coords else []
    return ", ".join(parts) or "one date"


def _pixel(data: xr.Dataset) -> float:
    return abs(float(data["x"][1] - data["x"][0]))


def _number(value: Any) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) >= 3 else f"{value:.2f}"


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cut(title: str, rows: list, where: str) -> str:
    return title if len(rows) <= MOST_ROWS else f"{title}: {MOST_ROWS} of {len(rows)}, the others by {where}"

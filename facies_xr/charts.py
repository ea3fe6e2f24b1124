"""Charts of numbers: series with their intervals, hypsometry, coverage, reliability, balances by year.

Colours are those of Okabe and Ito (2008), which stay apart with any colour vision; hatches and markers tell the same.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import stations
from .classes import NODATA
from .errors import InputError, MissingVariableError, one_of

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.75"

HIDDEN = {"cloud_share": ("cloud", "#E69F00", "///"), "shadow_share": ("shadow", "0.25", "xx"),
          "nodata_share": ("no data", GREY, "..")}  # fmt: skip
"""Why parts of a glacier were not seen: name, colour, hatch."""

BINS = 10


def at(data: xr.Dataset, time: Any) -> xr.Dataset:
    """One date of a Dataset, by its position or by its day; a Dataset of one date as it is."""
    return data.isel(time=position(data, time)) if "time" in data.dims else data


def position(data: xr.Dataset, time: Any) -> int:
    """Position of a date, of which ``time`` is the position or the day."""
    if isinstance(time, int | np.integer):
        if not -data.sizes["time"] <= time < data.sizes["time"]:
            raise InputError(f"there is no date at {time}; there are {data.sizes['time']}.")
        return int(time)
    days = data.indexes["time"].normalize()
    try:
        wanted = pd.Timestamp(time).normalize()
    except (ValueError, TypeError) as error:
        raise InputError(f"time={time!r} is neither the position of a date nor a date: {error}") from None
    if not (found := np.flatnonzero(days == wanted)).size:
        near = days[np.argsort(abs(days - wanted), kind="stable")[:3]]
        raise InputError(f"there is no date {time}; the nearest are {', '.join(f'{day:%Y-%m-%d}' for day in near)}.")
    return int(found[-1])


def series(
    data: xr.Dataset, name: str = "accumulation_area_ratio", *, glacier: Any = None, ax: Axes | None = None
) -> Axes:
    """A statistic over dates or balance years, with its 95 % interval where there is one.

    Parameters
    ----------
    data : Dataset
        As ``statistics``, ``end_of_season`` or ``smb`` give it.
    name : str
        For example "accumulation_area_ratio", "snow_line_altitude", "balance".
    glacier : str, optional
        Its id; by default the largest.
    """
    ax = ax or plt.gca()
    row = _glacier(data, glacier)
    if name not in row or not {"time", "balance_year"} & set(row[name].dims):
        raise MissingVariableError(f"there is no series {name!r}; statistics(), end_of_season() and smb() give some.")
    when = row["balance_year" if "balance_year" in row[name].dims else "time"].values
    values = row[name].values
    ends = [f"{name}_{end}" for end in ("lower", "upper")]
    if set(ends) <= set(row.variables):
        ax.errorbar(when, *_with_interval(values, *(row[n].values for n in ends)), fmt="none", ecolor=BLUE, alpha=0.45,
                    capsize=3)  # fmt: skip
    known = np.isfinite(values)
    ax.plot(when[known], values[known], "o-", color=BLUE, ms=4, lw=1)
    if "observed" in row and name.startswith("balance"):
        ax.plot(when, row["observed"].values, "D", color=ORANGE, mfc="none", label="recorded")
        ax.plot([], [], "o-", color=BLUE, ms=4, lw=1, label="modelled")
        ax.legend(frameon=False, fontsize=8)
        ax.axhline(0, color=GREY, lw=0.8, zorder=0)
    if name.endswith("ratio"):
        ax.set_ylim(-0.05, 1.05)
    if np.issubdtype(when.dtype, np.integer):
        ax.set_xlim(when.min() - 1, when.max() + 1)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel(_label(name, row[name].attrs.get("units", "1")))
    ax.set_title(glacier_title(row), parse_math=False)  # a name may hold dollars
    return ax


def hypsometry(stats: xr.Dataset, *, glacier: Any = None, time: Any = -1, ax: Axes | None = None) -> Axes:
    """Area by elevation: accumulation area, bare surface, and what was not seen, of one date.

    Parameters
    ----------
    stats : Dataset
        As ``statistics`` gives it.
    glacier : str, optional
        Its id; by default all together.
    time : int or date
        Position of the date, or the date.
    """
    ax = ax or plt.gca()
    stations.require(stats, "statistics", ["band_area", "band_coverage", "band_accumulation"], for_what="hypsometry()",
                     remedy="Give what statistics() gives")  # fmt: skip
    scene = at(stats, time)
    if glacier is not None:
        scene = _glacier(scene, glacier).expand_dims("glacier")
    area, share = scene["band_area"].values, np.nan_to_num(scene["band_coverage"].values)
    accumulating = np.nan_to_num(scene["band_accumulation"].values)
    parts = {
        "accumulation area": (area * share * accumulating, BLUE, ""),
        "bare": (area * share * (1 - accumulating), ORANGE, "//"),
        "not seen": (area * (1 - share), GREY, ".."),
    }
    middle, left = scene["elevation_band"].values, 0.0
    height = middle[1] - middle[0] if middle.size > 1 else 20.0
    for label, (size, colour, hatch) in parts.items():
        width = size.sum(0)
        ax.barh(middle, width, height, left=left, color=colour, hatch=hatch, edgecolor="white", lw=0.3, label=label)
        left = left + width
    ax.set(xlabel="area [km2]", ylabel="elevation [m]", title=_date(scene))
    ax.legend(frameon=False, fontsize=8)
    return ax


def coverage(stats: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Why parts of the glaciers were not seen, by date, over the area of all glaciers."""
    ax = ax or plt.gca()
    stations.require(stats, "statistics", [*HIDDEN, "glacier_area"], for_what="coverage()",
                     remedy="Give what statistics() gives")  # fmt: skip
    dates = [f"{pd.Timestamp(t):%Y-%m-%d}" for t in stats["time"].values]
    left = np.zeros(len(dates))
    for name, (label, colour, hatch) in HIDDEN.items():
        share = area_mean(stats, name)
        ax.barh(np.arange(len(dates)), share, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
        left += np.nan_to_num(share)
    ax.set_yticks(np.arange(len(dates)), dates, fontsize=7 if len(dates) < 40 else 4)
    ax.set(xlim=(0, 1), xlabel="share of the glaciers' area that was not seen", ylim=(len(dates) - 0.4, -0.6))
    ax.legend(frameon=False, fontsize=8)
    return ax


def reliability(maps: xr.Dataset, truth: xr.DataArray | None = None, *, ax: Axes | None = None) -> Axes:
    """How often labels are right: in bins of confidence against a truth, or by score as the calibrator says.

    Parameters
    ----------
    maps : Dataset
        With ``confidence`` and ``facies_map``; without a truth, before ``calibrate`` or with ``keep_raw``.
    truth : DataArray, optional
        Classes on the same grid, 255 where they are not known.
    """
    ax = ax or plt.gca()
    ax.plot([0, 1], [0, 1], color=GREY, lw=1)
    if truth is not None:
        _against(maps, truth, ax)
    elif "calibrator_correct" in maps:
        for name in maps["facies_class"].values:
            ax.plot(maps["score"], maps["calibrator_correct"].sel(facies_class=name), lw=1, label=str(name))
        ax.set(xlabel="class score", ylabel="P(correct), by the calibrator")
        ax.legend(frameon=False, fontsize=7)
    else:
        raise MissingVariableError("there is no 'calibrator_correct': give truth=, or maps before calibrate().")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return ax


def _against(maps: xr.Dataset, truth: xr.DataArray, ax: Axes) -> None:
    if set(truth.dims) != set(maps["facies_map"].dims):
        raise InputError(f"truth has dims {truth.dims}, facies_map {maps['facies_map'].dims}; give the same.")
    label, aligned = xr.align(maps[["facies_map", "confidence"]], truth, join="inner")
    known = aligned.transpose(*label["facies_map"].dims).values
    both = (label["facies_map"].values != NODATA) & (known != NODATA)
    confidence = label["confidence"].values[both]
    right = label["facies_map"].values[both] == known[both]
    part = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(part, minlength=BINS)
    some = count > 0
    mean, share = (np.bincount(part, v, BINS)[some] / count[some] for v in (confidence, right))
    ax.plot(mean, share, "o-", color=BLUE)
    for x, y, n in zip(mean, share, count[some], strict=True):
        ax.annotate(f"{n:,}", (x, y), textcoords="offset points", xytext=(4, -10), fontsize=6, color="0.3")
    ax.set(xlabel="mean confidence of a bin", ylabel="share of labels that are right")


def area_mean(stats: xr.Dataset, name: str) -> np.ndarray:
    """Mean of a statistic over the glaciers, weighted by their areas; NaN where no glacier has it."""
    values = stats[name].transpose("time", "glacier").values
    area = np.broadcast_to(stats["glacier_area"].values, values.shape)
    weight = np.where(np.isfinite(values), area, 0)
    total = weight.sum(1)
    return np.divide((np.nan_to_num(values) * weight).sum(1), total, out=np.full(len(total), np.nan), where=total > 0)


def glacier_title(row: xr.Dataset) -> str:
    """Name and id of a glacier."""
    name = str(row["glacier_name"].item()) if "glacier_name" in row.coords else ""
    identifier = str(row["glacier"].item())
    return f"{name} ({identifier})" if name and name != identifier else identifier


def _glacier(data: xr.Dataset, glacier: Any) -> xr.Dataset:
    if glacier is None:
        if "glacier_area" not in data:
            return data.isel(glacier=0)
        area = data["glacier_area"].values
        return data.isel(glacier=int(np.nanargmax(area if area.ndim == 1 else area.max(0))))
    one_of("glacier", glacier, data["glacier"].values.tolist())
    return data.sel(glacier=glacier)


def _label(name: str, units: str) -> str:
    text = name.replace("_", " ")
    if name.startswith("balance"):
        return f"{text} [m w.e.]"
    return text if units == "1" else f"{text} [{units}]"


def _with_interval(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Middle and the two halves of intervals; an interval that does not hold its value starts at it."""
    return values, [np.maximum(values - low, 0), np.maximum(high - values, 0)]


def _date(scene: xr.Dataset) -> str:
    return f"{pd.Timestamp(scene['time'].values):%Y-%m-%d}"

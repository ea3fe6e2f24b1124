"""Pictures: maps with their legend, balances against records, and the overview of a whole run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from . import charts, grids
from .classes import CLASSES, COLORS, NODATA, VALUES
from .errors import MissingVariableError, one_of

NOT_SEEN = "#8700ff"
"""Of a glacier without a class; as far as can be from the classes' colours with any colour vision."""
FALSE_COLOR = ("swir1", "nir", "red")


def plot(data: xr.Dataset, what: str | None = None, **options) -> Any:
    """A picture of a Dataset, by matplotlib.

    Parameters
    ----------
    data : Dataset
        Maps, statistics, seasons, balances, or a cube.
    what : str, optional
        Key of :data:`PICTURES`; by default the first of :data:`DEFAULTS` that it holds.
    **options
        Of the picture: ``ax``; ``time``, the position of a date, or the date; ``glacier``, an id; see each in
        :mod:`facies_xr.plot` and :mod:`facies_xr.charts`.

    Raises
    ------
    InputError
        If there is no such picture.
    MissingVariableError
        If the Dataset holds nothing to draw it from.

    Examples
    --------
    >>> maps.facies.plot("confidence", time=0)  # doctest: +SKIP
    >>> maps.facies.plot(time="2019-08-24")  # doctest: +SKIP
    >>> maps.facies.statistics().facies.plot("hypsometry")  # doctest: +SKIP
    """
    if what is not None:
        one_of("what", what, PICTURES)
        draw, needs = PICTURES[what]
        if needs not in data:
            raise MissingVariableError(f"the picture {what!r} needs {needs!r}, which the dataset does not have.")
        return draw(data, **options)
    for draw, needs in (PICTURES[name] for name in DEFAULTS):
        if needs in data:
            return draw(data, **options)
    raise MissingVariableError("there is neither 'facies_map' nor 'balance' to plot; classify() or smb() first.")


def facies_map(maps: xr.Dataset, *, ax: Axes | None = None, time: Any = -1, legend: bool = True) -> Axes:
    """Facies of one date over the relief."""
    ax = ax or plt.gca()
    scene = charts.at(maps, time)
    labels = scene["facies_map"].values
    _relief(ax, scene)
    shown = np.ma.masked_equal(labels, NODATA)
    colours, norm = ListedColormap(COLORS), BoundaryNorm(np.arange(len(CLASSES) + 1) - 0.5, len(CLASSES))
    ax.imshow(shown, cmap=colours, norm=norm, extent=extent(scene), interpolation="nearest")
    handles = [Patch(facecolor=c.color, edgecolor="0.5", label=c.name) for c in CLASSES if (labels == c.value).any()]
    if "glacier_index" in scene:
        unseen = (labels == NODATA) & (scene["glacier_index"].values > 0)
        if unseen.any():
            paint = np.zeros((*labels.shape, 4))
            paint[unseen] = (*to_rgb(NOT_SEEN), 1)
            ax.imshow(paint, extent=extent(scene), interpolation="nearest")
            handles.append(Patch(facecolor=NOT_SEEN, label="no data"))
    if legend:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    return _finish(ax, "Facies" + _date(scene))


def confidence(maps: xr.Dataset, *, ax: Axes | None = None, time: Any = -1) -> Axes:
    """Confidence of one date."""
    ax = ax or plt.gca()
    scene = charts.at(maps, time)
    _relief(ax, scene)
    calibrated = "calibrated" in maps["confidence"].attrs
    image = ax.imshow(scene["confidence"].values, vmin=0.2, vmax=1, cmap="viridis", extent=extent(scene),
                      interpolation="nearest")  # fmt: skip
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="P(correct)" if calibrated else "largest softmax value")
    return _finish(ax, "Confidence")


def false_color(cube: xr.Dataset, *, ax: Axes | None = None, time: Any = -1) -> Axes:
    """Shortwave infrared, near infrared and red of one date as red, green and blue."""
    ax = ax or plt.gca()
    scene = charts.at(cube, time)
    rgb = np.stack([scene[band].values for band in FALSE_COLOR], -1)
    top = np.nanpercentile(rgb, 99.5) if np.isfinite(rgb).any() else 1.0
    ax.imshow(np.clip(np.nan_to_num(rgb) / top, 0, 1), extent=extent(scene))
    name = f", {scene.sensor.item()}" if "sensor" in scene.coords else ""
    return _finish(ax, f"SWIR 1, NIR, red{_date(scene)}{name}")


def balance(smb: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Balances of glaciers that were left out of the fit, against their records."""
    ax = ax or plt.gca()
    observed, found = smb["observed"].values, smb["balance_out_of_fold"].values
    half = [found - smb["balance_out_of_fold_lower"].values, smb["balance_out_of_fold_upper"].values - found]
    known = np.isfinite(observed) & np.isfinite(found)
    years = np.broadcast_to(smb["balance_year"].values, observed.shape)
    bars = [h[known] for h in half]
    ax.errorbar(observed[known], found[known], bars, fmt="none", ecolor="0.75", lw=1, zorder=1)
    points = ax.scatter(observed[known], found[known], c=years[known], cmap="plasma", s=26, zorder=2)
    ax.figure.colorbar(points, ax=ax, shrink=0.8, label="balance year", format="%d", ticks=np.unique(years[known]))
    low, high = found[known] - bars[0], found[known] + bars[1]
    ends = [np.nanmin([observed[known], low]) - 0.3, np.nanmax([observed[known], high]) + 0.3]
    ax.plot(ends, ends, color="0.4", lw=1, zorder=0)
    ax.set(
        xlim=ends, ylim=ends, xlabel="recorded [m w.e.]", ylabel="modelled, glacier left out [m w.e.]", aspect="equal"
    )
    ax.set_title("Surface mass balance")
    return ax


def overview(cube: xr.Dataset, maps: xr.Dataset, smb: xr.Dataset, path: str | Path, *, title: str = "") -> Path:
    """Picture of a run: false colour, facies, confidence of the clearest date, and balances; written as PNG."""
    classified = (maps["facies_map"] != NODATA) & (maps["facies_map"] != VALUES["cloud"])
    time = int(classified.sum(("y", "x")).argmax("time").compute())
    figure, axes = plt.subplots(2, 2, figsize=(13, 10), layout="compressed")
    near = near_glaciers(maps)
    maps_there = maps.isel(time=time).isel(near).load()
    cube_there = cube.isel(near).sel(time=maps["time"].values[time])
    false_color(cube_there[list(FALSE_COLOR)].compute(), ax=axes[0, 0])
    facies_map(maps_there, ax=axes[0, 1])
    confidence(maps_there, ax=axes[1, 0])
    balance(smb, ax=axes[1, 1])
    if title:
        figure.suptitle(title)
    return _save(figure, path)


def near_glaciers(maps: xr.Dataset) -> dict[str, slice]:
    """Part of the grid that holds the glaciers, and a margin."""
    inside = np.any(np.atleast_3d(maps["glacier_index"].values.T > 0), axis=2).T
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    pad = 16
    return {
        "y": slice(max(rows[0] - pad, 0), rows[-1] + pad),
        "x": slice(max(columns[0] - pad, 0), columns[-1] + pad),
    }


def _relief(ax: Axes, scene: xr.Dataset) -> None:
    if "elevation" not in scene:
        ax.set_facecolor("0.85")
        return
    ax.imshow(relief(scene), cmap="gray", extent=extent(scene), alpha=0.6, vmin=-0.4, vmax=1.6)


def relief(scene: xr.Dataset) -> np.ndarray:
    """Light from the north-west on the terrain of a scene, about 1 on level ground. (y, x)"""
    z = scene["elevation"].values
    dy, dx = np.gradient(z, float(scene.y[0] - scene.y[1]), float(scene.x[1] - scene.x[0]))
    return (1 - 0.7 * dx + 0.7 * dy) / np.sqrt(1 + dx**2 + dy**2)


def extent(scene: xr.Dataset) -> tuple[float, float, float, float]:
    """Left, right, bottom and top edge in the coordinates of the map. [m]"""
    left, bottom, right, top = grids.geobox(scene).boundingbox.bbox
    return left, right, bottom, top


def _date(scene: xr.Dataset) -> str:
    return f", {pd.Timestamp(scene.time.values):%Y-%m-%d}" if "time" in scene.coords else ""


def _finish(ax: Axes, title: str) -> Axes:
    ax.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
    ax.ticklabel_format(style="plain", useOffset=False)
    ax.locator_params(axis="x", nbins=4)
    ax.set_title(title)
    return ax


def _save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _series(name: str) -> Callable[..., Axes]:
    return lambda data, **options: charts.series(data, name, **options)


PICTURES: dict[str, tuple[Callable[..., Axes], str]] = {
    "facies": (facies_map, "facies_map"),
    "balance": (balance, "observed"),
    "accumulation area ratio": (_series("accumulation_area_ratio"), "accumulation_area_ratio"),
    "snow line": (_series("snow_line_altitude"), "snow_line_altitude"),
    "balance series": (_series("balance"), "balance"),
    "confidence": (confidence, "confidence"),
    "reliability": (charts.reliability, "confidence"),
    "hypsometry": (charts.hypsometry, "band_area"),
    "coverage": (charts.coverage, "cloud_share"),
    "false colour": (false_color, "swir1"),
}
"""What ``plot`` draws: how, and the variable that it needs."""

DEFAULTS = ("facies", "balance", "accumulation area ratio")
"""Of these the first that a Dataset holds is drawn when none is asked for."""

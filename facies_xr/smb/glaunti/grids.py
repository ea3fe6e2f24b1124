"""Our maps on the model's grid: 10 m classes to shares of some 100 m, at the end of the season of each year."""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from ...classes import NODATA, VALUES
from ...errors import MissingVariableError, one_of
from ...maps import series
from .files import FEATURES

SIZE = 100.0
"""Edge of a cell. [m]"""

FEWEST = 8
"""Cells along a side that the network needs."""

BANDS = FEATURES[6:]
"""Classes in the published order, and their confidence; superimposed ice is our refrozen-like."""

SUMMARIES = ("shares", "mode")
"""Of a cell: shares of the classes among the pixels that have one; or 1 for the most frequent, of equals the first."""


class Cells:
    """The cells that the pixels of a window lie in; their edges are multiples of the size in projected coordinates."""

    def __init__(self, y: np.ndarray, x: np.ndarray, size: float):
        row, column = np.floor(-y / size).astype(int), np.floor(x / size).astype(int)
        low, high = [row.min() - 1, column.min() - 1], [row.max() + 1, column.max() + 1]
        for axis in (0, 1):
            high[axis] = max(high[axis], low[axis] + FEWEST - 1)
        self.shape = (high[0] - low[0] + 1, high[1] - low[1] + 1)
        self.number = (row - low[0])[:, None] * self.shape[1] + (column - low[1])
        self.y = -(np.arange(low[0], high[0] + 1) + 0.5) * size
        self.x = (np.arange(low[1], high[1] + 1) + 0.5) * size

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of values of the pixels (y, x), in each cell."""
        found = np.bincount(self.number.ravel(), np.asarray(values, float).ravel(), int(np.prod(self.shape)))
        return found.reshape(self.shape)

    def means(self, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Of the pixels that are known; NaN where none is."""
        count = self.sums(known)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sums(np.where(known, values, 0)) / np.where(count > 0, count, np.nan)


def facies(labels: np.ndarray, confidence: np.ndarray, cells: Cells, summary: str = SUMMARIES[0]) -> np.ndarray:
    """Classes and confidence of cells, NaN where no pixel has a class. (9, row, column)

    Parameters
    ----------
    labels : ndarray (y, x)
        Flag values of a glacier's pixels, ``NODATA`` elsewhere.
    confidence : ndarray (y, x)
    cells : Cells
    summary : str
        One of :data:`SUMMARIES`.
    """
    one_of("summary", summary, SUMMARIES)
    valid = labels != NODATA
    shares = np.stack([cells.means(labels == VALUES[name], valid) for name in BANDS[:-1]])
    if summary == "mode":
        most = np.nan_to_num(shares).argmax(0) == np.arange(len(shares))[:, None, None]
        shares = np.where(np.isnan(shares), np.nan, most)
    return np.concatenate([shares, cells.means(confidence, valid & np.isfinite(confidence))[None]])


def of_maps(
    maps: xr.Dataset,
    stats: xr.Dataset,
    *,
    rule: str = series.DEFAULT_RULE,
    size: float = SIZE,
    summary: str = SUMMARIES[0],
) -> dict[str, xr.Dataset]:
    """Each glacier of some maps on the model's grid.

    Parameters
    ----------
    maps : Dataset
        As ``classify`` gives them, with terrain; the scenes that are needed are computed, one after the other.
    stats : Dataset
        Their statistics.
    rule : str
        Which scene stands for a year, see :func:`facies_xr.maps.series.end_of_season`.
    size : float
        Edge of a cell. [m]
    summary : {"shares", "mode"}
        See :data:`SUMMARIES`.

    Returns
    -------
    dict of Dataset
        By glacier: ``elevation``, ``elevation_std`` (of the pixels of a cell) [m] and ``outline`` (y, x), the share of
        the glacier; ``facies`` (year, band, y, x) of the years that have a scene.

    Raises
    ------
    MissingVariableError
        If the maps have no classes, confidence, glaciers or elevation.
    """
    for name in ("facies_map", "confidence", "glacier_index", "elevation"):
        if name not in maps:
            raise MissingVariableError(
                f'method "glaunti" needs {name!r}, pixel by pixel; give the maps themselves, not their statistics.'
            )
    one_of("summary", summary, SUMMARIES)
    numbered = maps["glacier_index"]
    index = (numbered.isel(time=0) if "time" in numbered.dims else numbered).values
    dates = series.end_of_season(stats, rule=rule)["scene_date"]
    names = [str(name) for name in maps["glacier"].values]
    windows = dict(_windows(index, dict(zip(names, maps["glacier_number"].values.tolist(), strict=True)), maps, size))
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in windows}
    for date in np.unique(dates.values[~np.isnat(dates.values)]):
        scene = maps[["facies_map", "confidence"]].sel(time=date).compute()
        for name, (inside, part, cells) in windows.items():
            mine = dates.sel(glacier=name)
            for year in mine["balance_year"].values[mine.values == date]:
                labels = np.where(inside, scene["facies_map"].values[part], NODATA)
                found[name][int(year)] = facies(labels, scene["confidence"].values[part], cells, summary)
    elevation = maps["elevation"].values
    return {name: _dataset(windows[name], elevation, found[name], size, maps) for name in windows}


Window = tuple[np.ndarray, tuple[slice, slice], Cells]
"""Whether a pixel is of the glacier, the pixels about it, and their cells."""


def _windows(index: np.ndarray, numbers: Mapping[str, int], maps: xr.Dataset, size: float
             ) -> Iterator[tuple[str, Window]]:  # fmt: skip
    y, x = maps["y"].values, maps["x"].values
    for name, number in numbers.items():
        rows, columns = (np.flatnonzero((index == number).any(axis)) for axis in (1, 0))
        if rows.size:
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            yield name, (index[part] == number, part, Cells(y[part[0]], x[part[1]], size))


def _dataset(window: Window, elevation: np.ndarray, years: dict[int, np.ndarray], size: float, maps: xr.Dataset
             ) -> xr.Dataset:  # fmt: skip
    inside, part, cells = window
    pixel = abs(float(maps["y"][1] - maps["y"][0]) * float(maps["x"][1] - maps["x"][0]))
    high, known = elevation[part].astype(float), np.isfinite(elevation[part])
    mean = cells.means(high, known)
    spread = np.sqrt(np.maximum(cells.means(high**2, known) - mean**2, 0))
    usual = float(high[inside & known].mean()) if (inside & known).any() else 0.0
    empty = np.empty((0, len(BANDS), *cells.shape))
    return xr.Dataset(
        {
            "elevation": (("y", "x"), np.where(np.isnan(mean), usual, mean).astype("float32")),
            "elevation_std": (("y", "x"), np.nan_to_num(spread).astype("float32")),
            "outline": (("y", "x"), (cells.sums(inside) * pixel / size**2).astype("float32")),
            "facies": (("year", "band", "y", "x"), np.stack([*empty, *years.values()]).astype("float32")
                       if years else empty.astype("float32")),
        },
        {"y": cells.y, "x": cells.x, "year": list(years), "band": list(BANDS)},
    )  # fmt: skip

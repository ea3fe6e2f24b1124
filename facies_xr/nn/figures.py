"""Figures that one would put in a paper: scores with intervals, the confusion matrix, reliability diagrams."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import metrics
from ..classes import COLORS, NAMES

BINS = 20


def scores(table: pd.DataFrame, ax: Axes) -> Axes:
    """F1 of each class with its interval, from :func:`facies_xr.nn.tables.intervals`."""
    f1 = table.loc["f1"]
    at = np.arange(len(f1))
    low, high = (np.clip(v, 0, None) for v in (f1["value"] - f1["lower"], f1["upper"] - f1["value"]))
    ax.bar(at, f1["value"].fillna(0), color=[*COLORS, "0.4"], edgecolor="0.3")
    ax.errorbar(at, f1["value"], [low, high], fmt="none", color="k", capsize=3)
    ax.set_xticks(at, f1.index, rotation=45, ha="right")
    ax.set(ylim=(0, 100), ylabel="F1 [%]")
    return ax


def confusion(counts: pd.DataFrame, ax: Axes) -> Axes:
    """Confusion matrix, each row relative to the number of its labels."""
    total = counts.sum(1).to_numpy(float)[:, None]
    share = np.divide(100 * counts.to_numpy(), total, out=np.zeros(counts.shape), where=total > 0)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for (r, c), value in np.ndenumerate(share):
        ax.text(c, r, f"{value:.0f}", ha="center", va="center", color="w" if value > 60 else "k", fontsize=7)
    ax.set_xticks(range(len(NAMES)), NAMES, rotation=45, ha="right")
    ax.set_yticks(range(len(NAMES)), NAMES)
    ax.set(xlabel="predicted", ylabel="true [% of the row]")
    return ax


def reliability(confidence: np.ndarray, correct: np.ndarray, ax: Axes, *, label: str | None = None) -> Axes:
    """Accuracy against confidence in bins of equal width, the size of a point by the number of samples."""
    part = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(part, minlength=BINS)
    there = count > 0
    x, y = (np.bincount(part, v, BINS)[there] / count[there] for v in (confidence, correct.astype(float)))
    ax.plot([0, 1], [0, 1], color="0.7", lw=1, zorder=0)
    line = ax.plot(x, y, lw=1)[0]
    error = metrics.calibration_error(confidence, correct, 100, equal_count=False)
    told = f"{label}: " if label else ""
    ax.scatter(
        x, y, s=4 + 60 * count[there] / count.max(), color=line.get_color(), label=f"{told}ECE {100 * error:.1f} %"
    )
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
    ax.legend(frameon=False, fontsize=8)
    return ax


def page(
    tables: Mapping[str, pd.DataFrame], curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str = ""
) -> Figure:
    """One page: scores of unpruned test samples, confusion, and reliability before and after calibration.

    Parameters
    ----------
    tables : mapping
        As :func:`facies_xr.nn.tables.of_outcome` gives them.
    curves : mapping
        Confidence and whether it was right, by name.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    scores(tables["unpruned"], left)
    confusion(tables["confusion"], middle)
    for name, (confidence, correct) in curves.items():
        reliability(confidence, correct, right, label=name)
    figure.suptitle(title)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure and close it."""
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return Path(path)

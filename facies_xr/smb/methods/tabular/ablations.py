"""What each part of the network is worth: with and without it, on the same folds."""

import warnings
from typing import Any

import pandas as pd

from ....errors import InputError
from ...features.variables import ABOVE_CELL, TOPOGRAPHY
from ...problem import Problem
from .method import ALBEDO, FeedForward
from .report import evaluate
from .table import PLACE

RELIEF = (*TOPOGRAPHY, ABOVE_CELL, "zmin", "zmed", "zmax", "slope", "area", "aspect", "altitude", "topo")
"""Columns that count as topography: ours, and those of published tables."""

SCHEMES = ("random", "glacier")
"""A part that gains only where rows are left out at random is a glacier remembered."""


def variants(problem: Problem, base: FeedForward) -> dict[str, FeedForward]:
    """The network without each of its parts in turn, and with each that it has not.

    Parameters
    ----------
    problem : Problem
        Longitude and latitude, if they are known, are columns of its rows.
    base : FeedForward
        As published; each variant differs in one thing.

    Returns
    -------
    dict
        By what differs: "with location", "no albedo", "no topography", "no noise", "no L1", "weights by loss",
        "strategy B", "k=5" and so on, "hidden=8", "hidden=16-8"; those that the table has no column for are left out.
    """
    names = base.features or problem.predictors
    place = tuple(n for n in ("longitude", "latitude") if n in problem.rows and problem.rows[n].notna().any())
    without = {
        "no albedo": tuple(n for n in names if n != ALBEDO),
        "no topography": tuple(n for n in names if n not in RELIEF),
        "no location": tuple(n for n in names if n.lower() not in PLACE),
    }
    found: dict[str, FeedForward] = {"as published": base}
    if place and not set(place) & set(names):
        found["with location"] = base.with_(features=(*names, *place))
    found |= {name: base.with_(features=kept) for name, kept in without.items() if kept and len(kept) < len(names)}
    changes: dict[str, dict[str, Any]] = {
        "no noise": {"sigma": 0.0}, "no L1": {"l1": 0.0}, "weights by loss": {"gamma": 0.5},
        **({"strategy B": {"strategy": "B"}} if ALBEDO in names else {}),
        **{f"k={k}": {"k": k} for k in (5, 10, 20) if k != base.k and k < len(names)},
        "hidden=16-8": {"hidden": (16, 8)}, "hidden=8": {"hidden": (8,)},
    }  # fmt: skip
    return found | {name: base.with_(**change) for name, change in changes.items()}


def ablations(
    problem: Problem, base: FeedForward | None = None, schemes: tuple[str, ...] = SCHEMES, **options: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Scores of the network with and without each of its parts.

    Parameters
    ----------
    problem : Problem
    base : FeedForward, optional
        By default as published.
    schemes : tuple of str
        Of ``protocol.SCHEMES``.
    **options
        As :func:`.report.evaluate` takes them.

    Returns
    -------
    DataFrame
        A row a variant and scheme: ``r2``, ``rmse``, its ``rmse_difference`` to the network as published with a 95 %
        interval, and ``p``.
    dict
        The report.
    """
    chosen = base or FeedForward()
    if not problem.predictors:
        raise InputError("the table has no column of features.")
    every = variants(problem, chosen)
    if "with location" in every:
        warnings.warn(
            '"with location" takes longitude and latitude, by which a network can remember a glacier: what it gains '
            "with rows left out at random alone is that.",
            stacklevel=2,
        )
    report = evaluate(problem, every, schemes, reference="as published", **options)
    table = pd.DataFrame(report["scores"])[["left out", "method", "n", "r2", "rmse"]]
    pairs = pd.DataFrame(report["paired"]).drop(columns=["against", "groups"])
    return table.merge(pairs, "left", ["left out", "method"]), report

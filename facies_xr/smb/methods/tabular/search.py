"""The settings of the network that inner folds choose among."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from ...problem import Problem
from ..base import Fits
from .baselines import fitting
from .method import ALBEDO, FeedForward

SPACE: Mapping[str, tuple[Any, ...]] = {
    "hidden": ((8,), (16, 8), (40, 20, 10, 5)),
    "sigma": (0.0, 0.05, 0.1, 0.2),
    "l1": (0.0, 1e-4, 1e-3, 1e-2),
    "rate": (1e-3, 3e-3),
    "activation": ("relu", "elu", "tanh"),
    "gamma": (0.0, 0.5),
    "k": (5, 10, 20),
    "strategy": ("A", "B"),
}
"""All that may be chosen; strategies where there is a summer albedo. ``gamma`` switches weights by loss on."""

DRAWN = 12
"""Settings of the space that are tried, besides the published shape and the smallest one."""


def settings(problem: Problem, base: FeedForward, count: int = DRAWN, seed: int = 0) -> dict[str, FeedForward]:
    """Networks to choose among, by the names of their settings.

    Parameters
    ----------
    problem : Problem
    base : FeedForward
        What is not in the space: members, epochs, trees.
    count, seed : int
        Settings that are drawn from :data:`SPACE`, each once.

    Returns
    -------
    dict
        The published shape with the defaults, one layer of eight with them, then those drawn.
    """
    space = {**SPACE, "k": fitting(SPACE["k"], problem)}
    if ALBEDO not in problem.predictors:
        del space["strategy"]
    every = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    drawn = np.random.default_rng(seed).choice(len(every), min(count, len(every)), replace=False)
    first: list[dict[str, Any]] = [{"hidden": (40, 20, 10, 5)}, {"hidden": (8,)}]
    return {named(chosen): base.with_(**chosen) for chosen in [*first, *(every[k] for k in drawn)]}


def named(chosen: Mapping[str, Any]) -> str:
    """Settings as a text."""
    shown = {name: "-".join(map(str, value)) if isinstance(value, tuple) else value for name, value in chosen.items()}
    return " ".join(f"{name}={value}" for name, value in shown.items())


def with_members(candidates: Mapping[str, Fits], members: int) -> dict[str, Fits]:
    """The networks among some candidates with another number of members; others as they are."""
    return {name: m.with_(members=members) if isinstance(m, FeedForward) else m for name, m in candidates.items()}

"""Every method on the same folds, its settings chosen inside them; one report with all that is needed to redo it."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....errors import InputError
from ....folds import Split
from ....progress import tracked
from ... import judge
from ...problem import Problem
from ..base import Fits, Prediction
from .baselines import Families
from .protocol import BLOCKS, GROUPS, SCHEMES, SEED, given, inner, outer
from .scores import by_glacier, paired, scores
from .search import with_members
from .selection import ranked

SEARCHED_WITH = 3
"""Members of a network while settings are compared."""

PACKAGES = ("facies_xr", "numpy", "pandas", "scikit-learn", "scipy", "torch")

MOST_GLACIERS = 60
"""Glaciers whose scores are listed one by one."""


def evaluate(
    problem: Problem,
    methods: Mapping[str, Fits] | Families,
    schemes: tuple[str, ...] = SCHEMES,
    *,
    reference: str = "temperature index",
    fold: np.ndarray | None = None,
    blocks: int = BLOCKS,
    groups: int = GROUPS,
    k: int = 10,
    out: str | Path | None = None,
    shown: bool = False,
) -> dict[str, Any]:
    """Scores of all methods on the same folds.

    Parameters
    ----------
    problem : Problem
        Rows with records. Glaciers in ``held_back`` are left out of all folds and judged once, at the end, by fits to
        all others.
    methods : mapping
        Methods by name, or by name the settings, again by name, that each may choose among: they are compared in
        inner folds of the training rows, grouped as the outer ones are, and the best is fitted to all of them.
    schemes : tuple of str
        Of ``protocol.SCHEMES``; those for which there are too few glaciers or years are refused.
    reference : str
        Method against which the others are tested in pairs.
    fold : ndarray, optional
        Folds of the rows' own, judged as one more scheme, "given"; no glacier may be in two.
    blocks, groups : int
        Blocks of years and folds of glaciers.
    k : int
        Features of which the report says how often they are selected.
    out : path, optional
        Report that is written after each method; what one of the same problem and methods already holds is not done
        again.
    shown : bool
        Whether progress is.

    Returns
    -------
    dict
        For JSON: ``scores`` (a row a scheme and method, "test glaciers" last), ``paired``, ``chosen`` (settings of
        each fold), ``stability`` (share of the folds that select a feature), ``by_glacier``, ``predictions``,
        ``folds`` (test rows), ``features``, ``test_glaciers``, ``seed``, ``versions``, ``made_of`` (a hash).
    """
    families: dict[str, dict[str, Fits]] = {
        name: dict(m) if isinstance(m, Mapping) else {"": m} for name, m in methods.items()
    }
    free = np.flatnonzero(~np.isin(problem.glacier.astype(str), sorted(problem.held_back)))
    plans = {scheme: _within(free, outer(problem.take(free), scheme, blocks, groups=groups)) for scheme in schemes}
    if fold is not None:
        plans["given"] = _within(free, given(problem.take(free), np.asarray(fold)[free]))
    if problem.held_back:
        plans["test glaciers"] = [(free, np.setdiff1d(np.arange(len(problem)), free))]
    report = _started(problem, families, plans, out)
    predictions: dict[str, dict[str, Prediction]] = {}
    with tracked("methods", len(plans) * len(families), shown=shown) as tracker:
        for scheme, splits in plans.items():
            for name, candidates in families.items():
                if name not in report["predictions"].setdefault(scheme, {}):
                    found, chosen = _judged(problem, candidates, splits, scheme)
                    report["predictions"][scheme][name] = [_numbers(part) for part in found]
                    report["chosen"].setdefault(scheme, {})[name] = chosen
                    _write(report, out)
                parts = [np.array(part, float) for part in report["predictions"][scheme][name]]
                predictions.setdefault(scheme, {})[name] = Prediction(*parts)
                tracker.advance()
    _summarised(report, problem, predictions, plans, reference, k)
    _write(report, out)
    return report


def stability(problem: Problem, splits: list[Split], k: int, trees: int = 100) -> pd.Series:
    """Share of the folds whose training rows select a feature among the best ``k``, most often first."""
    counts: dict[str, int] = {}
    for train, _ in splits:
        rows = train[problem.usable[train]]
        for column in ranked(problem.design[rows], problem.observed[rows], trees, SEED).ranked_[:k]:
            counts[problem.predictors[column]] = counts.get(problem.predictors[column], 0) + 1
    return pd.Series(counts, dtype=float).sort_values(ascending=False, kind="stable") / max(len(splits), 1)


def _within(rows: np.ndarray, splits: list[Split]) -> list[Split]:
    return [(rows[train], rows[test]) for train, test in splits]


def _judged(
    problem: Problem, candidates: dict[str, Fits], splits: list[Split], scheme: str
) -> tuple[Prediction, list[str]]:
    if len(candidates) == 1:
        ((name, method),) = candidates.items()
        return judge.out_of_fold(problem, method, splits), [name] * len(splits)
    by = scheme if scheme in SCHEMES else "glacier"
    parts = [(train, test, inner(problem, train, by)) for train, test in splits]
    return judge.nested(problem, with_members(candidates, SEARCHED_WITH), parts, refitted=candidates)


def _started(problem: Problem, families: Families, plans: dict[str, list[Split]], out: Any) -> dict[str, Any]:
    """A report without predictions, or that of the same problem and methods which was begun."""
    hashed = hashlib.sha256(pd.util.hash_pandas_object(problem.rows, index=False).to_numpy().tobytes())
    folds = {scheme: [test.tolist() for _, test in splits] for scheme, splits in plans.items()}
    hashed.update(json.dumps([folds, problem.predictors, sorted(problem.held_back)]).encode())
    made_of, methods = (
        hashed.hexdigest()[:16],
        {name: {k: repr(m) for k, m in f.items()} for name, f in families.items()},
    )
    report = {
        "made_of": made_of, "methods": methods, "folds": folds, "features": list(problem.predictors),
        "test_glaciers": sorted(problem.held_back), "seed": SEED, "chosen": {}, "predictions": {},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }  # fmt: skip
    if out is None or not Path(out).is_file():
        return report
    try:
        begun = json.loads(Path(out).read_text("utf-8"))
        same = begun["made_of"] == made_of and begun["versions"] == report["versions"]
        kept = {name for name in methods if begun["methods"].get(name) == methods[name]} if same else set()
        for part in ("predictions", "chosen"):
            for scheme, by_name in begun[part].items():
                report[part][scheme] = {name: value for name, value in by_name.items() if name in kept}  # type: ignore[index]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{out} is not a report of evaluate(); give another file.") from error
    return report


def _summarised(
    report: dict[str, Any], problem: Problem, predictions: Mapping[str, Mapping[str, Prediction]],
    plans: Mapping[str, list[Split]], reference: str, k: int,
) -> None:  # fmt: skip
    rows, pairs = [], []
    for scheme, of_methods in predictions.items():
        level = of_methods.get("glacier mean")
        for name, prediction in of_methods.items():
            found: dict[str, Any] = scores(problem, prediction)
            if level is not None:
                squares = [
                    ((p.mean - problem.observed) ** 2)[np.isfinite(prediction.mean)] for p in (prediction, level)
                ]
                found["skill"] = float(1 - np.nanmean(squares[0]) / np.nanmean(squares[1]))
            rows.append({"left out": scheme, "method": name, **{key: _plain(v) for key, v in found.items()}})
            if reference in of_methods and name != reference:
                pair = paired(problem, prediction, of_methods[reference])
                pairs.append({"left out": scheme, "method": name, "against": reference,
                              **{key: _plain(v) for key, v in pair.items()}})  # fmt: skip
    report["scores"], report["paired"] = rows, pairs
    report["stability"] = {
        scheme: {name: round(share, 3) for name, share in stability(problem, splits, k).items()}
        for scheme, splits in plans.items()
    }
    if np.unique(problem.glacier).size <= MOST_GLACIERS:
        report["by_glacier"] = {
            scheme: {name: by_glacier(problem, p) for name, p in of_methods.items()}
            for scheme, of_methods in predictions.items()
        }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _numbers(values: np.ndarray) -> list[float | None]:
    return [None if not np.isfinite(v) else round(float(v), 5) for v in values]


def _write(report: dict[str, Any], out: str | Path | None) -> None:
    """Whole or not at all."""
    if out is not None:
        beside = Path(f"{out}.part")
        beside.write_text(json.dumps(report), "utf-8")
        beside.replace(out)

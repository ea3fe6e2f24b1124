"""Tables 2 to 6 of Maslov et al. (2026), with intervals: DataFrames, CSV and LaTeX.

In percent. Averages are over the classes that have labels. Intervals of 95 % are of a bootstrap over glaciers, since
samples of one glacier are not independent.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from .. import metrics
from ..classes import NAMES
from ..errors import InputError
from .confident import FACIES
from .crossval import Outcome

SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "precision": metrics.precision,
    "recall": metrics.recall,
    "f1": metrics.f1,
}

DRAWS = 1000

AVERAGE = "average"


def scores(label: np.ndarray, predicted: np.ndarray) -> pd.Series:
    """Precision, recall and F1 of each class and their averages; NaN for classes without labels. [%]

    Parameters
    ----------
    label, predicted : ndarray (n) of int

    Returns
    -------
    Series (score, class)
    """
    return _of_counts(metrics.confusion(label, predicted, len(NAMES)))


INDEX = pd.MultiIndex.from_product([SCORES, (*NAMES, AVERAGE)], names=["score", "class"])


def _of_counts(counts: np.ndarray) -> pd.Series:
    return pd.Series(_values(counts), INDEX)


def _values(counts: np.ndarray) -> np.ndarray:
    """Of a confusion matrix, in the order of :data:`INDEX`."""
    there = counts.sum(1) > 0
    rows = []
    for score in SCORES.values():
        by_class = np.where(there, 100 * score(counts), np.nan)
        rows += [*by_class, by_class[there].mean() if there.any() else np.nan]
    return np.array(rows)


def intervals(
    label: np.ndarray, predicted: np.ndarray, glacier: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Scores of each class with their 95 % intervals by a bootstrap over glaciers. [%]

    Parameters
    ----------
    label, predicted : ndarray (n) of int
    glacier : ndarray (n)
    draws : int
        Resamples of the glaciers, each with replacement.
    seed : int

    Returns
    -------
    DataFrame (score, class)
        Columns ``value``, ``lower`` and ``upper``.

    Raises
    ------
    InputError
        If there are fewer than two glaciers.
    """
    names, which = np.unique(glacier, return_inverse=True)
    if names.size < 2:
        raise InputError(f"an interval over glaciers needs at least two, there are {names.size}.")
    cell = (which * len(NAMES) + label) * len(NAMES) + predicted
    counts = np.bincount(cell, minlength=names.size * len(NAMES) ** 2).reshape(names.size, -1)
    times = np.random.default_rng(seed).multinomial(names.size, np.full(names.size, 1 / names.size), draws)
    drawn = np.array([_values(c.reshape(len(NAMES), len(NAMES))) for c in times @ counts])
    whole = _of_counts(counts.sum(0).reshape(len(NAMES), len(NAMES)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # classes without labels
        lower, upper = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    return pd.DataFrame({"value": whole, "lower": lower, "upper": upper})


def by_group(label: np.ndarray, predicted: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    """Scores of each group of samples, such as a region or a sensor, and numbers of labels (Tables 5 and 6).

    Returns
    -------
    DataFrame
        A row for each group; columns (score, class), the score ``n`` being the number of labels.
    """
    rows = {}
    for name in np.unique(group):
        mine = group == name
        counts = np.bincount(label[mine], minlength=len(NAMES))
        numbers = pd.Series({("n", k): v for k, v in zip((*NAMES, AVERAGE), (*counts, mine.sum()), strict=True)})
        rows[name] = pd.concat([scores(label[mine], predicted[mine]), numbers])
    found = pd.DataFrame(rows).T
    found.columns = found.columns.set_names(["score", "class"])
    return found


def glacier_wise(label: np.ndarray, predicted: np.ndarray, glacier: np.ndarray) -> pd.Series:
    """Macro F1 of each glacier, and their mean and standard deviation (with n - 1). [%]"""
    each = by_group(label, predicted, glacier)["f1", AVERAGE].astype("float64")
    return pd.concat([each, pd.Series({"mean": each.mean(), "sd": each.std(ddof=1)})]).rename("f1")


def confusion(label: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Numbers of samples: true classes in rows, predicted ones in columns."""
    counts = metrics.confusion(label, predicted, len(NAMES))
    return pd.DataFrame(counts, pd.Index(NAMES, name="true"), pd.Index(NAMES, name="predicted"))


def of_outcome(
    found: Outcome, *, region: np.ndarray | None = None, sensor: np.ndarray | None = None, draws: int = DRAWS
) -> dict[str, pd.DataFrame]:
    """All tables of a cross-validation, by name; unpruned test scores come first.

    Parameters
    ----------
    found : Outcome
    region, sensor : ndarray (n), optional
        For Tables 5 and 6.
    draws : int
        Of the bootstrap.
    """
    label, glacier = found.samples.label, found.samples.glacier
    before, after, tested = found.before.argmax(1), found.after.argmax(1), found.tested
    known = np.isfinite(found.after).all(1)
    tables = {
        "unpruned": intervals(label[known], after[known], glacier[known], draws=draws),  # Table 4
        "before": intervals(label[known], before[known], glacier[known], draws=draws),  # Table 2
        "confusion": confusion(label[known], after[known]),
        "glaciers": glacier_wise(label[known], after[known], glacier[known]).to_frame(),
        "pruned labels": pruned_shares(found).to_frame(),
    }
    if not tested.all():
        tables["pruned"] = intervals(label[tested], after[tested], glacier[tested], draws=draws)  # Table 3
    for name, group in (("regions", region), ("sensors", sensor)):
        if group is not None:
            mine = known & (group.astype(str) != "")
            if mine.any():
                tables[name] = by_group(label[mine], after[mine], group[mine])
    return tables


def pruned_shares(found: Outcome) -> pd.Series:
    """Share of the labels of each facies, and of all labels, that a fold's models could have learned from but did not.

    The mean over folds. [%]
    """
    could = found.fold != np.arange(len(found.pruned))[:, None] if found.protocol == "nested" else found.pruned | True
    label = np.broadcast_to(found.samples.label, found.pruned.shape)
    shares = {NAMES[k]: _percent(found.pruned, could & (label == k)) for k in FACIES}
    return pd.Series({**shares, "all": _percent(found.pruned, could)}, name="pruned")


def _percent(chosen: np.ndarray, among: np.ndarray) -> float:
    return 100 * float(chosen[among].mean()) if among.any() else float("nan")


def write(tables: Mapping[str, pd.DataFrame], folder: str | Path) -> list[Path]:
    """Write each table as CSV and LaTeX (booktabs)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        path = folder / f"{name.replace(' ', '-')}.csv"
        table.to_csv(path, float_format="%.2f")
        path.with_suffix(".tex").write_text(latex(table))
        written += [path, path.with_suffix(".tex")]
    return written


def latex(table: pd.DataFrame) -> str:
    """A table in LaTeX, numbers without decimals where they are percent of scores, a dash for what is not there."""
    flat = table.reset_index() if table.index.nlevels > 1 or table.index.name else table.rename_axis("").reset_index()
    heads = [" ".join(map(str, c)).strip() if isinstance(c, tuple) else str(c) for c in flat.columns]
    lines = [" & ".join(map(_cell, row)) + r" \\" for row in flat.itertuples(index=False)]
    columns = "l" * table.index.nlevels + "r" * len(table.columns)
    body = [r"\toprule", " & ".join(map(_cell, heads)) + r" \\", r"\midrule", *lines, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}", ""])


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "--" if np.isnan(value) else f"{value:.0f}"
    text = str(value)
    for sign in "&%$#_{}":
        text = text.replace(sign, rf"\{sign}")
    return text

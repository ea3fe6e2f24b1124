"""Confident learning: labels that models which never saw them confidently contradict (Northcutt et al. 2021).

Off-diagonal cells of the confident joint, found by ``cleanlab``. Only glacier facies may be pruned, as in Maslov et
al. (2026): experts seldom err about shadow, water and cloud.
"""

import numpy as np

from ..classes import NAMES, VALUES
from ..errors import InputError

FACIES = tuple(VALUES[name] for name in ("ice", "snow", "debris", "firn", "refrozen-like"))
"""Classes whose labels may be pruned."""

CAP = 0.1
"""Largest share of the labels of a class that is pruned."""


def issues(label: np.ndarray, score: np.ndarray, *, cap: float = CAP) -> np.ndarray:
    """Labels that are likely wrong.

    Parameters
    ----------
    label : ndarray (n) of int
        Given class.
    score : ndarray (n, class)
        Softmax values of models that did not learn from the sample.
    cap : float
        Largest share of the labels of a class; those with the lowest score of their own label come first. 1 is no cap,
        as published.

    Returns
    -------
    ndarray of int
        Positions of the samples to prune, increasing.

    Raises
    ------
    InputError
        If cleanlab is not installed, or a score is not finite.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise InputError('confident learning needs cleanlab; pip install "facies_xr[learn]".') from error
    if not np.isfinite(score).all():
        raise InputError("confident learning needs finite scores of every sample.")
    present = np.unique(label)
    if present.size < 2:
        return np.empty(0, int)
    among = score[:, present].astype("float64") + 1e-12  # cleanlab knows no class without labels
    ranked = find_label_issues(
        np.searchsorted(present, label),
        among / among.sum(1, keepdims=True),
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    ranked = np.asarray(ranked, int)
    kept = [
        ranked[label[ranked] == value][: int(np.floor(cap * (label == value).sum()))]
        for value in FACIES
        if value in present
    ]
    return np.sort(np.concatenate([*kept, np.empty(0, int)]))


def with_errors(label: np.ndarray, share: float, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Labels with known errors, to see what pruning finds.

    Parameters
    ----------
    label : ndarray (n) of int
    share : float
        Of the labels of glacier facies that become wrong.
    kind : {"uniform", "transition"}
        To any other facies among them, or, in nine of ten cases, to a neighbour in the transitions that experts
        confuse: snow and firn, firn and ice, ice and refrozen-like or debris.
    rng : Generator
    """
    wrong, present = label.copy(), [value for value in FACIES if (label == value).any()]
    can = np.flatnonzero(np.isin(label, FACIES))
    chosen = rng.choice(can, round(share * can.size), replace=False)
    for k in chosen:
        others = [value for value in present if value != label[k]]
        near = [VALUES[name] for name in NEIGHBOURS[NAMES[label[k]]] if VALUES[name] in present]
        wrong[k] = rng.choice(near if near and kind == "transition" and rng.random() < 0.9 else others)
    return wrong


NEIGHBOURS = {
    "snow": ("firn",),
    "firn": ("snow", "ice"),
    "ice": ("firn", "refrozen-like", "debris"),
    "refrozen-like": ("ice",),
    "debris": ("ice",),
}
"""What experts take a facies for (Maslov et al. 2026, section 2)."""

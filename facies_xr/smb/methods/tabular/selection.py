"""Selection of features from many candidates by few records; it lives inside the pipeline, so that it leaks nothing."""

import hashlib
from collections import OrderedDict

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import check_is_fitted, validate_data


class Selection(TransformerMixin, BaseEstimator):
    """Correlation, collinearity, and the ranks of a random forest.

    Columns with too many gaps or no variance go; gaps are filled with the median. Of the others those stay whose
    correlation with the target is significant (at most ``most``, the strongest), and of two that say the same the one
    that says more of the target. They are ranked by the mean of their ranks by correlation and by importance in a
    random forest, which is the loss of its out-of-bag rows when a column is shuffled; ``k`` are kept.

    Parameters
    ----------
    k : int
        Features that are kept, fewer where fewer are left.
    missing : float
        Largest share of gaps.
    p_value : float
        Of a correlation, two-sided.
    most : int
        Columns that are looked at beyond their correlation.
    collinear : float
        Absolute correlation of two columns above which one goes.
    trees : int
        Of the forest; 0: ranks are those of correlation.
    centred : bool
        Whether columns and target are taken as anomalies of their groups.
    random_state : int

    Attributes
    ----------
    ranked_ : ndarray of int
        All columns that were ranked, best first; ``kept_`` are the first ``k``.
    """

    def __init__(self, k=20, *, missing=0.2, p_value=0.05, most=60, collinear=0.9, trees=200, centred=False,
                 random_state=0):  # fmt: skip
        self.k = k
        self.missing = missing
        self.p_value = p_value
        self.most = most
        self.collinear = collinear
        self.trees = trees
        self.centred = centred
        self.random_state = random_state

    def __sklearn_tags__(self):
        """Gaps are allowed, a target is needed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def fit(self, X, y, groups=None):
        """Select from rows; ``groups`` are their glaciers or years, for anomalies."""
        X, y = validate_data(
            self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2, y_numeric=True, dtype=float
        )
        gaps = np.isnan(X).mean(0)
        self.medians_ = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in X.T])
        filled = self._filled(X)
        if self.centred and groups is not None:
            filled, y = _anomalies(filled, groups), _anomalies(y[:, None], groups)[:, 0]
        varied = filled.std(0) > 1e-9 * np.maximum(1, np.abs(filled).mean(0))
        usable = np.flatnonzero((gaps <= self.missing) & varied)
        if not usable.size:
            raise ValueError(f"none of the {X.shape[1]} columns varies and has at most {self.missing:.0%} gaps.")
        self.correlation_ = np.zeros(X.shape[1])
        self.correlation_[usable] = _correlation(filled[:, usable], y)
        strength = np.abs(self.correlation_)
        order = usable[np.argsort(-strength[usable], kind="stable")]
        significant = order[strength[order] >= _least_significant(self.p_value, len(y))][: self.most]
        candidates = self._apart(filled, significant if significant.size else order[:1])
        self.importance_ = np.zeros(X.shape[1])
        rank = rankdata(-strength[candidates])
        if self.trees and candidates.size > 1:
            self.importance_[candidates] = self._importance(filled[:, candidates], y)
            rank = (rank + rankdata(-self.importance_[candidates])) / 2
        self.ranked_ = candidates[np.argsort(rank, kind="stable")]
        self.kept_ = self.ranked_[: self.k]
        return self

    def transform(self, X):
        """The columns that are kept, without gaps."""
        check_is_fitted(self)
        X = validate_data(self, X, ensure_all_finite="allow-nan", reset=False, dtype=float)
        return self._filled(X)[:, self.kept_]

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that are kept."""
        check_is_fitted(self)
        names = input_features if input_features is not None else getattr(self, "feature_names_in_", None)
        names = [f"x{k}" for k in range(self.n_features_in_)] if names is None else names
        return np.asarray(names, dtype=object)[self.kept_]

    def _filled(self, X):
        return np.where(np.isnan(X), self.medians_, X)

    def _apart(self, X, order):
        """Columns, strongest first, less those that say the same as a stronger one."""
        kept: list[int] = []
        standard = (X - X.mean(0)) / np.maximum(X.std(0), 1e-12) / np.sqrt(len(X))
        for column in order:
            if not kept or np.abs(standard[:, kept].T @ standard[:, column]).max() <= self.collinear:
                kept.append(column)
        return np.array(kept)

    def _importance(self, X, y):
        """Mean rise of the squared error of each tree's out-of-bag rows when a column is shuffled."""
        forest = RandomForestRegressor(self.trees, min_samples_leaf=3, random_state=self.random_state).fit(X, y)
        rng, columns = np.random.default_rng(self.random_state), np.arange(X.shape[1])
        rise = np.zeros(X.shape[1])
        for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
            out = np.setdiff1d(np.arange(len(X)), drawn)
            if out.size < 2:
                continue
            shuffled = np.repeat(X[out][None], columns.size, 0)
            shuffled[columns, :, columns] = X[rng.permutation(out)][:, columns].T
            found = tree.predict(np.concatenate([X[out][None], shuffled]).reshape(-1, columns.size).astype("float32"))
            squares = ((found.reshape(columns.size + 1, out.size) - y[out]) ** 2).mean(1)
            rise += squares[1:] - squares[0]
        return rise / max(len(forest.estimators_), 1)


def _anomalies(values, groups):
    _, level = np.unique(np.asarray(groups), return_inverse=True)
    count = np.bincount(level)
    means = np.stack([np.bincount(level, column) / count for column in values.T], 1)
    return values - means[level]


def _correlation(X, y):
    a, b = X - X.mean(0), y - y.mean()
    size = np.sqrt((a**2).sum(0) * (b**2).sum())
    return np.divide(a.T @ b, size, out=np.zeros(X.shape[1]), where=size > 0)


def _least_significant(p_value, n):
    """Absolute correlation of n pairs that is significant."""
    if n < 4:
        return 0.0
    quantile = student.ppf(1 - p_value / 2, n - 2)
    return float(quantile / np.sqrt(n - 2 + quantile**2))


KEPT = 1024
"""Selections that are remembered by the numbers that they were made of."""

_remembered: OrderedDict[tuple, Selection] = OrderedDict()


def ranked(x: np.ndarray, y: np.ndarray, trees: int = 200, seed: int = 0) -> Selection:
    """The selection of these rows; many methods and settings of one fold ask for the same.

    Parameters
    ----------
    x : ndarray (row, column)
    y : ndarray (row,)
    trees, seed : int
        As :class:`Selection` takes them.
    """
    numbers = hashlib.sha256(np.ascontiguousarray(x, float).tobytes() + np.ascontiguousarray(y, float).tobytes())
    key = numbers.hexdigest(), x.shape, trees, seed
    if key not in _remembered:
        _remembered[key] = Selection(None, trees=trees, random_state=seed).fit(x, y)
        if len(_remembered) > KEPT:
            _remembered.popitem(last=False)
    return _remembered[key]

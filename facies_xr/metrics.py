"""Scores: of classes, of confidence, of balances."""

import numpy as np


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (true class, predicted class)."""
    return np.bincount(label.astype("int64") * classes + predicted, minlength=classes**2).reshape(classes, classes)


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each class from a confusion matrix; NaN for a class that neither side has."""
    hit = np.diag(counts).astype(float)
    total = counts.sum(0) + counts.sum(1)
    return np.divide(2 * hit, total, out=np.full(hit.shape, np.nan), where=total > 0)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class from a confusion matrix; NaN for a class that neither side has."""
    hit = np.diag(counts).astype(float)
    union = counts.sum(0) + counts.sum(1) - hit
    return np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0)


def precision(counts: np.ndarray) -> np.ndarray:
    """Share of what is called a class that is it, from a confusion matrix; NaN for a class that neither side has."""
    return _share(counts, counts.sum(0))


def recall(counts: np.ndarray) -> np.ndarray:
    """Share of a class that is called so, from a confusion matrix; NaN for a class that neither side has."""
    return _share(counts, counts.sum(1))


def _share(counts: np.ndarray, of: np.ndarray) -> np.ndarray:
    hit = np.diag(counts).astype(float)
    share = np.divide(hit, of, out=np.zeros(hit.shape), where=of > 0)
    return np.where(counts.sum(0) + counts.sum(1) > 0, share, np.nan)


def brier(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean of sum_k (p_k - y_k)^2 over samples; probabilities (n, class)."""
    return float(((probability - np.eye(probability.shape[1])[label]) ** 2).sum(1).mean())


def log_loss(probability: np.ndarray, label: np.ndarray, smallest: float = 1e-12) -> float:
    """Mean of -log p of the true class; a probability counts as at least ``smallest``."""
    own = probability[np.arange(label.size), label]
    return float(-np.log(np.maximum(own, smallest)).mean())


def classwise_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, predicted: np.ndarray, classes: int, bins: int = 100
) -> np.ndarray:
    """Calibration error of the samples that are predicted as each class, bins of equal width; NaN where none is."""
    return np.array(
        [
            calibration_error(confidence[mine], correct[mine], bins, equal_count=False) if mine.any() else np.nan
            for mine in (predicted == k for k in range(classes))
        ]
    )


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15, *, equal_count: bool = True
) -> float:
    """Expected calibration error: mean over bins of |accuracy - confidence|, weighted by their counts.

    Parameters
    ----------
    confidence : ndarray (n)
        0..1.
    correct : ndarray (n) of bool
    bins : int
    equal_count : bool
        Bins of equal count; otherwise of equal width, the last one closed at 1.
    """
    if equal_count:
        order = np.argsort(confidence, kind="stable")
        part = np.empty(confidence.size, int)
        part[order] = np.arange(confidence.size) * bins // max(confidence.size, 1)
    else:
        part = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(part, minlength=bins)
    gap = np.bincount(part, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / max(count.sum(), 1))


def null_calibration_error(
    confidence: np.ndarray, bins: int = 15, *, equal_count: bool = True, draws: int = 50
) -> float:
    """The error that a perfectly calibrated classifier shows with these confidences, by simulation.

    It is far from 0 for few samples; a score means its excess over this.
    """
    rng = np.random.default_rng(0)
    errors = [
        calibration_error(confidence, rng.random(confidence.size) < confidence, bins, equal_count=equal_count)
        for _ in range(draws)
    ]
    return float(np.mean(errors))


def regression(observed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """r, RMSE, MAE, bias, R2 against the mean of the observed, and n, of pairs without NaN."""
    known = np.isfinite(observed) & np.isfinite(predicted)
    o, p = observed[known], predicted[known]
    if o.size == 0:
        return {"n": 0, **dict.fromkeys(("r", "rmse", "mae", "bias", "r2"), np.nan)}
    error = p - o
    spread = ((o - o.mean()) ** 2).sum()
    varied = o.size > 1 and o.std() > 0 and p.std() > 0
    return {
        "n": int(o.size),
        "r": float(np.corrcoef(o, p)[0, 1]) if varied else np.nan,
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "bias": float(error.mean()),
        "r2": float(1 - (error**2).sum() / spread) if spread > 0 else np.nan,
    }

"""Bounds of the published network's features, from the authors' patches, held against what their weights imply."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from ..errors import ModelError
from ..progress import tracked
from .features import FEATURE_SETS
from .published import MEANS

FEATURES = FEATURE_SETS[4]
"""Bands of a patch."""

SPREAD = {
    "blue": 0.007,
    "green": 0.009,
    "red": 0.006,
    "nir": 0.002,
    "swir1": 0.008,
    "swir2": 0.015,
    "elevation": 0.025,
    "slope": 0.01,
    "shadow_mask": 0.014,
    "hillshade": 0.008,
    "proximity": 0.019,
}
"""Standard deviation over the folds of the means that the published weights imply."""

DEVIATIONS = {
    "blue": 0.122,
    "green": 0.116,
    "red": 0.11,
    "nir": 0.09,
    "swir1": 0.069,
    "swir2": 0.079,
    "elevation": 0.248,
    "slope": 0.111,
    "shadow_mask": 0.265,
    "hillshade": 0.093,
    "proximity": 0.229,
}
"""Standard deviations of the scaled features that the published weights imply, known to about 7 %."""

MEANS_AGREE = 4.0
"""Difference of means that is still one, in standard deviations over the folds."""

SMALLEST = 0.02
"""Difference of means that is never one."""

DEVIATIONS_AGREE = 1.3
"""Ratio of standard deviations up to which they are one."""


def from_patches(folder: str | Path, *, threads: int = 4) -> dict[str, tuple[float, float]]:
    """Minimum and maximum of each feature over all pixels of all patches, as the authors took them.

    Parameters
    ----------
    folder : str or Path
        One GeoTIFF a patch, in it or below it; elevation and proximity are relative to the glacier already.
    threads : int
        That read.

    Returns
    -------
    dict of (float, float)
        By feature.

    Raises
    ------
    ModelError
        If there are no patches, one cannot be read, or mean and standard deviation of the scaled features are not
        those that the published weights imply.
    """
    files = sorted(Path(folder).rglob("*.tif"))
    if not files:
        raise ModelError(f"{folder} holds no patches (*.tif); facies-xr fetch maslov-patches gets them.")
    with ThreadPoolExecutor(threads) as pool, tracked("patches", len(files)) as tracker:
        moments = []
        for each in pool.map(_moments, files):
            moments.append(each)
            tracker.advance()
    count, low, high, total, squares = np.stack(moments, 1)
    low, high, n = low.min(0), high.max(0), count.sum(0)
    if (n == 0).any() or (high <= low).any():
        constant = ", ".join(f for f, a, b in zip(FEATURES, low, high, strict=True) if not b > a)
        raise ModelError(f"{folder}: {constant} has one value in all patches, from which no bounds follow.")
    mean = total.sum(0) / n
    deviation = np.sqrt(np.maximum(squares.sum(0) / n - mean**2, 0))
    _require_agreement(Path(folder), (mean - low) / (high - low), deviation / (high - low))
    return {f: (float(a), float(b)) for f, a, b in zip(FEATURES, low, high, strict=True)}


def _moments(path: Path) -> np.ndarray:
    """Count, minimum, maximum, sum and sum of squares of a patch. (5, feature)"""
    try:
        with rasterio.open(path, driver="GTiff") as file:
            if file.count != len(FEATURES):
                raise ModelError(f"{path} has {file.count} bands; a patch has {len(FEATURES)}: {', '.join(FEATURES)}.")
            pixels = file.read(out_dtype="float64", masked=True).filled(np.nan).reshape(file.count, -1)
    except RasterioError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    seen = np.isfinite(pixels)
    low = np.where(seen, pixels, np.inf).min(1)
    high = np.where(seen, pixels, -np.inf).max(1)
    values = np.where(seen, pixels, 0)
    return np.stack([seen.sum(1), low, high, values.sum(1), (values**2).sum(1)])


def _require_agreement(folder: Path, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Refuse bounds with which the patches are not what the weights were trained on."""
    wrong = []
    for name, m, d in zip(FEATURES, mean, deviation, strict=True):
        off = abs(m - MEANS[name]) > max(MEANS_AGREE * SPREAD[name], SMALLEST)
        if off or not 1 / DEVIATIONS_AGREE < d / DEVIATIONS[name] < DEVIATIONS_AGREE:
            wrong.append(f"{name} {m:.3f} +- {d:.3f} instead of {MEANS[name]:.3f} +- {DEVIATIONS[name]:.3f}")
    if wrong:
        raise ModelError(
            f"{folder}: scaled with the bounds of these patches, features have other means and deviations than the "
            f"published weights imply ({'; '.join(wrong)}); these are not the patches that they were trained on."
        )

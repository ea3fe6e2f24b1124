"""Labelled spectra without a place: each fills a patch, so that a network of patches can be asked about it."""

import numpy as np

from ..stations import BANDS
from .features import FEATURE_SETS
from .patches import SIZE

NOISE = 0.08
"""Of each band of each pixel, relative."""

TERRAIN = {"elevation": 0.5, "slope": 10.0, "shadow_mask": 1.0, "hillshade": float(np.sin(np.pi / 4)), "proximity": 0.4}
"""Where a spectrum is thought to lie: the middle of a glacier, nearly level, the sun 45 degrees high."""


def patches_of(spectra: np.ndarray, feature_set: int, shaded: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Patches of one spectrum each.

    Parameters
    ----------
    spectra : ndarray (n, band)
        Reflectance of the six bands. [1]
    feature_set : int
    shaded : ndarray (n) of bool, optional
        Spectra in the shadow of terrain.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray (n, feature, 33, 33)
        Relative to the glacier, not scaled, as samples are. float32
    """
    rng, n = np.random.default_rng(seed), len(spectra)
    out = np.empty((n, len(FEATURE_SETS[feature_set]), SIZE, SIZE), "float32")
    for k, name in enumerate(FEATURE_SETS[feature_set]):
        if name in BANDS:
            noise = rng.standard_normal((n, SIZE, SIZE), "float32")
            out[:, k] = np.asarray(spectra, "float32")[:, BANDS.index(name), None, None] * (1 + NOISE * noise)
        else:
            out[:, k] = TERRAIN[name]
            if shaded is not None and name in ("shadow_mask", "hillshade"):
                out[shaded, k] = 0
    return out

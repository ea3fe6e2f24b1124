"""The accumulation area ratio as a predictor: censored at 0, bent near 1, and telling more in between.

::

    balance                    .'
                            _-'          Below 0 the ratio cannot fall: a year in which no snow was left may have
                        _.-'             been any bad year, so its mean lies below the line and its spread is wide.
                    _.-'                 Above .7 the line is steeper: the ratio is bounded by 1.
                 .-'
            o                            o mean of the years with ratio 0
          --+----------------+-----+---
            0               .7     1     accumulation area ratio
"""

import numpy as np

NOTHING = 0.005
"""Ratios below it would be published as 0 %."""

STEEPER = 0.7
"""Ratio above which the line is steeper."""

CLASSES = (NOTHING, 0.3, STEEPER)
"""Upper bounds of the classes of ratios, but for the last, that differ in the spread of the balance."""


def bent(design: np.ndarray) -> np.ndarray:
    """Predictors with two more columns, of the first: whether there is no snow, and how far the ratio passes .7.

    Parameters
    ----------
    design : ndarray (row, predictor)
        The first predictor is the snow fraction.

    Returns
    -------
    ndarray (row, predictor + 2)
    """
    snow = design[:, 0]
    return np.column_stack([design, snow < NOTHING, np.maximum(snow - STEEPER, 0)])


def class_of(design: np.ndarray) -> np.ndarray:
    """Class of ratios of each row, 0 (no snow) .. 3. (row)"""
    return np.digitize(design[:, 0], CLASSES)

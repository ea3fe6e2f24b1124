"""What people would know of the region: mass balance records and labelled points."""

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter

from ..classes import NAMES, VALUES

OBSERVATION_ERROR = 0.2
"""Standard deviation of an annual balance. [m w.e.]"""

RECORDED = 0.85
"""Share of the years of a glacier that were measured."""

NIR_FIRN, NIR_SNOW = 0.40, 0.55
"""Near infrared reflectance at which experts see firn rather than ice, snow rather than firn (Maslov et al. 2026)."""


ADAPTATION = 0.8
"""How far experts adapt to the brightness of a scene, 0..1."""

CONFUSED = {
    "water": {"ice": 0.22, "shadow": 0.06},
    "refrozen-like": {"ice": 0.18, "firn": 0.10},
    "debris": {"shadow": 0.06, "ice": 0.07},
    "shadow": {"debris": 0.08, "ice": 0.06},
    "cloud": {"snow": 0.10},
}
"""What experts take for something else, and how often."""

BETWEEN = 0.015
"""Distance from a threshold within which nothing is labelled."""

DOUBT = 0.06
"""Distance from a threshold within which brightness may decide."""

SWAYED = 0.5
"""Share of these points at which it does."""

ZONE = 11
"""Edge of the square over which experts see one brightness. [px of 10 m]"""


def smoothed(nir: np.ndarray, light: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Near infrared as experts see it: corrected for the light on slopes, the mean of a zone of about 100 m.

    Parameters
    ----------
    nir : ndarray (y, x)
        Reflectance.
    light : ndarray (y, x)
        Direct light relative to that on a level surface.
    seen : ndarray of bool (y, x)
        Sunlit, cloudless ice, which alone counts.
    """
    level = np.where(seen, nir / np.maximum(0.2 + 0.8 * light, 0.3), 0)
    return uniform_filter(level, ZONE) / np.maximum(uniform_filter(seen.astype(float), ZONE), 1 / ZONE**2)


def balance_table(truth: pd.DataFrame, areas: dict[str, float], seed: int) -> pd.DataFrame:
    """Records in the layout of the World Glacier Monitoring Service. [mm w.e.]

    Parameters
    ----------
    truth : DataFrame
        Columns ``glacier``, ``balance_year``, ``balance``, ``winter_balance``. [m w.e.]
    areas : dict
        Area of each glacier. [km2]
    seed : int
    """
    rng = np.random.default_rng([seed, 8])
    annual = truth.balance + rng.normal(0, OBSERVATION_ERROR, len(truth))
    winter = truth.winter_balance + rng.normal(0, OBSERVATION_ERROR, len(truth))
    order = {name: k for k, name in enumerate(areas)}
    table = pd.DataFrame(
        {
            "YEAR": truth.balance_year,
            "WGMS_ID": truth.glacier.map(order) + 90001,
            "NAME": "SYNTHETIC " + (truth.glacier.map(order) + 1).astype(str),
            "AREA": truth.glacier.map(areas).round(3),
            "WINTER_BALANCE": (1000 * winter).round(),
            "SUMMER_BALANCE": (1000 * (annual - winter)).round(),
            "ANNUAL_BALANCE": (1000 * annual).round(),
            "RGI_ID": truth.glacier,
        }
    )
    return table[rng.random(len(table)) < RECORDED].reset_index(drop=True)


def label_points(
    x, y, seen, whole, near, parts, crs, *, seed: int, scene: str, brightness: float, per_class: int = 60
) -> gpd.GeoDataFrame:
    """Points that an expert labels in one scene.

    The expert sees brightness, not history: near a threshold between ice, firn and snow the label may follow the near
    infrared of the zone, with a bias of the scene's annotator, and what lies between two classes is left unlabelled.

    Parameters
    ----------
    x, y : ndarray
        Places of glacier pixels. [m]
    seen : ndarray of uint8
        True class, shadow and cloud included.
    whole : ndarray of bool
        Whether the neighbours are of the same class.
    near : ndarray
        Near infrared as of :func:`smoothed`.
    parts : ndarray (surface, pixel)
        Fractions of the surfaces.
    crs : CRS
    seed : int
    scene : str
        Id of the scene.
    brightness : float
        Of snow in this scene, relative to the mean.
    per_class : int
        Points of a common class.
    """
    rng = np.random.default_rng([seed, 9])
    bias = rng.normal(0, 0.03)
    label = seen.copy()
    bright = np.isin(seen, [VALUES["ice"], VALUES["firn"], VALUES["snow"]])
    near = near / brightness**ADAPTATION + bias
    away = np.minimum(np.abs(near - NIR_FIRN), np.abs(near - NIR_SNOW))
    doubtful = ~whole | (bright & ((away < BETWEEN) | (parts.max(0) < 0.7)))
    by_eye = np.select([near < NIR_FIRN, near < NIR_SNOW], [VALUES["ice"], VALUES["firn"]], VALUES["snow"])
    swayed = bright & (away < DOUBT) & (rng.random(near.shape) < SWAYED)
    label[swayed] = by_eye[swayed]
    for name, others in CONFUSED.items():
        mistaken = np.flatnonzero(seen == VALUES[name])
        mistaken = mistaken[rng.random(mistaken.size) < sum(others.values())]
        share = np.array(list(others.values())) / sum(others.values())
        label[mistaken] = rng.choice([VALUES[other] for other in others], mistaken.size, p=share)
    rows = []
    for value, name in enumerate(NAMES):
        found = np.flatnonzero((seen == value) & ~doubtful)
        if found.size:
            chosen = rng.choice(found, min(per_class, found.size), replace=False)
            rows.append(pd.DataFrame({"class": np.array(NAMES)[label[chosen]], "truth": name, "k": chosen}))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame({"class": [], "truth": [], "k": []})
    k = table.pop("k").to_numpy(int)
    table["item"] = scene
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x[k], y[k]), crs=crs)

"""Regions of glaciers: those from which no way of short steps leads to another."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

EARTH = 6371.0  # km


def kilometres(longitude, latitude, longitudes, latitudes) -> np.ndarray:
    """Distances along great circles; NaN where a position is missing, as 0, 0 in the Gulf of Guinea is. [km]

    Parameters
    ----------
    longitude, latitude : array-like
        Broadcast against the others. [degree]
    longitudes, latitudes : array-like
        [degree]
    """
    a, b, c, d = (np.radians(np.asarray(v, float)) for v in (longitude, latitude, longitudes, latitudes))
    a = np.where((a == 0) & (b == 0), np.nan, a)
    h = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(h))


def linked(longitude: np.ndarray, latitude: np.ndarray, step: float) -> np.ndarray:
    """Region of each glacier: glaciers within a step of one another are of one region.

    ::

        o-o--o          x  x-x        one region of o, one of x: the gap between them is wider than a step
           o-o             x

    Parameters
    ----------
    longitude, latitude : ndarray (glacier)
        [degree]
    step : float
        [km]

    Returns
    -------
    ndarray (glacier) of int
        0 .. regions - 1; glaciers without a position are of one region.
    """
    away = kilometres(longitude[:, None], latitude[:, None], longitude, latitude)
    lost = np.isnan(away).all(1)
    near = (away <= step) | (lost[:, None] & lost)
    return connected_components(near, directed=False)[1]


@dataclass(frozen=True)
class Regions:
    """Regions of some glaciers, to which further glaciers belong if they are within a step of one."""

    longitude: np.ndarray
    latitude: np.ndarray
    number: np.ndarray
    """Region of each glacier."""
    step: float
    """[km]"""

    @classmethod
    def of(cls, position: np.ndarray, step: float) -> "Regions":
        """Regions of glaciers at these positions (2, glacier), which may repeat. [degree, km]"""
        lon, lat = np.unique(position, axis=1)
        return cls(lon, lat, linked(lon, lat, step), step)

    def __call__(self, position: np.ndarray) -> np.ndarray:
        """Region of glaciers at these positions (2, glacier), -1 where none is near. [degree]

        Those without a position are of the region of such.
        """
        longitude, latitude = position
        away = kilometres(longitude[:, None], latitude[:, None], self.longitude, self.latitude)
        lost = np.isnan(kilometres(self.longitude, self.latitude, 0, 0))
        no_place = np.isnan(kilometres(longitude, latitude, 0, 0))
        away = np.where(no_place[:, None] & lost, 0.0, np.where(np.isnan(away), np.inf, away))
        return np.where(away.min(1) <= self.step, self.number[away.argmin(1)], -1)

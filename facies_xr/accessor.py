"""The accessor ``ds.facies``: the package's functions with the Dataset as their first argument."""

from typing import Any

import xarray as xr


@xr.register_dataset_accessor("facies")
class FaciesAccessor:
    """Glacier facies, their statistics and mass balance of a Dataset."""

    def __init__(self, data: xr.Dataset):
        self._data = data

    def classify(self, model: Any, **options) -> xr.Dataset:
        """Facies of every glacier pixel, lazily; see :func:`facies_xr.classify`."""
        from .maps.inference import classify

        return classify(self._data, model, **options)

    def calibrate(self, **options) -> xr.Dataset:
        """Confidence as the probability of being right, lazily; see :func:`facies_xr.calibrate`."""
        from .maps.inference import calibrate

        return calibrate(self._data, **options)

    def statistics(self, **options) -> xr.Dataset:
        """Areas, accumulation area ratio, snow line and albedo; see :func:`facies_xr.statistics`."""
        from .maps.statistics import statistics

        return statistics(self._data, **options)

    def end_of_season(self, **options) -> xr.Dataset:
        """The end of each season, from statistics; see :func:`facies_xr.maps.series.end_of_season`."""
        from .maps.series import end_of_season

        return end_of_season(self._data, **options)

    def smb(self, observations: Any = None, **options) -> xr.Dataset:
        """Surface mass balance by regression on records; see :func:`facies_xr.smb.balance.smb`."""
        from .smb.balance import smb

        return smb(self._data, observations, **options)

    def scores(self, **options):
        """Scores of modelled balances beside their yardsticks; see :func:`facies_xr.smb.evaluate.scores`."""
        from .smb.evaluate import scores

        return scores(self._data, **options)

    def plot(self, **options):
        """Picture of maps, or of balances, whichever the Dataset holds; see :mod:`facies_xr.plot`."""
        from . import plot

        return plot.plot(self._data, **options)

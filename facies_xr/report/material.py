"""What a report tells of: the maps, what was counted on them, the balances, and what is known of their model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import stations
from ..charts import area_mean
from ..classes import NODATA
from ..errors import InputError
from ..maps.series import end_of_season
from ..maps.statistics import statistics
from ..nn import registry
from ..plot import near_glaciers
from ..smb.balance import smb
from ..smb.evaluate import scores

LARGEST_PICTURE = 900
"""Of a map; larger ones show every second, third ... pixel. [px]"""


@dataclass(frozen=True)
class Material:
    """What is known of some maps, computed."""

    maps: xr.Dataset
    """(time, y, x), lazy."""
    stats: xr.Dataset | None
    """None without glaciers."""
    seasons: xr.Dataset | None
    balances: xr.Dataset | None
    """None without records."""
    scores: pd.DataFrame | None
    card: dict[str, Any]
    """Of the model; empty where it is not known."""

    @classmethod
    def of(cls, maps: xr.Dataset, observations: Any, model: Any) -> "Material":
        """Count what is on the maps, and fit balances if there are records."""
        stations.require(maps, "classify", ["facies_map", "confidence"], for_what="report()",
                         remedy="Give what classify() or a store gives")  # fmt: skip
        card = _card(maps, model)
        if "time" not in maps.dims:
            maps = maps.expand_dims("time")
        counted = "time" in maps.coords and {"glacier_index", "elevation"} <= set(maps.variables)
        if not counted and observations is not None:
            raise InputError("observations are of glaciers; these maps have none, or no elevation or time.")
        if not counted:
            return cls(maps, None, None, None, None, card)
        stats = statistics(maps).compute()
        balances = None if observations is None else _balances(stats, observations)
        judged = None if balances is None else scores(balances)
        return cls(maps, stats, end_of_season(stats), balances, judged, card)

    @property
    def glaciers(self) -> list[str]:
        """Ids, the largest first."""
        if self.stats is None:
            return []
        area = self.stats["glacier_area"].values
        order = np.argsort(-(area if area.ndim == 1 else area.max(0)), kind="stable")
        return self.stats["glacier"].values[order].astype(str).tolist()

    @property
    def shown(self) -> list[int]:
        """Positions of the dates shown: of each balance year that on which most was seen."""
        years = self.maps["balance_year"].values if "balance_year" in self.maps.coords else self._calendar
        seen = np.arange(len(years), dtype=float) if self.stats is None else area_mean(self.stats, "coverage")
        best: dict[int, int] = {}
        for position, year in enumerate(years):
            if year not in best or seen[position] >= seen[best[year]]:
                best[int(year)] = position
        return [best[year] for year in sorted(best)]

    @property
    def _calendar(self) -> np.ndarray:
        if "time" not in self.maps.coords:
            return np.zeros(self.maps.sizes["time"], int)
        return self.maps["time"].dt.year.values

    def scene(self, position: int) -> xr.Dataset:
        """One date around the glaciers, in memory, thinned to what a picture can show."""
        names = [n for n in ("facies_map", "confidence", "elevation", "glacier_index") if n in self.maps]
        scene = self.maps[names].isel(time=position)
        if "glacier_index" in scene and bool((scene["glacier_index"] > 0).any()):
            scene = scene.isel(near_glaciers(scene))
        step = -(-max(scene.sizes["y"], scene.sizes["x"]) // LARGEST_PICTURE)
        return scene.isel(y=slice(None, None, step), x=slice(None, None, step)).load()


def shares(scene: xr.Dataset) -> np.ndarray:
    """Share of each class among the pixels that have one; NaN where none has. (class)"""
    labels = scene["facies_map"].values
    counts = np.bincount(labels[labels != NODATA], minlength=8)[:8]
    return counts / counts.sum() if counts.sum() else np.full(8, np.nan)


def _card(maps: xr.Dataset, model: Any) -> dict[str, Any]:
    """Card of the model that made the maps."""
    name, digest = (str(maps.attrs.get(key, "")) for key in ("classifier", "classifier_digest"))
    if model is None and name not in registry.names():
        return {}
    found = registry.load_model(name if model is None else model)
    if found.digest == digest:
        return dict(found.card)
    if model is None:
        return {}
    raise InputError(
        f"model={str(getattr(model, 'name', model))!r} has digest {found.digest}, the maps were made with "
        f"{digest or 'another'}; give the model that made them."
    )


def _balances(stats: xr.Dataset, observations: Any) -> xr.Dataset:
    if isinstance(observations, xr.Dataset):
        stations.require(observations, "smb", ["balance", "observed"], for_what="report()",
                         remedy="Give records, or what smb() gives")  # fmt: skip
        return observations
    areas = "expected" if "accumulation_area_ratio_expected" in stats else "map"
    return smb(stats, observations, areas=areas)

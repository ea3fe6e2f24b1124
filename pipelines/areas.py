"""Areas from probabilities: class weights fitted on worlds, and the intervals that follow judged on others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from synthetic_samples import Plan, cube_of

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA
from facies_xr.maps import uncertainty, weighting
from facies_xr.maps.codes import SURFACE, UNSEEN
from facies_xr.maps.statistics import CORRECTIONS
from facies_xr.nn.classifier import Classifier

INDEPENDENT = 100
"""Pixels of 10 m that count as one: with it the intervals of one validation world, by the weights of the other, hold
the truth in nine of ten cases."""

SCENES = {1: (3,), 2: (2, 4), 4: (1, 2, 3, 4)}
"""Which of four scenes of a season are taken, by their order, for a number of them."""


def maps_and_truth(folder: Path, plan: Plan, k: int, classifier: Classifier) -> tuple[xr.Dataset, np.ndarray]:
    """Calibrated maps of a world, in memory, and the true class of the ground (time, y, x)."""
    region, cube = cube_of(folder, plan, k)
    maps = cube.facies.classify(classifier, class_score=True).facies.calibrate().compute()
    truth = region.truth()["surface"].sortby("time").reindex(y=maps.y, x=maps.x, fill_value=NODATA)
    return maps, truth.sel(time=maps.time, method="nearest").values


def with_areas(folder: Path, plan: Plan, classifier: Classifier) -> Classifier:
    """The classifier with the class weights that give the true areas of some worlds' glaciers, by date."""
    assert classifier.calibrator is not None
    worlds = [*plan.validation, *plan.areas]
    known = [one for k in worlds for one in of_glaciers(*maps_and_truth(folder, plan, k, classifier), plan)]
    probabilities, areas = zip(*known, strict=True)
    independent = np.array([len(p) / INDEPENDENT for p in probabilities])
    weights = np.ones((len(areas), len(NAMES)))
    weights[:, list(SURFACE)] = weighting.scene_weights(probabilities, np.array(areas), independent)
    scenes = tuple(map(tuple, weights.round(3).tolist()))
    return replace(classifier, calibrator=replace(classifier.calibrator, scenes=scenes))


def of_glaciers(maps: xr.Dataset, truth: np.ndarray, plan: Plan) -> list[tuple[np.ndarray, np.ndarray]]:
    """Class probabilities of the seen pixels of each glacier and date, and the true shares of the classes."""
    found = []
    for t, surface in enumerate(truth):
        scene = maps.isel(time=t)
        r, c, p = uncertainty.seen_surface(
            codes=np.where(scene.facies_map == NODATA, UNSEEN, scene.facies_map),
            index=np.where(surface == NODATA, 0, scene.glacier_index),
            elevation=scene.elevation.values,
            confidence=scene.confidence.values,
            probability=scene.probability.values,
        )
        glacier = scene.glacier_index.values[r, c]
        for number in np.unique(glacier):
            mine = glacier == number
            if mine.sum() >= plan.fewest:
                counts = np.bincount(surface[r[mine], c[mine]], minlength=len(NAMES))
                found.append((p[mine], counts[list(SURFACE)] / mine.sum()))
    return found


def check_areas(folder: Path, plan: Plan, classifier: Classifier) -> pd.DataFrame:
    """Accumulation area ratios of the test worlds against the truth, for each correction of the probabilities."""
    rows = []
    for k in [*plan.test, *plan.areas_test]:
        maps, truth = maps_and_truth(folder, plan, k, classifier)
        known = true_statistics(maps, truth)
        for correction in CORRECTIONS:
            found = fx.statistics(maps, correction=correction).compute()
            for name in ("accumulation_area_ratio", "snow_line_altitude"):
                low, high = (found[f"{name}_{end}"].values for end in ("lower", "upper"))
                expected = found.get(f"{name}_expected", found[name])
                rows.append(
                    pd.DataFrame(
                        {
                            "statistic": name,
                            "correction": correction,
                            "of the map": (found[name] - known[name]).values.ravel(),
                            "expected": (expected - known[name]).values.ravel(),
                            "covered": ((known[name].values >= low) & (known[name].values <= high)).ravel(),
                            "width": (high - low).ravel(),
                        }
                    ).dropna()
                )
    return summary(rows, ["statistic", "correction"], ["of the map", "expected"])


def true_statistics(maps: xr.Dataset, truth: np.ndarray) -> xr.Dataset:
    """Statistics of maps without an error."""
    true_maps = maps.assign(facies_map=maps.facies_map.copy(data=truth))
    return fx.statistics(true_maps, draws=0, min_coverage=0.5).compute()


def check_seasons(folder: Path, plan: Plan, classifier: Classifier) -> pd.DataFrame:
    """Ends of seasons from one, two and four scenes, against those from all scenes of maps without an error."""
    rows, name = [], "accumulation_area_ratio"
    for k in plan.seasons:
        maps, truth = maps_and_truth(folder / "seasons", replace(plan, world=plan.season_world), k, classifier)
        known = fx.end_of_season(true_statistics(maps, truth))[name]
        stats = fx.statistics(maps).compute().sortby("time")
        turn = pd.Series(stats.balance_year.values).groupby(stats.balance_year.values).cumcount() + 1
        for areas, given in (
            ("map", stats),
            ("map, scatter alone", stats.drop_vars([f"{name}_lower", f"{name}_upper"])),
            ("expected", stats.assign({name: stats[f"{name}_expected"]})),
        ):
            for scenes, turns in SCENES.items():
                found = fx.end_of_season(given.isel(time=turn.isin(turns).to_numpy()))
                low, high = (found[f"{name}_{end}"].values for end in ("lower", "upper"))
                rows.append(
                    pd.DataFrame(
                        {
                            "areas": areas,
                            "scenes": scenes,
                            "of the season": (found[name] - known).values.ravel(),
                            "covered": ((known.values >= low) & (known.values <= high)).ravel(),
                            "width": (high - low).ravel(),
                        }
                    ).dropna()
                )
    return summary(rows, ["areas", "scenes"], ["of the season"])


def summary(rows: list[pd.DataFrame], by: list[str], errors: list[str]) -> pd.DataFrame:
    """Bias and RMSE of columns of errors, and how often and how widely intervals hold the truth."""
    table = pd.concat(rows).groupby(by)
    return pd.DataFrame(
        {
            "n": table.size(),
            **{f"bias {name}": table[name].mean() for name in errors},
            **{f"rmse {name}": table[name].agg(lambda v: (v**2).mean() ** 0.5) for name in errors},
            "covered": table["covered"].mean(),
            "width": table["width"].mean(),
        }
    ).round(3)

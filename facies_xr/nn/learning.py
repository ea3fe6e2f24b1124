"""From patches to classifiers with their tables: what ``facies-xr train`` does.

Patches are cross-validated; of the scores tables and a page are made, and of each fold a classifier, calibrated on its
validation fold.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import folds, metrics
from ..classes import NAMES
from ..errors import InputError, one_of
from . import calibrators, crossval, figures, points, tables
from .classifier import Classifier
from .crossval import Outcome
from .patchstore import PatchStore
from .train import Settings

FOLDS = 6

AREA_CLASSES = 3
"""Small, middle and large glaciers, as many of each."""

REGIONS = {
    "Pyrenees": (-2.5, 42, 3.5, 43.5),
    "Alps": (5, 43.5, 16.5, 48),
    "Scandinavia": (4, 58, 32, 71.5),
    "Iceland": (-25, 63, -13, 67),
    "Svalbard": (9, 76, 34, 81),
}
"""West, south, east and north of the regions of Maslov et al. (2026). [degree]"""


def regions(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Region of each place; "elsewhere", and no text where the place is not known."""
    found = np.where(np.isfinite(longitude), "elsewhere", "").astype("U16")
    for name, (west, south, east, north) in REGIONS.items():
        found[(longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)] = name
    return found


def read_folds(path: str | Path) -> dict[str, int]:
    """Fold of each glacier, of a CSV with the columns ``glacier`` and ``fold``.

    Raises
    ------
    InputError
        If there is no such file, it has other columns, or a fold is no whole number.
    """
    try:
        table = pd.read_csv(path, dtype={"glacier": str})
        return {str(g): int(f) for g, f in zip(table["glacier"], table["fold"].astype("int64"), strict=True)}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: folds are a CSV with the columns glacier and fold, a whole number: {error}"
        ) from error


def area_classes(glacier: np.ndarray, area: Mapping[str, float]) -> np.ndarray:
    """Class of area of each sample's glacier, 0 the smallest; glaciers are split evenly. (n) of int

    Raises
    ------
    InputError
        If the area of a glacier is not known.
    """
    names, inverse = np.unique(glacier, return_inverse=True)
    if missing := sorted(set(names.tolist()) - set(area)):
        raise InputError(f"the outlines hold no glacier {', '.join(missing[:3])}, which has samples.")
    rank = np.argsort(np.argsort([area[g] for g in names.tolist()], kind="stable"))
    return (rank * AREA_CLASSES // names.size)[inverse]


def folds_of(
    store: PatchStore, given: Mapping[str, int] | None = None, area: Mapping[str, float] | None = None
) -> np.ndarray:
    """Fold of each sample: as given, as the store has it, or made, alike in classes, regions and, if known, areas.

    Parameters
    ----------
    store : PatchStore
    given : mapping, optional
        Fold of each glacier.
    area : mapping, optional
        Area of each glacier, in any unit.

    Raises
    ------
    InputError
        If a glacier has no fold or no area, or there are fewer glaciers than folds.
    """
    table = store.columns
    glacier = table["glacier"].to_numpy(str)
    if given is not None:
        return points.assigned(glacier, given)
    if (store.fold >= 0).any():
        return store.fold
    region = regions(table["longitude"].to_numpy(), table["latitude"].to_numpy())
    strata = [table["label"].to_numpy(), region]
    if area is not None:
        strata.append(area_classes(glacier, area))
    if len(names := sorted(set(glacier.tolist()))) < FOLDS:
        raise InputError(
            f"the samples lie on {len(names)} glacier{'s' * (len(names) > 1)} ({', '.join(names[:3])}), {FOLDS} folds "
            "need as many; with folds of your own (--folds) 4 are enough, by the published protocol 3."
        )
    return folds.stratified(glacier, FOLDS, *strata)


def learn(
    store: PatchStore,
    out: str | Path,
    *,
    feature_set: int = 4,
    settings: Settings | None = None,
    protocol: str = "nested",
    given_folds: Mapping[str, int] | None = None,
    area: Mapping[str, float] | None = None,
    calibrator: str = calibrators.DEFAULT,
    streamed: bool = False,
    client: Any = None,
) -> dict[str, pd.DataFrame]:
    """Cross-validate networks on a store, and write their tables and the classifiers of all folds.

    Parameters
    ----------
    store : PatchStore
    out : str or Path
        Folder: ``tables/``, ``page.png``, ``fold-K.safetensors``, ``scores.zarr``, ``trainings/``. The same call goes
        on where it was killed; models and tables are written at the end.
    feature_set : int
    settings : Settings, optional
    protocol : {"nested", "published"}
    given_folds : mapping, optional
        Fold of each glacier; by default those of the store, else six are made.
    area : mapping, optional
        Area of each glacier, in which made folds shall be alike.
    calibrator : str
        One of :data:`facies_xr.nn.calibrators.METHODS`, fitted on the unpruned validation fold of each model.
    streamed : bool
        Leave the patches on disk.
    client : distributed.Client, optional

    Returns
    -------
    dict of DataFrame
        Tables by name, that of unpruned test samples first.
    """
    out, fold = Path(out), folds_of(store, given_folds, area)
    one_of("calibrator", calibrator, calibrators.METHODS)
    samples = store.samples(feature_set=feature_set, streamed=streamed)
    learner = crossval.NetworkLearner(feature_set, settings or Settings())
    found = crossval.cross_validate(learner, samples, fold, protocol=protocol, folder=out / "trainings", client=client)
    probability, label, models = calibrated(found, calibrator)
    columns = store.columns
    region = regions(columns["longitude"].to_numpy(), columns["latitude"].to_numpy())
    made = tables.of_outcome(found, region=region, sensor=columns["sensor"].to_numpy(str))
    made["calibration"] = errors(found, probability, label)
    tables.write(made, out / "tables")
    right = found.after.argmax(1) == samples.label, label == samples.label
    curves = {
        "scores": (found.after.max(1), right[0]),
        calibrator: (probability[np.arange(label.size), label], right[1]),
    }
    title = f"{protocol} protocol, feature set {feature_set}, {len(samples)} samples, unpruned test folds"
    figures.save(figures.page(made, curves, title), out / "page.png")
    to_dataset(found, probability).to_zarr(out / "scores.zarr", mode="w", consolidated=False)
    for k, model in enumerate(models):
        model.save(out / f"fold-{k}.safetensors")
    (out / "settings.json").write_text(json.dumps(asdict(learner.settings), indent=1))
    return made


def calibrated(found: Outcome, method: str) -> tuple[np.ndarray, np.ndarray, list[Classifier]]:
    """Probabilities of test samples by the calibrator of their model's validation fold, labels, and the classifiers."""
    probability, label = np.full_like(found.after, np.nan), found.after.argmax(1)
    models = []
    for test, model in enumerate(found.models):
        assert isinstance(model, crossval.TrainedNetwork)
        _, validation, tested = crossval.rotation(found.fold, test)
        population = f"labelled points of {np.unique(found.samples.glacier[validation]).size} glaciers, not pruned"
        way = calibrators.fit(found.validated[validation], found.samples.label[validation], population, method)
        probability[tested], label[tested] = way(found.after[tested]), way.label(found.after[tested])
        card = {
            "trained_on": f"{len(found.samples)} labelled points without test fold {test}",
            "protocol": found.protocol,
            "best_epoch": model.run.best_epoch + 1,
        }
        models.append(replace(way.applied(model.classifier), card=card))
    return probability, label, models


def errors(found: Outcome, probability: np.ndarray, label: np.ndarray) -> pd.DataFrame:
    """Calibration errors of unpruned test samples before and after, of all and of those predicted as a class. [%]"""
    rows = {}
    for name, p, shown in (("before", found.after, found.after.argmax(1)), ("after", probability, label)):
        confidence, right = p[np.arange(shown.size), shown], shown == found.samples.label
        each = metrics.classwise_calibration_error(confidence, right, shown, len(NAMES))
        whole = metrics.calibration_error(confidence, right, 100, equal_count=False)
        rows[name] = dict(zip((*NAMES, "all"), (100 * np.append(each, whole)).tolist(), strict=True))
    return pd.DataFrame(rows)


def to_dataset(found: Outcome, probability: np.ndarray) -> xr.Dataset:
    """Scores of every sample, with its fold and whether the models of each fold left it out."""
    by_class = ("sample", "facies_class")
    return xr.Dataset(
        {
            "label": ("sample", found.samples.label),
            "fold": ("sample", found.fold),
            "glacier": ("sample", found.samples.glacier.astype(object)),
            "scene": ("sample", found.samples.scene.astype(object)),
            "score_before": (by_class, found.before),
            "score": (by_class, found.after),
            "probability": (by_class, probability),
            "pruned": (("test_fold", "sample"), found.pruned),
        },
        coords={"facies_class": np.array(NAMES, object)},
        attrs={"protocol": found.protocol},
    )

"""Training: the temperature-index model and the recurrent unit, the corrector without facies, and then with them.

As published one step an epoch, of all glaciers together; or steps of some glaciers, whose order the seed and the epoch
tell. A training can be stopped at any moment, and goes on from its last epoch to the same bits.
"""

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...progress import Tracker, tracked
from .checkpoint import Course
from .dataset import Glacier
from .files import ANEW, STORES, Saved
from .loss import Weights, error, loss, terms
from .models import Corrected, TemperatureIndex, to_saved
from .network import Corrector
from .optimise import clip


@dataclass(frozen=True)
class Settings:
    """How a model is trained."""

    learning_rate: float = 1e-3
    clip: float = 5.0
    """Largest norm of the gradient of a step."""
    epochs: int = 50
    batch: int | None = None
    """Glaciers of a step; all of them by default."""
    seed: int = 42
    """Of first weights and of the order of glaciers."""
    weights: Weights = field(default_factory=Weights)


PUBLISHED: dict[str, Settings] = {
    "a": Settings(),
    "b": Settings(epochs=100),
    "c": Settings(),
    "d": Settings(),
    "transfer": Settings(learning_rate=1e-2, epochs=250),
}
"""Settings of papers/002, by model, and of its transfer to one glacier; b's epochs are those of its log."""


class Trained(NamedTuple):
    """A model with the weights of its best epoch."""

    model: nn.Module
    curves: pd.DataFrame
    """``loss`` and ``error`` by epoch; epoch 0 is before the first step."""
    best_epoch: int


def new_corrector(start: TemperatureIndex | Mapping[str, Tensor], *, seed: int = 42, limit: float | None = None,
                  masked: bool = False, anew: str = ANEW[0], store: str = STORES[0]) -> Corrected:  # fmt: skip
    """Model c before its first step: random weights over a temperature-index model that stays as it is.

    Parameters
    ----------
    start : TemperatureIndex or mapping of Tensor
        The model, or its free numbers.
    seed : int
    limit, masked, anew, store
        As :class:`~facies_xr.smb.glaunti.network.Corrector` and
        :class:`~facies_xr.smb.glaunti.models.Corrected` take them; as published by default.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Corrector(limit=limit, masked=masked)
    return Corrected(start.free if isinstance(start, TemperatureIndex) else start, network, anew=anew, store=store)  # type: ignore[arg-type]


def with_facies(model: Corrected) -> Corrected:
    """Model d before its first step: c, which is given facies from now on."""
    found = copy.deepcopy(model)
    found.facies = True
    return found


def train(
    model: nn.Module,
    glaciers: Sequence[Glacier],
    validation: Sequence[Glacier] = (),
    settings: Settings | None = None,
    *,
    keep: str | Path | None = None,
    shown: bool = True,
) -> Trained:
    """Train a model, in place, and give it the weights with the least error of the glaciers that validate.

    Parameters
    ----------
    model : Module
        One of :mod:`facies_xr.smb.glaunti.models`, with its first weights.
    glaciers, validation : sequence of Glacier
        Without any that validate, the weights are those after the last epoch.
    settings : Settings
        :data:`PUBLISHED` has those of papers/002.
    keep : path, optional
        File of the training under way, from which it goes on if it is there.
    shown : bool
        Whether progress is.

    Raises
    ------
    InputError
        If there is no glacier, or one is trained on and validates.
    StoreError
        If the file is of another training, or damaged.
    """
    settings = settings or Settings()
    _require_apart(glaciers, validation)
    moved = [p for p in model.parameters() if p.requires_grad]
    course = Course(model, torch.optim.Adam(moved, settings.learning_rate))
    key = _key(model, glaciers, validation, settings) if keep is not None else ""
    path = None if keep is None else Path(keep)
    if path is not None and path.exists():
        course.resume(path, key)
    each = len(glaciers) + len(validation)
    with tracked("glaciers trained on", settings.epochs * each, shown=shown) as tracker:
        tracker.at(course.epochs * each)
        if not course.error:
            course.judged(_error(model, validation, settings, None))
        while course.epochs < settings.epochs:
            course.loss.append(_epoch(course, glaciers, settings, tracker))
            course.judged(_error(model, validation, settings, tracker))
            if path is not None:
                course.save(path, key)
    model.load_state_dict(course.best)
    return Trained(model, course.curves, course.best_epoch)


def _require_apart(glaciers: Sequence[Glacier], validation: Sequence[Glacier]) -> None:
    if not glaciers:
        raise InputError("training needs glaciers.")
    counted = {(g.name, year) for g in glaciers for year in g.studied}
    if both := sorted(counted & {(g.name, year) for g in validation for year in g.studied}):
        raise InputError(f"{both[0][0]} in {both[0][1]} would be trained on and validate; leave it out of either.")


def _epoch(course: Course, glaciers: Sequence[Glacier], settings: Settings, tracker: Tracker) -> float:
    """Steps over all glaciers; their mean loss."""
    order = np.arange(len(glaciers))
    if settings.batch is not None:
        order = np.random.default_rng([settings.seed, course.epochs]).permutation(order)
    total, size = 0.0, settings.batch or len(order)
    for first in range(0, len(order), size):
        course.optimiser.zero_grad()
        for number in order[first : first + size]:
            value = loss(terms(course.model, glaciers[number], settings.weights), settings.weights)  # type: ignore[arg-type]
            value.backward()
            total += float(value.detach())
            tracker.advance()
        clip([p.grad for p in course.model.parameters() if p.grad is not None], settings.clip)
        course.optimiser.step()
    return total / len(order)


def _error(model: nn.Module, glaciers: Sequence[Glacier], settings: Settings, tracker: Tracker | None) -> float:
    """Mean error of glaciers, NaN of none."""
    found = []
    with torch.no_grad():
        for glacier in glaciers:
            found.append(float(error(terms(model, glacier, settings.weights), settings.weights)))  # type: ignore[arg-type]
            if tracker is not None:
                tracker.advance()
    return float(np.mean(found)) if found else float("nan")


def _key(model: nn.Module, glaciers: Sequence[Glacier], validation: Sequence[Glacier], settings: Settings) -> str:
    """Digest of what a training depends on; the number of epochs may grow, of the weather its extent counts."""
    digest = hashlib.sha256(repr((replace(settings, epochs=0), len(glaciers))).encode())
    digest.update(repr([getattr(model, name, None) for name in ("facies", "anew", "store")]).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    for glacier in (*glaciers, *validation):
        sizes = tuple(glacier.weather.sizes.items()), str(glacier.weather.time.values[[0, -1]])
        about = (glacier.name, glacier.spinning, glacier.studied, sizes, glacier.scales, glacier.facies is None)
        digest.update(repr(about).encode())
        for table in (glacier.totals, glacier.points, glacier.geodetic):
            digest.update(b"" if table is None else table.to_csv().encode())
        digest.update(glacier.geometry.elevation.values.tobytes())
    return digest.hexdigest()


def train_corrector(
    start: TemperatureIndex,
    glaciers: Sequence[Glacier],
    validation: Sequence[Glacier],
    folder: str | Path,
    settings: Settings | None = None,
    *,
    shown: bool = True,
    **options: object,
) -> dict[str, Corrected]:
    """Models c and d, one after the other; files ``c.safetensors`` and ``d.safetensors``, and their curves.

    Run again after it was stopped, it goes on.

    Parameters
    ----------
    start : TemperatureIndex
    glaciers, validation : sequence of Glacier
    folder : path
        Made where it does not exist.
    settings : Settings
        Of both; the published by default.
    shown : bool
    options
        Of :func:`new_corrector`.
    """
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    found: dict[str, Corrected] = {}
    for name in ("c", "d"):
        mine = settings or PUBLISHED[name]
        model = with_facies(found["c"]) if name == "d" else new_corrector(start, seed=mine.seed, **options)  # type: ignore[arg-type]
        trained = train(model, glaciers, validation, mine, keep=home / f"{name}.training", shown=shown)
        trained.curves.to_csv(home / f"{name}.csv")
        saved(trained, glaciers).save(home / f"{name}.safetensors")
        found[name] = model
    return found


def saved(trained: Trained, glaciers: Iterable[Glacier]) -> Saved:
    """A trained model as a file holds it, with the glaciers that it saw."""
    errors = trained.curves["error"]
    card = {"trained_on": [g.name for g in glaciers], "best_epoch": trained.best_epoch,
            "validation_error": float(errors[trained.best_epoch]) if errors.notna().all() else None}  # fmt: skip
    return to_saved(trained.model, card)


def transfer(
    model: nn.Module,
    glacier: Glacier,
    *,
    years: Iterable[int],
    validation: Iterable[int],
    settings: Settings | None = None,
    keep: str | Path | None = None,
    shown: bool = True,
) -> Trained:
    """A copy of a model, trained further on some years of one glacier.

    Parameters
    ----------
    model : Module
    glacier : Glacier
    years, validation : iterable of int
        Balance years that are trained on, and those that choose the epoch; of papers/002 1995 to 2012 and 2013 to 2018.
    settings : Settings
        The published ones by default.
    keep, shown
        As :func:`train` takes them.

    Notes
    -----
    The years that validate are run from the spin-up on with the weights of their epoch; the published program goes on
    from the snow of the training run, whose weights are those of the step before.
    """
    sets = [frozenset(map(int, some)) for some in (years, validation)]
    if unknown := sorted(set().union(*sets) - set(glacier.run)):
        raise InputError(f"{glacier.name} has no balance year {unknown[0]}; it has {glacier.run[0]} to "
                         f"{glacier.run[-1]}.")  # fmt: skip
    parts = [replace(glacier, counted=some, last_year=max(some)) for some in sets if some]
    return train(copy.deepcopy(model), parts[:1], parts[1:], settings or PUBLISHED["transfer"], keep=keep, shown=shown)

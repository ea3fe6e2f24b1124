"""Cross-validation by glacier: every sample scored by a model that knows nothing of its glacier.

Of each outer fold the one before it chooses the epoch and fits the calibrator, the others train. Whatever is fitted
(bounds, weights, epoch, calibrator, pruned labels) is fitted on these, and the test fold is never looked at::

    fold     0  1  2  3  4  5          t: training, v: validation, #: test
    test 0   #  t  t  t  t  v
    test 1   v  #  t  t  t  t
    ...

Before and after pruning. Nested, the labels to prune come from inner cross-validation of the folds that are not the
test fold; by the published protocol from the pooled scores of all folds' models, which knew the test labels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..classes import NAMES
from ..errors import InputError, one_of
from . import confident, train
from .classifier import Classifier
from .labels import Samples
from .train import Settings

PROTOCOLS = ("nested", "published")


class Predictor(Protocol):
    """What a learner gives."""

    def predict(self, samples: Samples) -> np.ndarray:
        """Scores (n, class)."""


class Learner(Protocol):
    """Learns from samples; it must be picklable to learn on a cluster."""

    def fit(self, train: Samples, validation: Samples, name: str, checkpoint: Path | None) -> Predictor:
        """Learn; a training that was interrupted goes on from its checkpoint."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained."""

    classifier: Classifier
    run: train.Run

    def predict(self, samples: Samples) -> np.ndarray:
        """Scores (n, class)."""
        return train.probabilities(self.classifier, samples)


@dataclass(frozen=True)
class NetworkLearner:
    """Trains networks by :func:`facies_xr.nn.train.fit`."""

    feature_set: int
    settings: Settings = field(default_factory=Settings)

    def fit(self, train_: Samples, validation: Samples, name: str, checkpoint: Path | None) -> TrainedNetwork:
        """Train a network, the epoch chosen on the validation samples."""
        run = train.fit(
            train_,
            validation,
            self.feature_set,
            name,
            self.settings,
            checkpoint=checkpoint,
            shown=checkpoint is not None,
        )
        return TrainedNetwork(run.classifier, run)


@dataclass(frozen=True)
class Job:
    """One training."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    predict: np.ndarray
    """Samples to score."""


@dataclass(frozen=True)
class Done:
    """What a job gives."""

    predictor: Predictor
    score: np.ndarray


@dataclass(eq=False)
class Outcome:
    """What cross-validation says of every sample, and the models of all folds."""

    protocol: str
    samples: Samples
    fold: np.ndarray
    before: np.ndarray
    """Scores (n, class) by the model of its fold, trained on all labels."""
    after: np.ndarray
    """The same, trained without the pruned labels."""
    validated: np.ndarray
    """Scores (n, class) of a sample by the model after pruning whose validation sample it was."""
    pruned: np.ndarray
    """Whether the models of a fold did not learn from a sample. (fold, n)"""
    models: list[Predictor]
    """After pruning, by fold."""
    models_before: list[Predictor]

    @property
    def tested(self) -> np.ndarray:
        """Whether a sample counts among pruned test samples: its own fold's list says so. (n)

        Nested, nothing of a test fold is pruned.
        """
        return ~self.pruned[self.fold, np.arange(len(self.samples))]


def rotation(
    fold: np.ndarray, test: int, among: Iterable[int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train on, to validate on and to test.

    Parameters
    ----------
    fold : ndarray (n) of int
    test : int
        Fold that is tested; the one before it, in a circle, validates.
    among : iterable of int, optional
        Folds that take part, in order; by default all.
    """
    circle = sorted(set(fold.tolist())) if among is None else list(among)
    validation = circle[circle.index(test) - 1]
    rest = [k for k in circle if k not in (test, validation)]
    return np.flatnonzero(np.isin(fold, rest)), np.flatnonzero(fold == validation), np.flatnonzero(fold == test)


def cross_validate(
    learner: Learner,
    samples: Samples,
    fold: np.ndarray,
    *,
    protocol: str = "nested",
    tests: Iterable[int] | None = None,
    cap: float | None = None,
    folder: str | Path | None = None,
    client: Any = None,
) -> Outcome:
    """Score every sample by models that know nothing of its glacier, before and after pruning.

    Parameters
    ----------
    learner : Learner
    samples : Samples
        In memory, or left in their store.
    fold : ndarray (n) of int
        0 .. folds - 1; no glacier in two.
    protocol : {"nested", "published"}
        Where the labels to prune come from.
    tests : iterable of int, optional
        Outer folds to do; by default all. Scores of the others are NaN. All are needed by the published protocol.
    cap : float, optional
        Largest share of the labels of a class that is pruned; by default a tenth, and no limit as published.
    folder : str or Path, optional
        For the checkpoints of all trainings: the same call goes on where it was killed.
    client : distributed.Client, optional
        Cluster on whose workers trainings run side by side; a training takes a process for itself.

    Raises
    ------
    InputError
        If the folds cannot be used (:func:`check_folds`), or there is no such protocol.
    """
    one_of("protocol", protocol, PROTOCOLS)
    count = check_folds(samples, fold, protocol)
    wanted = list(range(count)) if tests is None else list(tests)
    if protocol == "published" and wanted != list(range(count)):
        raise InputError("the published protocol pools the scores of all folds; leave tests out.")
    cap = cap if cap is not None else (confident.CAP if protocol == "nested" else 1.0)
    run = _Runner(learner, samples, None if folder is None else Path(folder), client)

    jobs: dict[Any, Job] = {("before", t): _job(f"before-{t}", fold, t) for t in wanted}
    if protocol == "nested":
        jobs |= {("inner", t, k): _inner(fold, t, k) for t in wanted for k in range(count) if k != t}
    first = run(jobs)
    before = _scattered(len(samples), {t: (jobs["before", t].predict, first["before", t].score) for t in wanted}, fold)
    pruned = _pruned(samples.label, fold, wanted, first, before, protocol, cap)

    jobs = {t: _job(f"after-{t}", fold, t, kept=~pruned[t]) for t in wanted}
    second = run(jobs)
    after = _scattered(len(samples), {t: (jobs[t].predict, second[t].score) for t in wanted}, fold)
    validated = np.full_like(after, np.nan)
    for t in wanted:
        mine = jobs[t].predict
        validation = fold[mine] != t
        validated[mine[validation]] = second[t].score[validation]
    models = [second[t].predictor for t in wanted]
    return Outcome(
        protocol,
        samples,
        fold,
        before,
        after,
        validated,
        pruned,
        models,
        [first["before", t].predictor for t in wanted],
    )


def _job(name: str, fold: np.ndarray, test: int, kept: np.ndarray | None = None) -> Job:
    """Training of an outer fold; scored are its test and its validation samples, none left out."""
    rows, validation, tested = rotation(fold, test)
    kept = np.ones(fold.size, bool) if kept is None else kept
    return Job(name, rows[kept[rows]], validation[kept[validation]], np.concatenate([validation, tested]))


def _inner(fold: np.ndarray, test: int, inner: int) -> Job:
    """Training within the folds that are not the test fold."""
    return Job(f"inner-{test}-{inner}", *rotation(fold, inner, [k for k in range(fold.max() + 1) if k != test]))


def _scattered(n: int, scores: dict[int, tuple[np.ndarray, np.ndarray]], fold: np.ndarray) -> np.ndarray:
    """Scores of each fold's test samples as one array (n, class)."""
    out = np.full((n, len(NAMES)), np.nan, "float32")
    for t, (rows, score) in scores.items():
        tested = fold[rows] == t
        out[rows[tested]] = score[tested]
    return out


def _pruned(
    label: np.ndarray, fold: np.ndarray, wanted: list[int], first: dict, before: np.ndarray, protocol: str, cap: float
) -> np.ndarray:
    """Labels that the models of each fold shall not learn from. (fold, n)"""
    pruned = np.zeros((fold.max() + 1, fold.size), bool)
    if protocol == "published":
        pruned[:, confident.issues(label, before, cap=cap)] = True
        return pruned
    for t in wanted:
        scores = {k: (np.flatnonzero(fold == k), first["inner", t, k].score) for k in range(fold.max() + 1) if k != t}
        rows = np.flatnonzero(fold != t)
        found = confident.issues(label[rows], _scattered(fold.size, scores, fold)[rows], cap=cap)
        pruned[t, rows[found]] = True
    return pruned


@dataclass(frozen=True)
class _Runner:
    """Does jobs, here or on a cluster."""

    learner: Learner
    samples: Samples
    folder: Path | None
    client: Any

    def __call__(self, jobs: dict[Any, Job]) -> dict[Any, Done]:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        for job in jobs.values():
            if not job.train.size or not job.validation.size:
                raise InputError(f"{job.name}: no samples are left to {'validate' if job.train.size else 'train'} on.")
        if self.client is None:
            return {key: _do(self.learner, self.samples, job, self.folder) for key, job in jobs.items()}
        samples = self.client.scatter(self.samples, broadcast=True, hash=False)
        futures = {
            key: self.client.submit(_do, self.learner, samples, job, self.folder, pure=False)
            for key, job in jobs.items()
        }
        return self.client.gather(futures)


def _do(learner: Learner, samples: Samples, job: Job, folder: Path | None) -> Done:
    checkpoint = None if folder is None else folder / f"{job.name}.training"
    predictor = learner.fit(samples[job.train], samples[job.validation], job.name, checkpoint)
    return Done(predictor, predictor.predict(samples[job.predict]))


def check_folds(samples: Samples, fold: np.ndarray, protocol: str = "nested") -> int:
    """Number of folds, if they can be used.

    Raises
    ------
    InputError
        If a sample has no fold, a fold is empty, there are too few, a glacier is in two, all samples are of one
        scene, or a class of a test fold is in none of the folds that train for it.
    """
    if (fold < 0).any():
        raise InputError(f"{(fold < 0).sum()} of {fold.size} samples have no fold; give folds, or let them be made.")
    count = int(fold.max(initial=-1)) + 1
    if empty := sorted(set(range(count)) - set(fold.tolist())):
        raise InputError(f"fold {empty[0]} is empty; folds must be 0 .. {count - 1}, each with samples.")
    fewest = 4 if protocol == "nested" else 3
    if count < fewest:
        raise InputError(f"there are {count} folds; the {protocol} protocol needs at least {fewest}.")
    for glacier in np.unique(samples.glacier):
        if np.unique(its := fold[samples.glacier == glacier]).size > 1:
            raise InputError(f"glacier {glacier} is in folds {', '.join(map(str, np.unique(its)))}; it must be in one.")
    if np.unique(samples.scene).size < 2:
        raise InputError(f"all samples are of scene {samples.scene[0]}; nothing could be said of another.")
    for test in range(count):
        rows, _, tested = rotation(fold, test)
        if missing := sorted(set(samples.label[tested].tolist()) - set(samples.label[rows].tolist())):
            raise InputError(
                f"class {NAMES[missing[0]]} is in fold {test}, but in none of the folds that train for it; make other "
                "folds, or leave the class out."
            )
    return count

"""Classifiers by name, path or object, one copy in each process."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .classifier import Classifier

_SHIPPED = Path(str(files("facies_xr") / "models"))
_lock = threading.Lock()


def names() -> list[str]:
    """Names of the classifiers that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.safetensors"))


ENSEMBLES = {"maslov-2026-set4": "facies-xr fetch maslov-weights"}
"""Ensembles that can be had by name, and what gets them into the user's cache."""


def ensemble_folder(name: str) -> Path:
    """Where the members of an ensemble lie, once it was fetched."""
    import pooch

    return Path(pooch.os_cache("facies_xr")) / "models" / name


def ensemble(model: Any) -> list[Path]:
    """Members of an ensemble of that name; none of what is no such name.

    Raises
    ------
    ModelError
        If it was not fetched yet.
    """
    if not isinstance(model, str) or model not in ENSEMBLES:
        return []
    if not (found := sorted(ensemble_folder(model).glob("*.safetensors"))):
        raise ModelError(f"{model} is not here yet; get it with: {ENSEMBLES[model]}")
    return found


def load_model(model: Any) -> Classifier:
    """Classifier from a name, a path or a Classifier.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if isinstance(model, Classifier):
        return model
    if not isinstance(model, str | Path):
        raise ModelError(f"a model is a name, a path or a Classifier, not {type(model).__name__}.")
    if str(model) in names():
        return _load(str(_SHIPPED / f"{model}.safetensors"))
    if Path(model).suffix or Path(model).exists():
        return _load(str(Path(model).resolve()))
    if members := ensemble(model):
        raise ModelError(f"{model} is an ensemble of {len(members)}; classify() takes it, one by one they are in "
                         f"{members[0].parent}.")  # fmt: skip
    raise ModelError(
        f"there is no model {str(model)!r}; the package has {', '.join(names()) or 'none'}, or give a path."
    )


@lru_cache(maxsize=8)
def _load(path: str) -> Classifier:
    return Classifier.load(path)


@dataclass(frozen=True)
class Handle:
    """What a task carries instead of a classifier: where to find it, or, if it has no file, itself."""

    digest: str
    path: str | None
    itself: Classifier | None

    @classmethod
    def of(cls, model: Any) -> "Handle":
        """Handle of a name, path or Classifier."""
        found = load_model(model)
        if isinstance(model, Classifier):
            return cls(found.digest, None, found)
        path = _SHIPPED / f"{model}.safetensors" if str(model) in names() else Path(model).resolve()
        return cls(found.digest, str(path), None)

    def classifier(self) -> Classifier:
        """The classifier, from this process's own copy."""
        if self.itself is not None:
            return self.itself
        assert self.path is not None
        with _lock:
            found = _load(self.path)
        if found.digest != self.digest:
            raise ModelError(f"{self.path} is another model on this worker than where the maps were asked for.")
        return found

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("facies_xr.Handle", self.digest)

    def __reduce__(self) -> tuple[Callable[..., "Handle"], tuple[str, str | None, Classifier | None]]:
        return _arrived, (self.digest, self.path, self.itself)


_arrivals: dict[str, Classifier] = {}
_ARRIVALS = 8


def _arrived(digest: str, path: str | None, itself: Classifier | None) -> Handle:
    """A handle that came from another process: all tasks of one digest share one classifier, and its device copies."""
    if itself is None:
        return Handle(digest, path, None)
    with _lock:
        shared = _arrivals.setdefault(digest, itself)
        if len(_arrivals) > _ARRIVALS:
            del _arrivals[next(iter(_arrivals))]
    return Handle(digest, path, shared)


@dataclass(frozen=True)
class Members:
    """The classifiers of an ensemble, or one alone."""

    handles: tuple[Handle, ...]

    @classmethod
    def of(cls, model: Any) -> "Members":
        """Members from a model, a list of models, or the name of an ensemble.

        Raises
        ------
        ModelError
            If the list is empty, or its models differ in features, level or tile.
        """
        models = model if isinstance(model, list | tuple) else ensemble(model) or [model]
        if not models:
            raise ModelError("the list of models is empty; give at least one.")
        found = cls(tuple(Handle.of(m) for m in models))
        first, *others = found.classifiers
        for other in others:
            for what in ("feature_set", "level", "tile"):
                mine, its = getattr(first, what), getattr(other, what)
                if mine != its:
                    told = what.replace("_", " ")
                    raise ModelError(f"an ensemble needs one {told}: {first.name} has {mine}, {other.name} {its}.")
        return found

    @property
    def classifiers(self) -> list[Classifier]:
        """The classifiers, from this process's own copies."""
        return [handle.classifier() for handle in self.handles]

    @property
    def name(self) -> str:
        """Names of the members."""
        return " + ".join(c.name for c in self.classifiers)

    @property
    def digest(self) -> str:
        """Hash of all members."""
        if len(self.handles) == 1:
            return self.handles[0].digest
        return hashlib.sha256(" ".join(h.digest for h in self.handles).encode()).hexdigest()[:16]

    @property
    def bounds(self) -> str:
        """Where the members' bounds come from."""
        return ", ".join(sorted({c.bounds for c in self.classifiers}))

"""Classifiers by name, path or object, one copy in each process."""

import threading
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


def get(model: Any) -> Classifier:
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
        found = get(model)
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

    def __dask_tokenize__(self):
        return ("facies_xr.Handle", self.digest)

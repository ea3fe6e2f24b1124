"""A fitted balance method with the definitions of its predictors; kept as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, one_of
from .methods.base import Fitted, Prediction
from .methods.named import DEFAULT, EVERY
from .problem import UNKNOWN, Problem

_FORMAT = "facies_xr balance fit 2"


@dataclass(frozen=True)
class Fit:
    """A method fitted to records."""

    method: str
    """A key of ``EVERY``."""
    definitions: Mapping[str, str]
    """What its predictors mean: classifier, level, areas, classes, rule, season."""
    fitted: Fitted

    @classmethod
    def of(cls, problem: Problem, method: str = DEFAULT) -> "Fit":
        """Fit to the usable rows of a problem.

        Parameters
        ----------
        problem : Problem
        method : str
            A key of ``EVERY``.
        """
        return cls(method, dict(problem.definitions), EVERY[method].fit(problem, np.flatnonzero(problem.usable)))

    def predict(self, problem: Problem) -> Prediction:
        """Balances of all rows; NaN where a predictor is missing. [m w.e.]

        Raises
        ------
        InputError
            If the predictors do not mean what they meant when the fit was made.
        """
        names = dict.fromkeys([*self.definitions, *problem.definitions])
        differing = [
            f"{name} {mine!r}, the maps {theirs!r}"
            for name in names
            if (mine := self.definitions.get(name, UNKNOWN)) != (theirs := problem.definitions.get(name, UNKNOWN))
        ]
        if differing:
            raise InputError(
                f"this fit does not hold for these maps: it was made with {'; '.join(differing)}. "
                "Make the maps and their statistics as those of the fit, or fit anew to records."
            )
        return self.fitted.predict(problem, np.arange(len(problem)))

    def to_dict(self) -> dict[str, Any]:
        """As lists, numbers and texts."""
        return {
            "format": _FORMAT,
            "method": self.method,
            "definitions": dict(self.definitions),
            "fitted": self.fitted.to_dict(),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Fit":
        """What :meth:`to_dict` gave.

        Raises
        ------
        InputError
            If it is not a fit.
        """
        try:
            if saved["format"] != _FORMAT:
                raise ValueError(f"its format is {saved['format']!r}, not {_FORMAT!r}")
            one_of("method", saved["method"], EVERY)
            definitions = dict(saved["definitions"])
            if not all(isinstance(value, str) for value in definitions.values()):
                raise ValueError("a definition is not a text")
            return cls(saved["method"], definitions, EVERY[saved["method"]].from_dict(saved["fitted"]))
        except KeyError as error:
            raise InputError(f"this is not a fit of balances: it lacks {error}.") from error
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"this is not a fit of balances: {str(error)[:300]}") from error

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), allow_nan=False), "utf-8")
        return Path(path)

    @classmethod
    def load(cls, source: "Fit | str | Path") -> "Fit":
        """From a file that :meth:`save` wrote, or itself.

        Raises
        ------
        InputError
            If there is no fit.
        """
        if isinstance(source, Fit):
            return source
        if not isinstance(source, str | Path) or len(str(source)) > 4000 or not Path(source).is_file():
            raise InputError(f"model {str(source)[:200]!r}: no such file; give a file that Fit.save wrote.")
        try:
            saved = json.loads(Path(source).read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"model {str(source)!r}: this is not a fit of balances: {error}") from error
        return cls.from_dict(saved)

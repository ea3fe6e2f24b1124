"""A regression fitted to records, for rows with and without albedo; kept as JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from .models import METHODS, PREDICTORS, Model

DEFAULT = "pooled"
"""What ``method="regression"`` stands for."""

MIN_RECORDS = 8
MIN_WITH_ALBEDO = 20
"""Records with albedo that a fit with this third predictor needs, of three glaciers at least."""

_KEPT = ("glacier", "balance_year", "observed", *PREDICTORS)
_FORMAT = "facies_xr balance fit 1"


def method_named(name: str) -> str:
    """A method's own name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name == "regression":
        return DEFAULT
    if name not in METHODS:
        raise InputError(f"method={name!r}: choose among regression (which is {DEFAULT}), {', '.join(METHODS)}.")
    return name


@dataclass(frozen=True)
class Fit:
    """A fitted regression.

    Rows without albedo are predicted by a fit to all records that does without it.
    """

    method: str
    full: Model | None
    """With albedo; None if too few records have it."""
    short: Model

    @classmethod
    def of(cls, rows: pd.DataFrame, method: str = DEFAULT) -> "Fit":
        """Fit to records.

        Parameters
        ----------
        rows : DataFrame
            Columns ``glacier``, ``balance_year``, ``observed`` [m w.e.] and the predictors.
        method : str
            A key of ``models.METHODS``.
        """
        model, rows = METHODS[method], rows[list(_KEPT)]
        bright = rows.dropna(subset=["albedo"])
        enough = len(bright) >= MIN_WITH_ALBEDO and bright.glacier.nunique() >= 3
        full = model.fit(bright, PREDICTORS) if enough else None
        return cls(method, full, model.fit(rows, PREDICTORS[:2]))

    @property
    def rows(self) -> pd.DataFrame:
        """The records."""
        return self.short.rows

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Balances; NaN where a predictor is missing. [m w.e.]"""
        return self._by_albedo(rows, lambda model, part: model.predict(part))

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """Ends of the 95 % interval of a new record of each row. (2, row) [m w.e.]"""
        return self._by_albedo(rows, lambda model, part: model.interval(part))

    def _by_albedo(self, rows: pd.DataFrame, function: Callable) -> np.ndarray:
        bright = rows.albedo.notna().to_numpy() & (self.full is not None)
        known = rows[list(PREDICTORS[:2])].notna().all(axis=1).to_numpy()
        found = None
        for model, here in ((self.short, known & ~bright), (self.full, known & bright)):
            if model is None:
                continue
            values = np.asarray(function(model, rows[here]))
            if found is None:
                found = np.full((*values.shape[:-1], len(rows)), np.nan)
            found[..., here] = values
        assert found is not None
        return found

    # -- as JSON ------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """As text: the method, what it chose, and the records it rests on."""
        rows = self.rows.astype({"balance_year": int}).to_dict("list")
        clean = {
            k: [None if isinstance(x, float) and np.isnan(x) else x for x in map(_plain, v)] for k, v in rows.items()
        }
        return json.dumps(
            {
                "format": _FORMAT,
                "method": self.method,
                "full": None if self.full is None else self.full.hyperparameters,
                "short": self.short.hyperparameters,
                "records": clean,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Fit":
        """From text.

        Raises
        ------
        InputError
            If the text is not a fit.
        """
        try:
            found = json.loads(text)
            if found["format"] != _FORMAT:
                raise ValueError(f"its format is {found['format']!r}, not {_FORMAT!r}")
            rows = pd.DataFrame(found["records"])[list(_KEPT)]
            rows = rows.astype({name: float for name in ("observed", *PREDICTORS)})
            model = METHODS[found["method"]]
            bright = rows.dropna(subset=["albedo"])
            full = None if found["full"] is None else model.restored(bright, PREDICTORS, found["full"])
            return cls(found["method"], full, model.restored(rows, PREDICTORS[:2], found["short"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"this is not a fit of balances: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
        Path(path).write_text(self.to_json())
        return Path(path)

    @classmethod
    def load(cls, source: "Fit | xr.Dataset | str | Path") -> "Fit":
        """From a file, from balances that carry it, or itself.

        Raises
        ------
        InputError
            If there is no fit.
        """
        if isinstance(source, Fit):
            return source
        if isinstance(source, xr.Dataset):
            if "fit" not in source.attrs:
                raise InputError("the Dataset carries no fit; give what smb() returned.")
            return cls.from_json(source.attrs["fit"])
        if not isinstance(source, str | Path) or len(str(source)) > 4000 or not Path(source).is_file():
            raise InputError(f"model {str(source)[:200]!r}: no such file; give a file that Fit.save wrote.")
        return cls.from_json(Path(source).read_text())


def _plain(value: Any) -> Any:
    """A number or string of Python's own."""
    return value.item() if isinstance(value, np.generic) else value

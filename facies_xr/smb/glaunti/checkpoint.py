"""A training of a balance model under way, which a killed one continues as if nothing had been."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from ...nn import resumable

FORMAT = "facies_xr glaunti training 1"


@dataclass
class Course:
    """All that changes while a model is trained."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    loss: list[float] = field(default_factory=list)
    """Mean over the glaciers that were trained on, of each epoch, each before its step."""
    error: list[float] = field(default_factory=list)
    """Mean over the glaciers that validate, before the first epoch and after each. [(m w.e.)2]"""
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.loss)

    @property
    def curves(self) -> pd.DataFrame:
        """``loss`` and ``error`` by epoch."""
        columns = {"loss": pd.Series([float("nan"), *self.loss]), "error": pd.Series(self.error, dtype=float)}
        return pd.DataFrame(columns).rename_axis("epoch")

    def judged(self, error: float) -> None:
        """Take the error after an epoch, and keep the weights if it is the least; without one the last are kept."""
        self.error.append(error)
        if not self.best or not error >= self.error[self.best_epoch]:
            self.best_epoch = len(self.error) - 1
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def save(self, path: Path, key: str) -> None:
        """Write the state; ``key`` stands for data, settings and first weights."""
        parts = {"model": self.model.state_dict(), "best": self.best}
        about = {"best_epoch": self.best_epoch, "loss": self.loss, "error": self.error}
        resumable.write(path, FORMAT, key, parts, self.optimiser, about)

    def resume(self, path: Path, key: str) -> None:
        """Take the state of a file.

        Raises
        ------
        StoreError
            If it is of another training, or damaged.
        """
        about, parts = resumable.read(path, FORMAT, key)
        self.model.load_state_dict(parts["model"])
        resumable.restore(self.optimiser, about, parts)
        self.loss, self.error, self.best_epoch = about["loss"], about["error"], about["best_epoch"]
        self.best = parts.get("best", {})

"""A training under way in one safetensors file: what a killed one needs to go on as if nothing had been."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ...errors import StoreError

FORMAT = "facies_xr glaunti training 1"
KEY = "facies_xr"


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
        """Write; a file of that name is replaced at once, so that there is always a whole one.

        Parameters
        ----------
        path : Path
        key : str
            Stands for data, settings and first weights: another training does not go on from here.
        """
        optimiser = self.optimiser.state_dict()
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"best.{n}": t for n, t in self.best.items()}
        tensors |= {f"optimiser.{k}.{n}": t for k, state in optimiser["state"].items() for n, t in state.items()}
        about = {"format": FORMAT, "key": key, "best_epoch": self.best_epoch, "loss": self.loss, "error": self.error,
                 "groups": optimiser["param_groups"]}  # fmt: skip
        beside = path.with_name(f".{path.name}.unfinished")
        whole = {n: t.detach().contiguous().clone() for n, t in tensors.items()}
        safetensors.torch.save_file(whole, beside, {KEY: json.dumps(about)})
        beside.replace(path)

    def resume(self, path: Path, key: str) -> None:
        """Take the state of a file.

        Raises
        ------
        StoreError
            If it is of another training, or damaged.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})[KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']!r}")
        except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is no training that can go on ({error}); remove it to start anew.") from error
        if about["key"] != key:
            raise StoreError(f"{path} is a training with other data or settings; choose another name, or remove it.")

        def part(name: str) -> dict[str, Tensor]:
            return {n.removeprefix(f"{name}."): t for n, t in tensors.items() if n.startswith(f"{name}.")}

        self.model.load_state_dict(part("model"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimiser").items():
            number, _, what = name.partition(".")
            moments.setdefault(int(number), {})[what] = tensor
        self.optimiser.load_state_dict({"state": moments, "param_groups": about["groups"]})
        self.loss, self.error, self.best_epoch = about["loss"], about["error"], about["best_epoch"]
        self.best = part("best")

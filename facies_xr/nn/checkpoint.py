"""A training under way, in one safetensors file: what a killed run needs to go on as if nothing had been.

Weights, the best weights so far, the moments of the optimiser and the state of torch's random numbers are arrays; the
learning rate, NumPy's random numbers and the curves are JSON in the header. Nothing is pickled.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch

from ..errors import StoreError
from .network import Network

FORMAT = "facies_xr training 1"
_KEY = "facies_xr"


@dataclass
class Training:
    """All that changes while a network is trained."""

    network: Network
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    loss: list[float] = field(default_factory=list)
    """Mean over the batches of each epoch."""
    iou: list[float] = field(default_factory=list)
    """Mean IoU of the validation samples after each epoch."""
    best_epoch: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    """Weights of the epoch with the highest IoU."""

    def keep_best(self) -> None:
        """Remember the weights, if the last epoch was better than all before."""
        if not self.best or self.iou[-1] > self.iou[self.best_epoch]:
            self.best_epoch = len(self.iou) - 1
            self.best = {n: t.detach().clone() for n, t in self.network.state_dict().items()}

    def save(self, path: Path, key: str) -> None:
        """Write the state; a file of that name is replaced at once, so that there is always a whole one.

        Parameters
        ----------
        path : Path
        key : str
            Stands for data and settings: another training does not go on from here.
        """
        optimiser = self.optimiser.state_dict()
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"best.{n}": t for n, t in self.best.items()}
        tensors |= {f"optimiser.{k}.{n}": t for k, state in optimiser["state"].items() for n, t in state.items()}
        tensors |= {f"random.{n}": t for n, t in _random_state().items()}
        about = {
            "format": FORMAT,
            "key": key,
            "best_epoch": self.best_epoch,
            "loss": self.loss,
            "iou": self.iou,
            "rng": self.rng.bit_generator.state,
            "schedule": self.schedule.state_dict(),
            "groups": optimiser["param_groups"],
        }
        beside = path.with_name(f".{path.name}.unfinished")
        on_cpu = {n: t.detach().cpu().contiguous() for n, t in tensors.items()}
        safetensors.torch.save_file(on_cpu, beside, {_KEY: json.dumps(about)})
        beside.replace(path)

    def resume(self, path: Path, key: str) -> None:
        """Take the state of a file.

        Raises
        ------
        StoreError
            If it is of another training, or damaged.
        """
        about, tensors = _read(path)
        if about["key"] != key:
            raise StoreError(f"{path} is a training with other data or settings; choose another name, or remove it.")

        def part(name: str) -> dict[str, torch.Tensor]:
            return {n.removeprefix(f"{name}."): t for n, t in tensors.items() if n.startswith(f"{name}.")}

        self.network.load_state_dict(part("network"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in part("optimiser").items():
            number, _, what = name.partition(".")
            moments.setdefault(int(number), {})[what] = tensor
        self.optimiser.load_state_dict({"state": moments, "param_groups": about["groups"]})
        self.schedule.load_state_dict(about["schedule"])
        self.rng.bit_generator.state = about["rng"]
        _set_random_state(part("random"))
        self.loss, self.iou, self.best_epoch = about["loss"], about["iou"], about["best_epoch"]
        self.best = {n: t.to(self.network.device) for n, t in part("best").items()}


def curves(path: str | Path) -> pd.DataFrame:
    """Loss and IoU of each epoch of a training under way.

    Raises
    ------
    StoreError
        If there is no such file, or it is damaged.
    """
    about, _ = _read(Path(path))
    return pd.DataFrame({"loss": about["loss"], "iou": about["iou"]}).rename_axis("epoch")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r}")
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a training that can be resumed ({error}); remove it to start anew.") from error
    return about, tensors


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

"""A training of a network under way, which a killed run continues as if nothing had been.

Weights, the best weights so far, the moments of the optimiser and the state of torch's random numbers are arrays; the
learning rate, NumPy's random numbers and the curves are JSON in the header (:mod:`.resumable`).
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import resumable
from .network import Network

FORMAT = "facies_xr training 1"


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
    """Weights of the epoch that is kept."""

    def keep(self, kept: str) -> None:
        """Remember the weights of the last epoch: "best" only if it was better than all before, "last" always."""
        if kept == "last" or not self.best or self.iou[-1] > self.iou[self.best_epoch]:
            self.best_epoch = len(self.iou) - 1
            self.best = {n: t.detach().clone() for n, t in self.network.state_dict().items()}

    def save(self, path: Path, key: str) -> None:
        """Write the state; ``key`` stands for data and settings."""
        parts = {"network": self.network.state_dict(), "best": self.best, "random": _random_state()}
        about = {
            "best_epoch": self.best_epoch,
            "loss": self.loss,
            "iou": self.iou,
            "rng": self.rng.bit_generator.state,
            "schedule": self.schedule.state_dict(),
        }
        resumable.write(path, FORMAT, key, parts, self.optimiser, about)

    def resume(self, path: Path, key: str) -> None:
        """Take the state of a file.

        Raises
        ------
        StoreError
            If it is of another training, or damaged.
        """
        about, parts = resumable.read(path, FORMAT, key)
        self.network.load_state_dict(parts["network"])
        resumable.restore(self.optimiser, about, parts)
        self.schedule.load_state_dict(about["schedule"])
        self.rng.bit_generator.state = about["rng"]
        _set_random_state(parts["random"])
        self.loss, self.iou, self.best_epoch = about["loss"], about["iou"], about["best_epoch"]
        self.best = {n: t.to(self.network.device) for n, t in parts.get("best", {}).items()}


def curves(path: str | Path) -> pd.DataFrame:
    """Loss and IoU of each epoch of a training under way.

    Raises
    ------
    StoreError
        If there is no such file, or it is damaged.
    """
    about, _ = resumable.read(Path(path), FORMAT)
    return pd.DataFrame({"loss": about["loss"], "iou": about["iou"]}).rename_axis("epoch")


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

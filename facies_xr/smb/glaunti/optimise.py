"""Adam with clipped gradients, as published: for training, and for whatever else is optimised."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Adam:
    """How steps are made."""

    learning_rate: float = 1e-3
    clip: float = 5.0
    """Largest norm of all gradients together."""
    steps: int = 50


class Step(NamedTuple):
    """Before a step is made."""

    value: float
    gradient_norm: float


def clip(gradients: Iterable[Tensor], largest: float) -> float:
    """Scale gradients down, in place, to a norm of all together that is at most the largest; gives their norm."""
    gradients = list(gradients)
    norm = torch.stack([g.detach().double().norm() for g in gradients]).norm()
    if norm > largest:
        for gradient in gradients:
            gradient.mul_(largest / norm)
    return float(norm)


def descend(objective: Callable[[], Tensor], parameters: Iterable[Tensor], settings: Adam) -> Iterator[Step]:
    """Steps of Adam down an objective; each is yielded before the parameters move.

    Parameters
    ----------
    objective : callable
        Gives the value; its gradient is taken here.
    parameters : iterable of Tensor
        Leaves that are moved, in place.
    settings : Adam
    """
    parameters = [p for p in parameters if p.requires_grad]
    adam = torch.optim.Adam(parameters, settings.learning_rate)
    for _ in range(settings.steps):
        adam.zero_grad()
        value = objective()
        value.backward()
        norm = clip([p.grad for p in parameters if p.grad is not None], settings.clip)
        yield Step(float(value.detach()), norm)
        adam.step()

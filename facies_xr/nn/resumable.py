"""The state of a training under way in one safetensors file: what a killed one needs to go on.

Tensors lie in parts by name, with the optimiser's moments among them; all else is JSON in the header. Nothing is
pickled.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ..errors import StoreError
from .model_file import KEY, put

MOMENTS = "optimiser"
"""Part of the optimiser."""

Parts = dict[str, dict[str, Tensor]]


def write(
    path: Path, form: str, key: str, parts: Mapping[str, Mapping[str, Tensor]], optimiser: torch.optim.Optimizer,
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a state; a file of that name is replaced at once, so that there is always a whole one.

    Parameters
    ----------
    path : Path
    form : str
        Name and version of the format.
    key : str
        Stands for all that decides the training: another does not go on from here.
    parts : mapping
        Tensors by part and name.
    optimiser : Optimizer
    about : mapping
        What goes into the header.
    """
    state = optimiser.state_dict()
    moments = {f"{k}.{n}": t for k, values in state["state"].items() for n, t in values.items()}
    tensors = {f"{part}.{n}": t for part, values in {**parts, MOMENTS: moments}.items() for n, t in values.items()}
    whole = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    header = {**about, "format": form, "key": key, "groups": state["param_groups"]}
    put(path, whole, json.dumps(header))


def read(path: Path, form: str, key: str | None = None) -> tuple[dict[str, Any], Parts]:
    """Header and parts of a state.

    Raises
    ------
    StoreError
        If it is of another training, where a key is given, or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["format"] != form:
            raise ValueError(f"format {about['format']!r}")
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a training that can be resumed ({error}); remove it to start anew.") from error
    if key is not None and about["key"] != key:
        raise StoreError(f"{path} is a training with other data or settings; choose another name, or remove it.")
    parts: Parts = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return about, parts


def restore(optimiser: torch.optim.Optimizer, about: Mapping[str, Any], parts: Parts) -> None:
    """Give an optimiser the moments of a state."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts.get(MOMENTS, {}).items():
        number, _, what = name.partition(".")
        moments.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": about["groups"]})

"""What a balance is due to, and what weather it would take: integrated gradients and inverse optimisation."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import StoreError
from ...progress import tracked
from .optimise import Adam, descend

Balance = Callable[[Tensor, Tensor], Tensor]
"""From temperature and precipitation (time, ...) to one number. [m w.e.]"""


class Attribution(NamedTuple):
    """Shares of the difference between the balance in some weather and that in its baseline. [m w.e.]"""

    temperature: Tensor
    """(time, ...)."""
    precipitation: Tensor
    balance: float
    baseline: float


def integrated_gradients(
    balance: Balance,
    weather: tuple[Tensor, Tensor],
    baseline: tuple[Tensor, Tensor],
    *,
    points: int = 100,
    keep: str | Path | None = None,
    shown: bool = False,
) -> Attribution:
    """Integrated gradients along the straight way from a baseline to the weather (Sundararajan et al. 2017).

    Parameters
    ----------
    balance : callable
        Of temperature and precipitation, for example glacier-wide.
    weather, baseline : (Tensor, Tensor)
        Temperature [degC] and precipitation [m w.e. per day] (time, ...); a baseline is for example the climatology.
    points : int
        At which gradients are taken, both ends included; their plain mean is used, as published.
    keep : path, optional
        File (.npz) of the sums so far, written after every tenth point, from which a stopped call goes on.
    shown : bool
        Whether progress is.

    Raises
    ------
    StoreError
        If the file is of another balance or weather.

    Notes
    -----
    ``(x - x0) mean_alpha grad f(x0 + alpha (x - x0))``. All shares together are the difference of the balances but for
    the error of the sum; that of ``points`` can so be checked.
    """
    with torch.no_grad():
        ends = [float(balance(*w)) for w in (baseline, weather)]
    totals, done = [torch.zeros_like(x) for x in weather], 0
    path = None if keep is None else Path(keep)
    if path is not None and path.exists():
        done = _taken_up(path, totals, [*ends, points])
    alphas = torch.linspace(0, 1, points, dtype=torch.float64).tolist()
    with tracked("gradients", points, shown=shown) as tracker:
        tracker.at(done)
        for number in range(done, points):
            between = [(x0 + alphas[number] * (x - x0)).requires_grad_()
                       for x, x0 in zip(weather, baseline, strict=True)]  # fmt: skip
            for total, gradient in zip(totals, torch.autograd.grad(balance(*between), between), strict=True):
                total += gradient / points
            tracker.advance()
            if path is not None and ((number + 1) % EVERY == 0 or number + 1 == points):
                _put_down(path, totals, [*ends, points], number + 1)
    shares = [(x - x0) * total for x, x0, total in zip(weather, baseline, totals, strict=True)]
    return Attribution(shares[0], shares[1], ends[1], ends[0])


EVERY = 10
"""Points after which the sums are written."""


def _put_down(path: Path, totals: list[Tensor], key: list[float], done: int) -> None:
    beside = path.with_name(f".{path.name}.unfinished.npz")
    np.savez(beside, key=np.array(key), done=done, **{f"total_{k}": t.numpy() for k, t in enumerate(totals)})
    beside.replace(path)


def _taken_up(path: Path, totals: list[Tensor], key: list[float]) -> int:
    """Set the sums to those of a file; how many points they have."""
    try:
        with np.load(path) as file:
            same, done = bool((file["key"] == np.array(key)).all()), int(file["done"])
            found = [torch.from_numpy(file[f"total_{k}"]) for k in range(len(totals))]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StoreError(f"{path} holds no sums of gradients ({error}); remove it to start anew.") from error
    if not same or any(a.shape != b.shape for a, b in zip(found, totals, strict=True)):
        raise StoreError(f"{path} is of another balance, weather or number of points; remove it to start anew.")
    for mine, theirs in zip(totals, found, strict=True):
        mine.copy_(theirs)
    return done


class Inverse(NamedTuple):
    """A search for a shift of the temperature."""

    shift: float
    """That with the smallest absolute balance. [K]"""
    balance: float
    """With it. [m w.e.]"""
    path: Tensor
    """Shift, objective and balance of each step (step, 3)."""


PENALTY = 1e-4
"""Of the squared shift beside the squared balance, as published. [(m w.e.)2 K-2]"""


def warming_for_balance(
    balance: Callable[[Tensor], Tensor], *, settings: Adam | None = None, dtype: torch.dtype = torch.float64,
    keep: str | Path | None = None, shown: bool = False,
) -> Inverse:  # fmt: skip
    """The uniform shift of temperature with which a balance is nought.

    Parameters
    ----------
    balance : callable
        Of the shift [K], in m w.e., for example the mean of some years.
    settings : Adam
        200 steps of .05 K by default, as published.
    dtype : torch dtype
    keep : path, optional
        Table (.csv) of the steps, a row each as it is made; a stopped search goes on from its last to the same bits.
    shown : bool
        Whether progress is.

    Raises
    ------
    StoreError
        If the table is of another search.
    """
    settings = settings or Adam(learning_rate=5e-2, steps=200)
    shift = torch.zeros((), dtype=dtype, requires_grad=True)
    found: list[tuple[float, ...]] = []
    path = None if keep is None else Path(keep)
    made = _steps_of(path) if path is not None and path.exists() else []
    with torch.no_grad():
        if made and float(balance(shift)) != made[0][2]:
            raise StoreError(f"{path} is of another search; choose another name, or remove it.")
    latest: list[float] = []

    def objective() -> Tensor:
        if len(found) < len(made):  # the value and its gradient as they were
            latest.append(made[len(found)][2])
            return torch.tensor(made[len(found)][1], dtype=dtype) + made[len(found)][3] * (shift - shift.detach())
        value = balance(shift)
        latest.append(float(value.detach()))
        return PENALTY * shift**2 + value**2

    with tracked("steps", settings.steps, shown=shown) as tracker:
        for step in descend(objective, [shift], settings):
            assert shift.grad is not None
            gradient = math.copysign(step.gradient_norm, float(shift.grad))
            found.append((float(shift.detach()), step.value, latest[-1], gradient))
            if path is not None and len(found) > len(made):
                _append(path, found)
            tracker.advance()
    best = min(found, key=lambda row: abs(row[2]))
    return Inverse(best[0], best[2], torch.tensor(found, dtype=torch.float64)[:, :3])


STEP = ("shift", "objective", "balance", "gradient")
"""Columns of the table of steps. [K; (m w.e.)2; m w.e.; (m w.e.)2 K-1]"""


def _append(path: Path, found: list[tuple[float, ...]]) -> None:
    with path.open("w" if len(found) == 1 else "a", newline="") as file:
        table = csv.writer(file)
        if len(found) == 1:
            table.writerow(STEP)
        table.writerow([repr(value) for value in found[-1]])


def _steps_of(path: Path) -> list[tuple[float, ...]]:
    """Whole rows of a table; one that was not finished is cut off."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = list(csv.reader(whole.splitlines()))
    try:
        if rows and tuple(rows[0]) != STEP:
            raise ValueError("its columns are others")
        return [tuple(map(float, row)) for row in rows[1:]]
    except ValueError as error:
        raise StoreError(f"{path} is no table of steps ({error}); choose another name, or remove it.") from error

"""Experiments with a model on a glacier: in what warmth it would be in balance, and what a year's balance is due to."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from ...errors import InputError
from ..degreeday import fast
from ..degreeday.parameters import resolved
from .correction import corrected
from .dataset import Glacier, Year
from .explain import Inverse, integrated_gradients, warming_for_balance
from .loss import by_season, mean_over
from .models import Corrected, Model
from .optimise import Adam


def _require(glacier: Glacier, years: Iterable[int]) -> list[int]:
    wanted = sorted(set(map(int, years)))
    if not wanted or not set(wanted) <= set(glacier.run):
        raise InputError(
            f"{glacier.name} has the balance years {glacier.run[0]} to {glacier.run[-1]}, without those of the "
            f"spin-up; {', '.join(map(str, wanted)) or 'none'} cannot be asked for."
        )
    return wanted


def _state_before(model: Model, glacier: Glacier, year: int) -> Tensor:
    """Of the model at the start of a year."""
    state: Tensor | None = None
    spinning = [(y, True) for y in glacier.spinning]
    for number, spin_up in [*spinning, *((y, False) for y in glacier.run if y < year)]:
        data = glacier.year(number, facies=model.facies)
        with torch.no_grad():
            state = model.run(data, model.start(data) if state is None else state, spin_up=spin_up).state
    return model.start(glacier.year(year, facies=model.facies)).detach() if state is None else state


def shift_for_balance(
    model: Model,
    glacier: Glacier,
    *,
    years: Iterable[int],
    since: int | None = None,
    settings: Adam | None = None,
    keep: str | Path | None = None,
    shown: bool = True,
) -> Inverse:
    """The shift of all temperatures from some year on with which the mean balance of some years is nought.

    Parameters
    ----------
    model : Model
    glacier : Glacier
    years : iterable of int
        Balance years whose mean glacier-wide balance is to be 0.
    since : int, optional
        First year that is warmer or colder; by default the first of them. In papers/002 five years earlier.
    settings : Adam
        200 steps of .05 K by default, as published.
    keep, shown
        As :func:`~facies_xr.smb.glaunti.explain.warming_for_balance` takes them.

    Raises
    ------
    InputError
        If the glacier has not all these years.
    """
    wanted = _require(glacier, years)
    since = wanted[0] if since is None else since
    _require(glacier, [since])
    start = _state_before(model, glacier, since)
    run = [glacier.year(y, facies=model.facies) for y in glacier.run if since <= y <= wanted[-1]]

    def balance(shift: Tensor) -> Tensor:
        state, found = start, []
        for year in run:
            outcome = model.run(_warmer(year, shift, glacier.scales.temperature), state)
            state = outcome.state
            if year.year in wanted:
                found.append(mean_over(by_season(outcome.balance)["annual"], year.outline))
        return torch.stack(found).mean()

    return warming_for_balance(balance, settings=settings, dtype=torch.float32, keep=keep, shown=shown)


def _warmer(year: Year, shift: Tensor, scale: float) -> Year:
    seasons = {name: (warm + shift, wet) for name, (warm, wet) in year.seasons.items()}
    climate = torch.stack([year.climate[0] + shift / scale, year.climate[1]])
    return replace(year, seasons=seasons, climate=climate)


def attribution(
    model: Model,
    glacier: Glacier,
    year: int,
    *,
    points: int = 100,
    keep: str | Path | None = None,
    shown: bool = True,
) -> xr.Dataset:
    """What the glacier-wide annual balance of a year is due to, against the climatology of its months.

    Parameters
    ----------
    model : Model
    glacier : Glacier
    year : int
    points, keep, shown
        As :func:`~facies_xr.smb.glaunti.explain.integrated_gradients` takes them.

    Returns
    -------
    Dataset (time, y, x)
        ``temperature`` and ``precipitation``: shares of ``balance`` - ``baseline``, which are attributes, in each
        pixel and day. [m w.e.]

    Raises
    ------
    InputError
        If the glacier has no such year.

    Notes
    -----
    The snow at the year's start, and where there is a corrector its corrections, are those of the actual run. The
    baseline is the mean of each calendar month over the years after the spin-up, in each pixel (papers/002).
    """
    _require(glacier, [year])
    data = _merged(glacier.year(year, facies=model.facies))
    state = _state_before(model, glacier, year)
    weather, days = data.seasons["annual"], pd.DatetimeIndex(data.dates["annual"])
    others = [_merged(glacier.year(y)) for y in glacier.run]
    month = np.concatenate([pd.DatetimeIndex(o.dates["annual"]).month for o in others])
    baseline = []
    for k in range(2):
        every = torch.cat([o.seasons["annual"][k] for o in others])
        means = torch.stack([every[month == m].mean(0) if (month == m).any() else every[0] for m in range(1, 13)])
        baseline.append(means[days.month.to_numpy() - 1])
    shares = integrated_gradients(_held(model, data, state), weather, (baseline[0], baseline[1]), points=points,
                                  keep=keep, shown=shown)  # fmt: skip
    grid = {axis: glacier.geometry[axis] for axis in ("y", "x")}
    named = {name: (("time", "y", "x"), getattr(shares, name).numpy(), {"units": "m (of water equivalent)"})
             for name in ("temperature", "precipitation")}  # fmt: skip
    about = {"balance": shares.balance, "baseline": shares.baseline, "glacier": glacier.name, "balance_year": year}
    return xr.Dataset(named, {"time": days, **grid}, about)


def _merged(year: Year) -> Year:
    """Winter and summer as one period, whose common day is there once."""
    seasons, dates = list(year.seasons.values()), list(year.dates.values())
    if len(seasons) == 1:
        return replace(year, seasons={"annual": seasons[0]}, dates={"annual": dates[0]})
    whole = tuple(torch.cat([seasons[0][k], seasons[1][k][1:]]) for k in range(2))
    return replace(year, seasons={"annual": whole}, dates={"annual": np.concatenate([dates[0], dates[1][1:]])})  # type: ignore[dict-item]


def _held(model: Model, year: Year, state: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Glacier-wide balance of a year by its weather, with the snow and the corrections that the year has."""
    if not isinstance(model, Corrected):
        return lambda warm, wet: mean_over(
            model.run(replace(year, seasons={"annual": (warm, wet)}), state).balance["annual"], year.outline
        )
    with torch.no_grad():
        p, warming = corrected(resolved(model.free), model.corrections(year, state))
    return lambda warm, wet: mean_over(fast.period(p, warm, wet, state, warming, model.store).balance, year.outline)

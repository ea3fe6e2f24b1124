"""The four published models over a balance year: a temperature-index, b recurrent, c and d with a corrector."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ...errors import one_of
from ..degreeday import fast, integrate
from ..degreeday.parameters import SMOOTH, TRAINABLE, resolved
from . import published
from .correction import corrected, first_guess
from .dataset import Year
from .files import ANEW, STORES, Saved, Scales
from .network import Corrector
from .recurrent import Recurrent


class Outcome(NamedTuple):
    """A balance year."""

    balance: dict[str, Tensor]
    """Of each season: (y, x), or (time, y, x) day by day. [m w.e.]"""
    state: Tensor
    corrections: Tensor | None = None
    """(5, y, x), or of each season (season, 5, y, x)."""


class Model(Protocol):
    """A model with its state, which goes from year to year."""

    @property
    def facies(self) -> bool:
        """Whether it reads facies."""

    def start(self, year: Year) -> Tensor:
        """State before the first year."""

    def run(self, year: Year, state: Tensor, *, spin_up: bool = False, daily: bool = False) -> Outcome:
        """A balance year."""


class TemperatureIndex(nn.Module):
    """Model a: the smooth temperature-index model, the same parameters everywhere."""

    facies = False

    def __init__(self, free: Mapping[str, Tensor], *, store: str = fast.PUBLISHED):
        super().__init__()
        one_of("store", store, STORES)
        self.store = store
        self.free = nn.ParameterDict(
            {name: nn.Parameter(free[name].detach().clone(), requires_grad=name in TRAINABLE) for name in SMOOTH}
        )

    def start(self, year: Year) -> Tensor:
        """As much snow as the depletion curve's centre."""
        return integrate.bare(resolved(self.free), year.outline)

    def run(self, year: Year, state: Tensor, *, spin_up: bool = False, daily: bool = False) -> Outcome:
        """A balance year."""
        return seasons(resolved(self.free), year, state, None, daily, self.store)


def seasons(p, year: Year, state: Tensor, corrections: Tensor | None, daily: bool, store: str) -> Outcome:
    """The seasons of a year one after the other, with the same corrections."""
    p, warming = corrected(p, corrections)
    balance = {}
    for name, weather in year.seasons.items():
        balance[name], state = (fast.series if daily else fast.period)(p, *weather, state, warming, store)
    return Outcome(balance, state, corrections)


class Corrected(nn.Module):
    """Models c and d: a frozen temperature-index model, whose parameters a network corrects for each year.

    Parameters
    ----------
    free : mapping of Tensor
        Free numbers of the temperature-index model.
    network : Corrector
    facies : bool
        Whether the network is given facies (d) or not (c).
    anew : {"published", "year", "season"}
        When corrections are made: at the start of each year, and as published again for the summers of the spin-up,
        from the snow at the winter's end; of "year" alone; or anew for each season, from the snow at its start.
    store : {"published", "conserving"}
        How the snow is kept, see :mod:`facies_xr.smb.degreeday.steps`.
    """

    def __init__(self, free: Mapping[str, Tensor], network: Corrector, *, facies: bool = False,
                 anew: str = "published", store: str = fast.PUBLISHED):  # fmt: skip
        super().__init__()
        self.network, self.facies = network, facies
        one_of("anew", anew, ANEW)
        one_of("store", store, STORES)
        self.anew, self.store = anew, store
        for name in SMOOTH:
            self.register_buffer(f"free_{name}", free[name].detach().clone())

    @property
    def free(self) -> dict[str, Tensor]:
        """Free numbers of the temperature-index model."""
        return {name: getattr(self, f"free_{name}") for name in SMOOTH}

    def start(self, year: Year) -> Tensor:
        """As much snow as the uncorrected depletion curve's centre."""
        return integrate.bare(resolved(self.free), year.outline)

    def corrections(self, year: Year, state: Tensor) -> Tensor:
        """Of a year (5, y, x), from the snow at its start."""
        guess = first_guess(resolved(self.free), year.whole, state, self.store)
        return self.network(torch.cat([guess, year.fields]), year.climate, year.outline)

    def run(self, year: Year, state: Tensor, *, spin_up: bool = False, daily: bool = False) -> Outcome:
        """A balance year."""
        p = resolved(self.free)
        again = self.anew == "season" or (self.anew == "published" and spin_up)
        made = [self.corrections(year, state)]
        balance: dict[str, Tensor] = {}
        for name, weather in year.seasons.items():
            if balance and again:
                made.append(self.corrections(year, state))
            season = seasons(p, replace(year, seasons={name: weather}), state, made[-1], daily, self.store)
            balance[name], state = season.balance[name], season.state
        return Outcome(balance, state, torch.stack(made) if self.anew == "season" else made[-1])


class RecurrentModel(nn.Module):
    """Model b: days through a gated recurrent unit."""

    facies = False

    def __init__(self, scales: Scales | None = None):
        super().__init__()
        scales = scales or Scales()
        self.unit = Recurrent((scales.precipitation, scales.temperature))

    def start(self, year: Year) -> Tensor:
        """Nothing; the unit has numbers of its own for that."""
        return torch.empty(0)

    def run(self, year: Year, state: Tensor, *, spin_up: bool = False, daily: bool = False) -> Outcome:
        """A balance year."""
        balance, hidden = {}, state if state.numel() else None
        for name, weather in year.seasons.items():
            days, hidden = self.unit(*weather, hidden)
            balance[name] = days if daily else days.sum(0)
        return Outcome(balance, hidden if hidden is not None else state)


def of_saved(saved: Saved) -> TemperatureIndex | Corrected | RecurrentModel:
    """The model of a file."""
    if saved.kind == "recurrent":
        recurrent = RecurrentModel(saved.scales)
        recurrent.unit.load_state_dict(dict(saved.weights))
        return recurrent
    if saved.kind == "temperature-index":
        return TemperatureIndex(saved.parameters, store=saved.store)
    network = Corrector(limit=saved.limit, masked=saved.masked)
    network.load_state_dict(dict(saved.weights))
    return Corrected(saved.parameters, network, facies=saved.facies, anew=saved.anew, store=saved.store)


def opened(path: str | Path) -> TemperatureIndex | Corrected | RecurrentModel:
    """The model of a file: ours, or published parameters (.npz)."""
    return of_saved(published.read(path) if Path(path).suffix == ".npz" else Saved.load(path))


def to_saved(model: nn.Module, card: Mapping[str, object] | None = None) -> Saved:
    """A model as a file holds it."""
    card = card or {}
    if isinstance(model, RecurrentModel):
        return Saved("recurrent", model.unit.state_dict(), card=card)
    free = {f"parameter.{name}": value for name, value in model.free.items()}
    if isinstance(model, TemperatureIndex):
        return Saved("temperature-index", free, store=model.store, card=card)
    if isinstance(model, Corrected):
        network = model.network
        return Saved("corrector", {**network.state_dict(), **free}, facies=model.facies, masked=network.masked,
                     limit=network.limit, anew=model.anew, store=model.store, card=card)  # fmt: skip
    raise TypeError(f"{type(model).__name__} is no model of this room")

"""The smooth models over periods, by the compiled loops where they can, and else by the plain ones.

The loops take float32 on the processor; other tensors go through :mod:`facies_xr.smb.degreeday.integrate`, to which the
loops are held. Gradients of parameters and of the first snow are carried forward beside the snow, so nothing is kept a
day; those of the weather are taken backwards, block by block, of the published store alone.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import backward, blocks, conserving, integrate, loops, steps
from .parameters import Number, Smooth
from .steps import After

FIELDS = ("precipitation_factor", "degree_day_factor_snow", "ice_to_snow", "rain_centre")
"""Parameters that may differ from pixel to pixel."""

PUBLISHED = "published"
LOOPS: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    PUBLISHED: (loops.forward, loops.tangents),
    "conserving": (conserving.forward, conserving.tangents),
}
"""By the name of the snow store: without and with derivatives."""


@dataclass(frozen=True)
class Weather:
    """Weather of cells, and which pixel lies in which cell and how much warmer."""

    temperature: Tensor
    """(time, cell) [degC]."""
    precipitation: Tensor
    """(time, cell) [m w.e. per day]."""
    cell: Tensor
    """Of each pixel (pixel,)."""
    offset: Tensor
    """Added to the temperature in each pixel (pixel,) [K]."""

    @classmethod
    def of_pixels(cls, temperature: Tensor, precipitation: Tensor) -> "Weather":
        """Each pixel its own cell; of (time, pixel)."""
        pixels = temperature.shape[1]
        return cls(temperature, precipitation, torch.arange(pixels), torch.zeros(pixels))

    @cached_property
    def layout(self) -> "Layout":
        """Pixels in the order of the loops; sorted once, and not again for other weather of the same cells."""
        cells, offsets = self.cell.numpy().astype("int32"), self.offset.detach().numpy().astype("float32")
        order = np.arange(len(cells))
        if len(cells) > self.temperature.shape[1]:
            order = np.lexsort((offsets, cells))
        order = np.concatenate([order, np.repeat(order[-1:], -len(cells) % blocks.WIDTH)])
        missing = np.isnan(offsets)
        return Layout(order, cells, missing, cells[order], np.where(missing, np.float32(0), offsets)[order])


@dataclass(frozen=True)
class Layout:
    """Pixels in the order of cells and temperatures, filled up to whole blocks."""

    order: np.ndarray
    """Pixel at each place."""
    cell: np.ndarray
    """Of each pixel."""
    missing: np.ndarray
    """Pixels without an offset."""
    cells: np.ndarray
    """Of each place."""
    offsets: np.ndarray
    """Of each place. [K]"""


@dataclass(frozen=True)
class Days:
    """The days that are run, in order, and the periods that they make."""

    day: np.ndarray
    """Step of the weather's time."""
    weight: np.ndarray
    end: np.ndarray
    """Number of the period that ends with the day, else -1."""

    @classmethod
    def of_periods(cls, *bounds: tuple[int, int]) -> "Days":
        """Periods from one day to another, both included, one after the other."""
        ranges = [np.arange(first, last + 1) for first, last in bounds]
        ends = [np.r_[np.full(len(r) - 1, -1), k] for k, r in enumerate(ranges)]
        weights = [np.asarray(integrate.weights(len(r))) for r in ranges]
        return cls(np.concatenate(ranges), np.concatenate(weights), np.concatenate(ends))

    @classmethod
    def daily(cls, days: int) -> "Days":
        """A period, each day of which is given back."""
        return cls(np.arange(days), np.asarray(integrate.weights(days)), np.arange(days))


def period(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0,
           store: str = PUBLISHED) -> After:  # fmt: skip
    """As :func:`facies_xr.smb.degreeday.integrate.period`, with a smooth store by its name."""
    if not _fits(store, temperature, precipitation):
        return integrate.period(steps.STEPS[store], p, temperature, precipitation, snow, warming)
    balance, after = _on_pixels(
        p, temperature, precipitation, snow, warming, Days.of_periods((0, len(temperature) - 1)), store
    )
    return After(balance[0], after)


def series(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number = 0.0,
           store: str = PUBLISHED) -> After:  # fmt: skip
    """Balance of each day of a period (time, ...), and the snow at its end (...)."""
    if not _fits(store, temperature, precipitation):
        run = integrate.series(steps.STEPS[store], p, temperature, precipitation, snow, warming)
        return After(run.balance, run.snow[-1])
    return _on_pixels(p, temperature, precipitation, snow, warming, Days.daily(len(temperature)), store)


def _fits(store: str, *weather: Tensor) -> bool:
    """Whether the loops can do it: float32 on the processor, and no gradient of the weather that they do not have."""
    differentiated = torch.is_grad_enabled() and any(w.requires_grad for w in weather)
    return all(w.dtype == torch.float32 and w.device.type == "cpu" for w in weather) and not (
        differentiated and store != PUBLISHED
    )


def _on_pixels(p: Smooth, temperature: Tensor, precipitation: Tensor, snow: Tensor, warming: Number, days: Days,
               store: str) -> After:  # fmt: skip
    shape = temperature.shape[1:]
    flat = [t.reshape(len(t), -1) for t in torch.broadcast_tensors(temperature, precipitation)]
    fields = {name: _flat(getattr(p, name), shape) for name in FIELDS}
    balance, after = periods(p._replace(**fields), Weather.of_pixels(*flat), days, _flat(snow, shape),
                             _flat(warming, shape), store)  # fmt: skip
    return After(balance.reshape(-1, *shape), after.reshape(shape))


def _flat(value: Number, shape: torch.Size) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32).expand(shape).reshape(-1)


def periods(p: Smooth, weather: Weather, days: Days, snow: Number, warming: Number = 0.0, store: str = PUBLISHED
            ) -> After:  # fmt: skip
    """Balance of each period (period, pixel), and the snow at the end (pixel,), by the compiled loops. [m w.e.]

    Parameters
    ----------
    p : Smooth
        Numbers, of which :data:`FIELDS` may be tensors (pixel,).
    weather : Weather
    days : Days
    snow : float or Tensor (pixel,)
        Before the first day. [m w.e.]
    warming : float or Tensor (pixel,)
        Added to the temperature that melts. [K]
    store : {"published", "conserving"}
    """
    shape = weather.cell.shape
    fields = [_flat(getattr(p, name), shape) for name in FIELDS]
    numbers = [torch.as_tensor(getattr(p, name), dtype=torch.float32) for name in blocks.SCALARS]
    if not torch.is_grad_enabled():
        ready = _Prepared((weather.temperature, weather.precipitation), weather.layout,
                          [*fields, _flat(warming, shape), _flat(snow, shape)], numbers, days, store)  # fmt: skip
        balance, after, *_ = ready.alone()
        return After(ready.back(balance), ready.back(after))
    return After(*_Periods.apply(weather.temperature, weather.precipitation, *fields, _flat(warming, shape),
                                 _flat(snow, shape), *numbers, weather.layout, days, store))  # fmt: skip


def derivatives(p: Smooth, weather: Weather, days: Days, snow: Number, warming: Number = 0.0,
                store: str = PUBLISHED) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # fmt: skip
    """Balance of each period (period, pixel), and what it changes with each pixel's parameters. [m w.e.]

    Parameters
    ----------
    p, weather, days, snow, warming, store
        As :func:`periods` takes them.

    Returns
    -------
    ndarray (period, pixel)
    dict of ndarray (period, pixel)
        By parameter, and by ``warming``: derivatives to ``rain_centre`` and ``warming`` [m w.e. K-1], to
        ``ice_to_snow`` [m w.e.], and to the logarithms of the others [m w.e.].
    """
    shape = weather.cell.shape
    fields = [_flat(getattr(p, name), shape) for name in FIELDS]
    numbers = [torch.as_tensor(getattr(p, name), dtype=torch.float32) for name in blocks.SCALARS]
    ready = _Prepared((weather.temperature, weather.precipitation), weather.layout,
                      [*fields, _flat(warming, shape), _flat(snow, shape)], numbers, days, store)  # fmt: skip
    balance, _, changes, _ = ready.with_tangents()
    names = {"precipitation_factor": 0, "degree_day_factor_snow": 1, "rain_steepness": 2, "rain_centre": 3,
             "depletion_steepness": 4, "depletion_centre": 5, "warming": 6,
             "ice_to_snow": blocks.RATIO_ROW}  # fmt: skip
    return ready.back(balance).numpy(), {name: ready.back(changes[row]).numpy() for name, row in names.items()}


class _Prepared:
    """Arrays of the loops, in the order of the layout."""

    def __init__(self, weather: tuple[Tensor, Tensor], layout: Layout, fields: list[Tensor], numbers: list[Tensor],
                 days: Days, store: str):  # fmt: skip
        self.plain, self.carrying = LOOPS[store]
        self.layout, self.count, self.order = layout, len(layout.cell), layout.order
        self.weather = [np.ascontiguousarray(w.detach().numpy(), "float32") for w in weather]
        wrong = np.isnan(self.weather[0] + self.weather[1]).any(0)
        values = np.stack([f.detach().numpy() for f in fields])
        self.missing = wrong[layout.cell] | np.isnan(values).any(0) | layout.missing
        if wrong.any():
            self.weather = [np.where(wrong, np.float32(0), w) for w in self.weather]
        if self.missing.any():
            values[:, self.missing] = 0
        values = values[:, self.order]
        self.pixels, self.snow = values[:-1], values[-1]
        self.numbers = tuple(np.float32(n.detach()) for n in numbers)
        self.days = (days.day.astype("int64"), days.weight.astype("float32"), days.end.astype("int64"))
        self.periods = int(days.end.max()) + 1

    @property
    def head(self) -> tuple[Any, ...]:
        """First arguments of all loops."""
        return (*self.weather, self.layout.cells, self.layout.offsets, self.pixels, self.numbers, *self.days)

    def run(self, loop: Callable[..., None], *arguments: Any) -> None:
        """A loop over all blocks, on as many threads as torch has."""
        count = len(self.order) // blocks.WIDTH
        parts = np.linspace(0, count, min(count, torch.get_num_threads()) + 1).astype(int)
        if len(parts) == 2:
            loop(*self.head, *arguments, 0, count)
            return
        with ThreadPoolExecutor(len(parts) - 1) as pool:
            list(pool.map(lambda k: loop(*self.head, *arguments, parts[k], parts[k + 1]), range(len(parts) - 1)))

    def with_tangents(self) -> tuple[np.ndarray, ...]:
        """Balances, last snow, and the derivatives of both."""
        size = len(self.order)
        balance, after = np.empty((self.periods, size), "float32"), np.empty(size, "float32")
        changes = np.empty((blocks.RATIO_ROW + 1, self.periods, size), "float32")
        states = np.zeros((blocks.CARRIED, size), "float32")
        states[-1] = 1
        self.run(self.carrying, self.snow, balance, after, changes, states)
        return balance, after, changes, states

    def alone(self) -> tuple[np.ndarray, ...]:
        """Balances and last snow."""
        size, nothing = len(self.order), np.empty((0, self.periods, 0), "float32")
        balance, after = np.empty((self.periods, size), "float32"), np.empty(size, "float32")
        self.run(self.plain, self.snow, balance, after, nothing, nothing[:, 0])
        return balance, after, nothing, nothing[:, 0]

    def back(self, values: np.ndarray, fill: float = np.nan) -> Tensor:
        """Results in the pixels' own order (..., pixel)."""
        out = np.empty((*values.shape[:-1], self.count), "float32")
        out[..., self.order[: self.count]] = values[..., : self.count]
        out[..., self.missing] = fill
        return torch.from_numpy(out)


class _Periods(torch.autograd.Function):
    @staticmethod
    def forward(ctx, temperature, precipitation, factor, melting, ratio, centre, warming, snow, *rest):
        *numbers, layout, days, store = rest
        ready = _Prepared((temperature, precipitation), layout, [factor, melting, ratio, centre, warming, snow],
                          numbers, days, store)  # fmt: skip
        if store != PUBLISHED and any(ctx.needs_input_grad[:2]):
            raise NotImplementedError(f"the compiled {store} store has no gradient of the weather; use float64.")
        carried = any(ctx.needs_input_grad[2 : 8 + len(numbers)])
        balance, after, derivatives, states = ready.with_tangents() if carried else ready.alone()
        ctx.ready, ctx.derivatives, ctx.states = ready, derivatives, states
        return ready.back(balance), ready.back(after)

    @staticmethod
    def backward(ctx, of_balance, of_snow):
        if torch.is_grad_enabled():
            raise NotImplementedError("the compiled loops have first derivatives only; use float64 for second ones.")
        ready, needs = ctx.ready, ctx.needs_input_grad
        known = torch.from_numpy(~ready.missing)
        upstream = np.ascontiguousarray(torch.where(known, of_balance, 0.0).numpy()[:, ready.order])
        last = np.ascontiguousarray(torch.where(known, of_snow, 0.0).numpy()[ready.order])
        upstream[:, ready.count :], last[ready.count :] = 0, 0
        out: list[Any] = [None] * len(needs)
        if needs[0] or needs[1]:
            out[:2] = [torch.from_numpy(a.astype("float32")) for a in _of_weather(ready, upstream, last)]
        if any(needs[2:13]):
            out[2:13] = _of_parameters(ready, ctx.derivatives, ctx.states, upstream, last)
        return tuple(value if need else None for value, need in zip(out, needs, strict=True))


def _of_weather(ready: _Prepared, upstream: np.ndarray, last: np.ndarray) -> list[np.ndarray]:
    """Adjoints of temperature and precipitation; alone on one thread, because blocks share cells."""
    found = [np.zeros(ready.weather[0].shape) for _ in range(2)]
    adjoint: Callable[..., None] = backward.adjoint
    adjoint(*ready.head, ready.snow, upstream, last.copy(), *found, 0, len(ready.order) // blocks.WIDTH)
    return found


def _of_parameters(ready: _Prepared, derivatives: np.ndarray, states: np.ndarray, upstream: np.ndarray,
                   last: np.ndarray) -> list[Tensor | None]:  # fmt: skip
    """Adjoints in the order of the arguments, of the derivatives carried forward."""
    carried = {row: (upstream * derivatives[row]).sum(0) + last * states[row] for row in range(blocks.CARRIED)}
    ratio = (upstream * derivatives[blocks.RATIO_ROW]).sum(0)
    factor, melting = (np.where(ready.pixels[k] == 0, 1, ready.pixels[k]) for k in (0, 1))
    fields = [carried[0] / factor, carried[1] / melting, ratio, carried[3], carried[6], carried[7]]
    k_sr, k_sd, deepest = ready.numbers[:3]
    numbers = [float(carried[row].sum(dtype="float64")) / float(value)
               for row, value in ((2, k_sr), (4, k_sd), (5, deepest))]  # fmt: skip
    return [*(ready.back(f, 0.0) for f in fields), *(torch.tensor(n, dtype=torch.float32) for n in numbers), None, None]

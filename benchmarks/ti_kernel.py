"""The compiled temperature-index loops beside plain torch and, where it is installed, JAX: one core, 200 x 200 x 365.

Forcing is that of one coarse cell, brought to each pixel's height inside; times go through autograd, from parameters to
gradients. ``decades``: 30 years of a million pixels under 100 cells, with gradients, on the threads that torch has. ::

    taskset -c 0 python benchmarks/ti_kernel.py [SIDE]
    python benchmarks/ti_kernel.py decades [PIXELS AT A TIME]
"""

import resource
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch

from facies_xr.smb.degreeday import fast, integrate, steps
from facies_xr.smb.degreeday.fast import Days, Weather
from facies_xr.smb.degreeday.parameters import TRAINABLE, free, resolved

DAYS, ROUNDS = 365, 5


def year(pixels: int) -> Weather:
    """A synthetic year over heights that differ by 1500 m."""
    rng = np.random.default_rng(0)
    course = -4.5 + 8 * np.cos(2 * np.pi * (np.arange(DAYS) - 205) / 365) + rng.normal(0, 2.5, DAYS)
    rain = np.where(rng.random(DAYS) < 0.57, rng.gamma(0.8, 0.006, DAYS), 0)
    offset = -0.006 * rng.uniform(-600, 900, pixels)
    tensors = [torch.tensor(a, dtype=torch.float32) for a in (course[:, None], rain[:, None], offset)]
    return Weather(tensors[0], tensors[1], torch.zeros(pixels, dtype=torch.int64), tensors[2])


def ways(weather: Weather) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    raw = {n: v.requires_grad_(n in TRAINABLE) for n, v in free(dtype=torch.float32).items()}
    leaves = [raw[name] for name in TRAINABLE]
    snow = torch.full(weather.cell.shape, 0.03)
    warm, wet = weather.temperature.clone().requires_grad_(), weather.precipitation
    days = Days.of_periods((0, DAYS - 1))

    def compiled(of: Weather = weather) -> torch.Tensor:
        return (fast.periods(resolved(raw), of, days, snow).balance[0] ** 2).mean()

    def plain() -> torch.Tensor:
        t = weather.temperature + weather.offset
        p = weather.precipitation.expand_as(t)
        return (integrate.period(steps.smooth, resolved(raw), t, p, snow).balance ** 2).mean()

    def silently(function: Callable[[], torch.Tensor]) -> Callable[[], object]:
        def run() -> object:
            with torch.no_grad():
                return function()

        return run

    fixed = {n: v.detach() for n, v in raw.items()}

    def of_weather() -> object:
        again = Weather(warm, wet, weather.cell, weather.offset)
        return torch.autograd.grad((fast.periods(resolved(fixed), again, days, snow).balance[0] ** 2).mean(), warm)

    return {
        "compiled: forward": silently(compiled),
        "compiled: forward + 7 gradients": lambda: torch.autograd.grad(compiled(), leaves),
        "compiled: forward + gradient of the weather": of_weather,
        "torch: forward": silently(plain),
        "torch: forward + 7 gradients": lambda: torch.autograd.grad(plain(), leaves),
        **(in_jax(weather) if find_spec("jax") else {}),
    }


def in_jax(weather: Weather) -> dict[str, Callable[[], object]]:
    """The same in JAX: a scan over days, rematerialised; and seven tangents side by side."""
    import jax
    import jax.numpy as jnp

    start = jnp.array([float(free()[name]) for name in TRAINABLE], "float32")
    course, rain, offset = (jnp.asarray(a.numpy()) for a in (weather.temperature[:, 0], weather.precipitation[:, 0],
                                                             weather.offset))  # fmt: skip
    weights = jnp.asarray(integrate.weights(DAYS), "float32")

    def loss(theta):
        factor, ddf, ratio = jnp.exp(theta[0]), jnp.exp(theta[1]), 1 + jnp.exp(theta[2])
        k_sr, t_sr, k_sd, s_c = jnp.exp(theta[3]), theta[4], jnp.exp(theta[5]), jnp.exp(theta[6])

        @jax.checkpoint
        def day(carry, x):
            snow, total = carry
            t, p, w = x
            t = t + offset
            fallen = factor * p * jax.nn.sigmoid(k_sr * (t_sr - t))
            melt = ddf * jax.nn.softplus(10 * t) / 10
            phi = jax.nn.sigmoid(k_sd * jnp.log(jnp.maximum(snow, 1e-8) / s_c))
            total = total + w * (fallen - melt * (phi + ratio * (1 - phi)))
            return (jax.nn.softplus(20 * (snow + w * (fallen - melt * phi))) / 20, total), None

        (_, total), _ = jax.lax.scan(
            day, (jnp.full(offset.shape, 0.03), jnp.zeros(offset.shape)), (course, rain, weights)
        )
        return (total**2).mean()

    forward, reverse = jax.jit(loss), jax.jit(jax.grad(loss))
    ahead = jax.jit(jax.vmap(lambda v: jax.jvp(loss, (start,), (v,))[1]))
    return {
        "jax: forward": lambda: forward(start).block_until_ready(),
        "jax: forward + 7 gradients, reverse": lambda: reverse(start).block_until_ready(),
        "jax: forward + 7 gradients, forward mode": lambda: ahead(jnp.eye(7)).block_until_ready(),
    }


def decades(part: int = 200_000, pixels: int = 1_000_000, years: int = 30, cells: int = 100) -> None:
    """Balances of all years and seven gradients, so many pixels at a time; time, and the most memory of the process."""
    rng, days = np.random.default_rng(0), years * DAYS
    course = -4.5 + 8 * np.cos(2 * np.pi * (np.arange(days) - 205) / 365)[:, None] + rng.normal(0, 2.5, (days, cells))
    rain = np.where(rng.random((days, cells)) < 0.57, rng.gamma(0.8, 0.006, (days, cells)), 0)
    warm, wet = (torch.tensor(a, dtype=torch.float32) for a in (course, rain))
    cell = torch.tensor(np.sort(rng.integers(0, cells, pixels)))
    offset = torch.tensor(-0.006 * rng.uniform(-600, 900, pixels), dtype=torch.float32)
    raw = {n: v.requires_grad_(n in TRAINABLE) for n, v in free(dtype=torch.float32).items()}
    periods = Days.of_periods(*((k * DAYS, (k + 1) * DAYS - 1) for k in range(years)))
    fast.periods(resolved(raw), year(256), Days.of_periods((0, 1)), 0.03)
    clock, spent = time.perf_counter(), time.process_time()
    for at in range(0, pixels, part):
        weather = Weather(warm, wet, cell[at : at + part], offset[at : at + part])
        loss = (fast.periods(resolved(raw), weather, periods, 0.03).balance ** 2).sum() / pixels
        torch.autograd.grad(loss, [raw[name] for name in TRAINABLE])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{pixels} px, {part} at a time, {years} years, 7 gradients: {time.perf_counter() - clock:.1f} s, "
          f"{time.process_time() - spent:.1f} s of processors, {most:.2f} GiB at most")  # fmt: skip


def a_year(side: int = 200) -> None:
    """Medians of all ways."""
    torch.set_num_threads(1)
    timed = ways(year(side * side))
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS + 1):
        for name, run in timed.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    for name, all_rounds in seconds.items():
        print(f"{name:45s} {1e3 * float(np.median(all_rounds[1:])):8.1f} ms of one core, {side}^2 x {DAYS}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["decades"]:
        decades(*map(int, sys.argv[2:]))
    else:
        a_year(*map(int, sys.argv[1:]))

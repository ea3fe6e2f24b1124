"""The compiled loops are held to the plain ones in float64, and to the published program."""

import numpy as np
import pytest
import torch

from facies_xr.smb.degreeday import blocks, fast, integrate, steps
from facies_xr.smb.degreeday.fast import Days, Weather
from facies_xr.smb.degreeday.parameters import SMOOTH, TRAINABLE, free, resolved
from facies_xr.smb.glaunti import published
from facies_xr.smb.glaunti.correction import corrected


def case(pixels=300, days=200, cells=None, seed=0):
    rng = np.random.default_rng(seed)
    season = 8 * np.cos(2 * np.pi * (np.arange(days) - 150) / 200)[:, None]
    size = cells or pixels
    temperature = season + rng.normal(0, 4, (days, 1)) + rng.normal(0, 1, (days, size))
    precipitation = rng.gamma(0.4, 0.02, (days, size)) * (rng.random((days, 1)) < 0.6)
    return temperature, precipitation, rng.uniform(0, 0.6, pixels), rng


@pytest.mark.parametrize("which", ["forward", "gradients"])
def test_against_float64(which):
    temperature, precipitation, snow, rng = case()
    raw = free()
    fields = {name: rng.normal(0, 0.1, 300) for name in ("d1", "d2", "d3", "d4", "d5")}
    found = {}
    for dtype in (torch.float64, torch.float32):
        leaves = {n: v.to(dtype).requires_grad_() for n, v in raw.items() if n in TRAINABLE}
        tensors = {"temperature": temperature, "precipitation": precipitation, "snow": snow, **fields}
        given = {n: torch.tensor(v, dtype=dtype, requires_grad=True) for n, v in tensors.items()}
        p = resolved({**{n: v.to(dtype) for n, v in raw.items()}, **leaves})
        p = p._replace(
            precipitation_factor=p.precipitation_factor * given["d1"].exp(),
            degree_day_factor_snow=p.degree_day_factor_snow * given["d2"].exp(),
            ice_to_snow=p.ice_to_snow * given["d3"].exp(),
            rain_centre=p.rain_centre + given["d4"],
        )
        weather = given["temperature"], given["precipitation"]
        winter = fast.period(p, weather[0][:120], weather[1][:120], given["snow"], given["d5"])
        summer = fast.period(p, weather[0][119:], weather[1][119:], winter.snow, given["d5"])
        loss = ((winter.balance - 0.5) ** 2 + (summer.balance + 1) ** 2 + 0.3 * summer.snow).mean()
        gradients = torch.autograd.grad(loss, [*leaves.values(), *given.values()])
        found[dtype] = (
            {"winter": winter.balance, "summer": summer.balance, "snow": summer.snow},
            dict(zip([*leaves, *given], gradients, strict=True)),
        )
    (exact, exact_gradients), (ours, our_gradients) = found[torch.float64], found[torch.float32]
    if which == "forward":
        for name in exact:
            np.testing.assert_allclose(ours[name].detach(), exact[name].detach(), atol=1e-5, rtol=1e-5, err_msg=name)
    else:
        for name, gradient in exact_gradients.items():
            scale = float(gradient.abs().max())
            np.testing.assert_allclose(our_gradients[name], gradient, atol=3e-5 * scale, err_msg=name)


def test_coarse_weather_is_that_of_its_pixels():
    temperature, precipitation, snow, rng = case(pixels=700, cells=3)
    cell, offset = rng.integers(0, 3, 700), rng.normal(0, 3, 700)
    p = resolved(free(dtype=torch.float32))
    warm, wet = (torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in (temperature, precipitation))
    coarse = Weather(warm, wet, torch.from_numpy(cell), torch.tensor(offset, dtype=torch.float32))
    days = Days.of_periods((0, 99), (99, 199))
    balance, after = fast.periods(p, coarse, days, torch.tensor(snow, dtype=torch.float32))
    exact, exact_wet = (torch.tensor(a, requires_grad=True) for a in (temperature, precipitation))
    theirs, state = [], torch.from_numpy(snow)
    q = resolved(free())
    for first, last in ((0, 99), (99, 199)):
        part = slice(first, last + 1)
        run = integrate.period(
            steps.smooth, q, exact[part][:, cell] + torch.from_numpy(offset), exact_wet[part][:, cell], state
        )
        theirs.append(run.balance)
        state = run.snow
    np.testing.assert_allclose(balance.detach(), torch.stack(theirs).detach(), atol=2e-5)
    np.testing.assert_allclose(after.detach(), state.detach(), atol=2e-5)
    upstream = torch.tensor(rng.normal(size=(2, 700)), dtype=torch.float32)
    found = torch.autograd.grad((balance * upstream).sum() + after.sum(), [warm, wet])
    expected = torch.autograd.grad((torch.stack(theirs) * upstream).sum() + state.sum(), [exact, exact_wet])
    for ours, theirs_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs_, atol=3e-5 * float(theirs_.abs().max()))


def test_the_published_year(shared):
    z = np.load(shared / "oracle_glaunti" / "ti_a.npz")
    saved = published.read(shared / "oracle_glaunti" / "params" / "a.npz").parameters
    raw = {name: value.clone().requires_grad_(name in TRAINABLE) for name, value in saved.items()}
    names = ("temperature", "precipitation", "initial_swe", "t_pos_shift")
    given = [torch.from_numpy(z[f"in_{name}"]).requires_grad_() for name in names]
    after = fast.period(resolved(raw), *given)
    np.testing.assert_allclose(after.balance.detach(), z["out_shift_smb_total"], atol=1e-5)
    outline = torch.from_numpy(z["in_outline"])
    loss = (outline * (after.balance - torch.from_numpy(z["in_target"])) ** 2).sum() / outline.sum()
    leaves = [raw[name] for name in TRAINABLE]
    keys = [*(SMOOTH[name].published for name in TRAINABLE), *names]
    for key, gradient in zip(keys, torch.autograd.grad(loss, [*leaves, *given]), strict=True):
        expected = z[f"out_grad_{key}"]
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(), err_msg=key)
    daily = fast.series(resolved(saved), *given[:2], integrate.bare(resolved(saved), given[0][0]))
    np.testing.assert_allclose(daily.balance.detach(), z["out_smb_series"], atol=1e-5)


def test_extremes():
    """Cold, hot, wet, dry, no snow and much of it: as float64 has it, and finite."""
    values = [
        (-60.0, 0.0, 0.0),
        (-60.0, 0.3, 0.0),
        (45.0, 0.0, 0.0),
        (45.0, 0.5, 30.0),
        (0.0, 0.0, 1e-9),
        (1.0, 0.1, 25.0),
    ]
    t, rain, snow = (torch.tensor(v, dtype=torch.float64) for v in zip(*values, strict=True))
    t, rain = (v.expand(40, -1) for v in (t, rain))
    exact = integrate.period(steps.smooth, resolved(free()), t, rain, snow)
    ours = fast.period(resolved(free(dtype=torch.float32)), t.float(), rain.float(), snow.float())
    np.testing.assert_allclose(ours.balance, exact.balance, rtol=2e-6, atol=2e-5)
    np.testing.assert_allclose(ours.snow, exact.snow, rtol=2e-6, atol=2e-5)


def test_missing_weather_stays_missing_and_touches_no_neighbour():
    temperature, precipitation, snow, _ = (torch.tensor(a, dtype=torch.float32) if i < 3 else a
                                           for i, a in enumerate(case(pixels=40)))  # fmt: skip
    p = resolved(free(dtype=torch.float32))
    whole = fast.period(p, temperature, precipitation, snow).balance
    temperature[3, 7] = np.nan
    temperature.requires_grad_()
    holed = fast.period(p, temperature, precipitation, snow).balance
    assert torch.isnan(holed).nonzero().ravel().tolist() == [7]
    kept = torch.arange(40) != 7
    np.testing.assert_array_equal(holed[kept].detach(), whole[kept])
    gradient = torch.autograd.grad(holed[kept].sum(), temperature)[0]
    assert torch.isfinite(gradient).all()
    assert (gradient[:, 7] == 0).all()


def test_pixels_do_not_depend_on_their_block_or_on_threads():
    temperature, precipitation, snow, _ = case(pixels=900)
    p = resolved(free(dtype=torch.float32))
    given = [torch.tensor(a, dtype=torch.float32) for a in (temperature, precipitation, snow)]
    whole = fast.period(p, *given).balance
    some = torch.arange(13, 900, 7)
    few = fast.period(p, given[0][:, some], given[1][:, some], given[2][some]).balance
    np.testing.assert_allclose(few, whole[some], atol=1e-5)  # blocks choose loops of their own
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        np.testing.assert_array_equal(fast.period(p, *given).balance, whole)
    finally:
        torch.set_num_threads(threads)


def test_second_derivatives_are_refused():
    temperature, precipitation, snow, _ = case(pixels=3, days=5)
    given = [torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in (temperature, precipitation, snow)]
    balance = fast.period(resolved(free(dtype=torch.float32)), *given).balance
    with pytest.raises(NotImplementedError, match="first derivatives"):
        torch.autograd.grad(balance.sum(), given, create_graph=True)


def test_rows_of_the_buffer_do_not_overlap():
    starts = [blocks.T, blocks.WATER, blocks.FACTOR, blocks.MELTING, blocks.RATIO, blocks.CENTRE, blocks.WARMING,
              blocks.OFFSET, blocks.SNOW, blocks.BALANCE, blocks.RAINY, blocks.COOL, blocks.OF_RAINY, blocks.OF_WARM,
              blocks.OF_COOL]  # fmt: skip
    starts += [blocks.STATE + k * blocks.WIDTH for k in range(blocks.CARRIED)]
    starts += [blocks.DERIVED + k * blocks.WIDTH for k in range(blocks.RATIO_ROW + 1)]
    assert sorted(starts) == [k * blocks.WIDTH for k in range(blocks.ROWS)]


def test_the_conserving_store_compiled():
    """Balances, snow and derivatives as by the plain step in float64; the budget closes to float32."""
    temperature, precipitation, snow, rng = case(days=160)
    shifts = rng.normal(0, 0.1, (5, 300))
    found = {}
    for dtype in (torch.float64, torch.float32):
        raw = {n: v.to(dtype).requires_grad_(n in TRAINABLE[:5]) for n, v in free().items()}
        d, start = (torch.tensor(v, dtype=dtype, requires_grad=True) for v in (shifts, snow))
        p, warming = corrected(resolved(raw), d)
        warm, wet = (torch.tensor(v, dtype=dtype) for v in (temperature, precipitation))
        winter = fast.period(p, warm[:90], wet[:90], start, warming, store="conserving")
        summer = fast.period(p, warm[89:], wet[89:], winter.snow, warming, store="conserving")
        value = ((winter.balance - 0.5) ** 2 + (summer.balance + 1) ** 2 + 0.3 * summer.snow).mean()
        leaves = [*(raw[n] for n in TRAINABLE[:5]), d, start]
        found[dtype] = (winter.balance, summer.balance, summer.snow, *torch.autograd.grad(value, leaves))
    left = found[torch.float64][2].detach()
    assert left.min() < 1e-3 < 0.03 < left.max()
    for k, (exact, ours) in enumerate(zip(found[torch.float64], found[torch.float32], strict=True)):
        scale = 1.0 if k < 3 else float(exact.abs().max())
        np.testing.assert_allclose(ours.detach(), exact.detach(), atol=2e-5 * scale, err_msg=str(k))
    # Where no ice melts, the balance is what the store has gained.
    p = resolved(free(dtype=torch.float32))._replace(ice_to_snow=0.0)
    warm, wet = (torch.tensor(v, dtype=torch.float32) for v in (temperature, precipitation))
    with torch.no_grad():
        run = fast.period(p, warm, wet, torch.tensor(snow, dtype=torch.float32), store="conserving")
    np.testing.assert_allclose(run.balance, run.snow - torch.tensor(snow, dtype=torch.float32), atol=1e-6)


def test_the_conserving_store_has_no_compiled_gradient_of_the_weather():
    temperature, precipitation, snow, _ = case(pixels=4, days=30)
    warm, wet, start = (torch.tensor(v, dtype=torch.float32) for v in (temperature, precipitation, snow))
    p = resolved(free(dtype=torch.float32))
    leaf = warm.clone().requires_grad_()
    balance = fast.period(p, leaf, wet, start, store="conserving").balance.sum()  # by the plain steps
    ours = torch.autograd.grad(balance, leaf)[0]
    exact = warm.double().requires_grad_()
    q = resolved(free())
    other = integrate.period(steps.conserving, q, exact, wet.double(), start.double()).balance.sum()
    np.testing.assert_allclose(ours, torch.autograd.grad(other, exact)[0], atol=1e-5)
    with pytest.raises(NotImplementedError, match="no gradient of the weather"):
        fast.periods(p, Weather.of_pixels(leaf, wet), Days.daily(30), start, store="conserving")

"""The temperature-index model gives what the published program gave (vectors made by running it in float64)."""

import numpy as np
import pytest
import torch

from facies_xr.smb.degreeday import integrate, steps
from facies_xr.smb.degreeday.parameters import CLASSICAL, SMOOTH, TRAINABLE, free, resolved, resolved_single
from facies_xr.smb.degreeday.parameters import SINGLE as SINGLE_TABLE
from facies_xr.smb.glaunti import published

EXACT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.fixture(scope="module")
def oracle(shared):
    return shared / "oracle_glaunti"


@pytest.fixture(scope="module")
def vectors(oracle):
    return np.load(oracle / "ti_a.npz")


@pytest.fixture(scope="module")
def raw(oracle):
    saved = published.read(oracle / "params" / "a.npz").parameters
    return {name: value.double().requires_grad_() for name, value in saved.items()}


def tensor(vectors, name):
    return torch.from_numpy(vectors[f"in_{name}"]).double()


MODELS = {
    "a": (steps.smooth, resolved),
    "classical": (steps.classical, lambda raw: CLASSICAL),
    "single_ddf": (steps.single, lambda raw: resolved_single(free(of=SINGLE_TABLE))),
}


def test_published_resolved_values_are_ours(oracle, raw):
    shipped = np.load(oracle / "params" / "a.npz")
    ours = resolved(raw)
    for name, parameter in SMOOTH.items():
        short = parameter.published.removesuffix("_log").removesuffix("_minus_one")
        assert float(getattr(ours, name).detach()) == pytest.approx(float(shipped[f"resolved/{short}"]), rel=2e-7)


@pytest.mark.parametrize("model", MODELS)
def test_one_day(oracle, raw, model):
    z = np.load(oracle / "step.npz")
    step, parameters = MODELS[model]
    day = [tensor(z, name) for name in ("temperature", "precipitation", "swe", "w", "t_pos_shift")]
    balance, snow = step(parameters(raw), *day)
    np.testing.assert_allclose(balance.detach(), z[f"out_{model}_smb"], **EXACT)
    if model != "single_ddf":
        np.testing.assert_allclose(snow.detach(), z[f"out_{model}_swe"], **EXACT)


@pytest.mark.parametrize("model", MODELS)
def test_series_and_totals(oracle, vectors, raw, model):
    z = np.load(oracle / f"ti_{model}.npz")
    step, parameters = MODELS[model]
    p = parameters(raw)
    weather = tensor(vectors, "temperature"), tensor(vectors, "precipitation")
    default = integrate.bare(p, weather[0][0]) if model != "single_ddf" else torch.zeros_like(weather[0][0])
    daily = integrate.series(step, p, *weather, default)
    total, snow = integrate.period(step, p, *weather, default)
    given = tensor(vectors, "initial_swe")
    shifted = integrate.period(step, p, *weather, given, tensor(vectors, "t_pos_shift"))
    found = {
        "smb_series": daily.balance, "swe_series": daily.snow, "smb_total": total, "swe_final": snow,
        "shift_smb_total": shifted.balance, "shift_swe_final": shifted.snow,
    }  # fmt: skip
    found["swe0_smb_total"], found["swe0_swe_final"] = integrate.period(step, p, *weather, given)
    compared = [name for name in found if f"out_{name}" in z.files]
    assert "smb_total" in compared
    for name in compared:
        np.testing.assert_allclose(found[name].detach(), z[f"out_{name}"], err_msg=name, **EXACT)


def test_state_goes_on(vectors, raw):
    p = resolved(raw)
    first = torch.from_numpy(vectors["out_swe_final"])
    second = integrate.period(
        steps.smooth, p, tensor(vectors, "temperature_year2"), tensor(vectors, "precipitation_year2"), first
    )
    np.testing.assert_allclose(second.balance.detach(), vectors["out_year2_smb_total"], **EXACT)
    np.testing.assert_allclose(second.snow.detach(), vectors["out_year2_swe_final"], **EXACT)


def test_seasons_share_their_boundary_day(vectors, raw):
    p, mid = resolved(raw), int(vectors["in_mid"])
    temperature, precipitation = tensor(vectors, "temperature"), tensor(vectors, "precipitation")
    winter = integrate.period(
        steps.smooth, p, temperature[: mid + 1], precipitation[: mid + 1], tensor(vectors, "initial_swe")
    )
    summer = integrate.period(steps.smooth, p, temperature[mid:], precipitation[mid:], winter.snow)
    for name, season in (("winter", winter), ("summer", summer)):
        np.testing.assert_allclose(season.balance.detach(), vectors[f"out_{name}_smb"], **EXACT)
        np.testing.assert_allclose(season.snow.detach(), vectors[f"out_{name}_swe"], **EXACT)


def test_gradients(vectors, raw):
    names = ("temperature", "precipitation", "initial_swe", "t_pos_shift")
    inputs = [tensor(vectors, name).requires_grad_() for name in names]
    balance = integrate.period(steps.smooth, resolved(raw), *inputs).balance
    outline = tensor(vectors, "outline")
    area = float(np.float32(vectors["in_outline"].sum(dtype="float32")))  # as the published program sums it
    loss = (outline * (balance - tensor(vectors, "target")) ** 2).sum() / area
    assert float(loss) == pytest.approx(float(vectors["out_loss"]), rel=1e-9)
    gradients = torch.autograd.grad(loss, [*(raw[name] for name in TRAINABLE), *inputs])
    for name, gradient in zip(TRAINABLE, gradients, strict=False):
        expected = vectors[f"out_grad_{SMOOTH[name].published}"]
        assert float(gradient) == pytest.approx(float(expected), rel=1e-9), name
    for name, gradient in zip(names, gradients[len(TRAINABLE) :], strict=True):
        expected = vectors[f"out_grad_{name}"]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize(("name", "expected"), [("smb_total", "out_smb_total"), ("swe_final", "out_swe_final")])
def test_in_single_precision(oracle, vectors, raw, name, expected):
    z = np.load(oracle / "ti_a_f32.npz")
    p = resolved({key: value.detach().float() for key, value in raw.items()})
    weather = [tensor(vectors, key).float() for key in ("temperature", "precipitation")]
    after = integrate.period(steps.smooth, p, *weather, integrate.bare(p, weather[0][0]))
    found = after.balance if name == "smb_total" else after.snow
    np.testing.assert_allclose(found, z[expected], rtol=1e-4, atol=1e-5)

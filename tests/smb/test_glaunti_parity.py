"""Corrector, recurrent unit, loader and losses give what the published program gave."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import interpolate

from facies_xr.smb.degreeday import integrate, steps
from facies_xr.smb.degreeday.parameters import SMOOTH, TRAINABLE, resolved
from facies_xr.smb.glaunti import dataset, loss, models, published
from facies_xr.smb.glaunti.correction import corrected, first_guess
from facies_xr.smb.glaunti.files import Saved

CLOSE = {"rtol": 1e-6, "atol": 2e-7}
"""The published convolutions ran at single precision."""


@pytest.fixture(scope="module")
def oracle(shared):
    return shared / "oracle_glaunti"


@pytest.fixture(scope="module")
def glaciers(oracle):
    return {name: dataset.read(oracle / "dataset", f"Synth {name}", last_year=1997) for name in ("Alpha", "Beta")}


def model(oracle, name, tmp_path):
    """Through the file that we would keep."""
    path = published.convert(oracle / "params" / f"{name}.npz", tmp_path / f"{name}.safetensors")
    return models.of_saved(Saved.load(path)).double()


@pytest.mark.parametrize("size", [(25, 22), (24, 32), (31, 39), (3, 4)])
def test_resize(oracle, size):
    z = np.load(oracle / "resize.npz")
    small = torch.from_numpy(z["in_a"]).double()[None]
    found = interpolate(small, size=size, mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(found, z[f"out_resize_{size[0]}x{size[1]}"], rtol=1e-9)


def test_recurrent(oracle, tmp_path):
    z, given = np.load(oracle / "gru_b.npz"), np.load(oracle / "ti_a.npz")
    unit = model(oracle, "b", tmp_path).unit
    weather = [torch.from_numpy(given[f"in_{n}"]).double() for n in ("temperature", "precipitation")]
    later = [torch.from_numpy(given[f"in_{n}_year2"]).double() for n in ("temperature", "precipitation")]
    mid = int(given["in_mid"])
    with torch.no_grad():
        daily, hidden = unit(*weather)
        second, after = unit(*later, hidden)
        winter, between = unit(*(w[: mid + 1] for w in weather))
        summer, end = unit(*(w[mid:] for w in weather), between)
    expected = {
        "smb_series": daily, "smb_total": daily.sum(0), "h_final": hidden, "year2_smb_total": second.sum(0),
        "year2_h_final": after, "winter_smb": winter.sum(0), "winter_h": between, "summer_smb": summer.sum(0),
        "summer_h": end,
    }  # fmt: skip
    for name, found in expected.items():
        np.testing.assert_allclose(found, z[f"out_{name}"], rtol=1e-9, atol=1e-12, err_msg=name)
    assert sum(p.numel() for p in unit.parameters()) == 963 - 2 + 32  # two scales are counted there, two biases here


@pytest.fixture(scope="module")
def given(oracle):
    z = np.load(oracle / "corrector_cd.npz")
    return z, {n.removeprefix("in_"): torch.from_numpy(np.asarray(z[n])).double() for n in z.files if n[:3] == "in_"}


def case(given, facies: bool):
    """The balance year of the vectors, whole and in seasons."""
    _, v = given
    scales = dataset.Scales()
    maps = v["facies"] if facies else torch.full_like(v["facies"], -1)
    fields = torch.cat(
        [
            torch.stack([v["outline"], v["elevation"] / scales.elevation, v["elevation_std"] / scales.elevation_std]),
            maps,
        ]
    )
    weather, mid = (v["temperature"], v["precipitation"]), int(v["mid"])
    parts = {"winter": tuple(w[: mid + 1] for w in weather), "summer": tuple(w[mid:] for w in weather)}
    rest = ({}, v["outline"], fields, v["climate_monthly_norm"])
    return dataset.Year(1, {"annual": weather}, *rest), dataset.Year(1, parts, *rest)


@pytest.mark.parametrize("name", ["c", "d"])
def test_corrector(oracle, given, tmp_path, name):
    z, v = given
    m = model(oracle, name, tmp_path)
    assert (
        sum(p.numel() for p in m.network.parameters()) == 94_567 - 18
    )  # the temperature-index model's are counted there
    annual, parts = case(given, m.facies)
    p, snow = resolved(m.free), v["initial_swe"]
    out = {
        "extra_annual": first_guess(p, annual.whole, snow),
        "extra_seasons": first_guess(p, parts.whole, snow),
        "ds": m.corrections(annual, snow),
        "seasons_ds": m.corrections(parts, snow),
        "y1d": m.network.branch1d(annual.climate),
        "y2d": m.network.branch2d(torch.cat([first_guess(p, annual.whole, snow), annual.fields]), None)[0],
    }
    whole = m.run(annual, snow, daily=True)
    out["smb_total"], out["swe_final"] = whole.balance["annual"].sum(0), whole.state
    out["smb_series_gw"] = loss.mean_over(whole.balance["annual"], annual.outline)
    default = m.run(annual, m.start(annual))
    out["default_swe0_smb_total"], out["default_swe0_swe_final"] = default.balance["annual"], default.state
    split = m.run(parts, snow)
    out["seasons_winter_smb"], out["seasons_summer_smb"] = split.balance["winter"], split.balance["summer"]
    out["seasons_summer_swe"] = split.state
    spun = m.run(parts, snow, spin_up=True)
    out["spinup_summer_ds"], out["spinup_summer_swe"] = spun.corrections, spun.state
    for key, found in out.items():
        np.testing.assert_allclose(found.detach(), z[f"out_{name}_{key}"], err_msg=key, **CLOSE)


@pytest.mark.parametrize("name", ["c", "d"])
def test_gradients_of_the_corrector(oracle, given, tmp_path, name):
    z, v = given
    m = model(oracle, name, tmp_path)
    annual, _ = case(given, m.facies)
    warm, wet = (w.clone().requires_grad_() for w in annual.seasons["annual"])
    d = m.corrections(annual, v["initial_swe"])
    p, warming = corrected(resolved(m.free), d)
    balance = integrate.period(steps.smooth, p, warm, wet, v["initial_swe"], warming).balance
    value = loss.mean_over((balance + 1) ** 2, annual.outline)
    assert float(value.detach()) == pytest.approx(float(z[f"out_{name}_loss"]), rel=1e-6)
    names = {
        "branch2d_in_conv_weight": m.network.branch2d.in_conv.weight,
        "branch1d_in_conv_weight": m.network.branch1d.in_conv.weight,
        "out_conv_weight": m.network.out_conv.weight,
        "out_conv_bias": m.network.out_conv.bias,
        "fuse_norm2_weight": m.network.fuse.norm2.weight,
        "stage1_conv1_weight": m.network.branch2d.stage1.conv1.weight,
    }
    *found, warm_gradient, wet_gradient = torch.autograd.grad(value, [*names.values(), warm, wet])
    found = dict(zip(names, found, strict=True))
    found["temperature_space_mean"], found["precipitation_space_mean"] = (
        warm_gradient.mean((1, 2)),
        wet_gradient.mean((1, 2)),
    )
    found["temperature_time_mean"] = warm_gradient.mean(0)
    for key, gradient in found.items():
        expected = z[f"out_{name}_grad_{key}"]
        np.testing.assert_allclose(
            gradient.reshape(expected.shape), expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max(), err_msg=key
        )


@pytest.mark.parametrize("name", ["Alpha", "Beta"])
@pytest.mark.parametrize("year", [1994, 1995, 1996])
def test_loader(oracle, glaciers, name, year):
    z = np.load(oracle / "pipeline_loader.npz")
    for facies, key in ((False, "corrector_fields"), (True, "corrector_fields_facies")):
        found = glaciers[name].year(year, facies=facies)
        np.testing.assert_allclose(found.fields, z[f"{name}__{year}__{key}"], rtol=1e-6)
    np.testing.assert_allclose(found.climate, z[f"{name}__{year}__climate_monthly"], rtol=2e-5, atol=1e-6)
    for season, (temperature, _) in found.seasons.items():
        key = f"{name}__{year}__{season}__temperature"
        np.testing.assert_allclose(temperature[[0, -1]], z[f"{key}_first_last"], rtol=1e-5, atol=1e-5)
        mean = loss.mean_over(temperature, found.outline)
        np.testing.assert_allclose(mean, z[f"{key}_glacier_mean"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["Alpha", "Beta"])
@pytest.mark.parametrize("year", [1995, 1996])
def test_points(oracle, glaciers, name, year):
    expected = pd.read_csv(oracle / f"pipeline_points_{name}_{year}.csv")
    expected = expected[expected.balance_code.isin(dataset.SEASONS)]
    found = glaciers[name].year(year).points
    keys = ["row", "column", "balance", "weight"]
    expected = expected.rename(columns={"col": "column"})
    found = found[found.season.isin(expected.balance_code.unique())]
    assert len(found) == len(expected)
    for ours, theirs in zip(
        found.sort_values(keys)[keys].to_numpy(), expected.sort_values(keys)[keys].to_numpy(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


TERMS = {f"{kind}_{season}": f"{kind}_{season}_mse" for kind in ("point", "total") for season in dataset.SEASONS}


@pytest.mark.parametrize("name", ["Alpha", "Beta"])
@pytest.mark.parametrize("kind", ["a", "b", "c", "d"])
def test_loss_and_gradients(oracle, glaciers, tmp_path, name, kind):
    expected = json.loads((oracle / "pipeline_loss.json").read_text())[f"Synth {name}"][kind]
    m = model(oracle, kind, tmp_path).float()
    found = loss.terms(m, glaciers[name])
    for ours, theirs in TERMS.items():
        if theirs in expected["aux"]:
            assert float(found[ours].detach()) == pytest.approx(expected["aux"][theirs], rel=1e-5), ours
    if kind != "b":
        assert float(found["parameters"].detach()) == pytest.approx(expected["aux"]["reg_ti"], rel=1e-5)
    if kind in "cd":
        assert float(found["corrections"].detach()) == pytest.approx(expected["aux"]["reg_ti_corr"], rel=2e-6)
    total = loss.loss(found)
    assert float(total.detach()) == pytest.approx(expected["loss"], rel=1e-5)
    total.backward()
    if kind == "a":
        for parameter in TRAINABLE:
            gradient = expected["grad"][SMOOTH[parameter].published]
            assert float(m.free[parameter].grad) == pytest.approx(gradient, rel=2e-4, abs=1e-4), parameter
        return
    norm = torch.cat([p.grad.ravel() for p in m.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(expected["grad_global_norm"], rel=1e-3)
    if kind in "cd":
        bias = m.network.out_conv.bias.grad
        np.testing.assert_allclose(bias, expected["grad_out_conv_bias"], rtol=1e-3, atol=1e-3)

"""The temperature-index model on labelled weather: laws, units, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr

from facies_xr.errors import InputError
from facies_xr.smb.degreeday import integrate, steps
from facies_xr.smb.degreeday.grid import temperature_index
from facies_xr.smb.degreeday.parameters import CLASSICAL, free, priors, resolved


def weather(days=60, shape=(3, 4), seed=0, **changes):
    rng = np.random.default_rng(seed)
    time = np.datetime64("2001-10-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    data = {
        "temperature": rng.normal(1, 5, (days, *shape)),
        "precipitation": rng.gamma(0.5, 0.01, (days, *shape)),
    }
    found = xr.Dataset({n: (("time", "y", "x"), v) for n, v in data.items()}, {"time": time})
    found["temperature"].attrs["units"], found["precipitation"].attrs["units"] = "degC", "m"
    return found.assign(changes)


@pytest.mark.parametrize("store", steps.STEPS)
def test_units_do_not_change_the_balance(store):
    plain = weather()
    other = plain.copy()
    other["temperature"] = (plain.temperature + 273.15).assign_attrs(units="K")
    other["precipitation"] = (plain.precipitation * 1000).assign_attrs(units="mm")
    ours = temperature_index(plain, store=store)
    xr.testing.assert_allclose(temperature_index(other, store=store), ours, rtol=1e-9)
    assert ours.balance.attrs["units"] == "m (of water equivalent)"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("temperature", lambda w: w.temperature.assign_attrs(units="K"), "which no air near the ground has"),
        ("temperature", lambda w: (w.temperature + 273.15).assign_attrs(units="degC"), "is its unit K"),
        ("temperature", lambda w: w.temperature.drop_attrs(), "does not say its unit"),
        ("temperature", lambda w: w.temperature.assign_attrs(units="degF"), "is not known"),
        ("precipitation", lambda w: (w.precipitation * 1000).assign_attrs(units="m"), "is its unit mm"),
        ("precipitation", lambda w: w.precipitation.assign_attrs(units="mm"), "is its unit m?"),
        ("precipitation", lambda w: (w.precipitation - 0.01).assign_attrs(units="m"), "is negative"),
    ],
)
def test_impossible_weather_is_refused(name, data, message):
    plain = weather()
    with pytest.raises(InputError, match=message):
        temperature_index(plain.assign({name: data(plain)}))


def test_a_missing_day_is_named():
    with pytest.raises(InputError, match="2001-10-05 is followed by 2001-10-07"):
        temperature_index(weather().drop_isel(time=5))


def test_missing_weather_on_the_glacier_is_refused_and_elsewhere_stays_missing():
    plain = weather()
    plain["temperature"][7, 1, 2] = np.nan
    outline = xr.zeros_like(plain.temperature[0]) + 1
    with pytest.raises(InputError, match="missing in 1 pixels of the glacier"):
        temperature_index(plain, outline=outline)
    outline[1, 2] = 0
    found = temperature_index(plain, outline=outline)
    assert found.balance.isnull().sum() == 60
    whole = temperature_index(weather())
    np.testing.assert_allclose(found.balance.where(outline > 0), whole.balance.where(outline > 0))


def test_the_conserving_store_keeps_its_mass():
    w = weather(400, (5, 6))
    p = resolved(free({"degree_day_factor_snow": 0.006}))
    temperature, rain = (torch.from_numpy(w[name].values) for name in ("temperature", "precipitation"))
    snow = torch.full((5, 6), 0.5, dtype=torch.float64)
    start, melted, fallen = snow, torch.zeros_like(snow), torch.zeros_like(snow)
    for t, r in zip(temperature, rain, strict=True):
        before = snow
        balance, snow = steps.conserving(p, t, r, snow)
        fall = steps.snowfall(p, t, r)
        demand = p.degree_day_factor_snow * steps.softplus(t, p.warmth_sharpness)
        melt = before + fall - snow
        assert (melt >= -1e-15).all()
        assert (melt <= demand + 1e-15).all()
        assert (snow >= 0).all()
        np.testing.assert_allclose(balance, fall - melt - p.ice_to_snow * (demand - melt), atol=1e-15)
        melted, fallen = melted + melt, fallen + fall
    np.testing.assert_allclose(start + fallen - melted - snow, 0, atol=1e-12)


@pytest.mark.parametrize(("store", "ratio"), [("conserving", 1.5), ("published", 1.07)])
def test_bare_ice_melts_at_its_factor_only_where_the_store_is_sound(store, ratio):
    p, warm = priors(), torch.full((60,), 5.0, dtype=torch.float64)
    run = integrate.series(steps.STEPS[store], p, warm, 0 * warm, torch.tensor(0.1, dtype=torch.float64))
    assert float(-run.balance[-2] / (p.degree_day_factor_snow * 5)) == pytest.approx(ratio, abs=0.02)


def test_phantom_snow_of_the_published_store():
    cold = torch.full((30,), -30.0, dtype=torch.float64)
    for store, snow in (("published", np.log(30 + 1) / 20), ("conserving", 0.0)):
        run = integrate.series(steps.STEPS[store], priors(), cold, 0 * cold, torch.tensor(0.0, dtype=torch.float64))
        assert float(run.snow[-1]) == pytest.approx(snow, abs=1e-6), store


def test_the_smooth_store_tends_to_the_thresholds():
    """With steep curves the smooth model is the classical one, whose parameters it shares."""
    w = weather(200)
    sharp = {"warmth_sharpness": 1e4, "store_sharpness": 1e5, "depletion_steepness": 400.0}
    temperature, rain = (torch.from_numpy(w[name].values) for name in ("temperature", "precipitation"))
    steep = resolved(free({**sharp, "rain_steepness": 1e6}))
    hard = CLASSICAL._replace(rain_left=1.0 - 1e-6, rain_length=2e-6)
    for snow, precipitation in ((6.0, rain), (0.0, 0 * rain)):  # what lies between two thresholds may go either way
        start = torch.full((3, 4), snow, dtype=torch.float64)
        ours, theirs = (
            integrate.period(step, p, temperature, precipitation, start)
            for step, p in ((steps.smooth, steep), (steps.classical, hard))
        )
        np.testing.assert_allclose(ours.balance, theirs.balance, atol=2e-4)
        np.testing.assert_allclose(ours.snow, theirs.snow, atol=2e-4)


@pytest.mark.parametrize("store", ["published", "conserving", "single"])
def test_gradients_are_those_of_finite_differences(store):
    from facies_xr.smb.degreeday.parameters import SINGLE, SMOOTH, resolved_single

    table, made = (SINGLE, resolved_single) if store == "single" else (SMOOTH, resolved)
    w = weather(30, (2,) * 2)
    temperature, rain = (torch.from_numpy(w[name].values) for name in ("temperature", "precipitation"))
    start = torch.full((2, 2), 0.05, dtype=torch.float64)

    def total(*numbers):
        p = made(dict(zip(table, numbers, strict=True)))
        return integrate.period(steps.STEPS[store], p, temperature, rain, start).balance.sum()

    assert torch.autograd.gradcheck(total, [value.requires_grad_() for value in free(of=table).values()])


@pytest.mark.parametrize("bad", [{"ice_to_snow": 0.9}, {"degree_day_factor_snow": -1}, {"melt": 3}])
def test_impossible_parameters_are_refused(bad):
    with pytest.raises(InputError):
        temperature_index(weather(), bad)

"""Training of the models: settings, stop and resume to the same bits, batches, transfer, geodetic balances, choices."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from facies_xr.errors import InputError, StoreError
from facies_xr.smb.degreeday import integrate, steps
from facies_xr.smb.degreeday.parameters import free, resolved
from facies_xr.smb.glaunti import train as training
from facies_xr.smb.glaunti.evaluation import pairs
from facies_xr.smb.glaunti.files import Saved
from facies_xr.smb.glaunti.loss import Weights, by_season, mean_over, terms, years
from facies_xr.smb.glaunti.models import TemperatureIndex, of_saved, to_saved
from facies_xr.smb.glaunti.optimise import Adam, descend
from facies_xr.smb.glaunti.train import PUBLISHED, Settings, new_corrector, train, train_corrector, transfer

from .glaciers import glacier, recorded

TRUE = {"precipitation_factor": 1.6, "degree_day_factor_snow": 0.006}


@pytest.fixture(scope="module")
def three():
    return [recorded(glacier(seed), TRUE, seed=seed) for seed in range(3)]


def start(**options):
    return TemperatureIndex(free(dtype=torch.float32), **options)


def test_published_settings():
    for name in "abcd":
        assert (PUBLISHED[name].learning_rate, PUBLISHED[name].clip, PUBLISHED[name].batch) == (1e-3, 5.0, None)
    assert [PUBLISHED[name].epochs for name in "abcd"] == [50, 100, 50, 50]
    assert (PUBLISHED["transfer"].learning_rate, PUBLISHED["transfer"].epochs) == (1e-2, 250)


def test_a_step_is_that_of_adam_on_the_summed_losses(three):
    """An epoch moves the parameters as one clipped step on the sum over glaciers does."""
    ours, theirs = start(), start()
    train(ours, three[:2], settings=Settings(epochs=2, learning_rate=1e-2), shown=False)

    def objective():
        return sum(training.loss(terms(theirs, g)) for g in three[:2])

    list(descend(objective, theirs.parameters(), Adam(learning_rate=1e-2, steps=2)))
    for name in ours.free:
        np.testing.assert_allclose(ours.free[name].detach(), theirs.free[name].detach(), rtol=1e-6, err_msg=name)


def test_training_finds_the_balances(three):
    found = train(start(), three[:2], three[2:], Settings(learning_rate=2e-2, epochs=60, weights=Weights(parameters=0)),
                  shown=False)  # fmt: skip
    errors = found.curves["error"]
    assert errors[found.best_epoch] == errors.min() < 0.05 * errors[0]
    table = pairs(found.model, three[2])
    wide = table[table.kind == "glacier-wide"]
    assert np.abs(wide.predicted - wide.observed).max() < 0.15


@pytest.mark.parametrize("batch", [None, 1])
def test_a_stopped_training_goes_on_to_the_same_bits(three, tmp_path, monkeypatch, batch):
    settings = Settings(epochs=3, batch=batch, learning_rate=1e-2)

    def model():
        return training.with_facies(new_corrector(start(), limit=0.5, masked=True))

    whole = train(model(), three[:2], three[2:], settings, keep=tmp_path / "whole", shown=False)
    calls = []

    def killed(*args):
        calls.append(args)
        if len(calls) == 5 if batch else len(calls) == 3:
            raise KeyboardInterrupt
        return clip(*args)

    clip = training.clip
    with monkeypatch.context() as patch:
        patch.setattr(training, "clip", killed)
        with pytest.raises(KeyboardInterrupt):
            train(model(), three[:2], three[2:], settings, keep=tmp_path / "cut", shown=False)
    again = train(model(), three[:2], three[2:], settings, keep=tmp_path / "cut", shown=False)
    pd.testing.assert_frame_equal(again.curves, whole.curves, check_exact=True)
    for name, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(again.model.state_dict()[name], value, err_msg=name)
    with pytest.raises(StoreError, match="other data or settings"):
        train(model(), three[:1], three[2:], settings, keep=tmp_path / "cut", shown=False)
    (tmp_path / "cut").write_bytes(b"no")
    with pytest.raises(StoreError, match="not a training that can be resumed"):
        train(model(), three[:2], three[2:], settings, keep=tmp_path / "cut", shown=False)


def test_c_then_d(three, tmp_path):
    settings = Settings(epochs=2, learning_rate=1e-2)
    found = train_corrector(start(), three[:2], three[2:], tmp_path, settings, shown=False, limit=1.0)
    assert (found["c"].facies, found["d"].facies) == (False, True)
    saved = of_saved(Saved.load(tmp_path / "d.safetensors"))
    for name, value in found["d"].state_dict().items():
        np.testing.assert_array_equal(saved.state_dict()[name], value)
    curves = pd.read_csv(tmp_path / "d.csv")
    first = terms(training.with_facies(found["c"]), three[2])
    np.testing.assert_allclose(
        curves.error[0], float(training.error(first).detach()), rtol=1e-5
    )  # d starts as c with facies
    again = train_corrector(start(), three[:2], three[2:], tmp_path, settings, shown=False, limit=1.0)
    np.testing.assert_array_equal(
        again["d"].network.out_conv.weight.detach(), found["d"].network.out_conv.weight.detach()
    )


def test_transfer_sees_its_years_alone():
    one = recorded(glacier(5, count=6), TRUE)
    spoilt = one.totals.copy()
    spoilt.loc[2006, "annual_balance"] += 100  # neither trained on nor validated with
    settings = Settings(learning_rate=2e-2, epochs=25, weights=Weights(parameters=0))
    years_of = {"years": [2002, 2003], "validation": [2004, 2005]}
    points = one.points[one.points.year != 2006]
    found, other = (transfer(start(), g, **years_of, settings=settings, shown=False)
                    for g in (one, replace(one, totals=spoilt, points=points)))  # fmt: skip
    pd.testing.assert_frame_equal(found.curves, other.curves)
    assert found.curves.error[found.best_epoch] < 0.2 * found.curves.error[0]
    with pytest.raises(InputError, match="has no balance year 1999"):
        transfer(start(), one, years=[1999], validation=[2004], shown=False)
    with pytest.raises(InputError, match="trained on and validate"):
        train(start(), [one], [one], shown=False)


def test_geodetic_balances_in_the_loss():
    """The term is the squared error of the mean in units of its error; alone it calibrates the mean."""
    plain = glacier(6)
    known = recorded(plain, TRUE)
    mean = known.totals.annual_balance[[2002, 2003, 2004]].mean()
    table = pd.DataFrame({"first_year": [2002], "last_year": [2004], "balance": [mean], "error": [0.05]})
    of_means = replace(plain, geodetic=table)
    with torch.no_grad():
        balances = [float(mean_over(by_season(o.balance)["annual"], y.outline)) for y, o in years(start(), plain)]
        found = terms(start(), of_means)
    assert float(found["geodetic"]) == pytest.approx(((np.mean(balances) - mean) / 0.05) ** 2, rel=1e-4)
    assert float(training.error(found)) == pytest.approx(1e-3 * float(found["geodetic"]), rel=1e-6)
    assert "geodetic" not in terms(start(), replace(of_means, counted=frozenset({2002, 2003})))
    fitted = train(start(), [of_means], (), Settings(learning_rate=2e-2, epochs=40, weights=Weights(parameters=0)),
                   shown=False)  # fmt: skip
    with torch.no_grad():
        assert float(terms(fitted.model, of_means)["geodetic"]) < 1
    with pytest.raises(InputError, match="has years that are not run"):
        terms(start(), replace(plain, geodetic=table.assign(last_year=2010)))


def test_edge_days_of_training_and_evaluation(three):
    """With half edge days, evaluation is what the loss compares; as published it counts a day more."""
    g, model = three[0], start()
    with torch.no_grad():
        found = terms(model, g)
    half = pairs(model, g, edge_days="half")
    for kind, name in (("glacier-wide", "total_annual"), ("point", "point_annual")):
        table = half[half.kind == kind]
        mse = ((table.predicted - table.observed) ** 2).mean()
        assert mse == pytest.approx(float(found[name]), rel=1e-3)
    whole = pairs(model, g)
    assert np.abs(whole.predicted - half.predicted).max() > 1e-4


def test_corrections_of_each_season(three):
    year = three[0].year(2002)
    for anew, count in (("year", 1), ("season", 2)):
        model = new_corrector(start(), anew=anew)
        outcome = model.run(year, model.start(year))
        assert outcome.corrections.reshape(-1, 5, 9, 10).shape[0] == count
    p = resolved(model.free)
    assert float((outcome.corrections[0] - outcome.corrections[1]).detach().abs().max()) > 1e-6
    winter = {**year.__dict__, "seasons": {"winter": year.seasons["winter"]}}
    by_hand = model.run(type(year)(**winter), model.start(year))
    np.testing.assert_allclose(outcome.balance["winter"].detach(), by_hand.balance["winter"].detach(), atol=0.05)
    assert float(p.ice_to_snow) == pytest.approx(1.5)
    again = of_saved(to_saved(new_corrector(start(), anew="season", store="conserving")))
    assert (again.anew, again.store) == ("season", "conserving")


def test_a_model_with_a_store_that_keeps_its_mass(three):
    """As the plain steps in float64, season after season; the published store leaves other snow."""
    year, model = three[0].year(2003), start(store="conserving")
    with torch.no_grad():
        outcome = model.run(year, model.start(year))
        published = start().run(year, model.start(year))
        p, snow = resolved(free()), model.start(year).double()
        for name, weather in year.seasons.items():
            after = integrate.period(steps.conserving, p, *(w.double() for w in weather), snow)
            np.testing.assert_allclose(outcome.balance[name], after.balance, atol=2e-5)
            snow = after.snow
    np.testing.assert_allclose(outcome.state, snow, atol=2e-5)
    assert float((outcome.state - published.state).abs().max()) > 0.01


def test_weather_that_is_missing_off_the_glacier_changes_nothing(three):
    """Loss, gradients and pairs are those of whole weather; on the glacier it is refused."""
    whole = three[0]
    holed = whole.weather.copy(deep=True)
    holed["temperature"][:, 0, 3] = np.nan
    holed = replace(whole, weather=holed)
    found = []
    for one in (whole, holed):
        model = start()
        value = training.loss(terms(model, one))
        value.backward()
        table = pairs(model, one)
        found.append((value.detach(), model.free["rain_centre"].grad, table[table.kind == "glacier-wide"].predicted))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    holed.weather["temperature"][5, 4, 4] = np.nan
    with pytest.raises(InputError, match="missing in 1 pixels of the glacier"):
        replace(holed).year(2001)

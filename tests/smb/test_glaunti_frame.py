"""Our maps on the model's grid, and GlaUnTI among the balance methods."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr.classes import NODATA, VALUES
from facies_xr.cli import app
from facies_xr.errors import InputError, MissingVariableError
from facies_xr.smb.climate.bands import with_weather
from facies_xr.smb.degreeday.parameters import free
from facies_xr.smb.glaunti import grids
from facies_xr.smb.glaunti.files import FEATURES
from facies_xr.smb.glaunti.loss import Weights, mean_over, years
from facies_xr.smb.glaunti.models import TemperatureIndex
from facies_xr.smb.glaunti.train import Settings
from facies_xr.smb.methods import glaunti as method
from facies_xr.smb.methods.named import EVERY
from facies_xr.smb.problem import of_statistics

from ..maps.labelled import SHAPE, maps_of, snow_above


def with_confidence(maps, value=0.8):
    field = np.broadcast_to(np.asarray(value, "float32"), maps["facies_map"].shape)
    return maps.assign(confidence=(("time", "y", "x"), field))


def test_the_order_of_classes_is_the_published_one():
    """By name: superimposed ice is our refrozen-like, and cloud comes before water."""
    published = ["ice", "snow", "debris", "firn", "shadow", "superimposed-ice", "cloud", "water", "confidence"]
    assert [{"refrozen-like": "superimposed-ice"}.get(name, name) for name in grids.BANDS] == published
    assert FEATURES[:6] == ("first guess", "reaction to warmth", "reaction to precipitation", "outline", "elevation",
                            "elevation_std")  # fmt: skip


def test_shares_of_cells_in_closed_form():
    """A cell of 10 x 10 pixels: 30 snow, 20 cloud, 10 refrozen-like of 60 that have a class; the mode is snow."""
    labels = np.full((10, 10), NODATA, "uint8")
    labels[:3], labels[3:5], labels[5] = VALUES["snow"], VALUES["cloud"], VALUES["refrozen-like"]
    confidence = np.full((10, 10), np.nan)
    confidence[:3], confidence[3:6] = 0.9, 0.6
    cells = grids.Cells(1000.0 - 5 - 10 * np.arange(10), 5 + 10.0 * np.arange(10), 100.0)
    assert (cells.y[1], cells.x[1]) == (950.0, 50.0)
    found = dict(zip(grids.BANDS, grids.facies(labels, confidence, cells)[:, 1, 1], strict=True))
    expected = {"snow": 0.5, "cloud": 1 / 3, "refrozen-like": 1 / 6, "confidence": 0.75}
    for name, value in found.items():
        assert value == pytest.approx(expected.get(name, 0.0)), name
    mode = dict(zip(grids.BANDS, grids.facies(labels, confidence, cells, "mode")[:, 1, 1], strict=True))
    assert {name for name, value in mode.items() if value == 1} == {"snow"}
    assert mode["confidence"] == pytest.approx(0.75)
    assert np.isnan(grids.facies(labels, confidence, cells)[:, 0, 0]).all()  # no pixel there has a class
    with pytest.raises(InputError, match="summary='best'"):
        grids.facies(labels, confidence, cells, "best")


def test_maps_on_the_grid():
    """Outline, heights and classes of a plane with a level snow line; a crop of the map changes nothing."""
    maps = with_confidence(maps_of(np.concatenate([snow_above(2400), snow_above(2520)])))
    found = grids.of_maps(maps, fx.statistics(maps), rule="latest")["a"]
    area = float(found.outline.sum()) * 100**2
    assert area == pytest.approx(int((maps.glacier_index == 4).sum()) * 10**2)
    row = found.sel(x=600650.0)
    inside = row.outline == 1
    # 5 m a row, 10 rows a cell: the mean of a cell is that of its middle, the deviation that of 10 equal steps.
    np.testing.assert_allclose(row.elevation_std[inside], 5 * np.sqrt((10**2 - 1) / 12), rtol=1e-3)
    np.testing.assert_allclose(np.diff(row.elevation[inside]), -50.0)
    for year, line in ((2015, 2400), (2016, 2520)):
        snow = row["facies"].sel(year=year, band="snow")[inside]
        np.testing.assert_allclose(snow, np.clip((row.elevation[inside] + 27.5 - line) / 50, 0, 1), atol=1e-5)
        np.testing.assert_allclose(row["facies"].sel(year=year, band="ice")[inside], 1 - snow, atol=1e-6)
    np.testing.assert_allclose(row["facies"].sel(band="confidence")[:, inside], 0.8, rtol=1e-6)
    crop = maps.isel(y=slice(5, 155), x=slice(8, 133))
    again = grids.of_maps(crop, fx.statistics(crop), rule="latest")["a"]
    xr.testing.assert_allclose(again["facies"], found["facies"])
    xr.testing.assert_allclose(again.outline, found.outline)
    with pytest.raises(MissingVariableError, match="needs 'confidence'"):
        grids.of_maps(maps.drop_vars("confidence"), fx.statistics(maps))


YEARS = range(2015, 2017)


@pytest.fixture(scope="module")
def region():
    """Maps of five glaciers in two years, weather, and records that a known model has made."""
    rng = np.random.default_rng(0)
    index = np.zeros(SHAPE, "int32")
    for k in range(5):
        row, column = 5 + 52 * (k % 3), 5 + 68 * (k // 3)
        index[row : row + 45, column : column + 60] = k + 1
    lines = rng.uniform(2200, 2600, len(YEARS))
    maps = with_confidence(maps_of(np.concatenate([snow_above(line) for line in lines]), index=index))
    maps = maps.drop_vars([n for n in maps.variables if "glacier" in maps[n].dims])
    names = [f"g{k}" for k in range(5)]
    low, high = (np.full(5, f(maps["elevation"].values[index > 0]), "float32") for f in (np.min, np.max))
    maps = maps.assign_coords(
        glacier=names, glacier_number=("glacier", np.arange(1, 6, dtype="int32")),
        latitude=("glacier", np.full(5, 46.0)), longitude=("glacier", 10 + 0.5 * np.arange(5)),
    ).assign(glacier_elevation_min=("glacier", low), glacier_elevation_max=("glacier", high))  # fmt: skip
    time = pd.date_range("2014-10-01", "2016-10-01", freq="D")
    season = -2 + 8 * np.cos(2 * np.pi * (time.dayofyear.to_numpy() - 205) / 365.25)
    warm = season + rng.normal(0, 3, len(time)) + rng.normal(0, 0.8, 4)[time.year.to_numpy() - 2014]
    climate = xr.Dataset(
        {"temperature": (("glacier", "time"), np.tile(warm, (5, 1)) + rng.normal(0, 0.5, (5, 1))),
         "precipitation": (("glacier", "time"), np.tile(rng.gamma(0.5, 0.008, len(time)), (5, 1))),
         "height": ("glacier", np.full(5, 2400.0))},
        {"glacier": names, "time": time},
    )  # fmt: skip
    stats = fx.statistics(maps).compute()
    problem = with_weather(of_statistics(stats), climate)
    problem = replace(problem, grids=grids.of_maps(maps, stats))
    model = TemperatureIndex(free({"precipitation_factor": 1.9, "degree_day_factor_snow": 0.0035}, dtype=torch.float32),
                             store="conserving")  # fmt: skip
    rows = []
    with torch.no_grad():
        for glacier in method.glaciers_of(problem, np.arange(len(problem))).values():
            for year, outcome in years(model, glacier):
                balance = float(mean_over(outcome.balance["annual"], year.outline)) + rng.normal(0, 0.05)
                rows.append((glacier.name, year.year, balance))
    return maps, pd.DataFrame(rows, columns=["glacier", "balance_year", "balance"]), climate, problem


SMALL = method.GlaUnTI(
    calibration=Settings(learning_rate=0.15, epochs=6, weights=Weights(total=1.0, parameters=0.001)),
    correction=Settings(epochs=1, batch=3, weights=Weights(total=1.0)),
)


@pytest.fixture(scope="module")
def found(region):
    maps, records, climate, _ = region
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EVERY, "glaunti", SMALL)
        return maps.facies.smb(records, climate=climate, method="glaunti")


def test_among_the_balance_methods(region, found):
    maps, records, climate, _ = region
    assert (found.attrs["method_name"], found.attrs["leave_out"]) == ("glaunti", "glacier")
    scores = found.facies.scores()
    assert scores.loc["model, glacier left out", "n"] == 10
    assert scores.loc["model, glacier left out", "rmse"] < 0.5 * scores.loc["training mean, glacier left out", "rmse"]
    assert float(((found.observed > found.balance_lower) & (found.observed < found.balance_upper)).mean()) > 0.8
    with pytest.raises(InputError, match="pixel by pixel"):
        fx.smb(fx.statistics(maps), records, climate=climate, method="glaunti")


def test_the_command_gives_what_the_accessor_does(region, found, tmp_path, monkeypatch):
    """From files alone: a store of maps, records, and weather of cells."""
    maps, records, climate, _ = region
    fx.write(maps, tmp_path / "maps.zarr", progress=False)
    records.to_csv(tmp_path / "records.csv", index=False)
    cells = (
        climate.assign_coords(glacier=maps.longitude.values).rename(glacier="longitude").expand_dims(latitude=[46.0])
    )
    for name, unit in (("temperature", "degC"), ("precipitation", "m"), ("height", "m")):
        cells[name].attrs["units"] = unit
    cells.to_netcdf(tmp_path / "days.nc")
    monkeypatch.setitem(EVERY, "glaunti", SMALL)
    command = ["smb", tmp_path / "maps.zarr", tmp_path / "records.csv", "--method", "glaunti", "--climate",
               tmp_path / "days.nc", "--out", tmp_path / "balance.csv", "--json"]  # fmt: skip
    done = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    scores = {row["index"]: row for row in json.loads(done.stdout)}
    assert scores["model, glacier left out"]["n"] == 10
    table = pd.read_csv(tmp_path / "balance.csv").set_index(["glacier", "balance_year"])
    for name in ("balance", "balance_out_of_fold", "balance_lower"):
        np.testing.assert_allclose(table[name], found[name].to_series().reindex(table.index), atol=1e-4, err_msg=name)


def test_scores_are_whole_numbers_and_names_on_eighty_columns(region, tmp_path):
    maps, records, *_ = region
    fx.write(maps, tmp_path / "maps.zarr", progress=False)
    records.to_csv(tmp_path / "records.csv", index=False)
    command = ["smb", str(tmp_path / "maps.zarr"), str(tmp_path / "records.csv"), "-o", str(tmp_path / "balance.csv")]
    shown = CliRunner().invoke(app, command, catch_exceptions=False, env={"COLUMNS": "80"}).stdout
    assert "…" not in shown
    scores = fx.scores(maps.facies.smb(records))
    of_model = next(line for line in shown.splitlines() if "model, glacier left out" in line)
    assert f"{round(scores.rmse['model, glacier left out'], 2):.3g}" in of_model


@pytest.mark.slow
def test_records_held_out_change_nothing_that_is_predicted_there(region, monkeypatch):
    maps, records, climate, _ = region
    odd = records.assign(balance=records.balance + 3 * (records.glacier == "g2"))
    short = replace(SMALL, calibration=replace(SMALL.calibration, epochs=2), correction=Settings(epochs=1))
    monkeypatch.setitem(EVERY, "glaunti", short)
    plain, moved = (maps.facies.smb(r, climate=climate, method="glaunti") for r in (records, odd))
    held = {"glacier": "g2"}
    np.testing.assert_array_equal(moved.balance_out_of_fold.sel(held), plain.balance_out_of_fold.sel(held))
    assert float(np.abs(moved.balance - plain.balance).max()) > 1e-4


def test_a_fit_is_kept_and_refused_where_it_does_not_hold(region, monkeypatch):
    _, records, _, problem = region
    table = problem.rows.drop(columns="observed").merge(
        records.rename(columns={"balance": "observed"}), "left", ["glacier", "balance_year"]
    )
    problem = replace(problem, rows=table)
    rows = np.arange(len(problem))
    small = replace(SMALL, calibration=Settings(epochs=1), correction=Settings(epochs=1), members=2)
    fitted = small.fit(problem, rows)
    assert len(fitted.models) == 2
    again = small.from_dict(json.loads(json.dumps(fitted.to_dict())))
    for ours, theirs in zip(fitted.predict(problem, rows), again.predict(problem, rows), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (fitted.predict(problem, rows).upper > fitted.predict(problem, rows).mean).all()
    for part, wrong in (("tensors", "AAAA"), ("anew", "never"), ("limit", -1)):
        saved = fitted.to_dict()
        saved["members"][0][part] = wrong
        with pytest.raises(ValueError, match=r"damaged|is not between"):
            small.from_dict(saved)
    with pytest.raises(InputError, match="needs weather and maps"):
        small.fit(replace(problem, grids=None), rows)
    short = problem.forcing.sel(time=slice(None, "2015-12-31"))
    with pytest.raises(InputError, match="records of 2016 lie outside"):
        small.fit(replace(problem, forcing=short), rows)
    assert np.isnan(fitted.predict(replace(problem, forcing=short), rows).mean).sum() == 5

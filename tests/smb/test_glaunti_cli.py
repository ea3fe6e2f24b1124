"""``facies-xr glaunti``: each command on two synthetic glaciers in the published layout, stopped and gone on with."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from facies_xr.cli import app
from facies_xr.errors import InputError, StoreError
from facies_xr.smb.glaunti import explain, models
from facies_xr.smb.glaunti.files import Saved

ALPHA = ("--glacier", "Synth Alpha")


@pytest.fixture(scope="module")
def oracle(shared):
    return shared / "oracle_glaunti"


@pytest.fixture(scope="module")
def data(oracle, tmp_path_factory):
    """The data set; of its two glaciers one trains and one validates."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("Synth Alpha", "Synth Beta"):
        (folder / name).symlink_to(oracle / "dataset" / name)
    index = pd.read_csv(oracle / "dataset" / "index.csv").assign(fold=[2, 1], max_year=1996)
    index.to_csv(folder / "index.csv", index=False)
    return folder


def called(*words):
    """What a command shows; its error as it is raised."""
    done = CliRunner().invoke(app, ["glaunti", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code == 130:
        raise KeyboardInterrupt
    assert done.exit_code == 0, done.output
    return done.stdout


def test_calibrate_then_train_then_transfer_then_evaluate(data, tmp_path):
    shown = json.loads(called("calibrate", data, "--out", tmp_path / "a.safetensors", "--epochs", 2, "--json"))
    a = models.opened(tmp_path / "a.safetensors")
    assert shown["precipitation_factor"] == pytest.approx(float(a.free["precipitation_factor"].exp().detach()))
    card = Saved.load(tmp_path / "a.safetensors").card
    assert (card["trained_on"], card["best_epoch"]) == (["Synth Alpha"], shown["best epoch"])
    called("calibrate", data, "--out", tmp_path / "b.safetensors", "--epochs", 1, "--json")
    again = json.loads(called("calibrate", data, "--out", tmp_path / "b.safetensors", "--epochs", 2, "--json"))
    assert again == shown  # goes on from the first epoch to the same bits
    called("train", data, "--start", tmp_path / "a.safetensors", "--out", tmp_path / "models", "--epochs", 1,
           "--batch", 1, "--sounder")  # fmt: skip
    d = models.opened(tmp_path / "models" / "d.safetensors")
    assert (d.facies, d.network.masked, d.anew) == (True, True, "year")
    assert len(pd.read_csv(tmp_path / "models" / "d.csv")) == 2
    called("transfer", data, tmp_path / "a.safetensors", *ALPHA, "--years", "1995", "--validation", "1996",
           "--epochs", 1, "--out", tmp_path / "t.safetensors")  # fmt: skip
    assert Saved.load(tmp_path / "t.safetensors").kind == "temperature-index"
    table = json.loads(called("evaluate", data, tmp_path / "t.safetensors", "--split", "training", "--pairs",
                              tmp_path / "pairs.csv", "--json"))  # fmt: skip
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    mine = pairs[(pairs.kind == "point") & (pairs.season == "annual")]
    row = next(r for r in table if (r["kind"], r["season"]) == ("point", "annual"))
    assert row["n"] == len(mine) > 1
    assert row["rmse"] == pytest.approx(float(np.sqrt(((mine.predicted - mine.observed) ** 2).mean())))
    with pytest.raises(InputError, match="no temperature-index model"):
        called("train", data, "--start", tmp_path / "models" / "d.safetensors", "--out", tmp_path / "no")
    with pytest.raises(InputError, match="no glacier 'Gamma'"):
        called("attribute", data, tmp_path / "a.safetensors", "--glacier", "Gamma", "--year", 1996)


def test_balanced_goes_on_to_the_same_bits_and_finds_the_warmth(data, oracle, tmp_path):
    command = ("balanced", data, oracle / "params" / "a.npz", *ALPHA, "--years", "1995-1996", "--steps")
    found = json.loads(called(*command, 40, "--out", tmp_path / "whole.csv", "--json"))
    table = pd.read_csv(tmp_path / "whole.csv")
    assert len(table) == 40
    assert abs(found["balance"]) < 0.5 * abs(table.balance[0])
    assert np.sign(found["shift"]) == np.sign(table.balance[0])  # what gains mass must be warmer
    lines = (tmp_path / "whole.csv").read_text().splitlines(keepends=True)
    (tmp_path / "cut.csv").write_text("".join(lines[:8]) + lines[8][:20])  # killed within a row
    called(*command, 40, "--out", tmp_path / "cut.csv", "--json")
    assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()
    with pytest.raises(StoreError, match="of another search"):
        called("balanced", data, oracle / "params" / "a.npz", "--glacier", "Synth Beta", "--years", "1995", "--steps",
               3, "--out", tmp_path / "cut.csv")  # fmt: skip
    with pytest.raises(InputError, match="1990 cannot be asked for"):
        called("balanced", data, oracle / "params" / "a.npz", *ALPHA, "--years", "1990", "--out", tmp_path / "n.csv")


@pytest.mark.parametrize("kind", ["a", "d"])
def test_shares_add_up_and_go_on(data, oracle, tmp_path, monkeypatch, kind):
    """All shares together are the balance less the baseline's, for the mean of gradients but for its coarseness."""
    command = ("attribute", data, oracle / "params" / f"{kind}.npz", *ALPHA, "--year", "1995", "--points", "40")
    shown = json.loads(called(*command, "--out", tmp_path / "whole.nc", "--json"))
    found = xr.load_dataset(tmp_path / "whole.nc")
    total = float((found.temperature + found.precipitation).sum())
    assert total == pytest.approx(found.attrs["balance"] - found.attrs["baseline"], rel=0.1, abs=0.03)
    assert sum(row["temperature"] for row in shown) == pytest.approx(float(found.temperature.sum()), abs=1e-5)
    assert shown[0]["month"] == "1994-09"  # its last day begins the year
    put = explain._put_down
    monkeypatch.setattr(explain, "_put_down", lambda path, totals, key, done: (put(path, totals, key, done), _stop()))
    with pytest.raises(KeyboardInterrupt):
        called(*command, "--out", tmp_path / "cut.nc")
    monkeypatch.setattr(explain, "_put_down", put)
    called(*command, "--out", tmp_path / "cut.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "cut.nc"), found)
    with pytest.raises(StoreError, match="another balance, weather or number of points"):
        called(*command[:-1], "50", "--out", tmp_path / "cut.nc")
    shutil.copy(data / "index.csv", tmp_path / "cut.nc.sums.npz")
    with pytest.raises(StoreError, match="holds no sums"):
        called(*command, "--out", tmp_path / "cut.nc")


def _stop():
    raise KeyboardInterrupt

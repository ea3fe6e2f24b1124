"""The pipelines run: each once, as a whole, on a tiny world."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facies_xr as fx
from facies_xr.classes import NAMES
from facies_xr.errors import InputError
from facies_xr.maps.codes import HIDDEN
from facies_xr.nn.classifier import Classifier

PIPELINES = Path(fx.__path__[0]).parent / "pipelines"


def pipeline(name):
    specification = importlib.util.spec_from_file_location(name, PIPELINES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    if str(PIPELINES) not in sys.path:
        sys.path.insert(0, str(PIPELINES))  # as it is for a script: its neighbours can be imported
    specification.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_training_on_synthetic_worlds(world, region, tmp_path):
    script = pipeline("train_synthetic")
    one, none = range(1), range(0)
    plan = script.Plan(world=[world].__getitem__, train=one, validation=one, test=one, areas=none, areas_test=none,
                       season_world=[world].__getitem__, seasons=one, trained=200, checked=20, held_out=600,
                       fewest=50)  # fmt: skip
    (tmp_path / "seasons").mkdir()
    for folder in (tmp_path, tmp_path / "seasons"):
        (folder / "world-000").symlink_to(region.folder)
    script.build(tmp_path, plan)
    before = script.digest(tmp_path, plan)
    script.build(tmp_path, plan)  # goes on where it stopped: nothing is left to do
    assert script.digest(tmp_path, plan) == before

    found = script.training(tmp_path, plan, 1)
    assert not any(script.data.UNSEEN_SITE in scene for scene in found.scene)
    assert any("Sperry" in scene for scene in found.scene)
    without = script.training(tmp_path, plan, 1, ("Sperry",))
    assert not any("Sperry" in scene for scene in without.scene)
    truth = region.truth()
    assert {NAMES[k] for k in np.unique(found.label)} <= {NAMES[k] for k in np.unique(truth.seen) if k < len(NAMES)}

    settings = dataclasses.replace(script.SETTINGS, epochs=1, batch=50, architecture="dense")
    fitted = script.trained(tmp_path, plan, found, 1, "tiny", settings)
    card = fitted.card
    total = card["synthetic_scores"]["points"] + card["synthetic_scores_in_real_colours"]["points"]
    assert total == len(script.data.samples(tmp_path, one, 1, 600))
    assert set(card["unseen_site"]) == {"site", "snow", "ice", "debris", "shadow"}
    assert card["data_digest"] == script.digest(tmp_path, plan, found)
    assert len({before, card["data_digest"], script.digest(tmp_path, plan, without)}) == 3

    classifier = script.with_areas(tmp_path, plan, fitted)
    weights = np.array(classifier.calibrator.scenes)
    assert 1 <= len(weights) <= len(world.years) * world.glaciers
    assert (weights[:, [NAMES.index(name) for name in HIDDEN]] == 1).all()
    assert (weights > 0).all()
    again = Classifier.load(classifier.save(tmp_path / "tiny.safetensors"))
    assert again.digest == classifier.digest != fitted.digest

    settings = dataclasses.replace(settings, architecture="scales")
    table = script.sites(tmp_path, plan, settings, "bands-v2")
    four = ["Gulkana", "SouthCascade", "Sperry", "Wolverine"]
    assert list(table.index) == [*zip(four[:3], four[:3], strict=True), *(("all", site) for site in four)]
    assert ((table >= 0) & (table <= 1) | table.isna()).all(None)
    files = sorted(tmp_path.glob("bands-v2-without-*.safetensors"))
    assert sorted(Classifier.load(file).card["without"] for file in files) == sorted(
        [*([site] for site in four[:3]), four[:3]]
    )
    times = [file.stat().st_mtime_ns for file in files]
    for without in (("Sperry",), tuple(four[:3])):
        script.left_out(tmp_path, plan, settings, "bands-v2", without)
    assert [file.stat().st_mtime_ns for file in files] == times  # goes on where it stopped
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script.data, "FIELD_SPREAD", script.data.Spread())
        script.left_out(tmp_path, plan, settings, "bands-v2", ("Sperry",))
    changed = [file for file, time in zip(files, times, strict=True) if file.stat().st_mtime_ns != time]
    assert [file.stem for file in changed] == ["bands-v2-without-Sperry"]  # other wide fields train anew
    path = dataclasses.replace(fitted, card={**card, "not_for": "nothing"}).save(tmp_path / "carded.safetensors")
    carded = Classifier.load(script.renewed(path, table, card["data_digest"])).card
    assert {**carded, "sites_left_out": 0} == {**again.card, "sites_left_out": 0}
    assert carded["sites_left_out"]["Sperry"] == table.loc[("Sperry", "Sperry")].round(3).to_dict()
    with pytest.raises(InputError, match="was trained on data"):
        script.renewed(path, table, "other")
    bare = script.training(tmp_path, plan, 1, tuple(four[:3]))
    assert not any(" " in scene for scene in bare.scene)  # no wide fields either

    table = script.check_areas(tmp_path, plan, fx.load_model("synthetic-v1-dense"))
    assert {correction for _, correction in table.index} <= {"scenes", "prior", "none"}
    assert len(table) > 0
    assert ((table.covered >= 0) & (table.covered <= 1)).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["areas"], "SCENES", {1: (1,)})  # this world has one scene a year
        table = script.check_seasons(tmp_path, plan, fx.load_model("bands-v2"))
    assert list(table.index) == [("expected", 1), ("map", 1), ("map, scatter alone", 1)]
    assert table.width["map"].item() > table.width["map, scatter alone"].item()
    assert table.covered["map"].item() >= table.covered["map, scatter alone"].item()


def test_shipped_cards_say_what_the_pipeline_says():
    script = pipeline("train_synthetic")
    for name in script.FEATURE_SET:
        card = fx.load_model(name).card
        assert card["not_for"] == script.NOT_FOR, name
        assert {*card["sites_left_out"], card["unseen_site"]["site"]} == {*script.data.spectra().site}


def test_degradation_is_told_of_the_same_glaciers_and_years(monkeypatch):
    """What is lost at one level counts at none; a level that keeps easy records only is no better for it."""
    monkeypatch.syspath_prepend(PIPELINES)
    script = pipeline("degrade_synthetic")
    assert list(script.WORLDS) == list(range(40, 48))
    index = pd.MultiIndex.from_product([["w1", "w2"], ["a", "b"], range(2000, 2010)], names=["world", "glacier", "y"])
    truth = np.random.default_rng(0).normal(0, 1, len(index))
    hard = np.isin(index.get_level_values("y"), [2003, 2007])
    full = pd.DataFrame({"balance": truth, "balance_out_of_fold": truth + hard * 2.0}, index)
    easy, all_of_w1 = script.compared({0.0: full[~hard], 1.0: full.loc[["w1"]]})
    assert (easy["n"], all_of_w1["n"], easy["worlds"], all_of_w1["worlds"]) == (32, 20, 2, 1)
    assert easy["n, the same"] == all_of_w1["n, the same"] == 16
    assert all_of_w1["rmse"] > 0.5
    assert all_of_w1["rmse, the same"] == easy["rmse, the same"] == 0


@pytest.mark.filterwarnings("ignore")
def test_mapping_a_region(world, region, tmp_path, monkeypatch, capsys):
    script = pipeline("map_region")
    store, years = tmp_path / "archive", [str(year) for year in world.years[:2]]
    files = map(str, (region.catalog, region.outlines, region.dem, store))
    monkeypatch.setattr("sys.argv", ["map_region.py", *files, "--cluster", "threads", "--years", *years])
    script.main()
    script.main()  # plans and computes nothing anew
    assert "glaciers.parquet" in capsys.readouterr().out
    maps = fx.open_maps(store)
    assert maps.sizes["time"] == 2
    assert int((maps.facies_map != 255).sum()) > 0


@pytest.mark.slow
def test_the_study_of_glaunti(tmp_path, monkeypatch, capsys):
    """Its world is what it says, and each method is judged on every record of glaciers that it has not seen."""
    script = pipeline("glaunti")
    few = script.Settings(epochs=1)
    study = script.Study(glaciers=4, years=2, size=(9, 8), folds=2, calibration=few, correction=few, recurrent=few)
    glaciers = script.world(study)
    for glacier in glaciers:
        wrong = script.with_map_errors(glacier, study)
        np.testing.assert_allclose(wrong.facies[:, :-1].sum("band"), glacier.facies[:, :-1].sum("band"), atol=1e-5)
        assert float(np.abs(wrong.facies - glacier.facies).max()) > 0.02
        assert float(wrong.facies[:, -1].mean()) < 1
    again = script.world(study)[0]
    pd.testing.assert_frame_equal(again.totals, glaciers[0].totals)
    shares = script.covered(script.recovery(draws=5, glaciers=4, years=12))
    assert shares["all five"] >= 0.7  # of .95, of 20 draws
    assert (shares >= 0.75).all()
    monkeypatch.setattr(script, "Study", lambda **given: dataclasses.replace(study, **given))
    monkeypatch.setattr(script, "recovery", lambda: script.pd.DataFrame({"distance": [1.0], **dict.fromkeys(
        script.FITTED, True)}))  # fmt: skip
    monkeypatch.setattr("sys.argv", ["glaunti.py", "study", str(tmp_path)])
    script.main()
    assert "map errors" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "study.csv")
    assert table.method.nunique() == 6
    assert set(table.n[table.kind == "glacier-wide"]) == {8}
    assert set(table.n[table.kind == "point"]) == {24}
    assert table.rmse.notna().all()


def test_published_figures_are_one_command(shared, monkeypatch, capsys):
    """The data set of two synthetic glaciers, whose folds are those that are trained on, by model a."""
    script = pipeline("glaunti")
    home = shared / "oracle_glaunti"
    monkeypatch.setattr("sys.argv", ["glaunti.py", "evaluate", str(home / "dataset"), str(home / "params" / "a.npz"),
                                     "--split", "training"])  # fmt: skip
    script.main()
    shown = capsys.readouterr().out
    found = script.evaluated(script.models.opened(home / "params" / "a.npz"), script.release.glaciers(home / "dataset"))
    wide = found[(found.kind == "glacier-wide") & (found.season == "annual")].iloc[0]
    pred = [json.loads((home / f"pipeline_eval_{name}_a.json").read_text())["true_pred"]["glacier-wide"]["overall"]
            for name in ("Alpha", "Beta")]  # fmt: skip
    apart = [p - t for one in pred for p, t in zip(one["annual"]["pred"], one["annual"]["true"], strict=True)]
    assert (wide.n, wide.rmse) == (len(apart), pytest.approx(np.sqrt(np.mean(np.square(apart))), abs=1e-3))
    assert "glacier-wide" in shown

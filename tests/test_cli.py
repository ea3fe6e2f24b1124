"""The command line: the same result as the accessor, and one line for a mistake."""

import subprocess
import sys

import numpy as np
import pytest

import facies_xr as fx

from .store.maps import chunk_bytes


def run(*arguments, check=True, **options):
    command = [sys.executable, "-c", "from facies_xr.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, **options)


@pytest.fixture(scope="module")
def model(classifier, tmp_path_factory):
    return classifier.save(tmp_path_factory.mktemp("model") / "random.safetensors")


def test_map_is_what_the_accessor_gives(region, model, cube, tmp_path):
    out = tmp_path / "cli.zarr"
    run(
        "map",
        region.catalog,
        region.outlines,
        "--years",
        "2009-2010",
        "--dem",
        region.dem,
        "--model",
        model,
        "--out",
        out,
    )
    some = cube.sel(time=cube.balance_year.isin([2009, 2010]))
    maps = fx.write(some.facies.classify(model).facies.calibrate(), tmp_path / "python.zarr", progress=False)
    stored = fx.open_store(out)
    for name in ("facies_map", "confidence", "albedo"):
        np.testing.assert_array_equal(stored[name].values, maps[name].values)
    assert chunk_bytes(out) == chunk_bytes(tmp_path / "python.zarr")


def test_dry_run_says_and_does_nothing(region, model, tmp_path):
    out = tmp_path / "never.zarr"
    shown = run("map", region.catalog, region.outlines, "--years", "2009-2021", "--dem", region.dem, "--model", model,
                "--out", out, "--dry-run").stdout  # fmt: skip
    for word in ("scenes", "tiles", "read", "write", "time"):
        assert word in shown
    assert not out.exists()


def test_map_takes_the_clearest_of_each_year(region, model, world):
    from facies_xr.scenes import missions, selection

    items = fx.search(region.catalog, region.outlines, years=world.years)
    best = selection.best(items, region.outlines)
    shown = run("map", region.catalog, region.outlines, "--years", "2009-2021", "--model", model, "--best", "1",
                "--dry-run", "--dem", region.dem).stdout  # fmt: skip
    assert f"{len(best)} scenes" in shown
    assert len({missions.resolve(i).datatake for i in best}) == len(world.years)


def test_catalog_of_landsat_folders(shared, tmp_path):
    path = tmp_path / "catalog.json"
    assert "3 scenes" in run("catalog", shared / "landsat_l1_montana_mission", "-o", path).stdout
    assert len(fx.search(path, (-114.1, 47.6, -114.0, 47.7), years=range(1990, 2020), season=("06-01", 40))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map", "nowhere.json", "0,40,1,41", "--years", "2020", "--model", "x"), "neither a file nor one of"),
        (("map", "nowhere.json", "0,40,1,41", "--years", "soon", "--model", "x"), "--years"),
        (("map", "nowhere.json", "no.gpkg", "--years", "2020", "--model", "x"), "no such file"),
        (("catalog", "nowhere"), "not a folder"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, message):
    done = run(*arguments, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_model_names_the_known_ones(region, tmp_path):
    done = run("map", region.catalog, region.outlines, "--years", "2009-2021", "--dem", region.dem, "--model", "best",
               "--out", tmp_path / "x.zarr", check=False)  # fmt: skip
    assert done.returncode == 2
    assert "synthetic-v1" in done.stderr
    assert not (tmp_path / "x.zarr").exists()

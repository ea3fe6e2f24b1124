"""The command line: the same result as the accessor, and one line for a mistake."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facies_xr as fx
from facies_xr.cli import shell

from .servers import bucket
from .store.maps import chunk_bytes


def run(*arguments, check=True, **options):
    command = [sys.executable, "-c", "from facies_xr.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, **options)


@pytest.fixture(scope="module")
def model(classifier, tmp_path_factory):
    return classifier.save(tmp_path_factory.mktemp("model") / "random.safetensors")


def test_map_is_what_the_accessor_gives(region, model, cube, tmp_path):
    out = tmp_path / "cli.zarr"
    command = ("map", region.catalog, region.outlines, "--years", "2009-2010", "--dem", region.dem, "--model", model,
               "--out", out)  # fmt: skip
    planned = json.loads(run(*command, "--dry-run", "--json").stdout)["tiles"]
    run(*command)
    finished = json.loads(run("status", out, "--json").stdout)["finished"]
    assert planned.startswith(f"{finished} to write")
    assert json.loads(run(*command, "--dry-run", "--json").stdout)["tiles"].endswith(f"{finished} already there")
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


def test_the_americas_have_west_longitudes(shared, tmp_path):
    path = tmp_path / "catalog.json"
    run("catalog", shared / "landsat_l1_montana_mission", "-o", path)
    shown = run("map", path, "-114.04,47.65,-113.98,47.69", "--years", "1990-2019", "--season", "06-01,40",
                "--resolution", "30", "--model", "synthetic-v1-bands", "--dry-run", "--json").stdout  # fmt: skip
    assert json.loads(shown)["scenes"] == "3 in 3 dates"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("--dem",), "--dem"),
        (("--observations", "no.csv"), "no.csv"),
        (("--model", "synthetic-v9"), "synthetic-v1"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would_refuse(region, tmp_path, missing, words):
    arguments = {"--years": "2009-2021", "--dem": region.dem, "--model": "synthetic-v1", "--out": tmp_path / "x.zarr"}
    arguments = {k: v for k, v in arguments.items() if k not in missing[:1]} | dict([missing] if missing[1:] else [])
    flat = [part for pair in arguments.items() for part in pair]
    done = run("map", region.catalog, region.outlines, *flat, "--dry-run", check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "fx." not in done.stderr


def test_the_version_is_said():
    assert run("--version").stdout.strip() == fx.__version__


def test_models_are_listed_and_shown_for_machines():
    listed = json.loads(run("model", "list", "--json").stdout)
    assert {row["model"] for row in listed} >= {"synthetic-v1", "synthetic-v1-bands"}
    for name in ("synthetic-v1", "synthetic-v2"):
        text = run("model", "show", name, "--json").stdout
        assert json.loads(text, parse_constant=pytest.fail)["digest"]  # NaN is no JSON


@pytest.fixture(scope="module")
def finished(cube, bands_classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "maps.zarr"
    fx.write(cube.isel(time=[0, 1]).facies.classify(bands_classifier), path, progress=False)
    return path


def test_a_store_is_reported_verified_and_exported(finished, tmp_path):
    report = json.loads(run("status", finished, "--json").stdout)
    assert report["pending"] == 0
    assert "as it was written" in run("verify", finished).stdout
    run("export", finished, tmp_path / "cog")
    assert len(list((tmp_path / "cog").glob("facies_*.tif"))) == 2
    run("stats", finished, "-o", tmp_path / "stats.csv")
    stats = fx.open_store(finished).facies.statistics()
    assert len(pd.read_csv(tmp_path / "stats.csv")) == stats.sizes["glacier"] * 2


def test_a_damaged_store_is_status_2(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "damaged.zarr")
    chunk = next(p for p in (copy / "facies_map" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    done = run("verify", copy, check=False)
    assert done.returncode == 2
    assert "facies_map" in done.stdout


def test_a_map_is_computed_on_a_cluster(region, model, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        shown = run("map", region.catalog, region.outlines, "--years", "2009", "--dem", region.dem, "--model", model,
                    "--out", tmp_path / "x.zarr", "--scheduler", cluster.scheduler_address).stdout  # fmt: skip
    assert "1 workers" in shown
    assert fx.open_store(tmp_path / "x.zarr").sizes["time"] == 1


def test_no_scheduler_is_named(region, model, tmp_path):
    done = run("map", region.catalog, region.outlines, "--years", "2009", "--dem", region.dem, "--model", model,
               "--out", tmp_path / "x.zarr", "--scheduler", "tcp://127.0.0.1:1", check=False)  # fmt: skip
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("add it with fx.add_terrain(cube, dem, outlines), or", "add it with --dem DEM, or"),
        ('or pass on_error="drop" to go on', "or pass --on-error drop to go on"),
        ("Widen season=, years= or max_cloud=, or", "Widen --season, --years or --max-cloud, or"),
        ("pass accept_level=True to use", "pass --accept-level to use"),
        ("on_error='keep': choose 'raise' or 'drop'.", "--on-error keep: choose 'raise' or 'drop'."),
        ("method='bogus': choose among", "--method 'bogus': choose among"),
        ("feature_set=5: choose 1 or", "--feature-set 5: choose 1 or"),
        ("--source='era6': choose", "--source 'era6': choose"),
        ("no SR (search(..., level='TOA')).", "no SR (--level 'TOA')."),
    ],
)
def test_messages_name_the_options_of_the_shell(message, shown):
    assert shell.in_shell_words(message) == shown


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


def test_a_store_in_a_bucket_is_reported_verified_and_exported(tmp_path):
    days = ["2019-08-01", "2020-08-20"]
    with bucket("glaciers") as url:
        there = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "word", "AWS_ENDPOINT_URL": url}
        options = {"env": {**os.environ, **there}, "cwd": tmp_path}
        address = "s3://glaciers/maps.zarr"
        code = f"import facies_xr as fx; from maps import *; fx.write(random_maps({days}, box=SMALL), {address!r})"
        path = Path(__file__).parent / "store"
        written = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r}); {code}"],
                                 capture_output=True, text=True, check=True, **options)  # fmt: skip
        assert f"{address}: 12 tiles computed" in written.stdout
        assert json.loads(run("status", address, "--json", **options).stdout)["finished"] == 12
        assert "as it was written" in run("verify", address, **options).stdout
        run("export", address, "tifs", **options)
    assert len(list((tmp_path / "tifs").glob("facies_*.tif"))) == len(days)
    assert {path.name for path in tmp_path.iterdir()} == {"tifs"}

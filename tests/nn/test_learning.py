"""``facies-xr train`` from patches in the published layout to tables and classifiers."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely import box
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr import cli, metrics
from facies_xr.classes import NAMES, NODATA
from facies_xr.cli import learning as learning_commands
from facies_xr.errors import InputError
from facies_xr.nn import labels, learning, patchfiles, train
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.labels import Samples
from facies_xr.nn.patchstore import PatchStore, writing

pytest.importorskip("cleanlab")

PLACES = {"Alps": (8.0, 46.5), "Iceland": (-17.0, 64.2), "Svalbard": (13.0, 79.0)}


def samples(n=36):
    """Twelve glaciers of three regions; the class decides all features."""
    rng = np.random.default_rng(0)
    k = np.arange(n) % 12
    label = rng.integers(0, 3, n)
    patches = (0.3 * label[:, None, None, None] + rng.normal(0, 0.05, (n, 11, 33, 33))).astype("float32")
    where = np.array(list(PLACES.values()))[k % 3] + rng.uniform(-0.3, 0.3, (n, 2))
    glacier = np.array([f"Glacier {j}" for j in range(12)])[k]
    return Samples(patches, label, glacier, np.char.add(glacier, " 2015"), where[:, 0], where[:, 1])


@pytest.fixture(scope="module")
def published_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "tiles"
    made = samples()
    fold = np.array([int(g.split()[1]) % 6 for g in made.glacier])
    patchfiles.write(folder, made, fold, np.full(36, "2015-08-20"), np.full(36, "S2A"))
    return folder


def run(*arguments):
    found = CliRunner().invoke(cli.app, ["train", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0
    return found.stdout


@pytest.mark.parametrize("protocol", ["published", pytest.param("nested", marks=pytest.mark.slow)])
def test_patches_become_tables_and_classifiers(protocol, published_files, tmp_path):
    options = ["--epochs", 1, "--batch", 16, "--feature-set", 1, "--protocol", protocol, "--json"]
    shown = json.loads(run("--patches", published_files, "-o", tmp_path, *options).splitlines()[-1])
    tables = {p.stem: pd.read_csv(p, index_col=[0, 1]) for p in (tmp_path / "tables").glob("unpruned.csv")}
    assert [row["class"] for row in shown][-1] == "average"
    np.testing.assert_allclose(shown[-1]["value"], tables["unpruned"].loc[("f1", "average"), "value"], atol=0.01)
    assert {p.stem for p in (tmp_path / "tables").glob("*.tex")} >= {
        "unpruned", "before", "confusion", "glaciers", "regions", "sensors", "calibration", "pruned-labels",
    }  # fmt: skip
    regions = pd.read_csv(tmp_path / "tables" / "regions.csv", header=[0, 1], index_col=0)
    assert set(regions.index) == set(PLACES)
    data = xr.open_zarr(tmp_path / "scores.zarr", consolidated=False).load()
    store = PatchStore(tmp_path / "patches.zarr")
    for k in range(6):  # the classifier of a fold gives what was scored, calibrated
        model = Classifier.load(tmp_path / f"fold-{k}.safetensors")
        assert model.calibrator is not None
        mine = np.flatnonzero(store.fold == k)
        score = train.probabilities(model, store.samples(mine, 1))
        label = score.argmax(1)
        np.testing.assert_array_equal(label, data.score.values[mine].argmax(1))
        np.testing.assert_allclose(
            model.calibrator(label, score.max(1)), data.probability.values[mine, label], atol=1e-3
        )
    counts = metrics.confusion(data.label.values, data.score.values.argmax(1), 8)
    assert 100 * np.nanmean(metrics.f1(counts)[:3]) == pytest.approx(shown[-1]["value"], abs=0.01)
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "settings.json").read_text())["normalised_weights"] == (protocol == "nested")


@pytest.mark.slow
def test_a_second_call_trains_nothing_anew(published_files, tmp_path):
    options = ["--epochs", 1, "--batch", 32, "--feature-set", 1, "--protocol", "published"]
    digests, times = [], []
    for _ in range(2):
        run("--patches", published_files, "-o", tmp_path, *options)
        digests.append([Classifier.load(p).digest for p in sorted(tmp_path.glob("fold-*"))])
        times.append({p.name: p.stat().st_mtime_ns for p in (tmp_path / "trainings").iterdir()})
    assert digests[0] == digests[1]
    assert times[0] == times[1]


def test_folds_are_given_stored_or_made(tmp_path):
    made = samples()
    with writing(tmp_path / "patches.zarr", 4) as out:
        out.append(made)
    store = PatchStore(tmp_path / "patches.zarr")
    fold = learning.folds_of(store)
    assert sorted(set(fold)) == list(range(6))
    region = learning.regions(made.longitude, made.latitude)
    assert set(region) == set(PLACES)
    assert sum(len(set(region[fold == k])) for k in range(6)) >= 10  # two glaciers a fold, mostly of two regions
    table = pd.DataFrame({"glacier": np.unique(made.glacier), "fold": np.arange(12) % 4})
    table.to_csv(tmp_path / "folds.csv", index=False)
    given = learning.read_folds(tmp_path / "folds.csv")
    np.testing.assert_array_equal(learning.folds_of(store, given), [given[g] for g in made.glacier])
    table.iloc[1:].to_csv(tmp_path / "folds.csv", index=False)
    with pytest.raises(InputError, match="do not say where glacier Glacier 0 belongs"):
        learning.folds_of(store, learning.read_folds(tmp_path / "folds.csv"))
    (tmp_path / "folds.csv").write_text("glacier,fold\na,first\n")
    with pytest.raises(InputError, match="columns glacier and fold, a whole number"):
        learning.read_folds(tmp_path / "folds.csv")


def test_made_folds_share_large_and_small_glaciers(tmp_path):
    """Twelve glaciers of 1, 2 .. 12 km2: each fold of two has at most one of the four small, middle and large ones."""
    made = samples()
    with writing(tmp_path / "patches.zarr", 4) as out:
        out.append(made)
    names = np.unique(made.glacier)
    edge = np.sqrt(np.arange(1, 13)) * 1000
    squares = [box(x, 0, x + e, e) for x, e in zip(2000 * 10 * np.arange(12), edge, strict=True)]
    outlines = gpd.GeoDataFrame({"RGIId": names}, geometry=squares, crs="EPSG:6933")
    outlines.to_file(tmp_path / "outlines.gpkg")
    area = learning_commands.areas_of(tmp_path / "outlines.gpkg")
    np.testing.assert_allclose([area[g] for g in names], np.arange(1, 13) * 1e6, rtol=1e-6)
    fold = learning.folds_of(PatchStore(tmp_path / "patches.zarr"), area=area)
    size = (np.arange(12) // 4)[np.searchsorted(names, made.glacier)]
    np.testing.assert_array_equal(learning.area_classes(made.glacier, area), size)
    for k in range(6):
        mine = dict(zip(made.glacier[fold == k], size[fold == k], strict=True))
        assert sorted(mine.values()) == sorted(set(mine.values()))
    outlines.iloc[1:].to_file(tmp_path / "some.gpkg")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="outlines hold no glacier Glacier 0, which has samples"):
        run("--patches", tmp_path / "patches.zarr", "-o", tmp_path / "out", "--outlines", tmp_path / "some.gpkg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --patches, or --points and --cube"),
        (["--patches", "nothing"], "nothing is no folder of patches"),
        (["--patches", "nothing", "--protocol", "loose"], "choose 'nested' or 'published'"),
        (["--points", "p.gpkg"], "give either --patches"),
        (["--patches", "nothing", "--precision", "float16"], "choose 'float32' or 'bfloat16'"),
    ],
)
def test_arguments_that_make_no_sense_are_named_and_nothing_is_written(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(cli.app, ["train", *arguments, "-o", "out"], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_points_and_a_cube_become_tables_and_classifiers(world, region, cube, tmp_path):
    """From a GeoPackage of points and a stored cube; each glacier is a fold and scored by models that never saw it."""
    stored = fx.write(cube, tmp_path / "cube.zarr", progress=False)
    glaciers = stored.glacier.values.tolist()
    points = gpd.read_file(region.points)
    inside = labels.sample(cube, points, 1)
    everywhere = set.intersection(*(set(inside.label[inside.glacier == name]) for name in glaciers))
    assert len(everywhere) >= 3  # what one glacier alone has, the folds that train for it do not know
    points[points["class"].isin([NAMES[k] for k in everywhere])].to_file(tmp_path / "points.gpkg")
    inside = inside[np.isin(inside.label, list(everywhere))]
    pd.DataFrame({"glacier": glaciers, "fold": range(len(glaciers))}).to_csv(tmp_path / "folds.csv", index=False)
    options = ["--epochs", 1, "--batch", 64, "--feature-set", 1, "--protocol", "published", "--json"]
    places = ["--points", tmp_path / "points.gpkg", "--cube", tmp_path / "cube.zarr", "--folds", tmp_path / "folds.csv"]
    shown = json.loads(run(*places, "-o", tmp_path / "out", *options).splitlines()[-1])
    assert [row["class"] for row in shown][-1] == "average"
    scored = xr.open_zarr(tmp_path / "out" / "scores.zarr")
    assert scored.sizes["sample"] == len(inside)
    assert sorted(scored.label.values) == sorted(inside.label)
    for k, name in enumerate(glaciers):
        assert set(scored.glacier.values[scored.fold.values == k]) == {name}
        assert "without test fold" in Classifier.load(tmp_path / "out" / f"fold-{k}.safetensors").card["trained_on"]
    maps = fx.classify(cube.isel(time=[0]), tmp_path / "out" / "fold-0.safetensors").compute()
    assert (maps.facies_map != NODATA).any()


def test_patches_are_made_of_what_is_given_now(cube, region, tmp_path):
    """A run that was stopped goes on with its patches; other points or another cube are not taken for them."""
    table = gpd.read_file(region.points)
    few = table[table.item.isin(cube.item.values[:1])]
    few.to_file(tmp_path / "points.gpkg")
    fx.write(cube.isel(time=[0]), tmp_path / "cube.zarr", progress=False)
    options = ["--points", tmp_path / "points.gpkg", "--cube", tmp_path / "cube.zarr", "-o", tmp_path / "out"]
    for _ in range(2):
        with pytest.raises(InputError, match=r"samples lie on \d glaciers? .*--folds"):
            run(*options)
    few.assign(**{"class": "snow"}).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputError, match="made of other points"):
        run(*options)
    few.to_file(tmp_path / "points.gpkg")
    (tmp_path / "cube.zarr").rename(tmp_path / "old.zarr")
    fx.write(cube.isel(time=[1]), tmp_path / "cube.zarr", progress=False)
    with pytest.raises(InputError, match="made of other points"):
        run(*options)

"""Patches on disk: what goes in comes out, whichever way it is read; what cannot be learned from is named."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from facies_xr.classes import NAMES
from facies_xr.errors import InputError, StoreError
from facies_xr.nn import annotation, labels, patchfiles, patchstore, points
from facies_xr.nn.labels import Samples
from facies_xr.nn.patchstore import PatchStore, writing


def some(n, seed=0, channels=11):
    """Samples of random numbers, four glaciers, seven scenes."""
    rng = np.random.default_rng(seed)
    return Samples(
        rng.normal(size=(n, channels, 33, 33)).astype("float32"),
        rng.integers(0, len(NAMES), n),
        rng.choice(["Adler", "Kongsvegen", "Storbreen", "Gietro"], n),
        rng.choice([f"scene-{k}" for k in range(7)], n),
        rng.uniform(-180, 180, n),
        rng.uniform(-80, 80, n),
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """300 samples in parts of odd sizes: three chunks, the last not full."""
    samples = some(300)
    path = tmp_path_factory.mktemp("store") / "patches.zarr"
    with writing(path, 4) as out:
        for part in (slice(0, 5), slice(5, 200), slice(200, 300)):
            out.append(samples[part], fold=np.arange(300)[part] % 6, sensor="landsat-8")
    return samples, PatchStore(path)


def same(found, expected):
    for name in ("patches", "label", "glacier", "scene", "longitude", "latitude"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_what_was_written_is_read(stored):
    samples, store = stored
    assert len(store) == 300
    assert store.feature_set == 4
    same(store.samples(), samples)
    np.testing.assert_array_equal(store.fold, np.arange(300) % 6)


def test_rows_are_read_in_the_order_asked_for(stored):
    samples, store = stored
    rows = np.random.default_rng(1).permutation(300)[:140]
    same(store.samples(rows), samples[rows])
    streamed = store.samples(rows, streamed=True)
    for part in ([3], np.array([100, 7, 7]), slice(0, 140)):
        np.testing.assert_array_equal(streamed.patches[part], samples.patches[rows][part])


def test_a_smaller_feature_set_is_cut_from_it(stored):
    samples, store = stored
    np.testing.assert_array_equal(store.samples(feature_set=2).patches, samples.patches[:, :8])
    assert store.samples(feature_set=1, streamed=True).patches.shape == (300, 6, 33, 33)
    with pytest.raises(InputError, match="set 9 cannot be cut"):
        store.samples(feature_set=9)


def test_it_opens_in_xarray(stored):
    samples, store = stored
    data = xr.open_zarr(store.path, consolidated=False)
    assert data.features.dims == ("sample", "feature", "y", "x")
    np.testing.assert_array_equal(data.label, samples.label)
    assert data.label.attrs["flag_meanings"].split() == list(NAMES)


def test_a_streamed_order_holds_every_sample_once_and_few_chunks_at_a_time(stored, monkeypatch):
    monkeypatch.setattr(patchstore, "MIXED", 1)
    rows = np.arange(20, 290)
    patches = stored[1].samples(rows, streamed=True).patches
    orders = [patches.shuffled(np.random.default_rng(k)) for k in range(2)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(270))
        assert (np.diff(rows[order] // patchstore.CHUNK) != 0).sum() == 2  # three chunks, one after the other
    assert (orders[0] != orders[1]).mean() > 0.9


def test_only_some_chunks_stay_in_memory(stored, monkeypatch):
    monkeypatch.setattr(patchstore, "MIXED", 2)
    patches = stored[1].samples(streamed=True).patches
    for k in range(0, 300, 50):
        patches[[k]]
    assert len(patches._kept) == 2


def test_the_published_layout_gives_the_same_store(tmp_path):
    samples = some(40)
    fold, date = np.arange(40) % 6, np.array(["2015-08-20", "1995-08-01"])[np.arange(40) % 2]
    sensor = np.array(["LT05", "S2A"])[np.arange(40) % 2]
    patchfiles.write(tmp_path / "tiles", samples, fold, date, sensor)
    store = patchfiles.to_store(tmp_path / "tiles", tmp_path / "patches.zarr")
    found = store.samples()
    assert set(store.columns["sensor"]) == {"landsat-5", "sentinel-2"}
    order = np.array([np.flatnonzero((samples.patches == p).all((1, 2, 3)))[0] for p in found.patches])
    assert sorted(order) == list(range(40))
    np.testing.assert_array_equal(found.label, samples.label[order])
    np.testing.assert_array_equal(found.glacier, samples.glacier[order])
    np.testing.assert_array_equal(store.fold, fold[order])
    assert found.scene[0] == f"{samples.glacier[order[0]]} {date[order[0]]}"
    np.testing.assert_allclose(found.longitude, samples.longitude[order], atol=1e-9)
    np.testing.assert_allclose(found.latitude, samples.latitude[order], atol=1e-9)


def test_points_and_a_cube_give_the_samples_of_the_cube(cube, region, tmp_path):
    cube, table = cube.isel(time=[0, 2]), gpd.read_file(region.points)
    folds = {g: k % 6 for k, g in enumerate(cube.glacier.values.tolist())}
    store = points.to_store(tmp_path / "patches.zarr", cube, table, 4, folds=folds)
    expected = labels.sample(cube, table, 4)
    same(store.samples(), expected)
    np.testing.assert_array_equal(store.fold, [folds[g] for g in expected.glacier])
    by_item = dict(zip(cube.item.values.tolist(), cube.sensor.values.tolist(), strict=True))
    assert store.columns["sensor"].tolist() == [by_item[s] for s in expected.scene]
    inside = table.to_crs(4326)
    assert set(zip(expected.longitude, expected.latitude, strict=True)) <= set(
        zip(inside.geometry.x, inside.geometry.y, strict=True)
    )


def test_points_of_a_csv_with_dates_are_those_of_the_geopackage(cube, region, tmp_path):
    cube = cube.isel(time=[0])
    table = gpd.read_file(region.points)
    table = table[table["item"] == cube.item.item()]
    days = dict(
        zip(cube.item.values.tolist(), pd.DatetimeIndex(cube.time.values).strftime("%Y-%m-%d").tolist(), strict=True)
    )
    place = table.to_crs(4326).geometry
    plain = pd.DataFrame({"class": table["class"], "date": table["item"].map(days), "longitude": place.x,
                          "latitude": place.y})  # fmt: skip
    plain.to_csv(tmp_path / "points.csv", index=False)
    found = labels.sample(cube, points.with_items(points.read(tmp_path / "points.csv"), cube), 1)
    expected = labels.sample(cube, table, 1)
    np.testing.assert_array_equal(found.patches, expected.patches)
    np.testing.assert_array_equal(found.scene, expected.scene)


# -- what cannot be used, and nothing half-written ------------------------------------------------------------------


def written(path, *samples, parts=None):
    with writing(path, 4) as out:
        for part in parts or samples:
            out.append(part)


def spoiled(what):
    samples = some(4)
    if what == "nan":
        samples.patches[2, 0, 16, 16] = np.nan
    elif what == "class":
        samples.label[1] = 8
    elif what == "twice":
        samples = samples[np.array([0, 1, 2, 1])]
    elif what == "bands":
        samples = some(4, channels=6)
    return samples


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "patch 2 of scene .* has no data in its middle"),
        ("class", "patch 1 of scene .* has an unknown class"),
        ("twice", "1 points are there twice, the first in scene"),
        ("bands", r"patches of shape \(6, 33, 33\); blue, .* need \(11, 33, 33\)"),
    ],
)
def test_samples_that_cannot_be_learned_from_leave_no_store(what, message, tmp_path):
    with pytest.raises(InputError, match=message):
        written(tmp_path / "patches.zarr", some(3, seed=1), spoiled(what))
    assert list(tmp_path.iterdir()) == []


def test_no_samples_and_names_that_are_taken(tmp_path):
    with pytest.raises(InputError, match="no labelled patches"), writing(tmp_path / "patches.zarr", 4):
        pass
    (tmp_path / "taken").mkdir()
    with pytest.raises(StoreError, match="taken exists"), writing(tmp_path / "taken", 4):
        pass
    with pytest.raises(StoreError, match="not a patch store that can be opened"):
        PatchStore(tmp_path / "nothing.zarr")


def test_a_kill_leaves_nothing_of_that_name(tmp_path):
    def stopped():
        yield some(200)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "patches.zarr", parts=stopped())
    assert not (tmp_path / "patches.zarr").exists()


@pytest.mark.parametrize(
    ("name", "bands", "message"),
    [
        ("0_Adler_2015-08-20_7_lava.tif", 11, "its class 'lava' is none of ice"),
        ("Adler_2015-08-20_7_ice.tif", 11, "its name must be FOLD_GLACIER_DATE"),
        ("0_Adler_2015-08-20_7_ice.tif", 6, r"bands, rows and columns are \(6, 33, 33\), not \(11, 33, 33\)"),
    ],
)
def test_files_of_another_layout_are_named(name, bands, message, tmp_path):
    one = Samples(np.ones((1, bands, 33, 33), "float32"), np.array([0]), np.array(["Adler"]), np.array(["s"]))
    patchfiles.write(tmp_path / "tiles", one, [0], ["2015-08-20"])
    (written,) = (tmp_path / "tiles").iterdir()
    written.rename(written.with_name(name))
    with pytest.raises(InputError, match=message):
        patchfiles.to_store(tmp_path / "tiles", tmp_path / "patches.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["tiles"]


def test_an_empty_folder_and_a_hole_in_the_middle(tmp_path):
    with pytest.raises(InputError, match="has no file FOLD_GLACIER"):
        patchfiles.to_store(tmp_path, tmp_path / "patches.zarr")
    patchfiles.write(tmp_path / "tiles", spoiled("nan"), np.zeros(4, int), ["2015-08-20"] * 4)
    with pytest.raises(InputError, match=r"_2_\S+\.tif: it has no data in its middle"):
        patchfiles.to_store(tmp_path / "tiles", tmp_path / "patches.zarr")
    assert not (tmp_path / "patches.zarr").exists()


def test_points_that_fit_no_scene_are_named(cube, region, tmp_path):
    table = gpd.read_file(region.points)
    away = table.copy()
    away.loc[3, "geometry"] = away.geometry[3].buffer(1e6).boundary.interpolate(0)
    with pytest.raises(InputError, match=r"1 of \d+ points lie beyond the cube, the first in row 3"):
        points.to_store(tmp_path / "p.zarr", cube, away, 1)
    with pytest.raises(InputError, match="points are there twice"):
        points.to_store(tmp_path / "p.zarr", cube, pd.concat([table, table.iloc[:5]], ignore_index=True), 1)
    with pytest.raises(InputError, match="do not say where glacier"):
        points.to_store(tmp_path / "p.zarr", cube, table, 1, folds={"another": 0})
    with pytest.raises(InputError, match="no scene of 1900-01-01"):
        points.with_items(table.drop(columns="item").assign(date="1900-01-01"), cube)
    with pytest.raises(InputError, match="neither 'item', the id of the scene, nor 'date'"):
        points.with_items(table.drop(columns="item"), cube)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [("class,item\nice,s\n", "no column longitude, latitude"), ("class,item,longitude,latitude\nice,s,,\n", "1 rows")],
)
def test_files_of_points_that_cannot_be_used(content, message, tmp_path):
    (tmp_path / "points.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        points.read(tmp_path / "points.csv")
    with pytest.raises(InputError, match=r"nothing\.gpkg does not exist"):
        points.read(tmp_path / "nothing.gpkg")


# -- two versions of the labels ---------------------------------------------------------------------------------------


def test_agreement_and_shift_by_hand():
    """Four ice, of which one becomes firn and one is deleted; two firn stay; one snow is added."""
    before = pd.DataFrame({"point": range(6), "class": ["ice"] * 4 + ["firn"] * 2})
    after = pd.DataFrame({"point": [0, 1, 2, 4, 5, 9], "class": ["ice", "ice", "firn", "firn", "firn", "snow"]})
    found = annotation.statistics(before, after)
    assert found.loc["ice"].tolist() == [4, 2, 50, -50]
    assert found.loc["firn"].tolist() == [2, 3, 100, 50]
    assert found.loc["total"].tolist() == [6, 6, pytest.approx(100 * 4 / 6), 0]
    assert found.loc["snow", "shift"] == np.inf
    assert np.isnan(found.loc["snow", "agreement"])


def test_points_are_recognised_by_scene_and_place(region):
    before = gpd.read_file(region.points)
    after = before.sample(frac=1, random_state=0).reset_index(drop=True)  # in another order
    changed = after["class"] == "firn"
    after.loc[changed, "class"] = "snow"
    found = annotation.statistics(before, after)
    assert found.loc["firn", "agreement"] == 0
    assert found.loc["ice", "agreement"] == 100
    assert found.loc["total", "agreement"] == pytest.approx(100 * (1 - changed.mean()))
    with pytest.raises(InputError, match="labels after have 3 points twice"):
        annotation.statistics(before, pd.concat([after, after.iloc[:3]]))
    with pytest.raises(InputError, match="labels before have no column item"):
        annotation.statistics(before.drop(columns="item"), after)

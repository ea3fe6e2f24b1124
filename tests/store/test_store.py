"""The store: what is written comes back, whatever the order, the kills and the disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
import zarr_cm

from facies_xr import grids, store
from facies_xr.errors import GridError, SceneReadError, StoreError
from facies_xr.store import layout
from facies_xr.store.place import place_of

from .maps import BOX, SMALL, assert_same, chunk_bytes, random_maps


def test_round_trip(tmp_path):
    maps = random_maps(["2020-08-20T10:20:30.123456", "2021-08-18"])
    found = store.write(maps, tmp_path / "maps.zarr", progress=False)
    assert_same(found, maps)
    assert found.facies_map.dtype == "uint8"
    assert found.confidence.dtype == "float32"
    assert found.attrs["classifier"] == "one"
    assert grids.geobox(found) == BOX
    assert (store.Ledger(tmp_path / "maps.zarr").status.timed == store.DONE).all()


def test_xarray_reads_a_store_on_its_own(tmp_path):
    store.write(random_maps(["2020-08-20"]), tmp_path / "maps.zarr", progress=False)
    plain = xr.open_zarr(tmp_path / "maps.zarr", consolidated=False)
    assert plain.facies_map.dtype == "uint8"
    raw = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    assert raw["facies_map"].fill_value == 255
    assert np.isnan(raw["confidence"].fill_value)
    assert raw["time"].dtype == "int64"
    assert "_FillValue" not in raw["facies_map"].attrs


def test_georeference_follows_the_zarr_conventions(tmp_path):
    store.write(random_maps(["2020-08-20"]), tmp_path / "maps.zarr", progress=False)
    document = json.loads((tmp_path / "maps.zarr" / "zarr.json").read_text())
    zarr_cm.proj.validate_group_metadata(document)
    zarr_cm.spatial.validate_group_metadata(document)
    attrs = document["attributes"]
    assert attrs["proj:code"] == "EPSG:32632"
    assert attrs["spatial:transform"] == list(BOX.affine)[:6]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_dates_append_in_any_order(tmp_path, order):
    days = ["2019-08-01", "2020-08-20T10:00:00.000001", "2021-09-03"]
    for k in order:
        found = store.write(random_maps([days[k]]), tmp_path / "maps.zarr", progress=False)
    assert_same(found, random_maps(days))


def test_overlapping_dates_are_not_computed_twice(tmp_path):
    first, both = random_maps(["2020-08-20"]), random_maps(["2020-08-20", "2021-08-20"], broken="scene-2020-08-20")
    store.write(first, tmp_path / "maps.zarr", progress=False)
    found = store.write(both, tmp_path / "maps.zarr", progress=False)  # would raise if 2020 were read again
    assert found.sizes["time"] == 2


@pytest.mark.parametrize("chunks", [64, 333, 700])
def test_bytes_do_not_depend_on_the_chunks(tmp_path, chunks):
    store.write(random_maps(["2020-08-20"], chunks=300), tmp_path / "a.zarr", progress=False)
    store.write(random_maps(["2020-08-20"], chunks=chunks), tmp_path / "b.zarr", progress=False)
    assert chunk_bytes(tmp_path / "a.zarr") == chunk_bytes(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda m: m.assign_attrs(classifier="two"), StoreError, "classifier"),
        (lambda m: m.isel(x=slice(1, None)), GridError, "grids differ"),
        (lambda m: m.drop_vars("probability"), StoreError, "probability"),
        (lambda m: m.isel(glacier=[0, 1]), StoreError, "glacier"),
    ],
)
def test_other_results_are_refused_and_nothing_is_lost(tmp_path, change, error, message):
    path = tmp_path / "maps.zarr"
    store.write(random_maps(["2020-08-20"]), path, progress=False)
    before = chunk_bytes(path)
    with pytest.raises(error, match=message):
        store.write(change(random_maps(["2021-08-20"])), path, progress=False)
    assert chunk_bytes(path) == before


def test_foreign_paths_are_refused(tmp_path):
    maps = random_maps(["2020-08-20"])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("precious")
    with pytest.raises(StoreError, match="not a Zarr store"):
        store.write(maps, tmp_path / "notes", progress=False)
    assert (tmp_path / "notes" / "diary.txt").read_text() == "precious"
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="did not write"):
        store.write(maps, tmp_path / "other.zarr", progress=False)


def test_two_equal_dates_are_refused(tmp_path):
    maps = random_maps(["2020-08-20"])
    with pytest.raises(StoreError, match="same"):
        store.write(xr.concat([maps, maps], "time", data_vars="minimal"), tmp_path / "m.zarr", progress=False)


def test_unreadable_scene_stops_by_default_and_the_rest_resumes(tmp_path):
    path = tmp_path / "maps.zarr"
    days = ["2019-08-01", "2020-08-20", "2021-08-20"]
    with pytest.raises(SceneReadError, match="scene-2020-08-20"):
        store.write(random_maps(days, broken="scene-2020-08-20"), path, progress=False)
    found = store.write(random_maps(days), path, progress=False)
    assert_same(found, random_maps(days))


def test_unreadable_scene_can_be_dropped_as_a_whole(tmp_path):
    path = tmp_path / "maps.zarr"
    days = ["2019-08-01", "2020-08-20", "2021-08-20"]
    found = store.write(random_maps(days, broken="scene-2020-08-20"), path, on_error="drop", progress=False)
    assert (found.facies_map.isel(time=1) == 255).all()
    assert found.confidence.isel(time=1).isnull().all()
    expected = random_maps(days)
    for k in (0, 2):
        assert_same(found.isel(time=k), expected.isel(time=k))
    book = store.Ledger(path)
    assert (book.status.timed.isel(time=1) == store.DROPPED).all()
    assert "truncated file" in next(iter(book.dropped.values()))


SLOW_WRITER = """
import sys, time
sys.path.insert(0, {tests!r})
from maps import random_maps
from facies_xr import store
maps = random_maps(["2019-08-01", "2020-08-20", "2021-08-20", "2022-08-20"])
def slowly(block):
    time.sleep(0.02)
    return block
maps["facies_map"] = maps.facies_map.copy(data=maps.facies_map.data.map_blocks(slowly, dtype="uint8"))
print("go", flush=True)
store.write(maps, sys.argv[1], progress=False)
"""


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.6])
def test_killed_and_run_again_ends_with_the_same_bytes(tmp_path, delay):
    script = SLOW_WRITER.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script]
    subprocess.run([*command, str(tmp_path / "calm.zarr")], check=True)
    victim = subprocess.Popen([*command, str(tmp_path / "killed.zarr")], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(delay)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    subprocess.run([*command, str(tmp_path / "killed.zarr")], check=True)
    assert chunk_bytes(tmp_path / "killed.zarr") == chunk_bytes(tmp_path / "calm.zarr")


def test_a_kill_between_claiming_space_and_committing_dates_is_mended(tmp_path):
    path = tmp_path / "maps.zarr"
    store.write(random_maps(["2020-08-20"]), path, progress=False)
    root = zarr.open_group(path, mode="r+")
    root["facies_map"].resize((3, *root["facies_map"].shape[1:]))  # as a killed run would leave it
    root["time"].resize((3,))
    found = store.write(random_maps(["2020-08-20", "2021-08-20"]), path, progress=False)
    assert_same(found, random_maps(["2020-08-20", "2021-08-20"]))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = shutil.which("mount") and os.geteuid() == 0
    if not made or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_is_named_and_what_was_finished_is_kept(small_disk):
    path = small_disk / "maps.zarr"
    days = [f"20{y}-08-20" for y in range(10, 20)]
    with pytest.raises(StoreError, match="disk is full"):
        store.write(random_maps(days).drop_vars("probability"), path, progress=False)
    finished = store.Ledger(path).status.timed == store.DONE
    assert 0 < finished.sum() < finished.size
    expected = random_maps(days)
    found = store.open_store(path)
    for t, i, j in np.argwhere(finished.values):
        cut = {"time": t, "y": slice(512 * i, 512 * i + 512), "x": slice(512 * j, 512 * j + 512)}
        np.testing.assert_array_equal(found.facies_map.isel(cut).values, expected.facies_map.isel(cut).values)


def test_a_store_keeps_the_packing_that_it_was_begun_with(tmp_path):
    """New ones pack real numbers by lz4. The first had zstd, which their record does not say."""
    first, both = (random_maps(days, box=SMALL) for days in (["2020-08-20"], ["2020-08-20", "2021-08-18"]))
    old = place_of(tmp_path / "old.zarr")
    layout.commit(layout.prepared(first), old, SMALL, compression="zstd")
    assert b"compression" not in old.read("ledger/record.json")
    for path, dates in (("old.zarr", first), ("old.zarr", both), ("new.zarr", both)):
        assert_same(store.write(dates, tmp_path / path, progress=False), dates)
    for path, codec in (("old.zarr", "ZstdCodec"), ("new.zarr", "BloscCodec")):
        assert store.verify(tmp_path / path).empty
        group = zarr.open_group(tmp_path / path, mode="r")
        packing = {name: [type(c).__name__ for c in group[name].compressors] for name in ("confidence", "facies_map")}
        assert packing == {"confidence": [codec], "facies_map": ["ZstdCodec"]}

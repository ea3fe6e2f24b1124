"""A store is created at once or not at all, without secrets, and tiles without ice cost nothing."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from facies_xr import grids, store
from facies_xr.errors import SceneReadError, StoreError

from .maps import SMALL, assert_same, random_maps

CREATOR = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from maps import SMALL, random_maps
from facies_xr import store
left = int(sys.argv[3])
def count(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.link") and sys.argv[2] in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
maps = random_maps(["2020-08-20"], box=SMALL)
sys.addaudithook(count)
store.write(maps, sys.argv[2], progress=False)
"""


@pytest.mark.parametrize("steps", [1, 3, 10, 25, 60, 95])
def test_a_kill_at_any_step_of_the_creation_is_continued(tmp_path, steps):
    path = tmp_path / "maps.zarr"
    killed = subprocess.run([sys.executable, "-c", CREATOR, Path(__file__).parent, path, str(steps)], check=False)
    assert killed.returncode == -signal.SIGKILL
    if path.exists() and not (path / "ledger" / "record.json").exists():
        with pytest.raises(StoreError):
            store.open_store(path)
    other = random_maps(["2021-08-20"], box=SMALL)
    if (path / "ledger" / "record.json").exists():
        other = random_maps(["2020-08-20", "2021-08-20"], box=SMALL)
    assert_same(store.write(other, path, progress=False), other)
    assert store.verify(path).empty


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 48 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = shutil.which("mount") and os.geteuid() == 0
    if not made or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", mount], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_disk_that_is_full_at_the_creation_is_named_and_nothing_is_left(tiny_disk):
    with pytest.raises(StoreError, match="disk is full"):
        store.write(random_maps(["2020-08-20"], box=SMALL), tiny_disk / "maps.zarr", progress=False)
    assert list(tiny_disk.iterdir()) == []


def test_a_foreign_folder_stays_as_it_is(tmp_path):
    (tmp_path / "notes" / "ledger").mkdir(parents=True)
    (tmp_path / "notes" / "diary.txt").write_text("precious")
    with pytest.raises(StoreError, match="not a Zarr store"):
        store.write(random_maps(["2020-08-20"], box=SMALL), tmp_path / "notes", progress=False)
    assert sorted(f.name for f in (tmp_path / "notes").iterdir()) == ["diary.txt", "ledger"]


def test_no_secret_reaches_the_store(tmp_path):
    secret = "s3cr3t"
    data = random_maps(["2020-08-20", "2021-08-20"], box=SMALL, dem=f"https://a.b/dem.tif?sig={secret}", broken="x")
    data.attrs["sources"] = [f"https://user:{secret}@a.b/c.tif"]
    data.confidence.attrs["source"] = f"https://a.b/c.tif?token={secret}&e=1"
    data["item"] = ("time", [f"https://a.b/one?sig={secret}", "x"])
    labels = data.facies_map.data.map_blocks(fails, secret, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    data["facies_map"] = data.facies_map.copy(data=labels)
    store.write(data, tmp_path / "maps.zarr", on_error="drop", progress=False)
    assert len(store.Ledger(tmp_path / "maps.zarr").dropped) == 1
    for file in (tmp_path / "maps.zarr").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def fails(block, secret, block_info=None):
    if block_info[0]["array-location"][0] == (1, 2):
        raise SceneReadError("x", "c.tif", f"https://a.b/c.tif?sig={secret} is gone")
    return block


def test_scenes_are_not_read_where_there_is_no_ice(tmp_path):
    """Two by two tiles, with one pixel of ice in the second."""
    days, read = ["2020-08-20", "2021-08-20"], []
    ice = np.zeros(SMALL.shape, "int32")
    ice[3, 515] = 4

    def pixels(block_info=None):
        time, y, x = (start for start, _ in block_info[None]["array-location"])
        read.append((time, y // 512, x // 512))
        return np.where(ice[y : y + 512, x : x + 512] > 0, 2, 255).astype("uint8")[None]

    chunks = ((1, 1), *da.core.normalize_chunks((512, 512), tuple(SMALL.shape)))
    labels = da.map_blocks(pixels, chunks=chunks, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    flags = {"flag_values": np.arange(8, dtype="uint8"), "flag_meanings": "a b c d e f g h"}
    data = xr.Dataset(
        {"facies_map": (("time", "y", "x"), labels, flags), "glacier_index": (("y", "x"), ice)},
        {"time": np.array(days, "datetime64[ns]"), **grids.coords(SMALL)},
    )
    found = store.write(data, tmp_path / "maps.zarr", progress=False)
    assert set(read) == {(0, 0, 1), (1, 0, 1)}
    assert store.verify(tmp_path / "maps.zarr").empty
    assert (found.facies_map.values == np.where(ice > 0, 2, 255)).all()
    # a variable that is no map of glaciers is computed everywhere
    store.write(data.assign(other=data.facies_map), tmp_path / "other.zarr", progress=False)
    assert set(read) == {(t, y, x) for t in (0, 1) for y in (0, 1) for x in (0, 1)}

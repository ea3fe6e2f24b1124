"""A store lies in a folder, in an object store or in memory, and is the same wherever it lies."""

import logging
import os
import pickle
import threading
import time

import dask
import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox

from facies_xr import store
from facies_xr.errors import StoreError
from facies_xr.store import lock as locks
from facies_xr.store import lock_of, place_of

from ..servers import SECRET, bucket, empty_place
from .maps import assert_same, random_maps

TINY = GeoBox.from_bbox((600000, 5100000, 603000, 5102000), crs="EPSG:32632", resolution=10)
DAYS = ["2019-08-01", "2020-08-20"]


def maps(days=DAYS):
    return random_maps(days, box=TINY)


@pytest.fixture(scope="module")
def endpoint():
    with bucket("glaciers") as url:
        yield url


@pytest.fixture
def s3(endpoint, monkeypatch):
    """An empty bucket on loopback, with credentials in the environment."""
    with empty_place(endpoint, "maps.zarr", monkeypatch) as address:
        yield address


def obstore_of(address, endpoint):
    from obstore.store import S3Store

    prefix = address.removeprefix("s3://glaciers/")
    inner = S3Store("glaciers", prefix=prefix, endpoint=endpoint, region="us-east-1",
                    access_key_id="KEY", secret_access_key=SECRET, client_options={"allow_http": True})  # fmt: skip
    return zarr.storage.ObjectStore(inner)


@pytest.fixture(params=["folder", "file", "memory", "mapper", "zarr memory", "obstore", "s3"])
def where(request, tmp_path, endpoint):
    """A place of each kind."""
    name = os.urandom(4).hex()
    if request.param == "folder":
        return tmp_path / "maps.zarr"
    if request.param == "file":
        return (tmp_path / "maps.zarr").as_uri()
    if request.param == "memory":
        return f"memory://{name}/maps.zarr"
    if request.param == "mapper":
        return fsspec.get_mapper(f"memory://{name}/maps.zarr")
    if request.param == "zarr memory":
        return zarr.storage.MemoryStore()
    address = request.getfixturevalue("s3")
    if request.param == "obstore":
        return obstore_of(address, endpoint)
    return address


def test_the_same_store_wherever_it_lies(where, tmp_path, caplog):
    caplog.set_level(logging.INFO, "facies_xr")
    store.write(maps().isel(time=[1]), where, progress=False)
    found = store.write(maps(), where, progress=False)
    assert_same(found, maps())
    assert_same(store.open_store(where), maps())
    said = [each.getMessage() for each in caplog.records if each.name == "facies_xr"]
    assert "2 tiles computed, 0 already there" in said[0]
    assert "1 tiles computed, 2 already there" in said[1]
    assert store.verify(where).empty
    assert (store.Ledger(where).status.timed == store.DONE).all()

    beside = tmp_path / "beside.zarr"
    store.write(maps().isel(time=[1]), beside, progress=False)
    store.write(maps(), beside, progress=False)
    keys = [str(file.relative_to(beside)) for file in beside.rglob("*") if file.is_file()]
    place = place_of(where)
    assert [place.read(key) for key in keys] == [(beside / key).read_bytes() for key in keys]
    assert place.children("ledger") == {file.name for file in (beside / "ledger").iterdir()}


def test_damage_is_named_refused_and_mended(where):
    store.write(maps(), where, progress=False)
    place = place_of(where)
    chunk = place.read("confidence/c/1/0/0")
    place.write("confidence/c/1/0/0", chunk[:-1] + bytes([chunk[-1] ^ 1]))
    place.remove("facies_map/c/0/0/0")
    wrong = store.verify(where)
    assert dict(zip(wrong.file, wrong.problem, strict=True)) == {
        "confidence/c/1/0/0": "damaged",
        "facies_map/c/0/0/0": "missing",
    }
    with pytest.raises(StoreError, match="confidence/c/1/0/0 is damaged"):
        store.open_store(where).confidence.load()
    place.remove("time/c/0")
    with pytest.raises(StoreError, match="time/c/0 is missing"):
        store.open_store(where)
    assert_same(store.write(maps(), where, progress=False), maps())
    assert store.verify(where).empty


def test_a_second_writer_is_refused_by_name_or_waits(where):
    with lock_of(place_of(where)) as first:
        assert locks.being_written(place_of(where))
        with pytest.raises(StoreError, match=rf"is being written by process {os.getpid()} on "):
            store.write(maps(), where, progress=False)
        first.check()
    assert not locks.being_written(place_of(where))
    waiting = lock_of(place_of(where), wait=60)
    with lock_of(place_of(where)) as first:
        threading.Timer(0.5, first.__exit__).start()
        with waiting as second:
            second.check()
            with pytest.raises(StoreError, match="another writer took over"):
                first.check()
    assert place_of(where).children("ledger") == set()


def test_of_many_contenders_one_at_a_time_holds_the_lock(s3):
    holders, most, entered = [], [], []

    def contend():
        for _ in range(3):
            with lock_of(place_of(s3), wait=120):
                holders.append(1)
                most.append(len(holders))
                time.sleep(0.01)
                holders.pop()
                entered.append(1)

    threads = [threading.Thread(target=contend) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(entered) == 9


@pytest.mark.parametrize("kind", ["s3fs", "obstore"])
def test_a_heartbeat_keeps_the_lock_and_a_dead_owner_is_succeeded(s3, endpoint, kind, monkeypatch):
    """S3 tells times in whole seconds."""
    monkeypatch.setattr(locks, "EXPIRY", 2.5)
    monkeypatch.setattr(locks, "BEAT", 0.5)
    where = s3 if kind == "s3fs" else obstore_of(s3, endpoint)
    place = place_of(where)
    with lock_of(place) as alive:
        time.sleep(4)
        with pytest.raises(StoreError, match="is being written"):
            lock_of(place).__enter__()
        alive.check()

    elsewhere = b'{"host": "elsewhere", "pid": 1, "token": "x", "since": "noon"}'
    place.write("ledger/writer.7", elsewhere)
    with pytest.raises(StoreError, match="process 1 on elsewhere since noon"):
        lock_of(place).__enter__()
    time.sleep(4)
    with lock_of(place) as succeeding:
        succeeding.check()
        assert place.children("ledger") == {"writer.8"}
    assert place.children("ledger") == set()


def test_an_owner_that_was_succeeded_does_not_rise_again(s3, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.3)
    place = place_of(s3)
    lost = lock_of(place).__enter__()
    place.remove("ledger/writer.1")
    time.sleep(1.5)
    assert place.children("ledger") == set()
    lost.__exit__()


def test_a_server_that_ignores_conditions_is_refused(monkeypatch):
    with bucket("old", conditions=False) as url:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        s3fs = pytest.importorskip("s3fs")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(StoreError, match="ignores conditional writes"):
            store.write(maps(), "s3://old/maps.zarr", progress=False)
        assert place_of("s3://old/maps.zarr").children() == set()
        s3fs.S3FileSystem.clear_instance_cache()


def test_credentials_stay_in_the_environment(s3):
    place = place_of(s3)
    store.write(maps(), s3, progress=False)
    assert SECRET.encode() not in pickle.dumps(place) + pickle.dumps(store.open_store(s3))
    todo = [""]
    while todo:
        key = todo.pop()
        content = place.read(key) if key else None
        assert content is None or SECRET.encode() not in content
        todo += [f"{key}/{name}".strip("/") for name in place.children(key)] if content is None else []


@pytest.mark.parametrize("nowhere", [7, None, 1.5, ["maps.zarr"]])
def test_what_is_no_place_is_refused_by_name(nowhere, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (lambda: store.write(maps(), nowhere, progress=False), lambda: store.open_store(nowhere),
                lambda: store.verify(nowhere), lambda: store.Ledger(nowhere)):  # fmt: skip
        with pytest.raises(StoreError, match=rf"\({type(nowhere).__name__}\) is no place for a store"):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gopher://a/b.zarr", "no address that fsspec knows"),
        ("https://user:word@127.0.0.1:9/b.zarr?sig=abc", "https://127.0.0.1:9/b.zarr"),
        ("ftp://127.0.0.1:9/b.zarr", "ftp://127.0.0.1:9/b.zarr cannot be opened"),
    ],
)
def test_addresses_that_cannot_be_written_are_named_without_secrets(address, message):
    with pytest.raises(StoreError, match=message) as error:
        store.write(maps(), address, progress=False)
    assert "word" not in str(error.value)
    assert "sig=" not in str(error.value)


def test_missing_buckets_and_stores_are_named(s3):
    with pytest.raises(StoreError, match="there is no such store"):
        store.open_store(s3)
    with pytest.raises(StoreError, match=r"s3://nobody/maps\.zarr cannot be written"):
        store.write(maps(), "s3://nobody/maps.zarr", progress=False)


def test_something_else_in_a_bucket_stays_as_it_is(s3):
    place = place_of(s3)
    place.write("diary.txt", b"precious")
    with pytest.raises(StoreError, match="not a Zarr store"):
        store.write(maps(), s3, progress=False)
    assert place.children() == {"diary.txt"}


def test_workers_that_do_not_see_the_place_are_noticed():
    elsewhere = dask.config.set(scheduler="processes", num_workers=1)
    with elsewhere, pytest.raises(StoreError, match="do not see this place"):
        store.write(maps(DAYS[:1])[["elevation"]], f"memory://{os.urandom(4).hex()}/maps.zarr", progress=False)


def test_a_mapper_of_a_bucket_and_plain_xarray_see_the_same_store(s3):
    store.write(maps(), fsspec.get_mapper(s3), progress=False)
    assert_same(store.open_store(s3), maps())
    np.testing.assert_array_equal(xr.open_zarr(s3).facies_map.values, maps().facies_map.values)

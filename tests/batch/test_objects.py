"""Archives in an object store on loopback: the same bytes as in a folder, few requests, a store that refuses writes."""

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import geopandas as gpd
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr import batch
from facies_xr.batch import run
from facies_xr.batch.archive import Archive
from facies_xr.errors import StoreError
from facies_xr.store import lock as locks
from facies_xr.store import place_of

from ..servers import bucket, empty_place
from .conftest import unfinished


class Traffic:
    """What a bucket was asked for; it may refuse writes for a while, from the next one on."""

    def __init__(self):
        self.requests, self.refuse_for, self.until, self.refused = [], 0.0, 0.0, 0

    def __call__(self, method, path, query):
        self.requests.append((method, path, query))
        if method not in ("PUT", "DELETE", "POST"):
            return None
        if self.refuse_for:
            self.until, self.refuse_for = time.monotonic() + self.refuse_for, 0.0
        if time.monotonic() > self.until:
            return None
        self.refused += 1
        return 503

    def counts(self):
        kinds = Counter()
        for method, _, query in self.requests:
            kinds["LIST" if "list-type" in query else method] += 1
        return kinds


@pytest.fixture(scope="module")
def traffic():
    return Traffic()


@pytest.fixture(scope="module")
def endpoint(traffic):
    with bucket("glaciers", seen=traffic) as url:
        yield url


@pytest.fixture
def s3(endpoint, monkeypatch):
    """An empty place in a bucket."""
    with empty_place(endpoint, "archive", monkeypatch) as address:
        yield address


def uploaded(folder, address, *, without="nothing"):
    """A copy of an archive in a bucket, perhaps without one of its zones."""
    source, target = place_of(folder), place_of(address)
    for key in source.keys(""):
        if without not in key:
            target.write(key, source.read(key))
    return address


def assert_same_zones(address, folder):
    """The same chunks and entries as in a folder, byte for byte."""
    found, expected = place_of(address), place_of(folder)
    keys = sorted(key for key in expected.keys("") if not key.startswith("batch/") and "/c/" in key)
    assert sorted(key for key in found.keys("") if not key.startswith("batch/") and "/c/" in key) == keys
    assert found.read_all(keys) == expected.read_all(keys)


def test_the_same_archive_in_a_bucket_and_in_a_folder(s3, quiet, manifest, traffic):
    uploaded(quiet, s3, without=manifest.zones[-1])
    assert run(manifest, s3).empty
    assert_same_zones(s3, quiet)
    at = Archive.at(s3)
    assert at.verify().empty
    assert at.place.children("batch") >= {"manifest.parquet", "units", "log"}
    assert not any("writer" in name for name in at.place.children("batch"))

    # To see that nothing is left: one listing, and each record and entry once.
    units = len(manifest.units)
    traffic.requests.clear()
    assert Archive.at(s3).pending() == []
    counts = traffic.counts()
    assert counts["LIST"] == 1
    assert counts["GET"] <= 2 * units + 2 * 2 * len(manifest.zones) + 1
    assert counts["PUT"] == counts["DELETE"] == 0

    told = batch.status(s3)
    assert (told.tally.done, told.tally.total) == (units, units)
    assert told.tally.elapsed > 0
    tree = fx.open_maps(s3)
    beside = fx.open_maps(quiet)
    for zone in manifest.zones:
        xr.testing.assert_equal(tree[zone].to_dataset().compute(), beside[zone].to_dataset().compute())
    table = batch.glaciers(s3)
    assert table == f"{s3}/glaciers.parquet"
    assert set(gpd.read_parquet(table).glacier) == set(manifest.glaciers.glacier)


def test_a_unit_costs_a_bounded_number_of_requests(s3, quiet, manifest, traffic):
    uploaded(quiet, s3)
    counts = []
    for redone in (1, 4):
        unfinished(s3, -redone)
        traffic.requests.clear()
        assert run(manifest, s3).empty
        counts.append(traffic.counts())
    assert (counts[1] - counts[0]).total() <= 3 * 16  # three units more
    assert counts[1]["LIST"] == counts[0]["LIST"] <= 20


def test_a_second_run_into_a_bucket_is_refused_by_name(s3, manifest):
    with Archive.at(s3).lock(), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        run(manifest, s3)


def test_a_run_that_lost_its_lease_stops(s3, quiet, manifest, monkeypatch):
    uploaded(quiet, s3)
    unfinished(s3, -3)
    monkeypatch.setattr(batch.running, "CHECK", 0.0)
    at = Archive.at(s3)

    def taken_over(*_):
        at.place.remove("batch/writer.1")

    with pytest.raises(StoreError, match="another writer took over"):
        run(manifest, s3, board=taken_over)
    assert run(manifest, s3).empty
    assert_same_zones(s3, quiet)


@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_writes_refused_for_a_while_end_in_the_same_bytes(s3, quiet, manifest, traffic, seconds):
    uploaded(quiet, s3)
    unfinished(s3, -5)
    waits, told = (0.5, 1.0, 2.0, 4.0) if seconds < 10 else batch.engine.WAITS, []

    def refuse(record, *_):
        if not told:
            traffic.refuse_for = seconds
        told.append(record)

    assert run(manifest, s3, board=refuse, waits=waits).empty
    assert traffic.refused >= 2
    assert_same_zones(s3, quiet)
    assert Archive.at(s3).verify().empty


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_clocks_that_differ_between_machines_decide_nothing(quiet, manifest, tmp_path, monkeypatch, skew):
    """A lease is as old as the place says, whatever the machines' own clocks say."""
    path = Path(shutil.copytree(quiet, tmp_path / "archive"))
    other = b'{"host": "elsewhere", "pid": 1, "token": "x", "since": "noon"}'
    (path / "batch" / "writer.3").write_bytes(other)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        run(manifest, path)
    old = now() - locks.EXPIRY - 5
    os.utime(path / "batch" / "writer.3", (old, old))
    assert run(manifest, path).empty

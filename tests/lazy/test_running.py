"""Running tiles for their effect: all of them, a bounded number at a time, here and on a cluster."""

import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from facies_xr import lazy
from facies_xr.lazy import running

DATES, ROWS, COLUMNS = 6, 4, 5


class Watched:
    """Counts what was read and not yet written, by date."""

    def __init__(self):
        self.lock, self.alive, self.most, self.dates = threading.Lock(), 0, 0, []

    def read(self, block, block_info=None):
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
            self.dates.append(block_info[0]["chunk-location"][0])
        return block

    def write(self, blocks, start):
        time.sleep(0.001)
        with self.lock:
            self.alive -= 1
        return 1


def job(watched):
    pixels = da.zeros((DATES, ROWS * 8, COLUMNS * 8), chunks=(1, 8, 8))
    pixels = pixels.map_blocks(watched.read, dtype=float, meta=np.empty((0, 0, 0)))
    variables = {"a": xr.Variable(("time", "y", "x"), pixels)}
    return lazy.each_tile(watched.write, variables, pixels.chunks, ("time", "y", "x"))


def test_dates_follow_each_other_and_few_blocks_are_held():
    watched, done = Watched(), []
    array = job(watched)
    with dask.config.set(num_workers=2):
        lazy.run(array, np.argwhere(np.ones(array.shape)), lambda: done.append(1))
    assert len(done) == array.size
    assert watched.dates == sorted(watched.dates)
    assert watched.most <= 4


def test_blocks_of_one_date_are_cut_into_batches(monkeypatch):
    monkeypatch.setattr("facies_xr.lazy.running.IN_FLIGHT", 3)
    watched, done = Watched(), []
    array = job(watched)
    lazy.run(array, [(k, r, c) for k in (4, 1) for r in range(ROWS) for c in range(COLUMNS)], lambda: done.append(1))
    assert len(done) == 2 * ROWS * COLUMNS
    assert watched.dates == [4] * ROWS * COLUMNS + [1] * ROWS * COLUMNS


def test_the_first_tiles_wait_for_no_others():
    """A graph of many blocks reads most of them before it ends any."""
    watched, read = Watched(), []
    array = job(watched)
    with dask.config.set(num_workers=2):
        lazy.run(array, np.argwhere(np.ones(array.shape)), lambda: read.append(len(watched.dates)))
    assert max(read[: running.FIRST]) <= running.FIRST


def test_an_error_is_raised_when_nothing_runs_any_more():
    watched = Watched()

    def fail(block, block_info=None):
        if block_info[0]["chunk-location"] == (1, 2, 2):
            raise OSError("gone")
        return watched.read(block, block_info)

    pixels = da.zeros((DATES, ROWS * 8, COLUMNS * 8), chunks=(1, 8, 8))
    pixels = pixels.map_blocks(fail, dtype=float, meta=np.empty((0, 0, 0)))
    array = lazy.each_tile(
        watched.write, {"a": xr.Variable(("time", "y", "x"), pixels)}, pixels.chunks, ("time", "y", "x")
    )
    with pytest.raises(OSError, match="gone"):
        lazy.run(array, np.argwhere(np.ones(array.shape)), lambda: None)
    seen = len(watched.dates)
    time.sleep(0.05)
    assert len(watched.dates) == seen
    assert max(watched.dates) == 1


@pytest.mark.slow
def test_on_a_cluster_no_more_than_one_date_is_held():
    from distributed import Client, LocalCluster

    done, most = [], []
    pixels = da.ones((DATES, ROWS * 8, COLUMNS * 8), chunks=(1, 8, 8))
    variables = {"a": xr.Variable(("time", "y", "x"), pixels)}
    array = lazy.each_tile(whole, variables, pixels.chunks, ("time", "y", "x"))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=False) as cluster,
        Client(cluster) as client,
    ):

        def advance():
            done.append(1)
            most.append(len(client.futures))

        lazy.run(array, np.argwhere(np.ones(array.shape)), advance)
    assert len(done) == array.size
    assert max(most) <= ROWS * COLUMNS


def whole(blocks, start):
    assert blocks["a"].shape == (1, 8, 8)
    return 1

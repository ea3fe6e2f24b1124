"""The engine on real worker processes: a bounded window, tries, killed workers, a poisoned job, a lost scheduler."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import pytest

from facies_xr.batch.engine import AT_LEAST, ClusterError, Threads, pool_of, process
from facies_xr.errors import InputError, StoreError

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    """Two worker processes, whose nannies start them again."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def entered(folder, job):
    """Note that a job began, and how often by now."""
    mine = Path(folder) / str(job)
    count = 1 + (len(mine.read_text()) if mine.exists() else 0)
    mine.write_text("x" * count)
    return count


def square(folder, job):
    entered(folder, job)
    return job * job


def kills(folder, job, poisoned):
    """Kill the worker, of a poisoned job always."""
    entered(folder, job)
    if job == poisoned:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return job


def fails(folder, job, times):
    if entered(folder, job) <= times:
        raise OSError(errno.EIO, "the read failed")
    return job


def full(job):
    raise OSError(errno.ENOSPC, "No space left on device")


def wrong(folder, job):
    entered(folder, job)
    raise InputError("no such thing")


@pytest.fixture(params=["threads", "cluster"])
def pool(request):
    if request.param == "threads":
        with Threads(2) as threads:
            yield threads
    else:
        with pool_of(request.getfixturevalue("client"), 2) as cluster:
            yield cluster


def test_every_job_is_done_once(pool, tmp_path):
    ended = list(process(pool, range(60), lambda job: pool.submit(square, str(tmp_path), job)))
    assert sorted(outcome.job for outcome in ended) == list(range(60))
    assert all(outcome.value == outcome.job**2 and outcome.tries == 1 for outcome in ended)
    assert {len(f.read_text()) for f in tmp_path.iterdir()} == {1}


def test_no_more_are_in_flight_than_the_window_holds(pool, tmp_path):
    taken, done = [], []

    def jobs():
        for job in range(100):
            taken.append(job)
            assert len(taken) - len(done) <= AT_LEAST + 1
            yield job

    for outcome in process(pool, jobs(), lambda job: pool.submit(square, str(tmp_path), job)):
        done.append(outcome.job)
    assert len(done) == 100


def test_a_failure_that_passes_is_tried_again_and_one_that_stays_is_given_up(pool, tmp_path):
    def start(job):
        return pool.submit(fails, str(tmp_path), job, 9 if job == 3 else 1)

    ended = {o.job: o for o in process(pool, range(5), start, waits=(0.05, 0.05))}
    assert {job for job, outcome in ended.items() if outcome.reason is None} == {0, 1, 2, 4}
    assert ended[0].tries == 2
    assert ended[3].tries == 3
    assert "the read failed" in ended[3].reason


def test_what_cannot_get_better_is_not_tried_again(pool, tmp_path):
    (outcome,) = process(pool, [1], lambda job: pool.submit(wrong, str(tmp_path), job))
    assert outcome.tries == 1
    assert "no such thing" in outcome.reason


def test_a_full_disk_stops_the_run(pool):
    with pytest.raises(StoreError, match="free some space"):
        list(process(pool, range(9), lambda job: pool.submit(full, job), waits=(0.01,)))


def test_a_poisoned_job_is_given_up_and_stops_no_other(client, tmp_path):
    pool = pool_of(client, 2)
    ended = {o.job: o for o in process(pool, range(12), lambda job: pool.submit(kills, str(tmp_path), job, 5))}
    assert sorted(ended) == list(range(12))
    assert [job for job, outcome in ended.items() if outcome.reason] == [5]
    assert "worker died" in ended[5].reason
    assert len((tmp_path / "5").read_text()) <= 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_go_lose_nothing(client, tmp_path, how):
    client.wait_for_workers(2)
    pool, pid = pool_of(client, 2), next(iter(client.run(os.getpid).values()))

    def disturb():
        time.sleep(0.3)
        os.kill(pid, how)

    threading.Thread(target=disturb).start()
    ended = list(process(pool, range(80), lambda job: pool.submit(kills, str(tmp_path), job, None)))
    assert sorted(outcome.job for outcome in ended) == list(range(80))
    assert not any(outcome.reason for outcome in ended)


def test_no_worker_for_long_is_an_error():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pool = pool_of(client, 2)
        ended = process(pool, range(3), lambda job: pool.submit(square, "/", job), patience=0.5)
        with pytest.raises(ClusterError, match="no worker"):
            list(ended)


SCHEDULER = """
import asyncio, sys
from distributed import Scheduler, Worker
async def main():
    async with Scheduler(port=0, dashboard_address=None) as s, Worker(s.address):
        print(s.address, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_a_scheduler_that_dies_is_an_error_and_no_endless_wait(tmp_path):
    config = {"distributed.comm.timeouts.connect": "2s", "distributed.comm.retry.count": 0}
    with (
        subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True) as scheduler,
        dask.config.set(config),
    ):
        address = scheduler.stdout.readline().strip()
        with distributed.Client(address, timeout="20s") as client:
            pool = pool_of(client, 2)
            outcomes = process(pool, range(10_000), lambda job: pool.submit(pow, job, 2))
            assert len([next(outcomes) for _ in range(20)]) == 20
            scheduler.kill()
            with pytest.raises(ClusterError, match="scheduler"):
                list(outcomes)

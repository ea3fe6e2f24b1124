"""The engine on real worker processes: a bounded window, tries, killed workers, a poisoned job, a lost scheduler."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest

from facies_xr.batch import pools
from facies_xr.batch.engine import AT_LEAST, MOST, process
from facies_xr.batch.pools import ClusterError, Threads, pool_of
from facies_xr.batch.running import of_all_workers
from facies_xr.errors import InputError, StoreError

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    """Two worker processes, whose nannies start them again, however long that takes."""
    patient = {"distributed.scheduler.allowed-failures": 1, "distributed.deploy.lost-worker-timeout": "300s"}
    with (
        dask.config.set(patient),
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


def kills(folder, poisoned, job):
    """Kill the worker, of a poisoned job always."""
    entered(folder, job)
    if job == poisoned:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return job


def fails(folder, job):
    if entered(folder, job) <= (9 if job == 3 else 1):
        raise OSError(errno.EIO, "the read failed")
    return job


def full(job):
    raise OSError(errno.ENOSPC, "No space left on device")


def wrong(folder, job):
    entered(folder, job)
    raise InputError("no such thing")


def rests(job):
    time.sleep(job[1])


def third_fails(folder, job):
    entered(folder, job)
    if job % 3 == 0:
        raise OSError(errno.EIO, "the read failed")


def swallows(folder, job):
    """Take memory that the worker never gets back, at the first try of one job."""
    if entered(folder, job) == 1 and job == 0:
        globals()["held"] = b"x" * 900_000_000
    time.sleep(0.3)
    return job


@pytest.fixture(params=["threads", "cluster"])
def pool(request):
    if request.param == "threads":
        with Threads(2) as threads:
            yield threads
    else:
        with pool_of(request.getfixturevalue("client"), 2) as cluster:
            yield cluster


def test_every_job_is_done_once(pool, tmp_path):
    ended = list(process(pool, range(60), lambda jobs: pool.each(square, jobs, str(tmp_path))))
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

    def start(some):
        return pool.each(square, some, str(tmp_path))

    for outcome in process(pool, jobs(), start, alike=lambda job: job):
        done.append(outcome.job)
    assert len(done) == 100


def test_short_jobs_travel_together_and_long_ones_alone(pool, tmp_path):
    sizes = {0.0: [], 0.6: []}

    def start(some):
        sizes[some[0][1]].append(len(some))
        assert len({seconds for _, seconds in some}) == 1
        return pool.each(rests, some)

    jobs = [(k, 0.6) for k in range(AT_LEAST + 6)] + [(AT_LEAST + 6 + k, 0.0) for k in range(3000)]
    ended = [o.job for o in process(pool, jobs[-3000:], start, alike=lambda job: job[1])]
    assert sorted(ended) == jobs[-3000:]
    assert max(sizes[0.0]) == MOST
    assert len(sizes[0.0]) < 3000 / 10
    list(process(pool, jobs[:6], start, alike=lambda job: job[1]))
    assert sizes[0.6] == [1] * 6


def test_one_of_a_task_that_fails_costs_the_others_nothing(pool, tmp_path):
    def start(some):
        return pool.each(third_fails, some, str(tmp_path))

    ended = {o.job: o for o in process(pool, range(400), start, waits=())}
    assert {job for job, outcome in ended.items() if outcome.reason} == set(range(0, 400, 3))
    assert {len(f.read_text()) for f in tmp_path.iterdir()} == {1}


def test_a_failure_that_passes_is_tried_again_and_one_that_stays_is_given_up(pool, tmp_path):
    ended = {o.job: o for o in process(pool, range(5), lambda jobs: pool.each(fails, jobs, str(tmp_path)),
                                       waits=(0.05, 0.05))}  # fmt: skip
    assert {job for job, outcome in ended.items() if outcome.reason is None} == {0, 1, 2, 4}
    assert ended[0].tries == 2
    assert ended[3].tries == 3
    assert "the read failed" in ended[3].reason


def test_what_cannot_get_better_is_not_tried_again(pool, tmp_path):
    (outcome,) = process(pool, [1], lambda jobs: pool.each(wrong, jobs, str(tmp_path)))
    assert outcome.tries == 1
    assert "no such thing" in outcome.reason


def test_a_full_disk_stops_the_run(pool):
    with pytest.raises(StoreError, match="free some space"):
        list(process(pool, range(9), lambda jobs: pool.each(full, jobs), waits=(0.01,)))


def test_a_poisoned_job_is_given_up_and_stops_no_other(client, tmp_path):
    pool = pool_of(client, 2)
    ended = {o.job: o for o in process(pool, range(12), lambda jobs: pool.each(kills, jobs, str(tmp_path), 5))}
    assert sorted(ended) == list(range(12))
    assert [job for job, outcome in ended.items() if outcome.reason] == [5]
    assert "worker died" in ended[5].reason
    assert len((tmp_path / "5").read_text()) <= 4


def dies(folder):
    """The first time, on any worker."""
    if entered(folder, "died") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_a_worker_that_dies_while_all_are_asked_costs_a_repetition(client, tmp_path):
    client.wait_for_workers(2)
    told = of_all_workers(lambda: client.run(dies, str(tmp_path), on_error="return"), patience=60.0)
    assert told
    assert all(isinstance(pid, int) for pid in told.values())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_go_lose_nothing(client, tmp_path, how):
    client.wait_for_workers(2)
    pool, pid = pool_of(client, 2), next(iter(client.run(os.getpid).values()))

    def disturb():
        time.sleep(0.3)
        os.kill(pid, how)

    threading.Thread(target=disturb).start()
    ended = list(process(pool, range(80), lambda jobs: pool.each(kills, jobs, str(tmp_path), None)))
    assert sorted(outcome.job for outcome in ended) == list(range(80))
    assert not any(outcome.reason for outcome in ended)


def test_workers_killed_together_come_back_however_long_their_start_takes(tmp_path):
    """Dask closes for good what is not back in time; here the time that it is told is shorter than any start."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        pool_of(client, 2) as pool,
    ):
        pids = client.run(os.getpid).values()
        ended = []
        for outcome in process(pool, range(80), lambda jobs: pool.each(kills, jobs, str(tmp_path), None), patience=60):
            ended.append(outcome)
            if len(ended) == 20:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
    assert sorted(outcome.job for outcome in ended) == list(range(80))
    assert not any(outcome.reason for outcome in ended)


def test_results_that_died_with_their_workers_are_not_waited_for_without_end(tmp_path):
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pool = pool_of(client, 1)
        outcomes = process(pool, range(30), lambda jobs: pool.each(square, jobs, str(tmp_path)), patience=1.0)
        next(outcomes)
        distributed.wait(client.submit(time.sleep, 0))  # by now others have ended too, and their values lie there
        cluster.scale(0)
        while client.nthreads():
            time.sleep(0.05)
        with pytest.raises(ClusterError, match="no worker"):
            list(outcomes)


@contextmanager
def paused_at(share):
    """A worker of 1.2 GB that Dask pauses, and never kills, where it holds a share of it."""
    limits = {"target": False, "spill": False, "pause": share, "terminate": False}
    with (
        dask.config.set({f"distributed.worker.memory.{name}": limit for name, limit in limits.items()}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None,
                                 memory_limit="1.2GB") as cluster,
        distributed.Client(cluster) as client,
        pool_of(client, 1) as pool,
    ):  # fmt: skip
        yield pool


def test_what_waits_for_a_worker_whose_memory_is_full_is_done_elsewhere(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pools, "PAUSED", 1.0)
    with paused_at(0.7) as pool:
        ended = list(process(pool, range(8), lambda jobs: pool.each(swallows, jobs, str(tmp_path)), patience=60.0))
    assert sorted(outcome.job for outcome in ended) == list(range(8))
    assert not any(outcome.reason for outcome in ended)
    assert sum("its memory full; it is started anew" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.slow
def test_workers_whose_memory_is_full_again_and_again_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "PAUSED", 0.5)
    with paused_at(0.05) as pool:  # less than a worker takes that does nothing
        time.sleep(1.0)
        jobs = process(pool, range(8), lambda jobs: pool.each(swallows, jobs, str(tmp_path)), patience=60.0)
        with pytest.raises(ClusterError, match=r"memory is full, and was started anew 3 times; give workers more"):
            list(jobs)


def test_no_worker_for_long_is_an_error():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pool = pool_of(client, 2)
        ended = process(pool, range(3), lambda jobs: pool.each(square, jobs, "/"), patience=0.5)
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
            outcomes = process(pool, range(10_000), lambda jobs: pool.each(pow, jobs, 2))
            assert len([next(outcomes) for _ in range(20)]) == 20
            scheduler.kill()
            with pytest.raises(ClusterError, match="scheduler"):
                list(outcomes)

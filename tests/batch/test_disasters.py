"""What can happen to a cluster of processes and to what it reads and writes, each on the real thing."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack, contextmanager

import dask
import pytest

from facies_xr import access
from facies_xr.batch import plan, run
from facies_xr.batch.archive import Archive
from facies_xr.batch.pools import ClusterError
from facies_xr.errors import StoreError

from ..servers import Files
from .conftest import MODEL, RESOLUTION, YEARS, chunks, unfinished

distributed = pytest.importorskip("distributed")


@contextmanager
def cluster(**options):
    """A client of worker processes with nannies."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, **options}
    with distributed.LocalCluster(**options) as made, distributed.Client(made) as client:
        yield client


@contextmanager
def disk(folder, size):
    """A small file system of its own; what it is mounted with can be changed."""
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True)

    if mount(f"size={size}").returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield lambda *options: mount("remount", *options).check_returncode()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# -- workers ----------------------------------------------------------------------------------------------------


HOG = """
import os, time
def hogs(job):
    held = []
    while job == 5 and len(held) < 60:
        held.append(bytearray(os.urandom(1)) * (32 << 20))
        time.sleep(0.05)
    return job
"""

OUT_OF_MEMORY = """
import json, dask, hog
from distributed import Client, LocalCluster
from facies_xr.batch.engine import process
from facies_xr.batch.pools import pool_of
if __name__ == "__main__":
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1.2GB") as cluster,
        Client(cluster) as client,
        pool_of(client, 2) as pool,
    ):
        ended = process(pool, range(12), lambda jobs: pool.each(hog.hogs, jobs))
        print(json.dumps([(outcome.job, outcome.reason) for outcome in ended]))
"""


@pytest.mark.slow
def test_a_job_that_takes_all_memory_is_given_up_and_stops_no_other(tmp_path):
    (tmp_path / "hog.py").write_text(HOG)
    (tmp_path / "run.py").write_text(OUT_OF_MEMORY)
    told = subprocess.run([sys.executable, tmp_path / "run.py"], stdout=subprocess.PIPE, text=True, timeout=300)
    ended = dict(json.loads(told.stdout))
    assert sorted(ended) == list(range(12))
    assert [job for job, reason in ended.items() if reason] == [5]
    assert "out of memory" in ended[5]


SCHEDULER = """
import asyncio
from distributed import Scheduler
async def main():
    async with Scheduler(port=0, dashboard_address=None) as scheduler:
        print(scheduler.address, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""

WORKERS = """
import asyncio, sys
from distributed import Nanny
async def main():
    async with Nanny(sys.argv[1], nthreads=1), Nanny(sys.argv[1], nthreads=1):
        await asyncio.sleep(600)
if __name__ == "__main__":
    asyncio.run(main())
"""


@contextmanager
def processes(tmp_path, elsewhere=(), **environment):
    """Address of a scheduler in a process of its own, with two workers elsewhere; and the scheduler."""
    with ExitStack() as stack:

        def started(name, source, *arguments, by=()):
            (tmp_path / name).write_text(source)
            command = [*by, sys.executable, tmp_path / name, *arguments]
            env = {**os.environ, **environment}
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env))
            stack.callback(process.terminate)
            return process

        scheduler = started("scheduler.py", SCHEDULER)
        address = scheduler.stdout.readline().strip()
        started("workers.py", WORKERS, address, by=elsewhere)
        yield address, scheduler


@pytest.mark.slow
def test_a_scheduler_killed_in_a_run_is_a_clear_error_and_a_second_run_finishes(archive, quiet, manifest, tmp_path):
    unfinished(archive, -5)
    brief = {"distributed.comm.timeouts.connect": "2s", "distributed.comm.retry.count": 0}
    with dask.config.set(brief), processes(tmp_path) as (address, scheduler), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        with pytest.raises(ClusterError, match=r"scheduler does not answer.*run the same"):
            run(manifest, archive, client=client, board=lambda *_: scheduler.kill())
    left = len(Archive.at(archive).pending())
    assert 0 < left < 5
    told = []
    assert run(manifest, archive, board=lambda record, *_: told.append(record)).empty
    assert len(told) == left
    assert chunks(archive) == chunks(quiet)


AHEAD = """
import time
now = time.time
time.time = lambda: now() + 3600
"""


@pytest.mark.slow
def test_workers_whose_clocks_are_an_hour_ahead_make_the_same_bytes(archive, quiet, manifest, tmp_path):
    unfinished(archive, -4)
    path = tmp_path / "ahead"
    path.mkdir()
    (path / "sitecustomize.py").write_text(AHEAD)
    path = os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH"))))
    with processes(tmp_path, PYTHONPATH=path) as (address, _), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=120)
        ahead = [told - time.time() for told in client.run(time.time).values()]
        assert min(ahead) > 3000
        assert run(manifest, archive, client=client).empty
    assert chunks(archive) == chunks(quiet)
    assert Archive.at(archive).verify().empty


def test_workers_with_other_versions_are_refused_by_name(archive, quiet, manifest, tmp_path):
    unfinished(archive, -1)
    other = tmp_path / "other" / "zarr-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 0.0.1\n")
    path = os.pathsep.join(filter(None, (str(other.parent), os.environ.get("PYTHONPATH"))))
    ours, told = importlib.metadata.version("zarr"), []
    with processes(tmp_path, PYTHONPATH=path) as (address, _), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        with pytest.raises(ClusterError, match=rf"tcp://.* has zarr 0\.0\.1, this process {ours}.*same environment"):
            run(manifest, archive, client=client, board=lambda *_: told.append(1))
    assert told == []
    assert len(Archive.at(archive).pending()) == 1


# -- disks ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_disk_that_is_full_stops_the_run_and_with_space_it_goes_on_to_the_same_bytes(quiet, manifest, tmp_path):
    with disk(tmp_path / "disk", "600k") as remount, cluster() as client:
        path = tmp_path / "disk" / "archive"
        with pytest.raises(StoreError, match="No space left on device"):
            run(manifest, path, client=client)
        remount("size=100m")
        assert run(manifest, path, client=client).empty
        assert chunks(path) == chunks(quiet)
        assert Archive.at(path).verify().empty


@contextmanager
def read_only(folder):
    """A folder into which nobody may write, who is root or not."""
    if os.geteuid():
        folder.mkdir()
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    with disk(folder, "1m") as remount:
        remount("ro")
        yield folder


def test_a_place_where_nothing_may_be_written_is_refused_before_the_first_unit(manifest, tmp_path):
    told = []
    with (
        read_only(tmp_path / "fixed") as folder,
        pytest.raises(StoreError, match=r"archive cannot be written: .*(Read-only|Permission denied)"),
    ):
        run(manifest, folder / "archive", board=lambda *_: told.append(1))
    assert told == []


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
"""Of a shell, in a mount namespace of its own: a command that sees a folder as another machine may, read-only."""


@pytest.mark.slow
def test_workers_that_may_not_write_are_refused_before_the_first_unit(archive, manifest, tmp_path):
    """Their machine has mounted the archive read-only; the client's has not."""
    elsewhere = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(archive)]
    try:
        subprocess.run([*elsewhere, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    unfinished(archive, -1)
    told = []
    with processes(tmp_path, elsewhere) as (address, _), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        with pytest.raises(ClusterError, match=r"worker tcp://.* may not write to .*archive; let the workers'"):
            run(manifest, archive, client=client, board=lambda *_: told.append(1))
    assert told == []
    assert len(Archive.at(archive).pending()) == 1


# -- reads ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_that_never_answers_costs_a_bounded_time(archive, quiet, manifest, edge, tiny, tmp_path, monkeypatch):
    """What is not a byte in a while is given up, here after a second, without tries of GDAL's own."""
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    scene = next(name for name, item in manifest.scenes.items() if "2017" in item["properties"]["datetime"])
    unit = Archive.at(archive).units[-1]
    assert scene in manifest.dates["items"].iloc[unit[1]]
    unfinished(archive, -1)
    files = Files(edge.folder, lambda number: "hang")
    with files.serve() as base:
        catalog = json.loads(edge.catalog.read_text())
        for item in catalog["features"]:
            for name, asset in item["assets"].items():
                file = (edge.folder / asset["href"]).resolve()
                inside = file.relative_to(edge.folder.resolve())
                asset["href"] = f"{base}/{inside}" if (item["id"], name) == (scene, "blue") else str(file)
        path = tmp_path / "remote.json"
        path.write_text(json.dumps(catalog))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            remote = plan(path, tiny, YEARS, MODEL, dem=edge.dem, resolution=RESOLUTION)
        start = time.monotonic()
        lost = run(remote, archive, waits=(0.1,))
    assert time.monotonic() - start < 90
    assert lost["unit"].tolist() == [Archive.at(archive).name(unit)]
    assert lost["tries"].tolist() == [2]
    assert scene in lost["reason"].iloc[0]
    assert 2 <= len(files.requests) <= 2 * access.ATTEMPTS * 4
    assert run(manifest, archive).empty
    assert chunks(archive) == chunks(quiet)

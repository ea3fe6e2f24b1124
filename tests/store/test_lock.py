"""One writer at a time: nobody's dates are lost, whoever comes second, whoever is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from facies_xr import store
from facies_xr.errors import StoreError
from facies_xr.store import FolderLock
from facies_xr.store.lock import EXPIRY

from .maps import SMALL, assert_same, random_maps

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from maps import SMALL, random_maps
from facies_xr import store
from facies_xr.errors import StoreError
data = random_maps(sys.argv[4:], box=SMALL)
print("ready", flush=True)
sys.stdin.readline()
try:
    store.write(data, sys.argv[2], progress=False, wait=float(sys.argv[3]))
except StoreError as error:
    print(error, flush=True)
    sys.exit(2)
"""

APPENDER = """
import sys
sys.path.insert(0, sys.argv[1])
from maps import SMALL, random_maps
from facies_xr import store
print("ready", flush=True)
sys.stdin.readline()
for day in sys.argv[3:]:
    store.write(random_maps([day], box=SMALL), sys.argv[2], progress=False)
"""

HOLDER = """
import sys, time
from pathlib import Path
from facies_xr.store import FolderLock
with FolderLock(Path(sys.argv[1]), "maps.zarr"):
    print("ready", flush=True)
    time.sleep(60)
"""


def started(script, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def writers(path, wait, *sets_of_days):
    return [started(WRITER, Path(__file__).parent, path, wait, *days) for days in sets_of_days]


def at_once(processes):
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate() for process in processes]


def two_appenders(tmp_path, rounds):
    """Two processes append different dates to one store, round by round."""
    path, days = tmp_path / "maps.zarr", ["2000-08-20"]
    store.write(random_maps(days, box=SMALL), path, progress=False)
    for k in range(rounds):
        mine, theirs = [f"20{k + 10}-08-0{d}" for d in (1, 2, 3)], [f"20{k + 10}-08-1{d}" for d in (1, 2)]
        processes = writers(path, 60 if k % 2 else 0, mine, theirs)
        said = at_once(processes)
        for process, (text, _), new in zip(processes, said, (mine, theirs), strict=True):
            if process.returncode:
                assert "is being written by process" in text
                store.write(random_maps(new, box=SMALL), path, progress=False)
        assert k % 2 == 0 or [p.returncode for p in processes] == [0, 0]
        days += [*mine, *theirs]
        assert_same(store.open_store(path), random_maps(sorted(days), box=SMALL))
        assert store.verify(path).empty


def two_creators(tmp_path, rounds):
    for k in range(rounds):
        path = tmp_path / f"{k}.zarr"
        processes = writers(path, 0, ["2020-08-20"], ["2021-08-20"])
        said = at_once(processes)
        for process, (text, _) in zip(processes, said, strict=True):
            assert process.returncode == 0 or "is being written by process" in text
        both = random_maps(["2020-08-20", "2021-08-20"], box=SMALL)
        assert_same(store.write(both, path, progress=False), both)
        assert store.verify(path).empty


def test_two_appenders_lose_nothing(tmp_path):
    two_appenders(tmp_path, 2)


def test_two_creators_leave_a_store(tmp_path):
    two_creators(tmp_path, 1)


def test_a_reader_finds_a_whole_store_while_another_appends(tmp_path):
    path, days = tmp_path / "maps.zarr", [f"20{k}-08-20" for k in range(10, 20)]
    store.write(random_maps(days[:1], box=SMALL), path, progress=False)
    process, seen = started(APPENDER, Path(__file__).parent, path, *days[1:]), []
    process.stdin.write("go\n")
    process.stdin.flush()
    while process.poll() is None:
        found = store.open_store(path)
        np.testing.assert_array_equal(found.item, [f"scene-{day}" for day in days[: found.sizes["time"]]])
        seen.append(found.sizes["time"])
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


@pytest.mark.slow
def test_two_writers_ten_rounds(tmp_path):
    two_appenders(tmp_path, 10)
    two_creators(tmp_path, 10)


def test_the_second_is_refused_by_name_and_the_lock_leaves_nothing(tmp_path):
    with FolderLock(tmp_path / "ledger", "maps.zarr"), pytest.raises(StoreError, match=rf"maps.zarr .* {os.getpid()} "):
        FolderLock(tmp_path / "ledger", "maps.zarr", wait=0.3).__enter__()
    assert list((tmp_path / "ledger").iterdir()) == []


def test_waiting_gets_the_lock_when_it_is_released(tmp_path):
    first = FolderLock(tmp_path, "maps.zarr").__enter__()
    threading.Timer(0.5, first.__exit__).start()
    with FolderLock(tmp_path, "maps.zarr", wait=30) as second:
        second.check()


def test_a_killed_owner_is_succeeded_at_once(tmp_path):
    holder = started(HOLDER, tmp_path)
    with pytest.raises(StoreError, match=str(holder.pid)):
        FolderLock(tmp_path, "maps.zarr").__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with FolderLock(tmp_path, "maps.zarr") as lock:
        lock.check()
    assert list(tmp_path.iterdir()) == []


def test_an_owner_elsewhere_is_succeeded_when_its_heartbeat_stops(tmp_path):
    lock = tmp_path / "writer.7"
    lock.write_text('{"host": "elsewhere", "pid": 1, "token": "x", "since": "noon"}')
    with pytest.raises(StoreError, match="process 1 on elsewhere since noon"):
        FolderLock(tmp_path, "maps.zarr").__enter__()
    old = time.time() - EXPIRY - 1
    os.utime(lock, (old, old))
    with FolderLock(tmp_path, "maps.zarr") as succeeding:
        succeeding.check()
        assert [f.name for f in tmp_path.iterdir()] == ["writer.8"]


def test_an_owner_that_was_taken_for_dead_stops(tmp_path):
    slow = FolderLock(tmp_path, "maps.zarr").__enter__()
    old = time.time() - EXPIRY - 1
    (mine,) = tmp_path.glob("writer.*")
    mine.write_text(mine.read_text().replace(str(os.getpid()), "1").replace('"host": "', '"host": "not '))
    os.utime(mine, (old, old))
    with FolderLock(tmp_path, "maps.zarr"), pytest.raises(StoreError, match="another writer took over"):
        slow.check()
    slow.__exit__()


def test_of_many_contenders_one_at_a_time_holds_the_lock(tmp_path):
    """A dead lock lies there at the start, so that the first step is a takeover."""
    (tmp_path / "writer.3").write_text('{"host": "elsewhere", "pid": 1, "token": "x", "since": "noon"}')
    os.utime(tmp_path / "writer.3", (1, 1))
    holders, most, entered = [], [], []

    def contend():
        for _ in range(5):
            with FolderLock(tmp_path, "maps.zarr", wait=120):
                holders.append(1)
                most.append(len(holders))
                time.sleep(0.002)
                holders.pop()
                entered.append(1)

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(entered) == 20

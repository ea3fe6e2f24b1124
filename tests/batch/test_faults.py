"""Faults of real runs: what comes out is the bytes of an undisturbed run, or a unit that says why it failed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from facies_xr.batch import plan, run
from facies_xr.batch.archive import Archive
from facies_xr.errors import InputError, StoreError

from ..servers import Files
from .conftest import MODEL, RESOLUTION, YEARS, chunks, unfinished


def test_a_finished_archive_has_nothing_to_do(archive, manifest):
    before = {f: f.stat().st_mtime_ns for f in archive.rglob("c/*/*/*/*")}
    told = []
    assert run(manifest, archive, board=lambda record, *_: told.append(record)).empty
    assert told == []
    assert {f: f.stat().st_mtime_ns for f in archive.rglob("c/*/*/*/*")} == before


def test_a_ledger_edited_by_hand_costs_those_units_and_gives_the_same_bytes(archive, quiet, manifest):
    records = sorted((archive / "batch" / "units").rglob("*.json"))
    records[0].unlink()
    records[1].write_text(records[1].read_text().replace('"valid"', '"solid"'))
    entries = sorted(archive.glob("EPSG_32633/ledger/timed/c/*/*/*/0"))
    entries[0].unlink()
    entries[1].write_bytes(b"\0" * entries[1].stat().st_size)
    told = []
    assert run(manifest, archive, board=lambda record, *_: told.append(record["unit"])).empty
    assert 2 <= len(told) <= 4
    assert chunks(archive) == chunks(quiet)


def test_verify_names_what_is_damaged_and_a_run_mends_it(archive, quiet, manifest):
    chunk = next(archive.glob("EPSG_32633/confidence/c/*/*/*"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    at = Archive.at(archive)
    assert at.verify()["file"].tolist() == [str(chunk.relative_to(archive))]
    assert at.repair() == 1
    assert run(manifest, archive).empty
    assert at.verify().empty
    assert chunks(archive) == chunks(quiet)


def test_a_second_run_is_refused_by_name(archive, manifest):
    with Archive.at(archive).lock(), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        run(manifest, archive)


def test_another_configuration_is_refused(archive, edge, tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = plan(edge.catalog, tiny, YEARS, MODEL, dem=edge.dem, resolution=RESOLUTION, calibrate=False)
    with pytest.raises(StoreError, match="another configuration"):
        run(other, archive)


def test_a_folder_of_something_else_is_refused(manifest, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="no archive of a batch run"):
        run(manifest, tmp_path)


def test_a_classifier_in_memory_is_refused_before_anything_runs(edge, tiny, classifier):
    with pytest.raises(InputError, match=r"name or a file.*Classifier"):
        plan(edge.catalog, tiny, YEARS, classifier, dem=edge.dem)


def test_a_corrupt_scene_fails_with_its_reason_and_the_others_are_done(archive, quiet, manifest, edge, tiny, tmp_path):
    scene = next(name for name, item in manifest.scenes.items() if "2010" in item["properties"]["datetime"])
    broken = Path(shutil.copytree(edge.folder, tmp_path / "broken"))
    file = Path(manifest.scenes[scene]["assets"]["blue"]["href"])
    copy = broken / file.relative_to(edge.folder)
    copy.write_bytes(copy.read_bytes()[:2000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_copy = plan(broken / "catalog.json", tiny, YEARS, MODEL, dem=edge.dem, resolution=RESOLUTION)
    unfinished(archive, -4)
    lost = run(of_copy, archive, waits=(0.01,))
    years = lost["unit"].str.split("/").str[1].str[:4]
    assert set(years) == {"2010"}
    assert lost["reason"].str.contains(scene).all()
    assert (lost["tries"] == 2).all()
    assert run(manifest, archive).empty  # the file is whole again
    assert chunks(archive) == chunks(quiet)


def test_reads_that_fail_now_and_then_change_nothing(archive, quiet, manifest, edge, tiny, tmp_path):
    rng = random.Random(5)
    with Files(edge.folder, lambda number: "error" if rng.random() < 0.1 else None).serve() as base:
        catalog = json.loads(edge.catalog.read_text())
        for item in catalog["features"]:
            for asset in item["assets"].values():
                file = (edge.folder / asset["href"]).resolve()
                asset["href"] = f"{base}/{file.relative_to(edge.folder.resolve())}"
        path = tmp_path / "remote.json"
        path.write_text(json.dumps(catalog))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            remote = plan(path, tiny, YEARS, MODEL, dem=edge.dem, resolution=RESOLUTION)
        unfinished(archive, -4)
        assert run(remote, archive, waits=(0.1, 0.5)).empty
    assert chunks(archive) == chunks(quiet)


RUN = """
import sys, dask
from facies_xr.batch import run
from distributed import Client, LocalCluster
if __name__ == "__main__":
    manifest, archive = sys.argv[1:]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        print(*client.run(__import__("os").getpid).values(), flush=True)
        failed = run(manifest, archive, client=client, board=lambda record, *_: print(record["unit"], flush=True))
        sys.exit(len(failed))
"""


def started(manifest, archive, tmp_path):
    """A run in processes of its own, and the numbers of its workers."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    manifest.save(tmp_path / "manifest.parquet")
    command = [sys.executable, script, tmp_path / "manifest.parquet", archive]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, start_new_session=True)
    return process, list(map(int, process.stdout.readline().split()))


def test_client_and_workers_killed_then_run_again_gives_the_same_bytes(archive, quiet, manifest, tmp_path):
    unfinished(archive, -4)
    process, _ = started(manifest, archive, tmp_path)
    process.stdout.readline()  # one unit is done
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert run(manifest, archive).empty
    assert chunks(archive) == chunks(quiet)
    assert Archive.at(archive).verify().empty


def test_a_terminated_run_stops_cleanly_and_goes_on(archive, quiet, manifest, tmp_path):
    unfinished(archive, -4)
    at = Archive.at(archive)
    with pytest.raises(KeyboardInterrupt):
        run(manifest, archive, board=lambda *_: signal.raise_signal(signal.SIGINT))
    assert 0 < len(at.pending()) <= 3
    assert not list((archive / "batch").glob("writer.*"))
    assert run(manifest, archive).empty
    assert chunks(archive) == chunks(quiet)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_workers_killed_at_random_moments(quiet, manifest, tmp_path, seed):
    rng = random.Random(seed)
    victims = [rng.uniform(0, 8) for _ in range(2)]
    print(f"seed {seed}: a worker is killed {victims} s after the start")
    process, pids = started(manifest, tmp_path / "archive", tmp_path)
    begin = time.monotonic()
    for when, pid in zip(sorted(victims), pids, strict=True):
        time.sleep(max(begin + when - time.monotonic(), 0))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            break
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert chunks(tmp_path / "archive") == chunks(quiet)

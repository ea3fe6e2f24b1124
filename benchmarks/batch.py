"""What the batch engine costs: ``python benchmarks/batch.py [overhead] [processes] [overlap] [planning]``."""

import json
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from facies_xr.batch import Manifest, plan
from facies_xr.batch.archive import put, read
from facies_xr.batch.engine import process
from facies_xr.batch.pools import pool_of
from facies_xr.store import Folder
from facies_xr.synthetic import World

UNITS = (1_000, 4_000, 16_000)
WORK = 0.1
"""Of a unit in the benchmarks of processes and overlap. [s]"""


def empty(folder: str, unit: int) -> dict[str, Any]:
    """A unit that does nothing but write its record."""
    told = {"unit": str(unit), "state": "done", "checksums": {"facies_map": unit}, "seconds": {"read": 0.0}}
    put(Folder(folder), f"{unit // 1000}/{unit}.json", told)
    return told


def busy(seconds: float) -> int:
    """Work for a time of the processor."""
    end, count = time.thread_time() + seconds, 0
    while time.thread_time() < end:
        count += 1
    return count


def fetched(address: str, seconds: float) -> int:
    """Read from a slow server, then work."""
    with urllib.request.urlopen(address) as answer:
        answer.read()
    return busy(seconds)


@contextmanager
def client_of(processes: int, threads: int = 1):
    """Worker processes of this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=processes, threads_per_worker=threads, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def seconds_of(client: Any, units: int, job: Callable[..., Any], *arguments: Any) -> tuple[float, int]:
    """Time of some units, and the largest number of tasks that the scheduler held. [s, 1]"""
    pool, held = pool_of(client, 1), 0
    start = time.perf_counter()
    for k, _ in enumerate(process(pool, range(units), lambda unit: pool.submit(job, *arguments, unit))):
        if k % 500 == 0:
            held = max(held, client.run_on_scheduler(tasks_of))
    return time.perf_counter() - start, held


def _one(pool: Any, job: Callable[..., Any], *arguments: Any) -> Any:
    """Start a job whose last argument, the number of the unit, is of no use."""
    return pool.submit(job, *arguments[:-1])


def tasks_of(dask_scheduler: Any) -> int:
    """Tasks that a scheduler knows."""
    return len(dask_scheduler.tasks)


def overhead() -> None:
    """Empty units, by our engine and as one graph."""
    with client_of(2) as client:
        for units in UNITS:
            with tempfile.TemporaryDirectory() as folder:
                took, held = seconds_of(client, units, empty, folder)
                start = time.perf_counter()
                whole = sum(read(file.read_bytes()) is not None for file in Path(folder).rglob("*.json"))
                again = time.perf_counter() - start
            assert whole == units
            print(f"engine: {units} empty units: {1e3 * took / units:.2f} ms a unit, at most {held} tasks on the "
                  f"scheduler, {1e3 * again / units:.3f} ms a unit to see that they are done")  # fmt: skip
        for units in UNITS[:2]:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                futures = client.map(lambda unit, folder=folder: empty(folder, unit), range(units), pure=False)
                held = client.run_on_scheduler(tasks_of)
                client.gather(futures)
                took = time.perf_counter() - start
            print(f"one graph: {units} empty units: {1e3 * took / units:.2f} ms a unit, {held} tasks on the scheduler")


def processes() -> None:
    """Work of one and of two processes."""
    took = {}
    for n in (1, 2):
        with client_of(n) as client:
            client.gather(client.map(busy, [0.01] * 8, pure=False))
            pool = pool_of(client, 1)
            start = time.perf_counter()
            list(process(pool, range(120), partial(_one, pool, busy, WORK)))
            took[n] = time.perf_counter() - start
    print(f"processes: 120 units of {WORK} s: one {took[1]:.1f} s, two {took[2]:.1f} s, {took[1] / took[2]:.2f} x")


class _Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(WORK)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"pixels")

    def log_message(self, *_: Any) -> None:
        pass


def overlap() -> None:
    """Reading from a slow server and working, one after the other and by an engine with two threads a worker."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address, took = f"http://127.0.0.1:{server.server_address[1]}", {}
    for threads in (1, 2):
        with client_of(1, threads) as client:
            client.gather(client.map(busy, [0.01] * 4, pure=False))
            pool = pool_of(client, 1)
            start = time.perf_counter()
            list(process(pool, range(60), partial(_one, pool, fetched, address, WORK)))
            took[threads] = time.perf_counter() - start
    server.shutdown()
    print(f"overlap: 60 units of {WORK} s reading and {WORK} s work, one process: one after the other {took[1]:.1f} s, "
          f"overlapping {took[2]:.1f} s, {took[1] / took[2]:.2f} x")  # fmt: skip


def planning(glaciers: int = 20_000, years: int = 9, per_year: int = 4) -> None:
    """A plan of many glaciers from an items file."""
    with tempfile.TemporaryDirectory() as folder:
        region = World(seed=1, years=(2019,), glaciers=2, glacier_length=300.0, sensors=("landsat-8",)).build(folder)
        item = json.loads(region.catalog.read_text())["features"][0]
        rng = np.random.default_rng(0)
        x, y = rng.uniform(6, 16, glaciers), rng.uniform(45, 48, glaciers)
        size = rng.lognormal(np.log(0.006), 0.6, glaciers)
        outlines = gpd.GeoDataFrame(
            {"glacier": [f"G{k:05d}" for k in range(glaciers)]},
            geometry=shapely.box(x, y, x + size, y + size),
            crs=4326,
        )
        items = []
        for column in range(6):
            for year in range(2016, 2016 + years):
                for k in range(per_year):
                    for row in range(3):
                        items.append(
                            _moved(item, 5.0 + 2 * column, 44.5 + 1.4 * row, year, k, f"{190 + column}{row:03d}")
                        )
        path = Path(folder) / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = plan(path, outlines, range(2016, 2016 + years), "synthetic-v1", dem=region.dem)
        took = time.perf_counter() - start
        start = time.perf_counter()
        size_of = made.save(Path(folder) / "manifest.parquet").stat().st_size
        units = len(Manifest.load(Path(folder) / "manifest.parquet").units)
        print(f"planning: {glaciers} glaciers x {years} years, {len(items)} items: {took:.0f} s, "
              f"{len(made.tiles)} tiles, {len(made.regions)} regions, {units} units; "
              f"manifest {size_of / 1e6:.1f} MB, written and read in {time.perf_counter() - start:.1f} s")  # fmt: skip


def _moved(item: dict[str, Any], west: float, south: float, year: int, k: int, path: str) -> dict[str, Any]:
    """An item of another place and day."""
    moved = json.loads(json.dumps(item))
    when = pd.Timestamp(f"{year}-08-05T10:00:00Z") + pd.Timedelta(
        days=8 * k, minutes=int(path[:3]), seconds=-24 * int(path[-1])
    )
    old = moved["properties"]["datetime"][:10]
    text = json.dumps(moved["properties"]).replace(old.replace("-", ""), f"{when:%Y%m%d}")
    moved["properties"] = json.loads(text)
    moved["properties"]["datetime"] = f"{when:%Y-%m-%dT%H:%M:%SZ}"
    moved["properties"]["landsat:wrs_path"], moved["properties"]["landsat:wrs_row"] = path[:3], path[3:]
    moved["id"] = f"LC08_L1TP_{path}_{when:%Y%m%d}_20200101_02_T1"
    moved["properties"].pop("landsat:scene_id", None)
    moved["bbox"] = [west, south, west + 2.4, south + 1.6]
    moved["geometry"] = shapely.geometry.mapping(shapely.box(*moved["bbox"]))
    return moved


if __name__ == "__main__":
    for name in sys.argv[1:] or ("overhead", "processes", "overlap", "planning"):
        {"overhead": overhead, "processes": processes, "overlap": overlap, "planning": planning}[name]()

"""What the batch engine costs: ``python benchmarks/batch.py [overhead] [processes] [overlap] [planning]``."""

import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask.array
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr

from facies_xr.batch import Manifest, plan
from facies_xr.batch.engine import process
from facies_xr.batch.pools import pool_of
from facies_xr.batch.records import put, read
from facies_xr.store import Folder
from facies_xr.synthetic import World

UNITS = (1_000, 10_000, 100_000)
WORK = 0.1
"""Of a unit in the benchmarks of processes and overlap. [s]"""


def empty(folder: str, unit: int) -> dict[str, Any]:
    """A unit that does nothing but write its record."""
    told = {"unit": str(unit), "state": "done", "checksums": {"facies_map": unit}, "seconds": {"read": 0.0}}
    put(Folder(folder), f"{unit // 1000}/{unit}.json", told)
    return told


def busy(seconds: float, unit: int = 0) -> int:
    """Work for a time of the processor."""
    end, count = time.thread_time() + seconds, 0
    while time.thread_time() < end:
        count += 1
    return count


def fetched(address: str, seconds: float, unit: int) -> int:
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


@dataclass
class Spent:
    """What some units cost."""

    seconds: float
    """By the clock on the wall. [s]"""
    client: float
    """Of the processor, in the process of client and scheduler. [s]"""
    workers: float
    """Of the processor, in those of the workers. [s]"""
    tasks: int
    """Largest number that the scheduler held."""
    grown: float
    """Memory that the process of client and scheduler gained. [MB]"""

    def shown(self, units: int) -> str:
        """For each unit."""
        each = ", ".join(f"{1e3 * t / units:.3f}" for t in (self.seconds, self.client, self.workers))
        return f"{each} ms a unit (clock, processor of client and scheduler, of workers), at most {self.tasks} tasks, \
{self.grown:+.0f} MB"


def spent(client: Any, steps: Iterable[Any]) -> Spent:
    """Cost of what goes step by step."""
    before = sum(client.run(time.process_time).values())
    held, mine, memory, start = 0, time.process_time(), _memory(), time.perf_counter()
    for k, _ in enumerate(steps):
        if k % 2000 == 0:
            held = max(held, client.run_on_scheduler(tasks_of))
    took, mine = time.perf_counter() - start, time.process_time() - mine
    workers = sum(client.run(time.process_time).values()) - before
    return Spent(took, mine, workers, held, _memory() - memory)


def _memory() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def engine(client: Any, units: int, job: Callable[..., Any], *arguments: Any) -> Iterable[Any]:
    """Some units by our engine."""
    pool = pool_of(client, 1)
    return process(pool, range(units), lambda some: pool.each(job, some, *arguments))


def tasks_of(dask_scheduler: Any) -> int:
    """Tasks that a scheduler knows."""
    return len(dask_scheduler.tasks)


def overhead() -> None:
    """Empty units, by our engine, as one graph of futures, and as one graph of xarray written straight to Zarr."""
    with client_of(2) as client:
        for units in UNITS:
            with tempfile.TemporaryDirectory() as folder:
                cost = spent(client, engine(client, units, empty, folder))
                start = time.perf_counter()
                whole = sum(read(file.read_bytes()) is not None for file in Path(folder).rglob("*.json"))
                again = time.perf_counter() - start
            assert whole == units
            print(f"engine: {units} empty units with records: {cost.shown(units)}; {1e3 * again / units:.3f} ms a unit "
                  "to see that they are done", flush=True)  # fmt: skip
        for units in UNITS[:2]:
            with tempfile.TemporaryDirectory() as folder:
                cost = spent(client, one_graph(units, folder))
            print(f"one graph of xarray and Dask to Zarr: {units} empty units: {cost.shown(units)}", flush=True)


def one_graph(units: int, folder: str) -> Iterable[int]:
    """Empty units of 8 x 8 px as chunks of one DataArray, through ``map_blocks``, written to Zarr."""
    yield 0  # while nothing is held
    data = xr.DataArray(dask.array.zeros((units, 8, 8), chunks=(1, 8, 8), dtype="uint8"), dims=("time", "y", "x"))
    mapped = data.map_blocks(nothing, template=data)
    whole = mapped.to_dataset(name="facies_map").to_zarr(folder, mode="w", compute=False, consolidated=False)
    future = whole.persist()
    yield 1
    future.compute()


def nothing(block: xr.DataArray) -> xr.DataArray:
    """What is done to an empty unit."""
    return block


def processes() -> None:
    """Work of one and of two processes."""
    took = {}
    for n in (1, 2):
        with client_of(n) as client:
            client.gather(client.map(busy, [0.01] * 8, pure=False))
            start = time.perf_counter()
            list(engine(client, 120, busy, WORK))
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
    """Reading from a slow server and working, one after the other and by an engine with three threads a worker."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address, took = f"http://127.0.0.1:{server.server_address[1]}", {}
    for threads in (1, 3):
        with client_of(1, threads) as client:
            client.gather(client.map(busy, [0.01] * 4, pure=False))
            start = time.perf_counter()
            list(engine(client, 60, fetched, address, WORK))
            took[threads] = time.perf_counter() - start
    server.shutdown()
    print(f"overlap: 60 units of {WORK} s reading and {WORK} s work, one process: one after the other {took[1]:.1f} s, "
          f"overlapping {took[3]:.1f} s, {took[1] / took[3]:.2f} x")  # fmt: skip


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

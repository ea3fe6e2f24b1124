"""Run a manifest on any Dask client, or on threads."""

import json
import os
import platform
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..errors import InputError, StoreError
from ..nn import registry
from . import work
from .archive import Archive, opened
from .engine import WAITS, ClusterError, Pool, pool_of, process
from .manifest import Manifest
from .planning import PACKAGES

GROUNDS = 4
"""Tiles whose terrain is kept for each thread of the workers."""


def run(
    manifest: Manifest | str | Path,
    store: str | Path,
    *,
    client: Any = None,
    device: str | None = None,
    waits: tuple[float, ...] = WAITS,
    board: Any = None,
) -> pd.DataFrame:
    """Make the maps of a manifest; what an archive already holds is not made again.

    Parameters
    ----------
    manifest : Manifest or path
        As :func:`facies_xr.batch.plan` makes it.
    store : path
        Folder of the archive, which all workers see.
    client : distributed.Client, optional
        Where to compute; by default the threads of this process.
    device : str, optional
        As ``classify`` takes it; by default each worker chooses.
    waits : sequence of float
        Pauses before a unit that failed is tried again; one more failure, and it is given up. [s]
    board : callable, optional
        ``board(record, units of this run, units in flight)`` is called as each unit ends: a display, such as
        :class:`facies_xr.batch.board.Board`.

    Returns
    -------
    DataFrame
        Units that were given up: ``unit``, ``reason``, ``tries``; without rows if all is done.

    Raises
    ------
    StoreError
        If another run is at work, the archive is of another configuration, or cannot be written.
    ClusterError
        If the workers have other versions, do not see the archive or the model, or are gone.
    """
    manifest = manifest if isinstance(manifest, Manifest) else Manifest.load(manifest)
    _require_models(manifest)
    archive = Archive.at(store)
    try:
        with archive.lock(), pool_of(client, os.cpu_count() or 1) as pool:
            archive.claim(manifest)
            archive.clean()
            _prepare_workers(client, archive, manifest)
            _claim_zones(pool, archive)
            return _units(pool, archive, device, waits, board)
    except PermissionError as error:
        raise StoreError(f"{store} cannot be written: {error}") from error


def _require_models(manifest: Manifest) -> None:
    for entry in manifest.configuration["models"]:
        if registry.load_model(entry["model"]).digest != entry["digest"]:
            raise InputError(f"model {entry['model']} is not the one that was planned with; plan again.")


# -- workers ----------------------------------------------------------------------------------------------------


def _prepare_workers(client: Any, archive: Archive, manifest: Manifest) -> None:
    """Refuse workers that cannot do the work, and load the model on each, also on those that come later."""
    if client is None:
        return
    from distributed import WorkerPlugin

    class Prepared(WorkerPlugin):
        """One model for each worker, one thread of torch for each of Dask's."""

        name = "facies-xr-batch"

        def __init__(self, models: list[str]):
            self.models = models

        def setup(self, worker: Any) -> None:
            import torch

            torch.set_num_threads(1)
            for model in self.models:
                registry.load_model(model)

    told = client.run(look_around, str(archive.path), on_error="return")
    mine = look_around(str(archive.path))
    for address, seen in told.items():
        if isinstance(seen, BaseException):
            raise ClusterError(f"worker {address} cannot import facies_xr or fails: {type(seen).__name__}: {seen}")
        for name in ("python", *PACKAGES):
            if seen[name] != mine[name]:
                raise ClusterError(
                    f"worker {address} has {name} {seen[name]}, this process {mine[name]}; give all the same "
                    "environment, else maps would depend on where they were made."
                )
        if seen["stamp"] != mine["stamp"]:
            raise ClusterError(f"worker {address} does not see {archive.path}; give a folder that all workers share.")
    client.register_plugin(Prepared([entry["model"] for entry in manifest.configuration["models"]]))


def look_around(path: str) -> dict[str, Any]:
    """Versions of a process, and what it sees of an archive."""
    file = Path(path) / "batch" / "manifest.parquet"
    about = {"python": platform.python_version(), "stamp": file.stat().st_size if file.exists() else None}
    return {**about, **{name: version(name) for name in PACKAGES}}


# -- zones ------------------------------------------------------------------------------------------------------


def _claim_zones(pool: Pool, archive: Archive) -> None:
    """Survey the glaciers of each region, then make or continue the store of each zone."""
    manifest = archive.manifest()
    regions = sorted(set(manifest.glaciers["region"]))
    bounds: dict[Any, pd.DataFrame] = {}
    file = archive.book / f"bounds-{manifest.glaciers_digest}.parquet"
    if file.exists():
        table = pd.read_parquet(file)
    else:
        for outcome in process(
            pool, regions, lambda region: pool.submit(survey, str(archive.path), region), waits=(1.0,)
        ):
            if outcome.reason is not None:
                raise InputError(f"region {outcome.job} cannot be surveyed: {outcome.reason}")
            bounds[outcome.job] = outcome.value
        table = pd.concat([bounds[region].assign(region=region) for region in regions])
        table = table.rename_axis("number").reset_index()
        table.to_parquet(file)
    zone_of = manifest.regions["zone"]
    for zone in manifest.zones:
        rows = table[table["region"].map(zone_of) == zone].set_index("number").drop(columns="region")
        archive.claim_zone(manifest, zone, rows)


def survey(path: str, region: int) -> pd.DataFrame:
    """Bounds of the glaciers of a region, on a worker."""
    return work.bounds(opened(path).manifest(), region)


# -- units ------------------------------------------------------------------------------------------------------


def _units(pool: Pool, archive: Archive, device: str | None, waits: tuple[float, ...], board: Any) -> pd.DataFrame:
    path, failed = str(archive.path), []
    grounds: OrderedDict[int, Any] = OrderedDict()

    def start(unit: Any) -> Any:
        tile = unit[0]
        if tile not in grounds or pool.failed(grounds[tile]):
            grounds[tile] = pool.submit(prepare, path, tile)
        grounds.move_to_end(tile)
        while len(grounds) > GROUNDS * max(pool_size, 1):
            grounds.popitem(last=False)
        return pool.submit(make, path, grounds[tile], unit, device)

    pool_size = pool.capacity()
    pending = archive.pending()
    with _log(archive) as log:
        for outcome in process(pool, pending, start, waits=waits):
            told, unit = outcome.value, cast("tuple[int, int]", outcome.job)
            if outcome.reason is not None:
                told = archive.fail(unit, outcome.reason, outcome.tries)
                failed.append(told)
            log({**told, "tries": outcome.tries})
            if board is not None:
                board(told, len(pending), outcome.running)
    return pd.DataFrame(failed, columns=["unit", "reason", "tries"])


def prepare(path: str, tile: int) -> work.Ground:
    """Terrain of a tile, on a worker, which also stores what the archive keeps of it."""
    archive = opened(path)
    made = work.ground(archive.manifest(), tile)
    archive.write_ground(made)
    return made


def make(path: str, ground: work.Ground, unit: tuple[int, int], device: str | None) -> dict[str, Any]:
    """One unit, on a worker; its record."""
    archive = opened(path)
    done = work.classified(archive.manifest(), ground, unit[1], device)
    about = {"worker": f"{platform.node()}:{os.getpid()}", "versions": {n: version(n) for n in PACKAGES[:1]}}
    return archive.write(unit, done, about)


@contextmanager
def _log(archive: Archive) -> Iterator[Any]:
    """Writer of the log of this run: one JSON line a unit."""
    folder = archive.book / "log"
    folder.mkdir(exist_ok=True)
    name = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    with (folder / f"{name}-{os.getpid()}.jsonl").open("a") as file:

        def log(told: dict[str, Any]) -> None:
            print(
                json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **told}), file=file, flush=True
            )

        yield log

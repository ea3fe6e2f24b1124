"""Run a manifest on any Dask client, or on threads."""

import os
import platform
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import pandas as pd

from .. import access
from ..errors import InputError, StoreError
from ..nn import registry
from ..store import Folder, place_of
from ..store.lock import Lock
from . import work
from .archive import BOOK, MANIFEST, Archive, Unit, opened
from .engine import WAITS, process
from .log import Log
from .manifest import Manifest, require_parquet
from .planning import PACKAGES
from .pools import FULL, PATIENCE, ClusterError, Pool, pool_of

CHECK = 30.0
"""Time between two looks at the lease of a run. [s]"""

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
        Folder of the archive, which all workers see, or an address that they can open, such as
        ``s3://bucket/glaciers``.
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
    require_parquet()
    archive = Archive.at(store)
    try:
        with archive.lock() as lock, pool_of(client, os.cpu_count() or 1) as pool:
            insisted(partial(archive.claim, manifest), waits)
            insisted(archive.clean, waits)
            _prepare_workers(client, archive)
            insisted(partial(_claim_zones, pool, archive), waits)
            return _units(pool, archive, lock, device=device, waits=waits, board=board)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{archive} cannot be written: {access.reason(error)}") from error


def _require_models(manifest: Manifest) -> None:
    for entry in manifest.configuration["models"]:
        if registry.load_model(entry["model"]).digest != entry["digest"]:
            raise InputError(f"model {entry['model']} is not the one that was planned with; plan again.")


# -- workers ----------------------------------------------------------------------------------------------------


def _prepare_workers(client: Any, archive: Archive) -> None:
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

    told = of_all_workers(lambda: client.run(look_around, archive.address, on_error="return"))
    mine = look_around(archive.address)
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
            raise ClusterError(
                f"worker {address} does not see {archive}; give a folder that all workers share, or an address."
            )
        if not seen["writable"]:
            raise ClusterError(f"worker {address} may not write to {archive}; let the workers' user write there.")
    prepared = Prepared([entry["model"] for entry in archive.manifest().configuration["models"]])
    of_all_workers(lambda: client.register_plugin(prepared))


def of_all_workers(request: Callable[[], Any], patience: float = PATIENCE) -> dict[str, Any]:
    """What all workers answer to a request, which is repeated where one of them goes under way.

    Raises
    ------
    ClusterError
        If workers still go when patience ends. [s]
    """
    from distributed.comm import CommClosedError

    end = time.monotonic() + patience
    while time.monotonic() < end:
        with suppress(CommClosedError):
            told = request() or {}
            if not any(isinstance(seen, CommClosedError) for seen in told.values()):
                return told
        time.sleep(0.5)
    raise ClusterError(f"workers have gone away for {patience:.0f} s before they could be asked anything; run again.")


def look_around(address: str) -> dict[str, Any]:
    """Versions of a process, and what it sees of an archive and may do there."""
    place = place_of(address)
    try:
        stamp = zlib.crc32(place.read(MANIFEST) or b"")
    except OSError:
        stamp = 0
    writable = not isinstance(place, Folder) or os.access(place.path, os.W_OK)
    about = {"python": platform.python_version(), "stamp": stamp, "writable": writable}
    return {**about, **{name: version(name) for name in PACKAGES}}


# -- zones ------------------------------------------------------------------------------------------------------


def _claim_zones(pool: Pool, archive: Archive) -> None:
    """Survey the glaciers of each region, then make or continue the store of each zone."""
    manifest, token = archive.manifest(), archive.token
    regions = sorted(set(manifest.glaciers["region"]))
    key = f"{BOOK}/bounds-{manifest.glaciers_digest}.parquet"
    table = archive.read_table(key)
    if table is None:
        bounds: dict[Any, pd.DataFrame] = {}
        for outcome in process(pool, regions, lambda some: pool.each(survey, some, token), waits=(1.0,)):
            if outcome.reason is not None:
                raise InputError(f"region {outcome.job} cannot be surveyed: {outcome.reason}")
            bounds[outcome.job] = outcome.value
        table = pd.concat([bounds[region].assign(region=region) for region in regions])
        table = table.rename_axis("number").reset_index()
        archive.write_table(key, table)
    zone_of = manifest.regions["zone"]
    for zone in manifest.zones:
        rows = table[table["region"].map(zone_of) == zone].set_index("number").drop(columns="region")
        archive.claim_zone(zone, rows)


def survey(token: tuple[str, str], region: int) -> pd.DataFrame:
    """Bounds of the glaciers of a region, on a worker."""
    return work.bounds(opened(*token).manifest(), region)


# -- units ------------------------------------------------------------------------------------------------------


def _units(
    pool: Pool, archive: Archive, lock: Lock, *, device: str | None, waits: tuple[float, ...], board: Any
) -> pd.DataFrame:
    token, failed, checked = archive.token, [], time.monotonic()
    grounds, kept = OrderedDict[int, Any](), GROUNDS * max(pool.capacity(), 1)

    def start(units: Any) -> Any:
        tile = units[0][0]
        if tile not in grounds or pool.failed(grounds[tile]):
            grounds[tile] = pool.submit(prepare, token, tile)
        grounds.move_to_end(tile)
        while len(grounds) > kept:
            grounds.popitem(last=False)
        return pool.each(make, units, token, grounds[tile], device)

    pending = archive.pending()
    with Log(archive.place) as log:
        for outcome in process(pool, pending, start, alike=itemgetter(0), waits=waits):
            told, unit = outcome.value, cast(Unit, outcome.job)
            if outcome.reason is not None:
                told = insisted(partial(archive.fail, unit, outcome.reason, outcome.tries), waits)
                failed.append(told)
            log({**told, "tries": outcome.tries})
            if board is not None:
                board(told, len(pending), outcome.running)
            if time.monotonic() - checked > CHECK:
                lock.check()
                checked = time.monotonic()
    return pd.DataFrame(failed, columns=["unit", "reason", "tries"])


def prepare(token: tuple[str, str], tile: int) -> work.Ground:
    """Terrain of a tile, on a worker, which also stores what the archive keeps of it."""
    archive = opened(*token)
    made = work.ground(archive.manifest(), tile)
    archive.write_ground(made)
    return made


def make(token: tuple[str, str], ground: work.Ground, device: str | None, unit: Unit) -> dict[str, Any]:
    """One unit, on a worker; its record."""
    archive = opened(*token)
    done = work.classified(archive.manifest(), ground, unit[1], device)
    about = {"worker": f"{platform.node()}:{os.getpid()}", "versions": {n: version(n) for n in PACKAGES[:1]}}
    return archive.write(unit, done, about)


def insisted(action: Callable[[], Any], waits: Iterable[float]) -> Any:
    """What an action gives that writes to a place, which may refuse for a while.

    Raises
    ------
    StoreError
        As the action does.
    OSError
        If it still fails after the last wait.
    """
    for wait in waits:
        try:
            return action()
        except (StoreError, PermissionError, FileNotFoundError):
            raise
        except OSError as error:
            if error.errno in FULL:
                raise
            time.sleep(wait)
    return action()

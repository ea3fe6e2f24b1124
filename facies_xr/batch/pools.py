"""Where jobs run: the threads of this process, or the workers of a Dask client."""

import asyncio
import concurrent.futures
import errno
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dask

from ..errors import FaciesError, InputError

log = logging.getLogger("facies_xr")

PATIENCE = 300.0
"""How long to wait for a worker where there is none. [s]"""

PAUSED = 60.0
"""How long a worker may be paused, its memory full, and do nothing. [s]"""

RESTARTS = 3
"""How often within an hour a worker may be started anew because it is paused. [1]"""

FULL = (errno.ENOSPC, errno.EDQUOT)

LOST = (OSError, asyncio.CancelledError, concurrent.futures.CancelledError)
"""What a client raises whose scheduler is gone."""


class ClusterError(FaciesError, RuntimeError):
    """A cluster that is gone, has no workers, or has workers that cannot do the work."""


@dataclass(frozen=True)
class Failure:
    """Why a job has no value, as a worker tells it: in words, which arrive wherever the error came from."""

    reason: str
    final: bool
    """Whether another try would fail just so."""
    full: bool
    """Whether a disk is full."""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Failure by an error."""
        return cls(f"{type(error).__name__}: {error}", isinstance(error, InputError), _is_full(error))


def _is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of a full disk."""
    return error is not None and (getattr(error, "errno", None) in FULL or _is_full(error.__cause__))


Results = tuple[float, list[Any]]
"""Time that a task took [s], and of each of its jobs the value or a :class:`Failure`."""


def together(function: Callable[..., Any], jobs: Sequence[Hashable], *arguments: Any) -> Results:
    """Some jobs one after the other, on a worker; what fails of one does not stop the next."""
    start, found = time.perf_counter(), []
    for job in jobs:
        try:
            found.append(function(*arguments, job))
        except Exception as error:
            found.append(Failure.of(error))
    return time.perf_counter() - start, found


class Threads:
    """Threads of this process as a pool."""

    def __init__(self, threads: int):
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batch")

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def capacity(self) -> int:
        """Jobs that run at once."""
        return self._threads

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a job; arguments may be what earlier ones give."""

        def run() -> Any:
            return function(*(a.result() if isinstance(a, Future) else a for a in arguments))

        return self._pool.submit(run)

    def each(self, function: Callable[..., Any], jobs: Sequence[Hashable], *arguments: Any) -> Future[Any]:
        """Start a task of some jobs, each ``function(*arguments, job)``."""
        return self.submit(together, function, jobs, *arguments)

    def failed(self, future: Future[Any]) -> bool:
        """Whether a job ended without a value."""
        return future.done() and (future.cancelled() or future.exception() is not None)

    def results(
        self, futures: Sequence[Future[Any]], meanwhile: Callable[[], None]
    ) -> list[tuple[Any, BaseException | None]]:
        """Value or error of jobs that ended; what there is to do meanwhile is for pools where values must travel."""
        return [(None, e) if (e := future.exception()) else (future.result(), None) for future in futures]

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """Stop what has not begun."""
        for future in futures:
            future.cancel()


class Cluster:
    """The workers of a Dask client as a pool.

    While it is entered, a ``LocalCluster`` (or another that this process made) gives workers whose process died
    :data:`PATIENCE` to come back. Dask's own 15 s are less than a start takes on a busy machine, and it then closes
    for good what had just begun to work again.

    A worker whose memory is nearly full is paused by Dask. If it does nothing for :data:`PAUSED` it is started anew,
    and what waits for it goes to others.
    """

    def __init__(self, client: Any):
        self.client = client
        self._stuck: dict[str, float] = {}
        self._restarted: defaultdict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> "Cluster":
        self._patient = dask.config.set({"distributed.deploy.lost-worker-timeout": f"{PATIENCE}s"})
        return self

    def __exit__(self, *error: Any) -> None:
        self._patient.__exit__(*error)

    def capacity(self) -> int:
        """Jobs that run at once, without workers that are stuck; looks after these.

        Raises
        ------
        ClusterError
            If the scheduler is gone, or a worker's memory is full again and again.
        """
        try:
            threads = self.client.nthreads()
            running = self.client.sync(self.client.scheduler.ncores_running)
            stuck = self._paused_and_idle() if threads.keys() - running.keys() else {}
        except (OSError, TypeError, ValueError, AttributeError) as error:
            raise self._gone() from error
        now = time.monotonic()
        self._stuck = {address: self._stuck.get(address, now) for address in stuck}
        for address, since in self._stuck.items():
            if now - since > PAUSED:
                self._restart(address, stuck[address])
        return sum(n for address, n in threads.items() if address not in stuck)

    def _paused_and_idle(self) -> dict[str, str]:
        """Workers that are paused and do nothing, and who started each."""
        workers = self.client.sync(self.client.scheduler.identity)["workers"]
        return {
            address: worker.get("nanny") or address
            for address, worker in workers.items()
            if worker["status"] == "paused" and not worker["metrics"].get("executing")
        }

    def _restart(self, address: str, nanny: str) -> None:
        now = time.monotonic()
        times = self._restarted[nanny] = [before for before in self._restarted[nanny] if now - before < 3600] + [now]
        if len(times) > RESTARTS:
            raise ClusterError(
                f"worker {address} is paused by Dask as its memory is full, and was started anew {RESTARTS} times; "
                "give workers more memory (2 GB or more). What is finished is kept; run the same again."
            )
        log.warning("worker %s did nothing for %.0f s, its memory full; it is started anew", address, PAUSED)
        with suppress(*LOST, ValueError):  # one that cannot be started anew by Dask goes, or is gone
            self.client.restart_workers([address], raise_for_error=False)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a job; arguments may be what earlier ones give."""
        if self.client.status != "running":
            raise self._gone()
        try:
            return self.client.submit(function, *arguments, pure=False)
        except LOST as error:
            raise self._gone() from error

    def each(self, function: Callable[..., Any], jobs: Sequence[Hashable], *arguments: Any) -> Any:
        """Start a task of some jobs, each ``function(*arguments, job)``."""
        return self.submit(together, function, jobs, *arguments)

    def failed(self, future: Any) -> bool:
        """Whether a job ended without a value."""
        return future.status in ("error", "cancelled", "lost")

    def results(self, futures: Sequence[Any], meanwhile: Callable[[], None]) -> list[tuple[Any, BaseException | None]]:
        """Value or error of jobs that ended.

        Values come from the workers. Where one died since, Dask makes them again as soon as there is another, which
        may be never: ``meanwhile`` is called every second, and may raise.
        """
        if any(future.status == "cancelled" for future in futures):
            raise self._gone()
        try:
            errors = [future.exception() if future.status == "error" else None for future in futures]
            good = [future for future, error in zip(futures, errors, strict=True) if error is None]
            values = iter(self._gathered(good, meanwhile))
        except LOST as error:  # of the connection; errors of jobs were taken out before
            raise self._gone() from error
        return [(None, error) if error else (next(values), None) for error in errors]

    def _gathered(self, futures: Sequence[Any], meanwhile: Callable[[], None]) -> list[Any]:
        values = asyncio.run_coroutine_threadsafe(
            self.client.gather(list(futures), asynchronous=True), self.client.loop.asyncio_loop
        )
        try:
            while not concurrent.futures.wait([values], timeout=1.0).done:
                meanwhile()
        finally:
            values.cancel()  # unless it is done
        return values.result()

    def forget(self, futures: Iterable[Any]) -> None:
        """Stop what can be stopped."""
        if self.client.status == "running":
            with suppress(*LOST):
                self.client.cancel(list(futures), force=True)

    def _gone(self) -> ClusterError:
        return ClusterError(
            "the Dask scheduler does not answer any more. What is finished is kept; start a cluster and run the same "
            "again."
        )


Pool = Threads | Cluster


def pool_of(client: Any, threads: int) -> Pool:
    """Where to run: a Dask client, or threads of this process without one."""
    return Threads(threads) if client is None else Cluster(client)

"""Many small jobs on a Dask client, or on threads: a bounded number in flight, tried again, suspects alone.

There is no scheduler here: Dask's distributes the work, and knows what its workers hold.
"""

import errno
import heapq
import queue
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..errors import FaciesError, InputError, StoreError

PER_THREAD = 2
"""Jobs in flight for each thread of the workers, so that none waits for the next."""

AT_LEAST = 32
"""Jobs in flight whatever the number of threads: what waits costs little, and the way there and back is shared."""

WAITS = (1.0, 8.0, 60.0)
"""Before a failed job is tried again; one more failure, and it is given up. [s]"""

PATIENCE = 300.0
"""How long to wait for a worker where there is none. [s]"""

FULL = (errno.ENOSPC, errno.EDQUOT)


class ClusterError(FaciesError, RuntimeError):
    """A cluster that is gone, has no workers, or has workers that cannot do the work."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: Hashable
    value: Any
    """What it returned, None if it failed."""
    reason: str | None
    """Why it was given up."""
    tries: int
    running: int = 0
    """Jobs in flight when it ended."""


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

    def failed(self, future: Future[Any]) -> bool:
        """Whether a job ended without a value."""
        return future.done() and (future.cancelled() or future.exception() is not None)

    def results(self, futures: Sequence[Future[Any]]) -> list[tuple[Any, BaseException | None]]:
        """Value or error of jobs that ended."""
        return [(None, e) if (e := future.exception()) else (future.result(), None) for future in futures]

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """Stop what has not begun."""
        for future in futures:
            future.cancel()


class Cluster:
    """The workers of a Dask client as a pool."""

    def __init__(self, client: Any):
        self.client = client

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def capacity(self) -> int:
        """Jobs that run at once.

        Raises
        ------
        ClusterError
            If the scheduler is gone.
        """
        try:
            return sum(self.client.nthreads().values())
        except (OSError, TypeError, ValueError) as error:
            raise self._gone() from error

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a job; arguments may be what earlier ones give."""
        if self.client.status != "running":
            raise self._gone()
        return self.client.submit(function, *arguments, pure=False)

    def failed(self, future: Any) -> bool:
        """Whether a job ended without a value."""
        return future.status in ("error", "cancelled", "lost")

    def results(self, futures: Sequence[Any]) -> list[tuple[Any, BaseException | None]]:
        """Value or error of jobs that ended."""
        if any(future.status == "cancelled" for future in futures):
            raise self._gone()
        errors = [future.exception() if future.status == "error" else None for future in futures]
        good = [future for future, error in zip(futures, errors, strict=True) if error is None]
        try:
            values = iter(self.client.gather(good))
        except OSError as error:  # of the connection; errors of jobs were taken out before
            raise self._gone() from error
        return [(None, error) if error else (next(values), None) for error in errors]

    def forget(self, futures: Iterable[Any]) -> None:
        """Stop what can be stopped."""
        if self.client.status == "running":
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


def process(
    pool: Pool,
    jobs: Iterable[Hashable],
    start: Callable[[Hashable], Any],
    *,
    waits: Sequence[float] = WAITS,
    patience: float = PATIENCE,
) -> Iterator[Outcome]:
    """Do some jobs, a bounded number at a time, and say how each ended, in the order in which they end.

    A job that fails is tried again after a while. Those during which workers died are suspects: they are done again
    when all others are done, one at a time, so that it is known which one kills.

    Parameters
    ----------
    pool : Threads or Cluster
    jobs : iterable
        Taken from as there is room.
    start : callable
        Submits a job to the pool and returns its future.
    waits : sequence of float
        Pauses before the second try and those that follow. [s]
    patience : float
        How long there may be no worker. [s]

    Raises
    ------
    ClusterError
        If the scheduler is gone, or there are no workers.
    StoreError
        If a disk is full: no other job could do better.
    """
    run = _Run(pool, start, tuple(waits), patience)
    try:
        yield from run.all(iter(jobs), room=lambda: max(PER_THREAD * pool.capacity(), AT_LEAST))
        yield from run.all(iter(run.taken_suspects()), room=lambda: 1)
    finally:
        pool.forget(run.running)


@dataclass
class _Run:
    pool: Pool
    start: Callable[[Hashable], Any]
    waits: tuple[float, ...]
    patience: float
    running: dict[Any, Hashable] = field(default_factory=dict)
    ended: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)
    resting: list[tuple[float, int, Hashable]] = field(default_factory=list)
    tries: Counter[Hashable] = field(default_factory=Counter)
    suspects: list[Hashable] = field(default_factory=list)
    alone: bool = False

    def taken_suspects(self) -> list[Hashable]:
        """Suspects, which from now on run alone."""
        self.alone = True
        return self.suspects

    def all(self, jobs: Iterator[Hashable], room: Callable[[], int]) -> Iterator[Outcome]:
        more, space, looked = True, 0, float("-inf")
        while more or self.running or self.resting:
            if time.monotonic() - looked > 1:
                space, looked = room(), time.monotonic()
            while self.resting and self.resting[0][0] <= time.monotonic():
                self._begin(heapq.heappop(self.resting)[2])
            while more and len(self.running) < space:
                try:
                    self._begin(next(jobs))
                except StopIteration:
                    more = False
            for future, (value, error) in self._some_ended():
                job = self.running.pop(future)
                outcome = self._outcome(job, value, error)
                if outcome is not None:
                    del self.tries[job]
                    yield outcome

    def _begin(self, job: Hashable) -> None:
        self.tries[job] += 1
        future = self.start(job)
        self.running[future] = job
        future.add_done_callback(self.ended.put)

    def _some_ended(self) -> list[tuple[Any, tuple[Any, BaseException | None]]]:
        """Jobs that ended, after a second none."""
        futures = []
        try:
            futures.append(self.ended.get(timeout=1.0 if self.running else 0.05))
            while True:
                futures.append(self.ended.get_nowait())
        except queue.Empty:
            pass
        if not futures and self.running:
            self._require_workers()
        return list(zip(futures, self.pool.results(futures), strict=True))

    def _require_workers(self) -> None:
        end = time.monotonic() + self.patience
        while self.pool.capacity() == 0:
            if time.monotonic() > end:
                raise ClusterError(
                    f"the cluster has had no worker for {self.patience:.0f} s. What is finished is kept; run the same "
                    "again when it has."
                )
            time.sleep(0.5)

    def _outcome(self, job: Hashable, value: Any, error: BaseException | None) -> Outcome | None:
        """How a job ended; None if it is to be done again."""
        if error is None:
            return Outcome(job, value, None, self.tries[job], len(self.running))
        if isinstance(error, OSError) and error.errno in FULL:
            raise StoreError(f"a disk is full ({error}). What is finished is kept; free some space and run again.")
        if type(error).__name__ == "KilledWorker":
            if self.alone:
                return Outcome(
                    job,
                    None,
                    "its worker died each time: out of memory, or a crash",
                    self.tries[job],
                    len(self.running),
                )
            self.suspects.append(job)
            return None
        if isinstance(error, InputError) or self.tries[job] > len(self.waits):
            return Outcome(job, None, f"{type(error).__name__}: {error}", self.tries[job], len(self.running))
        heapq.heappush(self.resting, (time.monotonic() + self.waits[self.tries[job] - 1], id(job), job))
        return None

"""Many jobs on a Dask client, or on threads: a bounded number in flight, tried again, suspects alone.

There is no scheduler here: Dask's distributes the work, and knows what its workers hold. Short jobs travel together: a
task holds as many as take about :data:`SPAN`, so that the way there and back is shared.
"""

import heapq
import queue
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..errors import StoreError
from .pools import PATIENCE, ClusterError, Failure, Pool

PER_THREAD = 2
"""Tasks in flight for each thread of the workers, so that none waits for the next."""

AT_LEAST = 32
"""Tasks in flight whatever the number of threads: what waits costs little."""

SPAN = 0.5
"""Time for which the jobs of a task are meant to last. [s]"""

MOST = 64
"""Jobs of a task, however short they are."""

WAITS = (1.0, 8.0, 60.0)
"""Before a failed job is tried again; one more failure, and it is given up. [s]"""

DIED = Failure("its worker died each time: out of memory, or a crash", final=False, full=False)
"""Of a job during which workers died."""


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


def process(
    pool: Pool,
    jobs: Iterable[Hashable],
    start: Callable[[tuple[Any, ...]], Any],
    *,
    alike: Callable[[Any], Any] = lambda job: None,
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
        Starts a task of some jobs by ``pool.each`` and returns its future.
    alike : callable
        Jobs for which it gives the same may travel together.
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
    run = _Run(pool, start, alike, tuple(waits), patience)
    try:
        yield from run.all(iter(jobs), room=lambda: max(PER_THREAD * pool.capacity(), AT_LEAST))
        yield from run.all(iter(run.taken_suspects()), room=lambda: 1)
    finally:
        pool.forget(run.running)


@dataclass
class _Run:
    pool: Pool
    start: Callable[[tuple[Any, ...]], Any]
    alike: Callable[[Any], Any]
    waits: tuple[float, ...]
    patience: float
    size: int = 1
    """Jobs of the next task."""
    running: dict[Any, tuple[Hashable, ...]] = field(default_factory=dict)
    ended: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)
    resting: list[tuple[float, int, Hashable]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=count)
    tries: Counter[Hashable] = field(default_factory=Counter)
    suspects: list[Hashable] = field(default_factory=list)
    alone: bool = False

    def taken_suspects(self) -> list[Hashable]:
        """Suspects, which from now on run alone."""
        self.alone = True
        return self.suspects

    def all(self, jobs: Iterator[Hashable], room: Callable[[], int]) -> Iterator[Outcome]:
        tasks, more, space, looked = self._tasks(jobs), True, 0, float("-inf")
        while more or self.running or self.resting:
            if time.monotonic() - looked > 1:
                space, looked = room(), time.monotonic()
            while self.resting and self.resting[0][0] <= time.monotonic():
                self._begin((heapq.heappop(self.resting)[2],))
            while more and len(self.running) < space:
                try:
                    self._begin(next(tasks))
                except StopIteration:
                    more = False
            for future, (value, error) in self._some_ended():
                for job, result in self._results(self.running.pop(future), value, error):
                    outcome = self._outcome(job, result)
                    if outcome is not None:
                        del self.tries[job]
                        yield outcome

    def _tasks(self, jobs: Iterator[Hashable]) -> Iterator[tuple[Hashable, ...]]:
        """Jobs that travel together: neighbours that are alike, as many as the time of a task allows."""
        some: list[Hashable] = []
        for job in jobs:
            if some and self.alike(job) != self.alike(some[0]):
                yield tuple(some)
                some = []
            some.append(job)
            if self.alone or len(some) >= self.size:
                yield tuple(some)
                some = []
        if some:
            yield tuple(some)

    def _begin(self, jobs: tuple[Hashable, ...]) -> None:
        self.tries.update(jobs)
        future = self.start(jobs)
        self.running[future] = jobs
        future.add_done_callback(self.ended.put)

    def _some_ended(self) -> list[tuple[Any, tuple[Any, BaseException | None]]]:
        """Tasks that ended, after a second none."""
        futures = []
        try:
            futures.append(self.ended.get(timeout=1.0 if self.running else 0.05))
            while True:
                futures.append(self.ended.get_nowait())
        except queue.Empty:
            pass
        if not futures and self.running:
            self._require_workers()
        return list(zip(futures, self.pool.results(futures, self._require_workers), strict=True))

    def _require_workers(self) -> None:
        end = time.monotonic() + self.patience
        while self.pool.capacity() == 0:
            if time.monotonic() > end:
                raise ClusterError(
                    f"the cluster has had no worker for {self.patience:.0f} s. What is finished is kept; run the same "
                    "again when it has."
                )
            time.sleep(0.5)

    def _results(self, jobs: tuple[Hashable, ...], value: Any, error: BaseException | None) -> list[tuple[Any, Any]]:
        """Value, failure or death of each job of a task."""
        if error is not None:
            result = DIED if type(error).__name__ == "KilledWorker" else Failure.of(error)
            return [(job, result) for job in jobs]
        seconds, results = value
        self.size = min(max(int(SPAN * len(jobs) / max(seconds, 1e-6)), 1), MOST)
        return list(zip(jobs, results, strict=True))

    def _outcome(self, job: Hashable, result: Any) -> Outcome | None:
        """How a job ended; None if it is to be done again."""
        tries, running = self.tries[job], sum(map(len, self.running.values()))
        if not isinstance(result, Failure):
            return Outcome(job, result, None, tries, running)
        if result.full:
            raise StoreError(f"a disk is full ({result.reason}). What is finished is kept; free some space, run again.")
        if result is DIED and not self.alone:
            self.suspects.append(job)
            return None
        if result is DIED or result.final or tries > len(self.waits):
            return Outcome(job, None, result.reason, tries, running)
        heapq.heappush(self.resting, (time.monotonic() + self.waits[tries - 1], next(self.order), job))
        return None

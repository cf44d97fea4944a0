"""Where partitions are worked on: here, in several processes, or on a Ray cluster; the digits are the same."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeVar, get_args

from cxi_bandit.domain.errors import InvalidInput
from simulator.partitions.partition import Source

Result = TypeVar("Result")
EngineName = Literal["one-process", "processes", "ray"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)


class Engine(Protocol):
    """Runs work on partitions."""

    @property
    def shares_memory(self) -> bool:
        """Whether partitions may be slices of arrays in this process; otherwise they must name files."""
        ...

    def run(self, work: Callable[[Source], Result], sources: Iterable[Source]) -> Iterator[Result]:
        """The results in the order of `sources`, however they were finished; few of them are held at a time.

        Args:
            work: Must be picklable, as must be what it returns; never called twice for one source.
            sources: Taken as they are needed.
        """
        ...


@dataclass(frozen=True)
class OneProcess:
    """Here, one after the other."""

    shares_memory: bool = field(default=True, init=False)

    def run(self, work: Callable[[Source], Result], sources: Iterable[Source]) -> Iterator[Result]:
        """See `Engine`."""
        return map(work, sources)


@dataclass(frozen=True)
class Processes:
    """In several processes of this machine, forked from one without threads: a lock held here is not inherited there.

    Args:
        workers: How many; None takes the number of processors.
    """

    workers: int | None = None
    shares_memory: bool = field(default=False, init=False)

    def run(self, work: Callable[[Source], Result], sources: Iterable[Source]) -> Iterator[Result]:
        """See `Engine`."""
        workers = self.workers or os.cpu_count() or 1
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["simulator.partitions"])
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for source in sources:
                    waiting.append(pool.submit(work, source))
                    # One more than can run: nobody waits for work, and finished results do not pile up.
                    if len(waiting) > workers + 1:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def engine_of(name: str, workers: int | None = None) -> Engine:
    """The engine of that name.

    Args:
        name: One of `ENGINES`.
        workers: How many partitions at a time; None takes the number of processors.

    Raises:
        InvalidInput: There is no such engine, or Ray is not installed.
    """
    if name == "one-process":
        return OneProcess()
    if name == "processes":
        return Processes(workers)
    if name == "ray":
        # Imported late: Ray is an optional extra, and heavy.
        from simulator.partitions.on_ray import OnRay  # noqa: PLC0415

        return OnRay(workers)
    raise InvalidInput("engine", f"{name!r} is none of {', '.join(ENGINES)}")

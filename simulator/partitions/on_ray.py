"""Partitions as Ray tasks: on the cluster that `RAY_ADDRESS` names, or on a Ray started here for a while."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cxi_bandit.domain.errors import InvalidInput
from simulator.partitions.partition import Source

Result = TypeVar("Result")


@dataclass(frozen=True)
class OnRay:
    """Each partition is a task; accumulators come back in order and are added here.

    Every node needs this package and must reach the folder that partitions name. A task that dies with its node is run
    again by Ray: work on a partition changes nothing, so the digits stay.

    Args:
        workers: How many tasks are under way at a time; None takes the cluster's processors.
    """

    workers: int | None = None
    shares_memory: bool = field(default=False, init=False)

    def run(self, work: Callable[[Source], Result], sources: Iterable[Source]) -> Iterator[Result]:
        """See `Engine`.

        Raises:
            InvalidInput: Ray is not installed.
        """
        ray = _ray()
        started = not ray.is_initialized()
        if started:
            # A cluster that is running has its own processors: only a Ray started here may be told how many.
            size = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": self.workers, "include_dashboard": False}
            ray.init(log_to_driver=False, logging_level="error", **size)
        try:
            # The work is stored once: it carries the reward model, and every task needs it.
            task, shared = ray.remote(_call), ray.put(work)
            at_once = (self.workers or int(ray.cluster_resources().get("CPU", 1))) + 1
            waiting: deque[Any] = deque()
            for source in sources:
                waiting.append(task.remote(shared, source))
                if len(waiting) > at_once:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        finally:
            if started:
                ray.shutdown()


def _call(work: Callable[[Source], Result], source: Source) -> Result:
    return work(source)


def _ray() -> Any:  # noqa: ANN401 - an optional package
    try:
        import ray  # noqa: PLC0415 - an optional extra
    except ImportError as missing:
        raise InvalidInput("engine", "ray is not installed; install cxi-bandit with its extra 'ray'") from missing
    return ray

"""A process on one processor: it stays while others leave it alone, and moves when they do not."""

import os
import subprocess
import sys
from collections.abc import Set as AbstractSet

import pytest

from cxi_bandit.bootstrap import one_core
from cxi_bandit.bootstrap.one_core import OneCore, Times
from cxi_bandit.telemetry.metrics import Metrics

PATIENCE_SECONDS = 60.0


class Machine:
    """A kernel that says what it is told to."""

    def __init__(self, processors: AbstractSet[int] = frozenset({0, 1, 2})) -> None:
        self.processors = processors
        self.runs_on = 1
        self.told = Times(10.0, 1.0, 0.0, 2.0)
        self.wished: list[AbstractSet[int]] = []

    def allowed(self) -> AbstractSet[int]:
        return self.processors

    def here(self) -> int:
        return self.runs_on

    def times(self) -> Times:
        return self.told

    def keep_to(self, processors: AbstractSet[int]) -> None:
        self.wished.append(processors)
        if processors == self.processors:
            self.runs_on = 2  # where there is room

    def pass_time(self, *, ran: float, waited: float, other_threads: float = 0.0) -> None:
        """A second, and what the loop's thread and the others had of it."""
        then = self.told
        self.told = Times(then.clock + 1, then.ran + ran, then.waited + waited, then.all_ran + ran + other_threads)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_core, "_FREE_SECONDS", 0.0)


def moves(metrics: Metrics) -> float:
    (found,) = [
        sample.value
        for metric in metrics.summed().collect()
        for sample in metric.samples
        if sample.name == "cxi_bandit_worker_core_moves_total"
    ]
    return float(found)


def started(machine: Machine, metrics: Metrics) -> OneCore:
    core = OneCore(machine, metrics)
    core.start()
    core.stop()
    return core


def test_it_stays_where_the_kernel_runs_it(metrics: Metrics) -> None:
    machine = Machine()
    started(machine, metrics)
    assert machine.wished == [{1}]


def test_nothing_is_done_where_there_is_one_processor(metrics: Metrics) -> None:
    machine = Machine(frozenset({1}))
    started(machine, metrics)
    assert machine.wished == []


def test_nothing_is_done_where_the_kernel_does_not_tell(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()

    def silent() -> Times:
        raise FileNotFoundError

    monkeypatch.setattr(machine, "times", silent)
    started(machine, metrics)
    assert machine.wished == []


def test_nothing_is_done_where_the_kernel_keeps_no_account(metrics: Metrics) -> None:
    machine = Machine()
    machine.told = Times(10.0, 0.0, 0.0, 2.0)
    started(machine, metrics)
    assert machine.wished == []


def test_waiting_for_its_own_threads_is_no_crowd(metrics: Metrics) -> None:
    machine = Machine()
    core = started(machine, metrics)
    machine.pass_time(ran=0.6, waited=0.39, other_threads=0.38)
    core.look()
    assert machine.wished == [{1}]
    assert moves(metrics) == 0


def test_it_moves_when_others_keep_it_waiting(metrics: Metrics) -> None:
    machine = Machine()
    core = started(machine, metrics)
    machine.pass_time(ran=0.4, waited=0.5, other_threads=0.1)
    core.look()
    assert machine.wished == [{1}, {0, 1, 2}, {2}]
    assert moves(metrics) == 1


def test_each_look_is_about_the_time_since_the_last(metrics: Metrics) -> None:
    machine = Machine()
    core = started(machine, metrics)
    machine.pass_time(ran=0.4, waited=0.5)
    core.look()
    for _ in range(10):
        machine.pass_time(ran=0.4, waited=0.1)
        core.look()
    assert moves(metrics) == 1


_RIVAL = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print(flush=True)
while True:
    pass
"""
_CROWDED = f"""
import os, sys, time
from cxi_bandit.bootstrap.one_core import Linux, OneCore
from cxi_bandit.telemetry.metrics import Metrics

taken = {{int(sys.argv[1])}}
core = OneCore(Linux(), Metrics())
core.start()
Linux().keep_to(taken)
ends = time.monotonic() + {PATIENCE_SECONDS}
while (stays := os.sched_getaffinity(0)) == taken or len(stays) > 1:
    if time.monotonic() > ends:
        break
print(*stays)
"""


def test_a_process_leaves_a_processor_that_is_another_ones() -> None:
    """With real processes; where there is only one processor, it stays there with its rival."""
    first, *others = sorted(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", _RIVAL, str(first)], stdout=subprocess.PIPE) as rival:
        try:
            assert rival.stdout is not None
            rival.stdout.readline()
            stays = subprocess.run(
                [sys.executable, "-c", _CROWDED, str(first)], capture_output=True, text=True, check=True
            ).stdout.split()
        finally:
            rival.kill()
    assert len(stays) == 1
    assert int(stays[0]) in (others or [first])

"""A log of many millions beside one of ten thousand: deciding, joining, learning and looking at it, by turns."""

import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.count import count
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from simulator.bench.by_turns import by_turns
from simulator.bench.databases import Filled, filled
from simulator.bench.figures import Row, Sample, at_least, at_most
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.processes import settle
from simulator.bench.reader import Reader
from simulator.bench.scenes.learning import step
from simulator.bench.servers import Service, service
from simulator.bench.taught import decided, lessons, publish

_FEW: Final = 10_000
_FRESH: Final = 20_000
"""Half a second of joining and as much of learning: what takes a tenth of that is a measurement of what else runs."""
_PASS: Final = 5000
_PART: Final = 500
_LESSON: Final = 2000
_COUNTED: Final = 20_000
_PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.1
_BESIDE: Final = "with 10,000 logged"

_DECISIONS, _JOIN, _LEARN = (
    Row(name=name, title=f"{title}, long log", unit="/s", beside=_BESIDE, targets=(at_least(0.9),))
    for name, title in (
        ("long-decisions", "durable decisions"),
        ("long-join", "windows closed"),
        ("long-learn", "outcomes learned"),
    )
)
_CONSOLE: Final = Row(
    name="long-console",
    title="the console's overview, 95th percentile, long log",
    unit="ms",
    beside=_BESIDE,
    targets=(at_most(300.0, of="measured"),),
    better="lower",
    statistic="p95",
)


def _measure(plan: Plan, wanted: frozenset[str]) -> Samples:
    samples: Samples = {name: [] for name in wanted}
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-", ignore_cleanup_errors=True) as root:
        folders = [Path(root, "few"), Path(root, "many")]
        with ExitStack() as ending:
            logs = []
            for folder, count in zip(folders, (_FEW, plan.logged), strict=True):
                plan.tell(f"long log: filling {count:,}")
                logs.append(ending.enter_context(filled(plan.policy, folder, count)))
                _learned(logs[-1], count)
                if _CONSOLE.name in wanted:
                    plan.tell(f"long log: counting {count:,}")
                    _counted(logs[-1])
            for number in plan.each_round("long log: join and learn") if wanted & {_JOIN.name, _LEARN.name} else ():
                # By turns each is the first: whoever comes second finds the processor's caches warm.
                places = [0, 1] if number % 2 else [1, 0]
                found = {place: _joined_and_learned(logs[place]) for place in places}
                few, many = found[0], found[1]
                for row, place in ((_JOIN, 0), (_LEARN, 1)):
                    if row.name in wanted:
                        samples[row.name].append(Sample(many[place], few[place]))
        if wanted & {_DECISIONS.name, _CONSOLE.name}:
            samples |= _served(plan, folders, wanted)
    return samples


def _learned(log: Filled, count: int) -> None:
    """As if the learner had come to the end of the log."""
    log.learner.start(log.version, log.engine.clock())
    taught = lessons(log.engine, log.manifest, 1, _LESSON)[0]
    publish(log.store.registry, log.engine.room, log.manifest, taught, learned=count, up_to=count)
    log.engine.serving.refresh()


def _counted(log: Filled) -> None:
    """As if the learner had counted all of it."""
    while count(log.store.registry, log.store.tallies, log.engine.clock(), _COUNTED):
        pass


def _joined_and_learned(log: Filled) -> tuple[float, float]:
    """Windows closed a second, and outcomes learned a second, of some fresh decisions."""
    fresh = decided(log.engine, log.manifest, _FRESH, seed=time.time_ns())
    for begin in range(0, len(fresh), _PART):
        log.store.decisions.append([DecisionEntry(one) for one in fresh[begin : begin + _PART]])
    closes_at = max(one.closes_at for one in fresh)
    time.sleep(max((closes_at - log.engine.clock()).total_seconds(), 0.0))
    joined = _joined(log, len(fresh))
    seconds, model = step(log)
    return joined, model.lineage.learned / seconds


def _joined(log: Filled, windows: int) -> float:
    """Windows closed a second. A pass that finds none is not counted: it waits for a transaction of somebody else.

    After millions of rows that is the server's own ANALYZE, behind which nothing is sequenced until it ends.

    Raises:
        Unavailable: It does not end.
    """
    closed, seconds, patient_until = 0, 0.0, time.monotonic() + _PATIENCE_SECONDS
    while closed < windows:
        started = time.perf_counter()
        done = join(log.store.outcomes, log.engine.manifests, log.engine.clock(), timedelta(0), _PASS)
        if done.closed:
            closed, seconds = closed + done.closed, seconds + time.perf_counter() - started
        elif time.monotonic() > patient_until:
            raise Unavailable("the end of the last windows")
        else:
            time.sleep(_PAUSE_SECONDS)
    return closed / seconds


def _served(plan: Plan, folders: list[Path], wanted: frozenset[str]) -> Samples:
    """The console first: what is decided afterwards makes the logs longer."""
    samples: Samples = {}
    with ExitStack() as ending:
        services = [ending.enter_context(service([plan.policy], data_dir=folder / "data")) for folder in folders]
        if _CONSOLE.name in wanted:
            samples[_CONSOLE.name] = _looked_at(plan, services)
        if _DECISIONS.name in wanted:
            samples[_DECISIONS.name] = by_turns(plan, services, "long log: decisions", seed=10)
    return samples


def _looked_at(plan: Plan, services: list[Service]) -> list[Sample]:
    readers = [Reader(server) for server in services]
    samples = []
    for _ in plan.each_round("long log: the console"):
        for server in services:
            settle(server.process)
        few, many = (reader.overview_milliseconds() for reader in readers)
        samples.append(Sample(many, few))
    return samples


SCENE: Final = Scene("long log", (_DECISIONS, _JOIN, _LEARN, _CONSOLE), _measure, long=True)

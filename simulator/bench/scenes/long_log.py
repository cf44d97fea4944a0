"""A log of many millions beside one of ten thousand: deciding, joining and learning, by turns."""

import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from simulator.bench.by_turns import by_turns
from simulator.bench.databases import Filled, filled
from simulator.bench.figures import Row, Sample, at_least
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.scenes.learning import step
from simulator.bench.servers import service
from simulator.bench.taught import decided, lessons, publish

_FEW: Final = 10_000
_FRESH: Final = 5000
_PART: Final = 500
_LESSON: Final = 2000
_BESIDE: Final = "with 10,000 logged"

_DECISIONS, _JOIN, _LEARN = (
    Row(name=name, title=f"{title}, long log", unit="/s", beside=_BESIDE, targets=(at_least(0.9),))
    for name, title in (
        ("long-decisions", "durable decisions"),
        ("long-join", "windows closed"),
        ("long-learn", "outcomes learned"),
    )
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
            for number in plan.each_round("long log: join and learn"):
                # By turns each is the first: whoever comes second finds the processor's caches warm.
                places = [0, 1] if number % 2 else [1, 0]
                found = {place: _joined_and_learned(logs[place]) for place in places}
                few, many = found[0], found[1]
                for row, place in ((_JOIN, 0), (_LEARN, 1)):
                    if row.name in wanted:
                        samples[row.name].append(Sample(many[place], few[place]))
        if _DECISIONS.name in wanted:
            samples[_DECISIONS.name] = _decisions(plan, folders)
    return samples


def _learned(log: Filled, count: int) -> None:
    """As if the learner had come to the end of the log."""
    log.learner.start(log.version, log.engine.clock())
    taught = lessons(log.engine, log.manifest, 1, _LESSON)[0]
    publish(log.store.registry, log.engine.room, log.manifest, taught, learned=count, up_to=count)
    log.engine.serving.refresh()


def _joined_and_learned(log: Filled) -> tuple[float, float]:
    """Windows closed a second, and outcomes learned a second, of some fresh decisions."""
    fresh = decided(log.engine, log.manifest, _FRESH, seed=time.time_ns())
    for begin in range(0, len(fresh), _PART):
        log.store.decisions.append([DecisionEntry(one) for one in fresh[begin : begin + _PART]])
    closes_at = max(one.closes_at for one in fresh)
    time.sleep(max((closes_at - log.engine.clock()).total_seconds(), 0.0))
    started = time.perf_counter()
    done = join(log.store.outcomes, log.engine.manifests, log.engine.clock(), timedelta(0), _FRESH)
    joined = done.closed / (time.perf_counter() - started)
    seconds, model = step(log)
    return joined, model.lineage.learned / seconds


def _decisions(plan: Plan, folders: list[Path]) -> list[Sample]:
    with ExitStack() as ending:
        services = [ending.enter_context(service([plan.policy], data_dir=folder / "data")) for folder in folders]
        return by_turns(plan, services, "long log: decisions", seed=10)


SCENE: Final = Scene("long log", (_DECISIONS, _JOIN, _LEARN), _measure, long=True)

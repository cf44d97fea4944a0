"""Days that have passed: the real engine on the real store, its clock set back, and moved on by shoppers alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.domain.tallies import Span, start_of
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import PostgresStore
from simulator.floor import Floor
from simulator.in_process import InProcess
from simulator.manifests import by_surface
from simulator.progress import Track, silent
from simulator.tally import Standing, Tally
from simulator.world.scenarios import Scenario
from simulator.world.shopping import ShoppingWorld

REACH: Final = timedelta(days=28)
"""How long ago the first day of an empty log is."""

_LATEST: Final = timedelta(days=2)
"""Days end this long ago at the latest: windows of the last two days wait for senders whom an outage kept away."""
_PASSES: Final = 8
_ENDLESS: Final = 10_000_000
_BATCH: Final = 250


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Days that have passed, and what was decided in them by the world's own truth."""

    first: datetime
    last: datetime
    worth: Standing


class _Batching(InProcess):
    """Decisions are committed together, before whatever asks for them: a commit each would take a day for a month."""

    def __init__(self, texts: Mapping[str, str], at: datetime, seed: int, store: PostgresStore) -> None:
        super().__init__(texts, at, seed, store=store)
        self._unwritten: list[Decision] = []

    def log(self, decision: Decision) -> None:
        """Soon."""
        self._unwritten.append(decision)

    def record(self, events: Sequence[RewardEvent], at: datetime) -> None:
        """Takes rewards, of decisions that are logged by now."""
        self._write()
        super().record(events, at)

    def turn(self, now: datetime, *, learning: bool = True) -> None:
        """Joins and learns what is logged by now."""
        self._write()
        super().turn(now, learning=learning)

    def _write(self) -> None:
        made, self._unwritten = self._unwritten, []
        for begin in range(0, len(made), _BATCH):
            batch = made[begin : begin + _BATCH]
            self.store.decisions.append([DecisionEntry(one) for one in batch])
            self.store.permits.release([one.decision_id for one in batch])


def let_pass(
    store: PostgresStore,
    texts: Mapping[str, str],
    days: int,
    per_day: int,
    scenario: Scenario,
    *,
    seed: int,
    now: datetime,
    track: Track = silent,
) -> Passed:
    """Installs the manifests, as `serve` does at its start, and lets days pass from where the log ends.

    Args:
        texts: Manifests by file name, of shipped policies or variants of them.
        per_day: Decisions of a day, evenly spread over it.
        now: The true time.

    Raises:
        InvalidInput: So many days have not passed since the log's end.
        Unavailable: A service joins and learns on this database; two cannot.
    """
    if not store.election.won():
        raise Unavailable("the learner's place (a service runs on this database: stop it first)", 60.0)
    declared = by_surface(texts)
    policies = [manifest.policy for manifest in declared.values()]
    start, heads = _end_of_log(store, policies, now), sum(store.outcomes.head(policy) for policy in policies)
    waiting = 2 * max(timedelta(seconds=manifest.reward.horizon_seconds) for manifest in declared.values())
    if start + timedelta(days=days) + waiting > now - _LATEST:
        raise InvalidInput("DAYS", f"end later than two days ago: the log goes on from {start:%Y-%m-%dT%H:%MZ}")
    store.partitions.ensure(start.date(), days + 1)
    engine = _Batching(texts, start, seed, store)
    floor = Floor(engine, declared, scenario.feedback, seed)
    engine.turn(start)
    tally, at = Tally(), start
    each = max(per_day // _PASSES, 1)
    step = timedelta(days=1) / (each * _PASSES)
    encounters = ShoppingWorld(declared, seed, scenario).encounters(_ENDLESS, heads)
    with track("Days pass", days * _PASSES * each) as advance:
        for _ in range(days * _PASSES):
            for encounter in islice(encounters, each):
                decision = floor.meet(encounter, at)
                vector: dict[str, float] = dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
                tally.add(encounter, vector, declared[encounter.request.surface].catalogue)
                at += step
            floor.deliver(at)
            engine.turn(at)
            advance(each)
    floor.deliver(at + waiting)
    engine.turn(at + waiting)
    return Passed(first=start, last=at, worth=tally.standing())


def _end_of_log(store: PostgresStore, policies: list[PolicyName], now: datetime) -> datetime:
    """Where the log goes on: at the next midnight."""
    last = [
        row.decision.decided_at
        for policy in policies
        for row in store.outcomes.scan(policy, max(store.outcomes.head(policy) - 1, 0), 1)
    ]
    moment = max(last) + timedelta(days=1) if last else now - REACH
    return start_of(Span.DAY, moment)

"""The loop: the real engine in process, on a simulated clock, in a world whose truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cxi_bandit.bootstrap.engine import Store
from cxi_bandit.domain.decision import Decision
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Keyring, ModelRoom
from simulator.floor import Floor
from simulator.in_process import InProcess
from simulator.manifests import by_surface
from simulator.tally import Tally
from simulator.world.loggers import logging_texts
from simulator.world.scenarios import SHOPPING, Scenario
from simulator.world.shopping import ShoppingWorld

START: Final = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast simulated time goes.

    Attributes:
        seconds_per_decision: From one decision to the next, over all surfaces.
        seconds_per_pass: From one pass of joining, learning and reloading to the next.
    """

    seconds_per_decision: float = 10.0
    seconds_per_pass: float = 3600.0


@dataclass(frozen=True, eq=False, kw_only=True)
class LoopResult:
    """A finished run.

    Attributes:
        decisions: In order.
        tally: Exact values of what was decided, beside hold-only, uniform and oracle.
        store: The ports as the run left them, for replay and audit.
        room: Where its models were made.
    """

    decisions: list[Decision]
    tally: Tally
    store: Store
    keyring: Keyring
    manifests: Manifests
    room: ModelRoom


Meanwhile = Callable[[InProcess, datetime], None]
"""What is done to the engine from outside at each pass, before it joins and learns: roll-outs, overrides."""


class Loop:
    """One engine in one world, from its first decision to its last outcome.

    Args:
        texts: Manifest texts by file name, of shipped policies or variants of them: the shop's rules. Where a scenario
            is about who logs, the engine serves variants of these.
        seed: Same seed, same run, to the last bit.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        seed: int,
        scenario: Scenario = SHOPPING,
        pace: Pace | None = None,
        room: ModelRoom | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._seed = seed
        self._scenario = scenario
        self._declared = by_surface(texts)
        self._engine = InProcess(logging_texts(texts, scenario), START, seed, room)
        self._floor = Floor(self._engine, self._declared, scenario.feedback, seed)

    def run(self, decisions: int, meanwhile: Meanwhile | None = None) -> LoopResult:
        """Runs the world's first `decisions` encounters, then waits for the last rewards and learns them too."""
        world = ShoppingWorld(self._declared, self._seed, self._scenario, length=decisions)
        tally = Tally()
        made: list[Decision] = []
        self._engine.turn(START)
        step, rest = timedelta(seconds=self._pace.seconds_per_decision), timedelta(seconds=self._pace.seconds_per_pass)
        now, next_pass = START, START + rest
        for encounter in world.encounters(decisions):
            if now >= next_pass:
                self._floor.deliver(now)
                if meanwhile is not None:
                    meanwhile(self._engine, now)
                self._engine.turn(now)
                next_pass = now + rest
            decision = self._floor.meet(encounter, now)
            vector: dict[str, float] = dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
            tally.add(encounter, vector, self._engine.route(encounter.request).manifest.catalogue)
            made.append(decision)
            now += step
        end = now + 2 * max(timedelta(seconds=m.reward.horizon_seconds) for m in self._declared.values())
        self._floor.deliver(end)
        self._engine.turn(end)
        return LoopResult(
            decisions=made,
            tally=tally,
            store=self._engine.store,
            keyring=self._engine.keyring,
            manifests=self._engine.manifests,
            room=self._engine.room,
        )

"""Tallies in memory: made of the logs at each look, up to where was counted."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import BEFORE_ALL, DecisionId, InterventionId, PolicyName, lowest_id_at, minted_at
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.domain.tallies import JUDGED, ArmTally, DrawnTally, Span, Stretches, TallyProgress, arm_of, start_of

_BILLION: Final = 10**9


class _Sum(msgspec.Struct):
    """What belongs together so far."""

    decided: int = 0
    closed: int = 0
    judged: int = 0
    reward: Decimal = Decimal(0)
    squares: Decimal = Decimal(0)


class MemoryTallies:
    """Tallies over the logs of one process's memory, where nothing is ever dropped."""

    def __init__(
        self,
        lock: threading.RLock,
        rows: Mapping[DecisionId, Decision],
        outcomes: Mapping[DecisionId, Sequence[OutcomeRevision]],
        log: Mapping[PolicyName, Sequence[OutcomeRevision]],
    ) -> None:
        self._lock = lock
        self._rows = rows
        self._outcomes = outcomes
        self._log = log
        self._last = BEFORE_ALL
        self._positions: dict[PolicyName, int] = {}
        self._minutes_since: datetime | None = None

    def count_decided(self, before: datetime, minutes_since: datetime, limit: int) -> int:
        """See the port."""
        del minutes_since
        bound = lowest_id_at(before)
        with self._lock:
            waiting = sorted(name for name in self._rows if self._last < name < bound)[:limit]
            if len(waiting) == limit:
                self._last = waiting[-1]
            else:
                self._last = max(self._last, bound)
            return len(waiting)

    def count_closed(self, policy: PolicyName, minutes_since: datetime, limit: int) -> int:
        """See the port."""
        del minutes_since
        with self._lock:
            counted = self._positions.get(policy, 0)
            reached = min(len(self._log.get(policy, ())), counted + limit)
            self._positions[policy] = reached
            return reached - counted

    def forget_minutes(self, before: datetime) -> None:
        """See the port."""
        self._minutes_since = before

    def recount(self) -> None:
        """See the port."""
        with self._lock:
            self._last = BEFORE_ALL
            self._positions.clear()

    def drawn(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[DrawnTally]]:
        """See the port."""
        with self._lock:
            return {policy: [one for asked in stretches for one in self._drawn(policy, asked)] for policy in policies}

    def _drawn(self, policy: PolicyName, asked: Stretches) -> list[DrawnTally]:
        found: dict[tuple[datetime, InterventionId], list[int]] = defaultdict(lambda: [0, 0])
        for starts_at, decision, _ in self._counted(policy, asked):
            found[starts_at, decision.intervention][0] += 1
            for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
                found[starts_at, name][1] += round(probability * _BILLION)
        return [
            DrawnTally(span=asked.span, starts_at=at, intervention=name, decided=decided, expected=mass / _BILLION)
            for (at, name), (decided, mass) in sorted(found.items())
            if decided or mass
        ]

    def by_arm(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[ArmTally]]:
        """See the port."""
        with self._lock:
            return {policy: [one for asked in stretches for one in self._by_arm(policy, asked)] for policy in policies}

    def _by_arm(self, policy: PolicyName, asked: Stretches) -> list[ArmTally]:
        found: dict[tuple[datetime, int, Arm], _Sum] = defaultdict(_Sum)
        for starts_at, decision, known in self._counted(policy, asked):
            own = found[starts_at, decision.policy_version, arm_of(decision)]
            own.decided += 1
            if known is None:
                continue
            own.closed += 1
            if known.standing in JUDGED:
                reward = Decimal(f"{known.settlement.reward:.15g}")
                own.judged += 1
                own.reward += reward
                own.squares += reward * reward
        return [
            ArmTally(
                span=asked.span,
                starts_at=at,
                policy_version=version,
                arm=arm,
                decided=own.decided,
                closed=own.closed,
                judged=own.judged,
                reward=float(own.reward),
                squares=float(own.squares),
            )
            for (at, version, arm), own in sorted(found.items())
        ]

    def progress(self, policies: Sequence[PolicyName]) -> dict[PolicyName, TallyProgress]:
        """See the port."""
        until = minted_at(self._last)
        return {
            policy: TallyProgress(
                decided_until=until, position=self._positions.get(policy, 0), head=len(self._log.get(policy, ()))
            )
            for policy in policies
        }

    def _counted(
        self, policy: PolicyName, asked: Stretches
    ) -> Iterator[tuple[datetime, Decision, OutcomeRevision | None]]:
        """Decisions that count, with the start of their stretch and the last revision that counts."""
        position = self._positions.get(policy, 0)
        for name, decision in self._rows.items():
            starts_at = start_of(asked.span, decision.decided_at)
            since = asked.since
            if asked.span is Span.MINUTE and self._minutes_since is not None:
                since = max(since, self._minutes_since)
            if decision.policy != policy or starts_at < since or (asked.until is not None and starts_at >= asked.until):
                continue
            known = [revision for revision in self._outcomes.get(name, ()) if revision.position <= position]
            if known or name <= self._last:
                yield starts_at, decision, known[-1] if known else None

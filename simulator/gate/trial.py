"""A trial: one candidate against one incumbent, from the declaration to the verdict, in any number of sittings."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import GateRule, Reason, Verdict
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.contrast import Bounds
from simulator.gate.guardrails import guardrail_evidence, standings
from simulator.gate.schedule import cutoff, microseconds, watermark
from simulator.gate.unit import Rows, taken, units
from simulator.gate.verdict import verdict


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything declared and everything found; serialise it between sittings.

    Attributes:
        opened_at: Start of the window; the rule, bounds and horizon were fixed before.
        horizon_seconds: Attribution window of a decision.
        grace_seconds: How long the outcome log may lag.
        primary: Evidence on the reward.
        guardrails: Evidence on 1 - harm, by metric.
        heard_until: Everything first exposed before this moment has been bet on; None before the first sitting.
        anonymous: Units that were rows without a subject.
        latecomers: Units that turned up after the sitting they belonged to. They are left out: putting them in would
            edit E.
    """

    rule: GateRule
    spending: Spending
    bounds: Bounds
    opened_at: datetime
    horizon_seconds: float
    grace_seconds: float = 0.0
    primary: Evidence
    guardrails: dict[str, Evidence]
    heard_until: datetime | None = None
    anonymous: int = 0
    latecomers: int = 0

    @property
    def days(self) -> int:
        """Days of log time bet on: whole weeks."""
        return 0 if self.heard_until is None else (self.heard_until - self.opened_at).days

    def hear(self, rows: Rows, now: datetime) -> "Trial":
        """The trial after betting on all units that have closed by `now`, to the last whole week.

        Args:
            rows: Every row decided since `opened_at`, values as known at close (revision 0). Rows that are not closed
                yet may be among them; they wait.
            now: Aware.

        Raises:
            InvalidInput: Rows break their promises, precede the window, or lack a guardrail's harm.
            BoundExceeded: The declared bounds were wrong.
        """
        missing = [guardrail.metric for guardrail in self.rule.guardrails if guardrail.metric not in rows.harms]
        if missing:
            raise InvalidInput("/harms", f"no values for guardrail {', '.join(missing)}")
        if len(rows.decided_at) and int(rows.decided_at[0]) < microseconds(self.opened_at):
            raise InvalidInput("/decided_at/0", "was decided before the trial opened")
        closed = watermark(
            now,
            horizon=timedelta(seconds=self.horizon_seconds),
            window=timedelta(days=self.rule.window_days),
            grace=timedelta(seconds=self.grace_seconds),
        )
        until = cutoff(self.opened_at, closed, self.rule)
        if until is None or (self.heard_until is not None and until <= self.heard_until):
            return self
        found = units(rows, self.rule)
        start = microseconds(self.opened_at if self.heard_until is None else self.heard_until)
        first, last = np.searchsorted(found.first_exposure, [start, microseconds(until)], side="left").tolist()
        fresh = slice(first, last)
        return msgspec.structs.replace(
            self,
            primary=self.primary.extended(taken(found.reward, fresh)),
            guardrails={
                metric: evidence.extended(taken(found.harms[metric], fresh))
                for metric, evidence in self.guardrails.items()
            },
            heard_until=until,
            anonymous=self.anonymous + int(found.anonymous[fresh].sum()),
            latecomers=max(first - self.primary.end.units, 0),
        )

    def verdict(self, incumbent: str, refusals: Sequence[Reason] = ()) -> Verdict:
        """What the trial says while `incumbent` is the version that is live; `refusals` come from the diagnostics."""
        return verdict(
            self.rule,
            self.spending,
            primary=self.primary,
            guardrails=standings(self.rule.guardrails, self.guardrails, math.log(self.spending.threshold)),
            days=self.days,
            incumbent=incumbent,
            refusals=refusals,
        )


def opened(
    rule: GateRule,
    spending: Spending,
    *,
    bounds: Bounds,
    opened_at: datetime,
    horizon_seconds: float,
    grace_seconds: float = 0.0,
) -> Trial:
    """A trial that has heard nothing yet.

    Raises:
        InvalidInput: The spending exceeds the rule's alpha, or `opened_at` is naive.
    """
    if spending.alpha > rule.alpha:
        raise InvalidInput("/spending/alpha", f"exceeds the rule's alpha = {rule.alpha}; got {spending.alpha}")
    microseconds(opened_at)
    return Trial(
        rule=rule,
        spending=spending,
        bounds=bounds,
        opened_at=opened_at,
        horizon_seconds=horizon_seconds,
        grace_seconds=grace_seconds,
        primary=Evidence(bounds=bounds, delta=rule.minimum_improvement),
        guardrails={guardrail.metric: guardrail_evidence(guardrail, bounds) for guardrail in rule.guardrails},
    )

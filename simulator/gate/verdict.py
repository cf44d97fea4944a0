"""The verdict: go, wait or refuse, and why."""

import math
from collections.abc import Sequence

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.gate import GateRule, Reason, Ruling, Verdict, incumbent_changed
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.contrast import BoundExceeded, IncumbentUnsupported
from simulator.gate.guardrails import Standing

_LARGEST_SHOWN = 700.0  # exp() of more overflows a float64


def verdict(
    rule: GateRule,
    spending: Spending,
    *,
    primary: Evidence,
    guardrails: Sequence[Standing],
    days: int,
    incumbent: str,
    refusals: Sequence[Reason] = (),
) -> Verdict:
    """What the evidence amounts to now.

    Refuse when the incumbent changed or a diagnostic refuses; otherwise go when the trial ran its whole weeks, E ≥
    k/alpha_j *now* and every guardrail passed; otherwise wait. A go is not kept: ask again before acting on it.

    Args:
        spending: What this proposal may err with.
        primary: Evidence on the reward.
        guardrails: Standings of all of the rule's guardrails.
        days: Days of log time bet on, in whole weeks.
        incumbent: The incumbent version that is live now.
        refusals: Reasons found elsewhere, by the diagnostics or by an unsupported incumbent.
    """
    against = list(refusals)
    if spending.expired(incumbent):
        against.append(incumbent_changed(spending.incumbent, incumbent))
    if against:
        return Verdict(decision=Ruling.REFUSE, reasons=tuple(against), incumbent=spending.incumbent)
    lacking = [*_too_early(rule, days), *_unproved(spending, primary), *_unguarded(rule, guardrails)]
    if lacking:
        return Verdict(decision=Ruling.WAIT, reasons=tuple(lacking), incumbent=spending.incumbent)
    message = (
        f"E = {_shown(primary.log_e)} over {primary.end.units} units and {days} days reached the threshold "
        f"{spending.threshold:.4g}; {len(rule.guardrails)} guardrails passed"
    )
    return Verdict(decision=Ruling.GO, reasons=(Reason("evidence_reached", message),), incumbent=spending.incumbent)


def refusal(error: IncumbentUnsupported | BoundExceeded) -> Reason:
    """A log that cannot be bet on, as the reason to refuse."""
    code = "incumbent_unsupported" if isinstance(error, IncumbentUnsupported) else "bound_exceeded"
    return Reason(code, str(error))


def _too_early(rule: GateRule, days: int) -> list[Reason]:
    if days >= rule.minimum_days:
        return []
    return [Reason("too_early", f"{days} days of closed log time in whole weeks; {rule.minimum_days} are needed")]


def _unproved(spending: Spending, primary: Evidence) -> list[Reason]:
    if primary.log_e >= math.log(spending.threshold):
        return []
    message = f"E = {_shown(primary.log_e)} after {primary.end.units} units; {spending.threshold:.4g} is needed"
    return [Reason("evidence_short", message)]


def _unguarded(rule: GateRule, guardrails: Sequence[Standing]) -> list[Reason]:
    standing = {found.metric: found for found in guardrails}
    reasons = []
    for guardrail in rule.guardrails:
        found = standing.get(guardrail.metric)
        if found is None:
            reasons.append(Reason("guardrail_unmeasured", f"{guardrail.metric}: no evidence was gathered"))
        elif not found.passed:
            message = (
                f"{guardrail.metric}: E = {_shown(found.log_e)} that it grows by less than {guardrail.margin:g}; "
                f"{_shown(found.log_threshold)} is needed"
            )
            reasons.append(Reason("guardrail_unproved", message))
    return reasons


def _shown(log_e: float) -> str:
    return f"{math.exp(log_e):.4g}" if log_e < _LARGEST_SHOWN else f"exp({log_e:.0f})"

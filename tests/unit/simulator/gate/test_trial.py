"""A trial from the declaration to the verdict."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.alpha_ledger import AlphaLedger
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import GateRule, Guardrail, Reason, Ruling, Verdict
from cxi_bandit.evidence.contrast import Differences, IncumbentUnsupported, bounds_where_incumbent_logs
from simulator.gate.schedule import microseconds
from simulator.gate.trial import Trial, opened
from simulator.gate.unit import DAY, Rows
from simulator.gate.verdict import refusal

START = datetime(2026, 3, 2, tzinfo=UTC)
RULE = GateRule(weight_cap=6.0, guardrails=(Guardrail(metric="returns", margin=0.2),))


def trial(rule: GateRule = RULE) -> Trial:
    _, spending = AlphaLedger(policy="cart", alpha=rule.alpha).spend("p", incumbent="3")
    bounds = bounds_where_incumbent_logs(rule.weight_cap, shortfall=0.0)
    return opened(rule, spending, bounds=bounds, opened_at=START, horizon_seconds=3600)


def log(days: float, a_day: int = 1000, gap: float = 0.3, harm: float = 0.0) -> Rows:
    number = int(days * a_day)
    rng = np.random.default_rng(5)
    drawn = rng.random(number) < 0.1
    return Rows(
        decided_at=microseconds(START) + np.arange(number) * DAY // a_day,
        subject=[f"s{row}" for row in range(number)],
        differences=Differences(difference=np.where(drawn, 4.5, -0.5), shortfall=np.zeros(number)),
        reward=(rng.random(number) < 0.3 + gap * drawn).astype(float),
        harms={"returns": (rng.random(number) < 0.1 + harm * drawn).astype(float)},
    )


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_a_better_candidate_goes_after_a_whole_week() -> None:
    early = trial().hear(log(6), START + timedelta(days=6))
    assert early == trial()
    assert codes(early.verdict("3")) == ["too_early", "evidence_short", "guardrail_unproved"]
    unclosed = trial().hear(log(7), START + timedelta(days=7))
    assert unclosed == early, "the last hour's outcomes are not in"
    heard = trial().hear(log(8), START + timedelta(days=8))
    assert heard.days == 7
    assert heard.primary.end.units == 7000
    verdict = heard.verdict("3")
    assert verdict.decision is Ruling.GO
    assert codes(verdict) == ["evidence_reached"]


def test_weekly_sittings_equal_one() -> None:
    whole = log(30)
    one = trial().hear(whole, START + timedelta(days=30))
    weekly = trial()
    for day in range(1, 31):
        weekly = msgspec.json.decode(msgspec.json.encode(weekly), type=Trial)
        weekly = weekly.hear(whole, START + timedelta(days=day))
    assert weekly == one
    assert one.days == 28


def test_a_no_better_candidate_waits() -> None:
    verdict = trial().hear(log(29, gap=0.0), START + timedelta(days=29)).verdict("3")
    assert verdict.decision is Ruling.WAIT
    assert codes(verdict) == ["evidence_short"]


def test_a_harmful_candidate_waits_however_well_it_sells() -> None:
    verdict = trial().hear(log(29, harm=0.5), START + timedelta(days=29)).verdict("3")
    assert verdict.decision is Ruling.WAIT
    assert codes(verdict) == ["guardrail_unproved"]


def test_a_verdict_expires_with_the_incumbent() -> None:
    verdict = trial().hear(log(29), START + timedelta(days=29)).verdict("4")
    assert verdict.decision is Ruling.REFUSE
    assert codes(verdict) == ["incumbent_changed"]


def test_a_refusal_from_elsewhere_stands() -> None:
    heard = trial().hear(log(29), START + timedelta(days=29))
    verdict = heard.verdict("3", [Reason("ess", "no"), refusal(IncumbentUnsupported("/incumbent/0", "lost"))])
    assert verdict.decision is Ruling.REFUSE
    assert codes(verdict) == ["ess", "incumbent_unsupported"]


def test_latecomers_are_counted_and_left_out() -> None:
    whole = log(20)
    first = trial().hear(_without(whole, slice(100, 103)), START + timedelta(days=8))
    assert first.primary.end.units == 6997
    second = first.hear(whole, START + timedelta(days=15))
    assert second.latecomers == 3
    assert second.primary.end.units == 13_997


def test_anonymous_rows_are_counted() -> None:
    found = log(8)
    nobody = msgspec.structs.replace(found, subject=[None] * len(found.subject))
    assert trial().hear(nobody, START + timedelta(days=8)).anonymous == 7000


def test_what_cannot_be_heard_is_refused() -> None:
    found = log(8)
    with pytest.raises(InvalidInput, match="/harms"):
        trial().hear(msgspec.structs.replace(found, harms={}), START + timedelta(days=8))
    before = msgspec.structs.replace(found, decided_at=found.decided_at - 1)
    with pytest.raises(InvalidInput, match="before the trial opened"):
        trial().hear(before, START + timedelta(days=8))
    _, spending = AlphaLedger(policy="cart", alpha=0.2).spend("p", incumbent="3")
    with pytest.raises(InvalidInput, match="/spending/alpha"):
        opened(RULE, spending, bounds=bounds_where_incumbent_logs(6.0), opened_at=START, horizon_seconds=1)


def test_the_threshold_counts_candidates_and_proposals() -> None:
    ledger = AlphaLedger(policy="cart", alpha=0.05)
    ledger, _ = ledger.spend("p", incumbent="3")
    _, spending = ledger.spend("q", incumbent="3", candidates=3)
    assert spending.threshold == pytest.approx(3 / (6 * 0.05 / (math.pi**2 * 4)))


def _without(rows: Rows, gone: slice) -> Rows:
    def cut(
        array: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.delete(array, gone)

    subject = list(rows.subject)
    del subject[gone]
    return Rows(
        decided_at=np.delete(rows.decided_at, gone),
        subject=subject,
        differences=Differences(difference=cut(rows.differences.difference), shortfall=cut(rows.differences.shortfall)),
        reward=cut(rows.reward),
        harms={"returns": cut(rows.harms["returns"])},
    )

"""All proposals of a policy together spend alpha, and a verdict dies with its incumbent."""

import math

import msgspec
import pytest

from cxi_bandit.domain.alpha_ledger import AlphaLedger, share_of_alpha
from cxi_bandit.domain.errors import InvalidInput


def test_the_shares_sum_to_alpha() -> None:
    total = sum(share_of_alpha(0.05, ordinal) for ordinal in range(1, 200_000))
    assert total < 0.05
    assert total == pytest.approx(0.05, rel=1e-5)


def test_each_proposal_spends_its_own_share() -> None:
    ledger = AlphaLedger(policy="detail-page", alpha=0.05)
    for number in range(1, 61):
        ledger, spending = ledger.spend(f"p{number}", incumbent="3", candidates=4)
        assert spending.alpha == 6 * 0.05 / (math.pi**2 * number**2)
        assert spending.threshold == 4 / spending.alpha
    assert ledger.spent < 0.05
    assert msgspec.json.decode(msgspec.json.encode(ledger), type=AlphaLedger) == ledger


def test_a_verdict_expires_with_its_incumbent() -> None:
    _, spending = AlphaLedger(policy="cart", alpha=0.05).spend("p", incumbent="3")
    assert not spending.expired("3")
    assert spending.expired("4")


def test_nothing_is_struck_out_or_spent_twice() -> None:
    ledger, _ = AlphaLedger(policy="cart", alpha=0.05).spend("p", incumbent="3")
    ledger, _ = ledger.spend("q", incumbent="3")
    with pytest.raises(InvalidInput, match="/proposal"):
        ledger.spend("p", incumbent="3")
    with pytest.raises(InvalidInput, match="/spendings/0/ordinal"):
        AlphaLedger(policy="cart", alpha=0.05, spendings=ledger.spendings[1:])
    with pytest.raises(InvalidInput, match="/spendings/0/alpha"):
        AlphaLedger(policy="cart", alpha=0.01, spendings=ledger.spendings)
    with pytest.raises(InvalidInput, match="/candidates"):
        ledger.spend("r", incumbent="3", candidates=0)

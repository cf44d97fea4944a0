"""Unlearnings in memory: which outcomes a rule concerns, by the events known at a ledger cut."""

from collections.abc import Mapping

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, PolicyName, lowest_id_at
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.store.memory.addresses import AddressBook


class Unlearned:
    """The rules that stand, over a ledger and credits that others write."""

    def __init__(self, ledger: Mapping[DecisionId, list[LedgerEntry]], book: AddressBook) -> None:
        self._ledger = ledger
        self._book = book
        self._rules: dict[PolicyName, list[Unlearning]] = {}

    def add(self, unlearning: Unlearning) -> Unlearning:
        """Gives it the next number."""
        known = self._rules.setdefault(unlearning.policy, [])
        known.append(msgspec.structs.replace(unlearning, number=len(known) + 1))
        return known[-1]

    def of(self, policy: PolicyName) -> list[Unlearning]:
        """All that stand, by number."""
        return list(self._rules.get(policy, ()))

    def left_out(self, policy: PolicyName, decision: DecisionId, unlearn_cut: int, ledger_cut: int) -> bool:
        """Whether a rule up to a number concerns a decision's outcome as known at a ledger cut."""
        return any(self.concerns(rule, decision, ledger_cut) for rule in self._rules.get(policy, [])[:unlearn_cut])

    def concerns(self, rule: Unlearning, decision: DecisionId, ledger_cut: int) -> bool:
        """Whether one rule does."""
        if rule.source is None:
            return lowest_id_at(rule.since) <= decision < lowest_id_at(rule.until)
        had = [*self._ledger.get(decision, ()), *self._book.ever_credited(decision)]
        return any(_heard(rule, entry, ledger_cut) for entry in had)


def _heard(rule: Unlearning, entry: LedgerEntry, ledger_cut: int) -> bool:
    return (
        entry.event.source == rule.source
        and entry.quarantined is None
        and rule.since <= entry.event.occurred_at < rule.until
        and entry.position is not None
        and entry.position <= ledger_cut
    )

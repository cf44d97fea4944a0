"""What decisions had heard at a ledger position, in memory."""

from collections.abc import Collection, Mapping

from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.store.memory.addresses import AddressBook


def known_at(
    own: Mapping[DecisionId, list[LedgerEntry]], book: AddressBook, decisions: Collection[DecisionId], ledger_cut: int
) -> dict[DecisionId, list[LedgerEntry]]:
    """See the port of the ledger. `own` holds what names the decisions, the book what is credited to them."""
    found: dict[DecisionId, list[LedgerEntry]] = {}
    for name in decisions:
        entries = [*own.get(name, ()), *book.entries_of(name, ledger_cut)]
        placed = [(entry.position, entry) for entry in entries if entry.position is not None]
        known = sorted((pair for pair in placed if pair[0] <= ledger_cut), key=lambda pair: pair[0])
        if known:
            found[name] = [entry for _, entry in known]
    return found

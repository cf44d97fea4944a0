"""Drain: decisions that waited in a spool go into the log, each once, whoever died on the way."""

from collections.abc import Sequence

import msgspec

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.engine.ports import DecisionEntry, DecisionLog, Privacy, Spool


class DrainReport(msgspec.Struct, frozen=True, gc=False):
    """What one pass moved.

    Attributes:
        drained: Entries that are in the log now.
        forgotten: Entries of shoppers who were erased since: nothing of them is kept.
        aliases: How many of them another decision stands for.
        refused: Why the log could not take an entry; its file is kept aside.
    """

    drained: int = 0
    forgotten: int = 0
    aliases: int = 0
    refused: tuple[str, ...] = ()


def drain(spool: Spool, log: DecisionLog, privacy: Privacy, limit: int) -> DrainReport:
    """Moves up to `limit` of the oldest entries. An entry leaves the spool after the commit that holds it.

    A pass that dies in between is made again, and finds its decisions in the log already. An entry is refused where the
    log cannot keep it, and where it alone fails while another one lands: what ails the log itself is no entry's fault.

    Raises:
        Unavailable: The log is still away; nothing left the spool.
    """
    waiting = spool.read(limit)
    entries = _remembered(waiting, privacy)
    refused: list[tuple[DecisionEntry, Exception]] = []
    try:
        aliases = log.adopt(entries)
    except Unavailable:
        raise
    except Exception as error:
        aliases = _one_by_one(entries, log, refused)
        if len(refused) == len(entries) and not all(isinstance(own, InvalidInput) for _, own in refused):
            raise error from None
    spool.release(damaged=len(refused))
    reasons = tuple(f"{entry.decision.decision_id}: {error}" for entry, error in refused)
    return DrainReport(len(entries) - len(refused), len(waiting) - len(entries), aliases, reasons)


def _remembered(entries: Sequence[DecisionEntry], privacy: Privacy) -> list[DecisionEntry]:
    """Without those that an erasure would have found, had they been in the log by then."""
    subjects = {entry.decision.subject for entry in entries if entry.decision.subject is not None}
    erased = privacy.suppressed(subjects) if subjects else {}
    return [
        entry
        for entry in entries
        if entry.decision.subject is None
        or (until := erased.get(entry.decision.subject)) is None
        or entry.decision.decided_at > until
    ]


def _one_by_one(
    entries: Sequence[DecisionEntry], log: DecisionLog, refused: list[tuple[DecisionEntry, Exception]]
) -> int:
    aliases = 0
    for entry in entries:
        try:
            aliases += log.adopt([entry])
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            refused.append((entry, error))
    return aliases

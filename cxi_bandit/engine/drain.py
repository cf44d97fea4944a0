"""Drain: decisions that waited in a spool go into the log, each once, whoever died on the way."""

from collections.abc import Sequence

import msgspec

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.ports import DecisionEntry, DecisionLog, Spool


class DrainReport(msgspec.Struct, frozen=True, gc=False):
    """What one pass moved.

    Attributes:
        drained: Entries that are in the log now.
        aliases: How many of them another decision stands for.
        refused: Why the log could not take an entry; its file is kept aside.
    """

    drained: int = 0
    aliases: int = 0
    refused: tuple[str, ...] = ()


def drain(spool: Spool, log: DecisionLog, limit: int) -> DrainReport:
    """Moves up to `limit` of the oldest entries. An entry leaves the spool after the commit that holds it.

    A pass that dies in between is made again, and finds its decisions in the log already.

    Raises:
        Unavailable: The log is still away; nothing left the spool.
    """
    entries = spool.read(limit)
    refused: list[str] = []
    try:
        aliases = log.adopt(entries)
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 - one entry that the log cannot take must not keep all others out of it
        aliases = _one_by_one(entries, log, refused)
    spool.release(damaged=len(refused))
    return DrainReport(len(entries) - len(refused), aliases, tuple(refused))


def _one_by_one(entries: Sequence[DecisionEntry], log: DecisionLog, refused: list[str]) -> int:
    aliases = 0
    for entry in entries:
        try:
            aliases += log.adopt([entry])
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            refused.append(f"{entry.decision.decision_id}: {error}")
    return aliases

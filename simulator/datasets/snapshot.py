"""How far a live log is read: an outcome position and a ledger cut, which give the same numbers for ever."""

import re
from dataclasses import dataclass
from datetime import datetime

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import AsOf
from cxi_bandit.engine.ports import OutcomeLog

_FORM = re.compile(r"^(?P<position>[0-9]+)(?:,(?P<cut>[0-9]+))?$")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A live log as it stood.

    Args:
        as_of: What it takes to read the same log again.
        erasure_cut: The policy's last erasure when it was read: a later one takes rows away from the same `as_of`, as a
            later unlearning and retention do, and nothing else does.
        taken_at: When the position was written, aware; every window that had ended by then is in the log.
        unlearn_cut: The policy's last unlearning when it was read.
    """

    as_of: AsOf
    erasure_cut: int
    taken_at: datetime
    unlearn_cut: int = 0

    @property
    def option(self) -> str:
        """As the command line takes it: `POSITION,LEDGER_CUT`."""
        return f"{self.as_of.position},{self.as_of.ledger_cut}"


@dataclass(frozen=True)
class Reach:
    """What was asked for: a position, and a ledger cut or None for the one at which the position was written."""

    position: int
    ledger_cut: int | None = None


def parse_reach(text: str) -> Reach:
    """POSITION[,LEDGER_CUT].

    Raises:
        InvalidInput: It has another form.
    """
    match = _FORM.match(text.replace(" ", ""))
    if match is None:
        raise InvalidInput("as_of", f"{text!r} is not POSITION or POSITION,LEDGER_CUT, both whole numbers")
    return Reach(int(match["position"]), None if match["cut"] is None else int(match["cut"]))


def stood(policy: PolicyName, outcomes: OutcomeLog, reach: Reach | None) -> Snapshot:
    """The snapshot that `reach` names, or with None the log as it stands now.

    Raises:
        NotFound: The policy has no outcome yet.
        InvalidInput: The position or the cut has not been given yet, so what is read would still change; or the cut
            lies before the position's own, so that some of its outcomes were not known yet.
    """
    head = outcomes.head(policy)
    # Read after the head: every revision that the decisions up to it have by this cut is committed by now.
    newest = outcomes.ledger_cut()
    asked = reach or Reach(head, newest)
    if reach is None and head == 0:
        raise NotFound("log", policy)
    mark = outcomes.mark(policy, asked.position)
    if mark is None:
        raise InvalidInput("as_of", f"policy {policy} has outcome positions 1 to {head}, not {asked.position}")
    cut = mark.ledger_cut if asked.ledger_cut is None else asked.ledger_cut
    if cut > newest:
        raise InvalidInput("as_of", f"the ledger has come to {newest}; at {cut} the numbers could still change")
    if cut < mark.ledger_cut:
        raise InvalidInput(
            "as_of", f"outcome {asked.position} was written at ledger cut {mark.ledger_cut}; {cut} lies before it"
        )
    return Snapshot(
        as_of=AsOf(asked.position, cut),
        erasure_cut=outcomes.erasure_cut(policy),
        taken_at=mark.closed_at,
        unlearn_cut=outcomes.unlearn_cut(policy),
    )

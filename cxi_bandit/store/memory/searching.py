"""Searches of the decision log in memory. The caller holds the lock."""

from collections.abc import Mapping

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PAST_ALL, DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.search import Found, SetAsides, Wanted


def search(
    rows: Mapping[DecisionId, Decision], wanted: Wanted, before: DecisionId | None, limit: int, look: int
) -> Found:
    """See the port."""
    since, until = wanted.between(before)
    names = sorted((name for name in rows if since <= name < until), reverse=True)
    seen = [rows[name] for name in names if wanted.subject in (None, rows[name].subject)][:look]
    found = [row for row in seen if wanted.fits(row)]
    if len(found) > limit:
        return Found(decisions=found[:limit], before=found[limit - 1].decision_id)
    return Found(decisions=found, before=seen[-1].decision_id if len(seen) == look else None)


def set_asides(
    known: Mapping[DecisionId, OutcomeStanding], before: DecisionId | None, limit: int, look: int
) -> SetAsides:
    """See the port."""
    names = sorted((name for name in known if name < (before or PAST_ALL)), reverse=True)
    found = [(name, known[name]) for name in names[: min(limit, look)]]
    return SetAsides(decisions=found, before=found[-1][0] if len(names) > len(found) else None)

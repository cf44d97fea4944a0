"""Audit of outcomes: every revision settled again from the ledger as known at its own cut."""

from collections.abc import Iterator, Sequence

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.engine.audit import AuditVerdict
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import OutcomeLog, RewardLedger
from cxi_bandit.policy.settlement import settle


class OutcomeFinding(msgspec.Struct, frozen=True):
    """The audit of one revision: is its settlement what the ledger gives?"""

    revision: OutcomeRevision
    verdict: AuditVerdict


def audit_outcomes(
    decisions: Sequence[Decision], ledger: RewardLedger, outcomes: OutcomeLog, manifests: Manifests
) -> Iterator[OutcomeFinding]:
    """Settles every revision of the decisions' outcomes again; yields as it goes.

    With the models' audit this closes the chain: ledger, outcomes, segments, bytes. It reads the ledger, never the
    stored reward, so an outcome that was changed, or that counted what its cut did not hold, is found.
    """
    for decision in decisions:
        manifest = manifests.by_sha(decision.manifest_sha)
        window = (decision.decided_at, decision.closes_at)
        for revision in outcomes.revisions(decision.decision_id):
            known = ledger.known_at([decision.decision_id], revision.ledger_cut)
            again = settle(manifest, decision.intervention, window, known.get(decision.decision_id, []))
            same = again == revision.settlement
            yield OutcomeFinding(revision, AuditVerdict.IDENTICAL if same else AuditVerdict.DIFFERENT)

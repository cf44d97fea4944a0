"""The receipt of a decision: what was logged, what was heard about it, what it came to, and which models learned it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.explanation import Explanation
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import OutcomeRevision, OutcomeStanding
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.curriculum import Curriculum
from cxi_bandit.engine.explain import explain


class Via(StrEnum):
    """What a reward event named, and so how it reached the decision."""

    DECISION = "decision"
    SUBJECT = "subject"
    ORDER = "order"


class ReceiptReward(msgspec.Struct, frozen=True, kw_only=True):
    """A reward event that the decision has.

    Attributes:
        via: An amendment reaches the decision with the event that it amends, whatever it names itself.
        share: How much of its value counts here.
        position: The ledger position from which on the decision has it; null until it has been sequenced.
    """

    event: RewardEvent
    via: Via
    share: float
    received_at: datetime
    position: int | None
    quarantined: str | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a decision.

    Attributes:
        decision: Everything logged.
        rewards: Every reward event it has, in order of receipt, quarantined ones too.
        outcomes: Every revision of its outcome, oldest first; empty while the window is open.
        learned_by: Versions of the models that learned from it.
        model: Lineage of the model that decided; null when none was consulted.
        explanation: The decision executed again and compared with the log, and what moved it.
    """

    decision: Decision
    rewards: list[ReceiptReward]
    outcomes: list[OutcomeRevision]
    learned_by: list[int]
    model: Lineage | None
    explanation: Explanation


def decision_named(text: str) -> DecisionId:
    """The id in an address. Raises NotFound: what is no id names no decision."""
    try:
        return DecisionId(UUID(text))
    except ValueError as error:
        raise NotFound("decision", text[:64]) from error


def receipt(engine: Engine, decision_id: DecisionId, *, derive: bool = False) -> Receipt:
    """Gathers it from the store.

    Args:
        derive: A model whose bytes were thinned away is derived again, which may take minutes.

    Raises:
        NotFound: No such decision.
    """
    store = engine.store
    decision = store.decisions.find({decision_id}).get(decision_id)
    if decision is None:
        raise NotFound("decision", str(decision_id))
    outcomes = store.outcomes.revisions(decision_id)
    first = next((outcome for outcome in outcomes if outcome.revision == 0), None)
    learned_by = []
    if first is not None and first.standing is OutcomeStanding.LEARNABLE:
        learned_by = [
            int(model.lineage.version)
            for model in store.registry.models_over(decision.policy, first.position)
            if _learned(engine, model.lineage, decision, first.position)
        ]
    model = None
    if decision.model_version is not None:
        model = store.registry.model(decision.policy, decision.model_version).lineage
    derived_from = store.outcomes if derive else None
    audit = DecisionAudit(store.registry, store.releases, engine.manifests, store.keyring, engine.room, derived_from)
    return Receipt(
        decision=decision,
        rewards=[_reward(entry) for entry in store.ledger.history(decision_id)],
        outcomes=outcomes,
        learned_by=learned_by,
        model=model,
        explanation=explain(decision, audit, store.releases),
    )


def _learned(engine: Engine, lineage: Lineage, decision: Decision, position: int) -> bool:
    """A model passes over what a manifest decided that did not teach it, and what was unlearned when it was made."""
    if decision.manifest_sha not in (lineage.manifest_sha, *lineage.taught_from):
        return False
    if not lineage.unlearn_cut and not lineage.taught_from:
        return True
    cuts = (lineage.ledger_cut, lineage.unlearn_cut)
    rows = engine.store.outcomes.segment(lineage.policy, position - 1, position, *cuts).rows
    return any(map(Curriculum.of(lineage, engine.manifests.by_sha(lineage.manifest_sha)).admits, rows))


def _reward(entry: LedgerEntry) -> ReceiptReward:
    event = entry.event
    named = Via.ORDER if event.subject is None else Via.SUBJECT
    return ReceiptReward(
        event=event,
        via=named if event.decision_id is None else Via.DECISION,
        share=1 / entry.parts,
        received_at=entry.received_at,
        position=entry.position,
        quarantined=entry.quarantined,
    )

"""Answering a decoded request: about one defect or several, for real or dry, with what its log line should say."""

from typing import NamedTuple

from msgspec import UNSET

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.service.desk import Desk, answer
from cxi_bandit.service.several import decided, previewed
from cxi_bandit.service.wire import BATCH_LIMIT, DecisionAnswer, DecisionBody, DecisionsAnswer


class Asked(NamedTuple):
    """How a request wants to be answered."""

    idempotency: IdempotencyToken | None
    deadline_seconds: float
    dry_run: bool


class Told(NamedTuple):
    """The answer, whether an earlier request with the same Idempotency-Key made it, and the facts of it."""

    message: DecisionAnswer | DecisionsAnswer
    replayed: bool
    facts: dict[str, object]


class DefectCount:
    """Counts the defects that a batch has weighed: each costs about as much as a decision."""

    def __init__(self) -> None:
        self._left = BATCH_LIMIT

    def add(self, body: DecisionBody) -> None:
        """Raises InvalidInput when there are more than a batch may have decisions."""
        self._left -= 0 if body.defects is UNSET else len(body.defects)
        if self._left < 0:
            raise InvalidInput("/defects", f"a batch may name {BATCH_LIMIT} of them in all; send these in another one")


async def answered(desk: Desk, body: DecisionBody, asked: Asked) -> Told:
    """Decides, and makes durable what is decided unless it is a dry run.

    Raises:
        InvalidInput: Names the field at fault.
        IdempotencyConflict: The key was used before with another body.
        IdempotencyInProgress: The first request with the key was not answered in time.
        Unavailable: Nothing could be made durable.
    """
    if body.defects is not UNSET:
        return await _several(desk, body, asked)
    proposed = desk.propose(body)
    if asked.dry_run:
        return Told(desk.preview(proposed), False, {"dry_run": True})
    standing, replayed, durability = await desk.commit(proposed.decision, asked.idempotency, asked.deadline_seconds)
    facts: dict[str, object] = {
        "decision_id": str(standing.decision_id),
        "policy": standing.policy,
        "intervention": standing.intervention,
        "model_version": standing.model_version,
        "durability": durability.value,
    }
    return Told(answer(standing, durability), replayed, facts)


async def _several(desk: Desk, body: DecisionBody, asked: Asked) -> Told:
    ranking = desk.rank(body)
    if asked.dry_run:
        return Told(previewed(desk, ranking), False, {"dry_run": True})
    message, replayed = await decided(desk, ranking, asked.idempotency, asked.deadline_seconds)
    return Told(message, replayed, {"request_id": str(message.request_id), "decisions": len(message.decisions)})

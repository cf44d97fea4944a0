"""Many decisions in one request: each with its own answer or problem, all of them in the log together."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from litestar.types import Scope
from msgspec import UNSET

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.choose import Chosen
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.engine.rank import Ranking
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.desk import Answered, Desk
from cxi_bandit.service.several import decided, previewed
from cxi_bandit.service.throttle import charge_items
from cxi_bandit.service.wire import (
    BATCH_LIMIT,
    DecisionAnswer,
    DecisionBatchBody,
    DecisionBody,
    DecisionsAnswer,
    RawDecisionBatchBody,
)
from cxi_bandit.service.wording import answer

_ONE: Final = msgspec.json.Decoder(DecisionBody)
_MANY: Final = msgspec.json.Decoder(DecisionBatchBody)
_PARTS: Final = msgspec.json.Decoder(RawDecisionBatchBody)
_ONE_TURN: Final = 32

Proposal = Chosen | Ranking | Exception
"""What is to be made durable of an item: its decision, the first of its ranking, or nothing, and why."""
Told = DecisionAnswer | DecisionsAnswer | Exception
"""What its item is told, or why it is told nothing."""


async def would(desk: Desk, proposal: Proposal) -> Told:
    """The answer of a dry run."""
    if isinstance(proposal, Ranking):
        return await previewed(desk, proposal)
    return proposal if isinstance(proposal, Exception) else desk.preview(proposal)


def decode_items(raw: bytes) -> list[DecisionBody | InvalidInput]:
    """The items of a batch; in the place of one with something wrong what it is.

    Raises:
        InvalidInput: What is wrong is around the items.
    """
    try:
        return [*decode(_MANY, raw).decisions]
    except InvalidInput:
        return [_item(one) for one in decode(_PARTS, raw, parts=True).decisions]


async def propose_all(
    desk: Desk, items: Sequence[DecisionBody | InvalidInput], scope: Scope, *, dry_run: bool
) -> list[Proposal]:
    """Decides about each, or says why not; and lets others have their turn in between.

    Those that need permits ask for them together.

    Args:
        scope: Of the request, which pays for an item's several defects as for so many items.
    """
    proposals: dict[int, Proposal] = {}
    counted = DefectCount()

    async def one(index: int, body: DecisionBody | InvalidInput) -> None:
        try:
            if isinstance(body, InvalidInput):
                proposals[index] = body
            elif body.defects is not UNSET:
                counted.add(len(body.defects))
                charge_items(scope, len(body.defects))
                proposals[index] = desk.rank(body)
            elif desk.capped:
                proposals[index] = await desk.propose_within_caps(body, dry_run=dry_run)
            else:
                proposals[index] = desk.propose(body, dry_run=dry_run)
        except Exception as error:  # noqa: BLE001 - one that fails must spoil no other
            proposals[index] = error

    try:
        if desk.capped:
            await asyncio.gather(*[one(index, item) for index, item in enumerate(items)])
        else:
            for start in range(0, len(items), _ONE_TURN):
                if start:
                    await asyncio.sleep(0)
                turn = items[start : start + _ONE_TURN]
                together = _together(desk, turn)
                if together is not None:
                    proposals.update(enumerate(together, start))
                else:
                    for index, item in enumerate(turn, start):
                        await one(index, item)
    except BaseException:
        desk.withdraw([made.decision for made in proposals.values() if isinstance(made, Chosen)])
        raise
    return [proposals[index] for index in range(len(items))]


def _together(desk: Desk, turn: Sequence[DecisionBody | InvalidInput]) -> list[Chosen] | None:
    """What is proposed for each of a turn, where nothing is wrong with any; else each is asked about by itself."""
    bodies = [one for one in turn if isinstance(one, DecisionBody) and one.defects is UNSET]
    if len(bodies) < len(turn):
        return None
    with suppress(Exception):
        return desk.propose_many(bodies)
    return None


async def commit_all(
    desk: Desk, proposals: Sequence[Proposal], token: IdempotencyToken | None, deadline_seconds: float
) -> list[Told]:
    """What becomes of each, in order. Each item of a request with a key has a key of its own."""

    async def one(index: int, proposal: Proposal) -> Told:
        own = None if token is None else msgspec.structs.replace(token, key=f"{token.key} {index}")
        try:
            if isinstance(proposal, Ranking):
                return (await decided(desk, proposal, own, deadline_seconds))[0]
            if isinstance(proposal, Chosen):
                return _told(await desk.commit(proposal.decision, own, deadline_seconds))
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return proposal

    if token is not None:
        return await asyncio.gather(*[one(index, proposal) for index, proposal in enumerate(proposals)])
    together = asyncio.ensure_future(
        desk.commit_many([made.decision for made in proposals if isinstance(made, Chosen)], deadline_seconds)
    )
    others = [one(index, made) for index, made in enumerate(proposals) if not isinstance(made, Chosen)]
    alone = iter(await asyncio.gather(*others))
    committed = iter(await together)
    return [_told(next(committed)) if isinstance(made, Chosen) else next(alone) for made in proposals]


def _told(answered: Answered | Exception) -> Told:
    return answered if isinstance(answered, Exception) else answer(answered.decision, answered.durability)


class DefectCount:
    """Counts the defects that a batch has weighed: each costs about as much as a decision."""

    def __init__(self) -> None:
        self._left = BATCH_LIMIT

    def add(self, defects: int) -> None:
        """Raises InvalidInput when there are more than a batch may have decisions."""
        self._left -= defects
        if self._left < 0:
            raise InvalidInput("/defects", f"a batch may name {BATCH_LIMIT} of them in all; send these in another one")


def _item(raw: msgspec.Raw) -> DecisionBody | InvalidInput:
    try:
        return decode_one(raw)
    except InvalidInput as error:
        return error


def decode_one(raw: bytes | msgspec.Raw) -> DecisionBody:
    """The body of `POST /v1/decisions`, or an item of a batch.

    Raises:
        InvalidInput: Names the field at fault.
    """
    return decode(_ONE, raw)

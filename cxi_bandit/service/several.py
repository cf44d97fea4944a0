"""Several defects in one request: ranked, the first few decided, each decision logged as its own."""

import asyncio
from uuid import UUID, uuid4

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.engine.rank import Ranked, Ranking
from cxi_bandit.service.desk import Answered, Desk
from cxi_bandit.service.wire import DecisionAnswer, DecisionsAnswer, PassedOver, WhyPassedOver
from cxi_bandit.service.wording import answer


async def decided(
    desk: Desk, ranking: Ranking, idempotency: IdempotencyToken | None, deadline_seconds: float
) -> tuple[DecisionsAnswer, bool]:
    """Decides about the first of a ranking and makes each decision durable; the others leave no row.

    With an Idempotency-Key one after the other: what an earlier request with it decided stands, also where the models
    would rank otherwise by now, and no defect is decided about twice.

    Returns:
        The answer, and whether an earlier request with the same Idempotency-Key had made its first decision.

    Raises:
        IdempotencyConflict: The key was used before with another body.
        IdempotencyInProgress: The first request with the key was not answered in time.
        Unavailable: Not one decision could be made durable.
    """
    request_id = uuid4()
    if idempotency is None:
        found = await _at_once(desk, ranking, request_id, deadline_seconds)
    else:
        found = await _in_turn(desk, ranking, request_id, idempotency, deadline_seconds)
    answered = [one for one in found.values() if isinstance(one, Answered)]
    if not answered:
        raise next(one for one in found.values() if isinstance(one, Unavailable))
    standing = answered[0].decision
    told = DecisionsAnswer(
        request_id=standing.request_id or request_id,
        decisions=[_about(answer(one.decision, one.durability), one.decision) for one in answered],
        passed_over=_passed_over(ranking, {one.decision.situation.defect.type for one in answered}, set(found)),
    )
    return told, answered[0].replayed


async def previewed(desk: Desk, ranking: Ranking) -> DecisionsAnswer:
    """The answer of a dry run."""
    would = [await desk.draw(one.request, one.routed, dry_run=True) for one in ranking.ranked[: ranking.decided]]
    decided_types = {one.decision.situation.defect.type for one in would}
    return DecisionsAnswer(
        request_id=None,
        decisions=[_about(desk.preview(one), one.decision) for one in would],
        passed_over=_passed_over(ranking, decided_types, decided_types),
    )


_Found = dict[str, Answered | Unavailable]
"""What became of each defect type that was to be decided about, in the order of the ranking."""


async def _at_once(desk: Desk, ranking: Ranking, request_id: UUID, deadline_seconds: float) -> _Found:
    # All drawn before any is logged, most worthwhile first: budgets and caps count those before, as between requests.
    drawn: list[Decision] = []
    try:
        for one in ranking.ranked[: ranking.decided]:
            drawn.append((await desk.draw(one.request, one.routed, request_id)).decision)  # noqa: PERF401 - one in turn
    except BaseException:
        desk.withdraw(drawn)
        raise
    ended = await asyncio.gather(*(_committed(desk, one, None, deadline_seconds) for one in drawn))
    return {one.situation.defect.type: end for one, end in zip(drawn, ended, strict=True)}


async def _in_turn(
    desk: Desk, ranking: Ranking, request_id: UUID, token: IdempotencyToken, deadline_seconds: float
) -> _Found:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_seconds
    found: _Found = {}
    for turn in range(ranking.decided):
        one = next((one for one in ranking.ranked if one.request.defect.type not in found), None)
        if one is None:
            break
        drawn = (await desk.draw(one.request, one.routed, request_id)).decision
        own = token if not turn else msgspec.structs.replace(token, key=f"{token.key} {turn}")
        end = await _committed(desk, drawn, own, deadline - loop.time())
        if isinstance(end, Answered):
            # Where an earlier request decided, its defect and its request's name are the ones that stand.
            request_id = end.decision.request_id or request_id
            found[end.decision.situation.defect.type] = end
        else:
            found[one.request.defect.type] = end
    return found


async def _committed(
    desk: Desk, decision: Decision, token: IdempotencyToken | None, seconds: float
) -> Answered | Unavailable:
    """One that is not durable in time takes none of the others along."""
    try:
        return await desk.commit(decision, token, seconds)
    except Unavailable as error:
        return error


def _about(told: DecisionAnswer, decision: Decision) -> DecisionAnswer:
    return msgspec.structs.replace(told, defect=decision.situation.defect.type)


def _passed_over(ranking: Ranking, answered: set[str], tried: set[str]) -> list[PassedOver]:
    return [_words(one, tried) for one in ranking.ranked if one.request.defect.type not in answered]


def _words(one: Ranked, tried: set[str]) -> PassedOver:
    return PassedOver(
        defect=one.request.defect.type,
        reason=WhyPassedOver.UNAVAILABLE if one.request.defect.type in tried else WhyPassedOver.OUTRANKED,
        score=one.score,
        benefit=None if one.prospect is None else one.prospect.benefit,
        uncertainty=None if one.prospect is None else one.prospect.uncertainty,
    )

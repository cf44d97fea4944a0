"""`/v1/rewards` and signed webhooks: what happened after decisions, one event or a list of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.delivery import Delivery, DeliveryConflict
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent, RewardStatus
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.ports import Clock
from cxi_bandit.engine.record import RewardReceipt, pseudonym_of_order
from cxi_bandit.service.auth import SIGNED
from cxi_bandit.service.batcher import Batcher
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, json_answer
from cxi_bandit.service.throttle import Throttle, charge_items, charge_to
from cxi_bandit.service.webhooks import Webhooks
from cxi_bandit.service.wire import BATCH_LIMIT, RewardBody, RewardResult, RewardsAnswer
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.tally import Tally

_ONE: Final = msgspec.json.Decoder(RewardBody)
_MANY: Final = msgspec.json.Decoder(list[RewardBody])
_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

RewardBatcher = Batcher[RewardEvent, RewardReceipt]
DeliveryBatcher = Batcher[Delivery, bool]
Read = list[RewardEvent | RewardResult]
"""What was sent, in order: events, and a result already for what could not be read as one."""


class RewardDesk:
    """Takes reward events in and says what became of each; what it answers is durable."""

    def __init__(
        self,
        batcher: RewardBatcher,
        deliveries: DeliveryBatcher,
        metrics: Metrics,
        settings: Settings,
        subject_key: bytes,
    ) -> None:
        self._batcher = batcher
        self._deliveries = deliveries
        self._subject_key = subject_key
        self._counted = Tally(metrics.rewards)
        self._deadline_seconds = settings.deadline_limit_ms / 1000
        self._batch_entries = settings.batch_entries

    def read(self, raw: bytes, source: Source) -> Read:
        """One event or a list. An event of a list that cannot be read is rejected by itself.

        Raises:
            InvalidInput: The only event, or the list as such, cannot be read.
        """
        if raw.lstrip()[:1] != b"[":
            return [self._event(decode(_ONE, raw), source)]
        items = self._items(raw)
        if not 1 <= len(items) <= BATCH_LIMIT:
            raise InvalidInput("/", f"send 1 to {BATCH_LIMIT} events at once; got {len(items)}")
        return [self._read(item, index, source) for index, item in enumerate(items)]

    async def bind(self, delivery: Delivery) -> None:
        """Makes sure that a webhook's id stands for its body alone, before anything in it takes effect.

        It keeps no event out: what a delivery brings that is not in the ledger yet, its redelivery brings.

        Raises:
            DeliveryConflict: The id came before with another body; nothing of this one is taken.
            Unavailable: The store is away, full, or late; deliver the same again.
        """
        if not all(await self._deliveries.submit((delivery,), self._deadline_seconds)):
            raise DeliveryConflict(delivery.webhook_id)

    async def take(self, read: Read) -> RewardsAnswer:
        """Records the events, and gives a result for each in order.

        Raises:
            Unavailable: The ledger is away, full, or late; send the same again.
        """
        receipts = iter(await self._record([event for event in read if isinstance(event, RewardEvent)]))
        results = [_result(next(receipts)) if isinstance(event, RewardEvent) else event for event in read]
        for result in results:
            self._counted.add(result.status.value)
        return RewardsAnswer(results)

    async def _record(self, events: Sequence[RewardEvent]) -> list[RewardReceipt]:
        receipts: list[RewardReceipt] = []
        # One part after the other: of two events with one id, the first sent must be the first to land.
        for start in range(0, len(events), self._batch_entries):
            part = events[start : start + self._batch_entries]
            receipts += await self._batcher.submit(part, self._deadline_seconds)
        return receipts

    def _items(self, raw: bytes) -> Sequence[RewardBody | msgspec.Raw]:
        """A list's items; raw, where something is wrong with one of them."""
        try:
            return decode(_MANY, raw)
        except InvalidInput:
            return decode(_PARTS, raw, parts=True)

    def _read(self, item: RewardBody | msgspec.Raw, index: int, source: Source) -> RewardEvent | RewardResult:
        try:
            body = item if isinstance(item, RewardBody) else decode(_ONE, item)
            return self._event(body, source)
        except InvalidInput as error:
            name = item.reward_id if isinstance(item, RewardBody) else _name(item)
            return RewardResult(name, RewardStatus.REJECTED, f"/{index}{error}")

    def _event(self, body: RewardBody, source: Source) -> RewardEvent:
        """The event as the ledger keeps it: shopper and order under their pseudonyms, never as they were sent."""
        if not _EARLIEST <= body.occurred_at <= _LATEST:
            raise InvalidInput("/occurred_at", "must lie between the years 2000 and 2200")
        if body.decision_id is not None and body.subject is not None:
            raise InvalidInput("/subject", "name the decision or the shopper, not both")
        if body.decision_id is None and body.subject is None and body.order is None:
            raise InvalidInput("/decision_id", "name the decision, or else the shopper (`subject`) or the `order`")
        key = self._subject_key
        return RewardEvent(
            source=source,
            reward_id=RewardId(body.reward_id),
            decision_id=None if body.decision_id is None else DecisionId(body.decision_id),
            subject=None if body.subject is None else pseudonym(key, body.subject),
            order=None if body.order is None else pseudonym_of_order(key, body.order),
            metric=body.metric,
            value=body.value,
            occurred_at=body.occurred_at.astimezone(UTC),
            corrects=None if body.corrects is None else RewardId(body.corrects),
            retracts=None if body.retracts is None else RewardId(body.retracts),
        )


def _result(receipt: RewardReceipt) -> RewardResult:
    return RewardResult(receipt.reward_id, receipt.status, receipt.reason)


class _Named(msgspec.Struct):
    reward_id: str | None = None


_NAME: Final = msgspec.json.Decoder(_Named)


def _name(item: msgspec.Raw) -> str | None:
    """The id of an event that cannot be read otherwise, so that its sender can find it."""
    try:
        return _NAME.decode(item).reward_id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def reward_routes(desk: RewardDesk, webhooks: Webhooks, throttle: Throttle, clock: Clock) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @post(
        "/v1/rewards",
        opt=declared(
            Scope.REWARD,
            "Report what happened after decisions",
            body=RewardBody | list[RewardBody],
            answer=RewardsAnswer,
            status=202,
        ),
    )
    async def report(request: Request[Any, Any, Any]) -> ASGIResponse:
        read = desk.read(await body_of(request), request.user.source)
        charge_items(request.scope, len(read))
        return _told(request, await desk.take(read))

    @post(
        "/v1/webhooks/rewards/{source:str}",
        opt=declared(
            SIGNED,
            "Report the same by a signed webhook",
            body=RewardBody | list[RewardBody],
            answer=RewardsAnswer,
            status=202,
            parameters=("Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"),
        ),
    )
    async def receive(request: Request[Any, Any, Any], source: FromPath[str]) -> ASGIResponse:
        raw = await body_of(request)
        verified, webhook_id = await webhooks.verify(source, raw, request.headers)
        # Only a sender that signed can pay: anybody can write a source's name.
        charge_to(request.scope, throttle.bucket(f"webhooks {verified}"))
        read = desk.read(raw, verified)
        charge_items(request.scope, len(read))
        await desk.bind(Delivery(verified, webhook_id, sha256(raw).digest(), clock()))
        return _told(request, await desk.take(read))

    return [report, receive]


def _told(request: Request[Any, Any, Any], answer: RewardsAnswer) -> ASGIResponse:
    facts(request.scope)["rewards"] = len(answer.results)
    return json_answer(answer, 202)

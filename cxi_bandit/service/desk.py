"""The decision desk: from a decoded request to an answer that is durable, or is said not to be."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import NamedTuple, NoReturn
from uuid import UUID

import msgspec

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Durability
from cxi_bandit.domain.errors import IdempotencyConflict, IdempotencyInProgress, Unavailable
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.choose import Asked, Chosen, Keys, ServedRollout
from cxi_bandit.engine.choose_many import choose_many
from cxi_bandit.engine.decide import unlogged
from cxi_bandit.engine.explain import why
from cxi_bandit.engine.limiting import Bounds
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken, Spool
from cxi_bandit.engine.rank import Ranking, rank
from cxi_bandit.service.batcher import Full, Late, Overdue
from cxi_bandit.service.keys_under_way import KeysUnderWay
from cxi_bandit.service.limits import Limits
from cxi_bandit.service.wire import DecisionAnswer, DecisionBody, Reasons
from cxi_bandit.service.wording import answer, only_defect, request_of, several_defects
from cxi_bandit.service.writer import NotWritten, Writer, Written
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.tally import Tally


class Answered(NamedTuple):
    """The decision that stands, and whether it was made by an earlier request with the same Idempotency-Key."""

    decision: Decision
    replayed: bool
    durability: Durability


class Desk:
    """Decides on the event loop (a tenth of a millisecond; a thread would want the same GIL), writes in a thread."""

    def __init__(
        self, engine: Engine, writer: Writer, spool: Spool, metrics: Metrics, threads: Executor, limits: Limits
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._spool = spool
        self._metrics = metrics
        self._decisions = Tally(metrics.decisions)
        self._fallbacks = Tally(metrics.fallbacks)
        self._overridden = Tally(metrics.overridden)
        self._threads = threads
        self._limits = limits
        self._keys = Keys(engine.draw_key, engine.subject_key)
        self._under_way: KeysUnderWay[Written] = KeysUnderWay(_holds_its_key)

    @property
    def capped(self) -> bool:
        """Whether to ask `propose_within_caps`: some policy counts what a shopper gets."""
        return self._engine.serving.capped

    def propose(self, body: DecisionBody, *, dry_run: bool = False) -> Chosen:
        """Decides about one defect, without logging. What is capped is drawn for nobody who is known.

        What it takes of a budget is taken at once, unless it is a dry run: `commit` it, or `withdraw` it.

        Raises:
            InvalidInput: Names the field at fault.
        """
        request = request_of(body, only_defect(body))
        return self._choose(request, self._engine.serving.rollout_for(request), None, dry_run=dry_run)

    def propose_many(self, bodies: Sequence[DecisionBody]) -> list[Chosen] | None:
        """As `propose` for each, at less cost; None where more than the live versions have a say.

        Raises:
            InvalidInput: Names a field at fault in one of them.
        """
        engine = self._engine
        serving, now = engine.serving, engine.clock()
        requests = [request_of(body, only_defect(body)) for body in bodies]
        asked = [(serving.rollout_for(request), request) for request in requests]
        if not all(routed.plainly(serving.overrides, now) for routed, _ in asked):
            return None
        chosen = choose_many(asked, engine.mint.mint_many(now, len(asked)), self._keys)
        return [self._noted(routed, one) for (routed, _), one in zip(asked, chosen, strict=True)]

    async def propose_within_caps(self, body: DecisionBody, *, dry_run: bool = False) -> Chosen:
        """As `propose`, with a permit of the shopper's caps where one is needed.

        Raises:
            InvalidInput: Names the field at fault.
        """
        request = request_of(body, only_defect(body))
        return await self.draw(request, self._engine.serving.rollout_for(request), dry_run=dry_run)

    def rank(self, body: DecisionBody) -> Ranking:
        """Ranks the several defects of a request.

        Raises:
            InvalidInput: Names the field at fault.
        """
        return rank([request_of(body, defect) for defect in several_defects(body)], self._engine.serving)

    async def draw(
        self, request: DecisionRequest, routed: ServedRollout, request_id: UUID | None = None, *, dry_run: bool = False
    ) -> Chosen:
        """Decides for a request that has been routed, with a permit where one is needed; `propose` says what follows.

        Raises:
            InvalidInput: Names the field at fault.
        """
        if not routed.capped:
            return self._choose(request, routed, request_id, dry_run=dry_run)
        engine = self._engine
        decision_id, overrides = engine.mint.mint(engine.clock()), engine.serving.overrides
        asked = routed.ask(request, overrides, decision_id, self._keys)
        wanted = routed.permit_request(asked)
        if wanted is not None and dry_run:
            wanted = msgspec.structs.replace(wanted, keep=False)
        bounds = await self._limits.permit(wanted)
        chosen = self._limited(routed, asked, request_id, bounds, dry_run=dry_run)
        return self._noted(routed, chosen)

    def preview(self, chosen: Chosen) -> DecisionAnswer:
        """The answer of a dry run: what would be decided, and why. Nothing was drawn for anyone: no propensity."""
        decision = chosen.decision
        reasons = Reasons(
            excluded=decision.excluded,
            basis=why(chosen.served, decision),
            override=self._engine.serving.overrides.named(decision.override_id),
            assignment=decision.assignment,
        )
        return msgspec.structs.replace(answer(decision, Durability.UNLOGGED), propensity=None, why=reasons)

    def withdraw(self, decisions: Sequence[Decision]) -> None:
        """Nobody will commit these: what they took of budgets and caps is given back."""
        for decision in decisions:
            self._limits.lapse(decision.decision_id)

    def _choose(
        self, request: DecisionRequest, routed: ServedRollout, request_id: UUID | None, *, dry_run: bool
    ) -> Chosen:
        engine = self._engine
        decision_id, overrides = engine.mint.mint(engine.clock()), engine.serving.overrides
        if routed.limited:
            asked = routed.ask(request, overrides, decision_id, self._keys)
            chosen = self._limited(routed, asked, request_id, self._limits.unpermitted, dry_run=dry_run)
        else:
            chosen = routed.choose(request, overrides, decision_id, self._keys, request_id)
        return self._noted(routed, chosen)

    def _limited(
        self,
        routed: ServedRollout,
        asked: Asked,
        request_id: UUID | None,
        bounds: Bounds,
        *,
        dry_run: bool,
    ) -> Chosen:
        try:
            with self._limits.drawing:
                chosen = routed.answer(asked, self._keys, request_id, bounds)
                if not dry_run:
                    self._limits.pay(chosen)
        except BaseException:
            self._limits.lapse(asked.decision_id)
            raise
        return chosen

    def _noted(self, routed: ServedRollout, chosen: Chosen) -> Chosen:
        if chosen.dropped_features:
            self._metrics.dropped_features.labels(routed.policy).inc(chosen.dropped_features)
        return chosen

    async def commit(
        self, decision: Decision, idempotency: IdempotencyToken | None, deadline_seconds: float
    ) -> Answered:
        """Makes a decision durable, or finds the one that stands for its Idempotency-Key.

        Where nothing takes it, the manifest says whether the default is answered instead.

        Raises:
            IdempotencyConflict: The key was used before with another body.
            IdempotencyInProgress: The first request with the key was not answered in time.
            Unavailable: Too many wait, the deadline passed, or nothing takes the decision and the manifest refuses.
        """
        try:
            if idempotency is None:
                (written,) = await self._writer.write((DecisionEntry(decision),), deadline_seconds)
                replayed = False
            else:
                written, replayed = await self._once(
                    DecisionEntry(decision, idempotency), idempotency, deadline_seconds
                )
        except NotWritten:
            self._limits.unknown(decision.decision_id)
            return self._default(decision)
        except (Full, Late, IdempotencyConflict, IdempotencyInProgress):
            self._limits.lapse(decision.decision_id)
            raise
        except BaseException:
            self._limits.unknown(decision.decision_id)
            raise
        return self._answered(decision, written, replayed=replayed)

    async def commit_many(self, decisions: Sequence[Decision], deadline_seconds: float) -> list[Answered | Exception]:
        """Makes decisions durable together that came without a key, and gives for each what `commit` would."""
        size = self._writer.at_once
        parts = [decisions[start : start + size] for start in range(0, len(decisions), size)]
        done = await asyncio.gather(*[self._commit_part(part, deadline_seconds) for part in parts])
        return [answered for part in done for answered in part]

    async def _commit_part(self, part: Sequence[Decision], deadline_seconds: float) -> list[Answered | Exception]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_seconds
        try:
            written = await self._writer.write([DecisionEntry(decision) for decision in part], deadline_seconds)
        except Late as error:
            self.withdraw(part)
            return [error] * len(part)
        except Overdue as error:
            self._limits.unknown(*[decision.decision_id for decision in part])
            return [error] * len(part)
        except NotWritten:
            self._limits.unknown(*[decision.decision_id for decision in part])
            return [self._default_or_error(decision) for decision in part]
        except asyncio.CancelledError:
            self._limits.unknown(*[decision.decision_id for decision in part])
            raise
        except Exception:  # noqa: BLE001 - no room for all of them, or one that cannot be kept: each by itself then
            seconds = max(deadline - loop.time(), 0.0)
            alone = [self.commit(decision, None, seconds) for decision in part]
            found = await asyncio.gather(*alone, return_exceptions=True)
            return [one if isinstance(one, Answered | Exception) else _raised(one) for one in found]
        return [self._answered(decision, one, replayed=False) for decision, one in zip(part, written, strict=True)]

    def _default_or_error(self, decision: Decision) -> Answered | Exception:
        try:
            return self._default(decision)
        except NotWritten as error:
            return error

    def _answered(self, decision: Decision, written: Written, *, replayed: bool) -> Answered:
        landed, durability = written
        if isinstance(landed, IdempotencyConflict):
            self._limits.lapse(decision.decision_id)
            raise landed
        self._decisions.add(landed.policy, landed.intervention)
        if landed.fallback is not None:
            self._fallbacks.add(landed.policy, landed.fallback.value)
        if landed.override_id is not None:
            self._overridden.add(landed.policy)
        if landed.decision_id != decision.decision_id:
            replayed = True
            self._limits.lapse(decision.decision_id)
            self._threads.submit(self._note_answered, landed.decision_id)
        else:
            self._limits.stands(decision.decision_id, logged=durability is Durability.COMMITTED)
        return Answered(landed, replayed, durability)

    def _note_answered(self, decision_id: DecisionId) -> None:
        """The first answer with this key may have come too late for anyone to see; this one was seen.

        Noted beside the answer, not before it: where the note gets lost, a decision is not learned, and that is all.
        """
        with suppress(Unavailable):
            self._engine.store.decisions.answered([decision_id])

    async def _once(
        self, entry: DecisionEntry, token: IdempotencyToken, deadline_seconds: float
    ) -> tuple[Written, bool]:
        async def write(seconds: float) -> Written:
            spooled = self._spool.find(token.caller, token.key)
            if spooled is None:
                (written,) = await self._writer.write((entry,), seconds)
                return written
            if spooled.idempotency is None or spooled.idempotency.body_sha256 != token.body_sha256:
                return Written(IdempotencyConflict(token.key), Durability.SPOOLED)
            return Written(spooled.decision, Durability.SPOOLED)

        return await self._under_way.answer(token, deadline_seconds, write)

    def _default(self, decision: Decision) -> Answered:
        """The manifest's answer to a decision that could be logged nowhere."""
        if self._engine.manifests.by_sha(decision.manifest_sha).serving.when_unlogged == "refuse":
            raise NotWritten
        self._metrics.unlogged.labels(decision.policy).inc()
        return Answered(unlogged(decision), replayed=False, durability=Durability.UNLOGGED)


def _raised(error: BaseException) -> NoReturn:
    raise error


def _holds_its_key(written: Written) -> bool:
    return not isinstance(written.standing, IdempotencyConflict)

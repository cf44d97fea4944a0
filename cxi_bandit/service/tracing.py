"""Where a worker's requests are traced, if they are: around the usual parts, which know nothing of it."""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from cxi_bandit.domain.decision import Decision, DecisionRequest
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.choose import Chosen, ServedRollout
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.engine.rank import Ranking
from cxi_bandit.service.decisions import ONE_PATH
from cxi_bandit.service.desk import Answered, Desk
from cxi_bandit.service.making import DecisionCommits, DecisionPrompts, Making, RewardCommits
from cxi_bandit.service.requests import facts
from cxi_bandit.service.rewards import Read, RewardDesk
from cxi_bandit.service.wire import DecisionBody, RewardsAnswer
from cxi_bandit.telemetry.tracing import Span, Tracing, named

Item = TypeVar("Item")
Result = TypeVar("Result")

_NOTED: Final = (
    "decision_id",
    "request_id",
    "policy",
    "intervention",
    "model_version",
    "durability",
    "decisions",
    "rewards",
)
"""Facts of a request that its span tells too; whose key it came with stays in the log."""


class Waiting(Generic[Item]):
    """The spans of requests that wait for a commit, by what they wait for. The thread that commits reads them.

    Args:
        name: What the commit is called.
        key: What an item of the commit is known by.
    """

    def __init__(self, tracing: Tracing, name: str, key: Callable[[Item], Hashable]) -> None:
        self._tracing = tracing
        self._name = name
        self._key = key
        self._spans: dict[Hashable, Span] = {}

    @contextmanager
    def awaited(self, span: Span, keys: Sequence[Hashable]) -> Iterator[None]:
        """Within it `span` waits for what is known by `keys`."""
        self._spans.update(dict.fromkeys(keys, span))
        try:
            yield
        finally:
            for key in keys:
                self._spans.pop(key, None)

    def commits(
        self, run: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> Callable[[Sequence[Item]], Sequence[Result]]:
        """`run`, told as one span of the first who waits for some of it, with links to all others."""

        def told(items: Sequence[Item]) -> Sequence[Result]:
            spans = self._waiting_for(items)
            if not spans:
                return run(items)
            with self._together(spans, items):
                return run(items)

        return told

    def prompts(
        self, prompt: Callable[[Sequence[Item]], Awaitable[Sequence[Result] | None]]
    ) -> Callable[[Sequence[Item]], Awaitable[Sequence[Result] | None]]:
        """`prompt`, told likewise; a batch that it leaves to a thread is told a second time, by the thread."""

        async def told(spans: Sequence[Span], items: Sequence[Item]) -> Sequence[Result] | None:
            with self._together(spans, items) as span:
                results = await prompt(items)
                if results is None:
                    span.note({"cxi_bandit.left_to_thread": True})
                return results

        def chosen(items: Sequence[Item]) -> Awaitable[Sequence[Result] | None]:
            spans = self._waiting_for(items)
            return told(spans, items) if spans else prompt(items)

        return chosen

    def _waiting_for(self, items: Sequence[Item]) -> list[Span]:
        if not self._spans:
            return []
        found = [self._spans.get(self._key(item)) for item in items]
        return list(dict.fromkeys(span for span in found if span is not None))

    @contextmanager
    def _together(self, spans: Sequence[Span], items: Sequence[Item]) -> Iterator[Span]:
        with self._tracing.together(self._name, spans) as span:
            span.note({"cxi_bandit.entries": len(items)})
            yield span


class Traces(Making):
    """Traced: the same parts, told of as spans."""

    def __init__(self, tracing: Tracing) -> None:
        self.tracing = tracing
        self.decisions: Waiting[DecisionEntry] = Waiting(
            tracing, "commit decisions", lambda entry: entry.decision.decision_id
        )
        self.rewards: Waiting[RewardEvent] = Waiting(tracing, "commit rewards", id)

    def decision_commits(self, run: DecisionCommits) -> DecisionCommits:
        """See the untraced one."""
        return self.decisions.commits(run)

    def decision_prompts(self, prompt: DecisionPrompts) -> DecisionPrompts:
        """See the untraced one."""
        return self.decisions.prompts(prompt)

    def reward_commits(self, run: RewardCommits) -> RewardCommits:
        """See the untraced one."""
        return self.rewards.commits(run)

    def desk(self, *arguments: Any) -> Desk:  # noqa: ANN401 - the desk's own
        """See the untraced one."""
        return TracedDesk(self, *arguments)

    def reward_desk(self, *arguments: Any) -> RewardDesk:  # noqa: ANN401 - the desk's own
        """See the untraced one."""
        return TracedRewardDesk(self, *arguments)

    def around(self, app: ASGIApp) -> ASGIApp:
        """A request's span is there before anything is said of it, and its log line names the trace."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            with self.tracing.request(scope["headers"]) as (trace_id, span):
                scope.setdefault("state", {})
                if trace_id is not None:
                    facts(scope)["trace_id"] = trace_id
                if span is None:
                    await app(scope, receive, send)
                else:
                    await _recorded(app, span, scope, receive, send)

        return traced


async def _recorded(app: ASGIApp, span: Span, scope: HTTPScope, receive: Receive, send: Send) -> None:
    status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await app(scope, receive, noting)
    finally:
        method = str(scope["method"])
        route = ONE_PATH if scope["path"] == ONE_PATH else str(scope.get("path_template") or "(none)")
        span.rename(f"{method} {route}")
        span.note({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        noted = facts(scope)
        span.note({f"cxi_bandit.{name}": _told(noted[name]) for name in _NOTED if noted.get(name) is not None})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(status))


def _told(value: Any) -> str | int:  # noqa: ANN401 - whatever a handler noted
    return value if isinstance(value, int) else str(value)


class TracedDesk(Desk):
    """The desk, telling how it chose and how long the log took."""

    def __init__(self, traces: Traces, *arguments: Any) -> None:  # noqa: ANN401 - the desk's own
        super().__init__(*arguments)
        self._tracing = traces.tracing
        self._waiting = traces.decisions

    def propose(self, body: DecisionBody, *, dry_run: bool = False) -> Chosen:
        """See the desk."""
        with self._tracing.part("choose") as span:
            return _chosen(span, super().propose(body, dry_run=dry_run))

    def propose_many(self, bodies: Sequence[DecisionBody]) -> list[Chosen] | None:
        """See the desk. Where they are recorded each has a span of its own."""
        return None if self._tracing.recording else super().propose_many(bodies)

    def rank(self, body: DecisionBody) -> Ranking:
        """See the desk."""
        with self._tracing.part("rank"):
            return super().rank(body)

    async def draw(
        self, request: DecisionRequest, routed: ServedRollout, request_id: UUID | None = None, *, dry_run: bool = False
    ) -> Chosen:
        """See the desk."""
        with self._tracing.part("choose") as span:
            return _chosen(span, await super().draw(request, routed, request_id, dry_run=dry_run))

    async def commit(
        self, decision: Decision, idempotency: IdempotencyToken | None, deadline_seconds: float
    ) -> Answered:
        """See the desk."""
        with self._tracing.part("await log") as span:
            if span is None:
                return await super().commit(decision, idempotency, deadline_seconds)
            with self._waiting.awaited(span, [decision.decision_id]):
                answered = await super().commit(decision, idempotency, deadline_seconds)
            span.note({"cxi_bandit.durability": answered.durability.value, "cxi_bandit.replayed": answered.replayed})
            return answered

    async def commit_many(self, decisions: Sequence[Decision], deadline_seconds: float) -> list[Answered | Exception]:
        """See the desk."""
        with self._tracing.part("await log") as span:
            if span is None:
                return await super().commit_many(decisions, deadline_seconds)
            names = [decision.decision_id for decision in decisions]
            span.note({"cxi_bandit.decision_ids": named(names)})
            with self._waiting.awaited(span, names):
                return await super().commit_many(decisions, deadline_seconds)


class TracedRewardDesk(RewardDesk):
    """The reward desk, telling how long the ledger took."""

    def __init__(self, traces: Traces, *arguments: Any) -> None:  # noqa: ANN401 - the desk's own
        super().__init__(*arguments)
        self._tracing = traces.tracing
        self._waiting = traces.rewards

    async def take(self, read: Read) -> RewardsAnswer:
        """See the desk."""
        with self._tracing.part("record") as span:
            if span is None:
                return await super().take(read)
            events = [event for event in read if isinstance(event, RewardEvent)]
            span.note({"cxi_bandit.decision_ids": named([one.decision_id for one in events if one.decision_id])})
            with self._waiting.awaited(span, [id(event) for event in events]):
                return await super().take(read)


def _chosen(span: Span | None, chosen: Chosen) -> Chosen:
    if span is not None:
        decision = chosen.decision
        span.note(
            {
                "cxi_bandit.decision_id": str(decision.decision_id),
                "cxi_bandit.policy": decision.policy,
                "cxi_bandit.policy_version": decision.policy_version,
                "cxi_bandit.stage": decision.stage.value,
                "cxi_bandit.intervention": decision.intervention,
                "cxi_bandit.propensity": decision.propensity,
            }
        )
        if decision.model_version is not None:
            span.note({"cxi_bandit.model_version": decision.model_version})
        if decision.fallback is not None:
            span.note({"cxi_bandit.fallback": decision.fallback.value})
    return chosen

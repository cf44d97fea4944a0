"""A decision, a reward and the learner's passes as spans; and nothing of it where nobody wishes for it."""

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.service.app import create_app
from cxi_bandit.service.lane import Lane
from cxi_bandit.service.making import UNTRACED
from cxi_bandit.service.tracing import Traces
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry import tracing as tracing_module
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.otel import OpenTelemetry
from cxi_bandit.telemetry.request_lines import RequestLines
from cxi_bandit.telemetry.tracing import open_tracing
from cxi_bandit.worker import Workbench
from tests.harness.local import local_client
from tests.harness.service import until

from .test_decisions import ask
from .test_lane import told as answered
from .test_rewards import event
from .test_worker import Clock, logged

MANIFEST = Path(__file__).parents[3] / "policies" / "detail-page.toml"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"


class Recorded:
    """An application whose spans and log lines are kept."""

    def __init__(self, engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, ratio: float) -> None:
        self.exporter = InMemorySpanExporter()
        self.written = io.StringIO()
        self.tracing = OpenTelemetry(SimpleSpanProcessor(self.exporter), "worker", ratio)
        lines = RequestLines("worker", "info", self.written)
        making, tried = Traces(self.tracing), Settings(dev=True)
        app = create_app(engine, tried, quiet, Metrics(), shelf, lines=lines, making=making)
        self.client = local_client(app, raises=False)
        self._sent = 0

    def send(self, method: str, path: str, **content: Any) -> Any:
        """A request, until its line is written: its span has ended by then."""
        answer = self.client.request(method, path, **content)
        self._sent += 1
        until(lambda: len(self.written.getvalue().splitlines()) == self._sent, 5)
        return answer

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def line(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.written.getvalue().splitlines()[-1])
        return line


@pytest.fixture
def record(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Iterator[Callable[[float], Recorded]]:
    with ExitStack() as opened:

        def start(ratio: float) -> Recorded:
            recorded = Recorded(engine, quiet, shelf, ratio)
            opened.enter_context(recorded.client)
            return recorded

        yield start


def trace_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return trace.format_trace_id(context.trace_id)


def inside(child: ReadableSpan, parent: ReadableSpan) -> bool:
    context = parent.get_span_context()
    assert child.start_time is not None
    assert parent.start_time is not None
    assert child.end_time is not None
    assert parent.end_time is not None
    within = parent.start_time <= child.start_time <= child.end_time <= parent.end_time
    return child.parent is not None and context is not None and child.parent.span_id == context.span_id and within


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/"])
def test_a_decision_is_told_within_its_callers_trace_from_request_to_log(record: Any, path: str) -> None:
    recorded = record(0.0)
    answer = recorded.send("POST", path, json=ask(), headers={"traceparent": SAMPLED, "tracestate": "shop=basket"})
    told = answer.json()
    request, choose = recorded.span("POST /v1/decisions"), recorded.span("choose")
    wait, commit = recorded.span("await log"), recorded.span("commit decisions")
    assert {trace_of(span) for span in recorded.spans} == {TRACE}
    assert request.parent is not None
    assert trace.format_span_id(request.parent.span_id) == CALLER
    assert request.parent.trace_state.get("shop") == "basket"
    assert inside(choose, request)
    assert inside(wait, request)
    assert inside(commit, wait)
    assert choose.end_time <= wait.start_time  # type: ignore[operator]
    noted = dict(request.attributes or {})
    assert noted["http.response.status_code"] == 201
    assert noted["http.route"] == "/v1/decisions"
    assert noted["cxi_bandit.decision_id"] == told["decision_id"]
    assert dict(choose.attributes or {})["cxi_bandit.propensity"] == told["propensity"]
    assert recorded.line()["trace_id"] == TRACE
    assert recorded.line()["decision_id"] == told["decision_id"]


def test_no_span_tells_what_is_known_of_a_shopper(record: Any) -> None:
    recorded = record(1.0)
    recorded.send("POST", "/v1/decisions", json=ask(subject="shopper-qz", context={"cart_value": 47.11}))
    recorded.send("POST", "/v1/decisions", json=ask(subject="shopper-qz\0"))
    told = json.dumps([dict(span.attributes or {}) for span in recorded.spans])
    assert "decision_id" in told
    assert "shopper" not in told
    assert "47.11" not in told
    assert [event.name for span in recorded.spans for event in span.events] == []
    assert all(span.status.description is None for span in recorded.spans)


def test_a_reward_is_told_from_request_to_ledger(record: Any) -> None:
    recorded = record(0.0)
    decision = recorded.send("POST", "/v1/decisions", json=ask()).json()["decision_id"]
    assert recorded.spans == ()
    recorded.send("POST", "/v1/rewards", json=[event(decision), event(decision)], headers={"traceparent": SAMPLED})
    request, kept = recorded.span("POST /v1/rewards"), recorded.span("record")
    commit = recorded.span("commit rewards")
    assert {trace_of(span) for span in recorded.spans} == {TRACE}
    assert inside(kept, request)
    assert inside(commit, kept)
    assert dict(kept.attributes or {})["cxi_bandit.decision_ids"] == (decision, decision)
    assert dict(commit.attributes or {})["cxi_bandit.entries"] == 2
    assert dict(request.attributes or {})["cxi_bandit.rewards"] == 2


def test_a_commit_for_several_is_part_of_the_first_and_linked_to_the_others(record: Any) -> None:
    recorded = record(1.0)
    traces = Traces(recorded.tracing)
    names = ["a", "b", "c"]
    with recorded.tracing.request([]) as (_, first), recorded.tracing.request([]) as (_, second):
        assert first is not None
        assert second is not None
        with traces.rewards.awaited(first, [id(names[0])]), traces.rewards.awaited(second, [id(names[1])]):
            run = traces.rewards.commits(lambda items: [*items])  # type: ignore[arg-type, return-value]
            assert run(names) == names  # type: ignore[arg-type, comparison-overlap]
        assert run(names) == names  # type: ignore[arg-type, comparison-overlap]
    commit = recorded.span("commit rewards")
    one, other = [span for span in recorded.spans if span.name == "request"][::-1]
    assert commit.parent == one.get_span_context()
    assert [link.context for link in commit.links] == [other.get_span_context()]


def test_a_batch_that_the_loop_leaves_to_a_thread_is_told_by_both(record: Any) -> None:
    recorded = record(1.0)
    traces = Traces(recorded.tracing)
    items: Any = ["kept", "left"]

    async def prompt(given: Any) -> Any:
        return given if given == items[:1] else None

    async def main(span: Any) -> None:
        with traces.rewards.awaited(span, [id(one) for one in items]):
            told = traces.rewards.prompts(prompt)
            assert await told(items[:1]) == items[:1]
            assert await told(items[1:]) is None
        assert await told(items[:1]) == items[:1]

    with recorded.tracing.request([]) as (_, span):
        asyncio.run(main(span))
    commits = [dict(span.attributes or {}) for span in recorded.spans if span.name == "commit rewards"]
    assert [one.get("cxi_bandit.left_to_thread") for one in commits] == [None, True]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(ask()), {}),
        (json.dumps(ask(surface="moon")), {}),
        ("{", {}),
        (json.dumps(ask()), {"Idempotency-Key": "no spaces"}),
        (json.dumps(ask()), {"Host": "a b"}),
    ],
)
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_traced_answer_is_the_usual_one(
    record: Any, client: TestClient[Litestar], ratio: float, body: str, headers: dict[str, str]
) -> None:
    traced = record(ratio).send("POST", "/v1/decisions", content=body, headers=headers)
    assert answered(traced) == answered(client.post("/v1/decisions", content=body, headers=headers))


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nothing",
        SAMPLED.replace("4", "g"),
        SAMPLED.upper(),
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{SAMPLED}-more",
        "x" * 5000,
    ],
)
def test_a_trace_context_that_cannot_be_read_is_none(record: Any, traceparent: str) -> None:
    recorded = record(1.0)
    assert recorded.send("POST", "/v1/decisions", json=ask(), headers={"traceparent": traceparent}).status_code == 201
    request = recorded.span("POST /v1/decisions")
    assert request.parent is None
    assert trace_of(request) != TRACE
    assert recorded.line()["trace_id"] == trace_of(request)


def test_two_trace_contexts_are_none(record: Any) -> None:
    recorded = record(1.0)
    headers = [("traceparent", SAMPLED), ("traceparent", SAMPLED.replace("4", "5"))]
    recorded.send("POST", "/v1/decisions", json=ask(), headers=headers)
    assert recorded.span("POST /v1/decisions").parent is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"tracestate"]), st.binary(max_size=80)), max_size=4))
def test_no_header_breaks_a_request(headers: list[tuple[bytes, bytes]]) -> None:
    tested = OpenTelemetry(SimpleSpanProcessor(InMemorySpanExporter()), "worker", 1.0)
    with tested.request(headers) as begun:
        assert begun.span is not None
        assert len(begun.trace_id or "") == 32


@pytest.mark.parametrize(("headers", "trace_id"), [({}, None), ({"traceparent": UNSAMPLED}, TRACE)])
def test_what_is_not_sampled_costs_no_span_and_keeps_its_callers_name(
    record: Any, headers: dict[str, str], trace_id: str | None
) -> None:
    recorded = record(0.0)
    decision = recorded.send("POST", "/v1/decisions", json=ask(), headers=headers).json()["decision_id"]
    assert recorded.line().get("trace_id") == trace_id
    recorded.send("POST", "/v1/rewards", json=event(decision), headers=headers)
    assert recorded.spans == ()


def test_a_caller_that_does_not_sample_is_heeded_where_all_others_are(record: Any) -> None:
    recorded = record(1.0)
    recorded.send("POST", "/v1/decisions", json=ask(), headers={"traceparent": UNSAMPLED})
    assert recorded.spans == ()


def test_what_fails_says_so_by_its_kind(record: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record(1.0)

    def away(_entries: object) -> None:
        raise Unavailable("secret words")

    monkeypatch.setattr(engine.store.ledger, "append", away)
    assert recorded.send("POST", "/v1/rewards", json=event("01936f00-0000-7000-8000-000000000000")).status_code == 503
    for name, kind in (("commit rewards", "Unavailable"), ("record", "Unavailable"), ("POST /v1/rewards", "503")):
        span = [span for span in recorded.spans if span.name == name][-1]
        assert span.status.status_code is trace.StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == kind
    assert recorded.send("GET", "/v1/nowhere").status_code == 404
    assert recorded.span("GET (none)").status.status_code is trace.StatusCode.UNSET


def test_several_defects_and_batches_are_told_too(record: Any) -> None:
    recorded = record(1.0)
    recorded.send("POST", "/v1/decisions/batch", json={"decisions": [ask(), ask()]})
    request = recorded.span("POST /v1/decisions/batch")
    assert len([span for span in recorded.spans if span.name == "choose" and inside(span, request)]) == 2
    named = dict(recorded.span("await log").attributes or {})["cxi_bandit.decision_ids"]
    assert isinstance(named, tuple)
    assert len(named) == 2
    recorded.exporter.clear()
    several = {name: value for name, value in ask().items() if name != "defect"} | {"defects": [ask()["defect"]]}
    recorded.send("POST", "/v1/decisions", json=several)
    request = recorded.span("POST /v1/decisions")
    for name in ("rank", "choose", "await log"):
        assert inside(recorded.span(name), request)
    assert inside(recorded.span("commit decisions"), recorded.span("await log"))


def test_joining_and_learning_are_told_where_something_was_done(quiet: FilteringBoundLogger) -> None:
    clock = Clock()
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())], clock)
    exporter = InMemorySpanExporter()
    tracing = OpenTelemetry(SimpleSpanProcessor(exporter), "learner", 1.0)
    bench = Workbench(engine, Settings(), quiet, Metrics(), tracing)
    bench.turn()
    assert exporter.get_finished_spans() == ()
    logged(engine, 3)
    clock.now += timedelta(hours=3)
    bench.turn()
    join, learn = exporter.get_finished_spans()
    head = engine.store.registry.heads()[0].lineage
    assert (join.name, learn.name) == ("join", "learn")
    assert [link.context for link in learn.links] == [join.get_span_context()]
    joined, learned = dict(join.attributes or {}), dict(learn.attributes or {})
    assert joined["cxi_bandit.closed"] == learned["cxi_bandit.learned"] == 3
    assert joined["cxi_bandit.decision_ids"] == learned["cxi_bandit.decision_ids"]
    assert learned["cxi_bandit.model_version"] == head.version
    assert learned["cxi_bandit.up_to"] == head.up_to
    assert join.end_time <= learn.start_time  # type: ignore[operator]
    bench.turn()
    assert len(exporter.get_finished_spans()) == 2


def test_untraced_parts_are_the_usual_ones(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    app = create_app(engine, Settings(), quiet, Metrics(), shelf)
    assert type(app.asgi_handler) is Lane
    run: Any = object()
    assert UNTRACED.decision_commits(run) is run
    assert UNTRACED.reward_commits(run) is run
    assert UNTRACED.around(run) is run


def test_where_it_is_not_wished_for_nothing_of_opentelemetry_is_loaded() -> None:
    code = (
        "import sys, cxi_bandit.worker, cxi_bandit.service.process, cxi_bandit.supervisor.supervise\n"
        "from cxi_bandit.settings import Settings\n"
        "from cxi_bandit.telemetry.tracing import open_tracing\n"
        "assert open_tracing(Settings(), 'worker', 1.0) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_traces_without_their_packages_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match=r"CXI_BANDIT_TRACES.*cxi-bandit\[otel\]"):
        open_tracing(Settings(traces=True), "worker", 1.0)
    monkeypatch.setenv("CXI_BANDIT_TRACES", "1")
    assert main(["serve"]) == 2


def test_a_process_names_itself_and_heeds_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource() -> dict[str, Any]:
        exporter = InMemorySpanExporter()
        OpenTelemetry(SimpleSpanProcessor(exporter), "learner", 1.0).ended("join", 0, {})
        (span,) = exporter.get_finished_spans()
        return dict(span.resource.attributes)

    assert resource()["service.name"] == "cxi-bandit"
    assert resource()["cxi_bandit.process"] == "learner"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "bandit-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    assert resource()["service.name"] == "bandit-eu"
    assert resource()["deployment.environment"] == "test"


def test_a_collector_that_hangs_holds_up_nobody_who_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Hanging(SimpleSpanProcessor):
        def shutdown(self) -> None:
            released.wait(60)

    monkeypatch.setattr("cxi_bandit.telemetry.otel._CLOSING_SECONDS", 0.05)
    OpenTelemetry(Hanging(InMemorySpanExporter()), "worker", 1.0).close()
    assert not released.is_set()
    released.set()

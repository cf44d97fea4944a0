"""Traces by OpenTelemetry: the only module that imports it."""

import os
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cxi_bandit.telemetry.tracing import Attributes, Begun, Span

_PARENT: Final = "traceparent"
_W3C_HEADERS: Final = {b"traceparent": _PARENT, b"tracestate": "tracestate"}
_CLOSING_SECONDS: Final = 2.0
_NOWHERE: Final = context.Context()
_W3C: Final = TraceContextTextMapPropagator()


def exporting() -> SpanProcessor:
    """Sends spans in batches, from a thread, to where OTEL_EXPORTER_OTLP_ENDPOINT says; a full queue drops them."""
    return BatchSpanProcessor(OTLPSpanExporter())


class RecordedSpan:
    """A span that OpenTelemetry records."""

    __slots__ = ("span",)

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    def note(self, attributes: Attributes) -> None:
        """See the protocol."""
        self.span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """See the protocol."""
        self.span.update_name(name)

    def fail(self, kind: str) -> None:
        """See the protocol."""
        self.span.set_attribute("error.type", kind)
        self.span.set_status(trace.StatusCode.ERROR)


class OpenTelemetry:
    """Traces of one process, under a tracer provider of its own: nothing global is set.

    The SDK reads its environment (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED, limits of spans).
    """

    def __init__(self, processor: SpanProcessor, process: str, ratio: float) -> None:
        ours = Resource.create(
            {
                "service.name": "cxi-bandit",
                "service.version": version("cxi-bandit"),
                "service.instance.id": f"{process}-{os.getpid()}",
                "cxi_bandit.process": process,
            }
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=ours.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._ratio = ratio
        self._chance = random.Random()  # noqa: S311 - picks what is traced, keeps no secret
        self._tracer = self._provider.get_tracer("cxi_bandit", version("cxi-bandit"))

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Begun]:
        """See the protocol. Decided here, not by a sampler: what is not recorded should cost next to nothing."""
        caller = _caller(headers)
        if caller is None:
            wished, inside, trace_id = self._chance.random() < self._ratio, _NOWHERE, None
        else:
            wished, inside = caller.trace_flags.sampled, _inside(caller)
            trace_id = trace.format_trace_id(caller.trace_id)
        return self._recorded(inside) if wished else nullcontext(Begun(trace_id, None))

    @contextmanager
    def _recorded(self, inside: context.Context) -> Iterator[Begun]:
        span = self._tracer.start_span("request", inside, trace.SpanKind.SERVER)
        with _under_way(span) as recorded:
            yield Begun(trace.format_trace_id(span.get_span_context().trace_id), recorded)

    @property
    def recording(self) -> bool:
        """See the protocol."""
        return trace.get_current_span().is_recording()

    def part(self, name: str) -> AbstractContextManager[Span | None]:
        """See the protocol."""
        if not self.recording:
            return nullcontext()
        return _under_way(self._tracer.start_span(name))

    def together(self, name: str, spans: Sequence[Span]) -> AbstractContextManager[Span]:
        """See the protocol."""
        first, *others = [one.span for one in spans if isinstance(one, RecordedSpan)]
        links = [trace.Link(one.get_span_context()) for one in others]
        return _under_way(self._tracer.start_span(name, _inside(first.get_span_context()), links=links))

    def ended(self, name: str, began_ns: int, attributes: Attributes, links: Sequence[Span] = ()) -> Span:
        """See the protocol."""
        linked = [trace.Link(one.span.get_span_context()) for one in links if isinstance(one, RecordedSpan)]
        span = self._tracer.start_span(name, _NOWHERE, attributes=attributes, links=linked, start_time=began_ns)
        span.end()
        return RecordedSpan(span)

    def close(self) -> None:
        """See the protocol. A collector that is away holds up nobody who wants to end."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-closing", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


@contextmanager
def _under_way(span: trace.Span) -> Iterator[RecordedSpan]:
    """The span is the one under way in this task until the block ends. Of an error its kind is told, not its words."""
    recorded = RecordedSpan(span)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(type(error).__name__)
            raise


def _inside(parent: trace.SpanContext) -> context.Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), _NOWHERE)


def _caller(headers: Iterable[tuple[bytes, bytes]]) -> trace.SpanContext | None:
    """What the caller says of its trace; None where it says nothing, says it twice, or so that it cannot be read."""
    found = [(name, value) for name, value in headers if name in _W3C_HEADERS]
    if not found:
        return None
    carrier: dict[str, list[str]] = {}
    for name, value in found:
        carrier.setdefault(_W3C_HEADERS[name], []).append(value.decode("latin-1"))
    if len(carrier.get(_PARENT, ())) != 1:
        return None
    caller = trace.get_current_span(_W3C.extract(carrier, _NOWHERE)).get_span_context()
    return caller if caller.is_valid else None

"""Traces: what becomes of single requests and passes, told where the settings wish it.

What others know of it. The one module that knows OpenTelemetry is `otel`, and it is loaded by nobody who does not wish.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import islice
from typing import Final, NamedTuple, Protocol

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.settings import Settings, variable

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]

_NEEDED: Final = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

_NAMED: Final = 32


def named(decisions: Iterable[DecisionId]) -> list[str]:
    """The first few of them: a trace is looked for by one."""
    return [str(decision_id) for decision_id in islice(decisions, _NAMED)]


class Span(Protocol):
    """A piece of work that is recorded."""

    def note(self, attributes: Attributes) -> None:
        """Says something of it."""
        ...

    def rename(self, name: str) -> None:
        """Calls it by a name that was not known when it began."""
        ...

    def fail(self, kind: str) -> None:
        """It did not end well; a kind of error or a status, never an error's own words."""
        ...


class Begun(NamedTuple):
    """A request as it is traced.

    Attributes:
        trace_id: 32 hexadecimal digits: the caller's where it sent one, else ours where the request is recorded.
        span: None where it is not recorded.
    """

    trace_id: str | None
    span: Span | None


class Tracing(Protocol):
    """One process's traces. Spans of one request lie in each other as they are begun in its task."""

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Begun]:
        """A request, as part of its caller's trace where its headers name one that can be read (W3C Trace Context).

        Whether it is recorded its caller has decided then; otherwise chance does.
        """
        ...

    @property
    def recording(self) -> bool:
        """Whether a recorded span is under way in this task."""
        ...

    def part(self, name: str) -> AbstractContextManager[Span | None]:
        """A part of the recorded span that is under way in this task; None where there is none."""
        ...

    def together(self, name: str, spans: Sequence[Span]) -> AbstractContextManager[Span]:
        """Work done for several at once, in any thread: a part of the first, with links to the others."""
        ...

    def ended(self, name: str, began_ns: int, attributes: Attributes, links: Sequence[Span] = ()) -> Span:
        """A piece of work by itself that ends now and began then, in nanoseconds since 1970."""
        ...

    def close(self) -> None:
        """Sends what was recorded, for a moment at most."""
        ...


def check_traces(settings: Settings) -> None:
    """Whether what the settings wish for is there.

    Raises:
        InvalidInput: They wish for traces, and the packages are not installed.
    """
    if settings.traces and not all(map(_installed, _NEEDED)):
        raise InvalidInput(variable("traces"), "needs the extra `otel`: pip install 'cxi-bandit[otel]'")


def open_tracing(settings: Settings, process: str, ratio: float) -> Tracing | None:
    """A process's traces, sent by OTLP over HTTP; None where the settings do not wish for any.

    Args:
        process: `worker`, `learner`.
        ratio: Of what nobody else has decided about, so much is recorded.

    Raises:
        InvalidInput: The packages are not installed.
    """
    if not settings.traces:
        return None
    check_traces(settings)
    from cxi_bandit.telemetry.otel import OpenTelemetry, exporting  # noqa: PLC0415 - loaded where it is wished alone

    return OpenTelemetry(exporting(), process, ratio)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False

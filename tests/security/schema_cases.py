"""Cases drawn from the service's own schema, right and wrong ones, sent straight into the application and checked."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import hypothesis
import requests
import schemathesis
import structlog
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from standardwebhooks.webhooks import Webhook

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.app import create_app
from cxi_bandit.service.openapi import openapi
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.raw import RawClient

CHECKS: Final[list[Any]] = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
MANIFEST: Final = """
format = 1
name = "quick"
surface = "cart"
[defects.slow_delivery]
[context.features.device]
type = "category"
[context.features.price]
type = "number"
min = -1e300
max = 1e300
[[interventions]]
id = "hold"
[[interventions]]
id = "free_shipping"
[reward]
horizon_seconds = 3600
min = 0
max = 1
[reward.metrics.order]
weight = 1
min = 0
max = 1
"""
_SENDER: Final = "mailer"
_SECRET: Final = "whsec_bm90IGEgc2VjcmV0IGF0IGFsbA=="  # noqa: S105 - opens nothing
_CHUNK: Final = 500
_MOST_NOTES: Final = 20


class SchemaFindings(NamedTuple):
    """How many cases were sent, how many failed a check, what the first of them were, and how they were answered."""

    cases: int
    failures: int
    notes: list[str]
    statuses: dict[int, int]


def run_schema_cases(
    engine: Engine, shelf: SpoolShelf, cases: int, seed: int = 0, told: Callable[[int], object] = lambda _: None
) -> SchemaFindings:
    """Sends cases for all operations, positive and negative data by turns, in development mode.

    hypothesis refuses to draw where anybody else draws from the global `random` meanwhile, as a pool's threads do when
    they open connections: for as long as this takes, they have one of their own.

    Args:
        engine: Serves `MANIFEST`.
        shelf: Where the application keeps its spool meanwhile.
        told: Called with the number of cases sent so far.
    """
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    engine.store.access.add_webhook_secret(Source(_SENDER), _SECRET, engine.clock(), "test")
    app = create_app(engine, Settings(dev=True), silent, Metrics(), shelf)
    operations = [
        operation.ok()
        for operation in schemathesis.openapi.from_dict(openapi(app)).get_all_operations()
        if isinstance(operation, Ok)
    ]
    strategies = [operation.as_strategy(generation_mode=mode) for operation in operations for mode in GenerationMode]
    with RawClient(app) as client, patch("psycopg_pool.base.random", random.Random(seed).random):
        attempt = _Attempt(client, random.Random(seed))
        while attempt.sent < cases:
            _draw(strategies, attempt, min(_CHUNK, cases - attempt.sent), seed + attempt.sent)
            told(attempt.sent)
    return SchemaFindings(attempt.sent, attempt.failed, attempt.notes, attempt.statuses)


def _draw(strategies: list[Any], attempt: "_Attempt", cases: int, seed: int) -> None:
    """A bounded number at a time: what has been drawn before slows hypothesis down."""

    # Drawn by hand: the package's own pytest integration reaches into internals that pytest 9 has changed.
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(data=st.data())
    def one(data: st.DataObject) -> None:
        attempt.send(data.draw(data.draw(st.sampled_from(strategies))))

    one()


class _Attempt:
    """Sends cases and counts what fails. Random words never name what exists, so some are replaced by what does."""

    def __init__(self, client: RawClient, random_: random.Random) -> None:
        self._client = client
        self._random = random_
        self._decisions: list[str] = []
        self.sent = 0
        self.failed = 0
        self.notes: list[str] = []
        self.statuses: dict[int, int] = {}

    def send(self, case: "schemathesis.Case[Any]") -> None:
        self._name_what_exists(case)
        request = requests.Request(**case.as_transport_kwargs(base_url="http://test")).prepare()
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else bytes(body)
        headers = [(_bytes(name), _bytes(value)) for name, value in request.headers.items()]
        if "/webhooks/" in case.path and self._random.random() < 0.8:
            headers = [pair for pair in headers if not pair[0].lower().startswith(b"webhook-")] + self._signed(body)
        started = time.monotonic()
        answer = self._client.send(str(request.method), request.path_url.encode(), headers, body)
        self.sent += 1
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        response = Response(
            status_code=answer.status,
            headers={name: [value] for name, value in answer.headers.items()},
            content=answer.body,
            request=request,
            elapsed=time.monotonic() - started,
            verify=False,
        )
        try:
            case.validate_response(response, checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            self.failed += 1
            self._note(f"{request.method} {request.path_url} {body[:200]!r}: {answer.status} {failure!r}")
        if case.path == "/v1/decisions" and answer.status == requests.codes.created:
            told = response.json()
            ids = [one["decision_id"] for one in told.get("decisions", [told])]
            self._decisions += [name for name in ids if name is not None]

    def _name_what_exists(self, case: "schemathesis.Case[Any]") -> None:
        bodies = case.body if isinstance(case.body, list) else [case.body]
        for body in bodies:
            if not isinstance(body, dict):
                continue
            decisions = body.get("decisions")
            for wanted in [body, *(decisions if isinstance(decisions, list) else [])]:
                _name_surface(wanted)
            if self._decisions and isinstance(body.get("decision_id"), str) and self._random.random() < 0.5:
                body["decision_id"] = self._random.choice(self._decisions)
        parameters = case.path_parameters
        if isinstance(parameters, dict) and self._random.random() < 0.5:
            existing = {"name": "quick", "source": _SENDER, "promotion_id": "1", "override_id": "1", "version": "1"}
            if self._decisions:
                existing["decision_id"] = self._random.choice(self._decisions)
            parameters.update({name: value for name, value in existing.items() if name in parameters})
        elif isinstance(parameters, dict) and "source" in parameters:
            parameters["source"] = _SENDER

    def _signed(self, body: bytes) -> list[tuple[bytes, bytes]]:
        at = datetime.now(UTC).replace(microsecond=0)
        name = f"msg_{self._random.randrange(50)}"
        try:
            signature = Webhook(_SECRET).sign(name, at, body.decode())
        except UnicodeDecodeError:
            signature = "v1,none"
        signed = {"webhook-id": name, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
        return [(key.encode(), value.encode()) for key, value in signed.items()]

    def _note(self, note: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(note)


def _name_surface(body: object) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("surface"), str):
        return
    several = body.get("defects")
    first = several[0] if isinstance(several, list) and several else body.get("defect")
    if isinstance(first, dict):
        body["surface"] = "cart"
        body["policy"] = None
        if isinstance(first.get("type"), str):
            first["type"] = "slow_delivery"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")

"""The short way of `POST /v1/decisions` answers, guards and tells as the framework's own way does."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service import lane
from cxi_bandit.service.app import create_app
from cxi_bandit.service.draining import Draining
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client
from tests.security.raw import RawClient

from .test_decisions import ask

Client = TestClient[Litestar]
SHORT, LONG = "/v1/decisions", "/v1/decisions/"
"""With a slash at its end the framework finds the same route, and the lane does not take it."""
CHANGING = {"decision_id", "closes_at", "intervention", "propensity"}


def told(answer: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    body = {name: value for name, value in answer.json().items() if name not in CHANGING}
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    assert int(answer.headers["content-length"]) == len(answer.content)
    return answer.status_code, headers, body


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each request: whether the lane took it."""
    taken: list[bool] = []
    length = lane.Lane._length

    def noting(self: lane.Lane, scope: Any) -> int | None:
        found = length(self, scope)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(lane.Lane, "_length", noting)
    return taken


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(ask()), {}),
        (json.dumps(ask(interventions=[{"id": "hold"}])), {}),
        (json.dumps(ask()), {"Prefer": "wait=500"}),
        (json.dumps(ask(surface="moon")), {}),
        (json.dumps(ask(subject="a\0b")), {}),
        ("{", {}),
        ("", {}),
        (json.dumps(ask()), {"Idempotency-Key": "no spaces"}),
        (json.dumps(ask()), {"Authorization": "Bearer cxi_none"}),
        (json.dumps(ask()), {"Authorization": "Basic x"}),
    ],
)
def test_both_ways_give_the_same_answer(
    client: Client, commits: list[bool], body: str, headers: dict[str, str]
) -> None:
    short = client.post(SHORT, content=body, headers=headers)
    long = client.post(LONG, content=body, headers=headers)
    assert commits == [True, False]
    assert told(short) == told(long)


@pytest.mark.parametrize("scopes", [(), (Scope.REWARD,), (Scope.DECIDE,)])
def test_both_ways_ask_for_the_scope_that_the_route_declares(
    anyone: Client, commits: list[bool], new_key: Callable[..., str], scopes: tuple[Scope, ...]
) -> None:
    headers = {"Authorization": f"Bearer {new_key(*scopes)}"}
    short, long = (anyone.post(path, json=ask(), headers=headers) for path in (SHORT, LONG))
    assert commits == [True, False]
    assert told(short) == told(long)
    assert (short.status_code == 201) == (Scope.DECIDE in scopes)


def test_a_key_stands_for_one_decision_whichever_way_it_comes(client: Client) -> None:
    headers = {"Idempotency-Key": "both"}
    first, again = (client.post(path, json=ask(), headers=headers) for path in (SHORT, LONG))
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    back = client.post(SHORT, json=ask(), headers=headers)
    assert (back.json(), back.headers["Idempotent-Replayed"]) == (first.json(), "true")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/decisions?dry_run=true", {}, 201),
        ("/v1/decisions?", {}, 201),
        (SHORT, {"Host": "a b"}, 400),
        (SHORT, {"Content-Length": "x"}, 400),
        (SHORT, {"Content-Length": "0" * 5000 + "9"}, 400),
    ],
)
def test_what_is_unusual_is_left_to_the_framework(
    client: Client, commits: list[bool], path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.post(path, content=json.dumps(ask()), headers=headers)
    assert answer.status_code == status
    assert commits == [path == "/v1/decisions?"]


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_a_body_that_is_whole_is_not_waited_on(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, cut: int
) -> None:
    body = json.dumps(ask()).encode()
    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    with RawClient(create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)) as client:
        answer = client.send("POST", SHORT.encode(), headers, body[:cut], body[cut:], silent=True)
        assert answer.status == 201
        broken = client.send("POST", SHORT.encode(), headers, body[:-1], broken_off=True)
        assert broken.status == 400


def test_both_ways_spend_from_one_bucket(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, new_key: Callable[..., str]
) -> None:
    settings = Settings(rate_per_second=0.001, rate_burst=2)
    with TestClient(create_app(engine, settings, quiet, Metrics(), shelf)) as client:
        headers = {"Authorization": f"Bearer {new_key(Scope.DECIDE)}"}
        answers = [client.post(path, json=ask(), headers=headers) for path in (SHORT, LONG, SHORT, LONG)]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 429]
    assert "retry-after" in answers[2].headers


def test_a_worker_about_to_end_closes_the_connection_on_both_ways(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf
) -> None:
    draining = Draining()
    app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf, draining=draining)
    with local_client(app) as client:
        assert "close" not in client.post(SHORT, json=ask()).headers.get("connection", "")
        draining.begin()
        for path in (SHORT, LONG):
            assert client.post(path, json=ask()).headers["connection"] == "close"


def test_both_ways_are_counted_as_one_route(client: Client) -> None:
    for path in (SHORT, LONG, SHORT):
        client.post(path, json=ask())
    exposed = client.get("/metrics").text
    route = 'cxi_bandit_request_seconds_count{method="POST",route="/v1/decisions",status="201"} 3.0'
    assert route in exposed
    decided = [
        float(line.split()[-1]) for line in exposed.splitlines() if line.startswith("cxi_bandit_decisions_total{")
    ]
    assert sum(decided) == 3.0

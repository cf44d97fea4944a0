import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from standardwebhooks.webhooks import Webhook

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.raw import RawClient

Client = TestClient[Litestar]

SECRETS = [f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in range(3)]
PATH = "/v1/webhooks/rewards/mailer"
MANIFEST = """
format = 1
name = "quick"
surface = "cart"
[defects.slow_delivery]
[context]
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


def body(reward_id: str = "r1") -> str:
    event = {
        "decision_id": "00000000-0000-7000-8000-000000000000",
        "reward_id": reward_id,
        "metric": "order",
        "value": 1.0,
        "occurred_at": "2026-11-20T11:30:00Z",
    }
    return json.dumps(event)


def signed(secret: str, content: str, at: float | None = None, message: str = "msg_1") -> dict[str, str]:
    seconds = int(time.time() if at is None else at)
    moment = datetime.fromtimestamp(seconds, UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": Webhook(secret).sign(message, moment, content),
    }


@pytest.fixture(scope="module")
def engine() -> Engine:
    engine = in_memory_engine([("quick.toml", MANIFEST)])
    for secret in SECRETS[:2]:
        engine.store.access.add_webhook_secret(Source("mailer"), secret, engine.clock(), "test")
    return engine


@pytest.fixture(scope="module")
def client(engine: Engine, shelf: SpoolShelf) -> Iterator[Client]:
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    app = create_app(engine, Settings(key_cache_seconds=0.0), silent, Metrics(), shelf)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_any_active_secret_signs_and_a_redelivery_counts_once(client: Client, engine: Engine) -> None:
    content = body("redelivered")
    first = client.post(PATH, content=content, headers=signed(SECRETS[0], content))
    assert (first.status_code, first.json()["results"][0]["status"]) == (202, "parked")
    again = client.post(PATH, content=content, headers=signed(SECRETS[1], content, message="msg_2"))
    assert (again.status_code, again.json()["results"][0]["status"]) == (202, "duplicate")
    stored = engine.store.ledger.history(DecisionId(UUID(json.loads(content)["decision_id"])))
    assert {entry.event.source for entry in stored} == {"mailer"}


def results(client: Client, content: str, message: str, **headers: str) -> list[str]:
    answer = client.post(PATH, content=content, headers=signed(SECRETS[0], content, message=message) | headers)
    assert answer.status_code == 202, answer.text
    return [result["status"] for result in answer.json()["results"]]


def test_a_replayed_webhook_is_answered_alike_and_has_no_second_effect(client: Client, engine: Engine) -> None:
    content = body("replayed")
    assert results(client, content, "msg_replayed") == ["parked"]
    assert results(client, content, "msg_replayed") == ["duplicate"]
    many = f"[{body('replayed-2')}, {{}}, {body('replayed')}]"
    assert results(client, many, "msg_many") == ["parked", "rejected", "duplicate"]
    assert results(client, many, "msg_many") == ["duplicate", "rejected", "duplicate"]
    stored = engine.store.ledger.history(DecisionId(UUID(json.loads(content)["decision_id"])))
    assert [entry.event.reward_id for entry in stored].count(RewardId("replayed")) == 1


def test_a_webhook_id_stands_for_one_body(client: Client, engine: Engine) -> None:
    assert results(client, body("bound"), "msg_bound") == ["parked"]
    other = body("other-under-the-same-id")
    answer = client.post(PATH, content=other, headers=signed(SECRETS[0], other, message="msg_bound"))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:cxi-bandit:problem:delivery-conflict")
    stored = engine.store.ledger.history(DecisionId(UUID(json.loads(other)["decision_id"])))
    assert "other-under-the-same-id" not in {entry.event.reward_id for entry in stored}
    assert results(client, body("bound"), "msg_bound") == ["duplicate"]


def test_a_body_that_cannot_be_read_binds_nothing(client: Client) -> None:
    assert client.post(PATH, content="{}", headers=signed(SECRETS[0], "{}", message="msg_mended")).status_code == 422
    assert results(client, body("mended"), "msg_mended") == ["parked"]


def test_what_failed_between_the_id_and_the_ledger_is_taken_when_it_is_delivered_again(
    client: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = body("interrupted")

    def away(entries: object) -> list[RewardStatus]:
        raise Unavailable("the database")

    with monkeypatch.context() as broken:
        broken.setattr(engine.store.ledger, "append", away)
        headers = signed(SECRETS[0], content, message="msg_interrupted")
        assert client.post(PATH, content=content, headers=headers).status_code == 503
    assert results(client, content, "msg_interrupted") == ["parked"]


def test_each_sender_has_a_rate_of_its_own_and_only_who_signs_pays(engine: Engine, shelf: SpoolShelf) -> None:
    for source in ("slow", "other"):
        engine.store.access.add_webhook_secret(Source(source), SECRETS[0], engine.clock(), "test")
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    settings = Settings(rate_per_second=0.01, rate_burst=3)
    with TestClient(create_app(engine, settings, silent, Metrics(), shelf), raise_server_exceptions=False) as client:

        def send(source: str, number: int, secret: str = SECRETS[0]) -> int:
            content, path = body(f"{source} {number}"), f"/v1/webhooks/rewards/{source}"
            headers = signed(secret, content, message=f"msg_{source}_{number}")
            return client.post(path, content=content, headers=headers).status_code

        assert {send("slow", number, SECRETS[2]) for number in range(10)} == {401}
        assert [send("slow", number) for number in range(5)] == [202, 202, 202, 429, 429]
        assert send("other", 0) == 202


def test_a_sender_that_knows_the_order_only_follows_the_one_that_tied_it(client: Client, engine: Engine) -> None:
    event = json.loads(body("tie")) | {"order": "order-9001"}
    alone = {key: value for key, value in event.items() if key != "decision_id"} | {"reward_id": "alone"}
    statuses = []
    for number, told in enumerate((event, alone)):
        content = json.dumps(told)
        answer = client.post(PATH, content=content, headers=signed(SECRETS[0], content, message=f"msg_order_{number}"))
        statuses.append(answer.json()["results"][0]["status"])
    assert statuses == ["parked", "parked"], "its decision may yet come"
    with engine.store.ledger.addresses() as addresses:
        tie, lone = addresses.amended([(Source("mailer"), RewardId(name)) for name in ("tie", "alone")])
    assert tie.order == lone.order
    assert lone.decision_id is None


def test_several_signatures_in_one_header_are_tried(client: Client) -> None:
    content = body("several")
    headers = signed(SECRETS[0], content, message="msg_several")
    other = signed(SECRETS[2], content, message="msg_several")["webhook-signature"]
    headers["webhook-signature"] = f"v2,abc {other} {headers['webhook-signature']}"
    assert client.post(PATH, content=content, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("path", "secret", "shift", "change"),
    [
        (PATH, SECRETS[2], 0, {}),
        (PATH, SECRETS[0], -301, {}),
        (PATH, SECRETS[0], 301, {}),
        ("/v1/webhooks/rewards/unknown", SECRETS[0], 0, {}),
        ("/v1/webhooks/rewards/%00", SECRETS[0], 0, {}),
        (PATH, SECRETS[0], 0, {"webhook-id": "msg_2"}),
        (PATH, SECRETS[0], 0, {"webhook-timestamp": f"{time.time()}"}),
        (PATH, SECRETS[0], 0, {"webhook-timestamp": f"{int(time.time())}e0"}),
        (PATH, SECRETS[0], 0, {"webhook-timestamp": "99999999999"}),
        (PATH, SECRETS[0], 0, {"webhook-signature": "v1"}),
        (PATH, SECRETS[0], 0, {"webhook-signature": "v1,a,b"}),
        (PATH, SECRETS[0], 0, {"webhook-signature": "v1,é".encode()}),
        (PATH, SECRETS[0], 0, {"webhook-signature": ""}),
    ],
)
def test_everything_wrong_is_the_same_401(
    client: Client, path: str, secret: str, shift: int, change: dict[str, Any]
) -> None:
    headers = {**signed(secret, body(), time.time() + shift), **change}
    raw = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in headers.items()}
    answer = client.post(path, content=body(), headers=raw)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:cxi-bandit:problem:unauthenticated"


def test_missing_headers_and_a_changed_body_are_refused(client: Client) -> None:
    headers = signed(SECRETS[0], body())
    for name in headers:
        rest = {other: value for other, value in headers.items() if other != name}
        assert client.post(PATH, content=body(), headers=rest).status_code == 401
    assert client.post(PATH, content=body("other"), headers=headers).status_code == 401


def test_a_signed_body_that_is_no_event_is_a_problem_with_the_body(client: Client) -> None:
    for content, status in (("{", 400), ("{}", 422), ("[]", 422)):
        assert client.post(PATH, content=content, headers=signed(SECRETS[0], content)).status_code == status


@settings(max_examples=200, deadline=None)
@given(
    message=st.binary(max_size=40),
    timestamp=st.one_of(st.just(str(int(time.time())).encode()), st.binary(max_size=20)),
    signature=st.one_of(st.binary(max_size=60), st.from_regex(rb"v1,[A-Za-z0-9+/=]{0,60}", fullmatch=True)),
    content=st.binary(max_size=60),
)
def test_no_header_and_no_body_gets_past_or_breaks_the_check(
    client: Client, message: bytes, timestamp: bytes, signature: bytes, content: bytes
) -> None:
    headers = {
        b"webhook-id": _sendable(message),
        b"webhook-timestamp": _sendable(timestamp),
        b"webhook-signature": _sendable(signature),
    }
    assert client.post(PATH, content=content, headers=headers).status_code == 401


def _sendable(value: bytes) -> bytes:
    """What a server lets through as a header: neither line ends nor NUL."""
    return bytes(byte for byte in value if byte not in (0, 10, 13))


@settings(max_examples=40, deadline=None)
@given(
    deliveries=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from(["", "", "before", "after"])), max_size=12
    )
)
def test_whatever_is_replayed_mixed_up_or_interrupted_an_id_has_one_effect_and_an_event_counts_once(
    shelf: SpoolShelf, deliveries: list[tuple[int, int, str]]
) -> None:
    """Each delivery is (id, body, where the store fails: nowhere, before the ledger's commit, or just after it)."""
    engine = in_memory_engine([("quick.toml", MANIFEST)])
    engine.store.access.add_webhook_secret(Source("mailer"), SECRETS[0], engine.clock(), "test")
    append, failing = engine.store.ledger.append, ""

    def unreliable(entries: Any) -> Any:
        if failing == "before":
            raise Unavailable("the database")
        appended = append(entries)
        if failing == "after":
            raise Unavailable("the database")
        return appended

    engine.store.ledger.append = unreliable  # type: ignore[method-assign]
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    bound: dict[int, int] = {}
    told = set()
    app = create_app(engine, Settings(), silent, Metrics(), shelf)
    with patch("cxi_bandit.service.batcher._RETRY_SECONDS", 0.0), RawClient(app) as client:
        for name, number, failing in deliveries:
            content = body(f"event {number}")
            headers = signed(SECRETS[0], content, message=f"msg_{name}")
            sent = [(key.encode(), value.encode()) for key, value in headers.items()]
            answer = client.send("POST", PATH.encode(), sent, content.encode())
            if bound.setdefault(name, number) != number:
                assert answer.status == 422, "one id, one body"
            elif failing:
                assert answer.status == 503
            else:
                status = json.loads(answer.body)["results"][0]["status"]
                assert status in ("parked", "duplicate")
                assert (status == "duplicate") >= (number in told)
                told.add(number)
    ledger = engine.store.ledger.history(DecisionId(UUID(json.loads(body())["decision_id"])))
    events = [entry.event.reward_id for entry in ledger]
    assert len(events) == len(set(events)), "once"
    assert {f"event {number}" for number in told} <= set(events), "what was answered is there"
    assert set(events) <= {f"event {number}" for number in bound.values()}, "no effect under an id that is another's"

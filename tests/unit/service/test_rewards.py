import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.join import join

Client = TestClient[Litestar]

DECISION = {
    "surface": "detail_page",
    "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9},
}


@pytest.fixture
def decision_id(client: Client) -> str:
    return str(client.post("/v1/decisions", json=DECISION).json()["decision_id"])


def event(decision_id: str, reward_id: str = "r1", **changes: Any) -> dict[str, Any]:
    return {
        "decision_id": decision_id,
        "reward_id": reward_id,
        "metric": "purchase",
        "value": 1.0,
        "occurred_at": "2026-11-20T11:30:00+01:00",
    } | changes


def statuses(client: Client, body: object) -> list[str]:
    answer = client.post("/v1/rewards", json=body)
    assert answer.status_code == 202, answer.text
    return [result["status"] for result in answer.json()["results"]]


def test_a_reward_is_accepted_once(client: Client, decision_id: str) -> None:
    assert statuses(client, event(decision_id)) == ["accepted"]
    assert statuses(client, event(decision_id)) == ["duplicate"]
    assert statuses(client, event(decision_id, value=0.5)) == ["conflict"]


def test_each_event_of_a_list_has_its_own_result_in_order(client: Client, decision_id: str) -> None:
    sent = [
        event(decision_id, "a"),
        event("00000000-0000-7000-8000-000000000000", "b"),
        event(decision_id, "c", metric="nope"),
        event(decision_id, "d", value=1e39),
        event(decision_id, "e", value="much"),
        event(decision_id, "f", occurred_at="2026-11-20T11:30:00"),
        event(decision_id, "g", occurred_at="0001-01-01T00:00:00+14:00"),
        event(decision_id, "h", value=None, corrects="a", retracts="a"),
        event(decision_id, "a"),
        7,
    ]
    answer = client.post("/v1/rewards", json=sent).json()["results"]
    assert [result["status"] for result in answer] == [
        "accepted",
        "parked",
        "quarantined",
        "quarantined",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "duplicate",
        "rejected",
    ]
    assert [result["reward_id"] for result in answer] == ["a", "b", "c", "d", "e", "f", "g", "h", "a", None]
    assert answer[4]["reason"].startswith("/4/value: ")


def test_a_character_that_cannot_be_kept_spoils_only_its_own_event_of_a_list(client: Client, decision_id: str) -> None:
    deep = "[" * 500 + '"\\u0000"' + "]" * 500
    body = f"[{json.dumps(event(decision_id, 'a'))},{json.dumps(event(decision_id, 'b', metric=chr(0)))},{deep}]"
    answer = client.post("/v1/rewards", content=body.encode()).json()["results"]
    assert [result["status"] for result in answer] == ["accepted", "rejected", "rejected"]
    assert answer[1]["reason"].startswith("/1/metric: ")


def test_corrections_and_retractions_are_new_events(client: Client, decision_id: str) -> None:
    sent = [
        event(decision_id, "a"),
        event(decision_id, "b", value=0.5, corrects="a"),
        event(decision_id, "c", value=None, retracts="a"),
    ]
    assert statuses(client, sent) == ["accepted"] * 3


def test_the_only_event_is_answered_with_the_place_of_its_fault(client: Client, decision_id: str) -> None:
    answer = client.post("/v1/rewards", json=event(decision_id, value=True))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/value")
    answer = client.post("/v1/rewards", content=b'{"decision_id":"%s","value":NaN}' % decision_id.encode())
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/value")


def shopper(engine: Engine, client: Client, subject: str = "ann@example.org") -> tuple[str, datetime]:
    """A decision of the shopper, and a moment after it."""
    answer = client.post("/v1/decisions", json=DECISION | {"subject": subject}).json()
    return answer["decision_id"], engine.clock() + timedelta(seconds=5)


def unnamed(reward_id: str, at: datetime, **named: Any) -> dict[str, Any]:
    told = event("", reward_id, occurred_at=at.isoformat(), **named)
    return {key: value for key, value in told.items() if value != ""}


def test_a_reward_may_name_the_shopper_or_the_order_instead_of_the_decision(engine: Engine, client: Client) -> None:
    decision_id, at = shopper(engine, client)
    sent = [
        unnamed("paid", at, subject="ann@example.org", order="order-9001"),
        unnamed("margin", at, order="order-9001", metric="margin", value=40.0),
        unnamed("stranger", at, subject="bob@example.org"),
        unnamed("wild", at, subject="ann@example.org", value=7.0),
        unnamed("back", at, order="order-9001", value=None, retracts="paid"),
    ]
    assert statuses(client, sent) == ["accepted", "accepted", "parked", "quarantined", "accepted"]
    assert statuses(client, sent) == ["duplicate"] * 5
    assert statuses(client, sent[0] | {"subject": "bob@example.org"}) == ["conflict"]
    join(engine.store.outcomes, engine.manifests, engine.clock() + timedelta(days=1), timedelta(0))
    receipt = client.get(f"/v1/decisions/{decision_id}").json()
    told = {reward["event"]["reward_id"]: (reward["via"], reward["share"]) for reward in receipt["rewards"]}
    assert told == {
        "paid": ("subject", 1.0),
        "margin": ("order", 1.0),
        "wild": ("subject", 1.0),
        "back": ("order", 1.0),
    }
    assert receipt["outcomes"][0]["settlement"]["metrics"] == {"margin": 40.0}
    assert "ann@example.org" not in json.dumps(receipt)
    assert "order-9001" not in json.dumps(receipt)


def test_neither_shopper_nor_order_is_kept_as_it_was_sent(engine: Engine, client: Client) -> None:
    _, at = shopper(engine, client)
    statuses(client, unnamed("paid", at, subject="ann@example.org", order="ann@example.org"))
    with engine.store.ledger.addresses() as addresses:
        kept = addresses.amended([(Source("shop"), RewardId("paid"))])[0]
    assert kept.subject == pseudonym(engine.subject_key, "ann@example.org")
    assert kept.order is not None
    assert len(kept.order) == 32
    assert kept.order != kept.subject, "an order's number is no shopper's key"


def test_a_reward_that_names_too_much_or_nothing_is_refused_by_its_field(client: Client, decision_id: str) -> None:
    answer = client.post("/v1/rewards", json=event(decision_id, subject="ann"))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/subject")
    body = event(decision_id)
    del body["decision_id"]
    answer = client.post("/v1/rewards", json=body)
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/decision_id")
    answer = client.post("/v1/rewards", json=body | {"order": ""})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/order")
    assert statuses(client, [body, event(decision_id, order="order-1")]) == ["rejected", "accepted"]


def test_a_list_has_bounds(client: Client, decision_id: str) -> None:
    assert client.post("/v1/rewards", json=[]).status_code == 422
    assert client.post("/v1/rewards", json=[1] * 1001).status_code == 422
    many = [event(decision_id, f"r{index}") for index in range(1000)]
    assert statuses(client, many) == ["accepted"] * 1000

import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

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


def test_a_list_has_bounds(client: Client, decision_id: str) -> None:
    assert client.post("/v1/rewards", json=[]).status_code == 422
    assert client.post("/v1/rewards", json=[1] * 1001).status_code == 422
    many = [event(decision_id, f"r{index}") for index in range(1000)]
    assert statuses(client, many) == ["accepted"] * 1000

"""The search of decisions over HTTP: by the shopper's own key, which goes no further than the body it came in."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.engine.decide import pseudonym
from tests.unit.service.test_decisions import ask

Client = TestClient[Litestar]


def decided(client: Client, **changes: Any) -> str:
    name: str = client.post("/v1/decisions", json=ask(**changes)).json()["decision_id"]
    return name


def found(client: Client, **asked: Any) -> list[str]:
    answer = client.post("/v1/decisions/search", json=asked)
    assert answer.status_code == 200, answer.text
    return [line["decision_id"] for line in answer.json()["decisions"]]


def test_a_shopper_is_found_by_key_and_by_pseudonym_and_nobody_else_is(client: Client, engine: Engine) -> None:
    mine = [decided(client, subject="ann") for _ in range(2)]
    decided(client, subject="ann ")
    decided(client, subject=None)
    assert found(client, subject="ann") == mine[::-1]
    named = base64.b64encode(pseudonym(engine.subject_key, "ann")).decode()
    assert found(client, pseudonym=named) == mine[::-1]
    assert found(client, subject="ben") == []
    (line,) = client.post("/v1/decisions/search", json={"subject": "ann", "limit": 1}).json()["decisions"]
    receipt = client.get(f"/v1/decisions/{mine[1]}").json()["decision"]
    assert line["pseudonym"] == receipt["subject"] == named
    assert {name: line[name] for name in ("intervention", "propensity", "decided_at", "surface", "fallback")} == {
        name: receipt[name] for name in ("intervention", "propensity", "decided_at", "surface", "fallback")
    }
    assert line["defect"] == receipt["situation"]["defect"]["type"]


def test_pages_follow_each_other_to_the_end(client: Client) -> None:
    names = [decided(client, subject=f"s{number}") for number in range(5)]
    read: list[str] = []
    before = None
    while True:
        page = client.post("/v1/decisions/search", json={"limit": 2, "before": before}).json()
        read += [line["decision_id"] for line in page["decisions"]]
        before = page["before"]
        if before is None:
            break
    assert read == names[::-1]


def test_conditions_narrow_it_down(client: Client, engine: Engine) -> None:
    name = decided(client, subject="ann")
    at = engine.store.decisions.find({UUID(name)})[UUID(name)].decided_at
    held = client.get(f"/v1/decisions/{name}").json()["decision"]["intervention"]
    late = (at + timedelta(seconds=1)).isoformat()
    assert found(client, since=at.isoformat(), until=late, policy="detail-page", surface="detail_page") == [name]
    assert found(client, intervention=held) == [name]
    assert found(client, since=late) == found(client, until=at.isoformat()) == []
    assert found(client, intervention="nothing") == found(client, surface="cart") == []


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"since": "2026-11-20T08:00:00"}, "/since"),
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-11-20T08:00:00Z", "until": "2026-11-20T08:00:00Z"}, "/until"),
        ({"policy": "nobody"}, "/policy"),
        ({"surface": ""}, "/surface"),
        ({"surface": "a\0b"}, "/surface"),
        ({"subject": ""}, "/subject"),
        ({"subject": "x" * 257}, "/subject"),
        ({"pseudonym": "AAAA"}, "/pseudonym"),
        ({"subject": "ann", "pseudonym": base64.b64encode(b"a" * 32).decode()}, "/pseudonym"),
        ({"before": "x"}, "/before"),
        ({"limit": 0}, "/limit"),
        ({"limit": 201}, "/limit"),
        ({"shopper": "ann"}, "/shopper"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_by_field(client: Client, asked: dict[str, Any], pointer: str) -> None:
    answer = client.post("/v1/decisions/search", json=asked)
    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)


def test_the_earliest_and_the_latest_moments_there_are_may_be_named(client: Client) -> None:
    name = decided(client)
    assert found(client, since="0001-01-01T00:00:00+14:00", until="9999-12-31T23:59:59-14:00") == [name]

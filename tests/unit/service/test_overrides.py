"""Pins and halts over HTTP, and what they do to decisions."""

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine

Client = TestClient[Litestar]
AT = "/v1/policies/detail-page"


def ask(client: Client, engine: Engine, **changes: Any) -> dict[str, Any]:
    engine.serving.refresh()
    body = {
        "surface": "detail_page",
        "defect": {"type": "price_jump", "severity": 0.9, "confidence": 0.9},
        "context": {"device": "mobile", "price": 40.0},
    }
    answer = client.post("/v1/decisions", json=body | changes)
    assert answer.status_code == 201, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def a_pin(engine: Engine, **changes: Any) -> dict[str, Any]:
    expires_at = (engine.clock() + timedelta(hours=1)).isoformat()
    return {"intervention": "price_match", "reason": "a wrong feed", "expires_at": expires_at} | changes


def test_a_pin_is_drawn_for_certain_until_it_is_lifted(client: Client, engine: Engine) -> None:
    pinned = client.post(f"{AT}/overrides", json=a_pin(engine, segment={"device": "mobile"}))
    assert pinned.status_code == 201
    number = pinned.json()["override_id"]
    assert client.get(f"{AT}/overrides").json() == {"overrides": [pinned.json()]}
    assert client.get(AT).json()["overrides"] == [pinned.json()]
    made = ask(client, engine)
    assert (made["intervention"], made["propensity"], made["override_id"]) == ("price_match", 1.0, number)
    assert made["stage"] == "live"
    assert "override_id" not in ask(client, engine, context={"device": "desktop", "price": 40.0})
    lifted = client.post(f"{AT}/overrides/{number}/lift")
    assert (lifted.status_code, lifted.json()["lifted_by"]) == (200, "shop")
    assert "override_id" not in ask(client, engine)
    assert client.get(f"{AT}/overrides").json() == {"overrides": []}
    again = client.post(f"{AT}/overrides/{number}/lift")
    assert (again.status_code, again.json()["type"]) == (409, "urn:cxi-bandit:problem:wrong-step")
    trail = client.get("/v1/audit").json()["entries"]
    assert [(line["action"], line["actor"]) for line in trail[:2]] == [
        ("override lift", "shop"),
        ("override pin", "shop"),
    ]


def test_the_override_rate_is_a_metric(client: Client, engine: Engine) -> None:
    client.post(f"{AT}/overrides", json=a_pin(engine, segment={"device": "mobile"}))
    for device in ("mobile", "desktop", "mobile"):
        ask(client, engine, context={"device": device, "price": 40.0})
    exposed = client.get("/metrics").text.splitlines()
    decided = [float(line.split()[-1]) for line in exposed if line.startswith("cxi_bandit_decisions_total{")]
    assert sum(decided) == 3.0
    assert 'cxi_bandit_overridden_total{policy="detail-page"} 2.0' in exposed


def test_a_halt_comes_before_every_pin_and_is_lifted_as_a_halt(client: Client, engine: Engine) -> None:
    pin = client.post(f"{AT}/overrides", json=a_pin(engine)).json()["override_id"]
    halt = client.post("/v1/halt", json={"reason": "the shop is down"})
    assert (halt.status_code, halt.json()["policy"], halt.json()["expires_at"]) == (201, None, None)
    number = halt.json()["override_id"]
    made = ask(client, engine)
    assert (made["intervention"], made["propensity"], made["override_id"]) == ("hold", 1.0, number)
    assert [one["override_id"] for one in client.get(AT).json()["overrides"]] == [pin, number]
    assert client.post(f"{AT}/overrides/{number}/lift").status_code == 404, "a halt is no pin of this policy"
    assert client.post(f"/v1/halt/{pin}/lift").status_code == 404, "a pin is no halt"
    assert client.post(f"/v1/halt/{number}/lift").status_code == 200
    assert ask(client, engine)["override_id"] == pin
    one = client.post("/v1/halt", json={"policy": "detail-page", "reason": "complaints"})
    assert one.json()["policy"] == "detail-page"
    assert client.post("/v1/halt", json={"policy": "nobody", "reason": "complaints"}).status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"intervention": "gift"}, "/intervention"),
        ({"surface": "search"}, "/surface"),
        ({"defect": "thunder"}, "/defect"),
        ({"segment": {"shoe": "44"}}, "/segment/shoe"),
        ({"segment": {"device": "toaster"}}, "/segment/device"),
        ({"segment": {"device": None}}, "/segment"),
        ({"expires_at": None}, "/expires_at"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2199-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2199-01-01T00:00:00"}, "/expires_at"),
        ({"reason": ""}, "/reason"),
        ({"until": 1}, "/until"),
    ],
)
def test_a_pin_that_cannot_be_names_its_field(
    client: Client, engine: Engine, changes: dict[str, Any], pointer: str
) -> None:
    answer = client.post(f"{AT}/overrides", json=a_pin(engine, **changes))
    assert (answer.status_code, answer.json().get("pointer")) == (422, pointer), answer.json()
    assert engine.store.releases.overrides() == []


def test_a_pin_without_an_expiry_is_refused(client: Client, engine: Engine) -> None:
    body = a_pin(engine)
    del body["expires_at"]
    assert client.post(f"{AT}/overrides", json=body).json()["pointer"] == "/expires_at"
    assert client.post("/v1/policies/nobody/overrides", json=a_pin(engine)).status_code == 404
    assert client.get("/v1/policies/nobody/overrides").status_code == 404
    assert client.post(f"/v1/halt/{2**80}/lift").status_code == 404

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.engine.unlearn import unlearn, unlearning

Client = TestClient[Litestar]


def ask(**changes: Any) -> dict[str, Any]:
    body = {
        "surface": "detail_page",
        "subject": "opaque-shopper-key",
        "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9},
        "context": {"device": "mobile", "cart_value": 43.2},
    }
    return body | changes


def test_a_decision_is_answered_as_it_was_logged(client: Client, engine: Engine) -> None:
    answer = client.post("/v1/decisions", json=ask())
    assert answer.status_code == 201
    body = answer.json()
    row = engine.store.decisions.find({DecisionId(UUID(body["decision_id"]))})[DecisionId(UUID(body["decision_id"]))]
    assert body["propensity"] == row.propensity == body["probabilities"][body["intervention"]]
    assert tuple(body["probabilities"].values()) == row.probabilities
    assert body["policy"] == "detail-page"
    assert body["durability"] == "committed"
    assert body["stage"] == "live"
    assert body["fallback"] == "model_unavailable"
    assert body["closes_at"].endswith("Z")
    assert "Idempotent-Replayed" not in answer.headers


def test_a_dry_run_leaves_no_row_and_no_propensity(client: Client, engine: Engine) -> None:
    body = client.post("/v1/decisions?dry_run=true", json=ask()).json()
    assert body["decision_id"] is body["propensity"] is body["closes_at"] is None
    assert body["durability"] == "unlogged"
    assert body["intervention"] in body["probabilities"]
    assert body["why"]["basis"]["source"] == "cold_start"
    assert body["why"]["basis"]["before_floors"][0] == pytest.approx(0.3)
    assert body["why"]["excluded"]["back_in_stock_alert"] == "not for defect price_jump"
    assert body["why"]["override"] is body["why"]["assignment"] is None
    assert "why" not in client.post("/v1/decisions", json=ask(subject="real")).json()
    served = next(iter(engine.serving.policies))
    assert len(engine.store.decisions.scan(served.version.policy, None, 10)) == 1, "the real one"


def test_the_same_key_and_body_give_the_same_answer(client: Client) -> None:
    first = client.post("/v1/decisions", json=ask(), headers={"Idempotency-Key": "k1"})
    again = client.post("/v1/decisions", json=ask(), headers={"Idempotency-Key": "k1"})
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    other = client.post("/v1/decisions", json=ask(subject="other"), headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert other.json()["type"] == "urn:cxi-bandit:problem:idempotency-conflict"


def raw(severity: str = "1", context: str = "{}", kind: str = "price_jump", surface: str = "detail_page") -> bytes:
    defect = f'{{"type":"{kind}","severity":{severity},"confidence":1}}'
    return f'{{"surface":"{surface}","defect":{defect},"context":{context}}}'.encode()


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (raw(context='{"a":' + "[" * 100_000), 400, None),
        (b"[]", 422, None),
        (b'{"surface":"detail_page"}', 422, "/defect"),
        (b'{"surface":"detail_page","nope":1}', 422, "/nope"),
        (raw(severity="NaN"), 422, "/defect/severity"),
        (raw(severity="1e39"), 422, "/defect/severity"),
        (raw(severity='"1"'), 422, "/defect/severity"),
        (raw(context="[]"), 422, "/context"),
        (raw(context='{"price":1e400}'), 422, "/context/price"),
        (raw(context='{"price":-Infinity}'), 422, "/context/price"),
        (raw(context='{"price":1e39}'), 422, "/context/price"),
        (raw(context='{"price":true}'), 422, "/context/price"),
        (raw(context='{"a/b":{"c~d":[1,NaN]}}'), 422, "/context/a~1b/c~0d/1"),
        (raw(context='{"device":"\\u0000"}'), 422, "/context/device"),
        (raw(context='{"n":' + "[" * 500 + '"\\u0000"' + "]" * 500 + "}"), 422, "/context/n" + "/0" * 500),
        (raw(context='{"n":' + '{"a":' * 500 + "NaN" + "}" * 500 + "}"), 422, "/context/n" + "/a" * 500),
        (raw(kind="nope"), 422, "/defect/type"),
        (raw(surface="moon"), 422, "/surface"),
        (raw()[:-1] + b',"interventions":[{"id":"x"}]}', 422, "/interventions/0/id"),
    ],
)
def test_what_is_wrong_is_answered_with_its_place(
    client: Client, body: bytes, status: int, pointer: str | None
) -> None:
    answer = client.post("/v1/decisions", content=body)
    problem = answer.json()
    assert (answer.status_code, problem.get("pointer")) == (status, pointer), problem
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["status"] == status
    assert problem["type"].startswith("urn:cxi-bandit:problem:")


def test_unknown_features_of_any_shape_are_dropped_and_null_is_not_known(client: Client) -> None:
    context = {"device": None, "loyalty_tier": "gold", "novelty": {"deep": [1, 2]}}
    answer = client.post("/v1/decisions", json=ask(context=context))
    assert answer.status_code == 201
    receipt = client.get(f"/v1/decisions/{answer.json()['decision_id']}").json()
    assert receipt["decision"]["situation"]["context"] == {"loyalty_tier": "gold"}
    assert "cxi_bandit_dropped_features_total" in client.get("/metrics").text


def test_each_of_a_batch_has_its_own_answer_or_problem(client: Client) -> None:
    items = [ask(), ask(surface="moon"), {"surface": 1}, ask(interventions=[{"id": "hold"}])]
    answer = client.post("/v1/decisions/batch", json={"decisions": items})
    assert answer.status_code == 200
    first, second, third, fourth = answer.json()["decisions"]
    assert first["durability"] == "committed"
    assert second["pointer"] == "/surface"
    assert third["status"] == 422
    assert fourth["probabilities"] == {"hold": 1.0}


def test_a_character_that_cannot_be_kept_spoils_only_its_own_item_of_a_batch(client: Client) -> None:
    items = [ask(), ask(subject="a\0b")]
    first, second = client.post("/v1/decisions/batch", json={"decisions": items}).json()["decisions"]
    assert first["durability"] == "committed"
    assert (second["status"], second["pointer"]) == (422, "/subject")


def test_a_batch_sent_again_under_its_key_gives_the_same_decisions(client: Client) -> None:
    body, headers = {"decisions": [ask(), ask()]}, {"Idempotency-Key": "b"}
    first = client.post("/v1/decisions/batch", json=body, headers=headers).json()
    assert client.post("/v1/decisions/batch", json=body, headers=headers).json() == first
    assert len({decision["decision_id"] for decision in first["decisions"]}) == 2


def test_a_batch_has_a_limit(client: Client) -> None:
    assert client.post("/v1/decisions/batch", json={"decisions": [1] * 1001}).status_code == 422
    assert client.post("/v1/decisions/batch", json={"decisions": []}).status_code == 422


def test_a_long_body_is_refused(client: Client) -> None:
    answer = client.post("/v1/decisions", content=b" " * (256 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["title"]


def test_activation_is_for_decisions_that_exist(client: Client) -> None:
    decision_id = client.post("/v1/decisions", json=ask()).json()["decision_id"]
    assert client.post(f"/v1/decisions/{decision_id}/activation").status_code == 204
    assert client.post("/v1/decisions/00000000-0000-7000-8000-000000000000/activation").status_code == 404
    assert client.post("/v1/decisions/nonsense/activation").status_code == 404


def test_a_receipt_tells_all(client: Client) -> None:
    decision = client.post("/v1/decisions", json=ask()).json()
    reward = {
        "decision_id": decision["decision_id"],
        "reward_id": "r1",
        "metric": "purchase",
        "value": 1.0,
        "occurred_at": "2026-11-20T11:30:00Z",
    }
    client.post("/v1/rewards", json=reward)
    receipt = client.get(f"/v1/decisions/{decision['decision_id']}").json()
    assert receipt["decision"]["propensity"] == decision["propensity"]
    assert receipt["rewards"][0]["event"]["reward_id"] == "r1"
    assert receipt["outcomes"] == receipt["learned_by"] == []
    assert receipt["model"] is None
    assert client.get("/v1/decisions/nonsense").status_code == 404


def test_a_model_of_another_manifest_did_not_learn_a_decision(client: Client, engine: Engine) -> None:
    decision = client.post("/v1/decisions", json=ask()).json()["decision_id"]
    store, now = engine.store, engine.clock() + timedelta(days=1)
    join(store.outcomes, engine.manifests, now, timedelta(0))
    (first,) = store.registry.versions()
    changed = store.registry.manifest_text(first.manifest_sha).replace("cost = 0.08", "cost = 0.07")
    (second,) = install(store.registry, [("changed.toml", changed)], now, "test")
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    own, other = learner.step(first, now), learner.step(second, now)
    assert own is not None
    assert other is not None
    assert (own.lineage.learned, other.lineage.learned) == (1, 0)
    receipt = client.get(f"/v1/decisions/{decision}").json()
    assert receipt["learned_by"] == [own.lineage.version]


def test_a_rebuild_without_it_did_not_learn_an_unlearned_decision(client: Client, engine: Engine) -> None:
    begin = engine.clock() - timedelta(minutes=1)
    decision = client.post("/v1/decisions", json=ask()).json()["decision_id"]
    store, now = engine.store, engine.clock() + timedelta(days=1)
    join(store.outcomes, engine.manifests, now, timedelta(0))
    (version,) = store.registry.versions()
    learned = Learner(store.registry, store.outcomes, engine.manifests, engine.room).step(version, now)
    assert learned is not None
    rule = unlearning(version.policy, None, begin, now, now)
    unlearn(rule, store.registry, store.outcomes)
    (without,) = rebuild(version, now, store.registry, store.outcomes, engine.manifests, engine.room)
    assert (learned.lineage.learned, without.lineage.learned) == (1, 0)
    assert client.get(f"/v1/decisions/{decision}").json()["learned_by"] == [learned.lineage.version]


def test_preferring_a_short_wait_is_understood(client: Client) -> None:
    assert client.post("/v1/decisions", json=ask(), headers={"Prefer": "respond-async, wait=500"}).status_code == 201
    assert client.post("/v1/decisions", json=ask(), headers={"Prefer": "wait=soon"}).status_code == 201


def test_unknown_routes_and_methods_are_problems(client: Client) -> None:
    assert client.get("/nowhere").json()["type"] == "urn:cxi-bandit:problem:not-found"
    assert client.get("/v1/rewards").json()["type"] == "urn:cxi-bandit:problem:method-not-allowed"

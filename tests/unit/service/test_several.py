"""Several defects in one request: the few most worth acting on are decided, each as its own decision."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from scipy.stats import chisquare
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client
from tests.unit.service.conftest import MANIFEST
from tests.unit.service.test_receipts import taught

Client = TestClient[Litestar]
TWO = MANIFEST.read_text() + "\n[serving]\ninterventions_per_request = 2\n"
NAMES = ("price_jump", "slow_delivery", "thin_content")


@pytest.fixture
def engine() -> Engine:
    return in_memory_engine([(MANIFEST.name, TWO)])


@pytest.fixture
def client(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Iterator[Client]:
    settings = Settings(dev=True, key_cache_seconds=0.0)
    app = create_app(engine, settings, quiet, Metrics(), shelf)
    with local_client(app, raises=False) as client:
        yield client


def several(*severities: float, **changes: Any) -> dict[str, Any]:
    given = zip(NAMES, severities, strict=False)
    defects = [{"type": name, "severity": severity, "confidence": 1.0} for name, severity in given]
    body = {"surface": "detail_page", "subject": "shopper", "defects": defects, "context": {"device": "mobile"}}
    return body | changes


def logged(engine: Engine) -> list[Decision]:
    return engine.store.decisions.scan(PolicyName("detail-page"), None, 10_000)


def test_the_most_worth_acting_on_are_decided_each_with_its_row(client: Client, engine: Engine) -> None:
    answer = client.post("/v1/decisions", json=several(0.2, 0.9, 0.5))
    assert answer.status_code == 201
    body = answer.json()
    assert [one["defect"] for one in body["decisions"]] == ["slow_delivery", "thin_content"]
    assert body["passed_over"] == [
        {"defect": "price_jump", "reason": "outranked", "score": 0.2, "benefit": None, "uncertainty": None}
    ]
    rows = {row.situation.defect.type: row for row in logged(engine)}
    assert set(rows) == {"slow_delivery", "thin_content"}, "who is passed over leaves no row"
    for told in body["decisions"]:
        row = rows[told["defect"]]
        assert str(row.decision_id) == told["decision_id"]
        assert row.request_id == UUID(body["request_id"])
        assert tuple(told["probabilities"].values()) == row.probabilities
        assert told["propensity"] == row.propensity


def test_with_models_the_expected_benefit_ranks_too(client: Client, engine: Engine) -> None:
    for name in NAMES:
        taught(client, engine, defect={"type": name, "severity": 0.5, "confidence": 0.9})
    body = client.post("/v1/decisions", json=several(0.5, 0.5, 0.5)).json()
    (passed,) = body["passed_over"]
    assert passed["benefit"] is not None
    assert passed["uncertainty"] > 0.0
    bound = passed["benefit"] - passed["uncertainty"]
    assert passed["score"] == pytest.approx(0.5 * bound if bound > 0 else bound)


def test_propensities_are_those_of_the_policy_whatever_the_rank(client: Client, engine: Engine) -> None:
    """By chi-square tests on 1,500 draws each that fail by chance once in a billion; and every row executes again."""
    taught(client, engine)
    known = {row.decision_id for row in logged(engine)}
    body = {"decisions": [several(0.9, 0.5, 0.1, subject=f"s{index}") for index in range(300)]}
    for _ in range(5):
        assert client.post("/v1/decisions/batch", json=body).status_code == 200
    rows = [row for row in logged(engine) if row.decision_id not in known]
    kinds = Counter(row.situation.defect.type for row in rows)
    assert list(kinds.values()) == [1500, 1500], "the cut is the same for all: it knows nothing of draws"
    store = engine.store
    audit = DecisionAudit(store.registry, store.releases, engine.manifests, store.keyring, engine.room, store.outcomes)
    assert {audit.audit(row).verdict.value for row in rows} == {"identical"}
    for kind in kinds:
        of_kind = [row for row in rows if row.situation.defect.type == kind]
        (vector,) = {row.probabilities for row in of_kind}
        drawn = Counter(row.intervention for row in of_kind)
        counts = [drawn[name] for name in of_kind[0].situation.eligible]
        assert chisquare(counts, [1500 * probability for probability in vector]).pvalue > 1e-9


def test_the_same_key_and_body_give_the_same_decisions(client: Client, engine: Engine) -> None:
    key = {"Idempotency-Key": "k1"}
    first = client.post("/v1/decisions", json=several(0.2, 0.9, 0.5), headers=key)
    again = client.post("/v1/decisions", json=several(0.2, 0.9, 0.5), headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert len(logged(engine)) == 2
    other = client.post("/v1/decisions", json=several(0.3, 0.9, 0.5), headers=key)
    assert other.json()["type"] == "urn:cxi-bandit:problem:idempotency-conflict"
    alone = {"type": "price_jump", "severity": 0.5, "confidence": 0.5}
    one = client.post("/v1/decisions", json={"surface": "detail_page", "defect": alone}, headers=key)
    assert one.json()["type"] == "urn:cxi-bandit:problem:idempotency-conflict"


def test_a_key_holds_where_models_rank_otherwise_by_now(
    client: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = client.post("/v1/decisions", json=several(0.2, 0.9, 0.5), headers=key).json()
    ranks = "cxi_bandit.engine.rank.score"
    monkeypatch.setattr(ranks, lambda request, prospect: 1.0 - request.defect.severity)
    again = client.post("/v1/decisions", json=several(0.2, 0.9, 0.5), headers=key).json()
    assert again["decisions"] == first["decisions"]
    assert again["request_id"] == first["request_id"]
    assert [one["defect"] for one in again["passed_over"]] == ["price_jump"]
    assert len(logged(engine)) == 2


def test_a_dry_run_leaves_no_row(client: Client, engine: Engine) -> None:
    body = client.post("/v1/decisions?dry_run=true", json=several(0.2, 0.9, 0.5)).json()
    assert body["request_id"] is None
    assert [one["defect"] for one in body["decisions"]] == ["slow_delivery", "thin_content"]
    assert {one["propensity"] for one in body["decisions"]} == {None}
    assert logged(engine) == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"defects": []}, "/defects"),
        ({"defects": [{"type": "price_jump", "severity": 1, "confidence": 1}] * 17}, "/defects"),
        ({"defects": [{"type": "price_jump", "severity": 1, "confidence": 1}] * 2}, "/defects/1/type"),
        ({"defects": [{"type": "price_jump", "severity": 2, "confidence": 1}]}, "/defects/0/severity"),
        ({"defects": [{"type": "moonquake", "severity": 1, "confidence": 1}]}, "/defects/0/type"),
        ({"defect": {"type": "price_jump", "severity": 1, "confidence": 1}}, "/defects"),
        ({"defects": None}, "/defects"),
    ],
)
def test_what_is_wrong_is_named(client: Client, changes: dict[str, Any], pointer: str) -> None:
    answer = client.post("/v1/decisions", json=several(0.5, 0.5) | changes)
    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)


def test_a_batch_may_mix_them_and_weighs_a_thousand(client: Client) -> None:
    single = {"surface": "detail_page", "defect": {"type": "price_jump", "severity": 0.5, "confidence": 0.5}}
    body = {"decisions": [several(0.9, 0.2, 0.5), single, several(0.5) | {"surface": "moon"}]}
    told = client.post("/v1/decisions/batch", json=body, headers={"Idempotency-Key": "k"}).json()["decisions"]
    assert [one["defect"] for one in told[0]["decisions"]] == ["price_jump", "thin_content"]
    assert told[1]["policy"] == "detail-page"
    assert told[2]["pointer"] == "/surface"
    again = client.post("/v1/decisions/batch", json=body, headers={"Idempotency-Key": "k"}).json()["decisions"]
    assert again == told
    many = {"decisions": [several(0.1, 0.2, 0.3)] * 334}
    told = client.post("/v1/decisions/batch?dry_run=true", json=many).json()["decisions"]
    assert told[-1]["pointer"] == "/defects"
    assert {len(one["decisions"]) for one in told[:-1]} == {2}

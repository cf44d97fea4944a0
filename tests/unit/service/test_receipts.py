"""The receipt: why it was decided so, executed again while it is read."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Split
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.service.receipts import receipt
from tests.unit.service.test_decisions import ask

Client = TestClient[Litestar]


def decided(client: Client, engine: Engine, **changes: Any) -> tuple[dict[str, Any], Decision]:
    """A decision's receipt as it travels, and its row."""
    name = client.post("/v1/decisions", json=ask(**changes)).json()["decision_id"]
    wanted = DecisionId(UUID(name))
    return client.get(f"/v1/decisions/{name}").json(), engine.store.decisions.find({wanted})[wanted]


def taught(client: Client, engine: Engine, count: int = 120, **changes: Any) -> None:
    """Enough outcomes for the model to choose."""
    asked = [ask(subject=f"s{index}", **changes) for index in range(count)]
    assert client.post("/v1/decisions/batch", json={"decisions": asked}).status_code == 200
    store = engine.store
    now = engine.clock() + timedelta(days=1)
    join(store.outcomes, engine.manifests, now, timedelta(0))
    for version in store.registry.versions():
        while Learner(store.registry, store.outcomes, engine.manifests, engine.room).step(version, now):
            pass
    engine.serving.refresh()


def test_of_a_cold_start_the_vector_before_floors_is_shown_and_no_features(client: Client, engine: Engine) -> None:
    body, row = decided(client, engine)
    explanation = body["explanation"]
    assert explanation["verdict"] == "identical"
    assert tuple(explanation["probabilities"]) == row.probabilities
    assert explanation["u"] == row.u
    why = explanation["why"]
    assert why["source"] == "cold_start"
    assert why["before_floors"][0] == pytest.approx(0.3)
    assert why["floors"][:2] == [0.02, 0.01]
    assert why["taken"] is why["runner_up"] is None


def test_of_a_model_the_features_are_shown_that_moved_it(client: Client, engine: Engine) -> None:
    taught(client, engine)
    would = client.post("/v1/decisions?dry_run=true", json=ask()).json()
    assert would["why"]["basis"]["taken"]["intervention"] == would["intervention"]
    assert would["why"]["basis"]["taken"]["contributions"]
    body, row = decided(client, engine)
    why = body["explanation"]["why"]
    assert body["explanation"]["verdict"] == "identical"
    assert why["source"] == "model"
    taken, other = why["taken"], why["runner_up"]
    assert taken["intervention"] == row.intervention != other["intervention"]
    assert taken["probability"] == row.propensity
    likely = dict(zip(row.situation.eligible, row.probabilities, strict=True))
    assert other["probability"] == max(value for name, value in likely.items() if name != row.intervention)
    for weighed in (taken, other):
        moved = sum(one["amount"] for one in weighed["contributions"]) + weighed["others"]
        assert weighed["base"] + moved == pytest.approx(weighed["expected"], abs=1e-9)
        of_others = {f"id={name}" for name in likely if name != weighed["intervention"]}
        assert not any(name in one["feature"] for one in weighed["contributions"] for name in of_others)


def test_an_override_is_named_with_author_and_reason(client: Client, engine: Engine) -> None:
    now = engine.clock()
    pin = Override(
        intervention="hold",
        author="ann",
        reason="prices are wrong today",
        made_at=now,
        expires_at=now + timedelta(hours=1),
        policy="detail-page",
    )
    engine.store.releases.override(pin, AuditEntry(at=now, actor="ann", action="pin", policy=None, detail={}))
    engine.serving.refresh()
    would = client.post("/v1/decisions?dry_run=true", json=ask()).json()
    assert would["why"]["basis"]["source"] == "override"
    assert would["why"]["override"]["reason"] == "prices are wrong today"
    explanation = decided(client, engine)[0]["explanation"]
    assert explanation["verdict"] == "identical"
    assert explanation["why"]["source"] == "override"
    assert explanation["why"]["before_floors"] is explanation["why"]["floors"] is None
    assert (explanation["override"]["author"], explanation["override"]["reason"]) == ("ann", "prices are wrong today")


def test_an_arm_is_shown_with_share_and_salt(client: Client, engine: Engine) -> None:
    now, releases = engine.clock(), engine.store.releases
    standing = next(iter(releases.rollouts()))
    alone = msgspec.structs.replace(
        standing, revision=standing.revision + 1, hold=Split(share=0.999, salt="aside"), hold_rotation_days=0.0
    )
    releases.roll_out(alone, AuditEntry(at=now, actor="ann", action="roll out", policy=standing.policy, detail={}))
    engine.serving.refresh()
    body, _ = decided(client, engine)
    assert body["decision"]["assignment"]["arm"] == "hold"
    assert (body["decision"]["assignment"]["share"], body["decision"]["assignment"]["salt"]) == (0.999, "aside")
    assert body["explanation"]["why"]["source"] == "hold_arm"
    assert body["explanation"]["verdict"] == "identical"


def test_a_thinned_model_is_derived_only_when_that_is_asked_for(client: Client, engine: Engine) -> None:
    taught(client, engine)
    _, row = decided(client, engine)
    taught(client, engine)
    registry = engine.store.registry
    registry.thin(row.policy, [model.lineage.version for model in registry.models(row.policy)])
    there = receipt(engine, row.decision_id).explanation
    assert (there.verdict, there.why, there.probabilities) == ("unverifiable: thinned", None, None)
    derived = receipt(engine, row.decision_id, derive=True).explanation
    assert derived.verdict == "identical"
    assert derived.why is not None


def test_a_row_whose_parts_do_not_belong_together_is_said_to_be_different(client: Client, engine: Engine) -> None:
    _, row = decided(client, engine)
    forged = msgspec.structs.replace(row, probabilities=(1.0,))
    engine.store.decisions.rows[row.decision_id] = forged
    found = receipt(engine, row.decision_id).explanation
    assert (found.verdict, found.why) == ("different", None)

"""Promotions, rollbacks, shadows over HTTP: by name, with their scopes, each with its line in the trail."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from tests.harness.evidence import file_report
from tests.unit.service.conftest import MANIFEST

Client = TestClient[Litestar]
Say = Callable[..., Any]
POLICY = PolicyName("detail-page")
AT = f"/v1/policies/{POLICY}"
TEXT = MANIFEST.read_text()
TWO = TEXT.replace("approvals = 1", "approvals = 2")


@pytest.fixture
def engine() -> Engine:
    """One version live, two candidates; the live one asks for two people."""
    engine = in_memory_engine([("a.toml", TWO)])
    install(engine.store.registry, [("b.toml", TEXT)], engine.clock(), "test")
    install(engine.store.registry, [("c.toml", TEXT + "# c\n")], engine.clock(), "test")
    return engine


@pytest.fixture
def say(anyone: Client, new_key: Callable[..., str]) -> Say:
    """Calls as somebody, whose keys are made at the first call."""
    keys: dict[str, str] = {}
    scopes = {"ann": [Scope.PROPOSE, Scope.READ], "bob": [Scope.APPROVE], "eve": [Scope.APPROVE, Scope.PROPOSE]}

    def call(who: str, method: str, path: str, **body: Any) -> Any:
        secret = keys.setdefault(who, "") or new_key(*scopes[who], name=who, source=who)
        keys[who] = secret
        headers = {"authorization": f"Bearer {secret}"}
        return anyone.request(method, path, json=body or None, headers=headers)

    return call


def proposal(engine: Engine, version: int = 2, ruling: Ruling = Ruling.GO) -> dict[str, Any]:
    number = file_report(engine.promoting[:3], POLICY, version, None, at=engine.clock(), ruling=ruling)
    return {"version": version, "model_version": None, "evaluation": number}


def stages(say: Say) -> list[str]:
    return [version["stage"] for version in say("ann", "GET", AT).json()["versions"]]


def test_a_candidate_goes_through_its_stages_and_back_each_step_by_a_name(say, engine):
    proposed = say("ann", "POST", f"{AT}/promotions", **proposal(engine))
    assert (proposed.status_code, proposed.json()["step"], proposed.json()["proposed_by"]) == (201, "proposed", "ann")
    assert proposed.json()["forecast"]["candidate"] == 0.31
    assert stages(say) == ["live", "candidate", "candidate"]
    assert say("eve", "POST", f"{AT}/shadows", version=3).json()["shadow"][0]["version"] == 3
    assert stages(say) == ["live", "candidate", "shadow"]
    approved = say("bob", "POST", f"{AT}/promotions/1/approval")
    assert approved.status_code == 201
    assert [yes["by"] for yes in approved.json()["approvals"]] == ["bob"]
    policy = say("ann", "GET", AT).json()
    assert stages(say) == ["live", "canary", "shadow"]
    assert [(arm["arm"], arm["policy_version"], arm["share"]) for arm in policy["arms"]] == [
        ("live", 1, 0.95),
        ("canary", 2, 0.05),
    ]
    assert policy["promotions"] == [approved.json()] == say("ann", "GET", f"{AT}/promotions").json()["promotions"]
    assert policy["rollout"]["canary"]["promotion_id"] == 1
    approved_at = policy["rollout"]["revision"]
    back = say("bob", "POST", f"{AT}/rollbacks", reason="complaints", seen=approved_at)
    assert (back.status_code, back.json()["canary"], back.json()["made_by"]) == (201, None, "bob")
    late = say("eve", "POST", f"{AT}/rollbacks", reason="complaints", seen=approved_at)
    assert (late.status_code, late.json()["type"]) == (409, "urn:cxi-bandit:problem:rollout-conflict")
    assert say("eve", "POST", f"{AT}/rollbacks", reason="complaints", seen=99).status_code == 404
    assert say("ann", "DELETE", f"{AT}/shadows/3").json()["shadow"] == []
    assert stages(say) == ["live", "retired", "retired"]
    ended = say("ann", "GET", f"{AT}/promotions/1").json()
    assert (ended["step"], ended["reason"]) == ("rolled_back", "complaints")
    trail = [(line["action"], line["actor"]) for line in say("ann", "GET", AT).json()["trail"]]
    assert trail[3:] == [
        ("promotion propose", "ann"),
        ("shadow put", "eve"),
        ("promotion approve", "bob"),
        ("rollback", "bob"),
        ("shadow take out", "ann"),
    ]


@pytest.mark.parametrize("ruling", [Ruling.WAIT, Ruling.REFUSE])
def test_what_the_gate_says_is_answered_with_its_reasons(say, engine, ruling):
    answer = say("ann", "POST", f"{AT}/promotions", **proposal(engine, ruling=ruling))
    assert answer.status_code == 409
    told = answer.json()
    assert told["type"] == "urn:cxi-bandit:problem:refused-by-gate"
    assert (told["decision"], told["reasons"]) == (
        ruling.value,
        [{"code": "few_units", "message": "9 shoppers are too few"}],
    )
    assert say("ann", "GET", f"{AT}/promotions").json() == {"promotions": []}
    last = say("ann", "GET", AT).json()["trail"][-1]
    assert (last["action"], last["actor"]) == ("promotion turned down", "ann")


def test_who_proposed_cannot_be_the_second_person_nor_can_a_step_be_taken_twice(say, engine):
    say("eve", "POST", f"{AT}/promotions", **proposal(engine))
    alone = say("eve", "POST", f"{AT}/promotions/1/approval")
    assert (alone.status_code, alone.json()["reasons"][0]["code"]) == (409, "second_person")
    assert say("bob", "POST", f"{AT}/promotions/1/approval").status_code == 201
    again = say("bob", "POST", f"{AT}/promotions/1/approval")
    assert (again.status_code, again.json()["type"]) == (409, "urn:cxi-bandit:problem:wrong-step")
    say("bob", "POST", f"{AT}/rollbacks", reason="complaints", seen=2)
    nothing = say("bob", "POST", f"{AT}/rollbacks", reason="complaints", seen=3)
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:cxi-bandit:problem:wrong-step")


def test_a_proposal_is_refused_with_a_reason_once(say, engine):
    say("ann", "POST", f"{AT}/promotions", **proposal(engine))
    refused = say("bob", "POST", f"{AT}/promotions/1/refusal", reason="not before the sale")
    assert (refused.status_code, refused.json()["step"]) == (201, "refused")
    assert refused.json()["reason"] == "not before the sale"
    again = say("bob", "POST", f"{AT}/promotions/1/refusal", reason="not before the sale")
    assert (again.status_code, again.json()["type"]) == (409, "urn:cxi-bandit:problem:wrong-step")
    late = say("bob", "POST", f"{AT}/promotions/1/approval")
    assert (late.status_code, late.json()["type"]) == (409, "urn:cxi-bandit:problem:wrong-step")
    last = say("ann", "GET", AT).json()["trail"][-1]
    assert (last["action"], last["actor"]) == ("promotion refuse", "bob")


def test_everything_is_rolled_back_at_once_but_what_has_nothing_before_it(say, engine):
    say("eve", "POST", f"{AT}/promotions", **proposal(engine))
    say("bob", "POST", f"{AT}/promotions/1/approval")
    assert say("ann", "POST", "/v1/rollbacks", reason="complaints").status_code == 403
    found = say("bob", "POST", "/v1/rollbacks", reason="complaints")
    assert found.status_code == 201
    (made,) = found.json()["made"]
    assert (made["policy"], made["canary"], made["made_by"]) == ("detail-page", None, "bob")
    others = {rollout.policy for rollout in engine.store.releases.rollouts()} - {"detail-page"}
    assert set(found.json()["untouched"]) == others
    assert say("bob", "POST", "/v1/rollbacks", reason="complaints").json()["made"] == []


@pytest.mark.parametrize(
    ("who", "method", "path", "body"),
    [
        ("bob", "POST", "/promotions", {"version": 2, "model_version": None, "evaluation": 1}),
        ("bob", "POST", "/shadows", {"version": 2}),
        ("bob", "DELETE", "/shadows/2", {}),
        ("ann", "POST", "/promotions/1/approval", {}),
        ("ann", "POST", "/promotions/1/refusal", {"reason": "x"}),
        ("ann", "POST", "/rollbacks", {"reason": "complaints", "seen": 1}),
        ("ann", "POST", "/overrides", {"intervention": "hold", "reason": "x", "expires_at": "2026-11-20T10:00:00Z"}),
        ("ann", "POST", "/overrides/1/lift", {}),
    ],
)
def test_nothing_is_changed_without_the_scope(say, engine, who, method, path, body):
    say("ann", "POST", f"{AT}/promotions", **proposal(engine))
    before = engine.store.releases.rollout(POLICY), len(engine.store.registry.trail(POLICY))
    assert say(who, method, AT + path, **body).status_code == 403
    assert (engine.store.releases.rollout(POLICY), len(engine.store.registry.trail(POLICY))) == before
    assert engine.store.releases.overrides() == []


def test_a_halt_needs_the_scope_as_well(say, engine):
    assert say("ann", "POST", "/v1/halt", reason="x").status_code == 403
    assert say("ann", "POST", "/v1/halt/1/lift").status_code == 403
    assert engine.store.releases.overrides() == []


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("/promotions", {"version": 0, "model_version": None, "evaluation": 1}, 422, "/version"),
        ("/promotions", {"version": 2, "evaluation": 1}, 422, "/model_version"),
        ("/promotions", {"version": 2, "model_version": None, "evaluation": 1e3}, 422, "/evaluation"),
        ("/promotions", {"version": 9, "model_version": None, "evaluation": 1}, 404, None),
        ("/promotions", {"version": 2, "model_version": 2**63, "evaluation": 1}, 422, "/model_version"),
        ("/promotions", {"version": 2, "model_version": 2**62, "evaluation": 1}, 404, None),
        (
            "/promotions",
            {"version": 2, "model_version": None, "evaluation": 1, "defects": ["thunder"]},
            422,
            "/defects/0",
        ),
        ("/promotions/9/approval", {}, 404, None),
        (f"/promotions/{2**80}/approval", {}, 404, None),
        ("/promotions/9/refusal", {"reason": "x"}, 404, None),
        ("/promotions/9/refusal", {"reason": ""}, 422, "/reason"),
        ("/rollbacks", {"reason": "", "seen": 1}, 422, "/reason"),
        ("/rollbacks", {"reason": "x"}, 422, "/seen"),
        ("/rollbacks", {"reason": "x", "seen": None}, 422, "/seen"),
        ("/rollbacks", {"reason": "x", "seen": 1, "to": 9}, 404, None),
        ("/shadows", {"version": 9}, 404, None),
    ],
)
def test_what_cannot_be_names_its_field_or_is_not_found(say, path, body, status, pointer):
    answer = say("eve", "POST", AT + path, **body)
    assert (answer.status_code, answer.json().get("pointer")) == (status, pointer), answer.json()


@pytest.mark.parametrize("name", ["nobody", "x%00y", "%F0%9F%98%80", "a" * 300])
def test_a_policy_that_is_not_there_is_not_found_however_it_is_written(say, name):
    body = {"version": 2, "model_version": None, "evaluation": 1}
    assert say("ann", "GET", f"/v1/policies/{name}/promotions").status_code == 404
    assert say("ann", "POST", f"/v1/policies/{name}/promotions", **body).status_code == 404
    assert say("eve", "POST", f"/v1/policies/{name}/rollbacks", reason="x", seen=1).status_code == 404


def test_a_promotion_of_another_policy_is_not_this_ones(say, engine):
    other = TEXT.replace('name = "detail-page"', 'name = "other"').replace('surface = "detail_page"', 'surface = "o"')
    install(engine.store.registry, [("o.toml", other)], engine.clock(), "test")
    say("ann", "POST", f"{AT}/promotions", **proposal(engine))
    assert say("bob", "POST", "/v1/policies/other/promotions/1/approval").status_code == 404
    assert engine.store.releases.promotion(1).step == "proposed"


def test_who_comes_too_late_looks_again_once(say, engine, monkeypatch):
    say("ann", "POST", f"{AT}/promotions", **proposal(engine))
    releases, calls = engine.store.releases, []
    roll_out = releases.roll_out

    def late(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise RolloutConflict("a rival was faster")
        roll_out(*arguments)

    monkeypatch.setattr(releases, "roll_out", late)
    assert say("bob", "POST", f"{AT}/promotions/1/approval").status_code == 201

    def always(*_: Any) -> None:
        raise RolloutConflict("a rival was faster")

    monkeypatch.setattr(releases, "roll_out", always)
    answer = say("bob", "POST", f"{AT}/rollbacks", reason="complaints", seen=2)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:cxi-bandit:problem:rollout-conflict")

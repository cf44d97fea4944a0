"""What a person does in the console: asked first, done once, by the engine's verbs, and a refusal told in words."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput, RolloutConflict
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.promotion import Step
from cxi_bandit.engine.install import install
from cxi_bandit.policy.manifest import FlagFeature
from cxi_bandit.service.console import actions
from cxi_bandit.service.console.overriding import segment_written
from tests.harness.browser import Browser, Page, read_html
from tests.harness.evidence import file_report
from tests.harness.storied import BOTH_STORES, LIVE, POLICY, UNSAFE, file_story, of_either_store
from tests.security.matrix import session
from tests.security.raw import Headers

SignedIn = Callable[..., Browser]
AT = f"/console/policies/{POLICY}"
BOTH = (Scope.PROPOSE, Scope.APPROVE)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    return of_either_store(request)


def do(browser: Browser, path: str, **typed: str) -> Page:
    """Opens an action's page and sends it; both can be read by everybody."""
    asked = browser.open(path)
    assert (asked.status, asked.faults) == (200, []), asked.text
    page = browser.send(asked, path, **typed)
    assert page.faults == []
    assert "<script>alert" not in page.response.text
    return page


def trail(engine: Engine) -> list[tuple[str, str]]:
    return [(line.action, line.actor) for line in engine.store.registry.trail(POLICY)]


@BOTH_STORES
def test_a_candidate_is_proposed_approved_and_taken_back(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(*BOTH, name="ann")
    report = file_story(engine, 3)
    proposed = do(browser, f"/console/evaluations/{report}/propose")
    assert (proposed.status, proposed.response.url.path) == (200, AT)
    assert "Proposed. Somebody with the scope approve may now approve it." in proposed.text
    [promotion] = engine.store.releases.promotions(POLICY)
    assert (promotion.version, promotion.evaluation_id, promotion.proposed_by) == (3, report, "ann")
    approved = do(browser, f"{AT}/promotions/{promotion.promotion_id}/approve")
    assert (approved.status, "Approved." in approved.text) == (200, True)
    assert "5 % of the shoppers now 20 % of the shoppers" in approved.text
    rollout = engine.store.releases.rollout(POLICY)
    assert rollout.canary is not None
    assert rollout.canary.stand.version == 3
    asked = browser.open(f"{AT}/rollback")
    assert f"The canary of promotion {promotion.promotion_id}" in asked.text
    back = browser.send(asked, f"{AT}/rollback", reason=f"complaints {UNSAFE}")
    assert (back.status, "Rolled back." in back.text, f"complaints {UNSAFE}" in back.text) == (200, True, True)
    assert engine.store.releases.rollout(POLICY).canary is None
    assert trail(engine)[-3:] == [("promotion propose", "ann"), ("promotion approve", "ann"), ("rollback", "ann")]
    assert engine.store.releases.promotion(promotion.promotion_id).step is Step.ROLLED_BACK


@BOTH_STORES
def test_a_rollback_sent_twice_takes_back_once(signed_in: SignedIn, engine: Engine) -> None:
    """The form brings the revision that its reader looked at."""
    browser = signed_in(*BOTH)
    one_canary(browser, engine, 3)
    asked = browser.open(f"{AT}/rollback")
    first = browser.send(asked, f"{AT}/rollback", reason="complaints")
    assert first.status == 200
    revision = engine.store.releases.rollout(POLICY).revision
    again = browser.send(asked, f"{AT}/rollback", reason="complaints")
    assert again.status == 409
    assert "Nothing was done" in again.text
    assert "look again before rolling back" in again.text
    assert engine.store.releases.rollout(POLICY).revision == revision
    assert again.form(f"{AT}/rollback").all("input", name="seen")[0].attributes["value"] == str(revision)
    assert "complaints" in again.form(f"{AT}/rollback").text, "what was typed is not lost"


def one_canary(browser: Browser, engine: Engine, version: int) -> int:
    do(browser, f"/console/evaluations/{file_story(engine, version)}/propose")
    number = engine.store.releases.promotions(POLICY)[-1].promotion_id
    assert do(browser, f"{AT}/promotions/{number}/approve").status == 200
    return number


def test_an_earlier_revision_can_be_chosen_where_it_led_here(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(*BOTH)
    for version in (2, 3):
        live = type(engine.store.releases.rollout(POLICY).live)(version=version)
        following = engine.store.releases.rollout(POLICY).following("ann", engine.clock(), "went live", live=live)
        engine.store.releases.roll_out(following, engine.store.registry.trail(POLICY)[0])
    asked = browser.open(f"{AT}/rollback")
    assert "What was live before is live again: version 2, the cold start, as in revision 2." in asked.text
    assert [option.text.partition(":")[0] for option in asked.root.all("option")] == [
        "as said above",
        "revision 2",
        "revision 1",
    ]
    assert browser.send(asked, f"{AT}/rollback", reason="x", to="1").status == 200
    assert (engine.store.releases.rollout(POLICY).live.version, engine.store.releases.rollout(POLICY).restores) == (
        1,
        1,
    )
    assert do(browser, f"{AT}/rollback", reason="x", to="77").status == 404
    taken_back = do(browser, f"{AT}/rollback", reason="x", to="3")
    assert (taken_back.status, "propose it again" in taken_back.text) == (409, True)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001, "nul \0 here"])
def test_a_rollback_without_a_reason_does_nothing(signed_in: SignedIn, engine: Engine, reason: str) -> None:
    browser = signed_in(*BOTH)
    one_canary(browser, engine, 3)
    before = trail(engine)
    page = do(browser, f"{AT}/rollback", reason=reason)
    assert page.status == 422
    assert "Reason: must" in page.text
    assert trail(engine) == before


def test_where_nothing_was_live_before_the_page_says_so(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(Scope.APPROVE)
    assert "Nothing was live before." in browser.open(f"{AT}/rollback").text
    page = do(browser, f"{AT}/rollback", reason="x")
    assert (page.status, "nothing was live before" in page.text) == (409, True)


@pytest.mark.parametrize("ruling", [Ruling.WAIT, Ruling.REFUSE])
def test_what_the_gate_says_is_told_with_its_reasons(signed_in: SignedIn, engine: Engine, ruling: Ruling) -> None:
    page = do(signed_in(*BOTH), f"/console/evaluations/{file_story(engine, 3, ruling)}/propose")
    assert page.status == 409
    assert "The gate does not say go. Nothing was done." in page.text
    assert "few_units 9 shoppers are too few" in page.text
    assert engine.store.releases.promotions(POLICY) == []
    assert trail(engine)[-1] == ("promotion turned down", "anna")


def test_a_candidate_that_is_no_version_cannot_be_proposed(signed_in: SignedIn, engine: Engine) -> None:
    filed = engine.store.evaluations.get(file_story(engine, 3))
    number = engine.store.evaluations.save(
        filed.report, policy=POLICY, manifest_sha=None, model_version=None, at=engine.clock()
    )
    page = do(signed_in(*BOTH), f"/console/evaluations/{number}/propose")
    assert (page.status, "install its manifest" in page.text) == (409, True)


def test_the_second_person_is_another_one(signed_in: SignedIn, engine: Engine, new_key: Any) -> None:
    two = LIVE.replace("approvals = 1", "approvals = 2")
    other = two.replace('name = "detail-page"', 'name = "other"').replace('"detail_page"', '"cart"')
    for text in (other, other + "# two\n"):
        install(engine.store.registry, [("x.toml", text)], engine.clock(), "test")
    name = PolicyName("other")
    report = file_report(engine.promoting[:3], name, 2, None, at=engine.clock())
    browser = signed_in(*BOTH, name="ann")
    do(browser, f"/console/evaluations/{report}/propose")
    path = f"/console/policies/other/promotions/{engine.store.releases.promotions(name)[0].promotion_id}/approve"
    alone = do(browser, path)
    assert (alone.status, "second_person ann proposed it" in alone.text) == (409, True)
    browser.send(browser.open("/console"), "/console/sign-out")
    browser.sign_in(new_key(Scope.READ, Scope.APPROVE, name="bob"))
    assert do(browser, path).status == 200
    again = browser.open(path)
    assert "It was decided on already" in again.text
    assert not again.root.all("form", action=path)


def test_a_rival_who_was_faster_is_looked_at_again_and_then_told(
    signed_in: SignedIn, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(*BOTH)
    asked = []

    def rival(*_: object) -> Any:
        asked.append(1)
        raise RolloutConflict("somebody was faster")

    do(browser, f"/console/evaluations/{file_story(engine, 3)}/propose")
    number = engine.store.releases.promotions(POLICY)[0].promotion_id
    monkeypatch.setattr(actions, "approve", rival)
    page = do(browser, f"{AT}/promotions/{number}/approve")
    assert (page.status, len(asked)) == (409, 2)
    assert "It was changed meanwhile. Nothing was done." in page.text


@BOTH_STORES
def test_an_intervention_is_pinned_and_the_pin_lifted(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(Scope.APPROVE, name="ann")
    page = do(
        browser,
        f"{AT}/pin",
        intervention="free_shipping",
        defect="price_jump",
        segment="device = mobile\nprice = 40\n",
        hours="3",
        reason=f"a wrong feed {UNSAFE}",
    )
    assert (page.status, "Pinned." in page.text, f"a wrong feed {UNSAFE}" in page.text) == (200, True, True)
    [made] = engine.store.releases.overrides()
    assert (made.intervention, made.defect, made.segment) == (
        "free_shipping",
        "price_jump",
        {"device": "mobile", "price": 40},
    )
    assert made.expires_at is not None
    assert (made.expires_at - made.made_at).total_seconds() == 3 * 3600
    lifted = do(browser, f"/console/overrides/{made.override_id}/lift")
    assert (lifted.status, "Lifted." in lifted.text) == (200, True)
    assert engine.store.releases.overrides() == []
    assert "It was lifted" in browser.open(f"/console/overrides/{made.override_id}/lift").text
    assert trail(engine)[-2:] == [("override pin", "ann"), ("override lift", "ann")]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"intervention": "nothing"}, "Intervention: 'nothing' is not an intervention"),
        ({"defect": "nothing"}, "Defect: 'nothing' is not a defect"),
        ({"hours": "0"}, "Hours: must be a whole number"),
        ({"hours": "1e3"}, "Hours: must be a whole number"),
        ({"hours": "9999"}, "Expires at: must lie in the future, at most 90 days ahead"),
        ({"hours": "999999999"}, "Expires at: must lie in the future, at most 90 days ahead"),
        ({"segment": "device"}, "Segment: write a line"),
        ({"segment": "price = dear"}, "Segment: must be a number"),
        ({"segment": "colour = red"}, "Segment: is not a context feature"),
        ({"segment": "device = fridge"}, "Segment: must be one of"),
        ({"reason": ""}, "Reason: must have 1 to 1,000 characters"),
    ],
)
def test_a_pin_that_the_manifest_does_not_allow_is_told_by_its_field(
    signed_in: SignedIn, engine: Engine, typed: dict[str, str], told: str
) -> None:
    sent = {"intervention": "free_shipping", "hours": "1", "reason": "kept", **typed}
    page = do(signed_in(Scope.APPROVE), f"{AT}/pin", **sent)
    assert page.status == 422
    assert told in page.text
    assert engine.store.releases.overrides() == []
    if "reason" not in typed:
        assert page.form(f"{AT}/pin").all("textarea", name="reason")[0].text == "kept"


def test_a_segment_is_written_as_its_features_are_declared(engine: Engine) -> None:
    manifest = engine.manifests.by_sha(engine.store.registry.versions(POLICY)[0].manifest_sha)
    features = {**manifest.context.features, "signed_in": FlagFeature()}
    schema = msgspec.structs.replace(manifest.context, features=features)
    manifest = msgspec.structs.replace(manifest, context=schema)
    written = segment_written("  device=mobile \n\n price = 1e1\nsigned_in = false", manifest)
    assert written == {"device": "mobile", "price": 10.0, "signed_in": False}
    with pytest.raises(InvalidInput, match="true or false"):
        segment_written("signed_in = yes", manifest)
    with pytest.raises(InvalidInput, match=r"U\+0000"):
        segment_written("device = a\0b", manifest)


@BOTH_STORES
def test_all_is_halted_and_goes_on(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(Scope.APPROVE, name="ann")
    page = do(browser, "/console/halt", reason="fire")
    assert (page.status, page.response.url.path, "Halted:" in page.text) == (200, "/console/policies", True)
    one = do(browser, f"{AT}/halt", reason="smoke")
    assert "Pinned by people" in one.text
    whole, single = engine.store.releases.overrides()
    assert (whole.policy, single.policy, whole.halts, single.halts) == (None, POLICY, True, True)
    assert "halted already" in browser.open(f"{AT}/halt").text
    for override in (whole, single):
        assert do(browser, f"/console/overrides/{override.override_id}/lift").status == 200
    assert engine.store.releases.overrides() == []


ACTIONS = {
    "/console/evaluations/{report}/propose": Scope.PROPOSE,
    AT + "/promotions/1/approve": Scope.APPROVE,
    AT + "/rollback": Scope.APPROVE,
    AT + "/pin": Scope.APPROVE,
    AT + "/halt": Scope.APPROVE,
    "/console/halt": Scope.APPROVE,
    "/console/overrides/1/lift": Scope.APPROVE,
}


@pytest.mark.parametrize("path", ACTIONS)
def test_a_key_without_the_scope_sees_why_not_and_does_nothing(
    path: str, signed_in: SignedIn, engine: Engine, new_key: Any
) -> None:
    report = file_story(engine, 3)
    path = path.format(report=report)
    needed = ACTIONS.get(path, Scope.PROPOSE)
    others = [scope for scope in Scope if scope is not needed]
    browser = signed_in(*others)
    page = browser.open(path)
    assert (page.status, page.faults) == (403, [])
    assert f"it needs the scope {needed}" in page.text
    before = trail(engine)
    browser.client.cookies.clear()

    def sent(headers: Headers) -> Page:
        told = {name.decode(): value.decode() for name, value in headers}
        answer = browser.client.post(path, data={"reason": "x", "hours": "1", "seen": "1"}, headers=told)
        return Page(answer, read_html(answer.text))

    assert sent(session(engine, new_key(*others, name="bob", source="bob"))).status == 403
    stranger = sent(session(engine, "nobody"))
    assert (stranger.status, "Nothing was done. What you wrote is not lost" in stranger.text) == (401, True)
    without_token = sent(session(engine, new_key(*Scope, name="all", source="all"))[:1])
    assert (without_token.status, "Nothing was done" in without_token.text) == (403, True)
    assert trail(engine) == before


@pytest.mark.parametrize(
    "path",
    [
        "/console/evaluations/999/propose",
        AT + "/promotions/999/approve",
        AT + "/promotions/99999999999999999999999/approve",
        "/console/policies/nothing/rollback",
        "/console/policies/nothing/pin",
        "/console/policies/nothing/halt",
        "/console/overrides/999/lift",
        "/console/overrides/99999999999999999999999/lift",
    ],
)
def test_what_there_is_not_cannot_be_acted_on(signed_in: SignedIn, engine: Engine, path: str) -> None:
    browser = signed_in(*BOTH)
    assert browser.open(path).status == 404
    token = browser.open(f"{AT}/pin").form(f"{AT}/pin").all("input", name="_csrf_token")[0].attributes["value"]
    assert browser.client.post(path, data={"_csrf_token": token or ""}).status_code == 404

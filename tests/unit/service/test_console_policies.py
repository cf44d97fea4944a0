"""The console's pages of policies and evaluations, over memory and over PostgreSQL: whole, readable, and escaped."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Span, Stretches
from cxi_bandit.engine.install import install
from cxi_bandit.engine.override import halt
from cxi_bandit.service.console.formats import UNKNOWN
from cxi_bandit.service.console.lineage import line_of
from cxi_bandit.service.console.policy_charts import learning_curve, propensities
from cxi_bandit.service.console.policy_facts import spent
from tests.harness.browser import Browser, Page
from tests.harness.storied import BOTH_STORES, LIVE, POLICY, UNSAFE, file_story, of_either_store

SignedIn = Callable[..., Browser]


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    return of_either_store(request)


def sound(page: Page) -> Page:
    """A page that can be read by everybody, on which nothing that somebody wrote is more than text."""
    assert page.status == 200, page.text
    assert page.faults == []
    assert "<script>alert" not in page.response.text
    for script in page.root.all("script"):
        assert script.attributes.get("type") == "application/json" or "src" in script.attributes
    return page


@BOTH_STORES
def test_the_list_says_who_answers_what_is_coming_and_what_is_halted(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in(Scope.APPROVE)
    page = sound(browser.open("/console/policies"))
    assert "100 % live version 1" in page.text
    assert UNSAFE in page.text, "as text"
    [here] = page.root.all("a", aria_current="page")
    assert here.text == "Policies"
    halt(None, "eve", f"fire {UNSAFE}", engine.store.releases, engine.clock())
    halted = sound(browser.open("/console/policies"))
    assert "Everything is halted since" in halted.text
    assert f"by eve: fire {UNSAFE}" in halted.text
    assert halted.root.all("a", href="/console/overrides/1/lift")


def test_without_a_policy_the_list_says_what_to_do(browser: Browser, engine: Engine, new_key: Any) -> None:
    engine.store.releases.rollouts = list  # type: ignore[method-assign]
    browser.sign_in(new_key(Scope.READ))
    assert "No policy is installed. Put a manifest" in sound(browser.open("/console/policies")).text


@BOTH_STORES
def test_a_policys_page_tells_all_of_it(signed_in: SignedIn, engine: Engine) -> None:
    page = sound(signed_in().open(f"/console/policies/{POLICY}"))
    assert page.title == f"{POLICY} · cxi-bandit"
    for told in (
        "5 % of the shoppers 20 % of the shoppers live now",
        "Each step lasts 1 d and 500 of the canary's shoppers at least.",
        "A shopper gets live_chat at most 2 times in 1 d.",
        "After any intervention a shopper is left alone for 1 h.",
        "Nothing was proposed yet.",
        "Nothing is watched yet",
        f"installer {UNSAFE}",
        'name = "detail-page"',
    ):
        assert told in page.text
    budgets = next(table for table in page.root.all("table") if table.text.startswith("Today's budgets"))
    assert [row.all("th")[0].text for row in budgets.all("tr")[1:]] == ["live chat", "exploring"]


def test_what_was_earned_is_told_once_all_windows_are_closed(
    engine: Engine, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = engine.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=number) for number in (9, 8)]

    def tally(starts_at: datetime, arm: Arm, version: int, reward: float, **changes: int) -> ArmTally:
        numbers = {"decided": 4, "closed": 4, "judged": 4, **changes}
        return ArmTally(
            span=Span.HOUR if starts_at == midnight else Span.DAY,
            starts_at=starts_at,
            policy_version=version,
            arm=arm,
            reward=reward,
            squares=reward * reward,
            **numbers,
        )

    told = [
        tally(days[0], Arm.LIVE, 1, 2.0),
        tally(days[0], Arm.PREVIOUS, 1, 4.0, judged=2, closed=4),
        tally(days[0], Arm.HOLD, 1, 1.0),
        tally(days[1], Arm.LIVE, 1, 2.0, closed=3),
        tally(days[1], Arm.CANARY, 2, 3.0),
        tally(midnight, Arm.HOLD, 2, 0.0, judged=0),
    ]
    # The overview, where a reader signs in, asks too.
    monkeypatch.setattr(engine.store.tallies, "by_arm", lambda policies, _: dict.fromkeys(policies, told))
    chart = learning_curve(engine, POLICY)
    assert list(chart.x) == [*days, midnight]
    assert {series.label: series.values for series in chart.series} == {
        "version 1": [1.0, None, None],
        "version 2": [None, 0.75, None],
        "left alone": [0.25, None, None],
    }
    assert chart.series[-1].label == "left alone"
    page = sound(signed_in().open(f"/console/policies/{POLICY}"))
    assert page.chart("learning-curve")["series"][0]["values"] == [1.0, None, None]


def test_propensities_are_means_over_all_decisions_of_their_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = engine.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    earlier = midnight - timedelta(days=5)

    def drawn(starts_at: datetime, name: str, decided: int, expected: float) -> DrawnTally:
        return DrawnTally(
            span=Span.DAY if starts_at == earlier else Span.HOUR,
            starts_at=starts_at,
            intervention=InterventionId(name),
            decided=decided,
            expected=expected,
        )

    told = [drawn(earlier, "hold", 3, 2.5), drawn(earlier, "gone", 1, 1.5)]
    told += [drawn(midnight, "hold", 2, 1.0), drawn(midnight, "free_shipping", 0, 1.0)]
    asked: list[Stretches] = []

    def telling(policies: Sequence[PolicyName], stretches: Sequence[Stretches]) -> dict[PolicyName, list[DrawnTally]]:
        asked.extend(stretches)
        return dict.fromkeys(policies, told)

    monkeypatch.setattr(engine.store.tallies, "drawn", telling)
    manifest = engine.manifests.by_sha(engine.store.registry.versions(POLICY)[0].manifest_sha)
    chart = propensities(engine, POLICY, manifest)
    assert list(chart.x) == [earlier, midnight]
    days, hours = asked
    assert (days.span, hours.span, days.until) == (Span.DAY, Span.HOUR, hours.since), "nothing is told twice"
    values = {series.label: series.values for series in chart.series}
    assert values["hold"] == [0.625, 0.5]
    assert values["free_shipping"] == [0.0, 0.5]
    assert values["gone"] == [0.375, 0.0], "an intervention of an earlier version"
    assert list(values)[-1] == "gone"


@BOTH_STORES
def test_what_is_spent_is_told_beside_its_bound(engine: Engine) -> None:
    manifest = engine.manifests.by_sha(engine.store.registry.versions(POLICY)[0].manifest_sha)
    chat, exploring = spent(engine, POLICY, manifest)
    # A lease is an eighth of what is left at most.
    assert (chat.intervention, chat.uses, chat.most_uses, chat.money, chat.most_money) == (
        "live_chat",
        3,
        40,
        10.5,
        70.0,
    )
    assert chat.share == 0.15
    assert (exploring.intervention, exploring.uses, exploring.money, exploring.most_money) == (None, None, 0.0, 20.0)


@BOTH_STORES
def test_models_are_told_back_to_their_start(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in()
    page = sound(browser.open(f"/console/policies/{POLICY}"))
    table = next(table for table in page.root.all("table") if table.text.startswith("Models, each derived"))
    assert [row.all("th")[0].text for row in table.all("tr")[1:]] == [str(number) for number in range(30, 22, -1)]
    assert table.all("tr")[1].text.startswith("30 2 main 29 2,901 to 3,000 100 2,900 30 000000000000 4,096")
    older = sound(browser.open(f"/console/policies/{POLICY}/lineage?from=22"))
    rows = older.root.all("table")[0].all("tr")[1:]
    assert [row.all("th")[0].text for row in rows] == [str(number) for number in range(22, 0, -1)]
    assert sum("thinned" in row.text for row in rows) == 13
    assert rows[-1].text.startswith(f"1 2 start {UNKNOWN} {UNKNOWN}"), "a start has no segment"
    assert not older.root.all("a", href=f"/console/policies/{POLICY}/lineage?from=1")
    newest = sound(browser.open(f"/console/policies/{POLICY}/lineage"))
    assert newest.root.all("a", href=f"/console/policies/{POLICY}/lineage?from=5")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/policies/nothing", 404),
        ("/console/policies/%00", 404),
        ("/console/policies/nothing/lineage", 404),
        (f"/console/policies/{POLICY}/lineage?from=31", 404),
        (f"/console/policies/{POLICY}/lineage?from=x", 422),
        (f"/console/policies/{POLICY}/lineage?from=0", 422),
        ("/console/evaluations?before=-1", 422),
        ("/console/evaluations/0", 404),
        ("/console/evaluations/1", 404),
        ("/console/evaluations/99999999999999999999", 404),
        ("/console/evaluations/x", 404),
    ],
)
def test_what_there_is_not_is_a_page_that_says_so(signed_in: SignedIn, path: str, status: int) -> None:
    page = signed_in().open(path)
    assert (page.status, page.faults) == (status, [])


def test_a_line_of_models_that_there_is_not(engine: Engine) -> None:
    registry = engine.store.registry
    with pytest.raises(NotFound):
        line_of(POLICY, 31, registry)
    assert line_of(PolicyName("cart"), None, registry).models == []
    assert [one.model.lineage.version for one in line_of(POLICY, 3, registry, steps=2).models] == [3, 2]
    assert line_of(POLICY, 3, registry, steps=2).older == 1


@BOTH_STORES
def test_evaluations_are_listed_newest_first_and_by_policy(signed_in: SignedIn, engine: Engine) -> None:
    browser = signed_in()
    empty = sound(browser.open("/console/evaluations"))
    assert "No report is filed here yet." in empty.text
    go, wait, refuse = (file_story(engine, 2, ruling) for ruling in (Ruling.GO, Ruling.WAIT, Ruling.REFUSE))
    page = sound(browser.open("/console/evaluations"))
    rows = page.root.all("table")[0].all("tr")[1:]
    assert [int(row.all("th")[0].text) for row in rows] == [refuse, refuse - 1, wait, wait - 1, go, go - 1]
    assert "0.31 [0.2, 0.4]" in rows[2].text
    assert "0.31" not in rows[0].text, "where the log refuses, no estimate is shown anywhere"
    assert "98,765" in rows[0].text
    older = sound(browser.open(f"/console/evaluations?policy={POLICY}&before={wait}"))
    assert [int(row.all("th")[0].text) for row in older.root.all("table")[0].all("tr")[1:]] == [wait - 1, go, go - 1]
    assert sound(browser.open("/console/evaluations?policy=%3Cscript%3E")).root.all("table"), "as if none were named"


@BOTH_STORES
def test_a_report_is_shown_with_its_intervals_its_trial_and_its_checks(signed_in: SignedIn, engine: Engine) -> None:
    page = sound(signed_in(Scope.PROPOSE).open(f"/console/evaluations/{file_story(engine, 2)}"))
    assert "98,765 logged decisions" in page.text
    assert "Verdict: go" in page.text
    assert "Reached against detail-page version 1, cold start." in page.text
    drawn = page.chart("estimates")
    assert (drawn["kind"], drawn["x"]) == ("intervals", ["dr", "ips", "dm"])
    [series] = drawn["series"]
    assert (series["values"], series["low"], series["high"]) == (
        [0.31, 0.28, None],
        [0.2, None, None],
        [0.4, None, None],
    )
    path = page.chart("evidence")
    assert path["timed"]
    assert path["series"][0]["values"] == pytest.approx([0.8 * day for day in range(1, 8)])
    assert len(set(path["series"][1]["values"])) == 1
    for told in ("read with care", "refuses", "fine", "more rows", "4,321"):
        assert told in page.text
    assert "It holds no more" not in page.text
    assert page.root.all("a", href=page.response.url.path + "/propose")


def test_where_the_log_refuses_no_estimate_is_shown_anywhere(signed_in: SignedIn, engine: Engine) -> None:
    page = sound(signed_in(Scope.PROPOSE).open(f"/console/evaluations/{file_story(engine, 2, Ruling.REFUSE)}"))
    assert "Verdict: refuse" in page.text
    assert "few_units 9 shoppers are too few" in page.text
    assert "0.31" not in page.response.text
    assert not page.root.all("script", id="estimates-data")
    assert not page.root.all("a", href=page.response.url.path + "/propose")


def test_a_verdict_that_expired_says_so(signed_in: SignedIn, engine: Engine) -> None:
    number = file_story(engine, 2)
    rollout = engine.store.releases.rollout(POLICY)
    engine.store.releases.roll_out(
        rollout.following(
            "ann", engine.clock(), "another went live", live=type(rollout.live)(version=3, follows_head=True)
        ),
        engine.store.registry.trail(POLICY)[0],
    )
    page = sound(signed_in(Scope.PROPOSE).open(f"/console/evaluations/{number}"))
    assert "It holds no more: incumbent_changed" in page.text
    assert not page.root.all("a", href=page.response.url.path + "/propose")


def test_a_report_of_a_log_that_no_policy_made_is_shown_all_the_same(signed_in: SignedIn, engine: Engine) -> None:
    filed = engine.store.evaluations.get(file_story(engine, 2))
    number = engine.store.evaluations.save(
        filed.report, policy=PolicyName("imported"), manifest_sha=None, model_version=None, at=engine.clock()
    )
    page = sound(signed_in(Scope.PROPOSE).open(f"/console/evaluations/{number}"))
    assert not page.root.all("a", href=page.response.url.path + "/propose")


@pytest.mark.parametrize("scopes", [(), (Scope.PROPOSE,), (Scope.APPROVE,), (Scope.PROPOSE, Scope.APPROVE)])
def test_every_page_is_whole_for_each_scope_and_says_what_a_key_lacks(
    signed_in: SignedIn, engine: Engine, scopes: tuple[Scope, ...]
) -> None:
    report = file_story(engine, 2)
    browser = signed_in(*scopes)
    policy = sound(browser.open(f"/console/policies/{POLICY}"))
    assert bool(policy.root.all("a", href=f"/console/policies/{POLICY}/rollback")) == (Scope.APPROVE in scopes)
    assert ("your key lacks the scope approve" in policy.text) == (Scope.APPROVE not in scopes)
    evaluation = sound(browser.open(f"/console/evaluations/{report}"))
    assert ("your key lacks the scope propose" in evaluation.text) == (Scope.PROPOSE not in scopes)
    for path in ("/console", "/console/policies", "/console/evaluations", f"/console/policies/{POLICY}/lineage"):
        sound(browser.open(path))


def test_each_policy_has_a_page_of_its_own(signed_in: SignedIn, engine: Engine) -> None:
    other = LIVE.replace('name = "detail-page"', 'name = "other"').replace('"detail_page"', '"cart"')
    install(engine.store.registry, [("x.toml", other)], engine.clock(), "test")
    browser = signed_in()
    listed = sound(browser.open("/console/policies"))
    for name in (POLICY, "other"):
        [link] = listed.root.all("a", href=f"/console/policies/{name}")
        assert sound(browser.open(link.attributes["href"] or "")).root.all("h1")[0].text == name

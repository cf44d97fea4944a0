"""The quarantine in the console: readers look, approvers release and discard, and the trail tells of each."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.join import join
from tests.harness.browser import Browser, Page, filled, read_html
from tests.unit.service.test_decisions import ask
from tests.unit.service.test_rewards import event, statuses

Client = TestClient[Litestar]
QUARANTINE = "/console/quarantine"
AMEND = f"{QUARANTINE}/amend"
HOSTILE = "<svg onload=alert(1)>\"'&"


@pytest.fixture
def decision(client: Client, engine: Engine) -> str:
    """One with a value out of range, a metric that nobody declared, and a good one."""
    name = str(client.post("/v1/decisions", json=ask()).json()["decision_id"])
    at = engine.clock().isoformat()
    sent = [
        event(name, "large", value=7.0, occurred_at=at),
        event(name, HOSTILE, metric="weather", occurred_at=at),
        event(name, "good", occurred_at=at),
    ]
    assert statuses(client, sent) == ["quarantined", "quarantined", "accepted"]
    return name


@pytest.fixture
def approver(decision: str, signed_in: Callable[..., Browser]) -> Browser:
    return signed_in(Scope.APPROVE)


def listed(page: Page) -> list[str]:
    """The ids of the rewards on a page."""
    assert (page.status, page.faults) == (200, [])
    return [cell.text for table in page.root.all("table") for cell in table.all("th", scope="row")]


def amended(reader: Browser, page: Page, *numbers: str, **fields: str) -> Page:
    """Fills in the form that asks why, for several, and sends it."""
    answer = reader.client.post(AMEND, data={**filled(page.form(AMEND)), "number": list(numbers), **fields})
    return Page(answer, read_html(answer.text))


def test_what_waits_is_listed_with_why(approver: Browser, decision: str) -> None:
    page = approver.open(QUARANTINE)
    assert listed(page) == ["large", HOSTILE]
    assert "outside the declared [0, 1]" in page.text
    assert page.root.all("svg") == []
    assert [box.attributes["value"] for box in page.root.all("input", type="checkbox")] == ["1", "2"]
    assert {link.attributes["href"] for link in page.root.all("a") if decision in str(link.attributes["href"])} == {
        f"/console/decisions/{decision}"
    }


def test_a_release_counts_is_told_in_the_trail_and_is_listed_no_more(
    approver: Browser, client: Client, engine: Engine, decision: str
) -> None:
    asked = approver.open(f"{AMEND}?verb=release&number=1")
    assert (asked.status, asked.faults, asked.title) == (200, [], "Release a quarantined reward · cxi-bandit")
    done = approver.send(asked, AMEND, value="0.5", reason="a till that counts in halves")
    assert (done.status, done.faults, done.title) == (200, [], "Released · cxi-bandit")
    assert "large of shop counts as 0.5" in done.text
    history = client.get(f"/v1/decisions/{decision}").json()["rewards"]
    assert [(one["event"]["corrects"], one["event"]["value"]) for one in history][-1] == ("large", 0.5)
    line = engine.store.registry.trail()[-1]
    assert (line.actor, line.action, line.detail) == (
        "anna",
        "quarantine release",
        {"source": "shop", "reward_id": "large", "metric": "purchase", "value": "0.5"}
        | {"reason": "a till that counts in halves"},
    )
    assert listed(approver.open(QUARANTINE)) == [HOSTILE]
    assert listed(approver.open(f"{QUARANTINE}?state=released")) == ["large"]
    assert listed(approver.open(f"{QUARANTINE}?state=all")) == ["large", HOSTILE]
    again = approver.send(asked, AMEND, value="0.5", reason="once more")
    assert "Said before, and unchanged: 1" in again.text


def test_several_are_discarded_at_once_and_a_closed_window_asks_for_a_rebuild(
    approver: Browser, engine: Engine, decision: str
) -> None:
    join(engine.store.outcomes, engine.manifests, engine.clock() + timedelta(days=1), timedelta(0))
    asked = approver.open(f"{AMEND}?verb=discard&number=1&number=2&number=2")
    assert listed(asked) == ["large", HOSTILE]
    assert asked.root.all("svg") == []
    done = amended(approver, asked, "1", "2", reason="a test till")
    assert (done.status, done.title) == (200, "Discarded · cxi-bandit")
    (waiting,) = engine.store.rebuilds.waiting()
    assert waiting.reason == "quarantine discard by anna"
    assert f"as request {waiting.request_id}" in done.text
    assert listed(approver.open(QUARANTINE)) == []
    assert "No reward is quarantined that fits" in approver.open(QUARANTINE).text


def test_what_can_never_count_is_left_and_the_rest_is_done(approver: Browser) -> None:
    asked = approver.open(f"{AMEND}?verb=release&number=1&number=2")
    done = amended(approver, asked, "1", "2", reason="why not")
    assert done.status == 200
    assert "large of shop counts as 1" in done.text
    assert "is no metric of the manifest" in done.text
    alone = approver.send(approver.open(f"{AMEND}?verb=release&number=2"), AMEND, reason="why not")
    assert (alone.status, "declare the metric" in alone.text) == (422, True)
    wide = approver.send(approver.open(f"{AMEND}?verb=release&number=1"), AMEND, reason="why not", value="2")
    assert (wide.status, "value: 2.0 lies outside [0, 1]" in wide.text) == (422, True)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": " "}, "Reason : must have 1 to 1,000 characters"),
        ({"reason": "x" * 1001}, "Reason : must have 1 to 1,000 characters; it has 1,001"),
        ({"reason": "a\0b"}, "Reason : must not contain the character U+0000"),
        ({"reason": "because", "value": "much"}, "Value : must be a number"),
        ({"reason": "because", "value": "nan"}, "Value : must be a number"),
        ({"reason": "because", "value": "1e999"}, "Value : must be a number"),
    ],
)
def test_a_field_that_cannot_be_is_named_and_nothing_is_done(
    approver: Browser, engine: Engine, fields: dict[str, str], told: str
) -> None:
    page = approver.send(approver.open(f"{AMEND}?verb=release&number=1"), AMEND, **fields)
    assert (page.status, page.faults) == (422, [])
    (alert,) = page.root.all("p", role="alert")
    assert told in alert.text
    assert listed(approver.open(QUARANTINE)) == ["large", HOSTILE]
    assert [line.action for line in engine.store.registry.trail() if line.action.startswith("quarantine")] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("verb=release", 422),
        ("verb=keep&number=1", 422),
        ("verb=release&number=x", 422),
        ("verb=release&number=" + "9" * 30, 422),
        ("verb=release&number=999", 404),
        ("verb=release&" + "&".join(f"number={number}" for number in range(1, 52)), 422),
    ],
)
def test_a_choice_that_cannot_be_is_refused(approver: Browser, query: str, status: int) -> None:
    page = approver.open(f"{AMEND}?{query}")
    assert (page.status, page.faults) == (status, [])


def test_who_only_reads_may_look_and_no_more(decision: str, signed_in: Callable[..., Browser]) -> None:
    reader = signed_in()
    page = reader.open(QUARANTINE)
    assert listed(page) == ["large", HOSTILE]
    assert page.root.all("input", type="checkbox") == page.root.all("button", name="verb") == []
    assert "scope approve" in page.text
    refused = reader.open(f"{AMEND}?verb=release&number=1")
    assert (refused.status, "needs the scope approve" in refused.text) == (403, True)


def test_it_narrows_down_and_goes_on_page_by_page(
    approver: Browser, client: Client, decision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [event(decision, f"odd{number}", value=9.0) for number in range(4)]
    assert statuses(client, sent) == ["quarantined"] * 4
    assert listed(approver.open(f"{QUARANTINE}?metric=weather")) == [HOSTILE]
    assert listed(approver.open(f"{QUARANTINE}?source=nobody")) == []
    assert listed(approver.open(f"{QUARANTINE}?policy=detail-page&metric=purchase"))[0] == "large"
    monkeypatch.setattr("cxi_bandit.service.console.quarantine._ON_A_PAGE", 2)
    read: list[str] = []
    page = approver.open(f"{QUARANTINE}?metric=purchase")
    for _ in range(4):
        read += listed(page)
        further = [link.attributes["href"] for link in page.root.all("a") if link.text == "Later ones"]
        if not further:
            break
        page = approver.open(str(further[0]))
    assert read == ["large", "odd0", "odd1", "odd2", "odd3"]
    assert approver.open(f"{QUARANTINE}?after=x").status == 422


def test_decisions_set_aside_are_listed(approver: Browser, engine: Engine, decision: str) -> None:
    page = approver.open(f"{QUARANTINE}/decisions")
    assert (page.status, page.faults, "None is set aside" in page.text) == (200, [], True)
    named = DecisionId(UUID(decision))
    engine.store.decisions.abandon([named])
    page = approver.open(f"{QUARANTINE}/decisions")
    assert listed(page) == [decision]
    assert "too late for anybody to see it" in page.text
    assert approver.open(f"{QUARANTINE}/decisions?before={decision}").text.count(decision) == 0
    assert approver.open(f"{QUARANTINE}/decisions?before=x").status == 422

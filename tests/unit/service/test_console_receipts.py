"""A decision laid open in the console: the same that the receipt says, and nothing of it taken for markup."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision, Fallback
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Split, Stand
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from tests.harness.browser import Browser, Element, Page
from tests.unit.service.test_decisions import ask
from tests.unit.service.test_receipts import taught
from tests.unit.service.test_rewards import event

Client = TestClient[Litestar]
HOSTILE = "<img src=x onerror=alert(1)>\"'&"


def decided(client: Client, **changes: Any) -> str:
    return str(client.post("/v1/decisions", json=ask(**changes)).json()["decision_id"])


def row_of(engine: Engine, name: str) -> Decision:
    wanted = DecisionId(UUID(name))
    return engine.store.decisions.find({wanted})[wanted]


def table(page: Page, caption: str) -> list[list[str]]:
    """The rows of a table, cell by cell."""
    (found,) = [
        one for one in page.root.all("table") if any(name.text.startswith(caption) for name in one.all("caption"))
    ]
    (body,) = found.all("tbody")
    return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in body.all("tr")]


@pytest.fixture
def opened(client: Client, signed_in: Callable[..., Browser]) -> Callable[[str], Page]:
    reader = signed_in()

    def open_one(name: str) -> Page:
        page = reader.open(f"/console/decisions/{name}")
        assert (page.status, page.faults) == (200, [])
        return page

    return open_one


def test_of_a_cold_start_it_says_what_could_be_done_and_what_was_drawn(
    client: Client, engine: Engine, opened: Callable[[str], Page]
) -> None:
    name = decided(client)
    row, page = row_of(engine, name), opened(name)
    assert page.title == f"Decision {name} · cxi-bandit"
    assert "executed again: identical" in page.text
    assert row.fallback is not None
    assert f"The model did not choose: {row.fallback.replace('_', ' ')}." in page.text
    eligible = table(page, "Eligible interventions")
    assert [cells[0].removesuffix(" drawn") for cells in eligible] == [
        one.replace("_", " ") for one in row.situation.eligible
    ]
    assert [cells[0] for cells in eligible if cells[0].endswith(" drawn")] == [
        row.intervention.replace("_", " ") + " drawn"
    ]
    assert [cells[3:5] for cells in eligible] == [[cells[3]] * 2 for cells in eligible], "again as it was logged"
    assert page.chart("probabilities")["series"][0]["values"] == list(row.probabilities)
    assert [cells[0] for cells in table(page, "Not eligible")] == [one.replace("_", " ") for one in row.excluded]
    assert table(page, "Context") == [["device", "mobile"], ["cart_value", "43.2"]]
    assert repr(row.u) in page.text
    for told in ("No weights", "Its window is still open", "No reward has been heard", "No model has learned from it"):
        assert told in page.text


def test_what_moved_it_is_shown_and_who_learned_it(
    client: Client, engine: Engine, opened: Callable[[str], Page]
) -> None:
    taught(client, engine)
    name = decided(client)
    client.post("/v1/rewards", json=event(name, occurred_at=row_of(engine, name).decided_at.isoformat()))
    taught(client, engine, 1)
    page = opened(name)
    told = client.get(f"/v1/decisions/{name}").json()
    moved = told["explanation"]["why"]["taken"]["contributions"]
    rows = table(page, "Drawn: features")
    assert [cells[0] for cells in rows] == [one["feature"] for one in moved] + ["all others", "least reward there is"]
    assert len(table(page, "Runner-up: features")) > 2
    assert [cells[0] for cells in table(page, "Rewards heard")] == ["r1"]
    (outcome,) = table(page, "Outcome, every revision")
    assert outcome[0:2] == ["0", "121"]
    (learned,) = told["learned_by"]
    assert f"Learned by model {learned}." in page.text


def test_overrides_arms_and_who_scored_beside_are_named(
    client: Client, engine: Engine, opened: Callable[[str], Page]
) -> None:
    now, releases = engine.clock(), engine.store.releases
    line = AuditEntry(at=now, actor="ann", action="test", policy=None, detail={})
    standing = next(iter(releases.rollouts()))
    beside = msgspec.structs.replace(
        standing,
        revision=standing.revision + 1,
        hold=Split(share=0.001, salt="aside"),
        shadow=(Stand(version=1, model=None),),
    )
    releases.roll_out(beside, line)
    pin = Override(
        intervention="hold", author=HOSTILE, reason=HOSTILE, made_at=now, expires_at=now + timedelta(hours=1)
    )
    engine.serving.refresh()
    page = opened(decided(client))
    assert "salt" in page.text.lower()
    assert table(page, "Scored beside: shadow, version 1")[0][0] == "hold"
    releases.override(pin, line)
    engine.serving.refresh()
    page = opened(decided(client))
    assert f"by {HOSTILE}, made" in page.text
    assert "Chosen by a person" in page.text
    assert page.root.all("img") == []


def test_whatever_was_sent_stays_text(client: Client, engine: Engine, opened: Callable[[str], Page]) -> None:
    name = decided(client, subject=HOSTILE)
    client.post("/v1/rewards", json=event(name, HOSTILE, metric=HOSTILE))
    client.post("/v1/rewards", json=event(name, "r2", corrects=HOSTILE))
    page = opened(name)
    assert page.root.all("img") == []
    assert HOSTILE in " ".join(cells[0] for cells in table(page, "Rewards heard"))
    forged = msgspec.structs.replace(
        row_of(engine, name),
        decision_id=engine.mint.mint(engine.clock()),
        excluded={HOSTILE: HOSTILE},
        surface=HOSTILE,
        fallback=Fallback.MODEL_REFUSED,
        draw_key_id="draw-1",
    )
    situation = msgspec.structs.replace(
        forged.situation, context={HOSTILE: HOSTILE}, offered={HOSTILE: {HOSTILE: HOSTILE}}
    )
    engine.store.decisions.append([DecisionEntry(msgspec.structs.replace(forged, situation=situation))])
    page = opened(str(forged.decision_id))
    assert page.root.all("img") == []
    assert table(page, "Context, as the model saw it") == [[HOSTILE, HOSTILE]]
    assert table(page, "Not eligible") == [[HOSTILE, HOSTILE]]


def test_a_row_that_was_tampered_with_is_an_alarm(
    client: Client, engine: Engine, opened: Callable[[str], Page]
) -> None:
    row = row_of(engine, decided(client))
    engine.store.decisions.rows[row.decision_id] = msgspec.structs.replace(row, probabilities=(1.0,))
    page = opened(str(row.decision_id))
    (alarm,) = page.root.all("div", role="alert")
    assert "does not come out as it was logged" in alarm.text


def test_what_can_no_more_be_told_says_why(client: Client, engine: Engine, opened: Callable[[str], Page]) -> None:
    taught(client, engine)
    row = row_of(engine, decided(client))
    taught(client, engine)
    registry = engine.store.registry
    registry.thin(row.policy, [model.lineage.version for model in registry.models(row.policy)])
    page = opened(str(row.decision_id))
    assert f"cxi-bandit explain {row.decision_id}" in page.text
    assert "The model cannot be had any more" in page.text


def test_an_outcome_waits_for_its_pass(client: Client, engine: Engine, opened: Callable[[str], Page]) -> None:
    name = decided(client)
    assert "Its window is still open" in opened(name).text
    join(engine.store.outcomes, engine.manifests, engine.clock() + timedelta(days=1), timedelta(0))
    (outcome,) = table(opened(name), "Outcome, every revision")
    assert "(by default)" in outcome[2]


@pytest.mark.parametrize("name", ["x", "00000000-0000-7000-8000-000000000000", HOSTILE.replace("/", "")])
def test_what_is_no_decision_is_not_found(signed_in: Callable[..., Browser], name: str) -> None:
    page = signed_in().open(f"/console/decisions/{name}")
    assert (page.status, page.faults, page.root.all("img")) == (404, [], [])

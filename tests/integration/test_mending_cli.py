"""The commands that mend what was learned, on a real database: alone, then beside a running service."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import DecisionIdMint, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore

MANIFEST = """
format = 1
name = "mended"
surface = "cart"
[defects.slow_delivery]
[context]
[[interventions]]
id = "hold"
[[interventions]]
id = "free_shipping"
[reward]
horizon_seconds = 60
min = 0
max = 1
[reward.metrics.order]
weight = 1
min = 0
max = 1
aggregate = "max"
"""


class Shop:
    """Twelve decisions of four shoppers, learned four a segment; one rewarded oddly, one by a bad sender."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.now = datetime.now(UTC) - timedelta(days=2)
        install(store.registry, [("mended.toml", MANIFEST)], self.now, "test")
        self.engine: Engine = build_engine(store)
        self.engine.serving.refresh()
        self.version = store.registry.versions()[0]
        self.learner = Learner(store.registry, store.outcomes, self.engine.manifests, self.engine.room)
        mint = DecisionIdMint()
        self.decisions: list[Decision] = []
        for index in range(12):
            self.now += timedelta(seconds=1)
            request = DecisionRequest("cart", Defect("slow_delivery", 0.5, 0.5), subject=f"shopper-{index % 4}")
            served = self.engine.serving.route(request)
            name, engine = mint.mint(self.now), self.engine
            made = decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key)
            store.decisions.append([DecisionEntry(made)])
            self.decisions.append(made)
            self.report(made, "bad" if index == 5 else "shop", 7.0 if index == 6 else 1.0)
            if index % 4 == 3:
                self.now += timedelta(seconds=100)
                join(store.outcomes, engine.manifests, self.now, timedelta(0))
                self.learner.step(self.version, self.now)

    def report(self, decision: Decision, source: str, value: float, metric: str = "order") -> None:
        event = RewardEvent(
            source=Source(source),
            reward_id=RewardId(f"r{len(self.store.ledger.history(decision.decision_id))}-{decision.decision_id}"),
            decision_id=decision.decision_id,
            metric=metric,
            value=value,
            occurred_at=decision.decided_at + timedelta(seconds=1),
        )
        record([event], self.now, self.store.decisions, self.store.ledger, self.engine.manifests)

    def head(self) -> Any:
        head = self.store.registry.head(self.version.policy, 1)
        assert head is not None
        return head.lineage


@pytest.fixture
def shop(postgres_store: PostgresStore) -> Shop:
    return Shop(postgres_store)


@pytest.fixture
def run(postgres_dsn: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def command(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        told = main([*words, "--database-url", postgres_dsn, "--json"])
        out, err = capsys.readouterr()
        assert told == status, err
        return json.loads(out) if out else err

    return command


def test_a_rebuild_by_command_starts_at_the_nearest_checkpoint(shop: Shop, run: Callable[..., Any]) -> None:
    late = shop.decisions[6]
    shop.report(late, "shop", 1.0)
    (head,) = run("rebuild", "mended", "--actor", "ann")["heads"]
    assert (head["before"], head["checkpoint"], head["after"]) == (4, 2, 6)
    assert shop.head().version == 6
    (head,) = run("rebuild", "mended")["heads"]
    assert (head["segments"], head["after"]) == (0, 6), "nothing to mend"
    assert run("rebuild", "mended", "--from-start")["heads"][0]["segments"] == 3
    asked = run("rebuild", "mended", "--later")["request"]
    assert [request.request_id for request in shop.store.rebuilds.waiting()] == [asked]
    assert "--from-start" in run("rebuild", "mended", "--later", "--from-start", status=2)
    assert "no policy 'nobody'" in run("rebuild", "nobody", status=2)
    trail = [(entry.actor, entry.action) for entry in shop.store.registry.trail(shop.version.policy)]
    assert trail.count(("ann", "rebuild")) == 1
    assert run("audit", "mended")["passed"]


def test_quarantine_is_listed_released_and_discarded(shop: Shop, run: Callable[..., Any]) -> None:
    odd = shop.decisions[6]
    reward_id = f"r0-{odd.decision_id}"
    shop.report(shop.decisions[8], "shop", 9.0)
    shop.report(shop.decisions[9], "shop", 1.0, metric="weather")
    groups = run("quarantine", "list")["groups"]
    assert [(one["metric"], one["rewards"], one["declared"]) for one in groups] == [
        ("order", 2, True),
        ("weather", 1, False),
    ]
    assert [one["least"] for one in groups] == [7.0, 1.0]
    assert run("quarantine", "list", "--metric", "weather")["groups"] == groups[1:]
    assert "no policy 'other'; there are mended" in run("quarantine", "list", "--policy", "other", status=2)
    assert run("quarantine", "list", "--source", "nobody")["groups"] == []
    assert run("quarantine", "show", "shop", reward_id)["reward"]["state"] == "open"
    released = run("quarantine", "release", "shop", reward_id, "--value", "0.5", "--actor", "ann")
    assert released["amended"][0]["event"]["value"] == 0.5
    assert len(released["rebuilds"]) == 1
    assert run("quarantine", "release", "shop", reward_id, "--value", "0.5")["unchanged"] == 1
    assert shop.store.outcomes.revisions(odd.decision_id)[-1].settlement.reward == 0.5, "sequenced before it returns"
    assert "declare the metric" in run("quarantine", "release", "shop", f"r1-{shop.decisions[9].decision_id}", status=2)
    both = run("quarantine", "release", "--every", "--policy", "mended")
    assert (len(both["amended"]), len(both["refused"])) == (1, 1), "what is declared; the rest is left"
    assert len(run("quarantine", "discard", "--every")["amended"]) == 1
    assert run("quarantine", "list")["groups"] == []
    every = run("quarantine", "list", "--all", "--entries")["rewards"]
    assert [one["state"] for one in every] == ["released", "released", "discarded"]
    assert "--every" in run("quarantine", "discard", status=2)
    assert "--every" in run("quarantine", "discard", "shop", "x", "--every", status=2)
    assert "no quarantined reward" in run("quarantine", "show", "shop", "nobody", status=2)
    lines = [entry for entry in shop.store.registry.trail() if entry.action == "quarantine release"]
    assert (lines[0].actor, lines[0].detail["reward_id"], lines[0].detail["value"]) == ("ann", reward_id, "0.5")
    assert run("rebuild", "mended")["heads"][0]["segments"] == 2
    assert run("audit", "mended")["passed"]


def test_a_bad_sender_is_unlearned(shop: Shop, run: Callable[..., Any]) -> None:
    tried = run("unlearn", "mended", "--source", "bad", "--dry-run")
    assert (tried["outcomes"], tried["rebuild_request"], shop.store.outcomes.unlearn_cut(shop.version.policy)) == (
        1,
        None,
        0,
    )
    done = run("unlearn", "mended", "--source", "bad", "--reason", "a test shop", "--actor", "ann")
    assert (done["outcomes"], done["unlearning"]["number"]) == (1, 1)
    assert [request.request_id for request in shop.store.rebuilds.waiting()] == [done["rebuild_request"]]
    run("rebuild", "mended")
    assert (shop.head().learned_total, shop.head().unlearn_cut) == (11, 1)
    begin = shop.decisions[0].decided_at.isoformat()
    end = shop.decisions[4].decided_at.isoformat()
    assert run("unlearn", "mended", "--from", begin, "--to", end)["outcomes"] == 4
    run("rebuild", "mended")
    assert shop.head().learned_total == 7
    assert shop.store.rebuilds.waiting() == []
    for wrong, told in (
        (["--from", "yesterday"], "--from: 'yesterday' is no ISO 8601 time"),
        (["--from", "2026-11-20T08:00"], "has no time zone"),
        ([], "name the sender"),
    ):
        assert told in run("unlearn", "mended", *wrong, status=2)
    line = shop.store.registry.trail(shop.version.policy)[1]
    assert (line.actor, line.action, line.detail["reason"]) == ("ann", "unlearn", "a test shop")
    report = run("audit", "mended")
    assert {model["verdict"] for model in report["policies"][0]["models"]} == {"identical"}


def test_a_shopper_is_erased_and_it_is_certified(
    shop: Shop, run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "erasure.json"
    certified = run("erase", "--subject", "shopper-1", "--certificate", str(file), "--reason", "asked by letter")
    assert json.loads(file.read_text()) == certified
    text = json.dumps(certified["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == certified["sha256"]
    (policy,) = certified["record"]["policies"]
    assert (policy["decisions"], policy["models_affected"]) == (3, [2, 3, 4])
    assert policy["replaced_by"] == [shop.head().version]
    assert shop.head().learned_total == 9
    assert shop.store.decisions.find([shop.decisions[1].decision_id]) == {}
    assert run("erase", "certificates")["certificates"] == [certified]
    again = run("erase", "--subject", "shopper-1", "--later")
    assert again["record"]["policies"] == []
    later = run("erase", "--subject", "shopper-2", "--later")["record"]["policies"][0]
    assert later["replaced_by"] == []
    assert [request.request_id for request in shop.store.rebuilds.waiting()] == [later["rebuild_request"]]
    assert "--subject" in run("erase", status=2)
    trail = [entry for entry in shop.store.registry.trail() if entry.action == "erase"]
    assert len(trail) == 3
    everything = file.read_text() + "".join(str(entry.detail) for entry in trail)
    assert "shopper-" not in everything
    assert run("audit", "mended")["passed"], "what was erased is unverifiable, not different"
    assert capsys.readouterr().out == ""


def test_people_are_told_in_tables(shop: Shop, postgres_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["rebuild", "mended"], "Rebuild of mended"),
        (["rebuild", "mended", "--later"], "asked for, as request"),
        (["quarantine", "list"], "Quarantine"),
        (["quarantine", "list", "--entries"], "reward_id"),
        (["quarantine", "show", "shop", f"r0-{shop.decisions[6].decision_id}"], "decision"),
        (["quarantine", "release", "--every"], "released 1, 0 were already"),
        (["quarantine", "discard", "--every"], "discarded 0, 0 were already"),
        (["unlearn", "mended", "--source", "bad", "--dry-run"], "would leave out 1 outcomes"),
        (["unlearn", "mended", "--source", "bad"], "unlearning 1 leaves out 1 outcomes"),
        (["erase", "--subject", "shopper-0"], "certificate "),
        (["erase", "certificates"], "asked by the"),
    ):
        assert main([*words, "--database-url", postgres_dsn]) == 0
        assert told in capsys.readouterr().out, words


def test_all_of_it_beside_a_running_service(
    start_service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = start_service("--dev")
    service.await_ready()
    monkeypatch.delenv("DATABASE_URL", raising=False)
    decisions = [service.decide(subject="ann" if index % 3 else "bob") for index in range(12)]
    events = [
        {
            "decision_id": decision["decision_id"],
            "reward_id": str(uuid4()),
            "metric": "order",
            "value": 9.0 if index == 4 else 1.0,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        for index, decision in enumerate(decisions)
    ]
    assert service.client.post("/v1/rewards", json=events).status_code == 202

    def run(*words: str) -> Any:
        capsys.readouterr()
        status = main([*words, "--data-dir", str(service.data_dir), "--json"])
        out, err = capsys.readouterr()
        assert status == 0, err
        return json.loads(out)

    def until(happened: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < ends_at, service.log.read_text()[-2000:]
            time.sleep(0.05)

    def served(outcomes: int) -> bool:
        (version,) = service.client.get("/v1/policies/quick").json()["versions"]
        return version["learned_total"] == outcomes and version["served_model_version"] == version["model_version"]

    until(lambda: served(11))
    assert len(run("quarantine", "release", "--every")["amended"]) == 1
    until(lambda: served(12))
    (policy,) = run("erase", "--subject", "bob")["record"]["policies"]
    assert (policy["decisions"], len(policy["replaced_by"])) == (4, 1)
    until(lambda: served(8))
    run("rebuild", "quick", "--later")
    until(lambda: "cxi_bandit_rebuilds_waiting 0.0" in service.client.get("/metrics").text)
    assert run("audit")["passed"]


def test_a_new_version_is_warmed_from_the_log(shop: Shop, run: Callable[..., Any]) -> None:
    other = MANIFEST.replace("[context]\n", '[context]\n[context.features.returning]\ntype = "flag"\n')
    for text in (MANIFEST.replace("weight = 1", "weight = 0.5"), other):
        install(shop.store.registry, [("mended.toml", text)], shop.now, "test")
    found = run("policies", "warm", "mended", "2", "--actor", "ann")
    sha = shop.version.manifest_sha
    assert (found["learned"], found["learned_total"], found["taught_from"]) == (12, 12, [sha])
    assert list(found["refused"]) == ["3"]
    assert run("policies", "warm", "mended", "2")["learned"] == 0, "there is nothing new"
    assert "no other version can teach it" in run("policies", "warm", "mended", "3", status=2)
    assert "no policy version" in run("policies", "warm", "mended", "9", status=2)
    head = shop.store.registry.head(shop.version.policy, 2)
    assert head is not None
    assert (head.lineage.branch, head.lineage.taught_from) == ("warm", (sha,))
    assert ("ann", "warm") in [(entry.actor, entry.action) for entry in shop.store.registry.trail(shop.version.policy)]
    assert run("audit", "mended")["passed"]
    told = run("explain", str(shop.decisions[3].decision_id))
    assert told["learned_by"] == [2, head.lineage.version]

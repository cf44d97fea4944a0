"""`cxi-bandit replay` with --gate, --plan and --aa, as a person or a script runs it, on a policy's live log."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore

OBD = Path(__file__).resolve().parents[2] / "tests" / "data" / "obd"
MANIFEST = """
format = 1
name = "quick"
surface = "cart"
[defects.slow_delivery]
[defects.stockout]
[context]
[[interventions]]
id = "hold"
[[interventions]]
id = "free_shipping"
[[interventions]]
id = "call_back"
[reward]
horizon_seconds = 3600
min = 0
max = 1
[reward.metrics.order]
weight = 1
min = 0
max = 1
aggregate = "max"
[reward.metrics.complaint]
weight = 0
min = 0
max = 1
aggregate = "max"
[exploration.cold_start]
outcomes = 1000000
[gate]
weight_cap = 5.0
[[gate.guardrails]]
metric = "complaint"
margin = 0.2
"""
START = datetime(2026, 1, 5, tzinfo=UTC)
DECISIONS = 2500
ORDERS = {"hold": 0.2, "free_shipping": 0.5, "call_back": 0.1}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def cxi_bandit(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@pytest.fixture
def logged(postgres_store: PostgresStore) -> PostgresStore:
    """Ten days of decisions, one every 5.76 minutes, each by a shopper of its own; orders and complaints."""
    rng = random.Random(1)
    engine = build_engine(postgres_store, clock=lambda: START)
    install(postgres_store.registry, [("quick.toml", MANIFEST)], START, "test")
    engine.serving.refresh()
    decisions, events = [], []
    for number in range(DECISIONS):
        request = DecisionRequest(
            surface="cart", defect=Defect(type="slow_delivery", severity=0.5, confidence=0.5), subject=f"s{number}"
        )
        served = engine.serving.route(request)
        minted = engine.mint.mint(START + number * timedelta(days=10) / DECISIONS)
        decision = decide(request, admit(request, served), served, minted, engine.draw_key, engine.subject_key)
        decisions.append(decision)
        for metric, rate in (("order", ORDERS[decision.intervention]), ("complaint", 0.01)):
            event = RewardEvent(
                source=Source("shop"),
                reward_id=RewardId(f"{metric}-{number}"),
                decision_id=decision.decision_id,
                metric=metric,
                value=float(rng.random() < rate),
                occurred_at=decision.decided_at + timedelta(minutes=5),
            )
            events.append(event)
    postgres_store.decisions.append([DecisionEntry(decision) for decision in decisions])
    end = decisions[-1].closes_at + timedelta(days=1)
    record(events, end, postgres_store.decisions, postgres_store.ledger, engine.manifests)
    while not join(postgres_store.outcomes, engine.manifests, end, timedelta(0)).idle:
        pass
    return postgres_store


def table(directory: Path, name: str, *probabilities: float) -> str:
    path = directory / f"{name}.json"
    path.write_text(json.dumps([[probability] for probability in probabilities]))
    return f"table:{path}"


@pytest.mark.statistical
def test_a_better_candidate_goes_and_the_evidence_is_filed(
    cxi_bandit: Run, logged: PostgresStore, tmp_path: Path
) -> None:
    better = table(tmp_path, "better", 0.15, 0.8, 0.05)
    done = cxi_bandit("replay", "--log", "quick", "--candidate", better, "--gate", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"]["decision"] == "go"
    trial = document["trial"]
    assert (trial["ordinal"], trial["days"], trial["anonymous"], len(trial["path"])) == (1, 7, 0, 7)
    assert trial["log_e"] >= trial["log_threshold"]
    assert trial["guardrails"][0]["passed"]
    filed = logged.evaluations.get(document["evaluation"])
    assert filed.policy == "quick"
    assert filed.report.verdict.incumbent == "quick version 1, cold start"
    assert filed.report.trial is not None
    assert filed.report.trial.log_e == trial["log_e"]

    again = json.loads(cxi_bandit("replay", "--log", "quick", "--candidate", better, "--gate", "--json").stdout)
    assert again["trial"] == trial, "asking again goes on with the same trial, and spends nothing"
    assert len(logged.evaluations.spendings(PolicyName("quick"))) == 1
    restarted = cxi_bandit("replay", "--log", "quick", "--candidate", better, "--gate", "--json", "--proposal", "again")
    assert json.loads(restarted.stdout)["trial"]["ordinal"] == 2


@pytest.mark.statistical
def test_a_worse_candidate_waits_with_exit_3(cxi_bandit: Run, logged: PostgresStore, tmp_path: Path) -> None:
    worse = table(tmp_path, "worse", 0.15, 0.05, 0.8)
    page = tmp_path / "page.html"
    done = cxi_bandit("replay", "--log", "quick", "--candidate", worse, "--gate", "--report", page)
    assert done.returncode == 3, done.stdout + done.stderr
    document = page.read_text("utf-8")
    for words in ("Verdict: </span>Wait", "The gate&#39;s trial", "complaint", "--gate", "continues it"):
        assert words in document
    for words in (
        "Verdict: wait",
        "evidence_short",
        "proposal 1 of its policy",
        "ln E by day",
        "Filed as evaluation 1",
    ):
        assert words in " ".join(done.stdout.split())


def test_several_candidates_make_one_document_and_one_spending(
    cxi_bandit: Run, logged: PostgresStore, tmp_path: Path
) -> None:
    better, worse = table(tmp_path, "better", 0.15, 0.8, 0.05), table(tmp_path, "worse", 0.15, 0.05, 0.8)
    asked = ("replay", "--log", "quick", "--candidate", better, "--candidate", worse)
    done = cxi_bandit(*asked, "--gate", "--json")
    document = json.loads(done.stdout)
    assert [found["verdict"]["decision"] for found in document["candidates"]] == ["go", "wait"]
    assert done.returncode == 0
    (spending,) = logged.evaluations.spendings(PolicyName("quick"))
    assert spending.candidates == 2
    assert cxi_bandit(*asked).returncode == 2


def test_a_trial_that_opens_too_late_waits(cxi_bandit: Run, logged: PostgresStore, tmp_path: Path) -> None:
    asked = ("replay", "--log", "quick", "--candidate", "uniform", "--gate", "--json")
    done = cxi_bandit(*asked, "--since", "2026-01-10")
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert document["trial"]["opened_at"] == "2026-01-10T00:00:00Z"
    assert document["trial"]["units"] == 0
    assert "too_early" in {reason["code"] for reason in document["verdict"]["reasons"]}
    assert cxi_bandit(*asked, "--since", "2026-01-11").returncode == 2
    assert cxi_bandit(*asked, "--since", "next week").returncode == 2
    future = cxi_bandit(*asked, "--since", "2027-01-01", "--proposal", "declared")
    assert future.returncode == 3, future.stderr


def test_a_trial_about_one_defect_type_says_so_and_has_a_line_of_its_own(
    cxi_bandit: Run, logged: PostgresStore
) -> None:
    asked = ("replay", "--log", "quick", "--candidate", "uniform", "--gate", "--json")
    one = json.loads(cxi_bandit(*asked, "--defect", "slow_delivery").stdout)
    assert (one["defects"], one["trial"]["proposal"]) == (["slow_delivery"], "uniform on slow_delivery")
    assert logged.evaluations.get(one["evaluation"]).report.defects == ("slow_delivery",)
    every = json.loads(cxi_bandit(*asked, "--defect", "stockout", "--defect", "slow_delivery").stdout)
    assert (every["defects"], every["trial"]["proposal"], every["trial"]["ordinal"]) == ([], "uniform", 2)
    for arguments, words in (
        ((*asked, "--defect", "stockout"), "quick has no decision on stockout"),
        ((*asked, "--defect", "thunder"), "'thunder' is not one that the live version knows: slow_delivery, stockout"),
        ((*asked, "--proposal", "uniform", "--defect", "slow_delivery"), "others are another proposal"),
        ((*asked[:5], "--defect", "slow_delivery"), "--defect goes with --gate, --plan or --aa"),
    ):
        done = cxi_bandit(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in " ".join(done.stderr.split())


def test_a_plan_and_a_comparison_with_itself_spend_nothing(
    cxi_bandit: Run, logged: PostgresStore, tmp_path: Path
) -> None:
    better = table(tmp_path, "better", 0.15, 0.8, 0.05)
    planned = cxi_bandit("replay", "--log", "quick", "--candidate", better, "--plan", "--json")
    assert planned.returncode == 0, planned.stderr
    (plan,) = json.loads(planned.stdout)["plans"]
    assert plan["units_per_day"] == pytest.approx(250, rel=0.01)
    assert [row["days"] for row in plan["visible"]][:2] == [7, 14]
    assert plan["guardrails"][0]["metric"] == "complaint"
    assert "No go before 7 days" in cxi_bandit("replay", "--log", "quick", "--candidate", better, "--plan").stdout

    itself = cxi_bandit("replay", "--log", "quick", "--aa", "--json")
    assert itself.returncode == 0, itself.stdout + itself.stderr
    document = json.loads(itself.stdout)
    assert document["aa"]["passed"]
    assert document["aa"]["own_rows"] == DECISIONS
    assert document["estimates"]["ips"]["value"] == pytest.approx(document["aa"]["on_policy_mean"], abs=1e-12)
    assert "asked again against logged" in " ".join(cxi_bandit("replay", "--log", "quick", "--aa").stdout.split())
    assert logged.evaluations.spendings(PolicyName("quick")) == []
    assert logged.evaluations.reports() == []


def test_what_cannot_be_asked_is_one_clear_complaint(cxi_bandit: Run, logged: PostgresStore) -> None:
    items = ("--items", OBD / "items-men.csv.gz")
    assert cxi_bandit("import", "obd", OBD / "random-men.csv.gz", *items, "--log", "random").returncode == 0
    for arguments, words in (
        (("--log", "random", "--candidate", "uniform", "--gate"), "is an imported log"),
        (("--log", "quick", "--gate"), "--candidate"),
        (("--log", "quick", "--candidate", "uniform", "--aa"), "leave --candidate out"),
    ):
        done = cxi_bandit("replay", *arguments)
        assert done.returncode == 2, done.stderr
        assert words in " ".join(done.stderr.split())
        assert done.stdout == ""

"""What the port of evaluations promises, held against every implementation."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from cxi_bandit.domain.alpha_ledger import AlphaLedger, Spending, share_of_alpha
from cxi_bandit.domain.errors import EvidenceConflict, InvalidInput, NotFound
from cxi_bandit.domain.evaluation import (
    Check,
    Diagnostics,
    Estimate,
    EvaluationReport,
    EvidencePoint,
    GuardrailStanding,
    Level,
    Provenance,
    TrialRecord,
)
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.store.postgres import PostgresStore

CART, SEARCH = PolicyName("cart"), PolicyName("search")
NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)


def report(value: float = 0.1 + 0.2) -> EvaluationReport:
    trial = TrialRecord(
        proposal="p",
        ordinal=1,
        candidates=1,
        alpha=share_of_alpha(0.05, 1),
        log_threshold=math.log(1 / share_of_alpha(0.05, 1)),
        incumbent="cart version 1, model 3",
        opened_at=NOON,
        heard_until=NOON + timedelta(days=7),
        days=7,
        units=7000,
        anonymous=1,
        latecomers=0,
        clipped=2,
        log_e=1 / 3,
        guardrails=(GuardrailStanding(metric="complaint", margin=0.02, log_e=4.0, passed=True),),
        path=(EvidencePoint(NOON + timedelta(days=1), 1000, -1e-17),),
    )
    estimate = Estimate(
        value=value, interval=(0.0, 1 / 7), interval_method="none", confidence=0.95, target="t", assumptions="größer"
    )
    check = Check(code="ess", value=None, level=Level.AMBER, message="few")
    return EvaluationReport(
        log="cart",
        candidate="uniform",
        headline="dr",
        estimates={"dr": estimate, "a": estimate},
        diagnostics=Diagnostics(n=3, ess=math.pi, checks=(check,)),
        verdict=Verdict(decision=Ruling.GO, reasons=(Reason("evidence_reached", "E"),), incumbent=trial.incumbent),
        provenance=Provenance(
            log_from=NOON, log_to=None, manifest_sha="a" * 64, model_sha=None, seed=0, code_version="0"
        ),
        trial=trial,
        defects=("price_jump", "coupon_failure"),
    )


def spend(store: Any, proposal: str, policy: PolicyName = CART, **changes: Any) -> Spending:
    terms = {"alpha": 0.05, "incumbent": "v1", "candidates": 1, "at": NOON, **changes}
    spending: Spending = store.evaluations.spend(policy, proposal, **terms)
    return spending


def together(count: int, call: Any) -> list[Any]:
    gate = threading.Barrier(count)

    def one(index: int) -> Any:
        gate.wait()
        try:
            return call(index)
        except EvidenceConflict as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_a_report_from_before_defect_types_had_trials_of_their_own_is_about_all() -> None:
    document = msgspec.json.decode(msgspec.json.encode(report()))
    assert document.pop("defects") == ["price_jump", "coupon_failure"]
    assert msgspec.json.decode(msgspec.json.encode(document), type=EvaluationReport) == msgspec.structs.replace(
        report(), defects=()
    )


def test_a_report_comes_back_as_it_was(store: Any) -> None:
    sha = ManifestSha("a" * 64)
    first = store.evaluations.save(report(), policy=CART, manifest_sha=sha, model_version=ModelVersion(3), at=NOON)
    second = store.evaluations.save(report(0.5), policy=SEARCH, manifest_sha=None, model_version=None, at=NOON)
    assert second > first
    filed = store.evaluations.get(first)
    assert filed.report == report()
    assert list(filed.report.estimates) == ["dr", "a"]
    assert (filed.policy, filed.manifest_sha, filed.model_version, filed.created_at) == (CART, sha, 3, NOON)
    assert [found.evaluation_id for found in store.evaluations.reports()] == [first, second]
    assert [found.evaluation_id for found in store.evaluations.reports(SEARCH)] == [second]
    assert store.evaluations.reports(PolicyName("none")) == []
    with pytest.raises(NotFound):
        store.evaluations.get(second + 1)


def test_a_filed_go_expires_with_its_incumbent(store: Any) -> None:
    number = store.evaluations.save(report(), policy=CART, manifest_sha=None, model_version=None, at=NOON)
    verdict = store.evaluations.get(number).report.verdict
    assert verdict.against("cart version 1, model 3").decision is Ruling.GO
    expired = verdict.against("cart version 1, model 4")
    assert expired.decision is Ruling.REFUSE
    assert [reason.code for reason in expired.reasons] == ["incumbent_changed"]


def test_every_proposal_spends_the_next_share_of_its_policy(store: Any) -> None:
    made = [spend(store, f"p{number}", candidates=number) for number in range(1, 4)]
    assert [spending.ordinal for spending in made] == [1, 2, 3]
    assert [spending.alpha for spending in made] == [share_of_alpha(0.05, number) for number in range(1, 4)]
    assert spend(store, "p1", SEARCH).ordinal == 1
    assert store.evaluations.spendings(CART) == made
    assert AlphaLedger(policy="cart", alpha=0.05, spendings=tuple(made)).spent < 0.05
    assert store.evaluations.spendings(PolicyName("none")) == []


def test_asking_again_on_the_same_terms_spends_nothing(store: Any) -> None:
    first = spend(store, "p")
    assert spend(store, "p", at=NOON + timedelta(days=9)) == first
    for terms in ({"incumbent": "v2"}, {"candidates": 2}):
        with pytest.raises(InvalidInput, match="needs an id of its own"):
            spend(store, "p", **terms)
    assert store.evaluations.spendings(CART) == [first]


def test_racing_proposals_get_different_shares(store: Any) -> None:
    made = together(8, lambda index: spend(store, f"p{index}"))
    assert sorted(spending.ordinal for spending in made) == list(range(1, 9))
    assert sorted(made, key=lambda spending: spending.ordinal) == store.evaluations.spendings(CART)


def test_one_proposal_that_races_itself_spends_once(store: Any) -> None:
    assert len(set(together(8, lambda _: spend(store, "p").ordinal))) == 1
    assert len(store.evaluations.spendings(CART)) == 1


def test_sittings_are_kept_in_order_and_never_replaced(store: Any) -> None:
    evaluations = store.evaluations
    assert evaluations.sitting(CART, "t") is None
    evaluations.sit(CART, "t", 1, '{"log": 9007199254740993}', NOON)
    assert evaluations.sitting(CART, "t") == (1, '{"log": 9007199254740993}')
    for number in (1, 3):
        with pytest.raises(EvidenceConflict):
            evaluations.sit(CART, "t", number, "{}", NOON)
    evaluations.sit(CART, "t", 2, '{"b": 1, "a": 2}', NOON)
    assert evaluations.sitting(CART, "t") == (2, '{"b": 1, "a": 2}')
    assert evaluations.sitting(SEARCH, "t") is None


def test_of_racing_sittings_one_is_kept(store: Any) -> None:
    answers = together(8, lambda index: store.evaluations.sit(CART, "t", 1, f"{index}", NOON))
    assert answers.count(None) == 1
    assert store.evaluations.sitting(CART, "t") == (1, str(answers.index(None)))


@pytest.mark.parametrize("table", ["evaluations", "alpha_ledger", "trial_sittings"])
def test_the_database_refuses_to_change_what_was_filed(
    postgres_store: PostgresStore, postgres_dsn: str, table: str
) -> None:
    postgres_store.evaluations.save(report(), policy=CART, manifest_sha=None, model_version=None, at=NOON)
    spend(postgres_store, "p")
    postgres_store.evaluations.sit(CART, "t", 1, "{}", NOON)
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET policy = 'x'", f"TRUNCATE {table}"):  # noqa: S608 - our own
        with psycopg.connect(postgres_dsn) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)

"""Days that have passed on a real database: an honest log, one that goes on, and none beside a service."""

from datetime import UTC, datetime, timedelta

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.store.postgres import PostgresStore
from simulator.lifecycle import KEEN
from simulator.manifests import shipped_texts
from simulator.rehearsal.days import Passed, let_pass

CART = PolicyName("cart")
TEXTS = {"cart.toml": shipped_texts()["cart.toml"]}
A_DAY = 80


def pass_days(store: PostgresStore, days: int) -> Passed:
    return let_pass(store, TEXTS, days, A_DAY, KEEN, seed=1, now=datetime.now(UTC))


def test_what_passed_is_closed_learned_and_derived_again_and_the_next_day_follows(
    postgres_store: PostgresStore,
) -> None:
    first, second = pass_days(postgres_store, 1), pass_days(postgres_store, 2)
    assert second.first == first.last
    assert datetime.now(UTC) - first.first >= timedelta(days=28)
    rows = postgres_store.outcomes.scan(CART, 0, 1000, unlearnable=True)
    assert len({row.decision.decision_id for row in rows}) == 3 * A_DAY
    head = postgres_store.registry.head(CART, 1)
    assert head is not None
    assert head.lineage.learned_total == 3 * A_DAY
    engine = build_engine(postgres_store)
    parts = (postgres_store.registry, postgres_store.outcomes, engine.manifests, engine.room)
    models = postgres_store.registry.models(CART)
    assert {found.verdict for found in audit_models(models, *parts)} == {AuditVerdict.IDENTICAL}
    audit = DecisionAudit(
        postgres_store.registry, postgres_store.releases, engine.manifests, engine.store.keyring, engine.room
    )
    assert {audit.audit(row.decision).verdict for row in rows} == {AuditVerdict.IDENTICAL}


def test_days_that_have_not_passed_cannot_have(postgres_store: PostgresStore) -> None:
    with pytest.raises(InvalidInput, match="end later than two days ago"):
        pass_days(postgres_store, 27)
    assert postgres_store.registry.versions() == []


def test_where_a_service_learns_nothing_passes(postgres_store: PostgresStore, postgres_dsn: str) -> None:
    service = PostgresStore.open(postgres_dsn)
    try:
        assert service.election.won()
        with pytest.raises(Unavailable, match="stop it first"):
            pass_days(postgres_store, 1)
    finally:
        service.close()

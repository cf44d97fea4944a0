"""Webhook ids, keys' limits and the audit trail: what their ports promise, held against every implementation."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from cxi_bandit.bootstrap.upkeep import keep_up
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.delivery import Delivery, WebhookId
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.store.postgres import PostgresStore

SECRET = "whsec_bm90IGEgc2VjcmV0IGF0IGFsbA=="  # noqa: S105 - opens nothing


def delivery(at: datetime, name: str = "msg", body: bytes = b"a", source: str = "mailer") -> Delivery:
    return Delivery(Source(source), WebhookId(name), body * 32, at)


def key(name: str, at: datetime, **limits: Any) -> ApiKey:
    scopes = frozenset({Scope.READ, Scope.DECIDE})
    return ApiKey(name=name, scopes=scopes, source=Source("till"), created_at=at, **limits)


class TestDeliveries:
    def test_an_id_stands_for_the_body_it_came_with_first(self, store: Any, noon: datetime) -> None:
        bind = store.deliveries.bind
        assert bind([]) == []
        assert bind([delivery(noon), delivery(noon, "other", b"b")]) == [True, True]
        again = [delivery(noon, body=b"b"), delivery(noon), delivery(noon, source="till", body=b"b")]
        assert bind(again) == [False, True, True], "an id is its source's own"

    def test_of_one_batch_the_first_binds(self, store: Any, noon: datetime) -> None:
        sent = [delivery(noon, body=body) for body in (b"z", b"a", b"z")]
        assert store.deliveries.bind(sent) == [True, False, True]

    def test_of_racing_bodies_exactly_one_binds(self, store: Any, noon: datetime) -> None:
        gate = threading.Barrier(8)

        def send(number: int) -> list[bool]:
            gate.wait()
            ids = ("x", "y") if number % 2 else ("y", "x")
            bound: list[bool] = store.deliveries.bind([delivery(noon, name, b"%d" % number) for name in ids])
            return bound if number % 2 else bound[::-1]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))
        assert [sum(column) for column in zip(*answers, strict=True)] == [1, 1]

    def test_ids_are_forgotten_by_age(self, store: Any, noon: datetime) -> None:
        old = noon - timedelta(days=91)
        store.deliveries.bind([delivery(old, "old"), delivery(noon, "new")])
        assert store.deliveries.prune(noon - timedelta(days=90)) == 1
        assert store.deliveries.prune(noon - timedelta(days=90)) == 0
        bodies = [delivery(noon, "old", b"b"), delivery(noon, "new", b"b")]
        assert store.deliveries.bind(bodies) == [True, False]


def test_upkeep_keeps_webhook_ids_for_ninety_days(postgres_store: PostgresStore, noon: datetime) -> None:
    days = {"old": 90.01, "kept": 89.99}
    for name, age in days.items():
        postgres_store.deliveries.bind([delivery(noon - timedelta(days=age), name)])
    keep_up(postgres_store, noon)
    assert postgres_store.deliveries.bind([delivery(noon, name, b"b") for name in days]) == [True, False]


class TestTrail:
    def test_every_change_of_access_leaves_a_line_and_what_changes_nothing_leaves_none(
        self, store: Any, noon: datetime
    ) -> None:
        access = store.access
        access.add_key(key("shop", noon, rate_per_second=2.5, rate_burst=5), b"d" * 32, "ann")
        with pytest.raises(InvalidInput):
            access.add_key(key("shop", noon), b"e" * 32, "ann")
        later = noon + timedelta(hours=1)
        for _ in range(2):
            access.revoke_key("shop", later, "bob")
        with pytest.raises(NotFound):
            access.revoke_key("nobody", later, "bob")
        mailer = Source("mailer")
        access.add_webhook_secret(mailer, SECRET, later, "cy")
        access.add_webhook_secret(mailer, SECRET, later, "cy")
        for _ in range(2):
            access.revoke_webhook_secrets(mailer, later, "dee", but_newest=True)
        lines = [line.entry for line in reversed(store.trail.page(None, 100))]
        assert [(entry.actor, entry.action, entry.at, entry.detail) for entry in lines] == [
            (
                "ann",
                "keys create",
                noon,
                {
                    "name": "shop",
                    "scopes": "decide read",
                    "source": "till",
                    "rate_per_second": "2.5",
                    "rate_burst": "5",
                },
            ),
            ("bob", "keys revoke", later, {"name": "shop"}),
            ("cy", "keys webhook-secret add", later, {"source": "mailer"}),
            ("cy", "keys webhook-secret add", later, {"source": "mailer"}),
            ("dee", "keys webhook-secret revoke", later, {"source": "mailer", "revoked": "1"}),
        ]
        assert store.registry.trail() == lines
        assert SECRET not in repr(lines)

    def test_pages_go_back_from_the_newest(self, store: Any, noon: datetime) -> None:
        assert store.trail.page(None, 10) == []
        for number in range(5):
            store.access.add_key(key(f"k{number}", noon), b"%d" % number, "ann")
        names, before = [], None
        while page := store.trail.page(before, 2):
            names.append([line.entry.detail["name"] for line in page])
            before = page[-1].number
        assert names == [["k4", "k3"], ["k2", "k1"], ["k0"]]
        assert store.trail.page(1, 10) == []
        assert len(store.trail.page(10**17, 10)) == 5


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_trail SET actor = 'x'", "DELETE FROM audit_trail", "TRUNCATE audit_trail"]
)
def test_the_audit_trail_refuses_every_change(
    postgres_store: PostgresStore, postgres_dsn: str, noon: datetime, statement: str
) -> None:
    postgres_store.access.add_key(key("shop", noon), b"d" * 32, "ann")
    with psycopg.connect(postgres_dsn) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)  # type: ignore[call-overload]
    assert len(postgres_store.trail.page(None, 10)) == 1


def test_a_keys_limits_come_back_as_they_were_set(store: Any, noon: datetime) -> None:
    for number, limits in enumerate(({}, {"rate_per_second": 0.1 + 0.2, "rate_burst": 7}, {"rate_per_second": 0.0})):
        made = key(f"k{number}", noon, **limits)
        store.access.add_key(made, b"%d" % number, "ann")
        assert store.access.key(b"%d" % number) == made
        assert store.access.keys()[-1] == made

"""What only a real database can show: late commits, dying connections, partitions, notifications, imported logs."""

import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cxi_bandit.domain.errors import InvalidInput, NotFound, Unavailable
from cxi_bandit.domain.identifiers import DecisionIdMint, PolicyName, minted_at
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from cxi_bandit.domain.outcome import Window
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.imported_frames import contexts
from cxi_bandit.store.postgres.listen import listen
from cxi_bandit.store.postgres.migrate import upgrade
from tests.harness.service import until

CART = PolicyName("cart")

STRAGGLER = """
WITH late AS (
  INSERT INTO reward_ledger (source, reward_id, decision_id, metric, value, occurred_at, received_at)
  SELECT source, 'late', decision_id, metric, value, occurred_at, received_at - interval '1 hour' FROM reward_ledger
  LIMIT 1 RETURNING received_at, entry_id
)
INSERT INTO ledger_inbox SELECT received_at, entry_id FROM late
"""
LATE_WINDOW = """
INSERT INTO open_windows (decision_id, policy, closes_at)
SELECT decision_id, policy, closes_at - interval '1 day' FROM decisions WHERE decision_id = %s
"""


def test_rewards_and_windows_that_commit_late_are_still_taken(
    postgres_store: PostgresStore, postgres_dsn: str, make: Any, noon: datetime
) -> None:
    late, *others = rows = [make.decision() for _ in range(4)]
    postgres_store.decisions.append([DecisionEntry(row) for row in rows])
    postgres_store.ledger.append([make.entry(row.decision_id, f"r{index}") for index, row in enumerate(rows)])
    with psycopg.connect(postgres_dsn, autocommit=True) as setup:
        setup.execute("DELETE FROM open_windows WHERE decision_id = %s", [late.decision_id])
    with psycopg.connect(postgres_dsn) as held:
        held.execute(STRAGGLER)
        held.execute(LATE_WINDOW, [late.decision_id])
        with postgres_store.outcomes.sequencing() as sequencing:
            assert sequencing is not None
            assert [entry.position for entry in sequencing.take_rewards(10)] == [1, 2, 3, 4]
            due = sequencing.matured(noon + timedelta(days=1), 10)
            assert [entry.window for entry in due] == [Window.of(row) for row in others]
            sequencing.append([make.closure(row) for row in others], noon)
        held.commit()
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        assert [(entry.position, entry.event.reward_id) for entry in sequencing.take_rewards(10)] == [(5, "late")]
        assert [entry.window for entry in sequencing.matured(noon + timedelta(days=1), 10)] == [Window.of(late)]
        assert [row.position for row in sequencing.append([make.closure(late)], noon)] == [4]


def test_a_batch_that_fails_leaves_no_row(postgres_store: PostgresStore, make: Any) -> None:
    good, bad = make.decision(), make.decision(surface="nul\0")
    with pytest.raises(InvalidInput):
        postgres_store.decisions.append([DecisionEntry(good), DecisionEntry(bad)])
    assert postgres_store.decisions.scan(CART, None, 10) == []
    entries = [make.entry(good.decision_id, "r1"), make.entry(good.decision_id, "nul\0")]
    with pytest.raises(InvalidInput):
        postgres_store.ledger.append(entries)
    assert postgres_store.ledger.append(entries[:1]) == [RewardStatus.ACCEPTED]


def test_the_ledger_and_the_audit_trail_refuse_changes(
    postgres_store: PostgresStore, postgres_dsn: str, make: Any
) -> None:
    postgres_store.ledger.append([make.entry(make.decision().decision_id, "r1")])
    for statement in ("UPDATE reward_ledger SET value = 2", "DELETE FROM audit_trail", "TRUNCATE audit_trail"):
        with (
            psycopg.connect(postgres_dsn) as connection,
            pytest.raises(psycopg.errors.RestrictViolation),
        ):
            connection.execute(statement)  # type: ignore[call-overload]


def test_a_dead_writer_and_a_dead_sequencer_let_go(postgres_store: PostgresStore, postgres_dsn: str, make: Any) -> None:
    decision = make.decision()
    postgres_store.decisions.append([DecisionEntry(decision)])
    postgres_store.ledger.append([make.entry(decision.decision_id, "r1")])

    def dying_pass() -> None:
        with postgres_store.outcomes.sequencing() as sequencing:
            assert sequencing is not None
            assert len(sequencing.take_rewards(10)) == 1
            kill("cxi-bandit")
            sequencing.take_rewards(10)

    def kill(application: str) -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = %s",
                [application],
            )

    with postgres_store.registry.writer(CART) as held:
        assert held
        kill("cxi-bandit writer")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with postgres_store.registry.writer(CART) as again:
                if again:
                    break
    assert again
    with pytest.raises(Unavailable):
        dying_pass()
    for _ in range(20):
        try:
            with postgres_store.outcomes.sequencing() as sequencing:
                assert sequencing is not None
                assert [entry.position for entry in sequencing.take_rewards(10)] == [1]
            break
        except Unavailable:
            time.sleep(0.1)  # the pool is still replacing connections
    assert postgres_store.outcomes.ledger_cut() == 1


def test_partitions_take_their_strays_and_go_as_a_whole(
    postgres_store: PostgresStore, make: Any, noon: datetime
) -> None:
    mint = DecisionIdMint()
    days = [noon + timedelta(days=ahead) for ahead in range(3)]
    ids = [mint.mint(day) for day in days]
    rows = [make.decision(decision_id=name, decided_at=minted_at(name)) for name in ids]
    postgres_store.decisions.append([DecisionEntry(row) for row in rows[:2]])
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.append([make.closure(rows[0])], noon)
    partitions = postgres_store.partitions
    assert partitions.ensure(noon.date(), 2) == [day.date() for day in days] == partitions.days()
    assert partitions.ensure(noon.date(), 2) == []
    postgres_store.decisions.append([DecisionEntry(rows[2])])
    assert postgres_store.decisions.scan(CART, None, 10) == rows
    # The second day has a window still open: it stays until that is closed.
    assert partitions.drop_before(date(2027, 1, 1)) == [noon.date()]
    assert postgres_store.decisions.scan(CART, None, 10) == rows[1:]
    assert postgres_store.outcomes.segment(CART, 0, 1, 0).expired == [1]
    assert postgres_store.outcomes.scan(CART, 0, 10) == []


def test_listeners_hear_of_models_and_survive_their_connection(
    postgres_store: PostgresStore, postgres_dsn: str, make: Any
) -> None:
    stop = threading.Event()
    heard = listen(postgres_dsn, "cxi_bandit_models", timedelta(seconds=0.2), stop.is_set)
    assert next(heard) is None
    postgres_store.registry.publish(make.model(1), b"x", moves_head_from=None)
    assert next(word for word in heard if word is not None) == "cart@1"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'cxi-bandit listener'"
        )
        assert next(heard) is None
        assert next(heard) is None
        connection.execute("NOTIFY cxi_bandit_models, 'cart@2'")
    assert next(word for word in heard if word is not None) == "cart@2"
    stop.set()
    assert list(heard) in ([], [None])


def test_a_database_that_is_away_is_unavailable(postgres_dsn: str) -> None:
    away = make_conninfo(postgres_dsn, host="127.0.0.1", port="1", connect_timeout="1")
    with pytest.raises(Unavailable):
        upgrade(away)


class TestImportedLogs:
    LOG = ImportedLog(
        name="obd-men",
        kind="obd",
        source_sha256="0" * 64,
        created_at=datetime(2026, 11, 20, tzinfo=UTC),
        actions=("1", "zwei,2"),
        action_features=({"price": 0.1 + 0.2}, {"brand": 'a"b'}),
    )

    def rounds(self) -> list[ImportedRound]:
        at = datetime(2019, 11, 24, 0, 0, 0, 123456, tzinfo=UTC)
        return [
            ImportedRound(at, 3, 0, 0.1 + 0.2, -0.0, {"z": 'quote " comma ,\n', "a": 1 / 3, "b": True}),
            ImportedRound(None, None, 1, 5e-324, 1.7976931348623157e308, {}),
        ]

    def test_rounds_come_back_exactly_in_order(self, postgres_store: PostgresStore) -> None:
        assert postgres_store.imported.write(self.LOG, self.rounds()) == 2
        frame = postgres_store.imported.read("obd-men")
        back = [
            ImportedRound(*row, context)
            for row, context in zip(
                frame.select("logged_at", "position", "action", "propensity", "reward").iter_rows(),
                contexts(frame),
                strict=True,
            )
        ]
        assert repr([tuple(row)[1:] for row in back]) == repr([tuple(row)[1:] for row in self.rounds()])
        assert [row.logged_at for row in back] == [row.logged_at for row in self.rounds()]
        (listed,) = postgres_store.imported.list()
        assert (listed.rows, listed.actions, listed.action_features) == (2, self.LOG.actions, self.LOG.action_features)

    def test_a_part_and_what_all_rounds_have(self, postgres_store: PostgresStore) -> None:
        postgres_store.imported.write(self.LOG, self.rounds())
        whole = postgres_store.imported.read("obd-men")
        assert postgres_store.imported.read("obd-men", range(1, 2)).equals(whole[1:])
        assert postgres_store.imported.layout("obd-men") == (False, False, False, False, True)
        early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
        full = [ImportedRound(at, 1, 0, 0.5, 0.0, {}, 7, (0.5, 0.5)) for at in (early, early, late)]
        for name, rounds, ordered in (("up", full, True), ("down", full[::-1], False)):
            postgres_store.imported.write(msgspec.structs.replace(self.LOG, name=name), rounds)
            assert postgres_store.imported.layout(name) == (True, True, True, True, ordered)
        with pytest.raises(NotFound):
            postgres_store.imported.layout("nobody")

    def test_nothing_is_half_imported_and_names_are_not_reused(self, postgres_store: PostgresStore) -> None:
        bad = [*self.rounds(), ImportedRound(None, None, 2, 0.5, 0.0, {})]
        with pytest.raises(InvalidInput, match="/2/action"):
            postgres_store.imported.write(self.LOG, bad)
        assert postgres_store.imported.list() == []
        with pytest.raises(NotFound):
            postgres_store.imported.read("obd-men")
        assert postgres_store.imported.write(self.LOG, []) == 0
        assert postgres_store.imported.read("obd-men").height == 0
        with pytest.raises(InvalidInput):
            postgres_store.imported.write(self.LOG, self.rounds())


def test_a_database_that_only_reads_is_away(postgres_dsn: str, make: Any) -> None:
    info = make_conninfo(postgres_dsn, options="-c default_transaction_read_only=on")
    store = PostgresStore.open(info)
    try:
        for call in (
            store.decisions.probe,
            lambda: store.decisions.append([DecisionEntry(make.decision())]),
            lambda: store.decisions.adopt([DecisionEntry(make.decision())]),
        ):
            with pytest.raises(Unavailable):
                call()
    finally:
        store.close()


def test_a_writers_connection_serves_the_next_and_one_that_ended_nobody(
    postgres_store: PostgresStore, postgres_dsn: str
) -> None:
    def writers() -> list[int]:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'cxi-bandit writer' ORDER BY pid"
            )
            return [pid for (pid,) in rows]

    for policy in (CART, PolicyName("search"), CART):
        with postgres_store.registry.writer(policy) as mine:
            assert mine
            (only,) = writers()
    with postgres_store.registry.writer(CART), postgres_store.registry.writer(CART) as other:
        assert not other
        assert len(writers()) == 2, "locks that are held at once are held apart"
    until(lambda: len(writers()) == 1, 30)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for pid in writers():
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with postgres_store.registry.writer(CART) as mine:
        assert mine
        (fresh,) = writers()
    assert fresh != only
    postgres_store.registry.stand_down()
    with postgres_store.registry.writer(CART) as mine:
        assert mine
        assert fresh not in writers()
    until(lambda: not writers(), 30)

"""After an outage, windows wait for rewards that were refused while everything was away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import PostgresStore


class Clockwork:
    """The store, and the database's memory of the sequencer, which can be set back."""

    def __init__(self, store: PostgresStore, connection: psycopg.Connection, make: Any) -> None:
        self.store = store
        self._connection = connection
        self._make = make

    def closed_at(self, moment: datetime) -> DecisionId:
        decision = self._make.decision(closes_at=moment)
        self.store.decisions.append([DecisionEntry(decision)])
        return decision.decision_id

    def due(self, before: datetime) -> set[DecisionId]:
        with self.store.outcomes.sequencing() as sequencing:
            assert sequencing is not None
            return {seen.window.decision_id for seen in sequencing.matured(before, 100)}

    def silent(self, **past: float) -> None:
        """As if nothing had run for so long."""
        self._connection.execute(
            "UPDATE sequencer_passes SET last_at = last_at - %(past)s, held_until = held_until - %(past)s",
            {"past": timedelta(**past)},
        )

    def runs_on(self, **past: float) -> None:
        """As if passes had been made all the time since."""
        self._connection.execute("UPDATE sequencer_passes SET held_until = held_until - %s", [timedelta(**past)])


@pytest.fixture
def clockwork(postgres_store: PostgresStore, postgres_dsn: str, make: Any) -> Iterator[Clockwork]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield Clockwork(postgres_store, connection, make)


def test_windows_that_ended_in_an_outage_wait_as_long_again(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    before, during = clockwork.closed_at(now - timedelta(minutes=11)), clockwork.closed_at(now - timedelta(minutes=5))
    assert clockwork.due(now - timedelta(days=1)) == set()
    clockwork.silent(minutes=10)
    assert clockwork.due(now) == {before}
    assert clockwork.due(now) == {before}, "the next pass remembers"
    clockwork.runs_on(minutes=9)
    assert clockwork.due(now) == {before}
    clockwork.runs_on(minutes=2)
    assert clockwork.due(now) == {before, during}


def test_the_wait_is_fifteen_minutes_at_most(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    during = clockwork.closed_at(now - timedelta(hours=1))
    clockwork.due(now - timedelta(days=1))
    clockwork.silent(hours=20)
    assert clockwork.due(now) == set()
    clockwork.runs_on(minutes=14)
    assert clockwork.due(now) == set()
    clockwork.runs_on(minutes=2)
    assert clockwork.due(now) == {during}


def test_a_short_silence_and_a_first_start_are_no_outage(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    during = clockwork.closed_at(now - timedelta(seconds=10))
    assert clockwork.due(now) == {during}
    clockwork.silent(seconds=29)
    assert clockwork.due(now) == {during}


def test_a_command_that_closes_nothing_is_no_sign_of_life(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    during = clockwork.closed_at(now - timedelta(minutes=90))
    clockwork.due(now - timedelta(minutes=100))
    clockwork.silent(hours=2)
    with clockwork.store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        assert sequencing.matured(now - timedelta(days=36_500), 10) == []
    clockwork.runs_on(minutes=20)
    assert clockwork.due(now) == set(), "held since the service went, not since the command ran"
    clockwork.runs_on(minutes=16)
    assert clockwork.due(now) == {during}


def test_a_pass_that_had_no_time_for_windows_is_a_sign_of_life(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    during = clockwork.closed_at(now - timedelta(seconds=20))
    clockwork.due(now - timedelta(minutes=1))
    clockwork.silent(seconds=25)
    with clockwork.store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.take_rewards(10)
    clockwork.silent(seconds=25)
    assert clockwork.due(now) == {during}


def test_a_second_outage_keeps_waiting_for_the_first_ones_rewards(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    first = clockwork.closed_at(now - timedelta(minutes=15))
    clockwork.due(now - timedelta(days=1))
    clockwork.silent(minutes=20)
    assert clockwork.due(now) == set()
    clockwork.silent(minutes=5)
    assert clockwork.due(now) == set(), "which would be due by the second outage alone"
    clockwork.runs_on(minutes=16)
    assert clockwork.due(now) == {first}

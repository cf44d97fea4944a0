"""Whatever order things come in, and whoever dies while counting: the tallies equal a count made from the log."""

import multiprocessing
import random
import signal
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.tallies import Span
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.store.postgres import PostgresStore
from tests.contract.conftest import NOON, Maker
from tests.contract.test_tallies import CART, EVER, LATER, close, counted, figures, logged

STANDINGS = (OutcomeStanding.LEARNABLE, OutcomeStanding.OVERRIDDEN, OutcomeStanding.UNACTIVATED)


class Course:
    """One course of events, told to several stores alike."""

    def __init__(self, seed: int, *stores: Any) -> None:
        self.random = random.Random(seed)
        self.stores = stores
        self._make = Maker()
        self._unlogged: list[Any] = []
        self._open: list[Any] = []
        self._closed: dict[Any, tuple[Any, int]] = {}

    def step(self) -> None:
        """A decision is made, or reaches the log, closes, is corrected or erased; or some are counted."""
        kinds = (self._decide, self._decide, self._commit, self._close, self._correct, self._erase, self._count)
        self.random.choice(kinds)()

    def end(self) -> None:
        """All that is on its way arrives, and everything is counted."""
        while self._unlogged:
            self._commit()
        while self._open:
            self._close()
        for store in self.stores:
            counted(store, limit=7)

    def _decide(self) -> None:
        share = self.random.random()
        held = Assignment(revision=1, arm=Arm.HOLD, share=0.1, salt="s") if share < 0.3 else None
        self._unlogged.append(
            self._make.decision(
                probabilities=(share, 1.0 - share),
                intervention=self.random.choice(("hold", "apply_coupon")),
                policy_version=self.random.choice((1, 2)),
                assignment=held,
            )
        )

    def _commit(self) -> None:
        if self._unlogged:
            decision = self._unlogged.pop(self.random.randrange(len(self._unlogged)))
            self._open.append(decision)
            for store in self.stores:
                logged(store, decision)

    def _close(self) -> None:
        if self._open:
            decision = self._open.pop(self.random.randrange(len(self._open)))
            self._closed[decision.decision_id] = (decision, 0)
            closure = self._make.closure(decision, self.random.random(), standing=self.random.choice(STANDINGS))
            for store in self.stores:
                close(store, NOON, closure)

    def _correct(self) -> None:
        if self._closed:
            decision, last = self.random.choice(list(self._closed.values()))
            self._closed[decision.decision_id] = (decision, last + 1)
            standing = self.stores[0].outcomes.revisions(decision.decision_id)[0].standing
            closure = self._make.closure(decision, self.random.random(), revision=last + 1, standing=standing)
            for store in self.stores:
                close(store, NOON, closure)

    def _erase(self) -> None:
        known = [*self._open, *(decision for decision, _ in self._closed.values())]
        if known and self.random.random() < 0.3:
            decision = self.random.choice(known)
            self._closed.pop(decision.decision_id, None)
            self._open = [one for one in self._open if one != decision]
            for store in self.stores:
                store.outcomes.erase(CART, [decision.decision_id], NOON)

    def _count(self) -> None:
        for store in self.stores:
            before = NOON + timedelta(milliseconds=self.random.randrange(40))
            store.tallies.count_decided(before, EVER, self.random.randrange(1, 9))
            store.tallies.count_closed(CART, EVER, self.random.randrange(1, 9))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_counting_along_the_way_equals_counting_afterwards(postgres_store: PostgresStore, seed: int) -> None:
    with postgres_store.database.transaction() as connection:
        connection.execute("TRUNCATE decisions, open_windows, outcomes, sequences, erasures, tallies, tally_marks")
    postgres_store.tallies.recount()
    memory = MemoryStore()
    course = Course(seed, postgres_store, memory)
    for _ in range(60):
        course.step()
    course.end()
    along = [figures(postgres_store, span) for span in Span]
    assert along == [figures(memory, span) for span in Span]
    assert all(tally.settled for tally in along[0][0])
    postgres_store.tallies.recount()
    counted(postgres_store)
    assert [figures(postgres_store, span) for span in Span] == along


def test_a_piece_that_is_not_committed_was_not_counted(postgres_store: PostgresStore, make: Any, noon: Any) -> None:
    first, second = make.decision(), make.decision()
    logged(postgres_store, first, second)
    close(postgres_store, noon, make.closure(first, 0.5), make.closure(second, 0.25))
    tallies = postgres_store.tallies
    with postgres_store.database.connection() as connection:
        connection.execute("ALTER TABLE tally_marks ADD CONSTRAINT stuck CHECK (last_position < 2)")
    with pytest.raises(Exception, match="stuck"):
        tallies.count_closed(CART, EVER, 5)
    assert figures(postgres_store) == ([], [])
    with postgres_store.database.connection() as connection:
        connection.execute("ALTER TABLE tally_marks DROP CONSTRAINT stuck")
    counted(postgres_store)
    assert figures(postgres_store)[0][0].reward == 0.75


def test_who_comes_while_another_counts_leaves_it_to_the_other(postgres_store: PostgresStore, make: Any) -> None:
    logged(postgres_store, decision := make.decision())
    close(postgres_store, NOON, make.closure(decision))
    counted(postgres_store)
    close(postgres_store, NOON, make.closure(decision, 0.5, revision=1))
    with postgres_store.database.transaction() as connection:
        connection.execute("SELECT FROM tally_marks FOR UPDATE")
        assert postgres_store.tallies.count_decided(LATER + timedelta(days=1), EVER, 5) == 0
        assert postgres_store.tallies.count_closed(CART, EVER, 5) == 0
    assert postgres_store.tallies.count_closed(CART, EVER, 5) == 1


def _count_for_ever(dsn: str) -> None:
    store = PostgresStore.open(dsn, max_connections=1)
    while True:
        store.tallies.count_decided(LATER, EVER, 3)
        store.tallies.count_closed(CART, EVER, 3)


def test_counters_that_are_killed_count_nothing_twice_and_skip_nothing(postgres_dsn: str) -> None:
    store = PostgresStore.open(postgres_dsn)
    try:
        course = Course(5, store, MemoryStore())
        spawned = multiprocessing.get_context("spawn")
        for _ in range(4):
            counters = [spawned.Process(target=_count_for_ever, args=[postgres_dsn], daemon=True) for _ in range(2)]
            for counter in counters:
                counter.start()
            ends_at = time.monotonic() + 1.5
            while time.monotonic() < ends_at:
                course.step()
            for counter in counters:
                counter.kill()
                counter.join()
                assert counter.exitcode == -signal.SIGKILL
        course.end()
        along = [figures(store, span) for span in Span]
        assert along == [figures(course.stores[1], span) for span in Span]
        assert along[0][0]
    finally:
        store.close()

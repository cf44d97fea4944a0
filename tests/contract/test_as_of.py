"""A log read at a stated position and ledger cut is the same for ever, in every implementation."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import AsOf, LoggedOutcome, OutcomeStanding, Settlement
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.memory import MemoryStore

CART = PolicyName("cart")


def log(store: Any, *decisions: Decision) -> None:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])


def close(store: Any, *closures: Any, at: datetime) -> None:
    with store.outcomes.sequencing() as sequencing:
        sequencing.take_rewards(1000)
        sequencing.append(closures, at)


def now(store: Any) -> AsOf:
    return AsOf(store.outcomes.head(CART), store.outcomes.ledger_cut())


def test_later_closes_and_revisions_do_not_reach_back(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(3)]
    log(store, *rows)
    store.ledger.append([make.entry(rows[0].decision_id, "r0")])
    nothing = Settlement(reward=0.0, metrics={}, counted=0, completed=False)
    close(store, make.closure(rows[0], 0.3), make.closure(rows[1], settlement=nothing), at=noon)
    stood = now(store)
    before = store.outcomes.scan(CART, 0, 10, stood)
    assert [(row.position, row.reward, row.completed) for row in before] == [(1, 0.3, True), (2, 0.0, False)]

    store.ledger.append([make.entry(rows[1].decision_id, "r1")])
    close(store, make.closure(rows[1], 0.9, revision=1), make.closure(rows[2], 0.5), at=noon)
    assert store.outcomes.scan(CART, 0, 10, stood) == before
    today = store.outcomes.scan(CART, 0, 10)
    assert [(row.position, row.reward, row.completed) for row in today] == [
        (1, 0.3, True),
        (2, 0.9, True),
        (4, 0.5, True),
    ]
    # The position and the cut are two questions: which decisions, and how much of their rewards.
    newer = AsOf(stood.position, store.outcomes.ledger_cut())
    assert [row.reward for row in store.outcomes.scan(CART, 0, 10, newer)] == [0.3, 0.9]
    assert store.outcomes.scan(CART, 0, 10, now(store)) == today


def test_a_scan_goes_on_where_it_stopped_and_no_further_than_its_position(
    store: Any, make: Any, noon: datetime
) -> None:
    rows = [make.decision() for _ in range(5)]
    log(store, *rows)
    close(store, *(make.closure(row) for row in rows), at=noon)
    as_of = AsOf(4, 0)
    first = store.outcomes.scan(CART, 0, 3, as_of)
    assert [row.position for row in first] == [1, 2, 3]
    assert [row.position for row in store.outcomes.scan(CART, 3, 3, as_of)] == [4]
    assert store.outcomes.scan(CART, 4, 3, as_of) == []


def test_what_no_learner_learns_is_read_when_asked_for(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(2)]
    log(store, *rows)
    unshown = OutcomeStanding.UNACTIVATED
    close(store, make.closure(rows[0]), make.closure(rows[1], standing=unshown), at=noon)
    assert [row.position for row in store.outcomes.scan(CART, 0, 9)] == [1]
    every = store.outcomes.scan(CART, 0, 9, unlearnable=True)
    assert [(row.position, row.standing) for row in every] == [(1, OutcomeStanding.LEARNABLE), (2, unshown)]


def test_only_what_was_shown_within_its_window_was_activated(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(4)]
    log(store, *rows)
    at = noon + timedelta(hours=1)
    store.decisions.activate(rows[0].decision_id, rows[0].decided_at)
    store.decisions.activate(rows[1].decision_id, rows[1].closes_at)
    close(store, *(make.closure(row) for row in rows), at=at)
    before = store.outcomes.scan(CART, 0, 9, now(store))
    # An activation that arrives when the window is closed already would change what was read before.
    store.decisions.activate(rows[2].decision_id, at + timedelta(seconds=1))
    after = store.outcomes.scan(CART, 0, 9, now(store))
    assert [row.activated for row in after] == [True, True, False, False]
    assert after == before


def test_a_position_knows_when_it_was_written_even_when_it_is_erased(store: Any, make: Any, noon: datetime) -> None:
    decision = make.decision()
    log(store, decision)
    store.ledger.append([make.entry(decision.decision_id, "r")])
    close(store, make.closure(decision), at=noon)
    mark = store.outcomes.mark(CART, 1)
    assert (mark.position, mark.ledger_cut, mark.closed_at) == (1, 1, noon)
    assert store.outcomes.mark(CART, 0) is None
    assert store.outcomes.mark(CART, 2) is None
    assert store.outcomes.mark(PolicyName("none"), 1) is None
    store.outcomes.erase(CART, [decision.decision_id], noon)
    assert store.outcomes.mark(CART, 1) == mark
    assert store.outcomes.scan(CART, 0, 9, AsOf(1, 1), unlearnable=True) == []


def test_entries_are_known_from_the_cut_that_sequenced_them(store: Any, make: Any, noon: datetime) -> None:
    first, second = make.decision(), make.decision()
    log(store, first, second)
    names = [first.decision_id, second.decision_id]
    store.ledger.append([make.entry(names[0], "a"), make.entry(names[1], "b"), make.entry(names[0], "c")])
    assert store.ledger.known_at(names, 9) == {}
    close(store, at=noon)
    store.ledger.append([make.entry(names[0], "d")])

    def ids(cut: int) -> dict[DecisionId, list[str]]:
        known: dict[DecisionId, list[LedgerEntry]] = store.ledger.known_at(names, cut)
        return {name: [entry.event.reward_id for entry in entries] for name, entries in known.items()}

    assert ids(0) == {}
    assert ids(2) == {names[0]: ["a"], names[1]: ["b"]}
    assert ids(3) == ids(9) == {names[0]: ["a", "c"], names[1]: ["b"]}
    assert store.ledger.known_at([], 9) == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["log", "reward", "close", "revise", "activate"]), st.integers(0, 7))))
def test_whatever_happens_later_an_earlier_reading_stands(make: Any, steps: list[tuple[str, int]]) -> None:
    """Readings taken after every step are taken again at the end, at the same position and cut."""
    maker = type(make)()
    store, rows, revisions = MemoryStore(), [], {}
    noon = maker.decision().decided_at
    readings: list[tuple[AsOf, list[LoggedOutcome], dict[DecisionId, list[LedgerEntry]]]] = []
    for number, (what, which) in enumerate(steps):
        if what == "log" or not rows:
            rows.append(maker.decision())
            log(store, rows[-1])
        chosen = rows[which % len(rows)]
        name, at = chosen.decision_id, noon + timedelta(days=1, seconds=number)
        if what == "reward":
            store.ledger.append([maker.entry(name, f"r{number}")])
        elif what == "close" and name not in revisions:
            revisions[name] = 0
            close(store, maker.closure(chosen, which / 10), at=at)
        elif what == "revise" and name in revisions:
            store.ledger.append([maker.entry(name, f"late{number}")])
            revisions[name] += 1
            close(store, maker.closure(chosen, number, revision=revisions[name]), at=at)
        elif what == "activate":
            store.decisions.activate(name, at if name in revisions else chosen.decided_at)
        stood, names = now(store), [row.decision_id for row in rows]
        readings.append(
            (stood, store.outcomes.scan(CART, 0, 99, stood), store.ledger.known_at(names, stood.ledger_cut))
        )
    for stood, scanned, entries in readings:
        assert store.outcomes.scan(CART, 0, 99, stood) == scanned
        again = store.ledger.known_at([row.decision_id for row in rows], stood.ledger_cut)
        assert {name: again[name] for name in entries} == entries

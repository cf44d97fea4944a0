"""Tallies: counted once, whatever came when; equal to a count made from the log there and then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Span, Stretches
from cxi_bandit.engine.ports import DecisionEntry

CART, SEARCH = PolicyName("cart"), PolicyName("search")
LATER = datetime(2026, 11, 21, tzinfo=UTC)
EVER = datetime(2026, 1, 1, tzinfo=UTC)


def held(revision: int = 1) -> Assignment:
    return Assignment(revision=revision, arm=Arm.HOLD, share=0.1, salt="s")


def logged(store: Any, *decisions: Decision) -> None:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])


def close(store: Any, at: datetime, *closures: Any) -> None:
    with store.outcomes.sequencing() as sequencing:
        sequencing.append(closures, at)


def counted(store: Any, before: datetime = LATER, limit: int = 100) -> None:
    while store.tallies.count_decided(before, EVER, limit):
        pass
    for policy in (CART, SEARCH):
        while store.tallies.count_closed(policy, EVER, limit):
            pass


def figures(store: Any, span: Span = Span.HOUR) -> tuple[list[ArmTally], list[DrawnTally]]:
    asked = [Stretches(span, EVER)]
    return store.tallies.by_arm([CART], asked)[CART], store.tallies.drawn([CART], asked)[CART]


def test_decisions_count_as_they_come_and_again_as_they_end(store: Any, make: Any, noon: datetime) -> None:
    live = [make.decision() for _ in range(3)]
    alone = make.decision(assignment=held(), intervention="hold", probabilities=(1.0, 0.0), propensity=1.0)
    logged(store, *live, alone, make.decision(policy="search"))
    assert figures(store) == ([], [])
    counted(store)
    still_open = [
        ArmTally(
            span=Span.HOUR,
            starts_at=noon,
            policy_version=1,
            arm=arm,
            decided=decided,
            closed=0,
            judged=0,
            reward=0.0,
            squares=0.0,
        )
        for arm, decided in ((Arm.HOLD, 1), (Arm.LIVE, 3))
    ]
    drawn = [
        DrawnTally(span=Span.HOUR, starts_at=noon, intervention=name, decided=decided, expected=expected)
        for name, decided, expected in (("apply_coupon", 3, 2.25), ("hold", 1, 1.75))
    ]
    assert figures(store) == (still_open, drawn)
    assert not any(tally.settled for tally in still_open)
    close(
        store,
        noon,
        make.closure(live[0], 0.5),
        make.closure(live[1], 1.5),
        make.closure(live[2], 9.0, standing=OutcomeStanding.ABANDONED),
        make.closure(alone, 0.25, standing=OutcomeStanding.HELD_BACK),
    )
    counted(store)
    by_arm, again = figures(store)
    assert again == drawn
    assert [(tally.arm, tally.closed, tally.judged, tally.reward, tally.squares) for tally in by_arm] == [
        (Arm.HOLD, 1, 1, 0.25, 0.0625),
        (Arm.LIVE, 3, 2, 2.0, 2.5),
    ]
    assert all(tally.settled for tally in by_arm)
    assert figures(store, Span.DAY)[0][0].starts_at == noon.replace(hour=0)


def test_corrections_replace_what_was_counted_and_each_position_counts_once(
    store: Any, make: Any, noon: datetime
) -> None:
    first, second = make.decision(), make.decision()
    logged(store, first, second)
    close(store, noon, make.closure(first, 0.1), make.closure(second, 0.2))
    counted(store)
    close(store, noon, make.closure(first, 0.3, revision=1), make.closure(first, 0.7, revision=2))
    assert (store.tallies.progress([CART])[CART].position, store.tallies.progress([CART])[CART].head) == (2, 4)
    counted(store, limit=1)
    (tally,) = figures(store)[0]
    assert (tally.closed, tally.judged, tally.reward, tally.squares) == (2, 2, 0.9, 0.53)
    counted(store)
    assert figures(store)[0] == [tally]
    progress = store.tallies.progress([SEARCH, CART])
    assert [(progress[policy].position, progress[policy].head) for policy in (CART, SEARCH)] == [(4, 4), (0, 0)]


def test_a_decision_that_reaches_the_log_late_counts_by_the_time_its_window_closes(
    store: Any, make: Any, noon: datetime
) -> None:
    late, punctual = make.decision(), make.decision()
    logged(store, punctual)
    counted(store)
    logged(store, late)
    counted(store)
    close(store, noon, make.closure(punctual), make.closure(late))
    counted(store)
    ((tally,), drawn) = figures(store)
    assert (tally.decided, tally.closed) == (2, 2)
    assert [(own.decided, own.expected) for own in drawn] == [(2, 1.5), (0, 0.5)]


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("counted_before", [True, False])
def test_erased_decisions_count_no_more(
    store: Any, make: Any, noon: datetime, *, closed: bool, counted_before: bool
) -> None:
    gone, stays = make.decision(), make.decision()
    logged(store, gone, stays)
    if closed:
        close(store, noon, make.closure(gone, 0.1), make.closure(stays, 0.2), make.closure(gone, 0.4, revision=1))
    if counted_before:
        counted(store)
    store.outcomes.erase(CART, [gone.decision_id], noon)
    counted(store)
    ((tally,), drawn) = figures(store)
    assert (tally.decided, tally.closed, tally.judged, tally.reward) == (1, closed, closed, 0.2 * closed)
    assert [(own.decided, own.expected) for own in drawn] == [(1, 0.75), (0, 0.25)]


def test_counting_goes_in_pieces_up_to_a_moment(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(5)]
    logged(store, *rows)
    tallies = store.tallies
    assert tallies.progress([CART])[CART].decided_until == datetime(1970, 1, 1, tzinfo=UTC)
    assert [tallies.count_decided(rows[3].decided_at, EVER, 2) for _ in range(3)] == [2, 1, 0]
    assert tallies.progress([CART])[CART].decided_until == rows[3].decided_at
    assert tallies.count_decided(rows[1].decided_at, EVER, 2) == 0, "it never goes back"
    assert figures(store)[0][0].decided == 3
    asked = [Stretches(Span.DAY, EVER), Stretches(Span.HOUR, noon, noon), Stretches(Span.MINUTE, noon)]
    found = tallies.by_arm([SEARCH, CART], asked)
    assert [(tally.span, tally.decided) for tally in found[CART]] == [(Span.DAY, 3), (Span.MINUTE, 3)]
    assert found[SEARCH] == []
    assert tallies.count_closed(CART, EVER, 10) == 0


def test_minutes_are_kept_for_a_while(store: Any, make: Any, noon: datetime) -> None:
    logged(store, make.decision())
    counted(store)
    assert [own.starts_at for own in figures(store, Span.MINUTE)[0]] == [noon]
    store.tallies.forget_minutes(noon + timedelta(minutes=1))
    assert figures(store, Span.MINUTE) == ([], [])
    assert figures(store)[0]


def test_counting_again_gives_the_same(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(6)]
    logged(store, *rows)
    counted(store)
    close(store, noon, *(make.closure(row, 0.1 * number) for number, row in enumerate(rows)))
    close(store, noon, make.closure(rows[0], 5.0, revision=1))
    store.outcomes.erase(CART, [rows[1].decision_id], noon)
    counted(store)
    before = [figures(store, span) for span in Span]
    store.tallies.recount()
    assert figures(store) == ([], [])
    counted(store, limit=2)
    assert [figures(store, span) for span in Span] == before


def test_an_empty_log_has_no_tallies(store: Any) -> None:
    counted(store)
    store.tallies.recount()
    counted(store)
    assert figures(store) == ([], [])

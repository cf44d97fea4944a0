"""Decisions that are logged and never learned: late answers nobody saw, and those another decision stands for."""

from datetime import datetime, timedelta
from typing import Any

from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken

TOKEN = IdempotencyToken("shop", "abc", b"body")


def set_aside(store: Any, noon: datetime) -> dict[DecisionId, OutcomeStanding | None]:
    """Every open decision and why it is set aside."""
    with store.outcomes.sequencing() as sequencing:
        found = sequencing.matured(noon + timedelta(days=1), 100)
        assert sequencing.still_open([seen.window.decision_id for seen in found]) == sorted(
            found, key=lambda seen: seen.window.decision_id
        )
        return {seen.window.decision_id: seen.set_aside for seen in found}


def test_an_abandoned_decision_is_set_aside(store: Any, make: Any, noon: datetime) -> None:
    seen, unseen = make.decision(), make.decision()
    store.decisions.append([DecisionEntry(seen), DecisionEntry(unseen)])
    store.decisions.abandon([unseen.decision_id])
    store.decisions.abandon([unseen.decision_id])
    assert set_aside(store, noon) == {seen.decision_id: None, unseen.decision_id: OutcomeStanding.ABANDONED}


def test_a_decision_abandoned_before_its_commit_is_known_is_set_aside(store: Any, make: Any, noon: datetime) -> None:
    unseen = make.decision()
    store.decisions.abandon([unseen.decision_id, make.decision().decision_id])
    store.decisions.append([DecisionEntry(unseen)])
    assert set_aside(store, noon) == {unseen.decision_id: OutcomeStanding.ABANDONED}


def test_what_its_key_answered_after_all_was_seen_whichever_is_noted_first(
    store: Any, make: Any, noon: datetime
) -> None:
    first, late = make.decision(), make.decision()
    other = IdempotencyToken("shop", "other", b"body")
    store.decisions.append([DecisionEntry(first, TOKEN), DecisionEntry(late, other)])
    store.decisions.abandon([first.decision_id])
    assert store.decisions.append([DecisionEntry(make.decision(), TOKEN)]) == [first]
    assert set_aside(store, noon)[first.decision_id] is OutcomeStanding.ABANDONED, "asked for is not answered yet"
    store.decisions.answered([first.decision_id, late.decision_id])
    store.decisions.abandon([late.decision_id])
    assert set_aside(store, noon) == {first.decision_id: None, late.decision_id: None}


def test_what_was_answered_while_the_log_was_away_lands_as_itself(store: Any, make: Any, noon: datetime) -> None:
    plain, keyed = make.decision(), make.decision()
    entries = [DecisionEntry(plain), DecisionEntry(keyed, TOKEN)]
    assert store.decisions.adopt(entries) == 0
    assert store.decisions.adopt(entries) == 0, "drained again after a crash"
    assert store.decisions.adopt([]) == 0
    assert set_aside(store, noon) == {plain.decision_id: None, keyed.decision_id: None}
    assert store.decisions.append([DecisionEntry(make.decision(), TOKEN)]) == [keyed]


def test_a_later_row_of_the_same_request_is_the_first_ones_alias(store: Any, make: Any, noon: datetime) -> None:
    first, alias, third = make.decision(), make.decision(), make.decision()
    store.decisions.append([DecisionEntry(first, TOKEN)])
    assert store.decisions.adopt([DecisionEntry(alias, TOKEN), DecisionEntry(third, TOKEN)]) == 2
    assert set_aside(store, noon) == {
        first.decision_id: None,
        alias.decision_id: OutcomeStanding.ALIAS,
        third.decision_id: OutcomeStanding.ALIAS,
    }
    assert store.decisions.append([DecisionEntry(make.decision(), TOKEN)]) == [first]


def test_nothing_is_the_alias_of_what_nobody_saw(store: Any, make: Any, noon: datetime) -> None:
    unseen, seen = make.decision(), make.decision()
    store.decisions.append([DecisionEntry(unseen, TOKEN)])
    store.decisions.abandon([unseen.decision_id])
    assert store.decisions.adopt([DecisionEntry(seen, TOKEN)]) == 0
    assert set_aside(store, noon) == {unseen.decision_id: OutcomeStanding.ABANDONED, seen.decision_id: None}


def test_a_store_that_answers_passes_its_probe(store: Any) -> None:
    store.decisions.probe()


def test_a_key_used_for_another_request_meanwhile_leaves_both_standing(store: Any, make: Any, noon: datetime) -> None:
    first, other = make.decision(), make.decision()
    store.decisions.append([DecisionEntry(first, TOKEN)])
    assert store.decisions.adopt([DecisionEntry(other, IdempotencyToken("shop", "abc", b"another"))]) == 0
    assert set_aside(store, noon) == {first.decision_id: None, other.decision_id: None}


def test_an_alias_stays_one_when_it_is_abandoned_too(store: Any, make: Any, noon: datetime) -> None:
    first, alias = make.decision(), make.decision()
    store.decisions.append([DecisionEntry(first, TOKEN)])
    store.decisions.adopt([DecisionEntry(alias, TOKEN)])
    store.decisions.abandon([alias.decision_id])
    assert set_aside(store, noon)[alias.decision_id] is OutcomeStanding.ALIAS


def test_they_are_listed_page_by_page_the_newest_first_and_no_other(store: Any, make: Any) -> None:
    first, alias, seen, *unseen = (make.decision() for _ in range(6))
    store.decisions.append([DecisionEntry(first, TOKEN), DecisionEntry(seen)])
    store.decisions.adopt([DecisionEntry(alias, TOKEN)])
    store.decisions.abandon([row.decision_id for row in unseen])
    store.decisions.answered([seen.decision_id])
    wanted = [(row.decision_id, OutcomeStanding.ABANDONED) for row in reversed(unseen)]
    wanted.append((alias.decision_id, OutcomeStanding.ALIAS))
    for limit, look in ((1, 9), (2, 3), (4, 4), (9, 1), (9, 9)):
        read, before = [], None
        for _ in range(9):
            page = store.decisions.set_asides(before, limit, look)
            assert len(page.decisions) <= limit
            read += page.decisions
            before = page.before
            if before is None:
                break
        assert (read, before) == (wanted, None)

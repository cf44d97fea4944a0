"""The search of the decision log: newest first, page by page, and never past the bound of rows it may look at."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.domain.search import Wanted
from cxi_bandit.engine.erase import erase
from cxi_bandit.engine.ports import DecisionEntry

MINE, THEIRS = b"m" * 32, b"t" * 32
EVERYTHING = Wanted()


def log(store: Any, *decisions: Decision) -> list[DecisionId]:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])
    return [decision.decision_id for decision in decisions][::-1]


def found(store: Any, wanted: Wanted, limit: int = 50, look: int = 1000) -> list[DecisionId]:
    return [row.decision_id for page in pages(store, wanted, limit, look) for row in page]


def pages(store: Any, wanted: Wanted, limit: int, look: int) -> Iterator[list[Decision]]:
    before = None
    while True:
        page = store.decisions.search(wanted, before, limit, look)
        yield page.decisions
        if page.before is None:
            return
        assert before is None or page.before < before, "a search goes back, or ends"
        before = page.before


def test_an_empty_log_holds_nothing(store: Any) -> None:
    page = store.decisions.search(EVERYTHING, None, 10, 100)
    assert (page.decisions, page.before) == ([], None)


def test_every_decision_is_found_once_the_newest_first_whatever_the_page(store: Any, make: Any) -> None:
    rows = [make.decision(policy, subject=MINE) for policy in ("cart", "search", "cart", "cart", "search")]
    newest_first = log(store, *rows)
    for limit in (1, 2, 5, 6):
        for look in (limit, 7):
            assert found(store, EVERYTHING, limit, look) == newest_first
            assert found(store, Wanted(subject=MINE), limit, look) == newest_first
    assert next(pages(store, EVERYTHING, 2, 9)) == rows[:2:-1]


def test_what_is_found_is_the_row_itself(store: Any, make: Any) -> None:
    row = make.decision(subject=MINE, excluded={"free_shipping": "condition"})
    log(store, row)
    assert store.decisions.search(EVERYTHING, None, 1, 1).decisions == [row]


def test_a_shopper_is_found_by_the_pseudonym_alone(store: Any, make: Any) -> None:
    mine = [make.decision(policy, subject=MINE) for policy in ("cart", "search")]
    others = [make.decision(subject=THEIRS), make.decision(), make.decision(subject=MINE[:-1])]
    log(store, mine[0], *others, mine[1])
    assert found(store, Wanted(subject=MINE)) == [mine[1].decision_id, mine[0].decision_id]
    assert found(store, Wanted(subject=b"n" * 32)) == []


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(surface="search"), [3, 1]),
        (Wanted(policy=PolicyName("other")), [2]),
        (Wanted(intervention=InterventionId("hold")), [3]),
        (Wanted(intervention=InterventionId("hold"), policy=PolicyName("other")), []),
        (Wanted(intervention=InterventionId("hold"), surface="search", subject=MINE), [3]),
        (Wanted(intervention=InterventionId("hold"), surface="search", subject=THEIRS), []),
    ],
)
def test_every_condition_must_hold(store: Any, make: Any, wanted: Wanted, names: list[int]) -> None:
    rows = [
        make.decision(),
        make.decision(surface="search"),
        make.decision("other"),
        make.decision(surface="search", intervention="hold", propensity=0.25, subject=MINE),
    ]
    log(store, *rows)
    assert found(store, wanted) == [rows[name].decision_id for name in names]


def test_a_range_begins_with_its_first_moment_and_ends_before_its_last(store: Any, make: Any) -> None:
    rows = [make.decision(subject=MINE) for _ in range(4)]
    log(store, *rows)
    since, until = rows[1].decided_at, rows[3].decided_at
    for subject in (None, MINE):
        assert found(store, Wanted(since=since, until=until, subject=subject)) == [
            rows[2].decision_id,
            rows[1].decision_id,
        ]
        assert found(store, Wanted(since=until, until=since, subject=subject)) == []
        long_ago = datetime.min.replace(tzinfo=UTC)
        assert found(store, Wanted(since=long_ago, until=long_ago + timedelta(days=1), subject=subject)) == []
        assert len(found(store, Wanted(since=long_ago, until=datetime.max.replace(tzinfo=UTC), subject=subject))) == 4


def test_a_search_looks_at_so_many_rows_and_goes_on_from_there(store: Any, make: Any) -> None:
    rare = make.decision(intervention="hold", propensity=0.25, subject=MINE)
    rows = [rare, *(make.decision(subject=MINE) for _ in range(7))]
    log(store, *rows)
    for subject in (None, MINE):
        wanted = Wanted(intervention=InterventionId("hold"), subject=subject)
        first = store.decisions.search(wanted, None, 50, 5)
        assert (first.decisions, first.before) == ([], rows[3].decision_id)
        second = store.decisions.search(wanted, first.before, 50, 5)
        assert (second.decisions, second.before) == ([rare], None)


def test_what_another_shopper_did_meanwhile_is_not_looked_at(store: Any, make: Any) -> None:
    mine = make.decision(subject=MINE)
    log(store, mine, *(make.decision(subject=THEIRS) for _ in range(5)))
    page = store.decisions.search(Wanted(subject=MINE), None, 50, 2)
    assert (page.decisions, page.before) == ([mine], None)


def test_who_was_erased_is_not_found(store: Any, make: Any, noon: datetime) -> None:
    mine, theirs = make.decision(subject=MINE), make.decision(subject=THEIRS)
    log(store, mine, theirs)
    erase(MINE, noon + timedelta(hours=1), store.decisions, store.outcomes, store.privacy)
    assert found(store, Wanted(subject=MINE)) == []
    assert found(store, EVERYTHING) == [theirs.decision_id]

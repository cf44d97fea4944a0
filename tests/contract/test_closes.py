"""First closes: what a trial bets on is never edited by what comes later."""

from datetime import datetime
from typing import Any

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.engine.ports import DecisionEntry

CART = PolicyName("cart")


def test_first_closes_stay_as_they_were_known_at_close(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(4)]
    store.decisions.append([DecisionEntry(row) for row in rows])
    with store.outcomes.sequencing() as sequencing:
        made = sequencing.append(
            [
                make.closure(rows[1], 0.5),
                make.closure(rows[0], 0.25, standing=OutcomeStanding.UNACTIVATED),
                make.closure(rows[2], 0.75),
            ],
            noon,
        )
    with store.outcomes.sequencing() as sequencing:
        sequencing.append([make.closure(rows[1], 0.0, revision=1), make.closure(rows[3], 1.0)], noon)
    closes = store.outcomes.closes(CART, 0, 10)
    assert [(row.position, row.decision_id) for row in closes] == [
        (1, rows[1].decision_id),
        (2, rows[0].decision_id),
        (3, rows[2].decision_id),
        (5, rows[3].decision_id),
    ]
    assert closes[:3] == made
    assert [row.position for row in store.outcomes.closes(CART, 1, 2)] == [2, 3]
    assert store.outcomes.closes(PolicyName("none"), 0, 10) == []
    store.outcomes.erase(CART, [rows[2].decision_id], noon)
    assert [row.position for row in store.outcomes.closes(CART, 0, 10)] == [1, 2, 5]

"""A log that breaks a rule is refused, with the field and the row."""

from dataclasses import replace

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators import DoublyRobust
from simulator.rounds import LoggedRounds, ScoredRounds


def three_rounds() -> LoggedRounds:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    return LoggedRounds(
        actions=("hold", "offer"),
        action=np.array([0, 1, 0]),
        propensity=np.array([0.5, 0.75, 1.0]),
        reward=np.array([0.0, 1.0, 0.5]),
        logged_at=np.array([10.0, 20.0, 30.0]),
        position=np.array([0, 1, 2]),
        subject=np.array([7, 7, 9]),
        probabilities=probabilities,
        eligible=probabilities > 0,
    )


@pytest.mark.parametrize(
    ("field", "values", "row"),
    [
        ("action", np.array([0, 2, 0]), 1),
        ("action", np.array([0, -1, 0]), 1),
        ("propensity", np.array([0.5, 0.75, 0.0]), 2),
        ("propensity", np.array([1.5, 0.75, 1.0]), 0),
        ("propensity", np.array([0.5, np.nan, 1.0]), 1),
        ("reward", np.array([0.0, np.inf, 0.5]), 1),
        ("logged_at", np.array([10.0, 20.0, np.nan]), 2),
        ("position", np.array([0, 1, -1]), 2),
        ("probabilities", np.array([[0.5, 0.5], [0.25, 0.5], [1.0, 0.0]]), 1),
        ("probabilities", np.array([[0.5, 0.5], [0.25, 0.75], [1.5, -0.5]]), 2),
        ("probabilities", np.array([[0.5, 0.5], [0.3, 0.7], [1.0, 0.0]]), 1),
        ("probabilities", np.array([[0.5, 0.5], [np.nan, 0.75], [1.0, 0.0]]), 1),
        ("eligible", np.array([[True, True], [True, False], [True, False]]), 1),
    ],
)
def test_a_bad_row_is_named(field: str, values: np.ndarray, row: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(three_rounds(), **{field: values})
    assert caught.value.pointer == field
    assert f"row {row} " in caught.value.detail


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("reward", np.zeros(2)),
        ("action", np.array([0.0, 1.0, 0.0])),
        ("probabilities", np.full((3, 3), 1 / 3)),
        ("eligible", np.ones((2, 2), dtype=bool)),
        ("actions", ("hold", "hold")),
        ("actions", ()),
    ],
)
def test_a_bad_shape_or_type_is_named(field: str, values: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(three_rounds(), **{field: values})
    assert caught.value.pointer == field


def test_taking_rows_takes_every_field() -> None:
    last = three_rounds().take(np.array([2]))
    assert len(last) == 1
    assert last.subject is not None
    assert last.subject[0] == 9
    assert last.eligible is not None
    assert last.eligible.tolist() == [[True, False]]


def test_what_estimators_share_is_right() -> None:
    candidate = np.array([[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]])
    batch = ScoredRounds(three_rounds(), candidate, np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]))
    assert batch.weight.tolist() == [0.5, 0.5 / 0.75, 0.0]
    assert batch.dm.tolist() == [0.75, 0.5, 0.0]
    assert batch.residual.tolist() == [0.0, 0.5, -0.5]
    assert batch.q_range == (0.0, 1.0)


def test_scores_are_validated() -> None:
    rounds = three_rounds()
    with pytest.raises(InvalidInput, match="candidate"):
        ScoredRounds(rounds, np.full((3, 2), 0.4))
    with pytest.raises(InvalidInput, match="mixture_propensity"):
        ScoredRounds(rounds, np.full((3, 2), 0.5), None, np.array([0.5, 0.0, 0.5]))
    with pytest.raises(InvalidInput, match="row 1 holds a value that is not finite"):
        _ = ScoredRounds(rounds, np.full((3, 2), 0.5), np.array([[0.0, 0.0], [np.nan, 0.0], [0.0, 0.0]])).dm
    with pytest.raises(InvalidInput, match="reward model"):
        DoublyRobust().update(ScoredRounds(rounds, np.full((3, 2), 0.5)))


def test_single_precision_sums_are_judged_as_such() -> None:
    n, k = 50, 80
    candidate = np.random.default_rng(0).dirichlet(np.ones(k), n).astype(np.float32)
    rounds = LoggedRounds(
        actions=tuple(map(str, range(k))),
        action=np.zeros(n, dtype=np.int32),
        propensity=np.full(n, 0.5),
        reward=np.zeros(n),
        logged_at=np.zeros(n),
    )
    assert len(ScoredRounds(rounds, candidate)) == n

"""Segments part the rows; their effects add up to the overall one, and a true difference is found where it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.candidates import Prepared
from simulator.datasets.contexts import Described
from simulator.datasets.log import ReplayLog
from simulator.paired import effects
from simulator.rounds import LoggedRounds, ScoredRounds
from simulator.segments import FEWEST_UNITS, MISSING, MOST_VALUES, REST, labels_of, segment_effects


class Known:
    """Contexts that are only ever described."""

    def __init__(self, rows: Sequence[Described]) -> None:
        self._rows = rows

    def described(self, row: int) -> Described:
        return self._rows[row]


def contexts(*values: Any) -> Any:
    return Known([Described("cart", "slow", {} if value is None else {"x": value}) for value in values])


def met(n: int = 6000, seed: int = 1, *, per_shopper: int = 1) -> tuple[Prepared, ScoredRounds]:
    """Action 1 helps shoppers on mobile by .3 and nobody else; the candidate always takes it, the log half the time."""
    rng = np.random.default_rng(seed)
    device = rng.choice(["mobile", "desktop", "tablet"], n, p=[0.3, 0.6, 0.1])
    action = rng.integers(0, 2, n)
    rate = 0.3 + 0.3 * ((device == "mobile") & (action == 1))
    rounds = LoggedRounds(
        actions=("hold", "help"),
        action=action,
        propensity=np.full(n, 0.5),
        reward=(rng.random(n) < rate).astype(np.float64),
        logged_at=np.arange(n, dtype=np.float64),
        subject=np.arange(n) // per_shopper,
    )
    rows = Known([Described("cart", "slow", {"device": str(name)}) for name in device])
    known: Any = rows
    nothing: Any = None
    log = ReplayLog(name="x", rounds=rounds, reward_range=(0, 1), contexts=known, manifest=nothing)
    candidate = np.tile([0.0, 1.0], (n, 1))
    batch = ScoredRounds(rounds, candidate, np.full((n, 2), 0.35))
    return Prepared(log=log, probabilities=candidate), batch


def test_segments_add_up_to_the_overall_effect() -> None:
    prepared, batch = met()
    found = segment_effects(prepared, batch, ["context.device", "surface"], 0.95)
    for field in ("context.device", "surface"):
        mine = [segment for segment in found.segments if segment.field == field]
        assert sum(segment.rows for segment in mine) == len(batch)
        weighted = sum(segment.rows * (segment.effect or 0.0) for segment in mine)
        assert weighted / len(batch) == pytest.approx(found.overall)
    assert found.overall == pytest.approx(float(effects(batch).mean()))


def test_the_effect_is_found_where_it_is_and_nowhere_else() -> None:
    prepared, batch = met()
    found = segment_effects(prepared, batch, ["context.device"], 0.95)
    by_name = {segment.segment: segment for segment in found.segments}
    # Half of the log's rows are helped already, so going from half to all is worth half the help.
    assert by_name["mobile"].shrunken == pytest.approx(0.15, abs=0.06)
    assert by_name["mobile"].benjamini_hochberg is not None
    assert by_name["mobile"].benjamini_hochberg < 0.01
    assert by_name["tablet"].bonferroni is not None
    assert by_name["tablet"].bonferroni > 0.05
    assert found.heterogeneity_p["context.device"] < 0.01
    assert "3 segments were looked at" in found.statement


def test_rows_of_one_shopper_count_once() -> None:
    alone = segment_effects(*met(2000), ["surface"], 0.95).segments[0]
    together = segment_effects(*met(2000, per_shopper=50), ["surface"], 0.95).segments[0]
    assert (alone.units, together.units) == (2000, 40)
    assert alone.effect == together.effect
    assert alone.interval != together.interval


def test_a_segment_of_few_shoppers_gets_no_number() -> None:
    prepared, batch = met(FEWEST_UNITS - 1)
    (segment,) = segment_effects(prepared, batch, ["surface"], 0.95).segments
    assert segment.rows == FEWEST_UNITS - 1
    assert segment.effect is segment.shrunken is segment.p is None


def test_numbers_are_grouped_flags_named_and_gaps_kept() -> None:
    numbers = labels_of(contexts(*[float(x) for x in range(100)], None), 101, "context.x")
    names, counts = np.unique(numbers, return_counts=True)
    assert sorted(counts.tolist()) == [1, 25, 25, 25, 25]
    assert MISSING in names
    assert labels_of(contexts(True, False, None), 3, "context.x").tolist() == ["true", "false", MISSING]
    assert set(labels_of(contexts(1.0, 1.0, 1.0), 3, "context.x")) == {"up to 1"}


def test_rare_values_become_one_segment() -> None:
    values = [f"v{number}" for number in range(MOST_VALUES)] * 3 + ["rare 1", "rare 2"]
    labels = labels_of(contexts(*values), len(values), "context.x")
    assert len(set(labels)) == MOST_VALUES + 1
    assert labels[-2:].tolist() == [REST, REST]


@pytest.mark.parametrize("field", ["device", "context.", "context.colour"])
def test_an_unknown_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidInput):
        labels_of(contexts("a"), 1, field)

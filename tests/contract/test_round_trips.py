"""What goes into a store comes out equal, to the last bit and in the same order: decisions execute again from it."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Decision, Defect, Fallback, Situation, Stage
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement, TrainingRow
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.engine.ports import Closure, DecisionEntry

# The store of an example is that of the whole test: every example is given ids of its own (see `fresh`).
many = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

extreme = st.sampled_from([5e-324, 0.1 + 0.2, 1.7976931348623157e308, -0.0, 2.2250738585072014e-308, 1 / 3, 1e22, 1.0])
number = st.one_of(extreme, st.floats(allow_nan=False, allow_infinity=False))
share = st.one_of(st.sampled_from([5e-324, 0.1 + 0.2, 1 / 3, 1.0]), st.floats(0.0, 1.0))
# Text as PostgreSQL can hold it: any character but NUL; quotes, braces and backslashes more often than chance has them.
name = st.one_of(
    st.sampled_from(['a"b', "a\\b", "{a,b}", "NULL", "größe", "東京 🛒", "a b", "'", "\n", ""]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
)
# Values of features live in JSON, where even NUL has a spelling.
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
features = st.dictionaries(words, st.one_of(st.booleans(), number, words), max_size=5)
moment = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
version = st.integers(1, 2**31 - 1)
position = st.integers(0, 2**62)


def fresh() -> Any:
    """An id nobody used: hypothesis likes to repeat its own. At any time, within a partition or not."""
    return UUID(int=uuid4().int & ~(0xF << 76) | 0x7 << 76)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    eligible = draw(st.lists(name, min_size=1, max_size=6, unique=True))
    probabilities = draw(st.lists(share, min_size=len(eligible), max_size=len(eligible)))
    drawn = draw(st.integers(0, len(eligible) - 1))
    fields: dict[str, Any] = {
        "decision_id": fresh(),
        "decided_at": draw(moment).replace(microsecond=0),
        "closes_at": draw(moment),
        "policy": draw(name),
        "policy_version": draw(version),
        "manifest_sha": draw(name),
        "model_version": draw(st.none() | position),
        "stage": draw(st.sampled_from(Stage)),
        "surface": draw(name),
        "subject": draw(st.none() | st.binary(max_size=40)),
        "situation": Situation(
            defect=Defect(draw(name), draw(share), draw(share)),
            context=draw(features),
            eligible=tuple(eligible),
            offered=draw(st.dictionaries(st.sampled_from(eligible), features, max_size=3)),
        ),
        "excluded": draw(st.dictionaries(name, words, max_size=3)),
        "probabilities": tuple(probabilities),
        "intervention": eligible[drawn],
        "propensity": probabilities[drawn],
        "draw_key_id": draw(name),
        "u": draw(share),
        "fallback": draw(st.none() | st.sampled_from(Fallback)),
    }
    return Decision(**fields)


@st.composite
def events(draw: st.DrawFn) -> RewardEvent:
    fields: dict[str, Any] = {
        "source": draw(name),
        "reward_id": fresh().hex + draw(name),
        "decision_id": fresh(),
        "order": draw(st.none() | st.binary(max_size=40)),
        "metric": draw(name),
        "value": draw(st.none() | number),
        "occurred_at": draw(moment),
        "corrects": draw(st.none() | name),
        "retracts": draw(st.none() | name),
    }
    return RewardEvent(**fields)


@st.composite
def entries(draw: st.DrawFn) -> LedgerEntry:
    return LedgerEntry(event=draw(events()), received_at=draw(moment), quarantined=draw(st.none() | name))


settlements = st.builds(
    Settlement,
    reward=number,
    metrics=st.dictionaries(words, number, max_size=3),
    counted=st.integers(0, 2**31 - 1),
    completed=st.booleans(),
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    fields: dict[str, Any] = {
        "policy": fresh().hex + draw(name),
        "policy_version": draw(version),
        "version": draw(position),
        "branch": draw(st.sampled_from(Branch)),
        "parent": draw(st.none() | position),
        "manifest_sha": draw(name),
        "vw_build": draw(name),
        **{field: draw(position) for field in ("after", "up_to", "ledger_cut", "erasure_cut", "unlearn_cut")},
        **{field: draw(position) for field in ("learned", "learned_total")},
    }
    golden = tuple(tuple(vector) for vector in draw(st.lists(st.lists(number, max_size=4), max_size=4)))
    size = draw(position)
    created_at = draw(moment)
    return Model(lineage=Lineage(**fields), sha256=draw(name), size_bytes=size, golden=golden, created_at=created_at)


def exactly(value: Any) -> Any:
    """A form in which only the identical is equal: floats by their bits, dictionaries by their order."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return [(key, exactly(inner)) for key, inner in value.items()]
    if isinstance(value, (list, tuple)):
        return [exactly(inner) for inner in value]
    if isinstance(value, msgspec.Struct):
        return [exactly(getattr(value, field)) for field in value.__struct_fields__]
    return (type(value) if isinstance(value, bool) else None, value)


@many
@given(st.lists(decisions(), min_size=1, max_size=5))
def test_decisions(store: Any, rows: list[Decision]) -> None:
    store.decisions.append([DecisionEntry(row) for row in rows])
    found = store.decisions.find([row.decision_id for row in rows])
    assert exactly([found[row.decision_id] for row in rows]) == exactly(rows)
    again = store.decisions.scan(rows[0].policy, None, 10_000)
    assert exactly(rows[0]) in exactly(again)


@many
@given(st.lists(entries(), min_size=1, max_size=5))
def test_ledger_entries(store: Any, rows: list[LedgerEntry]) -> None:
    store.ledger.append(rows)
    for row in rows:
        assert exactly(row) in exactly(store.ledger.history(row.event.decision_id))


@many
@given(st.lists(entries(), min_size=1, max_size=5), st.binary(min_size=1, max_size=40))
def test_events_that_name_a_shopper(store: Any, rows: list[LedgerEntry], subject: bytes) -> None:
    moved = [
        msgspec.structs.replace(row, event=msgspec.structs.replace(row.event, decision_id=None, subject=subject))
        for row in rows
    ]
    store.ledger.append(moved)
    with store.ledger.addresses() as addresses:
        for row in moved:
            assert exactly(row.event) in exactly(addresses.amended([row.event.key]))


@many
@given(decisions(), settlements, st.sampled_from(OutcomeStanding), moment)
def test_outcomes_and_training_rows(
    store: Any, row: Decision, settlement: Settlement, standing: OutcomeStanding, at: datetime
) -> None:
    store.decisions.append([DecisionEntry(row)])
    closure = Closure(
        policy=row.policy, decision_id=row.decision_id, revision=0, settlement=settlement, standing=standing
    )
    with store.outcomes.sequencing() as sequencing:
        (made,) = sequencing.append([closure], at)
    assert exactly(store.outcomes.revisions(row.decision_id)) == exactly([made])
    assert exactly(made.settlement) == exactly(settlement)
    segment = store.outcomes.segment(row.policy, made.position - 1, made.position, made.ledger_cut)
    if standing is OutcomeStanding.LEARNABLE:
        taught = TrainingRow(position=made.position, decision=row, reward=settlement.reward).lesson
        assert exactly(segment.rows) == exactly([taught])
    else:
        assert segment.rows == []


@many
@given(models(), st.binary(max_size=200))
def test_models(store: Any, model: Model, data: bytes) -> None:
    lineage = model.lineage
    store.registry.publish(model, data, moves_head_from=None)
    assert exactly(store.registry.model(lineage.policy, lineage.version)) == exactly(model)
    assert exactly(store.registry.head(lineage.policy, lineage.policy_version)) == exactly(model)
    assert store.registry.model_bytes(lineage.policy, lineage.version) == data


def test_a_learner_gets_a_long_segment_whole(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision(propensity=(1 + index) / 12_000) for index in range(12_000)]
    store.decisions.append([DecisionEntry(row) for row in rows])
    with store.outcomes.sequencing() as sequencing:
        sequencing.append([make.closure(row) for row in rows], noon + timedelta(hours=1))
    taught = [
        TrainingRow(position=position, decision=row, reward=1.0).lesson for position, row in enumerate(rows, start=1)
    ]
    assert store.outcomes.segment("cart", 0, 12_000, 0).rows == taught

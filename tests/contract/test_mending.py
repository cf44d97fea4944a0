"""What the ports promise to those who mend what was learned: rebuilds, unlearnings, erasures, thinned models."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.erasure import Certificate
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName, Source
from cxi_bandit.domain.outcome import AsOf
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports import DecisionEntry

CART = PolicyName("cart")
HOUR = timedelta(hours=1)


def log(store: Any, *decisions: Decision) -> None:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])


def close(store: Any, *closures: Any, at: datetime) -> None:
    with store.outcomes.sequencing() as sequencing:
        sequencing.take_rewards(1000)
        sequencing.append(closures, at)


def rule(noon: datetime, source: str | None = "shop", since: float = -1.0, until: float = 24.0) -> Unlearning:
    """Bounds in hours from noon."""
    return Unlearning(
        policy=CART,
        source=None if source is None else Source(source),
        since=noon + since * HOUR,
        until=noon + until * HOUR,
        asked_at=noon,
    )


class TestRebuilds:
    def test_a_request_waits_until_it_is_answered_and_its_first_answer_stands(self, store: Any, noon: datetime) -> None:
        first = store.rebuilds.ask(CART, "late rewards", noon)
        other = store.rebuilds.ask(PolicyName("search"), "schedule", noon)
        assert [request.request_id for request in store.rebuilds.waiting()] == [first, other]
        store.rebuilds.answer([first], [ModelVersion(7), ModelVersion(9)], noon + HOUR)
        store.rebuilds.answer([first], [ModelVersion(8)], noon + 2 * HOUR)
        assert [request.request_id for request in store.rebuilds.waiting()] == [other]
        (known,) = store.rebuilds.history(CART)
        assert (known.reason, known.asked_at) == ("late rewards", noon)
        assert (known.models, known.answered_at) == ((7, 9), noon + HOUR)
        assert store.rebuilds.history(PolicyName("none")) == []

    def test_one_that_could_be_answered_by_no_model_is_answered(self, store: Any, noon: datetime) -> None:
        asked = store.rebuilds.ask(CART, "schedule", noon)
        store.rebuilds.answer([asked], [], noon)
        assert store.rebuilds.waiting() == []
        assert store.rebuilds.history(CART)[0].models == ()


class TestErasures:
    def test_an_erasure_says_what_went_and_asks_for_a_rebuild(self, store: Any, make: Any, noon: datetime) -> None:
        rows = [make.decision() for _ in range(3)]
        log(store, *rows)
        store.ledger.append([make.entry(rows[1].decision_id, "a"), make.entry(rows[1].decision_id, "b")])
        close(store, make.closure(rows[0]), make.closure(rows[1]), at=noon)
        close(store, make.closure(rows[1], 0.5, revision=1), at=noon)
        going = [rows[1].decision_id, rows[2].decision_id]
        number = store.outcomes.erase(CART, going, noon)
        found = store.outcomes.erasure(CART, number)
        assert (found.number, found.erased_at, found.learnable) == (number, noon, (2,))
        counts = {"outcomes": 2, "reward_ledger": 2, "decisions": 2}
        assert {table: found.removed[table] for table in counts} == counts
        assert [(request.policy, request.reason) for request in store.rebuilds.waiting()] == [(CART, "erasure 1")]
        with pytest.raises(NotFound):
            store.outcomes.erasure(CART, number + 1)

    def test_a_shoppers_decisions_are_found_over_all_policies_up_to_a_moment(self, store: Any, make: Any) -> None:
        mine, theirs = b"m" * 32, b"t" * 32
        rows = [make.decision(policy, subject=mine) for policy in ("cart", "search", "cart", "cart")]
        log(store, *rows, make.decision(subject=theirs), make.decision())
        found = store.decisions.of_subject(mine, rows[2].decided_at)
        cart = [rows[0].decision_id, rows[2].decision_id]
        assert found == {"cart": cart, "search": [rows[1].decision_id]}
        assert store.decisions.of_subject(b"n" * 32, rows[3].decided_at) == {}

    def test_the_latest_suppression_of_a_pseudonym_stands(self, store: Any, noon: datetime) -> None:
        for at in (noon, noon + HOUR, noon):
            store.privacy.suppress(b"a", at)
        store.privacy.suppress(b"b", noon)
        assert store.privacy.suppressed([b"a", b"c"]) == {b"a": noon + HOUR}
        assert store.privacy.suppressed([]) == {}
        assert store.privacy.recently_suppressed(noon + HOUR) == {b"a": noon + HOUR}

    def test_a_certificate_is_kept_once(self, store: Any) -> None:
        first, second = Certificate(sha256="1" * 64, document="{}"), Certificate(sha256="2" * 64, document="[]")
        for certificate in (first, second, first):
            store.privacy.file(certificate)
        assert store.privacy.certificates() == [first, second]


class TestUnlearnings:
    def test_a_source_in_a_range_is_left_out_of_segments_at_its_number_and_no_earlier(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        rows = [make.decision() for _ in range(4)]
        log(store, *rows)
        bad, good, old, amended = (row.decision_id for row in rows)
        store.ledger.append([
            make.entry(bad, "1", source=Source("bad")),
            make.entry(good, "2"),
            make.entry(old, "3", source=Source("bad"), occurred_at=noon - 2 * HOUR),
            make.entry(amended, "4", source=Source("bad"), occurred_at=noon - 2 * HOUR),
            make.entry(amended, "5", source=Source("bad"), corrects="4"),
        ])  # fmt: skip
        close(store, *(make.closure(row) for row in rows), at=noon)
        cut = store.outcomes.ledger_cut()

        def positions(unlearn_cut: int) -> list[int]:
            return [row.position for row in store.outcomes.segment(CART, 0, 4, cut, unlearn_cut).rows]

        asked = rule(noon, "bad")
        assert store.outcomes.unlearned(asked) == 2
        assert store.outcomes.unlearn(asked).number == store.outcomes.unlearn_cut(CART) == 1
        assert store.outcomes.unlearn(rule(noon, "nobody")).number == 2
        assert (positions(0), positions(1), positions(2)) == ([1, 2, 3, 4], [2, 3], [2, 3])
        assert store.outcomes.segment(CART, 0, 4, cut) == store.outcomes.segment(CART, 0, 4, cut, 0)
        assert [row.position for row in store.outcomes.scan(CART, 0, 9)] == [2, 3]
        assert [request.reason for request in store.rebuilds.waiting()] == ["unlearning 1", "unlearning 2"]
        assert [(known.number, known.source) for known in store.outcomes.unlearnings(CART)] == [
            (1, "bad"),
            (2, "nobody"),
        ]
        assert store.outcomes.unlearn_cut(PolicyName("search")) == 0

    def test_a_time_range_leaves_out_what_was_decided_in_it_rewarded_or_not(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        rows = [make.decision() for _ in range(3)]
        log(store, *rows)
        close(store, *(make.closure(row) for row in rows), at=noon)
        asked = Unlearning(policy=CART, source=None, since=rows[1].decided_at, until=rows[2].decided_at, asked_at=noon)
        assert store.outcomes.unlearned(asked) == 1
        store.outcomes.unlearn(asked)
        assert [row.position for row in store.outcomes.segment(CART, 0, 3, 0, 1).rows] == [1, 3]

    def test_what_was_quarantined_or_is_known_only_later_leaves_nothing_out(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        rows = [make.decision() for _ in range(2)]
        log(store, *rows)
        odd = make.entry(rows[0].decision_id, "1")
        odd = type(odd)(event=odd.event, received_at=odd.received_at, quarantined="too large")
        store.ledger.append([odd])
        close(store, *(make.closure(row) for row in rows), at=noon)
        cut = store.outcomes.ledger_cut()
        store.outcomes.unlearn(rule(noon))
        store.ledger.append([make.entry(rows[1].decision_id, "2")])
        close(store, at=noon)
        assert [row.position for row in store.outcomes.segment(CART, 0, 2, cut, 1).rows] == [1, 2]
        assert [row.position for row in store.outcomes.segment(CART, 0, 2, cut + 1, 1).rows] == [1]
        assert [row.position for row in store.outcomes.scan(CART, 0, 9, AsOf(2, cut))] == [1, 2]

    def test_an_unlearned_row_that_is_erased_is_erased(self, store: Any, make: Any, noon: datetime) -> None:
        row = make.decision()
        log(store, row)
        store.ledger.append([make.entry(row.decision_id, "1")])
        close(store, make.closure(row), at=noon)
        store.outcomes.unlearn(rule(noon))
        store.outcomes.erase(CART, [row.decision_id], noon)
        assert store.outcomes.segment(CART, 0, 1, 1, 1).erased == {1: 1}
        assert store.outcomes.unlearned(rule(noon)) == 0


class TestChanges:
    """Five outcomes, learned one a segment at the cuts of their day."""

    @pytest.fixture
    def rows(self, store: Any, make: Any, noon: datetime) -> list[Decision]:
        rows = [make.decision() for _ in range(5)]
        log(store, *rows)
        store.ledger.append([make.entry(row.decision_id, f"r{index}") for index, row in enumerate(rows)])
        close(store, *(make.closure(row) for row in rows), at=noon)
        return rows

    @pytest.fixture
    def learned(self, make: Any) -> list[Any]:
        return [make.model(n + 1, n, after=n - 1, up_to=n, ledger_cut=5).lineage for n in range(1, 6)]

    def test_nothing_changed(self, store: Any, rows: list[Decision], learned: list[Any]) -> None:
        assert store.outcomes.changed(CART, learned) is None
        assert store.outcomes.changed(CART, []) is None

    def test_a_revision_changes_the_segment_of_its_first_close(
        self, store: Any, make: Any, noon: datetime, rows: list[Decision], learned: list[Any]
    ) -> None:
        store.ledger.append([make.entry(rows[2].decision_id, "late")])
        close(store, make.closure(rows[2], 0.5, revision=1), at=noon)
        assert store.outcomes.changed(CART, learned) == 2
        again = [make.model(n + 1, n, after=n - 1, up_to=n, ledger_cut=6).lineage for n in range(1, 6)]
        assert store.outcomes.changed(CART, again) is None

    def test_an_erasure_changes_what_did_not_know_of_it(
        self, store: Any, make: Any, noon: datetime, rows: list[Decision], learned: list[Any]
    ) -> None:
        store.outcomes.erase(CART, [rows[3].decision_id], noon)
        assert store.outcomes.changed(CART, learned) == 3
        assert store.outcomes.changed(CART, learned[:3]) is None
        knowing = make.model(5, 4, after=3, up_to=4, ledger_cut=5, erasure_cut=1).lineage
        assert store.outcomes.changed(CART, [*learned[:3], knowing, learned[4]]) is None

    def test_an_unlearning_changes_what_did_not_heed_it_and_what_it_concerns_since(
        self, store: Any, make: Any, noon: datetime, rows: list[Decision], learned: list[Any]
    ) -> None:
        store.ledger.append([make.entry(rows[4].decision_id, "bad", source=Source("bad"))])
        close(store, at=noon)
        store.outcomes.unlearn(rule(noon, "bad"))
        assert store.outcomes.changed(CART, learned) == 4
        heeding = [make.model(n + 1, n, after=n - 1, up_to=n, ledger_cut=6, unlearn_cut=1).lineage for n in range(1, 6)]
        assert store.outcomes.changed(CART, heeding) is None
        store.ledger.append([make.entry(rows[1].decision_id, "bad too", source=Source("bad"))])
        close(store, at=noon)
        assert store.outcomes.changed(CART, heeding) == 1, "heard of later, though no outcome was revised"


class TestThinning:
    def test_bytes_go_and_lineage_stays(self, store: Any, make: Any) -> None:
        registry = store.registry
        registry.publish(make.model(1), b"one", moves_head_from=None)
        for version in (2, 3, 4):
            registry.publish(make.model(version, version - 1), b"n", moves_head_from=ModelVersion(version - 1))
        registry.publish(make.model(1, policy="search"), b"one", moves_head_from=None)
        assert registry.kept(CART) == {1, 2, 3, 4}
        assert registry.thin(CART, [ModelVersion(version) for version in (1, 2, 4, 9)]) == 1
        assert registry.thin(CART, [ModelVersion(2)]) == 0
        assert registry.kept(CART) == {1, 3, 4}, "a start and a head stay, whoever asks"
        assert registry.model_bytes(CART, ModelVersion(2)) is None
        assert registry.model(CART, ModelVersion(2)) == make.model(2, 1)
        assert registry.kept(PolicyName("search")) == {1}
        assert registry.models_with_bytes(CART) == [make.model(1), make.model(3, 2), make.model(4, 3)]

    def test_whose_segment_holds_a_position(self, store: Any, make: Any) -> None:
        made = [make.model(1), make.model(2, 1, after=0, up_to=3), make.model(3, 2, after=3, up_to=4)]
        for model in made:
            store.registry.publish(model, b"n", moves_head_from=model.lineage.parent)
        again = make.model(4, 1, after=0, up_to=4)
        store.registry.publish(again, b"n", moves_head_from=ModelVersion(3))
        found = [store.registry.models_over(CART, position) for position in (1, 3, 4, 5)]
        assert found == [[made[1], again], [made[1], again], [made[2], again], []]
        assert store.registry.models_over(PolicyName("search"), 1) == []


def test_a_line_is_added_to_the_audit_trail(store: Any, noon: datetime) -> None:
    entry = AuditEntry(at=noon, actor="ops", action="unlearn", policy=CART, detail={"source": "bad"})
    store.registry.note(entry)
    assert store.registry.trail(CART) == [entry]


class TestQuarantine:
    def test_what_was_quarantined_is_read_in_order_of_receipt_a_page_at_a_time(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        decision = make.decision()
        log(store, decision)
        name = decision.decision_id

        def odd(reward_id: str, **changes: Any) -> LedgerEntry:
            entry = make.entry(name, reward_id, 99.0, **changes)
            return LedgerEntry(event=entry.event, received_at=entry.received_at, quarantined="too large")

        entries = [odd("b"), odd("a"), odd("c", metric="weather"), odd("a", source=Source("till"))]
        store.ledger.append([make.entry(name, "fine"), *entries[:2], make.entry(name, "too"), *entries[2:]])

        def read(after: int = 0, limit: int = 9, **filters: Any) -> list[LedgerEntry]:
            return [entry for _, entry in store.ledger.quarantine(after, limit, **filters)]

        assert read() == entries
        numbers = [number for number, _ in store.ledger.quarantine(0, 9)]
        assert numbers == sorted(set(numbers))
        assert read(limit=2) == entries[:2]
        assert read(after=numbers[1]) == entries[2:]
        assert read(source=Source("till")) == read(reward_id="a")[1:] == [entries[3]]
        assert read(metric="weather") == [entries[2]]
        close(store, at=noon)
        assert None not in [entry.position for entry in read()]
        store.outcomes.erase(CART, [name], noon)
        assert read() == []

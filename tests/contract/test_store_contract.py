"""What the ports promise, held against every implementation."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.decision import Decision, Stage
from cxi_bandit.domain.errors import IdempotencyConflict, InvalidInput, LearningConflict, NotFound
from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, ModelVersion, PolicyName, Source
from cxi_bandit.domain.outcome import OutcomeStanding, TrainingRow, Window
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken

CART = PolicyName("cart")
ACCEPTED, DUPLICATE, CONFLICT = RewardStatus.ACCEPTED, RewardStatus.DUPLICATE, RewardStatus.CONFLICT


def log(store: Any, *decisions: Decision) -> None:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])


def close(store: Any, *closures: Any, at: datetime) -> list[Any]:
    with store.outcomes.sequencing() as sequencing:
        sequencing.take_rewards(1000)
        return list(sequencing.append(closures, at))


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Calls with 0..count-1 from as many threads, all let go at once; errors come back as values."""
    gate = threading.Barrier(count)

    def one(index: int) -> Any:
        gate.wait()
        try:
            return call(index)
        except Exception as error:  # noqa: BLE001 - what it was is what the test asks
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class TestDecisionLog:
    def test_what_is_appended_is_found_and_unknown_ids_are_absent(self, store: Any, make: Any) -> None:
        known, unknown = make.decision(), make.decision()
        log(store, known)
        assert store.decisions.find({known.decision_id, unknown.decision_id}) == {known.decision_id: known}
        assert store.decisions.find([]) == {}

    def test_which_manifest_each_was_made_under(self, store: Any, make: Any) -> None:
        one, other, unknown = make.decision(), make.decision(manifest_sha="1" * 64), make.decision()
        log(store, one, other)
        asked = [unknown.decision_id, other.decision_id, one.decision_id]
        assert store.decisions.manifests_of(asked) == {
            one.decision_id: one.manifest_sha,
            other.decision_id: "1" * 64,
        }
        assert store.decisions.manifests_of([]) == {}

    def test_appending_again_changes_nothing(self, store: Any, make: Any) -> None:
        first = make.decision()
        log(store, first)
        other = make.decision(decision_id=first.decision_id, decided_at=first.decided_at, u=0.9)
        fresh = make.decision()
        assert store.decisions.append([DecisionEntry(other), DecisionEntry(fresh)]) == [first, fresh]
        assert store.decisions.find([first.decision_id]) == {first.decision_id: first}

    def test_appending_a_closed_decision_again_does_not_open_its_window_again(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        decision = make.decision()
        log(store, decision)
        close(store, make.closure(decision), at=noon)
        log(store, decision)
        with store.outcomes.sequencing() as sequencing:
            assert sequencing.matured(decision.closes_at, 10) == []

    def test_features_keep_their_order(self, store: Any, make: Any) -> None:
        decision = make.decision()
        log(store, decision)
        found = store.decisions.find([decision.decision_id])[decision.decision_id]
        assert list(found.situation.context) == ["zeta", "alpha", "mid"]

    def test_a_key_with_the_same_body_gives_the_first_decision(self, store: Any, make: Any) -> None:
        token = IdempotencyToken("key-1", "abc", b"body")
        first, again, in_batch, elsewhere = (make.decision() for _ in range(4))
        entries = [DecisionEntry(first, token), DecisionEntry(in_batch, token)]
        assert store.decisions.append(entries) == [first, first]
        assert store.decisions.append([DecisionEntry(again, token)]) == [first]
        other_caller = IdempotencyToken("key-2", "abc", b"other body")
        assert store.decisions.append([DecisionEntry(elsewhere, other_caller)]) == [elsewhere]
        assert store.decisions.append([DecisionEntry(first, token)]) == [first]
        assert [row.decision_id for row in store.decisions.scan(CART, None, 10)] == [
            first.decision_id,
            elsewhere.decision_id,
        ]

    def test_a_key_with_another_body_is_a_conflict_and_the_rest_of_the_batch_stands(
        self, store: Any, make: Any
    ) -> None:
        first, second, third = make.decision(), make.decision(), make.decision()
        store.decisions.append([DecisionEntry(first, IdempotencyToken("key-1", "abc", b"body"))])
        conflict, landed = store.decisions.append(
            [DecisionEntry(second, IdempotencyToken("key-1", "abc", b"another")), DecisionEntry(third)]
        )
        assert isinstance(conflict, IdempotencyConflict)
        assert conflict.key == "abc"
        assert landed == third
        assert store.decisions.find([second.decision_id]) == {}

    def test_sixty_four_racing_duplicates_make_one_row(self, store: Any, make: Any) -> None:
        rivals = [make.decision() for _ in range(64)]
        token = IdempotencyToken("key-1", "abc", b"body")
        answers = together(64, lambda index: store.decisions.append([DecisionEntry(rivals[index], token)])[0])
        assert len({answer.decision_id for answer in answers}) == 1
        assert len(store.decisions.scan(CART, None, 100)) == 1

    def test_racing_batches_with_keys_in_common_all_end_well(self, store: Any, make: Any) -> None:
        tokens = [IdempotencyToken("key-1", f"k{index}", b"body") for index in range(20)]
        batches = [[DecisionEntry(make.decision(), token) for token in tokens] for _ in range(8)]
        for odd in batches[1::2]:
            odd.reverse()
        answers = together(8, lambda index: store.decisions.append(batches[index]))
        assert {tuple(sorted(row.decision_id for row in answer)) for answer in answers} == {
            tuple(row.decision_id for row in store.decisions.scan(CART, None, 100))
        }

    def test_an_activation_needs_its_decision_and_the_first_one_stands(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        shown, hidden = make.decision(), make.decision()
        assert not store.decisions.activate(shown.decision_id, noon)
        log(store, shown, hidden)
        assert store.decisions.activate(shown.decision_id, noon)
        assert store.decisions.activate(shown.decision_id, noon + timedelta(hours=1))
        with store.outcomes.sequencing() as sequencing:
            open_ = sequencing.matured(noon + timedelta(days=1), 10)
        assert [entry.activated for entry in open_] == [True, False]

    def test_a_scan_goes_in_time_order_by_policy_from_a_decision_on(self, store: Any, make: Any) -> None:
        cart = [make.decision() for _ in range(5)]
        log(store, *reversed(cart), make.decision(policy="search"))
        assert store.decisions.scan(CART, None, 3) == cart[:3]
        assert store.decisions.scan(CART, cart[2].decision_id, 3) == cart[3:]
        assert store.decisions.latest(CART, 2) == cart[3:]
        assert store.decisions.latest(PolicyName("none"), 2) == []


class TestRewardLedger:
    def test_duplicates_and_conflicts_are_told_apart_within_and_across_batches(self, store: Any, make: Any) -> None:
        decision = DecisionId(make.decision().decision_id)
        first = make.entry(decision, "r1")
        other = make.entry(decision, "r1", 2.0)
        assert store.ledger.append([first, first, other]) == [ACCEPTED, DUPLICATE, CONFLICT]
        again = make.entry(decision, "r1")  # received later, but the very same event
        new = make.entry(decision, "r2")
        assert store.ledger.append([other, again, new]) == [CONFLICT, DUPLICATE, ACCEPTED]
        assert store.ledger.append([]) == []
        assert store.ledger.history(decision) == [first, new]

    def test_the_same_id_of_another_source_is_another_reward(self, store: Any, make: Any) -> None:
        decision = make.decision().decision_id
        entries = [make.entry(decision, "r1"), make.entry(decision, "r1", source=Source("till"))]
        assert store.ledger.append(entries) == [ACCEPTED, ACCEPTED]

    def test_racing_deliveries_count_once(self, store: Any, make: Any) -> None:
        decision = make.decision().decision_id
        entries = [make.entry(decision, f"r{index}") for index in range(10)]
        deliveries = together(16, lambda index: store.ledger.append(entries if index % 2 else entries[::-1]))
        assert sum(answer.count(ACCEPTED) for answer in deliveries) == 10
        assert len(store.ledger.history(decision)) == 10


class TestSequencing:
    def test_ledger_positions_are_dense_in_order_of_receipt(self, store: Any, make: Any) -> None:
        decision = make.decision().decision_id
        entries = [make.entry(decision, f"r{index}") for index in range(7)]
        store.ledger.append(entries)
        with store.outcomes.sequencing() as sequencing:
            taken = sequencing.take_rewards(4) + sequencing.take_rewards(4)
            assert sequencing.ledger_cut == 7
            assert sequencing.entries_of([decision, make.decision().decision_id]) == {decision: taken}
        assert [entry.position for entry in taken] == [1, 2, 3, 4, 5, 6, 7]
        assert [entry.event for entry in taken] == [entry.event for entry in entries]
        assert store.outcomes.ledger_cut() == 7
        assert store.ledger.history(decision) == taken
        with store.outcomes.sequencing() as sequencing:
            assert sequencing.take_rewards(10) == []

    def test_outcome_positions_are_dense_per_policy(self, store: Any, make: Any, noon: datetime) -> None:
        rows = [make.decision(policy) for policy in ("cart", "search", "cart", "cart")]
        log(store, *rows)
        made = close(store, *(make.closure(row) for row in rows[:3]), at=noon)
        made += close(store, make.closure(rows[3]), at=noon)
        assert [(row.policy, row.position) for row in made] == [("cart", 1), ("search", 1), ("cart", 2), ("cart", 3)]
        assert (store.outcomes.head(CART), store.outcomes.head(PolicyName("none"))) == (3, 0)
        assert store.outcomes.revisions(rows[3].decision_id) == [made[3]]

    def test_windows_mature_by_close_then_id_until_they_are_closed(self, store: Any, make: Any, noon: datetime) -> None:
        late, soon, never = make.decision(minutes=20), make.decision(minutes=10), make.decision(minutes=9999)
        log(store, late, soon, never)
        with store.outcomes.sequencing() as sequencing:
            due = [entry.window for entry in sequencing.matured(noon + timedelta(hours=1), 10)]
            assert due == [Window.of(soon), Window.of(late)]
            assert [entry.window for entry in sequencing.matured(noon + timedelta(hours=1), 1)] == [Window.of(soon)]
            assert sequencing.matured(soon.closes_at - timedelta(microseconds=1), 10) == []
            sequencing.append([make.closure(soon)], noon)
        with store.outcomes.sequencing() as sequencing:
            assert [entry.window for entry in sequencing.matured(soon.closes_at, 10)] == []
            everything = [late.decision_id, soon.decision_id, never.decision_id]
            assert [entry.window for entry in sequencing.still_open(everything)] == [Window.of(late), Window.of(never)]
            standing = sequencing.closed(everything)
        assert standing == {soon.decision_id: (Window.of(soon), store.outcomes.revisions(soon.decision_id)[0])}

    def test_a_window_says_of_its_decision_what_an_outcome_needs(self, store: Any, make: Any, noon: datetime) -> None:
        left_alone = Assignment(revision=1, arm=Arm.HOLD, share=0.1, salt="s")
        rows = [
            make.decision(),
            make.decision(subject=b"\0key", intervention="hold"),
            make.decision(override_id=7, manifest_sha=ManifestSha("1" * 64)),
            make.decision("search", assignment=left_alone),
        ]
        log(store, *rows)
        windows = [Window.of(row) for row in rows]
        assert [(one.subject, one.overridden, one.arm) for one in windows] == [
            (None, False, None),
            (b"\0key", False, None),
            (None, True, None),
            (None, False, Arm.HOLD),
        ]
        names = [row.decision_id for row in rows]
        with store.outcomes.sequencing() as sequencing:
            assert [one.window for one in sequencing.matured(noon + timedelta(hours=1), 10)] == windows
            assert [one.window for one in sequencing.still_open(names)] == windows
            sequencing.append([make.closure(row) for row in rows], noon)
        with store.outcomes.sequencing() as sequencing:
            assert [sequencing.closed(names)[name][0] for name in names] == windows

    def test_an_exception_undoes_the_whole_pass(self, store: Any, make: Any, noon: datetime) -> None:
        decision = make.decision()
        log(store, decision)
        store.ledger.append([make.entry(decision.decision_id, "r1")])

        def broken_pass() -> None:
            with store.outcomes.sequencing() as sequencing:
                sequencing.take_rewards(10)
                sequencing.append([make.closure(decision)], noon)
                raise NotFound("manifest", "x")

        with pytest.raises(NotFound):
            broken_pass()
        assert (store.outcomes.head(CART), store.outcomes.ledger_cut()) == (0, 0)
        assert store.outcomes.revisions(decision.decision_id) == []
        with store.outcomes.sequencing() as sequencing:
            assert [entry.position for entry in sequencing.take_rewards(10)] == [1]
            assert [entry.window for entry in sequencing.matured(decision.closes_at, 10)] == [Window.of(decision)]

    def test_there_is_one_sequencer(self, store: Any) -> None:
        with store.outcomes.sequencing() as first, store.outcomes.sequencing() as second:
            assert first is not None
            assert second is None
        with store.outcomes.sequencing() as third:
            assert third is not None


class TestSegments:
    def test_a_segment_holds_learnable_first_closes_in_position_order(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        rows = [make.decision() for _ in range(4)]
        log(store, *rows)
        close(
            store,
            make.closure(rows[2], 0.3),
            make.closure(rows[0], 0.1),
            make.closure(rows[1], 0.2, standing=OutcomeStanding.UNACTIVATED),
            make.closure(rows[3], 0.4),
            at=noon,
        )
        segment = store.outcomes.segment(CART, 0, 4, 0)
        assert segment.rows == [
            TrainingRow(position=position, decision=decision, reward=reward).lesson
            for position, decision, reward in ((1, rows[2], 0.3), (2, rows[0], 0.1), (4, rows[3], 0.4))
        ]
        assert (segment.erased, segment.expired) == ({}, [])
        assert [row.position for row in store.outcomes.segment(CART, 1, 3, 0).rows] == [2]
        assert [row.position for row in store.outcomes.scan(CART, 1, 1)] == [2]
        assert [row.position for row in store.outcomes.scan(CART, 1, 9)] == [2, 4]

    def test_later_revisions_leave_a_segment_at_its_cut_as_it_was(self, store: Any, make: Any, noon: datetime) -> None:
        decision = make.decision()
        log(store, decision)
        cuts, segments = [], []
        for revision in range(4):
            store.ledger.append([make.entry(decision.decision_id, f"r{revision}")])
            close(store, make.closure(decision, reward=float(revision), revision=revision), at=noon)
            cuts.append(store.outcomes.ledger_cut())
            segments.append(store.outcomes.segment(CART, 0, 1, cuts[-1]))
        assert [store.outcomes.segment(CART, 0, 1, cut) for cut in cuts] == segments
        assert [segment.rows[0].reward for segment in segments] == [0.0, 1.0, 2.0, 3.0]
        assert store.outcomes.scan(CART, 0, 1)[0].reward == 3.0
        assert len(store.outcomes.segment(CART, 0, 4, cuts[-1]).rows) == 1

    def test_erasing_leaves_positions_and_a_number_and_nothing_else(
        self, store: Any, make: Any, noon: datetime
    ) -> None:
        kept, gone = make.decision(), make.decision()
        log(store, kept, gone)
        entry = make.entry(gone.decision_id, "r1")
        store.ledger.append([entry])
        close(store, make.closure(kept), make.closure(gone), at=noon)
        assert store.outcomes.erasure_cut(CART) == 0
        assert store.outcomes.erase(CART, [gone.decision_id], noon) == 1
        assert store.outcomes.erasure_cut(CART) == 1
        segment = store.outcomes.segment(CART, 0, 2, store.outcomes.ledger_cut())
        assert ([row.position for row in segment.rows], segment.erased, segment.expired) == ([1], {2: 1}, [])
        assert store.outcomes.head(CART) == 2
        assert store.decisions.find([gone.decision_id]) == {}
        assert store.ledger.history(gone.decision_id) == []
        assert store.outcomes.revisions(gone.decision_id) == []
        # A sender's redelivery does not bring it back.
        assert store.ledger.append([entry]) == [DUPLICATE]
        with store.outcomes.sequencing() as sequencing:
            assert sequencing.take_rewards(10) == []
            assert sequencing.closed([gone.decision_id]) == {}
        assert store.outcomes.erase(CART, [kept.decision_id], noon) == 2
        assert store.outcomes.segment(CART, 0, 2, 0).erased == {1: 2, 2: 1}
        assert [row.position for row in close(store, make.closure(make.decision()), at=noon)] == [3]


class TestRegistry:
    def test_a_manifest_is_kept_under_its_hash(self, store: Any) -> None:
        text = 'name = "größe"\r\n'
        sha = store.registry.put_manifest(text)
        assert store.registry.put_manifest(text) == sha
        assert store.registry.manifest_text(sha) == text
        with pytest.raises(NotFound):
            store.registry.manifest_text(ManifestSha("0" * 64))

    def test_a_version_is_installed_once_and_leaves_one_line(self, store: Any, noon: datetime) -> None:
        entry = AuditEntry(at=noon, actor="a", action="install", policy=CART, detail={"b": "1", "a": "2"})
        version = PolicyVersion(
            policy=CART, version=1, manifest_sha=ManifestSha("a"), stage=Stage.LIVE, created_at=noon
        )
        rival = PolicyVersion(
            policy=CART, version=1, manifest_sha=ManifestSha("b"), stage=Stage.CANDIDATE, created_at=noon
        )
        assert store.registry.install(version, entry) == version
        assert store.registry.install(rival, entry) == version
        assert store.registry.versions() == store.registry.versions(CART) == [version]
        assert store.registry.versions(PolicyName("search")) == []
        assert store.registry.trail() == store.registry.trail(CART) == [entry]

    def test_a_model_is_published_with_its_bytes_and_moves_the_head(self, store: Any, make: Any) -> None:
        registry = store.registry
        assert registry.head(CART, 1) is None
        assert registry.last_version(CART) == 0
        registry.publish(make.model(1), b"one", moves_head_from=None)
        registry.publish(make.model(2, 1), b"two", moves_head_from=ModelVersion(1))
        registry.publish(make.model(3, 2), b"tri", moves_head_from=None, adopt=False)
        assert registry.head(CART, 1) == make.model(2, 1) == registry.heads()[0]
        assert registry.models(CART) == [make.model(1), make.model(2, 1), make.model(3, 2)]
        assert registry.model_bytes(CART, ModelVersion(3)) == b"tri"
        assert registry.last_version(CART) == 3
        assert registry.model(CART, ModelVersion(1)) == make.model(1)
        for read in (registry.model, registry.model_bytes):
            with pytest.raises(NotFound):
                read(CART, ModelVersion(9))

    def test_of_racing_publishers_exactly_one_wins_and_nothing_is_half_written(self, store: Any, make: Any) -> None:
        store.registry.publish(make.model(1), b"one", moves_head_from=None)
        # The even ones claim the same version, the odd ones each their own: the head decides between all of them.
        rivals = [make.model(2 if index % 2 else 10 + index, 1, learned=index) for index in range(8)]

        def publish(index: int) -> None:
            store.registry.publish(rivals[index], b"%d" % index, moves_head_from=ModelVersion(1))

        answers = together(8, publish)
        (winner,) = [index for index, answer in enumerate(answers) if answer is None]
        assert sum(isinstance(answer, LearningConflict) for answer in answers) == 7
        assert store.registry.head(CART, 1) == rivals[winner]
        assert store.registry.models(CART) == [make.model(1), rivals[winner]]
        assert store.registry.model_bytes(CART, rivals[winner].lineage.version) == b"%d" % winner

    def test_of_racing_first_publishers_one_wins(self, store: Any, make: Any) -> None:
        answers = together(8, lambda index: store.registry.publish(make.model(index + 1), b"x", moves_head_from=None))
        assert answers.count(None) == 1
        assert len(store.registry.models(CART)) == len(store.registry.heads()) == 1

    def test_a_policy_has_one_writer(self, store: Any) -> None:
        with store.registry.writer(CART) as first, store.registry.writer(CART) as second:
            assert (first, second) == (True, False)
            with store.registry.writer(PolicyName("search")) as elsewhere:
                assert elsewhere
        with store.registry.writer(CART) as third:
            assert third


class TestSecrets:
    def test_keys_are_made_once_even_when_all_ask_at_once(self, store: Any) -> None:
        keys = together(8, lambda _: store.keyring.draw_key())
        assert len({(key.key_id, key.secret) for key in keys}) == 1
        assert len(keys[0].secret) == 32
        assert store.keyring.draw_key(keys[0].key_id) == keys[0]
        assert store.keyring.subject_key() == store.keyring.subject_key() != keys[0].secret
        assert store.keyring.console_key() == store.keyring.console_key() != store.keyring.subject_key()
        assert len(store.keyring.console_key()) == 32
        with pytest.raises(NotFound):
            store.keyring.draw_key("draw-99")

    def test_an_api_key_is_found_by_digest_until_revoked(self, store: Any, noon: datetime) -> None:
        key = ApiKey(
            name="shop", scopes=frozenset({Scope.DECIDE, Scope.REWARD}), source=Source("shop"), created_at=noon
        )
        store.access.add_key(key, b"d" * 32, "ann")
        assert store.access.key(b"d" * 32) == key
        assert store.access.key(b"e" * 32) is None
        with pytest.raises(InvalidInput):
            store.access.add_key(key, b"e" * 32, "ann")
        for at in (noon, noon + timedelta(days=1)):
            store.access.revoke_key("shop", at, "ann")
        assert store.access.key(b"d" * 32) is None
        assert [known.revoked_at for known in store.access.keys()]  # noqa: SIM118 - no dict == [noon]
        with pytest.raises(NotFound):
            store.access.revoke_key("nobody", noon, "ann")

    def test_webhook_secrets_rotate_newest_first(self, store: Any, noon: datetime) -> None:
        shop = Source("shop")
        for days, secret in enumerate(("a", "b", "c")):
            store.access.add_webhook_secret(shop, secret, noon + timedelta(days=days), "ann")
        assert store.access.webhook_secrets(shop) == ["c", "b", "a"]
        assert store.access.webhook_secrets(Source("till")) == []
        assert store.access.revoke_webhook_secrets(shop, noon, "ann", but_newest=True) == 2
        assert store.access.webhook_secrets(shop) == ["c"]
        assert store.access.revoke_webhook_secrets(shop, noon, "ann", but_newest=False) == 1
        assert store.access.webhook_secrets(shop) == []
